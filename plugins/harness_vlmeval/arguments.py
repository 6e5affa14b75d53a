"""What a class is opened with beside what VLMEvalKit's table says."""

from __future__ import annotations

import json
from pathlib import Path

from harness import HarnessError, Json, Settings
from harness.http.status import as_mapping

from .child.secrets import secret


def class_arguments(settings: Settings) -> dict[str, Json]:
    """The arguments of `-M args` and `-M model_path`; a folder by its absolute path.

    Raises:
        HarnessError: not a JSON object, or it holds a key.
    """
    try:
        parsed = json.loads(settings["args"] or "{}")
    except ValueError:
        parsed = None
    given = dict(as_mapping(parsed))
    if given != parsed:
        raise HarnessError("-M args is not a JSON object", remedy="""such as -M args='{"img_detail": "high"}'""")
    if held := sorted(filter(secret, given)):
        raise HarnessError(
            f"-M args must not hold {', '.join(held)}: settings are recorded",
            remedy="put the key into the environment variable that the class reads",
        )
    path: Path | None = settings["model_path"]
    return given if path is None else {**given, "model_path": str(path.resolve() if path.is_dir() else path)}
