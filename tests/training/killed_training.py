"""A training in a process of its own that ends itself, as a kill would: `python -m … MODEL OUT TUNING`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from harness_mirage.sft import progress

from tests.training.tiny_training import fitted, pair, recipe, training


class Killing(progress.Lines):
    """Ends the process after the fifth step, without a word."""

    def step(self, done: int, loss: float) -> None:
        super().step(done, loss)
        if done == 5:
            os.kill(os.getpid(), signal.SIGKILL)


def main(model: str, out: str, tuning: str) -> None:
    from harness_mirage.sft import trainer

    def choose(stream: Any, batch: int) -> Killing:
        return Killing(stream, progress.Pace(batch))

    trainer.choose_display = choose  # type: ignore[assignment]
    how = recipe(epochs=2.0, tuning=tuning, dropout=0.1)
    fitted(training(model, Path(out), save_every=3), [pair(at) for at in range(9)], how)


if __name__ == "__main__":
    main(*sys.argv[1:])
