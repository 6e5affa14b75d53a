"""Layouts: which files hold a data set's records, how a record is read, and where its images lie.

Most layouts spell conversations as ShareGPT does, or as messages. LLaMA-Factory's dataset_info.json says for each set
which file holds it and how its columns and roles are spelled.

VLGuard's records are one image and a list of instructions with their responses. The paper's "2k unsafe" are its unsafe
images with their instruction and its safe images with an unsafe instruction; the "1k safe" are its safe images with a
safe instruction (arXiv 2402.02207; 2501.18533 App. B).

PKU-SafeRLHF's are questions in words, shown next to one black image. A question is harmful if it drew an unsafe answer,
and benign if both answers are safe. What is learnt is a safe answer: the one there is, or the better of two. A question
with two unsafe answers belongs to no part. The paper's own answers to the harmful ones were written by another model
and are not in the data set: who has such answers brings plain records of `prompt`, `response` and `harmful`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

from harness import BadData, Json, MissingData, UnknownName, document, open_files
from harness.readers import DataFiles, Row
from harness.settings import nearest
from harness_mirage.methods import Ingredient
from harness_mirage.mixture import BadRecord, Speaker, Turn

INFO: Final = "dataset_info.json"
_ANY: Final = ("*.json", "*.jsonl", "*.parquet")
_OURS: Final = frozenset({INFO, "training.json"})
_RECORDS: Final = (".json", ".jsonl", ".ndjson", ".parquet")
_ROLES: Final[Mapping[str, Speaker]] = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
}
#: LLaMA-Factory's tag of a role -> its spelling if the tag is not given, and who speaks.
_TAGS: Final[Mapping[str, tuple[str, Speaker]]] = {
    "system_tag": ("system", "system"),
    "user_tag": ("human", "user"),
    "assistant_tag": ("gpt", "assistant"),
}
#: VLGuard's field of an instruction -> the part it belongs to. An entry is found by its key: their order is not stated.
_INSTRUCTIONS: Final = {"instruction": "unsafe", "unsafe_instruction": "unsafe", "safe_instruction": "safe"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A conversation as a data file has it, before anything about it is checked.

    Attributes:
        id: as the data name it; empty if they do not.
        place: file and record number.
        category, sub_category: as the data say; several with `; ` between.
        turns: in the order of the data, with or without `<image>` marks.
        images: paths, in the order of the data.
        black: a black square stands in place of images.
        text_question: the same harm asked in words alone; empty if the data have none.
        text_answer: the answer to it; empty if the data have none.
    """

    id: str = ""
    place: str
    category: str = ""
    sub_category: str = ""
    turns: tuple[Turn, ...]
    images: tuple[str, ...] = ()
    black: bool = False
    text_question: str = ""
    text_answer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelling:
    """How a layout names what it holds; of several names, the first that is there counts.

    Attributes:
        turns: the list of turns.
        speaker, text: of one turn.
        roles: value of `speaker` -> who speaks.
        images: one path or several.
        system: a system text next to the turns.
    """

    turns: tuple[str, ...] = ("conversations", "messages")
    speaker: tuple[str, ...] = ("from", "role")
    text: tuple[str, ...] = ("value", "content")
    roles: Mapping[str, Speaker] = field(default_factory=lambda: _ROLES)
    images: tuple[str, ...] = ("image", "images")
    system: tuple[str, ...] = ("system",)


_SHAREGPT: Final = Spelling()


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a layout of files is like.

    Attributes:
        names: of the files that hold records; the first pattern that matches counts.
        read: (record, part) -> its conversations. Raises BadData.
        parts: filters it knows; empty for none.
        folders: that images may lie in, below the data.
        several: several files are read one after the other; else one is, and two are an error.
        like: a record of it, for a user who brought another layout.
    """

    names: tuple[str, ...]
    read: Callable[[Row, str], Iterable[Conversation]]
    parts: tuple[str, ...] = ()
    folders: tuple[str, ...] = ("", "images/")
    several: bool = False
    like: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An opened data set.

    Attributes:
        files: all of it.
        names: files that hold records.
        read: a record -> its conversations in the part that was asked for.
        folders: that images may lie in.
        looks: what a record should be like, in a sentence.
    """

    files: DataFiles
    names: tuple[str, ...]
    read: Callable[[Row], Iterable[Conversation]] = field(repr=False)
    folders: tuple[str, ...]
    looks: str


