"""Reviews as CSV: a sheet to fill in, and one that comes back. What the model thinks is not on it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from harness import BadData, HarnessError
from harness.sheets import SheetRow, defused, sheet, told
from harness_builder.values import Candidate, Review

from . import entries
from .queue import Queue, named

#: what is on the sheet, and then what is to be filled in; `new_question` and `new_category` are for a fix
SHOWN: Final = ("key", "source", "category", "question", "object1", "object2", "image1", "image2", "shown")
FILLED: Final = (
    "decision",
    "new_category",
    "new_question",
    "text_unsafe",
    "image_harmful",
    "reason",
    "reviewer",
    "seconds",
    "at",
)
_WORDS: Final[Mapping[bool | None, str]] = {True: "yes", False: "no", None: ""}
_MEANT: Final[Mapping[str, bool | None]] = {
    "": None,
    **dict.fromkeys(("yes", "y", "true", "1"), True),
    **dict.fromkeys(("no", "n", "false", "0"), False),
}


def to_csv(queue: Queue, reviews: Iterable[Review] = (), *, reviewer: str = "") -> str:
    """The candidates as a sheet with a head line: a row for each review, and an empty one where there is none.

    Args:
        queue: whose candidates.
        reviews: that stand on it, with whatever candidate of the queue they are of.
        reviewer: who it is for: named on the empty rows, and the candidates are in their order.
    """
    given: dict[str, list[Review]] = {}
    for review in reviews:
        given.setdefault(review.key, []).append(review)
    written = io.StringIO()
    writer: csv.DictWriter[str] = csv.DictWriter(written, (*SHOWN, *FILLED), lineterminator="\n")
    writer.writeheader()
    for key in queue.order(reviewer) if reviewer else queue.candidates:
        left = _candidate(queue, queue.candidates[key])
        for right in map(_review, given.get(key, [])) if key in given else ({"reviewer": reviewer},):
            writer.writerow({name: defused(text) for name, text in {**left, **right}.items()})
    return written.getvalue()


def from_csv(text: str, queue: Queue | None = None, *, where: str = "the sheet") -> tuple[Review, ...]:
    """The reviews on a sheet; rows without a decision are none.

    Args:
        text: of the file, commas, semicolons or tabs between cells.
        queue: whose candidates they are of; then rows of none, or of one that has changed since, are errors too.
        where: name of the file, for errors.

    Raises:
        BadData: columns are missing; or rows are wrong, each of which is told with its number.
    """
    names, rows = sheet(text.encode("utf-8", "surrogatepass"), where)
    if missing := [name for name in ("key", "decision", "reviewer") if name not in names]:
        raise BadData(f"the column `{missing[0]}` is missing", where=where)
    problems: list[str] = []
    found = [review for row in rows if row.cells.get("decision") for review in _read(row, queue, problems)]
    first: dict[tuple[str, str], int] = {}
    for review, number in found:
        if first.setdefault((review.key, review.reviewer), number) != number:
            problems.append(f"row {number}: {review.reviewer} has decided {review.key} in another row too")
    if problems:
        raise BadData(told(problems), where=where, remedy="nothing was taken in: mend these rows and try again")
    return tuple(review for review, _ in found)


def _candidate(queue: Queue, candidate: Candidate) -> dict[str, str]:
    (object1, object2), (image1, image2) = candidate.objects, candidate.images
    return {
        "key": candidate.key,
        "source": candidate.source,
        "category": candidate.category,
        "question": candidate.question,
        "object1": object1,
        "object2": object2,
        "image1": image1.path,
        "image2": image2.path,
        "shown": f"shown:{queue.shown(candidate)}",  # no spreadsheet takes it for a number
    }


def _review(review: Review) -> dict[str, str]:
    return {
        "decision": review.decision,
        "new_category": review.category,
        "new_question": review.question,
        "text_unsafe": _WORDS[review.text_unsafe],
        "image_harmful": _WORDS[review.image_harmful],
        "reason": review.reason,
        "reviewer": review.reviewer,
        "seconds": str(review.seconds or ""),
        "at": review.at,
    }


def _read(row: SheetRow, queue: Queue | None, problems: list[str]) -> Iterator[tuple[Review, int]]:
    try:
        review = _said(row.cells)
        if queue is not None:
            _known(review, row.cells, queue)
        yield review, row.number
    except (ValueError, HarnessError) as error:
        problems.append(f"row {row.number}: {error.what if isinstance(error, HarnessError) else error}")


def _said(cells: Mapping[str, str]) -> Review:
    made = entries.review(
        {
            "key": cells.get("key", ""),
            "reviewer": named(cells.get("reviewer", "")),
            "decision": cells["decision"].lower(),
            "category": cells.get("new_category", ""),
            "question": cells.get("new_question", ""),
            "reason": cells.get("reason", ""),
            "at": cells.get("at", ""),
        }
    )
    if made.decision != "fix" and (made.category or made.question):
        raise ValueError(f"{made.decision} changes nothing: with another category or question it is a fix")
    if made.decision == "fix" and not (made.category or made.question):
        raise ValueError("a fix needs new_question or new_category")
    unsafe, harmful = (_meant(name, cells.get(name, "")) for name in ("text_unsafe", "image_harmful"))
    return replace(made, seconds=_seconds(cells.get("seconds", "")), text_unsafe=unsafe, image_harmful=harmful)


def _meant(name: str, cell: str) -> bool | None:
    try:
        return _MEANT[cell.lower()]
    except KeyError:
        raise ValueError(f"{name} is {cell!r}: yes, no or empty") from None


def _seconds(cell: str) -> float:
    try:
        seconds = float(cell or 0)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise ValueError(f"seconds is {cell!r}")
    return seconds


def _known(review: Review, cells: Mapping[str, str], queue: Queue) -> None:
    """Raises HarnessError or ValueError for a review that this queue cannot take."""
    candidate = queue.desk(review.reviewer).checked(review)
    if cells.get("shown", "") not in ("", f"shown:{queue.shown(candidate)}"):
        raise ValueError(f"{review.key} is another one now than the sheet shows")
