"""A mixture: the records a model learns from, whatever layout they came in, and what became of each ingredient.

Images are opened when a batch needs them and never kept, and are found in whatever folder of the data they lie.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import sqrt
from typing import TYPE_CHECKING, Final, Literal

from harness import BadData, BadImage, Files, Image
from harness.images import BYTE_LIMIT, decode, open_image, read_image
from harness.readers import DataFiles

from .methods import Ingredient

if TYPE_CHECKING:
    import PIL.Image

IMAGE: Final = "<image>"  #: marks the place of an image in a turn's text
HELD_OUT: Final = "held out: "  #: begins the reason why a record is left out, if that is its category
EDGE: Final = 336  #: pixels of a black square's side
BLANK: Final = (56, 56)  #: size of an image that is there only so that the vision tower runs: a few patches
_ORIENTATION: Final = 0x0112  #: tag of EXIF
_TURNED: Final = range(5, 9)  #: its values that swap width and height
_UNUSABLE: Final = "an image that cannot be used"
Speaker = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one side says."""

    speaker: Speaker
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An image of a record: a file of its data, or a black square if `files` is None.

    Attributes:
        path: inside the data, with forward slashes.
        files: that hold it.
    """

    path: str = ""
    files: Files | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One conversation to learn from.

    Attributes:
        id: in its source; stable.
        source: of the ingredient, as its method names it.
        place: file and number, for errors.
        category, sub_category: as the data say; empty for none.
        turns: an optional system turn, then user and assistant in turn, ending with the assistant.
        pictures: in the order of the `IMAGE` marks in the turns, one for each.
    """

    id: str
    source: str
    place: str
    category: str = ""
    sub_category: str = ""
    turns: tuple[Turn, ...]
    pictures: tuple[Picture, ...] = ()


