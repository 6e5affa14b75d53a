"""A training whose weights are spread over processes by FSDP2, on a CPU: `torchrun … -m … MODEL OUT`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from harness_mirage.mixture import Record
from harness_mirage.sft import trainer
from harness_mirage.sft.trainer import GuardedTrainer

from tests.training.tiny_training import fitted, pair, recipe, record, training

#: one batch: what one of two processes is dealt in a turn has images, what the other is dealt may have none
RECORDS: Final[Sequence[Record]] = (
    pair(0),
    record(1, "Only words?", "Only words, the first."),
    pair(2),
    record(3, "Words again?", "Words once more, the second."),
)
RECIPE: Final = recipe(epochs=4.0, batch=4)


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


def main(model: str, out: str) -> None:
    trainer.GuardedTrainer = Spread  # type: ignore[attr-defined, misc, unused-ignore]
    fitted(training(model, Path(out), device="cpu", micro_batch=1), RECORDS, RECIPE)


if __name__ == "__main__":
    main(*sys.argv[1:])
