"""The folder of a model's files, for who trains or copies it: one on this machine, or a snapshot of the hub's."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from harness import HarnessError, Settings
from harness.local import CONFIG, find

#: What a model is made of; other files of a repository (pictures, weights for other programs) stay there.
_FILES: Final = ("*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken", "*.py")


def folder_of(name: str, settings: Settings) -> Path:
    """The folder of `hf/NAME`; a hub's model is downloaded whole.

    Raises:
        HarnessError: no such model, an adapter instead of one, no access, or no network.
    """
    folder = Path(name).expanduser()
    if folder.is_dir() and (folder / CONFIG).is_file():
        return folder
    origin = find(name, settings["revision"], scheme="hf", adapter="adapter")
    return _downloaded(name, origin.commit)


def _downloaded(name: str, commit: str) -> Path:
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
            where=f"hf/{name}",
            remedy=f"fetch them where there is a network: hf download {name}",
        ) from error
    raise HarnessError("the repository holds no weights", where=f"hf/{name}", remedy="name one that does")
