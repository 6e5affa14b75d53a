"""Where the weights of a base lie: the folder behind what the user named."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from harness import HarnessError, plugins
from harness.local import ADAPTER_CONFIG, CONFIG
from harness.settings import effective
from harness.unfinished import refuse_unfinished

_HUB: Final = "hf"  #: the scheme whose names are folders and hub ids


def folder_of(model: str) -> Path:
    """The folder of a model's weights, downloaded where it is a hub's.

    Args:
        model: a folder, SCHEME/NAME of a provider whose models have files here, or a hub id.

    Raises:
        HarnessError: no such model, a model without files, or an adapter or an unfinished training in place of a model.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        return _whole(path)
    scheme, _, name = model.partition("/")
    known = {provider.scheme for provider, _ in plugins.current().offers("models")}
    if scheme not in known or not name:
        scheme, name = _HUB, model
    provider = plugins.current().provider(scheme)
    if provider.folder is None:
        raise HarnessError(
            f"{scheme}/ has no files of its models here, so they cannot be trained",
            where=model,
            remedy="name a folder, a hub id, or hf/FOLDER_OR_ID",
        )
    return _whole(provider.folder(name, effective(provider.settings, {}, owner=f"{scheme}/")))


def _whole(folder: Path) -> Path:
    """The folder, if it holds a model; an adapter is no base, since what learns would sit on what was learnt."""
    refuse_unfinished(folder)
    if (folder / CONFIG).is_file():
        return folder
    if (folder / ADAPTER_CONFIG).is_file():
        raise HarnessError(
            "this folder holds an adapter, which cannot be the base of a training",
            where=str(folder),
            remedy="merge it first: train it with -S merge=true, or save what merge_and_unload() of peft gives",
        )
    raise HarnessError(f"this folder holds no {CONFIG}", where=str(folder), remedy="name the folder of a saved model")
