"""One ingredient's way from its files to the records that are taken of it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness import BadData, distinct
from harness_mirage.methods import Ingredient
from harness_mirage.mixture import HELD_OUT, Part
from harness_mirage.records import Record

from .checks import checked
from .draft import BadRecord, Draft
from .faults import REMEDY, Faults
from .holding import HoldOut
from .labels import NO_ANSWER, NO_TEXT, labelled
from .layouts import Source, source
from .licences import published, stated
from .lots import Lots
from .naming import is_published, names
from .shelf import Shelf
from .streams import bytes_of, stream

_OPENED_AT_ONCE = 8
_PIECE = 256  # records
_WORDS = "bring data whose records have a text_question and a text_answer, or leave out the others: -S skip_bad=true"


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """What was taken of an ingredient, and what became of the rest."""

    part: Part
    records: tuple[Record, ...]


@dataclass(slots=True)
class Reading:
    """A pass over the records of one ingredient."""

    source: Source
    ingredient: Ingredient
    hold_out: HoldOut
    faults: Faults = field(default_factory=Faults)
    left_out: Counter[str] = field(default_factory=Counter[str])
    found: int = 0

    def records(self) -> Iterator[Record]:
        """Those that can be learnt from and are not held out; the others are counted."""
        for draft in self._drafts():
            held = self.hold_out.holds(draft)
            if held:
                self.left_out[f"{HELD_OUT}{held}"] += 1
                continue
            try:
                yield checked(labelled(draft, self.ingredient.labels), self.ingredient.source)
            except BadData as fault:
                self.faults.add(fault, draft.place)

    def _drafts(self) -> Iterator[Draft]:
        for row in (row for name in self.source.names for row in stream(self.source.files, name)):
            if isinstance(row, BadRecord):
                self._bad(row, row.where)
                continue
            try:
                for draft in self.source.read(row):
                    self.found += 1
                    yield draft
            except BadData as fault:
                self._bad(fault, row.place)

    def _bad(self, fault: BadData, place: str) -> None:
        self.found += 1
        self.faults.add(fault, place)


def portion(ingredient: Ingredient, path: Path, hold_out: HoldOut, seed: int, *, skip_bad: bool = False) -> Portion:
    """Read, check and sample one ingredient. Only the images of what is taken are looked at, and none is decoded.

    Args:
        ingredient: with its count; a share must have been made one.
        path: of its data.
        hold_out: what is left out; told of every category.
        seed: of the sample.
        skip_bad: leave bad records out and count them.

    Raises:
        MissingData, BadData: the data are not there or not of this layout, or hold bad records.
    """
    opened = source(ingredient, path)
    shelf = Shelf(opened.files, opened.folders)
    reading = Reading(opened, ingredient, hold_out)
    lots = Lots(ingredient.count, seed, shelf.usable if skip_bad else None)
    for record in reading.records():
        try:
            lots.offer(record)
        except BadRecord as fault:
            reading.faults.add(fault, record.place)
    records = _named(lots.taken())
    images = _place(records, shelf, reading.faults)
    if reading.faults.counts and not skip_bad:
        only_words = set(reading.faults.counts) <= {NO_TEXT, NO_ANSWER}
        raise reading.faults.error(reading.found, _WORDS if only_words else REMEDY, looks=opened.looks)
    part = Part(
        ingredient=ingredient,
        sources=names(ingredient, path, opened.names),
        found=reading.found,
        taken=len(records),
        left_out={**reading.left_out, **reading.faults.counts},
        files={name: _sha256(opened, name) for name in opened.names},
        images=images,
        licence=stated(path) or (published(ingredient.hub) if is_published(ingredient, path, opened.names) else ""),
    )
    return Portion(part=part, records=tuple(records))


def _named(taken: list[tuple[bytes, Record]]) -> list[Record]:
    """With ids that tell them apart; a record without one is named by its content."""
    names = distinct(record.id or what.hex()[:16] for what, record in taken)
    pairs = zip(names, (record for _, record in taken), strict=True)
    return [record if record.id == name else replace(record, id=name) for name, record in pairs]


def _place(records: list[Record], shelf: Shelf, faults: Faults) -> str:
    """Find the images of all records, in the list itself so that none is held twice; those that lack one leave it.

    Gives a digest over path and size of every image; empty where there is none.
    """
    digest, several, kept = hashlib.sha256(), False, 0
    for record, placed in zip(records, _placed(records, shelf), strict=True):
        if isinstance(placed, BadRecord):
            faults.add(placed, record.place)
            continue
        records[kept], sizes = placed
        for picture, size in zip(records[kept].pictures, sizes, strict=False):  # a black square has no size
            digest.update(f"{picture.path}\0{size}\n".encode(errors="surrogatepass"))
            several = True
        kept += 1
    del records[kept:]
    return digest.hexdigest() if several else ""


def _placed(records: list[Record], shelf: Shelf) -> Iterator[tuple[Record, tuple[int, ...]] | BadRecord]:
    """Each record with its images where they are and their sizes, or what is wrong with one of them."""

    def checked_too(found: tuple[Record, tuple[int, ...]] | BadRecord) -> tuple[Record, tuple[int, ...]] | BadRecord:
        try:
            if not isinstance(found, BadRecord):
                shelf.check(found[0])
        except BadRecord as fault:
            return fault
        return found

    with ThreadPoolExecutor(_OPENED_AT_ONCE) as pool:
        for start in range(0, len(records), _PIECE):  # what waits for a thread costs memory
            found = [_found(record, shelf) for record in records[start : start + _PIECE]]
            yield from pool.map(checked_too, found)


def _found(record: Record, shelf: Shelf) -> tuple[Record, tuple[int, ...]] | BadRecord:
    try:
        return shelf.placed(record)
    except BadRecord as fault:
        return fault


def _sha256(opened: Source, name: str) -> str:
    with bytes_of(opened.files, name) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
