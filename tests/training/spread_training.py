"""A training whose weights are spread over two processes by FSDP2, on a CPU: `python -m … MODEL OUT`.

Both are forked from one process that has imported everything, and find each other as torchrun would have told them.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from harness_mirage.mixture import Record
from harness_mirage.sft import trainer
from harness_mirage.sft.trainer import GuardedTrainer

from tests.training.tiny_training import fitted, load_trainer, pair, recipe, record, training

#: one batch: what one of two processes is dealt in a turn has images, what the other is dealt may have none
RECORDS: Final[Sequence[Record]] = (
    pair(0),
    record(1, "Only words?", "Only words, the first."),
    pair(2),
    record(3, "Words again?", "Words once more, the second."),
)
RECIPE: Final = recipe(epochs=4.0, batch=4)
COUNT: Final = 2


class Spread(GuardedTrainer):
    """As accelerate spreads a model over GPUs; it does not by itself on a CPU."""

    def create_accelerator_and_postprocess(self) -> None:
        from accelerate import PartialState
        from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

        super().create_accelerator_and_postprocess()
        self.is_fsdp_enabled = True
        state = self.accelerator.state
        state.fsdp_plugin = FullyShardedDataParallelPlugin(
            fsdp_version=2,
            auto_wrap_policy="transformer_based_wrap",
            state_dict_type="FULL_STATE_DICT",
            reshard_after_forward=True,
            cpu_ram_efficient_loading=False,
        )
        state.distributed_type = PartialState().distributed_type = DistributedType.FSDP


def main(model: str, out: str) -> int:
    load_trainer()
    trainer.GuardedTrainer = Spread  # type: ignore[attr-defined, misc, unused-ignore]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes: list[int] = []
    for rank in range(COUNT):
        process = os.fork()
        if not process:
            told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": COUNT, "LOCAL_WORLD_SIZE": COUNT}
            told |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            os.environ |= {name: str(value) for name, value in told.items()}
            fitted(training(model, Path(out), device="cpu", micro_batch=1), RECORDS, RECIPE)
            return 0
        processes.append(process)
    codes = [0]
    while processes and not any(codes):
        process, status = os.wait()
        processes.remove(process)
        codes.append(os.waitstatus_to_exitcode(status))
    for process in processes:  # it would wait for the one that failed
        os.kill(process, signal.SIGKILL)
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
