"""Records to results.json: pure, one pass, a few bytes a record. Its JSON Schema is docs/results.schema.json.

    summary = TaskSummary(task.splits, ran, task.pairings)
    for item in items:                    # each asked item with each judge's decision
        summary.add(item)
    summary.finish()                      # `splits` and `paired` of the task

Every record has one outcome and, if it was answered, one state for each judge, so both sets of counts always add up.
This module labels blocks and empty answers (`label_outcome`) and translates the judges' labels into those that the
split's metrics know (`label_record`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from harness.contracts import Decision, Split
from harness.keys import draw_order
from harness.labels import OWN, LabelWatch, intersect_labels, measure, measure_both
from harness.metrics import Metric, Pairing, Record
from harness.stats.pairing import Pairs
from harness.stats.repeats import RepeatTally
from harness.stats.tally import Tally
from harness.types import OUTCOMES, UNSCORED, Json, Usage, Verdict, add_usage

if TYPE_CHECKING:
    from harness.stats.corrected import LabelledMetric
    from harness.stats.draw import SplitDraw

SCHEMA: Final = "harness.results/1"
STATES: Final[tuple[str, ...]] = ("scored", *UNSCORED, "unjudged")  #: of an answer, as one judge left it
FLAGS: Final[tuple[str, ...]] = ("truncated", "refusal", "verdict_like")  #: of an answer; a provider may know more
TWINS: Final = "synthetic"  #: name of a pairing's right side in results.json; the left one bears its split's name
#: why a person who labelled a drawn part has no number
DRAWN_BY_LABEL: Final = (
    "these labels are of answers drawn in equal numbers from each of a judge's labels; what they say of all answers is "
    "the number by people, at the judge"
)
_NO_TOKENS: Final = Usage()


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedItem:
    """One asked item with each judge's decision.

    Attributes:
        record: without a label; the outcome of an item without an answer is `unanswered`.
        verdicts: judge id -> its current decision; a judge that is missing has not seen the answer.
        flags: judge id -> its flags of the answer; a judge without flags may be missing.
        answer_hash: of the answer's text; needed only in splits with a draw for people.
    """

    record: Record
    verdicts: Mapping[str, Decision] = field(default_factory=dict[str, Decision])
    flags: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    answer_hash: str = ""

    def decision(self, judge: str | None) -> Decision | None:
        """One judge's decision; None if it has not seen the answer, or if `judge` is None."""
        return None if judge is None else self.verdicts.get(judge)


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRun:
    """One split as it was run.

    Attributes:
        split: what the task says of it.
        judges: id of each judge -> translation of its labels into those of the split's metrics.
        primary: id of the judge whose figures come first; None where there is none.
        gives: id of a judge -> all labels that it can give, in the terms of the split's metrics; a judge that is
            missing may give any.
        settings: effective generation settings; null where the model refused one.
        subset: limit and shard, of those that left samples out; None for all samples.
        epochs: repetitions of each sample.
        min_coverage: share of records that must be resolved.
        maps: id of a judge -> translation that the user gave for its rubric.
        drawn: id of a judge that judged a random part -> the part's last place (`harness.keys.draw_order`).
        people: ids of the judges that are people.
        draws: split -> the recorded draw of the answers that people label; of a derived split, those of its parts.
        draw_fault: why the draws cannot be read, a sentence without its full stop; empty if they can.
        repeats: id of a judge that judged several times -> ids of its repeats, from the second on.
    """

    split: Split
    judges: Mapping[str, Mapping[str, str]]
    primary: str | None
    settings: Mapping[str, Json]
    subset: Mapping[str, Json] | None = None
    epochs: int = 1
    min_coverage: float = 0.98
    drawn: Mapping[str, str] = field(default_factory=dict[str, str])
    gives: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    maps: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    people: tuple[str, ...] = ()
    draws: Mapping[str, SplitDraw] = field(default_factory=dict[str, "SplitDraw"])
    draw_fault: str = ""
    repeats: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])

    @property
    def judge_ids(self) -> tuple[str | None, ...]:
        """The primary judge, or None, then the others in their order."""
        return (self.primary, *(judge for judge in self.judges if judge != self.primary))

    def metrics(self, judge: str | None) -> tuple[Metric, ...]:
        """The split's metrics as one judge measures them, without the shares of other rubrics' own labels."""
        own = self.maps.get(judge or "", {}).values()
        metrics = (each for each in self.split.metrics if OWN not in each.name or each.name in own)
        return measure(metrics, None if judge is None else self.gives.get(judge))

    def translation(self, judge: str | None) -> Mapping[str, str]:
        """One judge's labels in the terms of the split's metrics; a label that is not in it stays."""
        return {} if judge is None else self.judges.get(judge, {})


