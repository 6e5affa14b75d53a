"""The splits: of the tasks with a name of their own, and of the open set, which has one for any data set."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from harness import Split, Verdict
from harness.usual import mini, right_answers

from .known import KNOWN, YES_NO, Form, Known, Part
from .metrics import ACCURACY, EACH, HALLUSION, LABELS, ROTATED, UNPARSABLE, YESNO

MINI: Final = Path(__file__).parents[1] / "mini"
MINIS: Final = 8  #: samples of each packaged split
_JUDGES: Final[Mapping[str, Mapping[str, str]]] = {"vlmeval": {}}
_ROTATED: Final = re.compile("mmbench|ccbench|circular|mmcr", re.IGNORECASE)
_NAME: Final = re.compile(r"[\w.+-]+")


def split_of(part: Part, form: Form, *, rotated: bool = False) -> Split:
    """How a data set's answers are scored; without an answer nothing was said."""
    split = replace(right_answers(_JUDGES, n=part.n, by=part.by), images=part.images, labels=LABELS)
    if form == "choice":
        return replace(split, metrics=(ROTATED, EACH, UNPARSABLE) if rotated else (ACCURACY, UNPARSABLE))
    nothing = Verdict(label="none", axes={"said": ""})
    metrics = (*HALLUSION, UNPARSABLE) if form == "hallusion" else YESNO
    return replace(split, metrics=metrics, blocked_as=nothing, empty_as=nothing)


def splits_of(known: Known) -> dict[str, Split]:
    """A task's splits, the packaged one last."""
    splits = {name: split_of(part, known.form) for name, part in known.parts.items()}
    first = next(iter(splits.values()))
    if known.pooled:
        total = sum(part.n or 0 for part in known.parts.values())
        splits[known.pooled] = replace(first, n=total, parts=tuple(known.parts))
    rule = "choice" if known.form == "choice" else "yesno"
    packaged = replace(first, images=known.mini)
    splits["mini"] = mini(packaged, MINI / known.name, n=MINIS, judges={rule: {}})
    return splits


class OpenSet(Mapping[str, Split]):
    """A split for the name of any data set; it lists those with a task of their own. None is run unless it is named."""

    _LISTED: Final[Mapping[str, Form]] = {part.dataset: known.form for known in KNOWN for part in known.parts.values()}

    def __getitem__(self, name: str) -> Split:
        if not _NAME.fullmatch(name):
            raise KeyError(name)
        form: Form = "yesno" if name in YES_NO else self._LISTED.get(name, "choice")
        part = Part(dataset=name, n=None, images=None)
        return replace(split_of(part, form, rotated=bool(_ROTATED.search(name))), selected=False)

    def __iter__(self) -> Iterator[str]:
        return iter(self._LISTED)

    def __len__(self) -> int:
        return len(self._LISTED)
