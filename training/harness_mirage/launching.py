"""`--launch`: the same command on several devices or nodes, by accelerate."""

from __future__ import annotations

import os
from pathlib import Path

from harness import HarnessError, Training


def wanted(training: Training) -> bool:
    """Whether this process is to start others instead of training."""
    return bool(training.launch)


def launch(training: Training) -> Path:
    """Run the same command under accelerate -> the output folder."""
    raise HarnessError("not yet", where=training.launch)


def main_process() -> bool:
    """Whether this process writes what a training leaves."""
    return os.environ.get("RANK", "0") == "0"