def label_outcome(record: Record, split: Split) -> Record:
    """The record with the label that its outcome alone decides: a block, or an empty answer that was not cut off."""
    if record.blocked:
        return give_label(record, split.blocked_as.label, split.blocked_as.axes)
    if record.outcome == "empty" and "truncated" not in record.flags:
        return give_label(record, split.empty_as.label, split.empty_as.axes)
    return record


def label_record(record: Record, decision: Decision | None, split: Split, translation: Mapping[str, str]) -> Record:
    """The record as one judge sees it, labelled in the terms of the split's metrics.

    Args:
        record: without a label.
        decision: the judge's; looked at only for an answer.
        split: says what blocks and empty answers count as.
        translation: the judge's label -> the split's; a label that is not in it stays.
    """
    if record.outcome != "answered":
        return label_outcome(record, split)
    if decision is None:
        return replace(record, unjudged=True)
    if not isinstance(decision, Verdict):
        return record
    return give_label(record, translation.get(decision.label, decision.label), decision.axes)


def give_label(record: Record, label: str, axes: Mapping[str, str | float | bool]) -> Record:
    """The record with this label; `dataclasses.replace` takes a fifth of the time that a record costs here."""
    return Record(
        item=record.item,
        id=record.id,
        split=record.split,
        epoch=record.epoch,
        category=record.category,
        tags=record.tags,
        cluster=record.cluster,
        target=record.target,
        outcome=record.outcome,
        flags=record.flags,
        label=label,
        axes=axes,
        unjudged=record.unjudged,
    )


class DrawWatch:
    """Checks whether the answers of a split that a judge has read are a random part of them.

    They are, as long as every answer of a drawn cluster is read and none of any other: answers may come after a draw,
    and a judge may read on.

    Args:
        last: place (`harness.keys.draw_order`) of the last cluster that was drawn; None where none was.
    """

    def __init__(self, last: str | None) -> None:
        self._last = last
        self._read = self._waiting = 0
        self._fits = last is not None

    def add(self, record: Record) -> None:
        """Count one record as the judge sees it."""
        if record.outcome != "answered":
            return
        self._read += not record.unjudged
        self._waiting += record.unjudged
        if self._fits and self._last is not None:
            self._fits = (draw_order(record.cluster) <= self._last) != record.unjudged

    @property
    def drawn(self) -> bool | None:
        """Whether the part is random; None where the judge has read all answers, or none."""
        return self._fits if self._read and self._waiting else None


class TaskSummary:
    """Accumulates all splits of one task.

    Args:
        splits: the task's; a derived one is in the results only if every part ran with the same primary judge.
        ran: those that were run, by name.
        pairings: the task's; a comparison is in the results on the same condition.
    """

    def __init__(
        self, splits: Mapping[str, Split], ran: Mapping[str, SplitRun], pairings: Sequence[Pairing] = ()
    ) -> None:
        def share_a_judge(names: Iterable[str]) -> bool:  # all these splits ran, with the same primary judge
            return len({ran[name].primary if name in ran else f"not run: {name}" for name in names}) == 1

        self._splits = {name: SplitSummary(one) for name, one in ran.items()}
        self._derived = {
            name: (split.parts, SplitSummary(pool_runs(split, [ran[part] for part in split.parts])))
            for name, split in splits.items()
            if split.parts and share_a_judge(split.parts)
        }
        self._pairings = [
            _PairingSummary(pairing, ran) for pairing in pairings if share_a_judge((pairing.left, *pairing.right))
        ]

    def add(self, item: JudgedItem) -> None:
        """Count one item of any split that ran."""
        name = item.record.split
        seen = self._splits[name].add(item)
        for parts, summary in self._derived.values():
            if name in parts:
                summary.pool(item, seen)
        for pairing in self._pairings:
            pairing.add(seen)

    def finish(self) -> dict[str, Json]:
        """`splits` of the task, and `paired` where it compares some of them.

        A single pairing is {pairs, unmatched, <metric>: {...}}; several are named.
        """
        own = {name: summary.finish() for name, summary in self._splits.items()}
        derived = {
            name: summary.finish([self._splits[part] for part in parts])
            for name, (parts, summary) in self._derived.items()
        }
        compared = {pairing.name: pairing.finish() for pairing in self._pairings}
        paired = next(iter(compared.values())) if len(compared) == 1 else compared
        return {
            "splits": own | derived,
            **({"paired": paired} if paired else {}),
        }


