"""Where the images of a data set stand, whatever folder or archive they were put into, and which of them are images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from harness import BadImage
from harness.images import BYTE_LIMIT
from harness.readers import DataFiles
from harness_mirage.records import Picture, Record
from harness_mirage.sft.pictures import looked_at

from .draft import BadRecord

MISSING: Final = "a missing image"
UNUSABLE: Final = "an image that cannot be used"


class Shelf:
    """Finds images, and looks at each once."""

    def __init__(self, files: DataFiles, folders: Sequence[str]) -> None:
        self._files = files
        self._folders = list(folders)  # the one that had the last image first
        self._sound: set[str] = set()

    def placed(self, record: Record) -> tuple[Record, tuple[int, ...]]:
        """The record with its pictures where they were found, and their sizes in bytes; a black square has neither.

        Raises:
            BadRecord: an image is missing, leads out of the data, or is too large a file.
        """
        found = [self._found(each.path) for each in record.pictures if each.path]
        if not found:
            return record, ()
        pictures = tuple(Picture(path=path, files=self._files) for path, _ in found)
        return replace(record, pictures=pictures), tuple(size for _, size in found)

    def check(self, record: Record) -> None:
        """Whether the images of a record that was placed can be opened; no pixel is decoded. For any thread.

        Raises:
            BadRecord: one is no image, cut off, or too large.
        """
        for each in record.pictures:
            if each.files is None or each.path in self._sound:
                continue
            try:
                looked_at(each.path, each.files)
            except BadImage as fault:
                raise BadRecord(UNUSABLE, f"image {fault}") from None
            self._sound.add(each.path)

    def usable(self, record: Record) -> None:
        """Whether the images of a record are there and can be opened. Raises BadRecord."""
        self.check(self.placed(record)[0])

    def _found(self, path: str) -> tuple[str, int]:
        for number, folder in enumerate(self._folders):
            try:
                size = self._files.stamp(folder + path)[1]
            except BadImage as fault:
                if fault.reason == "missing":
                    continue
                raise BadRecord(UNUSABLE, f"image {fault}") from None
            if size > BYTE_LIMIT:
                raise BadRecord(UNUSABLE, f"image {path}: {size} bytes, at most {BYTE_LIMIT} are read")
            self._folders.insert(0, self._folders.pop(number))
            return folder + path, size
        raise BadRecord(MISSING, f"image {path} is missing")
