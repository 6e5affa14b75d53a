"""`accelerate launch` without its own traceback if one of its processes fails; `harness_mirage.devices` runs it."""

from __future__ import annotations

import importlib
import subprocess
import sys
from typing import Any


def main(words: list[str]) -> int:
    """Start, wait, and give an exit code."""
    accelerate: Any = importlib.import_module("accelerate.commands.launch")
    elastic: Any = importlib.import_module("torch.distributed.elastic.multiprocessing.errors")
    try:
        accelerate.launch_command(accelerate.launch_command_parser().parse_args(words))
    except (elastic.ChildFailedError, subprocess.CalledProcessError):
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
