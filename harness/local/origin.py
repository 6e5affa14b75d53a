"""Where a model comes from: a folder, known by its files, or a hub repository, known by its commit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.errors import HarnessError
from harness.fingerprint import hash_folder, refuse_unfinished
from harness.types import Json

CONFIG: Final = "config.json"
ADAPTER_CONFIG: Final = "adapter_config.json"
PIPELINE_CONFIG: Final = "model_index.json"
_MAKERS: Final = {CONFIG: "transformers", PIPELINE_CONFIG: "diffusers"}
#: What a model is made of, next to its weights; other files of a repository (pictures, other weights) are not fetched.
_MODEL_FILES: Final = ("*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken", "*.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A model that can be loaded.

    Attributes:
        place: folder or hub id, as `from_pretrained` takes it.
        folder: of its files; for a hub model, where they will be once they are downloaded.
        name: of the model, without its path.
        commit: on the hub; empty for a folder.
        fingerprint: what identifies the weights.
    """

    place: str
    folder: Path
    name: str
    commit: str
    fingerprint: dict[str, Json]


def find(
    name: str,
    revision: str | None,
    *,
    scheme: str,
    adapter: str = "",
    config: str = CONFIG,
    fingerprint: Callable[[Path], dict[str, Json]] = hash_folder,
) -> Origin:
    """Find the model of `SCHEME/NAME`; a hub model's configuration is downloaded to learn its commit.

    Args:
        name: a folder, or the id of a hub repository.
        revision: branch, tag or commit on the hub; None is its main branch.
        scheme: of the provider, for its errors.
        adapter: the provider's setting that takes an adapter's folder, for its errors; empty where it has none.
        config: the file by which a model's folder is known.
        fingerprint: of a folder.

    Raises:
        HarnessError: no such folder or repository, a training that has not ended, no access, or no network.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        refuse_unfinished(folder)
        if not (folder / config).is_file():
            is_adapter = bool(adapter) and (folder / ADAPTER_CONFIG).is_file()
            with_base = f"--model {scheme}/ITS_BASE -M {adapter}={folder}"
            raise HarnessError(
                "this folder holds an adapter, not a model" if is_adapter else f"this folder holds no {config}",
                where=str(folder),
                remedy=with_base if is_adapter else "name the folder of a saved model",
            )
        name = folder.resolve().name
        return Origin(place=str(folder), folder=folder, name=name, commit="", fingerprint=fingerprint(folder))
    if name.startswith(("/", ".", "~")) or name.count("/") > 1:
        raise HarnessError("there is no such model folder", where=name, remedy="name a folder, or a hub id: OWNER/NAME")
    return _find_on_hub(name, revision, f"{scheme}/{name}", config)


def _find_on_hub(name: str, revision: str | None, ref: str, file: str) -> Origin:
    import huggingface_hub as _hub
    from httpx import HTTPError
    from huggingface_hub import errors

    hub: Any = _hub
    try:
        config: str = hub.hf_hub_download(name, file, revision=revision)
    except errors.HFValidationError:
        what, remedy = "neither a folder nor a hub id", "name a folder, or a hub id: OWNER/NAME"
    except errors.GatedRepoError:
        what, remedy = "access to this model must be asked for on the hub", "then set HF_TOKEN"
    except errors.RevisionNotFoundError:
        what, remedy = f"the model has no revision {revision}", "see its branches and tags on the hub"
    except errors.RepositoryNotFoundError:
        what, remedy = "no such folder and no such model on the hub", "check its name; set HF_TOKEN if private"
    except errors.LocalEntryNotFoundError:
        what = "the model is not on this machine and the hub cannot be reached"
        remedy = f"fetch it where there is a network: hf download {name}"
    except errors.EntryNotFoundError:
        what, remedy = f"the hub's repository holds no {file}", f"name the repository of a {_MAKERS[file]} model"
    except (HTTPError, OSError) as error:
        what, remedy = f"the hub did not answer: {type(error).__name__}", "try again"
    else:
        folder = Path(config).parent
        fingerprint: dict[str, Json] = {"hub": name, "commit": folder.name}
        return Origin(place=name, folder=folder, name=name, commit=folder.name, fingerprint=fingerprint)
    raise HarnessError(what, where=ref, remedy=remedy)


def folder_of(name: str, revision: str | None, *, scheme: str, adapter: str) -> Path:
    """The folder of the files of `SCHEME/NAME`; a hub model is downloaded whole.

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
    import huggingface_hub as _hub

    hub: Any = _hub
    try:
        for weights in ("*.safetensors", "*.bin"):  # the older form only where there is no other
            patterns = [*_MODEL_FILES, weights]
            folder = Path(hub.snapshot_download(name, revision=origin.commit, allow_patterns=patterns))
            if any(folder.glob(weights)):
                return folder
    except Exception as error:
        raise HarnessError(
            f"the model's files cannot be downloaded: {type(error).__name__}",
            where=f"{scheme}/{name}",
            remedy=f"fetch them where there is a network: hf download {name}",
        ) from error
    raise HarnessError("the repository holds no weights", where=f"{scheme}/{name}", remedy="name one that does")


def broken_adapter_error(folder: Path, detail: str) -> HarnessError:
    """The error of an adapter whose files cannot be read."""
    return HarnessError(f"the adapter cannot be read: {detail}", where=str(folder), remedy="save it again by peft")


def unfit_adapter_error(folder: Path, detail: str) -> HarnessError:
    """The error of an adapter that the model does not take."""
    return HarnessError(
        f"the adapter does not fit this model: {detail}", where=str(folder), remedy="name the model it was trained on"
    )
