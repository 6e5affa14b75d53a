"""Layouts: which files hold a data set's records, how a record is read, and where its images lie."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from harness import BadData, MissingData, UnknownName, open_files
from harness.readers import DataFiles, Row
from harness.settings import nearest
from harness_mirage.methods import Ingredient

from . import saferlhf, vlguard
from .conversations import conversation
from .draft import BadRecord, Draft
from .llamafactory import INFO, described

Read = Callable[[Row], Iterable[Draft]]

NO_PAIR: Final = "another number of images than two"
_ANY: Final = ("*.json", "*.jsonl", "*.parquet")
_OURS: Final = frozenset({INFO, "training.json"})
_RECORDS: Final = (".json", ".jsonl", ".ndjson", ".parquet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a layout of files is like.

    Attributes:
        names: of the files that hold records; the first that match count, and with `*` all that do.
        read: (record, part) -> its conversations.
        parts: filters it knows; empty for none.
        folders: that images may lie in, below the data.
        several: several files are read one after the other; else one is, and two are a question.
        like: a record of it, for who brought another.
    """

    names: tuple[str, ...]
    read: Callable[[Row, str], Iterable[Draft]]
    parts: tuple[str, ...] = ()
    folders: tuple[str, ...] = ("", "images/")
    several: bool = False
    like: str


def _whole(row: Row, _part: str) -> Iterable[Draft]:
    return conversation(row)


def _pair(row: Row, _part: str) -> Iterable[Draft]:
    """MIS-train's records; with another number of images the question would ask about what is not shown."""
    for draft in conversation(row):
        if len(draft.images) != 2:
            raise BadRecord(NO_PAIR, f"{len(draft.images)} images, where a record of MIS-train has two")
        yield draft


_SAID: Final = '"conversations": [{"from": "human", "value": "…"}, {"from": "gpt", "value": "…"}]'
_MESSAGES: Final = '"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]'

LAYOUTS: Final = {
    "mis": Layout(
        names=("mis_train.json", "mis_train.jsonl", *_ANY),
        read=_pair,
        like=f'{{"image": ["1.png", "2.png"], {_SAID}, "category": "…", "sub_category": "…"}}',
    ),
    "sharegpt": Layout(
        names=_ANY,
        read=_whole,
        folders=("", "images/", "train2017/", "coco/train2017/"),
        like=f'{{"image": "1.png", {_SAID}}}',
    ),
    "swift": Layout(names=("*.jsonl", *_ANY), read=_whole, like=f'{{{_MESSAGES}, "images": ["1.png"]}}'),
    "vlguard": Layout(
        names=("train.json", "data/train.json", "data/VLGuard/train.json", *_ANY),
        read=vlguard.asked,
        parts=vlguard.PARTS,
        folders=tuple(f"{top}{part}" for top in ("", "data/", "data/VLGuard/") for part in ("train/", "", "images/")),
        like='{"image": "1.png", "safe": false, "instr-resp": [{"instruction": "…", "response": "…"}]}',
    ),
    "saferlhf": Layout(
        names=("**/train*.jsonl", "**/train*.json", "**/train*.parquet", *_ANY),
        read=saferlhf.paired,
        parts=saferlhf.PARTS,
        several=True,
        like='{"prompt": "…", "response": "…", "harmful": true}, or as PKU-SafeRLHF has them',
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An opened data set.

    Attributes:
        files: all of it.
        names: files that hold records.
        read: a record -> its conversations in the part that was asked for.
        folders: that images may lie in.
        looks: what a record is expected to be like, in a sentence.
    """

    files: DataFiles
    names: tuple[str, ...]
    read: Read = field(repr=False)
    folders: tuple[str, ...]
    looks: str


def source(ingredient: Ingredient, path: Path) -> Source:
    """The data of an ingredient; a LLaMA-Factory folder is known by its dataset_info.json, whatever was asked for.

    Raises:
        MissingData: nothing is there, or no file of the layout.
        BadData: several files could be meant.
        UnknownName: the layout has no such part.
    """
    if not path.exists():
        raise MissingData("there is no such file or folder", where=str(path))
    single = path.is_file() and path.suffix.lower() in _RECORDS
    files = open_files(path.parent if single else path)
    if path.name == INFO or (not single and files.has(INFO)):
        name, spelling = described(files, ingredient.part)
        return Source(
            files=files,
            names=(name,),
            read=partial(conversation, spelling=spelling),
            folders=("", "images/"),
            looks=f"{INFO} names the columns of a record and the tags of its turns",
        )
    if ingredient.layout == "llamafactory":
        raise MissingData(f"{INFO} is not there", where=str(path))
    layout = LAYOUTS[ingredient.layout]
    if ingredient.part and ingredient.part not in layout.parts:
        what = f"the layout {ingredient.layout} has no part {ingredient.part!r}"
        raise UnknownName(what, remedy=nearest(ingredient.part, layout.parts))
    return Source(
        files=files,
        names=(path.name,) if single else _names(files, layout),
        read=lambda row: layout.read(row, ingredient.part),
        folders=layout.folders,
        looks=f"a record of the layout {ingredient.layout} is like {layout.like}: see docs/train-data.md",
    )


def _names(files: DataFiles, layout: Layout) -> tuple[str, ...]:
    for pattern in layout.names:
        found = tuple(name for name in files.matching(pattern) if _may_hold(name))
        if len(found) > 1 and not layout.several:
            what = f"{len(found)} files could hold the records: {', '.join(found[:5])}"
            raise BadData(what, where=str(files.root), remedy=f"name the one: --data {files.root / found[0]}")
        if found:
            return found
    wanted = " or ".join(dict.fromkeys(layout.names))
    raise MissingData(f"no file of records is there: {wanted}", where=str(files.root))


def _may_hold(name: str) -> bool:
    last = name.rpartition("/")[2]
    return not last.startswith(".") and last not in _OURS
