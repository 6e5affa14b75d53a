"""What the card says of photographs: what found them, what became of faces, who looked at them, what was left out."""

from __future__ import annotations

from collections.abc import Iterator

from harness.markdown import escape
from harness_builder.plan import Photos
from harness_builder.real.values import RealRecord

from .tables import table
from .values import Facts


def photographs(facts: Facts) -> tuple[tuple[str, Iterator[str]], ...]:
    """The section with its title; none where the plan has no photographs."""
    photos = facts.plan.photos
    return () if photos is None else (("## Photographs", _told(facts, photos)),)


def _told(facts: Facts, photos: Photos) -> Iterator[str]:
    shown = [entry.real for entry in facts.written.entries if entry.real]
    yield f"Those of the split `real` come from the collection {escape(photos.name)}."
    yield from _found(photos)
    yield from _faces(photos, shown)
    if facts.left:
        yield ""
        yield "So many photographs, and records that wanted two of them, are not in the set:"
        yield ""
        rows = [(end, why, f"{number:,}") for (end, why), number in sorted(facts.left.items())]
        yield from table(("end", "why", "#photographs or records"), rows)


def _found(photos: Photos) -> Iterator[str]:
    if photos.by == "caption":
        yield "One was taken where all words of the object's name stand in its caption, and the viewer saw it there."
    else:
        yield f"One was taken where {escape(photos.model)} of open_clip finds a likeness of {photos.least:g} or more"
        yield "with the object's name, and the viewer saw it there."


def _faces(photos: Photos, shown: list[RealRecord]) -> Iterator[str]:
    if not shown:
        yield "None is in the set."
        return
    finder = "YuNet's model" if photos.faces else "OpenCV's cascades"
    faces = sum(record.faces for record in shown)
    were = "face was" if faces == 1 else "faces were"
    yield f"In the {2 * len(shown):,} photographs {faces:,} {were} covered, as {finder} found them."
    if all(record.reviewers for record in shown):
        yield "**Some faces are missed.** People looked at each record before it came into the set."
    else:
        yield "**Some faces are missed, and no person was asked about the photographs**: look at every one before you"
        yield "publish the set."