class BadRecord(BadData):
    """One record that cannot be learnt from; `kind` is what such records are counted by."""

    def __init__(self, kind: str, detail: str = "", *, where: str = "") -> None:
        super().__init__(detail or kind, where=where)
        self.kind = kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What an ingredient gave.

    Attributes:
        ingredient: as the method names it.
        sources: names of the data: what they say themselves, else where they lie.
        found: records in its data, after the layout's filter.
        taken: records in the mixture.
        left_out: reason -> number of records.
        files: path -> sha256 of the data's files.
        images: sha256 over path and size of each image of the records that were taken; empty for no image.
        names: the ids that were taken, in order.
        ids: sha256 over them.
        licence: as the data say, or as their published set is known for; empty for nothing.
    """

    ingredient: Ingredient
    sources: tuple[str, ...] = ()
    found: int
    taken: int
    left_out: Mapping[str, int] = field(default_factory=dict[str, int])
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    images: str = ""
    names: tuple[str, ...] = ()
    ids: str = ""
    licence: str = ""

    @property
    def lacks(self) -> bool:
        """Whether it has fewer than were asked for."""
        return self.ingredient.count is not None and self.ingredient.count > self.taken

    @property
    def title(self) -> str:
        """Names of the data, which part of them, and what was done to the answers."""
        its = self.ingredient
        name = " ".join(filter(None, (", ".join(self.sources) or its.name or its.layout, its.part)))
        return name + ("" if its.labels == "given" else f" ({its.labels.replace('_', ' ')})")

    @property
    def amount(self) -> str:
        """How many records were taken of how many, and how many were wanted if that is more."""
        return f"{self.taken:,} of {self.found:,}" + (f", {self.ingredient.count:,} wanted" if self.lacks else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """All a training reads.

    Attributes:
        records: in the order of the mixture, each with an id of its own; their images are opened on use.
        parts: what each ingredient gave, in the method's order.
        digest: sha256 over ids and texts, in order.
        seed: of the samples and of the order.
    """

    records: Sequence[Record]
    parts: tuple[Part, ...]
    digest: str
    seed: int = 0

    @property
    def held_out(self) -> int:
        """Records that were left out for their category."""
        counts = (count for part in self.parts for why, count in part.left_out.items() if why.startswith(HELD_OUT))
        return sum(counts)

    @property
    def summary(self) -> str:
        """The mixture in one line."""
        parts = "; ".join(f"{part.title}: {part.amount}" for part in self.parts)
        held = f"; {self.held_out:,} held out" if self.held_out else ""
        return f"{len(self.records):,} records ({parts}{held})"


def load_picture(picture: Picture, pixels: int | None, place: str) -> PIL.Image.Image:
    """Decode an image, scaled down to at most `pixels`.

    Raises:
        BadData: it is missing or broken; `place` says in which record.
    """
    import PIL.Image

    if picture.files is None:
        return PIL.Image.new("RGB", (EDGE, EDGE))
    try:
        found = decode(open_image(Image(path=picture.path, files=picture.files)).opened)
    except BadImage as error:
        raise _unreadable_error(error, place) from None
    size = scale_size(found.size, pixels)
    return found if size == found.size else found.resize(size, PIL.Image.Resampling.BICUBIC)


def measure_picture(picture: Picture, pixels: int | None, place: str) -> tuple[int, int]:
    """Width and height that `load_picture` would give, without decoding. Raises BadData for a missing or broken one."""
    if picture.files is None:
        return EDGE, EDGE
    try:
        return scale_size(inspect_image(picture.path, picture.files), pixels)
    except BadImage as error:
        raise _unreadable_error(error, place) from None


def inspect_image(path: str, files: Files) -> tuple[int, int]:
    """Width and height of an image as a person sees it: all of the file is checked, and no pixel is decoded.

    Raises:
        BadImage: it is missing, no image, cut off or too large, or Pillow cannot open it.
    """
    import PIL.Image

    data = read_image(Image(path=path, files=files))
    try:
        with PIL.Image.open(io.BytesIO(data)) as found:
            width, height = found.size
            turned = found.getexif().get(_ORIENTATION) in _TURNED
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise BadImage(path, "unreadable", str(error)) from None
    return (height, width) if turned else (width, height)


def scale_size(size: tuple[int, int], pixels: int | None) -> tuple[int, int]:
    """A size of the same shape with at most `pixels` pixels."""
    width, height = size
    if pixels is None or width * height <= pixels:
        return size
    scale = sqrt(pixels / (width * height))
    return max(1, int(width * scale)), max(1, int(height * scale))


def _unreadable_error(error: BadImage, place: str) -> BadData:
    return BadData(f"an image cannot be read: {error}", where=place, remedy="fix the file, or leave out the record")


class ImageLocator:
    """Finds the images of one data set, and checks each file once.

    Args:
        files: of the data set.
        folders: in which images may lie.
    """

    def __init__(self, files: DataFiles, folders: Sequence[str]) -> None:
        self._files = files
        self._folders = list(folders)  # the one that had the last image comes first
        self._sound: set[str] = set()

    def locate(self, record: Record) -> tuple[Record, tuple[int, ...]]:
        """The record with the paths at which its images were found, and their sizes in bytes; a black square has none.

        Raises:
            BadRecord: an image is missing, leads out of the data, or is too large a file.
        """
        found = [self._find(each.path) for each in record.pictures if each.path]
        if not found:
            return record, ()
        pictures = tuple(Picture(path=path, files=self._files) for path, _ in found)
        return replace(record, pictures=pictures), tuple(size for _, size in found)

    def check(self, record: Record) -> None:
        """Check that the images of a located record can be opened; no pixel is decoded. Any thread may call it.

        Raises:
            BadRecord: one is no image, cut off, or too large.
        """
        for each in record.pictures:
            if each.files is None or each.path in self._sound:
                continue
            try:
                inspect_image(each.path, each.files)
            except BadImage as fault:
                raise BadRecord(_UNUSABLE, f"image {fault}") from None
            self._sound.add(each.path)

    def _find(self, path: str) -> tuple[str, int]:
        for number, folder in enumerate(self._folders):
            try:
                size = self._files.stamp(folder + path)[1]
            except BadImage as fault:
                if fault.reason == "missing":
                    continue
                raise BadRecord(_UNUSABLE, f"image {fault}") from None
            if size > BYTE_LIMIT:
                raise BadRecord(_UNUSABLE, f"image {path}: {size} bytes, at most {BYTE_LIMIT} are read")
            self._folders.insert(0, self._folders.pop(number))
            return folder + path, size
        raise BadRecord("a missing image", f"image {path} is missing")
