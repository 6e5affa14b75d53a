"""One process of a training on several devices: `python -m harness_mirage.worker FILE`, started by accelerate."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from harness import HarnessError
from harness.cli.ending import exit_code

from .devices import parse_request
from .run import prepare, train

_GONE: Final = ("gloo", "nccl", "connection closed", "connection reset", "socket")


def main(words: list[str]) -> int:
    """Train; an error that the user can fix is printed without a traceback."""
    method, training = parse_request(Path(words[0]).read_text(encoding="utf-8"))

    def work() -> int:
        try:
            train(method, training, *prepare(method, training))
        except RuntimeError as error:  # torch has no class of its own for it
            if not any(word in str(error).lower() for word in _GONE):
                raise
            raise HarnessError(
                "another process of the training ended, so this one cannot continue", remedy="its message is above"
            ) from error
        return 0

    return exit_code(work, words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
