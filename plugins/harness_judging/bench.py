"""Judges measured on published answers that people labelled: the sets, the figures, and the same as JSON.

A set is a task whose splits are judged by `people`; all its splits together are one row more. The positive label is the
one that the set's main metric counts: `unsafe`, or `refused` for a set of refusals.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

from harness import MissingData, Record, UnknownName, plugins
from harness.evaluation.options import Options
from harness.evaluation.splits import SplitPlan, build_split_plans
from harness.http.status import as_mapping
from harness.labels import OWN, is_own_share
from harness.runs.stored import COMBINED, HUMAN, JudgedSplit, open_run
from harness.settings import nearest
from harness.stats.accuracy import LabelAccuracy, measure_bias, measure_labels
from harness.stats.agreement import MISSING, Agreement, Why, cohen, estimate_coefficient, krippendorff, percent
from harness.stats.assess import estimate_rate
from harness.stats.columns import cluster_name, fingerprint
from harness.stats.tally import main_metric
from harness.stats.units import Floats, Ints
from harness.text import one_line
from harness.types import Json

SCHEMA: Final = "harness.bench/1"
PEOPLE: Final = "people"  #: the rubric that says what people say
NO_MAP: Final = "its labels are not the set's"
_DIGITS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenSets:
    """The splits to judge.

    Attributes:
        plans: those whose data is here.
        notes: what is left out, and how to get it.
        incomplete: a named split is left out.
    """

    plans: tuple[SplitPlan, ...]
    notes: tuple[str, ...]
    incomplete: bool

    @property
    def titles(self) -> tuple[str, ...]:
        """Their names in the run."""
        return tuple(plan.title for plan in self.plans)

    def of(self, options: Options) -> Options:
        """The options of the run that judges them."""
        return replace(options, tasks=tuple(f"{plan.task.name}:{plan.name}" for plan in self.plans))


def find_sets(names: Sequence[str], options: Options) -> ChosenSets:
    """The labelled sets that some names mean, and which of them have no data here.

    Args:
        names: `NAME` or `NAME:SPLIT`; empty for all that are installed.
        options: the run's options.

    Raises:
        UnknownName: a name is no labelled set.
        MissingData: none of them has its data here.
    """
    known = [task.name for task, _ in plugins.current().offers("tasks") if _is_labelled(task.splits)]
    plans: dict[str, SplitPlan] = {}
    missing: list[MissingData] = []
    for name in names or known:
        found = list(build_split_plans(name, options))
        if not all(_is_labelled({plan.name: plan.split}) for plan in found):
            what = f"--on {name}: no set of answers that people labelled"
            remedy = f"the labelled sets are {', '.join(known)}" if known else "no labelled set is installed"
            raise UnknownName(what, remedy=nearest(name, known) if name.partition(":")[0] not in known else remedy)
        absent: list[MissingData] = []
        for plan in found:
            try:
                next(plan.samples(), None)
            except MissingData as error:
                absent.append(error)
            else:
                plans[plan.title] = plan
        # one command fetches all splits of a task
        missing += list({error.remedy: error for error in absent}.values())
    if not plans:
        if len(missing) == 1 and names:
            raise missing[0]
        remedies = [error.remedy for error in missing]
        for name in known:
            splits = plugins.current().task(name).splits
            packaged = [] if callable(splits) else [each for each, split in splits.items() if split.data is not None]
            remedies += [f"or try it on answers that come with the harness: --on {name}:{each}" for each in packaged]
        raise MissingData("no labelled set has its data here", remedy="\n  ".join(remedies))
    notes = tuple(f"left out: {error.what}; {error.remedy}" for error in missing)
    return ChosenSets(plans=tuple(plans.values()), notes=notes, incomplete=bool(names and missing))


def _is_labelled(splits: object) -> bool:
    """Whether people judge some of these splits by default; an open set of splits is not looked through."""
    if not isinstance(splits, Mapping):
        return False
    every = cast("Mapping[str, Any]", splits)
    return any(next(iter(every[name].judges), "") == PEOPLE for name in every)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """How far annotators agree with each other on a set.

    Attributes:
        answers: that two or more labelled.
        agreement: share of their pairs of labels that are alike.
        kappa: of the first and the second annotator of each answer; no value where some answers have three or more.
        alpha: Krippendorff's, of all.
        f1: of the positive label, one annotator against another.
    """

    answers: int
    agreement: Agreement
    kappa: Agreement
    alpha: Agreement
    f1: Agreement


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeFigures:
    """One judge against people on one set.

    Attributes:
        id: of the judge.
        name: rubric and model; the id where another judge has the same.
        card: its entry in run.json.
        scored: answers that it labelled; `unscored` are the others, by state.
        why: why there are no figures; empty if there are.
        rate: its share of the positive label over the answers that people labelled too.
        people: theirs.
        agreement: share of equal labels.
        kappa: Cohen's.
        accuracy: of the positive label; None without figures.
        bias: its rate less people's.
    """

    id: str
    name: str
    card: Mapping[str, Any]
    scored: int
    unscored: Mapping[str, int]
    why: str = ""
    rate: float | None = None
    people: float | None = None
    agreement: Agreement
    kappa: Agreement
    accuracy: LabelAccuracy | None = None
    bias: Agreement


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledSet:
    """One set, or one split of it, with the figures of each judge, the best kappa first.

    Attributes:
        title: of the task, or `TASK:SPLIT`.
        label: the positive label.
        answers: that people labelled.
        rate: people's share of it, with its interval.
        ceiling: people against each other.
        judges: the others.
        whole: all answers were taken.
    """

    title: str
    label: str
    answers: int
    rate: Agreement
    ceiling: Ceiling
    judges: tuple[JudgeFigures, ...]
    whole: bool


def bench_judges(folder: Path, titles: Sequence[str], who: str = "final") -> tuple[LabelledSet, ...]:
    """Measure all judges of a run of given answers; each set whole first, then its splits if there are several.

    Args:
        folder: of the run.
        titles: the splits.
        who: whose labels are the truth: the setting `who` of the judge `people`.
    """
    stored = open_run(folder, titles)
    cards = stored.file.judges
    by_task: dict[str, list[JudgedSplit]] = {}
    of_people = {judge for judge, card in cards.items() if card["rubric"] == PEOPLE}
    truths = {judge for judge in of_people if str(cards[judge]["settings"].get("who")) == who}
    # with the majorities that `load_splits` leaves out, unless people take part in them
    wanted = [judge for judge, card in cards.items() if not of_people & set(_list_members(card))]
    for split in stored.load_splits(wanted):
        by_task.setdefault(split.display, []).append(split)
    found: list[LabelledSet] = []
    for display, splits in by_task.items():
        limited = {split.name for split in splits if stored.file.tasks[display].splits[split.name].limit is not None}
        groups = [(f"{display}:{split.name}", [split]) for split in splits]
        words = {main_metric(split.split.metrics).labels for split in splits}
        if len(splits) > 1 and len(words) == 1:
            groups.insert(0, (display, splits))
        found += [
            _measure_set(title, group, cards, truths, whole=not any(split.name in limited for split in group))
            for title, group in groups
        ]
    return tuple(found)


def _measure_set(
    title: str,
    splits: Sequence[JudgedSplit],
    cards: Mapping[str, Mapping[str, Any]],
    truths: Container[str],
    *,
    whole: bool,
) -> LabelledSet:
    rubrics = {str(card["rubric"]) for card in cards.values()}
    vocabulary = [
        word
        for word in splits[0].split.vocabulary or ()
        if not any(is_own_share(rubric, word) for rubric in rubrics)  # of a rubric without a map
    ]
    positive = (main_metric(splits[0].split.metrics).labels or vocabulary)[0]
    words = (positive, *(word for word in vocabulary if word != positive))
    code = {word: number for number, word in enumerate(words)}

    def codes(judge: str) -> Ints:
        labels = (record.seen[judge].label if judge in record.seen else None for record in answered)
        return np.array([code.get(label or "", MISSING) for label in labels], dtype=np.int64)

    answered = [record for split in splits for record in split.records if record.record.outcome == "answered"]
    cluster = np.array([fingerprint(cluster_name(each.record)) for each in answered], dtype=np.int64)
    everyone = list(dict.fromkeys(judge for split in splits for judge in split.judges))
    people = next((judge for judge in everyone if judge in truths), None)
    truth = np.full(len(answered), MISSING, dtype=np.int64) if people is None else codes(people)
    known = truth != MISSING
    rate = estimate_rate((truth[known] == 0).astype(np.float64), cluster[known])
    others = [judge for judge in everyone if cards[judge]["rubric"] != PEOPLE]
    names = Counter(_name_judge(judge, cards) for judge in others)
    judges: list[JudgeFigures] = []
    for judge in others:
        states = Counter(
            record.states.get(judge, "scored") if judge in record.seen else "unjudged" for record in answered
        )
        given = {record.seen[judge].label for record in answered if judge in record.seen} - {None}
        figures = _measure_judge(judge, cards, codes(judge), truth, cluster, states, len(words))
        if names[figures.name] > 1:
            figures = replace(figures, name=one_line(judge))
        foreign = sorted(str(label) for label in given if label not in code)
        if foreign:
            rubric = cards[judge]["rubric"]
            wanted = ", ".join(f"{label.rpartition(OWN)[2]}=…" for label in foreign)
            figures = replace(figures, why=f"{NO_MAP}: give --map '{rubric}: {wanted}' onto {' and '.join(words)}")
        judges.append(figures)
    judges.sort(key=lambda each: (each.kappa.value is None or bool(each.why), -(each.kappa.value or 0.0)))
    return LabelledSet(
        title=title,
        label=positive,
        answers=int(known.sum()),
        rate=Agreement(n=0, why=Why.NOTHING)
        if rate is None
        else Agreement(n=int(known.sum()), value=rate.value, ci95=rate.interval()),
        ceiling=measure_ceiling([each.record for each in answered], cluster, words),
        judges=tuple(judges),
        whole=whole,
    )


def _measure_judge(
    judge: str,
    cards: Mapping[str, Mapping[str, Any]],
    given: Ints,
    truth: Ints,
    cluster: Ints,
    states: Counter[str],
    classes: int,
) -> JudgeFigures:
    common = (given != MISSING) & (truth != MISSING)
    said, true = given[common] == 0, truth[common] == 0
    scored = states.pop("scored", 0)
    return JudgeFigures(
        id=judge,
        name=_name_judge(judge, cards),
        card=cards[judge],
        scored=scored,
        unscored={state: states[state] for state in sorted(states)},
        rate=float(said.mean()) if common.any() else None,
        people=float(true.mean()) if common.any() else None,
        agreement=percent(given, truth, cluster),
        kappa=cohen(given, truth, cluster, classes),
        accuracy=measure_labels(given, truth, cluster, classes=classes)[0],
        bias=measure_bias(said, true, cluster[common]),
    )


def _name_judge(judge: str, cards: Mapping[str, Mapping[str, Any]]) -> str:
    """`harmbench by openai/NAME`, `human-anna`, or `majority of 3 x harmbench by openai/NAME`."""
    card = cards[judge]
    if card["rubric"] == HUMAN:
        return one_line(judge)
    if card["rubric"] == COMBINED:
        repeats = card["settings"].get("repeats")
        names = ", ".join(_name_judge(member, cards) for member in _list_members(card) if member in cards)
        return one_line(f"majority of {f'{repeats} x ' if repeats else ''}{names}")
    model = card.get("model")
    return one_line(f"{card['rubric']} by {model}" if model else str(card["rubric"]))


def _list_members(card: Mapping[str, Any]) -> list[str]:
    """The judges of an ensemble; none for another judge."""
    return list(card["settings"]["of"]) if card["rubric"] == COMBINED else []


def measure_ceiling(records: Sequence[Record], cluster: Ints, words: Sequence[str]) -> Ceiling:
    """How far annotators agree with each other; the votes are in each record's target.

    Args:
        records: answers of the set.
        cluster: equal for answers that belong together.
        words: the labels, the positive one first.
    """
    code = {word: number for number, word in enumerate(words)}
    given = [as_mapping(as_mapping(record.target).get("votes")).values() for record in records]
    votes = [[code[vote] for vote in map(str, said) if vote in code] for said in given]
    several = np.array([len(each) >= 2 for each in votes], dtype=np.bool_)
    kept, where = [each for each in votes if len(each) >= 2], cluster[several]
    if not kept:
        nothing = Agreement(n=0, why=Why.NOTHING)
        return Ceiling(answers=0, agreement=nothing, kappa=nothing, alpha=nothing, f1=nothing)
    most = max(map(len, kept))
    ratings = np.array([[*each, *[MISSING] * (most - len(each))] for each in kept], dtype=np.int64)
    rows = np.array([_count_pairs(each) for each in kept], dtype=np.float64)
    alike = estimate_rate(1 - rows[:, 0] / rows[:, 1], where)
    assert alike is not None

    def f1(sums: Floats) -> tuple[Floats, Floats]:
        differing, given, items = sums[..., 0], sums[..., 1], sums[..., 2]
        return differing / items, given / items

    about = np.column_stack((rows[:, 2], rows[:, 3], np.ones(len(rows))))
    return Ceiling(
        answers=len(kept),
        agreement=Agreement(n=len(kept), value=alike.value, ci95=alike.interval()),
        kappa=cohen(ratings[:, 0], ratings[:, 1], where, len(words)) if most == 2 else Agreement(n=0, why=Why.NOTHING),
        alpha=krippendorff(ratings, where, len(words)),
        f1=estimate_coefficient(about, where, f1, undefined=Why.NOWHERE),
    )


def _count_pairs(votes: Sequence[int]) -> tuple[float, float, float, float]:
    """Pairs of votes that differ, and all; those of which one alone is positive, and positive votes in all pairs.

    The last two are shares of the pairs, so that each answer counts once.
    """
    pairs = list(combinations(votes, 2))
    differ = sum(one != other for one, other in pairs)
    alone = sum((one == 0) != (other == 0) for one, other in pairs)
    positive = sum((one == 0) + (other == 0) for one, other in pairs)
    return float(differ), float(len(pairs)), alone / len(pairs), positive / len(pairs)


def to_json(folder: Path, sets: Sequence[LabelledSet]) -> Json:
    """All sets, as `harness judges bench --json` prints them."""
    return {
        "schema": SCHEMA,
        "run": str(folder),
        "sets": [
            {
                "title": each.title,
                "label": each.label,
                "answers": each.answers,
                "whole": each.whole,
                "rate": figure_to_json(each.rate, 100),
                "ceiling": {
                    "answers": each.ceiling.answers,
                    "agreement": figure_to_json(each.ceiling.agreement, 100),
                    "kappa": figure_to_json(each.ceiling.kappa),
                    "alpha": figure_to_json(each.ceiling.alpha),
                    "f1": figure_to_json(each.ceiling.f1),
                },
                "judges": [_judge_to_json(judge) for judge in each.judges],
            }
            for each in sets
        ],
    }


def _judge_to_json(judge: JudgeFigures) -> dict[str, Json]:
    figures = {name: figure_to_json(found, unit) for name, found, unit in list_figures(judge)}
    return {
        "id": judge.id,
        "name": judge.name,
        "rubric": str(judge.card["rubric"]),
        "model": cast("Json", judge.card.get("model")),
        "scored": judge.scored,
        "unscored": dict(judge.unscored),
        "why": judge.why or None,
        "rate": None if judge.rate is None or judge.why else round(judge.rate * 100, _DIGITS),
        "people": None if judge.people is None or judge.why else round(judge.people * 100, _DIGITS),
        **figures,
    }


def list_figures(judge: JudgeFigures) -> tuple[tuple[str, Agreement, int], ...]:
    """Name, figure, and what its unit is of 1: agreement and bias in percent. None has a value where there is `why`."""
    accuracy = judge.accuracy
    assert accuracy is not None
    every = (
        ("agreement", judge.agreement, 100),
        ("kappa", judge.kappa, 1),
        ("precision", accuracy.precision, 1),
        ("recall", accuracy.recall, 1),
        ("specificity", accuracy.specificity, 1),
        ("f1", accuracy.f1, 1),
        ("bias", judge.bias, 100),
    )
    if judge.why:
        return tuple((name, Agreement(n=0), unit) for name, _, unit in every)
    return every


def figure_to_json(figure: Agreement, unit: int = 1) -> dict[str, Json]:
    """One figure with its interval, or nulls and the reason."""
    return {
        "n": figure.n,
        "value": None if figure.value is None else round(figure.value * unit, _DIGITS),
        "ci95": None if figure.ci95 is None else [round(end * unit, _DIGITS) for end in figure.ci95],
        "why": None if figure.why is None else figure.why.value,
    }
