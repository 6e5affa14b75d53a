"""The tasks: `vlmeval` for any data set of VLMEvalKit, and those with a name of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from harness import DataSource, MissingData, Sample, Setting, Settings, Task

from .known import KNOWN, YES_NO, Form, Known, Part
from .reading import from_rows, from_table
from .splits import MINI, OpenSet, splits_of

_UNCOUNTED: Final = "no file of it could be downloaded here to count its rows; its md5 is the one that VLMEvalKit names"
SETTINGS: Final = (
    Setting(
        name="any_revision",
        type=bool,
        default=False,
        identity=False,
        help="take a file whose md5 is not the one that VLMEvalKit knows",
    ),
    Setting(
        name="fetch", type=bool, default=False, identity=False, help="let VLMEvalKit download a file that is missing"
    ),
)


def _samples(task: str, root: Path, split: str, settings: Settings, part: Part, form: Form) -> Iterator[Sample]:
    if root.parent == MINI:
        yield from from_table(root, split, part, form)
        return
    from .building import rows_file

    file = rows_file(task, root, part.dataset, fetch=settings["fetch"], any_revision=settings["any_revision"])
    yield from from_rows(file, root, split, part, form)


def _task(known: Known) -> Task:
    def samples(root: Path, split: str, settings: Settings) -> Iterator[Sample]:
        part = known.parts.get(split) or next(iter(known.parts.values()))
        return _samples(known.name, root, split, settings, part, known.form)

    def revision(root: Path, splits: Sequence[str]) -> str:
        return _revision(root, [part.dataset for name, part in known.parts.items() if name in splits])

    return Task(
        name=known.name,
        version="1",
        description=known.description,
        splits=splits_of(known),
        samples=samples,
        settings=SETTINGS,
        source=_source(known),
        published=Path(__file__).with_name("published.yaml"),
        revision=revision,
    )


def _revision(root: Path, datasets: Sequence[str]) -> str:
    from .building import revision

    return revision(root, sorted(set(datasets)))


def _source(known: Known) -> DataSource:
    file = f"{next(iter(known.parts.values())).dataset}.tsv"
    return DataSource(
        url=known.url,
        unchecked=_UNCOUNTED,
        urls=((file, known.url, known.md5),),
        licence=known.licence,
        size=known.size,
    )


def _any(root: Path, split: str, settings: Settings) -> Iterator[Sample]:
    known = next((each for each in KNOWN for part in each.parts.values() if part.dataset == split), None)
    form: Form = known.form if known else "yesno" if split in YES_NO else "choice"
    try:
        yield from _samples("vlmeval", root, split, settings, Part(dataset=split, n=None, images=None), form)
    except MissingData as error:
        from .building import how_to_get

        raise MissingData(error.what, where=error.where, remedy=how_to_get(root, split)) from None


TASKS: Final = (
    Task(
        name="vlmeval",
        version="1",
        description="any data set of VLMEvalKit that it scores sample by sample: vlmeval:NAME",
        splits=OpenSet(),
        samples=_any,
        settings=SETTINGS,
        source=DataSource(
            url="https://github.com/open-compass/VLMEvalKit",
            unchecked="each data set is a source of its own; the results name the md5 of its file",
            licence="each data set has its own",
            by_hand=("NAME.tsv of each vlmeval:NAME; -T vlmeval.fetch=true lets VLMEvalKit download it, in the run",),
        ),
        revision=_revision,
    ),
    *(_task(known) for known in KNOWN),
)