def pool_runs(split: Split, parts: Sequence[SplitRun]) -> SplitRun:
    """How a derived split was run: what holds for all its parts, which share their primary judge."""
    first = parts[0]
    judges = {judge: dict[str, str]() for judge in first.judges if all(judge in part.judges for part in parts)}
    return SplitRun(
        split=split,
        judges=judges,
        primary=first.primary,
        settings={key: value for key, value in first.settings.items() if all(p.settings[key] == value for p in parts)},
        subset=next((part.subset for part in parts if part.subset is not None), None),
        epochs=max(part.epochs for part in parts),
        min_coverage=max(part.min_coverage for part in parts),
        gives=intersect_labels([part.gives for part in parts]),
        maps={judge: made for judge, made in first.maps.items() if all(p.maps.get(judge) == made for p in parts)},
        people=tuple(judge for judge in first.people if judge in judges),
        draws={name: draw for part in parts for name, draw in part.draws.items()},
        draw_fault=first.draw_fault,
        repeats=first.repeats,
    )


class _PairingSummary:
    """One pairing, fed with records as the primary judge sees them."""

    def __init__(self, pairing: Pairing, ran: Mapping[str, SplitRun]) -> None:
        self.name = pairing.name
        self._pairing = pairing
        self._judge = ran[pairing.left].primary
        metrics = ran[pairing.left].metrics(self._judge)
        for right in pairing.right:
            metrics = measure_both(metrics, ran[right].metrics(self._judge))
        metric = next((metric for metric in metrics if metric.name == pairing.metric), None)
        if metric is None:
            raise ValueError(f"pairing {pairing.name}: split {pairing.left} has no metric {pairing.metric}")
        self._pairs = Pairs(metric, pairing.key)

    def add(self, seen: Mapping[str | None, Record]) -> None:
        record = seen.get(self._judge)
        if record is not None and record.split == self._pairing.left:
            self._pairs.left.add(record)
        elif record is not None and record.split in self._pairing.right:
            self._pairs.right.add(record)

    def finish(self) -> dict[str, Json]:
        return self._pairs.result().as_json(self._pairing.left, TWINS)


