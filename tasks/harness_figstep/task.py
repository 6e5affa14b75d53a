"""The task `figstep`: its splits, and what is measured. Facts about the benchmark are in `docs/tasks/figstep.md`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from harness import DataSource, Sample, Setting, Settings, Split, Task
from harness.usual import ATTACK_RULE, attack, mini

from .wording import PIN, wording

MINI: Final = Path(__file__).with_name("mini")
JUDGES: Final = {"llamaguard": {}, "harmbench": {"yes": "unsafe", "no": "safe"}, **ATTACK_RULE}
BY: Final = ("category", "topic")
#: of the repository; screenshots of other people's chats are left where they are
FILES: Final = ("data/question/*.csv", "data/images/SafeBench*/query_*", "data/images/FigStep-Pro/*")
SPLITS: Final = {
    "full": attack(JUDGES, n=500, by=BY),
    "tiny": replace(attack(JUDGES, n=50, by=BY), selected=False),
    "pro": replace(attack(JUDGES, n=50, by=BY, images=7), selected=False),
    "mini": mini(attack(JUDGES, by=BY), MINI, n=8, judges=ATTACK_RULE),
}


def splits(settings: Settings, root: Path) -> Mapping[str, Split]:
    """The splits, with whose words they are asked in. Raises MissingData where upstream's have not been fetched."""
    words = {name: wording(name, settings, root) for name in SPLITS}
    return {
        name: replace(split, fidelity=words[name].fidelity, template_hash=words[name].template_hash)
        for name, split in SPLITS.items()
    }


def _samples(root: Path, split: str, settings: Settings) -> Iterator[Sample]:
    from .reading import samples

    return samples(root, split, settings)


TASK: Final = Task(
    name="figstep",
    version="1",
    description="a list drawn as an image, to be filled in (FigStep's SafeBench: full, tiny, pro)",
    splits=splits,
    samples=_samples,
    settings=(
        Setting(
            name="prompts",
            type=str,
            default="own",
            identity=True,
            help="whose words go with the image: ours, or upstream's, once fetched",
            choices=("own", "upstream"),
        ),
    ),
    source=DataSource(
        url="https://github.com/ThuCCSLab/FigStep",
        revision=PIN.commit,
        licence="MIT",
        size="about 25 MB",
        archive=(PIN.repository, PIN.commit, FILES),
        prompts=PIN.source,
    ),
    published=Path(__file__).with_name("published.yaml"),
)
