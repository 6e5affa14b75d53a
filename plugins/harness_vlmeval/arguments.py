"""What a class is opened with beside what VLMEvalKit's table says."""

from __future__ import annotations

from pathlib import Path

from harness import HarnessError, Json, Settings
from harness.settings import json_object

from .child.secrets import secret


def class_arguments(settings: Settings) -> dict[str, Json]:
    """The arguments of `-M args` and `-M model_path`; a folder by its absolute path.

    Raises:
        HarnessError: not a JSON object, or it holds a key.
    """
    given = json_object(settings, "args", such_as='{"img_detail": "high"}')
    if held := sorted(filter(secret, given)):
        raise HarnessError(
            f"-M args must not hold {', '.join(held)}: settings are recorded",
            remedy="put the key into the environment variable that the class reads",
        )
    path: Path | None = settings["model_path"]
    return given if path is None else {**given, "model_path": str(path.resolve() if path.is_dir() else path)}