def open_source(ingredient: Ingredient, path: Path) -> Source:
    """Open the data of an ingredient; a dataset_info.json makes it a LLaMA-Factory folder, whatever was asked for.

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
        name, spelling = _read_info(files, ingredient.part)
        return Source(
            files=files,
            names=(name,),
            read=partial(read_conversation, spelling=spelling),
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
        names=(path.name,) if single else _find_names(files, layout),
        read=lambda row: layout.read(row, ingredient.part),
        folders=layout.folders,
        looks=f"a record of the layout {ingredient.layout} is like {layout.like}: see docs/train-data.md",
    )


def _find_names(files: DataFiles, layout: Layout) -> tuple[str, ...]:
    for pattern in layout.names:
        leaves = ((name, name.rpartition("/")[2]) for name in files.matching(pattern))
        found = tuple(name for name, leaf in leaves if not leaf.startswith(".") and leaf not in _OURS)
        if len(found) > 1 and not layout.several:
            what = f"{len(found)} files could hold the records: {', '.join(found[:5])}"
            raise BadData(what, where=str(files.root), remedy=f"name the one: --data {files.root / found[0]}")
        if found:
            return found
    wanted = " or ".join(dict.fromkeys(layout.names))
    raise MissingData(f"no file of records is there: {wanted}", where=str(files.root))


def _read_info(files: DataFiles, part: str) -> tuple[str, Spelling]:
    """The file of a LLaMA-Factory set and its spelling; without a name, of the only set there is.

    Raises:
        UnknownName: no set has this name, or there are several and none was named.
        BadData: the set is not described, or not of conversations in a file.
    """
    info = document(files, INFO)
    if not info.values:
        raise BadData("it describes no data set", where=INFO)
    if not part and len(info.values) > 1:
        what = f"it describes {len(info.values)} data sets, and the ingredient names none as its part"
        raise UnknownName(what, where=INFO, remedy=f"known: {', '.join(sorted(info.values))}")
    name = part or next(iter(info.values))
    if name not in info.values:
        raise UnknownName(f"it describes no data set {name!r}", where=INFO, remedy=nearest(name, info.values))
    row = info.part(name)
    if row.text("formatting", default="alpaca") != "sharegpt":
        what = "its formatting is not sharegpt, the only one that holds conversations with images"
        raise BadData(what, where=row.place)
    columns, tags = _read_texts(row, "columns"), _read_texts(row, "tags")
    return row.text("file_name"), Spelling(
        turns=(columns.get("messages", "conversations"),),
        speaker=(tags.get("role_tag", "from"),),
        text=(tags.get("content_tag", "value"),),
        roles={tags.get(tag, usual): speaker for tag, (usual, speaker) in _TAGS.items()},
        images=(columns["images"],) if "images" in columns else (),
        system=(columns["system"],) if "system" in columns else (),
    )


def _read_texts(row: Row, name: str) -> dict[str, str]:
    """An object of texts without its nulls; empty if it is not there."""
    if not row.has(name):
        return {}
    part = row.part(name)
    return {key: part.text(key) for key, value in part.values.items() if value is not None}


def read_conversation(row: Row, spelling: Spelling = _SHAREGPT) -> Iterator[Conversation]:
    """The one conversation of a record. Raises BadData if it has no list of turns, or one of them is no turn."""
    name = next((name for name in spelling.turns if row.has(name)), spelling.turns[0])
    turns: list[Turn] = []
    for turn in row.rows(name):
        role = turn.text(*spelling.speaker, default="")
        if role not in spelling.roles:
            what = f"unknown role {role[:40]!r} (known: {', '.join(spelling.roles)})"
            raise BadRecord("an unknown role", what)
        turns.append(Turn(speaker=spelling.roles[role], text=turn.text(*spelling.text, default="")))
    system = row.text(*spelling.system, default="") if spelling.system else ""
    if system:
        turns.insert(0, Turn(speaker="system", text=system))
    yield Conversation(
        id=_read_id(row),
        place=row.place,
        category=_read_optional(row, "category"),
        sub_category=_read_optional(row, "sub_category"),
        turns=tuple(turns),
        images=_read_images(row, spelling.images),
        text_question=_read_optional(row, "text_question") or _read_optional(row, "explicit"),
        text_answer=_read_optional(row, "text_answer"),
    )


def _read_id(row: Row) -> str:
    return row.key("id", "sample_id", default="")


def _read_optional(row: Row, name: str) -> str:
    """A text that may be missing; anything else under this name means something else and counts as missing."""
    value = row.values.get(name)
    return value.strip() if isinstance(value, str) else ""


def _read_images(row: Row, names: tuple[str, ...]) -> tuple[str, ...]:
    """The paths of a record's images: a text, a list of texts, or of objects with a `path`."""
    value: Json = next((row.values[name] for name in names if row.values.get(name)), None)
    if value is None:
        return ()
    paths: list[str] = []
    several: list[Json] = [*cast("Any", value)] if isinstance(value, list) else [value]
    for each in several:
        path = cast("dict[str, Json]", each).get("path") if isinstance(each, dict) else each
        if not isinstance(path, str) or not path.strip():
            raise BadRecord("an image without a path")
        paths.append(path)
    return tuple(paths)


