"""The tasks: `vlmeval` for any data set of VLMEvalKit, those with their own name, and the scoring of each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from harness import DataSource, MissingData, Sample, Setting, Settings, Split, Task, Verdict
from harness.usual import mini, right_answers

from .known import KNOWN, YES_NO, Form, Known, Part, find_known
from .papers import VLMEVALKIT
from .scoring import ACCURACY, EACH, HALLUSION, LABELS, ROTATED, UNPARSABLE, YESNO

_UNCOUNTED: Final = "its file could not be downloaded here to count the rows; the md5 is VLMEvalKit's"
SETTINGS: Final = (
    Setting(
        name="any_revision",
        type=bool,
        default=False,
        identity=False,
        help="accept a file whose md5 differs from VLMEvalKit's",
    ),
    Setting(name="fetch", type=bool, default=False, identity=False, help="let VLMEvalKit download a missing file"),
)
MINI: Final = Path(__file__).with_name("mini")
MINIS: Final = 8  #: samples of each packaged split
_JUDGES: Final[Mapping[str, Mapping[str, str]]] = {"vlmeval": {}}
_ROTATED: Final = re.compile("mmbench|ccbench|circular|mmcr", re.IGNORECASE)
_NAME: Final = re.compile(r"[\w.+-]+")


def build_split(part: Part, form: Form, *, rotated: bool = False) -> Split:
    """How to score a data set's answers; an empty answer has no label."""
    split = replace(right_answers(_JUDGES, n=part.n, by=part.by), images=part.images, labels=LABELS)
    if form == "choice":
        return replace(split, metrics=(ROTATED, EACH, UNPARSABLE) if rotated else (ACCURACY, UNPARSABLE))
    nothing = Verdict(label="none", axes={"said": ""})
    metrics = (*HALLUSION, UNPARSABLE) if form == "hallusion" else YESNO
    return replace(split, metrics=metrics, blocked_as=nothing, empty_as=nothing)


def build_splits(known: Known) -> dict[str, Split]:
    """A task's splits, the packaged one last."""
    splits = {name: build_split(part, known.form) for name, part in known.parts.items()}
    first = next(iter(splits.values()))
    if known.pooled:
        total = sum(part.n or 0 for part in known.parts.values())
        splits[known.pooled] = replace(first, n=total, parts=tuple(known.parts))
    rule = "choice" if known.form == "choice" else "yesno"
    packaged = replace(first, images=known.mini)
    splits["mini"] = mini(packaged, MINI / known.name, n=MINIS, judges={rule: {}})
    return splits


class OpenSet(Mapping[str, Split]):
    """A split for any data set by name; lists those with their own task. None runs unless named."""

    _LISTED: Final[Mapping[str, Form]] = {part.dataset: known.form for known in KNOWN for part in known.parts.values()}

    def __getitem__(self, name: str) -> Split:
        if not _NAME.fullmatch(name):
            raise KeyError(name)
        form: Form = "yesno" if name in YES_NO else self._LISTED.get(name, "choice")
        part = Part(dataset=name, n=None, images=None)
        split = build_split(part, form, rotated=bool(_ROTATED.search(name)))
        known = find_known(name)
        return replace(split, selected=False, paper=known.paper if known else None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._LISTED)

    def __len__(self) -> int:
        return len(self._LISTED)


def _samples(task: str, root: Path, split: str, settings: Settings, part: Part, form: Form) -> Iterator[Sample]:
    from .samples import read_rows, read_table

    if root.parent == MINI:
        yield from read_table(root, split, part, form)
        return
    from .samples import find_rows

    file = find_rows(task, root, part.dataset, fetch=settings["fetch"], any_revision=settings["any_revision"])
    yield from read_rows(file, root, split, part, form)


def _build_task(known: Known) -> Task:
    def samples(root: Path, split: str, settings: Settings) -> Iterator[Sample]:
        part = known.parts.get(split) or next(iter(known.parts.values()))
        return _samples(known.name, root, split, settings, part, known.form)

    def revision(root: Path, splits: Sequence[str]) -> str:
        return _find_revisions(root, [part.dataset for name, part in known.parts.items() if name in splits])

    return Task(
        name=known.name,
        version="1",
        description=known.description,
        splits=build_splits(known),
        samples=samples,
        settings=SETTINGS,
        source=DataSource(
            url=known.url,
            unchecked=_UNCOUNTED,
            urls=((f"{next(iter(known.parts.values())).dataset}.tsv", known.url, known.md5),),
            licence=known.licence,
            size=known.size,
        ),
        published=Path(__file__).with_name("published.yaml"),
        revision=revision,
        paper=known.paper,
    )


def _find_revisions(root: Path, datasets: Sequence[str]) -> str:
    from .samples import find_revisions

    return find_revisions(root, sorted(set(datasets)))


def _open_samples(root: Path, split: str, settings: Settings) -> Iterator[Sample]:
    known = find_known(split)
    form: Form = known.form if known else "yesno" if split in YES_NO else "choice"
    try:
        yield from _samples("vlmeval", root, split, settings, Part(dataset=split, n=None, images=None), form)
    except MissingData as error:
        from .samples import explain_missing

        raise MissingData(error.what, where=error.where, remedy=explain_missing(root, split)) from None


TASKS: Final = (
    Task(
        name="vlmeval",
        version="1",
        description="any data set of VLMEvalKit that it scores sample by sample: vlmeval:NAME",
        splits=OpenSet(),
        samples=_open_samples,
        settings=SETTINGS,
        source=DataSource(
            url="https://github.com/open-compass/VLMEvalKit",
            unchecked="each data set has its own source; the results name its file's md5",
            licence="each data set has its own",
            by_hand=(
                "NAME.tsv of each vlmeval:NAME; -T vlmeval.fetch=true lets VLMEvalKit download it during the run",
            ),
        ),
        revision=_find_revisions,
        paper=VLMEVALKIT,
    ),
    *(_build_task(known) for known in KNOWN),
)
