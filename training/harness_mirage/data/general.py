"""General multi-image samples from the hub, with their images alone: `python -m harness_mirage.data.general FOLDER`.

The sample is drawn first, from the file of annotations. Then only its images are fetched: files of their own as they
are, and out of a zip piece by piece, without the zip. What came is kept, so a second command goes on where a first was
stopped. FOLDER then is what `--data general=FOLDER` takes. A zip that is published in several pieces is not read:
records whose images are in one give their place to others.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from harness import BadImage, DataSource, HarnessError
from harness.data import hub, provenance
from harness.data.downloads import PATIENCE, Refusal, digests
from harness.data.meter import Meter
from harness.data.waiting import Waits
from harness.readers import inside
from harness.sources import UNSEEN
from harness.terminal import say
from harness_mirage.methods import Ingredient
from harness_mirage.records import Record

from .convert import FORMATS
from .draft import BadRecord
from .holding import HoldOut
from .layouts import source
from .licences import M4, PUBLISHED
from .lots import Lots, lot
from .portion import Reading
from .shop import Shop, put

FILE: Final = "general.json"
SOURCE: Final = DataSource(hub=M4, unchecked=UNSEEN, licence=PUBLISHED[M4])
ANNOTATIONS: Final = "m4_instruct_annotations.json"
_RESERVE: Final = 3  # times as many records are drawn as are taken, for those whose images cannot be had
_INGREDIENT: Final = Ingredient(name="general", layout="sharegpt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What came.

    Attributes:
        records: that stand in the folder now.
        unreadable: records of the annotations that cannot be learnt from.
        unpublished: records that were drawn and whose images are nowhere in the set.
    """

    records: int
    unreadable: int
    unpublished: int


def fetch_general(
    folder: Path,
    meter: Meter,
    *,
    published: DataSource = SOURCE,
    annotations: str = ANNOTATIONS,
    count: int = 500,
    seed: int = 0,
) -> Fetched:
    """Fetch a sample of a multi-image set on the hub into a folder.

    Args:
        folder: made where it is not there.
        meter: shows how far it is.
        published: the set; its revision, or the newest.
        annotations: its file of ShareGPT records.
        count: of the sample.
        seed: of the sample.

    Raises:
        HarnessError: the hub cannot be reached or does not give it; what came is kept.
    """
    import httpx

    listing = hub.listing(published, Waits(meter.tell))
    with httpx.Client(timeout=PATIENCE) as client:
        shop = Shop(folder, listing, client, meter)
        try:
            drawn, unreadable = _drawn(shop.annotations(annotations), count * _RESERVE, seed)
            taken, missing = _complete(shop, drawn, count)
        except Refusal as refusal:
            raise hub.refused(refusal, listing.name, published) from None
    _write(folder, taken)
    _note(folder, listing, published.licence, taken)
    return Fetched(records=len(taken), unreadable=unreadable, unpublished=missing)


def _drawn(file: Path, most: int, seed: int) -> tuple[list[Record], int]:
    """Records with images in the order of their lots, and how many of the file cannot be learnt from."""
    lots, reading = Lots(most, seed, _fetchable), Reading(source(_INGREDIENT, file), _INGREDIENT, HoldOut(()))
    for record in reading.records():
        try:
            lots.offer(record)
        except BadRecord as fault:
            reading.faults.add(fault, record.place)
    taken = sorted(lots.taken(), key=lambda each: lot(seed, each[0]))
    found = [replace(_fetchable(record), id=record.id or what.hex()[:16]) for what, record in taken]
    return found, reading.faults.counts.total()


def _fetchable(record: Record) -> Record:
    """The record with clean paths.

    Raises:
        BadRecord: it has no image, or one outside its data.
    """
    try:
        pictures = tuple(replace(each, path=inside(each.path)) for each in record.pictures)
    except BadImage as fault:
        raise BadRecord("an image outside the data", str(fault)) from None
    if not pictures:
        raise BadRecord("no image")
    return replace(record, pictures=pictures)


def _complete(shop: Shop, drawn: list[Record], count: int) -> tuple[list[Record], int]:
    """The first records whose images could all be had, and how many could not."""
    taken: list[Record] = []
    missing = 0
    while len(taken) < count and drawn:
        some, drawn = drawn[: count - len(taken)], drawn[count - len(taken) :]
        shop.bring({picture.path for record in some for picture in record.pictures})
        there = [record for record in some if all(shop.place(picture.path).is_file() for picture in record.pictures)]
        taken, missing = taken + there, missing + len(some) - len(there)
    return taken, missing


def _write(folder: Path, records: Iterable[Record]) -> None:
    made = FORMATS["sharegpt"].record
    values = [made(record, [picture.path for picture in record.pictures]) for record in records]
    put(folder / FILE, (json.dumps(values, ensure_ascii=False, indent=1) + "\n").encode())


def _note(folder: Path, listing: hub.Listing, licence: str, records: Iterable[Record]) -> None:
    """Say where it came from, as `harness data fetch` does."""
    paths = [FILE, *sorted({f"images/{picture.path}" for record in records for picture in record.pictures})]
    files = {path: ((folder / path).stat().st_size, digests(folder / path)[0]) for path in paths}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    part = provenance.Part(kind="hub", name=listing.name, revision=listing.commit, fetched=now, files=files)
    provenance.Provenance(task=_INGREDIENT.name, licence=licence, parts=(part,)).write(folder)


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--count", default=500, show_default=True, type=click.IntRange(min=1), help="records to fetch")
@click.option("--seed", default=0, show_default=True, help="of the sample")
@click.option("--revision", default="", help="commit of the set; not given: the newest")
def main(folder: Path, count: int, seed: int, revision: str) -> None:
    """Fetch, and say what came."""
    try:
        wanted = replace(SOURCE, revision=revision)
        came = fetch_general(folder, Meter(sys.stderr), published=wanted, count=count, seed=seed)
    except HarnessError as error:
        say(f"error: {error}", err=True)
        sys.exit(2)
    say(f"{came.records} records of {SOURCE.hub} ({SOURCE.licence}): --data general={folder}")
    if came.unpublished:
        say(f"{came.unpublished} that were drawn gave their place to others: their images are not in the set")


if __name__ == "__main__":
    main()