class SplitSummary:
    """Accumulates one split."""

    def __init__(self, ran: SplitRun) -> None:
        self._ran = ran
        self._outcomes: Counter[str] = Counter()
        self._flags: Counter[str] = Counter()
        self.views = {judge: _JudgeView(ran, judge) for judge in ran.judge_ids}
        self._translations = {judge: ran.translation(judge) for judge in self.views}
        self._translations |= {
            repeat: ran.translation(judge) for judge, view in self.views.items() for repeat in view.repeats
        }
        self._labelled = None
        if ran.people or ran.draws or ran.draw_fault:
            from harness.stats.corrected import LabelledRecords

            self._labelled = LabelledRecords(ran)

    def add(self, item: JudgedItem) -> dict[str | None, Record]:
        """Count one item of the split. Returns its record as each judge, and each of a judge's repeats, sees it.

        The key None is for no judge.
        """
        split, record = self._ran.split, item.record
        seen: dict[str | None, Record] = {}
        unjudged: Record | None = None  # the same for every judge that has not seen the answer, as most people have not
        for judge, translation in self._translations.items():
            decision = item.decision(judge)
            if decision is not None or record.outcome != "answered":
                seen[judge] = label_record(record, decision, split, translation)
            else:
                unjudged = unjudged or label_record(record, None, split, translation)
                seen[judge] = unjudged
        self.pool(item, seen)
        return seen

    def pool(self, item: JudgedItem, seen: Mapping[str | None, Record]) -> None:
        """Count an item, as its judges see it, of this split or of a part that it is derived from."""
        for judge, view in self.views.items():
            view.add(seen[judge], item.decision(judge))
            if view.repeats:
                view.noise.add([seen[judge], *(seen[repeat] for repeat in view.repeats)])
        if self._labelled is not None:
            self._labelled.add(item, seen)
        self._outcomes[item.record.outcome] += 1
        if item.record.outcome == "answered":
            flags = item.record.flags
            if item.flags:
                flags = flags | item.flags.get(self._ran.primary or "", frozenset())
            for flag in flags:
                self._flags[flag] += 1

    def collect_labelled(self) -> Mapping[str, LabelledMetric]:
        """Metric -> the answers behind its corrected number; empty where nobody labelled and nothing was drawn."""
        tables = {judge: view.tally.table for judge, view in self.views.items()}
        return {} if self._labelled is None else self._labelled.collect(tables)

    def finish(self, parts: Sequence[SplitSummary] = ()) -> dict[str, Json]:
        """The split's dict of results.json; a derived one is a random part where each of its parts is that or whole."""
        ran, split = self._ran, self._ran.split
        views: dict[str | None, dict[str, Json]] = {
            judge: view.finish(
                ran.min_coverage,
                drawn=all(part.views[judge].draw.drawn is not False for part in parts)
                if parts
                else bool(view.draw.drawn),
            )
            for judge, view in self.views.items()
        }
        if self._labelled is not None:
            tables = {judge: view.tally.table for judge, view in self.views.items()}
            corrected = self._labelled.correct(tables) or {}
            machines = [judge for judge in views if judge not in ran.people]
            for judge, (name, by_people) in product(machines, corrected.items()):
                if name in views[judge]["metrics"]:
                    views[judge]["metrics"][name]["corrected"] = by_people
        return {
            "n": self.views[ran.primary].tally.samples,
            "n_expected": split.n,
            "subset": None if ran.subset is None else dict(ran.subset),
            "epochs": ran.epochs,
            "records": self._outcomes.total(),
            "outcomes": {
                name: self._outcomes[name] for name in (*OUTCOMES, *sorted(self._outcomes.keys() - set(OUTCOMES)))
            },
            "flags": {name: self._flags[name] for name in (*FLAGS, *sorted(self._flags.keys() - set(FLAGS)))},
            "settings": dict(ran.settings),
            "template_hash": split.template_hash,
            "fidelity": split.fidelity,
            "group": split.group,
            "definitions": {metric.name: metric.description for metric in split.metrics if metric.description},
            **({"parts": list(split.parts)} if split.parts else {}),
            "judge": ran.primary,
            **views.pop(ran.primary),
            "other_judges": views,
        }


class _JudgeView:
    """Accumulates one split as one judge sees it."""

    def __init__(self, ran: SplitRun, judge: str | None) -> None:
        self._states: Counter[str] = Counter()
        self._labels: Counter[str] = Counter()
        self.tally = Tally(ran.metrics(judge), ran.split.by, epochs=ran.epochs)
        self._watch = LabelWatch(ran.split)
        self.draw = DrawWatch(ran.drawn.get(judge or ""))
        self._map = ran.maps.get(judge or "")
        self.repeats = ran.repeats.get(judge or "", ())
        self.noise = RepeatTally(ran.metrics(judge), len(self.repeats))
        self._not_random = DRAWN_BY_LABEL if judge in ran.people and ran.draws else ""

    def add(self, record: Record, decision: Decision | None) -> None:
        if record.outcome == "answered":
            unscored = "unjudged" if decision is None else None if isinstance(decision, Verdict) else decision.state
            self._states[unscored or "scored"] += 1
        if record.label is not None:
            self._labels[record.label] += 1
        self.tally.add(record)
        self._watch.add(record)
        self.draw.add(record)

    def finish(self, min_coverage: float, *, drawn: bool) -> dict[str, Json]:
        coverage = self._labels.total() / len(self.tally) if len(self.tally) else None
        partly_judged = 0 < self._states["unjudged"] < self._states.total()
        tallied: dict[str, Any] = self.tally.results(not_random=self._not_random if partly_judged else "")
        repeats = self.noise.results(tallied["metrics"]) if self.repeats else None
        return {
            **({"map": dict(self._map)} if self._map else {}),
            "verdicts": {name: self._states[name] for name in STATES},
            "labels": {label: self._labels[label] for label in sorted(self._labels)},
            **({"uncounted": list(self._watch.uncounted)} if self._watch.uncounted else {}),
            **({"unmoved": list(self._watch.unmoved)} if self._watch.unmoved else {}),
            "coverage": coverage,
            "complete": coverage is not None and coverage >= min_coverage,
            **({"drawn": drawn} if partly_judged else {}),
            **({"repeats": repeats} if repeats else {}),
            **tallied,
        }


