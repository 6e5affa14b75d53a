"""The task `spa-vl`: its splits, and what is measured. Facts about it are in `docs/tasks/spa_vl.md`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from harness import DataSource, Sample, Settings, Task
from harness.sources import UNSEEN
from harness.usual import ATTACK_RULE, Judges, attack, compared, mini

MINI: Final = Path(__file__).with_name("mini")
BY: Final = ("category", "class2")
HARM: Final = {"spa-vl": {}, "llamaguard": {}, "harmbench": {"yes": "unsafe", "no": "safe"}, **ATTACK_RULE}
HELP: Final[Judges] = {"pairwise": {}}
#: For the packaged split alone: it checks the plumbing, and a rule cannot compare.
HELP_RULE: Final = {"keyword": {"refusal": "loss", "compliance": "win"}}


def _samples(root: Path, split: str, _settings: Settings) -> Iterator[Sample]:
    from .reading import samples

    return samples(root, split)


TASK: Final = Task(
    name="spa-vl",
    version="1",
    description="questions that could do harm, and questions where help is compared (SPA-VL test: harm, help)",
    splits={
        "harm": attack(HARM, n=265, by=BY),
        "help": compared(HELP, n=265, by=BY),
        "mini": mini(attack(HARM, by=BY), MINI, n=6, judges=ATTACK_RULE),
        "mini-help": mini(compared(HELP, by=BY), MINI, n=6, judges=HELP_RULE),
    },
    samples=_samples,
    source=DataSource(
        hub="sqrti/SPA-VL",
        unchecked=UNSEEN,
        files=("test/*", "*harm*.parquet", "*help*.parquet"),
        url="https://huggingface.co/datasets/sqrti/SPA-VL",
        licence="CC BY 4.0",
        size="more than 1.3 GB with the training set; of the test splits alone not published",
    ),
)
