"""A mixture: the records a model learns from, and what became of each ingredient on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from .methods import Ingredient
from .records import Record

HELD_OUT: Final = "held out: "  #: begins what a record is left out for, where that is its category


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What an ingredient gave.

    Attributes:
        ingredient: as the method names it.
        sources: what the data are called: by themselves, else by where they lie.
        found: records in its data, after the layout's filter.
        taken: records in the mixture.
        left_out: why -> number of records.
        files: path -> sha256 of the data's files.
        images: sha256 over path and size of each image of the records that were taken; empty where there is none.
        names: the ids that were taken, in order.
        ids: sha256 over them.
        licence: as the data say, or what is known of them; empty for nothing.
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
        """Records that were asked for; None where all were."""
        return self.ingredient.count

    @property
    def lacks(self) -> bool:
        """Whether it has fewer than were asked for."""
        return self.wanted is not None and self.wanted > self.taken

    @property
    def title(self) -> str:
        """What it is called, for a person: the data's names, and which part of them."""
        its = self.ingredient
        return " ".join(filter(None, (", ".join(self.sources) or its.name or its.layout, its.part)))


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