class UsageSum:
    """Calls and tokens of one model; add a Usage for each answer or verdict."""

    def __init__(self) -> None:
        self.calls = 0
        self._tokens = Usage()

    def add(self, usage: Usage, calls: int = 1) -> None:
        """Count what one answer or verdict took."""
        self.calls += calls
        if usage != _NO_TOKENS:
            self._tokens = add_usage(self._tokens, usage)

    def add_line(self, usage: Mapping[str, Any], calls: int) -> None:
        """Count the `usage` of a stored line. Most lines of a rule, and of a test model, have no token."""
        if any(usage.values()):
            self.add(Usage(**usage), calls)
        else:
            self.calls += calls

    def merge(self, other: UsageSum) -> None:
        """Count all that another counted."""
        self.add(other._tokens, other.calls)

    def as_json(self) -> dict[str, Json]:
        """Calls and tokens, by name."""
        return {
            "calls": self.calls,
            "input_tokens": self._tokens.input_tokens,
            "output_tokens": self._tokens.output_tokens,
            "reasoning_tokens": self._tokens.reasoning_tokens,
            **({"cache_read_tokens": self._tokens.cache_read_tokens} if self._tokens.cache_read_tokens else {}),
            **({"cache_write_tokens": self._tokens.cache_write_tokens} if self._tokens.cache_write_tokens else {}),
            **({"batch": True} if self._tokens.batch else {}),
        }


def usage_json(model: UsageSum, judges: Mapping[str, UsageSum], cost_usd: float | None = None) -> dict[str, Json]:
    """The `usage` of results.json; a cost that is not known is null, never 0."""
    spent = {judge: usage.as_json() for judge, usage in judges.items()}
    return {"model": model.as_json(), "judges": spent, "cost_usd": cost_usd}


def build_results(
    *,
    version: str,
    started: str,
    finished: str,
    command: Sequence[str],
    environment: Mapping[str, Json],
    model: Mapping[str, Json],
    judges: Mapping[str, Mapping[str, Json]],
    plugins: Mapping[str, Json],
    tasks: Mapping[str, Mapping[str, Json]],
    suites: Mapping[str, Mapping[str, Json]] | None = None,
    usage: Mapping[str, Json],
    wall_s: float,
    shard: Mapping[str, Json] | None = None,
) -> dict[str, Json]:
    """The dict of results.json.

    Args:
        version: of the harness.
        started: of the first invocation, ISO 8601 with its zone.
        finished: of the last one.
        command: of the last one, argument by argument, without keys.
        environment: python, platform, gpu, driver, torch, transformers, vllm, SDKs; null where absent.
        model: ref, resolved, identity, settings, strategy, notes, and training where anything is declared.
        judges: judge id -> rubric, version, template_hash, fidelity, model, resolved, settings, sees.
        plugins: distribution -> version.
        tasks: display name -> version, settings, data, and what `TaskSummary.finish` gives.
        suites: name -> what `suite_results` gives; no key where none was asked.
        usage: see `usage_json`.
        wall_s: seconds, over all invocations.
        shard: index and number of shards; None for a whole run.
    """
    return {
        "schema": SCHEMA,
        "harness": version,
        "started": started,
        "finished": finished,
        **({"shard": dict(shard)} if shard else {}),
        "command": list(command),
        "environment": dict(environment),
        "model": dict(model),
        "judges": {judge: dict(about) for judge, about in judges.items()},
        "plugins": dict(plugins),
        "tasks": {name: dict(about) for name, about in tasks.items()},
        **({"suites": {name: dict(about) for name, about in suites.items()}} if suites else {}),
        "usage": dict(usage),
        "wall_s": wall_s,
    }