def _read_pair(row: Row, _part: str) -> Iterator[Conversation]:
    """MIS-train's records; with another number of images the question would ask about what is not shown."""
    for conversation in read_conversation(row):
        count = len(conversation.images)
        if count != 2:
            what = f"{count} images, where a record of MIS-train has two"
            raise BadRecord("another number of images than two", what)
        yield conversation


def _read_vlguard(row: Row, part: str) -> Iterator[Conversation]:
    """The instructions of a VLGuard record that belong to a part, or all of them."""
    row.flag("safe")
    paths, entries = _read_images(row, ("image",)), row.rows("instr-resp")
    if not paths:
        raise BadRecord("no image")
    for entry in entries:
        name = next((name for name in _INSTRUCTIONS if entry.has(name)), "")
        if not name:
            what = f"none of {', '.join(_INSTRUCTIONS)}"
            raise BadRecord("an entry without an instruction", what, where=entry.place)
        if part in ("", _INSTRUCTIONS[name]):
            yield Conversation(
                id=f"{_read_id(row) or paths[0]}/{name}",
                place=row.place,
                category=_read_optional(row, "harmful_category"),
                sub_category=_read_optional(row, "harmful_subcategory"),
                turns=(
                    Turn(speaker="user", text=entry.text(name, default="")),
                    Turn(speaker="assistant", text=entry.text("response", default="")),
                ),
                images=paths,
            )


def _read_saferlhf(row: Row, part: str) -> Iterator[Conversation]:
    """The question of a PKU-SafeRLHF record with the answer that is learnt, if it belongs to the part."""
    if row.has("response_0") or row.has("response_1"):
        safe = [row.flag(f"is_response_{each}_safe") for each in (0, 1)]
        if not any(safe):
            return
        harmful = not all(safe)
        better = 1 if row.values.get("better_response_id") == 1 else 0
        answer = row.text(f"response_{safe.index(True) if harmful else better}", default="")
    else:
        harmful = row.flag("harmful") if part else False
        answer = row.text("response", default="")
    if part not in ("", "harmful" if harmful else "benign"):
        return
    kinds: dict[str, None] = {}  # of harm that either answer was found to have
    for each in (0, 1):
        harms: Json = row.values.get(f"response_{each}_harm_category")
        if isinstance(harms, dict):
            kinds |= {name: None for name, there in cast("dict[str, Json]", harms).items() if there is True}
    yield Conversation(
        id=_read_id(row),
        place=row.place,
        category="; ".join(kinds) or _read_optional(row, "category"),
        turns=(Turn(speaker="user", text=row.text("prompt", default="")), Turn(speaker="assistant", text=answer)),
        black=True,
    )


_CONVERSATIONS: Final = '"conversations": [{"from": "human", "value": "…"}, {"from": "gpt", "value": "…"}]'
_MESSAGES: Final = '"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]'

LAYOUTS: Final = {
    "mis": Layout(
        names=("mis_train.json", "mis_train.jsonl", *_ANY),
        read=_read_pair,
        like=f'{{"image": ["1.png", "2.png"], {_CONVERSATIONS}, "category": "…", "sub_category": "…"}}',
    ),
    "sharegpt": Layout(
        names=_ANY,
        read=lambda row, _: read_conversation(row),
        folders=("", "images/", "train2017/", "coco/train2017/"),
        like=f'{{"image": "1.png", {_CONVERSATIONS}}}',
    ),
    "swift": Layout(
        names=("*.jsonl", *_ANY),
        read=lambda row, _: read_conversation(row),
        like=f'{{{_MESSAGES}, "images": ["1.png"]}}',
    ),
    "vlguard": Layout(
        names=("train.json", "data/train.json", "data/VLGuard/train.json", *_ANY),
        read=_read_vlguard,
        parts=("unsafe", "safe"),
        folders=tuple(f"{top}{part}" for top in ("", "data/", "data/VLGuard/") for part in ("train/", "", "images/")),
        like='{"image": "1.png", "safe": false, "instr-resp": [{"instruction": "…", "response": "…"}]}',
    ),
    "saferlhf": Layout(
        names=("**/train*.jsonl", "**/train*.json", "**/train*.parquet", *_ANY),
        read=_read_saferlhf,
        parts=("harmful", "benign"),
        several=True,
        like='{"prompt": "…", "response": "…", "harmful": true}, or as PKU-SafeRLHF has them',
    ),
}
