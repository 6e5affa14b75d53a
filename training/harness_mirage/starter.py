"""`accelerate launch` without a traceback of the launcher's own where a process that it started has failed."""

from __future__ import annotations

import subprocess
import sys


def main(words: list[str]) -> int:
    """Start, wait, and give an exit code."""
    from accelerate.commands.launch import launch_command, launch_command_parser
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    try:
        launch_command(launch_command_parser().parse_args(words))
    except (ChildFailedError, subprocess.CalledProcessError):
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
