"""The folder of a model's files, for who trains or copies it: one on this machine, or a snapshot of the hub's."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from harness.errors import HarnessError
from harness.local.origin import CONFIG, find

#: What a model is made of; other files of a repository (pictures, weights for other programs) stay there.
_FILES: Final = ("*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken", "*.py")


def folder_of(name: str, revision: str | None, *, scheme: str, adapter: str) -> Path:
    """The folder of `SCHEME/NAME`; a hub's model is downloaded whole.

    Args:
        name: a folder, or the id of a hub repository.
        revision: branch, tag or commit on the hub; None is its main branch.
        scheme: of the provider, for its errors.
        adapter: the provider's setting that takes an adapter's folder, for its errors.

    Raises:
        HarnessError: no such model, an adapter instead of one, no access, or no network.
    """
    folder = Path(name).expanduser()
    if folder.is_dir() and (folder / CONFIG).is_file():
        return folder
    origin = find(name, revision, scheme=scheme, adapter=adapter)
    return _downloaded(name, origin.commit, f"{scheme}/{name}")


def _downloaded(name: str, commit: str, ref: str) -> Path:
    import huggingface_hub as _hub

    hub: Any = _hub
    try:
        for weights in ("*.safetensors", "*.bin"):  # the older form only where there is no other
            folder = Path(hub.snapshot_download(name, revision=commit, allow_patterns=[*_FILES, weights]))
            if any(folder.glob(weights)):
                return folder
    except Exception as error:
        raise HarnessError(
            f"the model's files cannot be downloaded: {type(error).__name__}",
            where=ref,
            remedy=f"fetch them where there is a network: hf download {name}",
        ) from error
    raise HarnessError("the repository holds no weights", where=ref, remedy="name one that does")
