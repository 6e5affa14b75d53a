"""Trainings that end themselves, as a kill would: `python -m … MODEL FOLDER`, to FOLDER/full/out and FOLDER/lora/out.

Each is a process of its own, forked from one that has imported everything.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from harness_mirage.sft import trainer

from tests.training.tiny_training import fitted, load_trainer, pair, recipe, training

TUNINGS = ("full", "lora")


class Killing(trainer.LossDisplay):
    """Ends the process after the fifth step, without a word."""

    def step(self, done: int, loss: float) -> None:
        super().step(done, loss)
        if done == 5:
            os.kill(os.getpid(), signal.SIGKILL)


def main(model: str, folder: str) -> None:
    load_trainer()
    trainer.LossDisplay = Killing  # type: ignore[misc]
    for tuning in TUNINGS:
        process = os.fork()
        if not process:
            how = recipe(epochs=2.0, tuning=tuning, dropout=0.1)
            out = Path(folder) / tuning / "out"
            fitted(training(model, out, save_every=3), [pair(at) for at in range(9)], how)
            os._exit(0)  # it was not killed, as the parent sees
        _, status = os.waitpid(process, 0)
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, status


if __name__ == "__main__":
    main(*sys.argv[1:])
