"""LLaMA-Factory's dataset_info.json: which file of a folder holds a set, and how it spells its columns and roles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from harness import BadData, UnknownName, document
from harness.readers import DataFiles, Row
from harness.settings import nearest
from harness_mirage.records import Speaker

from .conversations import Spelling

INFO: Final = "dataset_info.json"
#: Its tag of a role -> the spelling it has where the tag is not given, and who speaks.
_ROLES: Final[Mapping[str, tuple[str, Speaker]]] = {
    "system_tag": ("system", "system"),
    "user_tag": ("human", "user"),
    "assistant_tag": ("gpt", "assistant"),
}


def described(files: DataFiles, part: str) -> tuple[str, Spelling]:
    """The file of a set and its spelling; without a name, of the only one there is.

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
    return _spelled(info.part(name))


def _spelled(row: Row) -> tuple[str, Spelling]:
    if row.text("formatting", default="alpaca") != "sharegpt":
        what = "its formatting is not sharegpt, the only one that holds conversations with images"
        raise BadData(what, where=row.place)
    columns, tags = dict(_texts(row, "columns")), dict(_texts(row, "tags"))
    return row.text("file_name"), Spelling(
        turns=(columns.get("messages", "conversations"),),
        speaker=(tags.get("role_tag", "from"),),
        text=(tags.get("content_tag", "value"),),
        roles={tags.get(tag, usual): speaker for tag, (usual, speaker) in _ROLES.items()},
        images=(columns["images"],) if "images" in columns else (),
        system=(columns["system"],) if "system" in columns else (),
    )


def _texts(row: Row, name: str) -> Iterator[tuple[str, str]]:
    """The entries of an object of texts; none where it is not there."""
    if row.has(name):
        part = row.part(name)
        for key, value in part.values.items():
            if value is not None:
                yield key, part.text(key)
