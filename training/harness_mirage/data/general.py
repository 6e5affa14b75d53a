"""General multi-image samples from the hub, with their images alone: `python -m harness_mirage.data.general FOLDER`.

The sample is drawn first, from the file of annotations. Then only its images are fetched: files of their own as they
are, and out of a zip piece by piece, without the zip. What came is kept, so a second command goes on where a first was
stopped. FOLDER then is what `--data general=FOLDER` takes. A zip that is published in several pieces is not read:
records whose images are in one give their place to others.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

import click

from harness import BadImage, DataSource, HarnessError
from harness.data import hub, provenance
from harness.data.downloads import PATIENCE, Downloads, Refusal, Wanted, digests
from harness.data.meter import Meter
from harness.readers import inside
from harness_mirage.methods import Ingredient
from harness_mirage.records import Record

from .convert import FORMATS
from .draft import BadRecord
from .holding import HoldOut
from .layouts import source
from .licences import M4, PUBLISHED
from .lots import Lots, lot
from .portion import Reading
from .remote import remote_zip

if TYPE_CHECKING:
    import httpx

FILE: Final = "general.json"
SOURCE: Final = DataSource(hub=M4, licence=PUBLISHED[M4])
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
    source: DataSource = SOURCE,
    annotations: str = ANNOTATIONS,
    count: int = 500,
    seed: int = 0,
) -> Fetched:
    """Fetch a sample of a multi-image set on the hub into a folder.

    Args:
        folder: made where it is not there.
        meter: shows how far it is.
        source: the set; its revision, or the newest.
        annotations: its file of ShareGPT records.
        count: of the sample.
        seed: of the sample.

    Raises:
        HarnessError: the hub cannot be reached or does not give it; what came is kept.
    """
    import httpx

    listing = hub.listing(source)
    with httpx.Client(follow_redirects=True, timeout=PATIENCE) as client:
        shop = _Shop(folder, listing, client, meter)
        try:
            drawn, unreadable = _drawn(shop.annotations(annotations), count * _RESERVE, seed)
            taken, missing = _complete(shop, drawn, count)
        except Refusal as refusal:
            raise hub.refused(refusal, listing.name, source) from None
    _write(folder, taken)
    _note(folder, listing, source, taken)
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


def _complete(shop: _Shop, drawn: list[Record], count: int) -> tuple[list[Record], int]:
    """The first records whose images could all be had, and how many could not."""
    taken: list[Record] = []
    missing = 0
    while len(taken) < count and drawn:
        some, drawn = drawn[: count - len(taken)], drawn[count - len(taken) :]
        shop.bring({picture.path for record in some for picture in record.pictures})
        there = [record for record in some if all(shop.place(picture.path).is_file() for picture in record.pictures)]
        taken, missing = taken + there, missing + len(some) - len(there)
    return taken, missing


class _Shop:
    """The files of one set on the hub, and the folder they are brought into."""

    def __init__(self, folder: Path, listing: hub.Listing, client: httpx.Client, meter: Meter) -> None:
        self._folder = folder
        self._client = client
        self._meter = meter
        self._name = listing.name
        self._files: Mapping[str, Wanted] = {wanted.path: wanted for wanted in listing.files}
        self._downloads = Downloads(client, meter)

    def annotations(self, name: str) -> Path:
        if name not in self._files:
            raise hub.nothing_matches(self._name, [name], list(self._files))
        target = self._folder / "annotations" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._meter.of(name, self._files[name].size):
            self._downloads.get(self._files[name], target)
        return target

    def place(self, path: str) -> Path:
        return self._folder / "images" / path

    def bring(self, paths: Iterable[str]) -> None:
        """Put into the folder what the set has of these images and the folder has not."""
        missing = {path for path in paths if not self.place(path).is_file()}
        with self._meter.of(f"images of {self._name}"):
            for path in sorted(missing):
                alone = next((self._files[name] for name in (path, f"images/{path}") if name in self._files), None)
                if alone is not None:
                    self.place(path).parent.mkdir(parents=True, exist_ok=True)
                    self._downloads.get(alone, self.place(path))
                    missing.discard(path)
            for wanted in self._zips(missing):
                missing -= set(self._out_of(wanted, missing))

    def _zips(self, missing: set[str]) -> Iterator[Wanted]:
        """The archives, those first that a part of a path is named after; none more once nothing is missing."""
        zips = [wanted for name, wanted in self._files.items() if name.lower().endswith(".zip")]
        parts = {part.casefold() for path in missing for part in PurePosixPath(path).parts}
        named = [wanted for wanted in zips if PurePosixPath(wanted.path).stem.casefold() in parts]
        for wanted in (*named, *(each for each in zips if each not in named)):
            if not missing:
                return
            yield wanted

    def _out_of(self, wanted: Wanted, missing: set[str]) -> Iterator[str]:
        archive = remote_zip(self._client, wanted)
        if archive is None:
            return
        for path in sorted(missing):
            name = archive.find(path)
            if name is not None:
                _put(self.place(path), archive.members[name].read())
                self._meter.add(archive.members[name].size)
                yield path


def _put(target: Path, data: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(target.name + ".part")
    new.write_bytes(data)
    new.replace(target)


def _write(folder: Path, records: Iterable[Record]) -> None:
    made = FORMATS["sharegpt"].record
    values = [made(record, [picture.path for picture in record.pictures]) for record in records]
    _put(folder / FILE, (json.dumps(values, ensure_ascii=False, indent=1) + "\n").encode())


def _note(folder: Path, listing: hub.Listing, source: DataSource, records: Iterable[Record]) -> None:
    """Say where it came from, as `harness data fetch` does."""
    paths = [FILE, *sorted({f"images/{picture.path}" for record in records for picture in record.pictures})]
    files = {path: ((folder / path).stat().st_size, digests(folder / path)[0]) for path in paths}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    part = provenance.Part(kind="hub", name=listing.name, revision=listing.commit, fetched=now, files=files)
    provenance.Provenance(task=_INGREDIENT.name, licence=source.licence, parts=(part,)).write(folder)


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--count", default=500, show_default=True, type=click.IntRange(min=1), help="records to fetch")
@click.option("--seed", default=0, show_default=True, help="of the sample")
@click.option("--revision", default="", help="commit of the set; not given: the newest")
def main(folder: Path, count: int, seed: int, revision: str) -> None:
    """Fetch, and say what came."""
    try:
        wanted = replace(SOURCE, revision=revision)
        came = fetch_general(folder, Meter(sys.stderr), source=wanted, count=count, seed=seed)
    except HarnessError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    click.echo(f"{came.records} records of {SOURCE.hub} ({SOURCE.licence}): --data general={folder}")
    if came.unpublished:
        click.echo(f"{came.unpublished} that were drawn gave their place to others: their images are not in the set")


if __name__ == "__main__":
    main()
