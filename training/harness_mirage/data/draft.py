"""A conversation as a layout tells it, before anything about it has been checked."""

from __future__ import annotations

from dataclasses import dataclass

from harness import BadData
from harness_mirage.records import Turn


class BadRecord(BadData):
    """One record that cannot be learnt from; `kind` is what such records are counted by."""

    def __init__(self, kind: str, detail: str = "", *, where: str = "") -> None:
        super().__init__(detail or kind, where=where)
        self.kind = kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a record of a data file says.

    Attributes:
        id: as the data name it; empty where they do not.
        place: file and record number.
        category, sub_category: as the data say; several with `; ` between.
        turns: in the order of the data, with or without `<image>` marks.
        images: paths, in the order of the data.
        black: a black square stands in place of images.
        text_question: the same harm asked in words alone; empty where the data have none.
        text_answer: the answer to it; empty where the data have none.
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
