"""An image that copies of a data set keep in different places, or under another suffix."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.errors import BadImage
from harness.types import Files, Image


def first_of(*places: Image) -> Image:
    """The image at the first of these places that has it.

    Looked for when it is opened, so that listing a data set touches no disk. In none of them: the fault names the
    first place, and it is a broken one rather than `missing` where any place is broken.
    """
    if len(places) == 1:
        return places[0]
    return Image(path=places[0].path, files=_Places(places))


@dataclass(frozen=True, slots=True)
class _Places:
    """See `harness.types.Files`; it holds one file, whatever path it is asked for."""

    places: tuple[Image, ...]

    @property
    def root(self) -> Path:
        return self.places[0].files.root

    def read(self, path: str) -> bytes:  # noqa: ARG002
        files, found, _ = self._found()
        return files.read(found)

    def stamp(self, path: str) -> tuple[str, int, int]:  # noqa: ARG002
        return self._found()[2]

    def _found(self) -> tuple[Files, str, tuple[str, int, int]]:
        faults: list[BadImage] = []
        for place in self.places:
            try:
                return place.files, place.path, place.files.stamp(place.path)
            except BadImage as fault:
                faults.append(fault)
        raise next((fault for fault in faults if fault.reason != "missing"), faults[0])
