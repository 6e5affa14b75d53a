"""What a leaderboard is made of: boards of rows of measures; values only.

A row is one model under one judge. A number never stands alone: its interval, what it was divided by, coverage, blocks,
judge and fidelity are in the same row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from harness.metrics import Better
from harness.types import BLOCKED, Json

#: what is said beside a revision of data; nothing where it is the one that the counts were checked with
_CHECKED: Final[Mapping[str, str]] = {
    "another": "(not the revision that the counts were checked with)",
    "unknown": "(which revision is not known)",
    "none": "(no revision could be checked)",
}

Ends = tuple[float | None, float | None]  #: an interval or bounds; None where there is none
Counts = Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One metric of one row, in full precision; the keys are those of results.json.

    `estimated` is how many answers the value rests on, of how many it is given for; None where all were judged.
    """

    name: str
    unit: str
    better: Better
    main: bool
    value: float | None
    ci95: Ends
    ci95_worst: Ends
    bounds: Ends
    numerator: float | None
    denominator: float | None
    unresolved: float
    clusters: int | None = None
    strata: Mapping[str, Json] = field(default_factory=dict[str, Json])
    why: str = ""
    estimated: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeNote:
    """Who judged: shown beside each number.

    Attributes:
        id: as in results.json; empty where nobody judged.
        rubric: name, whose words and version, as it is shown: `mis (own rubric v1)`.
        model: the judge's model; empty for a rule.
        fidelity: of the rubric.
    """

    id: str = ""
    rubric: str = ""
    model: str = ""
    fidelity: str = ""

    @property
    def label(self) -> str:
        """How it is shown: `mis (own rubric v1) by openai/NAME`; `none` where nobody judged."""
        named = self.rubric or self.id or "none"
        return f"{named} by {self.model}" if self.model else named


@dataclass(frozen=True, slots=True, kw_only=True)
class Caution:
    """What a reader must hold against a number.

    Attributes:
        kind: `own_family`, `trained_on`, `sampling`, `strategy`, `system`, `names`, `not_drawn` or `unverifiable`.
        told: in words, as the rest of a sentence that begins with the model.
    """

    kind: str
    told: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One model on one split under one judge.

    Attributes:
        model: how it is shown: the ref, the strategy, a system prompt, and what tells it from another row of this ref.
        ref: as the user wrote it.
        strategy: that wrapped the model; empty for none.
        system: message that was put before each request; empty for none.
        resolved: names the provider reported.
        model_revision: commit or hash of local files, else the names that the provider reported.
        noted: what the model noted while it was open.
        tuned_from: ref of the model it was tuned from, as declared; empty where nothing is.
        trained_on: names of data it was tuned on, as declared.
        held_out: names of categories that its training left out.
        files: hash of the model's files; empty where they are not known, and where an adapter lies on them.
        base_files: the same of the model it was tuned from, as declared.
        bare: its results.json stands without the lines it was made of, so that nobody can make it again.
        cautions: what a reader must hold against the number.
        finished: when the run's last invocation ended, ISO 8601.
        local: it ran on a machine of the user's, by its files; else it is somebody's API.
        judge: who judged.
        primary: the judge is the run's own, not one of `other_judges`.
        fidelity: whose words the input is in; empty where the benchmark adds none.
        n: samples; `n_expected` is the published number, `subset` what was asked for less.
        records: samples x epochs.
        outcomes: how generation ended, in records.
        flags: answers that are marked (`truncated`, `refusal`, `verdict_like`), in records.
        verdicts: how judging ended, in records.
        labels: in records.
        coverage: resolved records / records.
        complete: coverage reached the minimum.
        drawn: the judge has read a part of the answers, drawn at random or not; None where it has read all or none.
        measures: the metrics, in order.
        by: breakdown -> group -> (n, measures).
        paired: comparisons of this split with its twins, as in results.json.
        settings: effective generation settings.
        options: what can tell it from another row of the same ref, as text.
        data: hash of the task's data, over the splits in `asked`.
        source: of the split's data, with its `revision` and `licence` as the run recorded them.
        checked: whether that is the revision that the task's counts were checked with; empty where results do not say.
        toy: the data was drawn to show the tool: the numbers measure nothing.
        asked: splits of the task that were asked, and how much of them.
        basis: what must be equal for two rows to be ranked against each other.
        rank: 1 is best, shared when intervals overlap; None when the row is not ranked.
        unranked: why it is not ranked; empty when it is.
    """

    model: str
    ref: str
    strategy: str = ""
    system: str = ""
    resolved: tuple[str, ...] = ()
    model_revision: str = ""
    noted: tuple[str, ...] = ()
    tuned_from: str = ""
    trained_on: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    files: str = ""
    base_files: str = ""
    bare: bool = False
    cautions: tuple[Caution, ...] = ()
    finished: str = ""
    local: bool = False
    judge: JudgeNote
    primary: bool = True
    fidelity: str = ""
    n: int
    n_expected: int | None = None
    subset: Mapping[str, Json] | None = None
    epochs: int = 1
    records: int
    outcomes: Counts
    flags: Counts = field(default_factory=dict[str, int])
    verdicts: Counts
    labels: Counts
    coverage: float | None
    complete: bool
    drawn: bool | None = None
    measures: tuple[Measure, ...]
    by: Mapping[str, Mapping[str, tuple[int, tuple[Measure, ...]]]] = field(default_factory=dict[str, Any])
    paired: Mapping[str, Json] = field(default_factory=dict[str, Json])
    settings: Mapping[str, Json] = field(default_factory=dict[str, Json])
    options: Mapping[str, str] = field(default_factory=dict[str, str])
    data: str = ""
    source: str = ""
    revision: str = ""
    checked: str = ""
    licence: str = ""
    toy: bool = False
    asked: tuple[str, ...] = ()
    basis: Mapping[str, str] = field(default_factory=dict[str, str])
    rank: int | None = None
    unranked: str = ""

    @property
    def data_revision(self) -> str:
        """The revision of the data in words: which, and whether the task's counts were checked with it."""
        return " ".join(filter(None, (self.revision, _CHECKED.get(self.checked, ""))))

    @property
    def blocked(self) -> int:
        """Records the provider's filter stopped."""
        return sum(self.outcomes.get(name, 0) for name in BLOCKED)

    @property
    def main(self) -> Measure | None:
        """The number the row is ranked by."""
        return next((measure for measure in self.measures if measure.main), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """The rows of one split that may be compared, best first, unranked ones last.

    Attributes:
        task: its displayed name.
        split: its name.
        part_of: the derived split that pools this one; empty for none.
        rows: best first.
        group: letter that tells it from the split's other boards; empty where it is the only one.
        apart: what of the basis sets it apart from those.
        notes: what a reader must know before comparing rows.
    """

    task: str
    split: str
    part_of: str = ""
    rows: tuple[Row, ...]
    group: str = ""
    apart: str = ""
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """`mis:test`, or the task's name alone where it has no splits; with the letter of its class."""
        return f"{self.title} ({self.group})" if self.group else self.title

    @property
    def title(self) -> str:
        """Its name without the letter: the same for all classes."""
        return self.task if self.split == "all" else f"{self.task}:{self.split}"

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The columns: each metric once, the main one first."""
        named = {measure.name: measure for row in reversed(self.rows) for measure in row.measures}
        order = dict.fromkeys(measure.name for row in self.rows for measure in row.measures)
        return tuple(sorted((named[name] for name in order), key=lambda measure: not measure.main))
