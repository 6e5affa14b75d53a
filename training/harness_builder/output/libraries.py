"""What a build ran on, as far as it decides what is drawn, which photographs are taken and what counts as alike."""

from __future__ import annotations

from typing import Final

from harness import Json
from harness.runs.environment import environment

_LIBRARIES: Final = (
    "diffusers",
    "open_clip_torch",
    "pillow",
    "numpy",
    "opencv-python-headless",
    "imagehash",
    "rensa",
)


def ran_on() -> dict[str, Json]:
    """Python, platform, devices and libraries, under the names that a run's own record has; null is "not there"."""
    return environment(also=_LIBRARIES)
