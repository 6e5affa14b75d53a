"""General multi-image samples from the hub, with their images alone: `python -m harness_mirage.data.general FOLDER`.

The sample is drawn first, from the file of annotations. Then only its images are fetched: plain files whole, and those
in a zip piece by piece, without the zip. What came is kept, so a second command goes on where a first was stopped.
FOLDER then is what `--data general=FOLDER` takes. A zip that is published in several pieces is not read: records whose
images are in one give their place to others.
"""

from __future__ import annotations

import io
import json
import struct
import sys
import time
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

import click

from harness import BadImage, DataSource, HarnessError
from harness.contracts import UNSEEN
from harness.data import downloads, hub, provenance
from harness.data.downloads import (
    PATIENCE,
    DownloadProgress,
    Downloads,
    Refusal,
    RemoteFile,
    hash_file,
    unreachable_error,
)
from harness.data.transfer import Waits, open_url, read_pieces
from harness.files import atomic_write
from harness.images import BYTE_LIMIT
from harness.readers import inside
from harness.readers.archives import Archive, Member, read_member
from harness.text import say
from harness_mirage.methods import Ingredient
from harness_mirage.mixture import BadRecord, Record

from .convert import sharegpt_json
from .layouts import open_source
from .mixing import LICENCES, M4, HashSample, draw_number
from .reader import HoldOut, IngredientReader

if TYPE_CHECKING:
    import httpx
    from _typeshed import WriteableBuffer

