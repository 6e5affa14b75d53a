"""A mixture: the records a model learns from, whatever layout they came in, and what became of each ingredient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from harness import BadData, Files

from .methods import Ingredient

IMAGE: Final = "<image>"  #: stands in a turn's text where an image stands, once for each
HELD_OUT: Final = "held out: "  #: begins the reason why a record is left out, if that is its category
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
    def wanted(self) -> int | None:
        """Records that were asked for; None for all."""
        return self.ingredient.count

    @property
    def lacks(self) -> bool:
        """Whether it has fewer than were asked for."""
        return self.wanted is not None and self.wanted > self.taken

    @property
    def title(self) -> str:
        """Names of the data, which part of them, and what was done to the answers."""
        its = self.ingredient
        name = " ".join(filter(None, (", ".join(self.sources) or its.name or its.layout, its.part)))
        return name + ("" if its.labels == "given" else f" ({its.labels.replace('_', ' ')})")

    @property
    def amount(self) -> str:
        """How many records were taken of how many, and how many were wanted if that is more."""
        return f"{self.taken:,} of {self.found:,}" + (f", {self.wanted:,} wanted" if self.lacks else "")


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
