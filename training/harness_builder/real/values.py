"""A photograph, where photographs are looked for, and a record that shows two of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from harness import Image
from harness_builder.values import End


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """A photograph of the user's collection.

    Attributes:
        key: `<collection>/<place>`; stable.
        image: not opened.
        caption: empty where it has none.
        licence: its own in SPDX's spelling, else that of the collection; empty where nobody states one.
        url: where it is from, as its index says; nothing is ever fetched from there. Empty for unknown.
        author: likewise.
        score: likeness with what was looked for.
        stamp: tells that the file has not changed since.
    """

    key: str
    image: Image
    caption: str = ""
    licence: str = ""
    url: str = ""
    author: str = ""
    score: float = 0.0
    stamp: bytes = field(default=b"", repr=False)


class PhotoIndex(Protocol):
    """Photographs that can be looked for."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def advance(self) -> bool:
        """Do a piece of the work that comes before the first search; whether there is more. `find` does all of it."""
        ...

    def find(self, words: str, count: int) -> list[Photo]:
        """At most so many photographs of what the words name, best first; those that are as good by their key."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """A photograph that a record shows.

    Attributes:
        key: of the photograph.
        object: that it shows.
        sha256: of the image as the record has it: its faces covered, without metadata, no larger than a drawing.
        faces: that were covered.
        score: by which it was found.
        licence, caption, url, author: as `Photo` has them.
        calls: digests of the calls that looked at it, in order.
    """

    key: str
    object: str
    sha256: str
    faces: int
    score: float
    licence: str
    caption: str = ""
    url: str = ""
    author: str = ""
    calls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Untaken:
    """A photograph that was looked at for a record and not taken.

    Attributes:
        object: that it was to show.
        end, why: how it ended.
        key: of the photograph; empty where a hard stop ended it, of which nothing but the kind is kept.
        sha256: of its image as models saw it; empty where none did, and of a stop.
        faces: that were covered in it.
        calls: digests of the calls that looked at it, in order.
    """

    object: str
    end: End
    why: str
    key: str = ""
    sha256: str = ""
    faces: int = 0
    calls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RealRecord:
    """A question of the easy or the hard test with two photographs in place of the drawings.

    Attributes:
        key: `<key of the twin>@real`.
        of: key of the twin, whose question this is: the two are not independent of each other.
        question: as the twin's record has it.
        category: likewise.
        sub_category: likewise; empty for none.
        photos: the two, in the order of the objects.
        untaken: those that were looked at before them and not taken, in order.
        reviewers: who looked at both and kept it; none where nobody was asked.
    """

    key: str
    of: str
    question: str
    category: str
    sub_category: str
    photos: tuple[Used, Used]
    untaken: tuple[Untaken, ...] = ()
    reviewers: tuple[str, ...] = ()

    @property
    def images(self) -> tuple[str, str]:
        """sha256 of each image, in order."""
        return self.photos[0].sha256, self.photos[1].sha256

    @property
    def origins(self) -> tuple[str, str]:
        """Key of each photograph, in order."""
        return self.photos[0].key, self.photos[1].key

    @property
    def licences(self) -> tuple[str, str]:
        """Of each photograph, in order."""
        return self.photos[0].licence, self.photos[1].licence

    @property
    def faces(self) -> int:
        """That were covered, in both."""
        return self.photos[0].faces + self.photos[1].faces
