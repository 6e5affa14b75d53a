"""Questions and answers in words, as PKU-SafeRLHF has them or plainly; each is shown beside one black image.

A question is harmful where it drew an unsafe answer, and benign where both answers are safe. What is learnt is a safe
answer: the one there is, or the better of two. A question with two unsafe answers belongs to no part. The paper's own
answers to the harmful ones were written by another model and are not in the data set: who has such answers brings
plain records of `prompt`, `response` and `harmful`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, cast

from harness import Json
from harness.readers import Row
from harness_mirage.records import Turn

from .conversations import named, said
from .draft import Draft

PARTS: Final = ("harmful", "benign")
_ANSWERS: Final = (0, 1)


def paired(row: Row, part: str) -> Iterator[Draft]:
    """The question of a record with the answer that is learnt, where it belongs to the part.

    Raises:
        BadData: a field is missing or of another type.
    """
    if row.has("response_0") or row.has("response_1"):
        safe = [row.flag(f"is_response_{each}_safe") for each in _ANSWERS]
        if not any(safe):
            return
        harmful = not all(safe)
        answer = row.text(f"response_{_chosen(row, safe)}", default="")
    else:
        harmful = row.flag("harmful") if part else False
        answer = row.text("response", default="")
    if part in ("", "harmful" if harmful else "benign"):
        yield Draft(
            id=named(row),
            place=row.place,
            category=_categories(row),
            turns=(
                Turn(speaker="user", text=row.text("prompt", default="")),
                Turn(speaker="assistant", text=answer),
            ),
            black=True,
        )


def _chosen(row: Row, safe: list[bool]) -> int:
    """Which answer is learnt: the safe one, or the one that was found better."""
    if not all(safe):
        return safe.index(True)
    return 1 if row.values.get("better_response_id") == 1 else 0


def _categories(row: Row) -> str:
    """The kinds of harm either answer was found to have, or the record's own category."""
    found: dict[str, None] = {}
    for each in _ANSWERS:
        harms: Json = row.values.get(f"response_{each}_harm_category")
        if isinstance(harms, dict):
            found |= {name: None for name, there in cast("dict[str, Json]", harms).items() if there is True}
    return "; ".join(found) or said(row, "category")
