"""A row of a leaderboard: one model on one split under one judge.

A number never comes alone: its interval, denominator, coverage, blocks, judge and fidelity are in the same row, and so
are the cautions that a reader needs. `harness.board.sections` reads rows from results.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from harness.board.corrected import CorrectedNumber
from harness.board.judging import JudgeRange, Repeats
from harness.board.words import WORDINGS
from harness.labels import HUMAN
from harness.lineage import find_held_out as held_out
from harness.metrics import Better
from harness.types import BLOCKED, Json

#: remark on a revision of data that is not the one that the counts were checked with
_CHECKED: Final[Mapping[str, str]] = {
    "another": "(not the revision that the counts were checked with)",
    "unknown": "(which revision is not known)",
    "none": "(no revision could be checked)",
}

GIVEN: Final = "its answers are given by the data, so its judges are measured and no model"
TOY_DATA: Final = "toy data: shows the tool, measures nothing"

Ends = tuple[float | None, float | None]  #: an interval or bounds; None where there is none
Counts = Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One metric of one row, in full precision; the keys are those of results.json.

    `estimated` is how many answers the value rests on, of how many it is given for; None where all were judged.
    Of a mean over seeds, `by_seed` is the value of each run, and `spread` their standard deviation.
    `harmonic` is how many of its strata in a row become one by their harmonic mean, before the mean of these is taken.
    `corrected` is what people's labels say of it; None where nobody labelled any and none were drawn.
    `definition` is what its plugin says that it counts; empty where the plugin says nothing.
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
    harmonic: int = 1
    why: str = ""
    estimated: tuple[int, int] | None = None
    by_seed: tuple[float, ...] = ()
    spread: float | None = None
    corrected: CorrectedNumber | None = None
    definition: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeNote:
    """The judge, shown next to each number.

    Attributes:
        id: as in results.json; empty if there is no judge.
        name: of the rubric alone: `mis`; empty if the results do not describe the judge.
        version: of the rubric.
        meanings: label of the rubric -> what an answer with this label is like; empty text where it does not say.
        rubric: its name, fidelity and version as they are shown: `mis (own rubric v1)`.
        model: the judge's model; empty for a rule.
        fidelity: of the rubric.
    """

    id: str = ""
    rubric: str = ""
    model: str = ""
    fidelity: str = ""
    name: str = ""
    version: str = ""
    meanings: Mapping[str, str] = field(default_factory=dict[str, str], compare=False)

    @property
    def told(self) -> str:
        """Who judged, in words: `the rubric mis (this harness's own words, version 1), read by openai/NAME`."""
        if not self.name:
            return f"the judge {self.id}" if self.id else "nobody"
        if self.name == HUMAN:
            return f"the person {self.id.removeprefix(f'{HUMAN}-')}"
        words = ", ".join(filter(None, (WORDINGS.get(self.fidelity, ""), self.version and f"version {self.version}")))
        about = f" ({words})" if words else ""
        if not self.model:
            return f"the rule {self.name}{about}, which asks no model"
        return f"the rubric {self.name}{about}, applied by {self.model}"

    @property
    def label(self) -> str:
        """Its shown name: `mis (own rubric v1) by openai/NAME`; `none` if there is no judge."""
        named = self.rubric or self.id or "none"
        return f"{named} by {self.model}" if self.model else named


@dataclass(frozen=True, slots=True, kw_only=True)
class Caution:
    """A reason to doubt a number.

    Attributes:
        kind: `own_family`, `trained_on`, `sampling`, `strategy`, `attack`, `system`, `names`, `not_drawn` or
            `unverifiable`.
        told: the rest of a sentence that begins with the model.
    """

    kind: str
    told: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One model on one split under one judge.

    Attributes:
        model: its shown name: the ref, the strategy, a system prompt, and what differs from other rows of this ref.
        ref: as the user wrote it.
        strategy: that wrapped the model; empty for none.
        attack: that changed the questions; empty for none.
        system: message that was put before each request; empty for none.
        resolved: names the provider reported.
        model_revision: commit or hash of local files, else the names that the provider reported.
        noted: what the model noted while it was open.
        tuned_from: ref of the model it was tuned from, as declared; empty where nothing is.
        trained_on: names of data it was tuned on, as declared.
        held_out: names of categories that its training left out.
        seed: of its training, of its sampling, or both with `/` between; empty where none was set.
        seeds: of a mean over runs that differ in a seed alone: (ref, seed) of each run.
        files: hash of the model's files; empty if they are not known, or if there is an adapter on them.
        base_files: the same of the model it was tuned from, as declared.
        folder: name of its run folder; empty for results that do not come out of one, and for several runs.
        bare: its results.json is without the lines of its run, so it cannot be computed again.
        cautions: reasons to doubt the number.
        finished: when the run's last invocation ended, ISO 8601.
        local: the user's machine ran it from its files; else it is an API.
        judge: who judged.
        primary: the judge is the run's own, not one of `other_judges`.
        fidelity: of the input's wording; empty where the benchmark adds no words.
        n: samples; `n_expected` is the published number, `subset` the limit that the user set.
        records: samples x epochs.
        outcomes: how generation ended, in records.
        flags: answers that are marked (`truncated`, `refusal`, `verdict_like`), in records.
        verdicts: how judging ended, in records.
        labels: in records.
        coverage: resolved records / records.
        complete: coverage reached the minimum.
        drawn: whether the part of the answers that the judge has read was drawn at random; None where it has read all
            or none.
        over_judges: the range of the main number over the split's machine judges; None for one judge.
        repeats: what repeats of the judge say of the main number; None where it judged once.
        measures: the metrics, in order.
        by: breakdown -> group -> (n, measures).
        paired: comparisons of this split with its twins, as in results.json.
        settings: effective generation settings.
        options: settings and identity by which rows of the same ref may differ, as text.
        data: hash of the task's data, over the splits in `asked`.
        source: of the split's data, with its `revision` and `licence` as the run recorded them.
        checked: whether that is the revision that the task's counts were checked with; empty where results do not say.
        toy: the data was drawn to show the tool: the numbers measure nothing.
        topic: what the split asks about: `safety`, `over-refusal` or `ability`; empty for another kind, or if unknown.
        asked: splits of the task that were asked, and how much of them.
        basis: what must be equal for two rows to be ranked against each other.
        rank: 1 is best, shared when intervals overlap; None when the row is not ranked.
        unranked: why it is not ranked; empty when it is.
        run: which of the results it is of, from 0.
        cost_usd: dollars of the whole run; None if unknown, or if nobody sells its calls.
        usd_per_1000: the same for a thousand answers.
    """

    model: str
    ref: str
    strategy: str = ""
    attack: str = ""
    system: str = ""
    resolved: tuple[str, ...] = ()
    model_revision: str = ""
    noted: tuple[str, ...] = ()
    tuned_from: str = ""
    trained_on: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    seed: str = ""
    seeds: tuple[tuple[str, str], ...] = ()
    files: str = ""
    base_files: str = ""
    folder: str = ""
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
    over_judges: JudgeRange | None = None
    repeats: Repeats | None = None
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
    topic: str = ""
    asked: tuple[str, ...] = ()
    basis: Mapping[str, str] = field(default_factory=dict[str, str])
    rank: int | None = None
    unranked: str = ""
    run: int = 0
    cost_usd: float | None = None
    usd_per_1000: float | None = None

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

    def find_measure(self, name: str) -> Measure | None:
        """One metric of the row; None where it lacks it."""
        return next((measure for measure in self.measures if measure.name == name), None)

    @property
    def has_corrected(self) -> bool:
        """Whether people's labels, or a draw for them, say anything of a metric of the row."""
        return any(measure.corrected is not None for measure in self.measures)

    @property
    def caution_kinds(self) -> str:
        """The kinds of the row's cautions: `own_family, trained_on`; empty for none."""
        return ", ".join(caution.kind for caution in self.cautions)

    @property
    def held_out_measures(self) -> dict[str, Measure]:
        """The categories that the model's training left out, each with the row's main number on it."""
        return {
            category: measure
            for category, (_, measures) in self.by.get("category", {}).items()
            if held_out(self.held_out, category) and (measure := next((each for each in measures if each.main), None))
        }
