"""Where a model comes from: a folder, known by its files, or a hub repository, known by its commit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.errors import HarnessError
from harness.fingerprint import of_folder
from harness.types import Json
from harness.unfinished import refuse_unfinished

CONFIG: Final = "config.json"
ADAPTER_CONFIG: Final = "adapter_config.json"
PIPELINE_CONFIG: Final = "model_index.json"
_MAKERS: Final = {CONFIG: "transformers", PIPELINE_CONFIG: "diffusers"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A model that can be loaded.

    Attributes:
        place: folder or hub id, as `from_pretrained` takes it.
        folder: where its files lie; of a hub model, where they will lie once they are downloaded.
        name: of the model, without the path that leads to it.
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
    fingerprint: Callable[[Path], dict[str, Json]] = of_folder,
) -> Origin:
    """The model of `SCHEME/NAME`; a hub model's configuration is downloaded to learn its commit.

    Args:
        name: a folder, or the id of a hub repository.
        revision: branch, tag or commit on the hub; None is its main branch.
        scheme: of the provider, for its errors.
        adapter: the provider's setting that takes an adapter's folder, for its errors; empty where it has none.
        config: file that tells a model's folder.
        fingerprint: of a folder.

    Raises:
        HarnessError: no such folder or repository, a training that has not ended, no access, or no network.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        refuse_unfinished(folder)
        _check(folder, config, f"--model {scheme}/ITS_BASE -M {adapter}={folder}" if adapter else "")
        name = folder.resolve().name
        return Origin(place=str(folder), folder=folder, name=name, commit="", fingerprint=fingerprint(folder))
    if name.startswith(("/", ".", "~")) or name.count("/") > 1:
        raise HarnessError("there is no such model folder", where=name, remedy="name a folder, or a hub id: OWNER/NAME")
    return _hub(name, revision, f"{scheme}/{name}", config)


def _check(folder: Path, config: str, with_adapter: str) -> None:
    if (folder / config).is_file():
        return
    adapter = bool(with_adapter) and (folder / ADAPTER_CONFIG).is_file()
    raise HarnessError(
        "this folder holds an adapter, not a model" if adapter else f"this folder holds no {config}",
        where=str(folder),
        remedy=with_adapter if adapter else "name the folder of a saved model",
    )


def _hub(name: str, revision: str | None, ref: str, wanted: str) -> Origin:
    import huggingface_hub as _hub_client
    from httpx import HTTPError
    from huggingface_hub import errors

    client: Any = _hub_client

    def refused(what: str, remedy: str) -> HarnessError:
        return HarnessError(what, where=ref, remedy=remedy)

    try:
        config: str = client.hf_hub_download(name, wanted, revision=revision)
    except errors.HFValidationError:
        raise refused("neither a folder nor a hub id", "name a folder, or a hub id: OWNER/NAME") from None
    except errors.GatedRepoError:
        raise refused("access to this model must be asked for on the hub", "then set HF_TOKEN") from None
    except errors.RevisionNotFoundError:
        raise refused(f"the model has no revision {revision}", "see its branches and tags on the hub") from None
    except errors.RepositoryNotFoundError:
        raise refused(
            "no such folder and no such model on the hub", "check its name; set HF_TOKEN if private"
        ) from None
    except errors.LocalEntryNotFoundError:
        remedy = f"fetch it where there is a network: hf download {name}"
        raise refused("the model is not on this machine and the hub cannot be reached", remedy) from None
    except errors.EntryNotFoundError:
        raise refused(
            f"the hub's repository holds no {wanted}", f"name the repository of a {_MAKERS[wanted]} model"
        ) from None
    except (HTTPError, OSError) as error:
        raise refused(f"the hub did not answer: {type(error).__name__}", "try again") from None
    folder = Path(config).parent
    commit = folder.name
    return Origin(place=name, folder=folder, name=name, commit=commit, fingerprint={"hub": name, "commit": commit})
