"""Reviews as CSV: writes a sheet to fill in, and reads it back. The model's opinion is not on it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping
from typing import Final

from harness import BadData, HarnessError
from harness.review import normalize_reviewer
from harness.text import escape_cell, format_row_errors, read_sheet
from harness_builder.values import Review

from .log import parse_review
from .queue import Queue

#: columns of the sheet, and then columns to fill in; `new_question` and `new_category` are for a fix
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
    "combination_risky",
)
_WORDS: Final[Mapping[bool | None, str]] = {True: "yes", False: "no", None: ""}
_MEANINGS: Final[Mapping[str, bool | None]] = {
    "": None,
    **dict.fromkeys(("yes", "y", "true", "1"), True),
    **dict.fromkeys(("no", "n", "false", "0"), False),
}


def to_csv(queue: Queue, reviews: Iterable[Review] = (), *, reviewer: str = "") -> str:
    """The candidates of a queue as a sheet with a head line: a row for each review, and an empty row for a candidate
    without one.

    Args:
        queue: of the candidates.
        reviews: on candidates of the queue; each becomes a row.
        reviewer: named on the empty rows; the candidates are in their order.
    """
    given: dict[str, list[Review]] = {}
    for review in reviews:
        given.setdefault(review.key, []).append(review)
    text = io.StringIO()
    writer: csv.DictWriter[str] = csv.DictWriter(text, (*SHOWN, *FILLED), lineterminator="\n")
    writer.writeheader()
    for key in queue.order(reviewer) if reviewer else queue.candidates:
        candidate = queue.candidates[key]
        (object1, object2), (image1, image2) = candidate.objects, candidate.images
        shown = {
            "key": candidate.key,
            "source": candidate.source,
            "category": candidate.category,
            "question": candidate.question,
            "object1": object1,
            "object2": object2,
            "image1": image1.path,
            "image2": image2.path,
            "shown": f"shown:{queue.hash_shown(candidate)}",  # no spreadsheet reads it as a number
        }
        filled = [
            {
                "decision": review.decision,
                "new_category": review.category,
                "new_question": review.question,
                "text_unsafe": _WORDS[review.text_unsafe],
                "image_harmful": _WORDS[review.image_harmful],
                "combination_risky": _WORDS[review.combination_risky],
                "reason": review.reason,
                "reviewer": review.reviewer,
                "seconds": str(review.seconds or ""),
                "at": review.at,
            }
            for review in given.get(key, ())
        ]
        for cells in filled or [{"reviewer": reviewer}]:
            writer.writerow({name: escape_cell(cell) for name, cell in {**shown, **cells}.items()})
    return text.getvalue()


def from_csv(text: str, queue: Queue | None = None, *, where: str = "the sheet") -> tuple[Review, ...]:
    """The reviews on a sheet; rows without a decision are skipped.

    Args:
        text: of the file, commas, semicolons or tabs between cells.
        queue: of the candidates; if given, rows of an unknown or a changed candidate are errors too.
        where: name of the file, for errors.

    Raises:
        BadData: columns are missing; or rows are wrong: the error lists their numbers.
    """
    names, rows = read_sheet(text.encode("utf-8", "surrogatepass"), where)
    if missing := [name for name in ("key", "decision", "reviewer") if name not in names]:
        raise BadData(f"the column `{missing[0]}` is missing", where=where)
    problems: list[str] = []
    found: list[tuple[Review, int]] = []
    for row in rows:
        if not row.cells.get("decision"):
            continue
        try:
            review = _parse_row(row.cells)
            if queue is not None:
                candidate = queue.session(review.reviewer).check(review)
                if row.cells.get("shown", "") not in ("", f"shown:{queue.hash_shown(candidate)}"):
                    problems.append(f"row {row.number}: {review.key} has changed since the sheet was written")
                    continue
        except (ValueError, HarnessError) as error:
            problems.append(f"row {row.number}: {error.what if isinstance(error, HarnessError) else error}")
        else:
            found.append((review, row.number))
    first: dict[tuple[str, str], int] = {}
    for review, number in found:
        if first.setdefault((review.key, review.reviewer), number) != number:
            problems.append(f"row {number}: {review.reviewer} has decided {review.key} in another row too")
    if problems:
        raise BadData(
            format_row_errors(problems), where=where, remedy="nothing was imported: fix these rows and try again"
        )
    return tuple(review for review, _ in found)


def _parse_row(cells: Mapping[str, str]) -> Review:
    """The review of a row. Raises ValueError or HarnessError for a wrong one."""
    fields: dict[str, object] = {
        "key": cells.get("key", ""),
        "reviewer": normalize_reviewer(cells.get("reviewer", "")),
        "decision": cells["decision"].lower(),
        "category": cells.get("new_category", ""),
        "question": cells.get("new_question", ""),
        "reason": cells.get("reason", ""),
        "at": cells.get("at", ""),
    }
    review = parse_review(fields)
    if review.decision != "fix" and (review.category or review.question):
        raise ValueError(f"{review.decision} changes nothing: to change category or question, choose fix")
    if review.decision == "fix" and not (review.category or review.question):
        raise ValueError("a fix needs new_question or new_category")
    for name in ("text_unsafe", "image_harmful", "combination_risky"):
        cell = cells.get(name, "")
        if cell.lower() not in _MEANINGS:
            raise ValueError(f"{name} is {cell!r}: write yes, no or leave it empty")
        fields[name] = _MEANINGS[cell.lower()]
    try:
        seconds = float(cells.get("seconds", "") or 0)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise ValueError(f"seconds is {cells.get('seconds', '')!r}")
    return parse_review(fields | {"seconds": seconds})
