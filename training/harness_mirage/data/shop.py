"""A set on the hub of which single images are wanted: files of their own, or out of its zips without the zips."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from harness.data import hub
from harness.data.downloads import Downloads, Wanted
from harness.data.meter import Meter

from .remote import remote_zip

if TYPE_CHECKING:
    import httpx


class Shop:
    """The files of one set on the hub, and the folder they are brought into."""

    def __init__(self, folder: Path, listing: hub.Listing, client: httpx.Client, meter: Meter) -> None:
        self._folder = folder
        self._client = client
        self._meter = meter
        self._name = listing.name
        self._files: Mapping[str, Wanted] = {wanted.path: wanted for wanted in listing.files}
        self._downloads = Downloads(client, meter)

    def annotations(self, name: str) -> Path:
        """The file of records, brought whole.

        Raises:
            HarnessError, Refusal: there is none, or it does not come.
        """
        if name not in self._files:
            raise hub.nothing_matches(self._name, [name], list(self._files))
        target = self._folder / "annotations" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._meter.of(name, self._files[name].size):
            self._downloads.get(self._files[name], target)
        return target

    def place(self, path: str) -> Path:
        """Where an image lies in the folder, once it is there."""
        return self._folder / "images" / path

    def bring(self, paths: Iterable[str]) -> None:
        """Put into the folder what the set has of these images and the folder has not.

        Raises:
            HarnessError, Refusal: one that the set has does not come.
        """
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
                put(self.place(path), archive.members[name].read())
                self._meter.add(archive.members[name].size)
                yield path


def put(target: Path, data: bytes) -> None:
    """Write a file, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(target.name + ".part")
    new.write_bytes(data)
    new.replace(target)