FILE: Final = "general.json"
SOURCE: Final = DataSource(hub=M4, unchecked=UNSEEN, licence=LICENCES[M4])
ANNOTATIONS: Final = "m4_instruct_annotations.json"
_RESERVE: Final = 3  #: times as many records are drawn as are taken, for those whose images cannot be had
_INGREDIENT: Final = Ingredient(name="general", layout="sharegpt")
_PIECE: Final = 1 << 18  #: bytes of a zip that are fetched at once
_SERVER_ERRORS: Final = 500  #: from this status on, another try may help


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What came.

    Attributes:
        records: that are in the folder now.
        unreadable: records of the annotations that cannot be learnt from.
        unpublished: records that were drawn and whose images are nowhere in the set.
    """

    records: int
    unreadable: int
    unpublished: int


def fetch_general(
    folder: Path,
    progress: DownloadProgress,
    *,
    published: DataSource = SOURCE,
    annotations: str = ANNOTATIONS,
    count: int = 500,
    seed: int = 0,
) -> Fetched:
    """Fetch a sample of a multi-image set on the hub into a folder.

    Args:
        folder: made if it is not there.
        progress: shows how far it is.
        published: the set; its revision, or the newest.
        annotations: its file of ShareGPT records.
        count: of the sample.
        seed: of the sample.

    Raises:
        HarnessError: the hub cannot be reached or does not give it; what came is kept.
    """
    import httpx

    listing = hub.list_files(published, Waits(progress.tell))
    taken: list[Record] = []
    missing = 0
    with httpx.Client(timeout=PATIENCE) as client:
        images = HubImages(folder, listing, client, progress)
        try:
            drawn, unreadable = _draw_records(images.fetch_annotations(annotations), count * _RESERVE, seed)
            while len(taken) < count and drawn:
                some, drawn = drawn[: count - len(taken)], drawn[count - len(taken) :]
                images.fetch({picture.path for record in some for picture in record.pictures})
                there = [each for each in some if all(images.get_path(one.path).is_file() for one in each.pictures)]
                taken, missing = taken + there, missing + len(some) - len(there)
        except Refusal as refusal:
            raise hub.refusal_error(refusal, listing.name, published) from None
    values = [sharegpt_json(record, [picture.path for picture in record.pictures]) for record in taken]
    atomic_write(folder / FILE, (json.dumps(values, ensure_ascii=False, indent=1) + "\n").encode(), sync=False)
    # Say where it came from, as `harness data fetch` does.
    paths = [FILE, *sorted({f"images/{picture.path}" for record in taken for picture in record.pictures})]
    files = {path: ((folder / path).stat().st_size, hash_file(folder / path)[0]) for path in paths}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    part = provenance.Part(kind="hub", name=listing.name, revision=listing.commit, fetched=now, files=files)
    provenance.Provenance(task=_INGREDIENT.name, licence=published.licence, parts=(part,)).write(folder)
    return Fetched(records=len(taken), unreadable=unreadable, unpublished=missing)


def _draw_records(file: Path, most: int, seed: int) -> tuple[list[Record], int]:
    """Records with images in the order of their numbers, and how many of the file cannot be learnt from."""
    reader = IngredientReader(open_source(_INGREDIENT, file), _INGREDIENT, HoldOut(()))
    sample = HashSample(most, seed, _clean_paths)
    for record in reader.records():
        try:
            sample.offer(record)
        except BadRecord as fault:
            reader.faults.add(fault, record.place)
    taken = sorted(sample.finish(), key=lambda each: draw_number(seed, each[0]))
    found = [replace(_clean_paths(record), id=record.id or content.hex()[:16]) for content, record in taken]
    return found, reader.faults.counts.total()


def _clean_paths(record: Record) -> Record:
    """The record with clean paths. Raises BadRecord if it has no image, or one outside its data."""
    try:
        pictures = tuple(replace(each, path=inside(each.path)) for each in record.pictures)
    except BadImage as fault:
        raise BadRecord("an image outside the data", str(fault)) from None
    if not pictures:
        raise BadRecord("no image")
    return replace(record, pictures=pictures)


class HubImages:
    """The images of one set on the hub, and the folder they are fetched into.

    They are plain files, or are taken out of the set's zips without fetching the zips.
    """

    def __init__(self, folder: Path, listing: hub.Listing, client: httpx.Client, progress: DownloadProgress) -> None:
        self._folder = folder
        self._client = client
        self._progress = progress
        self._name = listing.name
        self._files: Mapping[str, RemoteFile] = {file.path: file for file in listing.files}
        self._downloads = Downloads(client, progress)

    def fetch_annotations(self, name: str) -> Path:
        """Fetch the file of records whole. Raises HarnessError or Refusal if there is none, or it does not come."""
        if name not in self._files:
            raise hub.explain_no_match(self._name, [name], list(self._files))
        target = self._folder / "annotations" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._progress.of(name, self._files[name].size):
            self._downloads.get(self._files[name], target)
        return target

    def get_path(self, path: str) -> Path:
        """Where an image lies in the folder, once it is there."""
        return self._folder / "images" / path

    def fetch(self, paths: Iterable[str]) -> None:
        """Put into the folder what the set has of these images and the folder has not.

        Raises:
            HarnessError, Refusal: one that the set has does not come.
        """
        missing = {path for path in paths if not self.get_path(path).is_file()}
        with self._progress.of(f"images of {self._name}"):
            for path in sorted(missing):
                alone = next((self._files[name] for name in (path, f"images/{path}") if name in self._files), None)
                if alone is not None:
                    self.get_path(path).parent.mkdir(parents=True, exist_ok=True)
                    self._downloads.get(alone, self.get_path(path))
                    missing.discard(path)
            zips = [file for name, file in self._files.items() if name.lower().endswith(".zip")]
            # those first that a part of a missing path is named after
            parts = {part.casefold() for path in missing for part in PurePosixPath(path).parts}
            for file in sorted(zips, key=lambda file: PurePosixPath(file.path).stem.casefold() not in parts):
                if not missing:
                    return
                archive = open_remote_zip(self._client, file)
                if archive is None:
                    continue
                for path in sorted(missing):
                    name = archive.find(path)
                    if name is not None:
                        atomic_write(self.get_path(path), archive.members[name].read(), sync=False)
                        self._progress.add(archive.members[name].size)
                        missing.discard(path)


def open_remote_zip(client: httpx.Client, file: RemoteFile) -> Archive | None:
    """The files of a zip that a server has; None for one that is no zip by itself, such as a piece of several.

    Raises:
        HarnessError: the server cannot be reached, or gives no pieces of files.
        Refusal: it says no.
    """
    try:
        opened = zipfile.ZipFile(io.BufferedReader(_RemoteReader(client, file), _PIECE))
        infos = [info for info in opened.infolist() if not info.is_dir() and info.file_size <= BYTE_LIMIT]
    except zipfile.BadZipFile:
        return None

    def read(info: zipfile.ZipInfo) -> bytes:
        try:  # the zip's own checksum says whether a file came whole
            return read_member(opened, nullcontext(), info)
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, struct.error) as error:
            what = f"{info.filename} differs from the published file: {error}"
            raise HarnessError(what, where=file.path) from None

    tops = {info.filename.partition("/")[0] + "/" if "/" in info.filename else "" for info in infos}
    return Archive(
        path=Path(file.path),
        mtime_ns=0,
        members={info.filename: Member(size=info.file_size, read=partial(read, info)) for info in infos},
        top=tops.pop() if len(tops) == 1 else "",
    )


class _RemoteReader(io.RawIOBase):
    """A file on a server of which only the pieces that are read are fetched."""

    def __init__(self, client: httpx.Client, file: RemoteFile) -> None:
        super().__init__()
        self._client = client
        self._file = file
        self._at = 0
        self._size = file.size or 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence] + offset)
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        size = min(len(view), self._size - self._at)
        if size <= 0:
            return 0
        data = self._fetch(size)
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _fetch(self, size: int) -> bytes:
        import httpx

        url = self._file.url
        headers = {"accept-encoding": "identity", **self._file.headers}
        headers["range"] = f"bytes={self._at}-{self._at + size - 1}"
        fault: Exception = EOFError("no answer")
        for pause in downloads.PAUSES:
            time.sleep(pause)
            try:
                with open_url(self._client, url, headers) as reply:
                    if reply.status_code >= _SERVER_ERRORS:
                        fault = Refusal(url, reply.status_code)
                        continue
                    if not reply.is_success:
                        raise Refusal(url, reply.status_code, reply.headers.get("x-error-code", ""))
                    if reply.status_code != 206:
                        what = "the server does not send parts of files, so single images of an archive cannot be read"
                        remedy = "fetch the archives whole, into the data's folder"
                        raise HarnessError(what, where=url, remedy=remedy)
                    data = b"".join(read_pieces(reply, limit=size, what="what was asked for"))
            except httpx.TransportError as error:
                fault = error
                continue
            if len(data) != size:
                raise HarnessError(f"the server gave {len(data)} bytes where {size} were asked for", where=url)
            return data
        raise unreachable_error(url, fault)


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--count", default=500, show_default=True, type=click.IntRange(min=1), help="Records to fetch.")
@click.option("--seed", default=0, show_default=True, help="Seed of the sample.")
@click.option("--revision", default="", help="Commit of the set; not given: the newest.")
def main(folder: Path, count: int, seed: int, revision: str) -> None:
    """Fetch, and say what came."""
    try:
        published = replace(SOURCE, revision=revision)
        came = fetch_general(folder, DownloadProgress(sys.stderr), published=published, count=count, seed=seed)
    except HarnessError as error:
        say(f"error: {error}", err=True)
        sys.exit(2)
    say(f"{came.records} records of {SOURCE.hub} ({SOURCE.licence}): --data general={folder}")
    if came.unpublished:
        say(f"{came.unpublished} that were drawn are replaced by others: their images are not in the set")


if __name__ == "__main__":
    main()
