"""What the output is made of, and what it comes to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness import Json
from harness_builder.calls.costs import RoleCosts as Spending
from harness_builder.calls.results import StoredCall
from harness_builder.licences import OutputLicence
from harness_builder.plan import Plan
from harness_builder.prompts.templates import Prompts
from harness_builder.quality import ComparedTest, Contamination, NearDuplicate
from harness_builder.real.values import RealRecord
from harness_builder.records import BuiltRecord
from harness_builder.review import Agreed
from harness_builder.tally import Tally
from harness_builder.values import End

#: digest of a call -> what is kept of it, as `CallBook.find` gives it; None for nothing
Calls = Callable[[str], StoredCall | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A record of the set.

    Attributes:
        file: that it stands in.
        number: its id there, from 1; its images lie in the folder of this number.
        walked: all that came through the build, which need not be in memory.
        at: its own place among them; that of a photographed record is its twin's, whose question it is.
        images: paths of its images under the set's folder, in order.
        real: the photographed record; None where the images were drawn.
    """

    file: str
    number: int
    walked: Sequence[BuiltRecord] = field(repr=False, compare=False)
    at: int
    images: tuple[str, str]
    real: RealRecord | None = None

    @property
    def made(self) -> BuiltRecord:
        """The record itself, read again each time; of a photographed one its twin."""
        return self.walked[self.at]

    @property
    def key(self) -> str:
        """Of the record."""
        return self.real.key if self.real else self.made.key

    @property
    def reviewers(self) -> tuple[str, ...]:
        """Who looked at it as it is, and decided."""
        return self.real.reviewers if self.real else self.made.sorted.reviewers

    @property
    def category(self) -> str:
        """As the file has it; never empty, since readers of the layout want one."""
        return self.made.sorted.category.strip() or self.made.element.category.strip() or "Other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A set that lies in its folder.

    Attributes:
        folder: of the set.
        entries: its records, file by file, in order.
        records: file -> how many records it holds; one that holds none is not there.
        dropped: keys of records that the balance left out, in order.
        missing: file -> category -> how many the balance asked for that there are not.
    """

    folder: Path
    entries: tuple[Entry, ...]
    records: Mapping[str, int]
    dropped: tuple[str, ...] = ()
    missing: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that is told about a set, in its card and its manifest.

    Attributes:
        plan: it was built by.
        written: itself.
        tally: how everything ended.
        licence: of the set.
        prompts: templates that were used.
        identity: digest of what decides what the set holds: sources, models, prompts, settings.
        at: when it was finished: ISO 8601 with its zone.
        versions: plugin -> the distribution that it came with, and its version.
        environment: what it ran on: `libraries.ran_on`.
        models: role -> identity of its model, as JSON.
        spent: in each step by each role, over all invocations of the build: `Ledger.ever`.
        near: what was dropped because it nearly equals an earlier record.
        contaminated: what was dropped because it nearly equals an item of a test.
        compared: what there was of each test.
        worded: what asks, in words of a test, of objects that the test does not name.
        agreed: how far people agree; none where nobody looked at the set.
        left: how many photographs, and records of them, ended so and why; none where none was looked for.
        open: what is still to be done, a line each; none where the set is complete.
    """

    plan: Plan
    written: Written
    tally: Tally
    licence: OutputLicence
    prompts: Prompts
    identity: str
    at: str
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    environment: Mapping[str, Json] = field(default_factory=dict[str, Json])
    models: Mapping[str, Json] = field(default_factory=dict[str, Json])
    spent: tuple[Spending, ...] = ()
    near: tuple[NearDuplicate, ...] = ()
    contaminated: tuple[Contamination, ...] = ()
    compared: tuple[ComparedTest, ...] = ()
    worded: tuple[Contamination, ...] = ()
    agreed: tuple[Agreed, ...] = ()
    left: Mapping[tuple[End, str], int] = field(default_factory=dict[tuple[End, str], int])
    open: tuple[str, ...] = ()
