"""The task `jailbreakv`: its splits, and what is measured. Facts about it are in `docs/tasks/jailbreakv.md`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from harness import DataSource, Sample, Settings, Split, Task
from harness.sources import UNSEEN
from harness.usual import ATTACK_RULE, attack, mini

MINI: Final = Path(__file__).with_name("mini")
JUDGES: Final = {"jailbreakv": {}, "llamaguard": {}, "harmbench": {"yes": "unsafe", "no": "safe"}, **ATTACK_RULE}


def _attack(n: int | None) -> Split:
    return attack(JUDGES, n=n, by=("category", "format", "image"))


def _samples(root: Path, split: str, _settings: Settings) -> Iterator[Sample]:
    from .reading import samples

    return samples(root, split)


TASK: Final = Task(
    name="jailbreakv",
    version="1",
    description="jailbreaks by text, with an image beside it, and by image (JailBreakV-28K: its mini set, full, goals)",
    splits={
        "official-mini": _attack(280),
        "full": replace(_attack(28_000), selected=False),
        "redteam": replace(attack(JUDGES, n=2000, images=0, by=("category", "source")), selected=False),
        "mini": mini(_attack(None), MINI, n=8, judges=ATTACK_RULE),
    },
    samples=_samples,
    source=DataSource(
        hub="JailbreakV-28K/JailBreakV-28k",
        unchecked=UNSEEN,
        files=("JailBreakV_28K/*",),
        url="https://huggingface.co/datasets/JailbreakV-28K/JailBreakV-28k",
        licence="MIT",
        size="24 MB of tables; the images are an archive of their own (size not published)",
        by_hand=("the images that the hub's copy lacks: JailBreakV_28K.zip, by the form on the page above, as it is",),
    ),
    published=Path(__file__).with_name("published.yaml"),
)
