"""Simulated evaluations with a known truth, for `benchmarks.intervals`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.evaluation.plan import draw_clusters
from harness.metrics import Record, rate
from harness.stats.agreement import percent
from harness.stats.assess import assess
from harness.stats.columns import Table
from harness.stats.intervals import Interval
from harness.stats.matching import match_pairs
from harness.stats.seeds import average_seeds, compare_seeds
from harness.stats.units import FAILED, JUDGED, KNOWN, SETTLED, WAITS, SamplingFrame, Units, record_units, sort_rows

Rng = np.random.Generator
Array = NDArray[np.float64]
#: samples per scenario of a benchmark that reports the mean of 13 scenarios
SCENARIOS = (97, 163, 44, 144, 122, 154, 109, 153, 130, 167, 109, 139, 149)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Data sets of one kind; `weights` as in `harness.stats.assess`, None for a mean over strata.

    `estimate` gives the interval where it is not `assess`.
    """

    name: str
    truth: float
    draw: Callable[[Rng], Units]
    weights: tuple[float, ...] | None = None
    estimate: Callable[[Units], Interval | None] | None = None


def units(num: NDArray[Any], cluster: object, *, den: object = 1.0, stratum: object = 0, strata: int = 1) -> Units:
    return Units(
        num=num.astype(np.float64),
        den=np.array(np.broadcast_to(np.asarray(den, dtype=np.float64), num.shape)),
        choice=np.full(len(num), SETTLED),
        left_out=np.zeros(len(num), dtype=bool),
        cluster=np.asarray(cluster, dtype=np.int64),
        stratum=np.array(np.broadcast_to(np.asarray(stratum, dtype=np.int64), num.shape)),
        strata=strata,
        choices=(),
    )


def latent(rng: Rng, shape: tuple[int, int], shared: float) -> Array:
    """Normal draws whose rows share a part of their variance."""
    return sqrt(shared) * rng.standard_normal((shape[0], 1)) + sqrt(1 - shared) * rng.standard_normal(shape)


def cut(*rates: float) -> Array:
    return np.array([NormalDist().inv_cdf(rate) for rate in rates])


def plain(n: int, rate: float) -> Case:
    return Case(
        name=f"plain rate, n={n}, p={rate}", truth=rate, draw=lambda rng: units(rng.random(n) < rate, np.arange(n))
    )


def epochs(n: int, rate: float, alike: float, k: int = 5) -> Case:
    """Answers to one sample are alike: its own rate is drawn from a beta distribution."""
    a, b = rate * (1 - alike) / alike, (1 - rate) * (1 - alike) / alike

    def draw(rng: Rng) -> Units:
        hit = rng.random((n, k)) < rng.beta(a, b, (n, 1))
        return units(hit.ravel(), np.repeat(np.arange(n), k))

    return Case(name=f"{k} epochs, n={n}, p={rate}, alike={alike}", truth=rate, draw=draw)


def situations(records: int, safe: float, unsafe: float, r: float, queries: int = 2) -> Case:
    """Mean of two strata that share their clusters, as MSSBench's safe and unsafe situations do."""

    def draw(rng: Rng) -> Units:
        one, other = rng.standard_normal((2, records, 1))
        tendency = np.concatenate((one, r * one + sqrt(1 - r * r) * other), axis=1)
        noise = rng.standard_normal((records, queries, 2))
        hit = sqrt(0.8) * tendency[:, None, :] + sqrt(0.2) * noise < cut(safe, unsafe)
        cluster = np.repeat(np.arange(records), 2 * queries)
        return units(hit.ravel(), cluster, stratum=np.tile([0, 1], records * queries), strata=2)

    return Case(name=f"two strata, {records} records, {safe}/{unsafe}, r={r}", truth=(safe + unsafe) / 2, draw=draw)


def harmonic(twins: int, refused: float, answered: float, shared: float) -> Case:
    """The harmonic mean of two strata whose records are pairs, as CCR of MM-SafetyBench++ is."""

    def draw(rng: Rng) -> Units:
        hit = latent(rng, (twins, 2), shared) < cut(refused, answered)
        data = units(hit.T.ravel(), np.tile(np.arange(twins), 2), stratum=np.repeat([0, 1], twins), strata=2)
        return replace(data, block=2)

    truth = 2 * refused * answered / (refused + answered)
    return Case(name=f"harmonic mean, {twins} twins, {refused}/{answered}", truth=truth, draw=draw)


def harmonic_pairs(twins: int, left: tuple[float, float], right: tuple[float, float], shared: float) -> Case:
    """Two models on the same twins: a difference of two harmonic means."""

    def draw(rng: Rng) -> Units:
        hit = latent(rng, (twins, 4), shared) < cut(*left, *right)
        cluster = np.tile(np.arange(twins), 4)
        data = units(hit.T.ravel(), cluster, stratum=np.repeat([0, 1, 2, 3], twins), strata=4)
        return replace(data, block=2)

    truth = 2 * left[0] * left[1] / sum(left) - 2 * right[0] * right[1] / sum(right)
    sides = [f"{one}/{other}" for one, other in (left, right)]
    name = f"pairs of harmonic means, n={twins}, {' - '.join(sides)}"
    return Case(name=name, truth=truth, draw=draw, weights=(0.5, 0.5, -0.5, -0.5))


def pairs(n: int, left: float, right: float, shared: float) -> Case:
    def draw(rng: Rng) -> Units:
        hit = latent(rng, (n, 2), shared) < cut(left, right)
        return units(hit.T.ravel(), np.tile(np.arange(n), 2), stratum=np.repeat([0, 1], n), strata=2)

    name = f"pairs, n={n}, {left} - {right}, shared={shared}"
    return Case(name=name, truth=left - right, draw=draw, weights=(1.0, -1.0))


def paired_epochs(n: int, left: float, right: float, shared: float, k: int = 3) -> Case:
    """Two models, each answering every sample k times; a sample's answers hang together, within a model and across."""

    def draw(rng: Rng) -> Units:
        own = latent(rng, (n, 2), shared)[:, :, None]
        noise = rng.standard_normal((n, 2, k))
        hit = sqrt(0.6) * own + sqrt(0.4) * noise < cut(left, right)[None, :, None]
        cluster = np.repeat(np.arange(n), k)
        return units(hit.transpose(1, 0, 2).ravel(), np.tile(cluster, 2), stratum=np.repeat([0, 1], n * k), strata=2)

    name = f"pairs, {k} epochs, n={n}, {left} - {right}"
    return Case(name=name, truth=left - right, draw=draw, weights=(1.0, -1.0))


def paired_situations(records: int, left: tuple[float, float], right: tuple[float, float], shared: float) -> Case:
    """Two models on two strata each, as in a comparison on MSSBench: a difference of two means."""

    def draw(rng: Rng) -> Units:
        hit = latent(rng, (records, 4), shared) < cut(*left, *right)
        cluster = np.tile(np.arange(records), 4)
        return units(hit.T.ravel(), cluster, stratum=np.repeat([0, 1, 2, 3], records), strata=4)

    truth = sum(left) / 2 - sum(right) / 2
    sides = [f"{one}/{other}" for one, other in (left, right)]
    name = f"pairs of two strata, n={records}, {' - '.join(sides)}"
    return Case(name=name, truth=truth, draw=draw, weights=(0.5, 0.5, -0.5, -0.5))


def f1(images: int, hit: float, false: float, shared: float, questions: int = 6) -> Case:
    """Yes/no questions, half of them positive, several to an image."""

    def draw(rng: Rng) -> Units:
        positive = np.tile(np.arange(questions) % 2 == 0, (images, 1))
        yes = latent(rng, (images, questions), shared) < np.where(positive, *cut(hit, false))
        num = 2.0 * (positive & yes)
        den = num + (positive & ~yes) + (~positive & yes)
        return units(num.ravel(), np.repeat(np.arange(images), questions), den=den.ravel())

    truth = 2 * hit / (2 * hit + (1 - hit) + false)
    return Case(name=f"F1, {images} images x {questions}, {hit}/{false}", truth=truth, draw=draw)


def macro(name: str, rates: Array) -> Case:
    stratum = np.repeat(np.arange(len(SCENARIOS)), SCENARIOS)

    def draw(rng: Rng) -> Units:
        hit = rng.random(len(stratum)) < rates[stratum]
        return units(hit, np.arange(len(stratum)), stratum=stratum, strata=len(SCENARIOS))

    return Case(name=f"macro of {len(SCENARIOS)} strata, {name}", truth=float(rates.mean()), draw=draw)


def seeds(n: int, runs: int, rate: float, items: float, between: float) -> Case:
    """Runs that differ in a seed alone: questions and seeds share these parts of the latent variance."""

    def draw(rng: Rng) -> Units:
        shared = sqrt(items) * rng.standard_normal((1, n)) + sqrt(between) * rng.standard_normal((runs, 1))
        hit = shared + sqrt(1 - items - between) * rng.standard_normal((runs, n)) < cut(rate)
        return units(hit.ravel(), np.tile(np.arange(n), runs), stratum=np.repeat(np.arange(runs), n), strata=runs)

    def estimate(data: Units) -> Interval | None:
        found = assess(data).estimates
        return None if found is None else average_seeds(found, runs).ci95

    name = f"mean of {runs} seeds, n={n}, p={rate}, seeds {between:.0%} of the variance"
    return Case(name=name, truth=rate, draw=draw, estimate=estimate)


def seed_pairs(n: int, runs: tuple[int, int], rates: tuple[float, float], items: float, between: float) -> Case:
    """Two sides of runs that differ in a seed alone, on the same questions: the difference of their means."""
    left, right = runs
    every = left + right
    level = np.repeat(cut(*rates), runs)[:, None]

    def draw(rng: Rng) -> Units:
        # the questions are as hard for either side, but for a part of their own
        own = np.repeat(rng.standard_normal((2, n)), runs, axis=0)
        asked = sqrt(0.8 * items) * rng.standard_normal((1, n)) + sqrt(0.2 * items) * own
        # a side of one run has no seed: that of a model as it was published
        seed = rng.standard_normal((every, 1)) * np.repeat([left > 1, right > 1], runs)[:, None]
        noise = np.sqrt(1 - items - between * (np.repeat(runs, runs)[:, None] > 1))
        hit = asked + sqrt(between) * seed + noise * rng.standard_normal((every, n)) < level
        return units(hit.ravel(), np.tile(np.arange(n), every), stratum=np.repeat(np.arange(every), n), strata=every)

    weights = (*[1 / left] * left, *[-1 / right] * right)

    def estimate(data: Units) -> Interval | None:
        found = assess(data, weights).estimates
        return None if found is None else compare_seeds(found, left, right).ci95

    name = f"{left} - {right} seeds, n={n}, {rates[0]} - {rates[1]}, seeds {between:.0%} of the variance"
    return Case(name=name, truth=rates[0] - rates[1], draw=draw, weights=weights, estimate=estimate)


def agreement(clusters: int, size: int, rate: float, alike: float) -> Case:
    """Two judges who give the same label at this rate, and more alike within a cluster: `harness agree`'s agreement."""
    a, b = rate * (1 - alike) / alike, (1 - rate) * (1 - alike) / alike

    def draw(rng: Rng) -> Units:
        same = rng.random((clusters, size)) < rng.beta(a, b, (clusters, 1))
        return units(same.ravel(), np.repeat(np.arange(clusters), size))

    def estimate(data: Units) -> Interval | None:
        return percent(data.num.astype(np.int64), np.ones(len(data), dtype=np.int64), data.cluster).ci95

    name = f"agreement, {clusters} clusters x {size}, p={rate}, alike={alike}"
    return Case(name=name, truth=rate, draw=draw, estimate=estimate)


def partly(answers: int, blocks: int, judged: int, rate: float, size: int = 1, alike: float = 0.3) -> Case:
    """Answers beside blocks; whole clusters are drawn until as many answers are judged."""
    beta = _beta(rate, alike)

    def draw(rng: Rng) -> Units:
        return frame_drawn_part(rng, *_answers(rng, answers, blocks, rate if size == 1 else beta, size), judged)

    alike_told = f" in {size}s" if size > 1 else ""
    name = f"{judged} judged of {answers}{alike_told}, {blocks} blocks, p={rate}"
    return Case(name=name, truth=rate * answers / (answers + blocks), draw=draw)


def partly_failed(answers: int, blocks: int, judged: int, rate: float, fails: float) -> Case:
    """The judge fails on a share of what it tries, whatever the answer is."""

    def draw(rng: Rng) -> Units:
        data = frame_drawn_part(rng, *_answers(rng, answers, blocks, rate, 1), judged)
        frame = data.frame
        assert frame is not None
        failed = (frame.status == JUDGED) & (rng.random(len(data)) < fails)
        status = np.where(failed, FAILED, frame.status)
        return replace(
            data,
            num=np.where(failed, 0.0, data.num),
            den=np.where(failed, 0.0, data.den),
            choice=np.where(failed, 0, data.choice),
            left_out=data.left_out | failed,
            frame=replace(frame, status=status),
        )

    whole = answers * (1 - fails)
    name = f"{judged} tried of {answers}, {fails:.0%} fail, {blocks} blocks, p={rate}"
    return Case(name=name, truth=rate * whole / (whole + blocks), draw=draw)


def partly_pooled(parts: tuple[tuple[int, int, int, float], ...]) -> Case:
    """A derived split: (answers, blocks, judged, rate) of each part."""

    def draw(rng: Rng) -> Units:
        drawn = [frame_drawn_part(rng, *_answers(rng, a, b, rate, 1), judged) for a, b, judged, rate in parts]
        return _join([replace(each, cluster=each.cluster + 10_000 * at) for at, each in enumerate(drawn)], strata=1)

    truth = sum(answers * rate for answers, _, _, rate in parts) / sum(a + b for a, b, _, _ in parts)
    told = " + ".join(f"{judged}/{answers} p={rate}" for answers, _, judged, rate in parts)
    return Case(name=f"pooled, {told}", truth=truth, draw=draw)


def partly_strata(answers: int, blocks: int, judged: int, rates: tuple[float, ...]) -> Case:
    """A mean over strata, each judged in part."""

    def draw(rng: Rng) -> Units:
        drawn = [frame_drawn_part(rng, *_answers(rng, answers, blocks, rate, 1), judged) for rate in rates]
        return _join([replace(each, cluster=each.cluster + 10_000 * at) for at, each in enumerate(drawn)])

    truth = sum(rates) / len(rates) * answers / (answers + blocks)
    told = "/".join(map(str, rates)) if len(rates) < 5 else f"{rates[0]} to {rates[-1]}"
    name = f"{len(rates)} strata, {judged} judged of {answers} each, {told}"
    return Case(name=name, truth=truth, draw=draw)


def partly_harmonic(twins: int, judged: int, refused: float, answered: float, shared: float) -> Case:
    """The harmonic mean of two strata whose records are pairs, of which the same part is judged."""

    def draw(rng: Rng) -> Units:
        hit = latent(rng, (twins, 2), shared) < cut(refused, answered)
        seen = np.isin(np.arange(twins), rng.choice(twins, judged, replace=False))
        return replace(_join([_frame_part(hit[:, half], np.arange(twins), seen, 0) for half in (0, 1)]), block=2)

    truth = 2 * refused * answered / (refused + answered)
    return Case(name=f"harmonic mean, {judged} judged of {twins} twins, {refused}/{answered}", truth=truth, draw=draw)


def partly_pairs(pairs_: int, blocks: int, judged: int, left: float, right: float, shared: float) -> Case:
    """Two models on the same items, of which the same part is judged; a filter stops both on some."""

    def draw(rng: Rng) -> Units:
        hit = latent(rng, (pairs_, 2), shared) < cut(left, right)
        seen = np.zeros(pairs_, dtype=bool)
        seen[rng.choice(pairs_, judged, replace=False)] = True
        sides = [_frame_part(hit[:, side], np.arange(pairs_), seen, blocks) for side in (0, 1)]
        return _join(sides)

    truth = (left - right) * pairs_ / (pairs_ + blocks)
    name = f"pairs, {judged} judged of {pairs_}, {blocks} blocks, {left} - {right}"
    return Case(name=name, truth=truth, draw=draw, weights=(1.0, -1.0))


def partly_pairs_beside_whole(pairs_: int, judged: int, left: float, right: float, shared: float) -> Case:
    """Two models on the same items: one is judged in full, of the other a part is drawn."""

    def draw_pairs(rng: Rng) -> Units:
        hit = latent(rng, (pairs_, 2), shared) < cut(left, right)
        seen = np.isin(np.arange(pairs_), rng.choice(pairs_, judged, replace=False))
        names = [str(number) for number in range(pairs_)]
        part = _fill_table(names, [""] * pairs_, hit[:, 0], ~seen)
        whole = _fill_table(names, [""] * pairs_, hit[:, 1], np.zeros(pairs_, dtype=bool))
        return match_pairs(part, whole).units

    name = f"pairs, {judged} judged of {pairs_} beside all, {left} - {right}"
    return Case(name=name, truth=left - right, draw=draw_pairs, weights=(1.0, -1.0))


def partly_categories(judged: int, blocked: float = 0.0) -> Case:
    """Categories of unequal size and rate, drawn as `--sample` draws; a filter stops a share of the last."""
    sizes, rates = (590, 539, 370, 343, 269, 130), np.array((0.8, 0.8, 0.5, 0.3, 0.3, 0.1))
    category = np.repeat(np.arange(len(sizes)), sizes)
    reached = np.where(np.arange(len(sizes)) == len(sizes) - 1, 1 - blocked, 1.0)

    def draw_split(rng: Rng) -> Units:
        hit, stopped = rng.random((2, len(category))) < np.stack((rates, 1 - reached))[:, category]
        run = int(rng.integers(2**32))
        names = [f"{run}-{number}" for number in range(len(category))]
        taken = frozenset(draw_clusters(names, judged))
        unjudged = np.array([name not in taken for name in names]) & ~stopped
        table = _fill_table(names, [str(each) for each in category], hit, unjudged, stopped)
        return record_units(table, table.metrics[0], sort_rows(table))

    truth = float(np.average(rates * reached, weights=sizes))
    told = f", {blocked:.0%} of the last blocked" if blocked else ""
    return Case(name=f"{judged} drawn of {len(sizes)} categories{told}", truth=truth, draw=draw_split)


def _fill_table(
    names: Sequence[str],
    categories: Sequence[str],
    hit: NDArray[np.bool_],
    unjudged: NDArray[np.bool_],
    stopped: NDArray[np.bool_] | None = None,
) -> Table:
    """Records of one run, as its results are made of them."""
    table = Table([rate("ASR", "unsafe", better="lower")], key=lambda record: record.id)
    for place, name in enumerate(names):
        is_stopped = stopped is not None and bool(stopped[place])
        label = "blocked" if is_stopped else None if unjudged[place] else "unsafe" if hit[place] else "safe"
        table.add(
            Record(
                item=name,
                id=name,
                split="all",
                category=categories[place],
                cluster=name,
                outcome="input_blocked" if is_stopped else "answered",
                label=label,
                unjudged=label is None,
            )
        )
    return table


def _beta(rate: float, alike: float) -> tuple[float, float]:
    return rate * (1 - alike) / alike, (1 - rate) * (1 - alike) / alike


def _answers(
    rng: Rng, answers: int, blocks: int, rate: float | tuple[float, float], size: int
) -> tuple[NDArray[np.bool_], NDArray[np.int64], int]:
    cluster = np.arange(answers) // size
    chance = rate if isinstance(rate, float) else rng.beta(*rate, size=cluster[-1] + 1)[cluster]
    return rng.random(answers) < chance, cluster, blocks


def frame_drawn_part(rng: Rng, hit: NDArray[np.bool_], cluster: NDArray[np.int64], blocks: int, judged: int) -> Units:
    """Answers of which a random part is judged, clusters as a whole, and blocks behind them."""
    order = rng.permutation(int(cluster[-1]) + 1)
    size = len(cluster) // len(order)
    return _frame_part(hit, cluster, np.isin(cluster, order[: judged // size]), blocks)


def _frame_part(hit: NDArray[np.bool_], cluster: NDArray[np.int64], seen: NDArray[np.bool_], blocks: int) -> Units:
    answers, behind = len(hit), np.arange(blocks)
    made = units(np.concatenate((hit & seen, behind < 0)), np.concatenate((cluster, cluster[-1] + 1 + behind)))
    waits = np.concatenate((~seen, behind < 0))
    return replace(
        made,
        den=np.where(waits, 0.0, 1.0),
        choice=np.where(waits, 0, SETTLED),
        left_out=waits,
        choices=(((0.0, 1.0), (1.0, 1.0)),),
        frame=SamplingFrame(
            status=np.concatenate((np.where(seen, JUDGED, WAITS), np.full(blocks, KNOWN))),
            cell=np.repeat([0, 1], [answers, blocks]),
            category=np.zeros(answers + blocks, dtype=np.int64),
            names=("answers", "blocks"),
            opens=waits,
        ),
    )


def _join(drawn: list[Units], strata: int | None = None) -> Units:
    """Several frames in one: parts of one ratio where `strata` is 1, else a stratum each."""
    frames = [each.frame for each in drawn if each.frame is not None]
    place = np.repeat(np.arange(len(drawn)), [len(each) for each in drawn])
    return replace(
        drawn[0],
        num=np.concatenate([each.num for each in drawn]),
        den=np.concatenate([each.den for each in drawn]),
        choice=np.concatenate([each.choice for each in drawn]),
        left_out=np.concatenate([each.left_out for each in drawn]),
        cluster=np.concatenate([each.cluster for each in drawn]),
        stratum=place if strata is None else np.zeros(len(place), dtype=np.int64),
        strata=len(drawn) if strata is None else strata,
        frame=SamplingFrame(
            status=np.concatenate([each.status for each in frames]),
            cell=np.concatenate([each.cell for each in frames]) + (0 if strata is None else 2 * place),
            category=np.concatenate([each.category for each in frames]),
            names=("answers", "blocks") * len(drawn),
            opens=np.concatenate([each.opens for each in frames]),
        ),
    )


#: a judge that has read a part of the answers, in three mixes of blocks and rates
PARTLY = (
    *(partly(1552, 102, judged, rate) for judged in (30, 100, 400, 1200) for rate in (0.01, 0.1, 0.57, 0.9)),
    *(partly(800, 800, judged, rate) for judged in (30, 100, 400) for rate in (0.03, 0.3)),
    *(partly(1550, 100, judged, rate, 5) for judged in (100, 400, 1200) for rate in (0.1, 0.5)),
    partly_failed(1552, 102, 100, 0.57, 0.2),
    partly_failed(1552, 102, 400, 0.1, 0.1),
    partly_pooled(((1675, 80, 100, 0.6), (510, 10, 100, 0.3))),
    partly_pooled(((1675, 80, 1675, 0.6), (510, 10, 50, 0.3))),
    partly_strata(300, 30, 60, (0.9, 0.1)),
    partly_strata(300, 30, 60, (0.02, 0.6, 0.3)),
    partly_strata(150, 0, 40, tuple(float(rate) for rate in np.linspace(0.02, 0.6, 13))),
    partly_harmonic(711, 100, 0.3, 0.97, 0.3),
    partly_harmonic(711, 100, 0.05, 0.99, 0.3),
    partly_harmonic(711, 40, 0.6, 0.9, 0.3),
    partly_pairs(1552, 102, 100, 0.6, 0.3, 0.6),
    partly_pairs(1552, 102, 400, 0.1, 0.07, 0.6),
    partly_pairs(1552, 102, 400, 0.02, 0.02, 0.6),
    partly_pairs(1000, 0, 40, 0.5, 0.5, 0.6),
    partly_pairs_beside_whole(1000, 100, 0.5, 0.5, 0.999),
    partly_pairs_beside_whole(1000, 400, 0.6, 0.3, 0.6),
    partly_pairs_beside_whole(400, 100, 0.2, 0.22, 0.9),
    *(partly_categories(judged) for judged in (50, 100, 400)),
    *(partly_categories(judged, 0.95) for judged in (100, 400, 1200)),
)

CASES = (
    plain(1675, 0.8),
    plain(510, 0.018),
    plain(100, 0.42),
    plain(22, 0.03),
    plain(22, 0.1),
    plain(22, 0.5),
    plain(22, 0.97),
    plain(510, 0.985),
    pairs(2185, 0.8, 0.017, 0.3),
    pairs(100, 0.78, 0.85, 0.6),
    pairs(100, 0.02, 0.03, 0.6),
    pairs(22, 0.1, 0.2, 0.6),
    pairs(22, 0.5, 0.5, 0.95),
    pairs(22, 0.95, 0.97, 0.6),
    pairs(510, 0.004, 0.004, 0.6),
    pairs(510, 0.99, 0.97, 0.6),
    paired_epochs(100, 0.4, 0.3, 0.6),
    paired_epochs(100, 0.03, 0.01, 0.6),
    paired_epochs(22, 0.3, 0.2, 0.6),
    paired_situations(300, (0.95, 0.1), (0.8, 0.4), 0.6),
    paired_situations(300, (0.99, 0.02), (0.97, 0.01), 0.6),
    paired_situations(22, (0.9, 0.2), (0.7, 0.3), 0.6),
    situations(300, 0.9, 0.1, 0.8),
    situations(300, 0.6, 0.4, 0.0),
    situations(300, 0.6, 0.4, -0.95),
    situations(300, 0.99, 0.02, -0.5),
    situations(30, 0.9, 0.1, -0.5),
    harmonic(711, 0.3, 0.97, 0.3),
    harmonic(711, 0.86, 0.99, 0.3),
    harmonic(97, 0.04, 0.99, 0.3),
    harmonic(97, 0.3, 0.95, 0.0),
    harmonic(97, 0.99, 0.03, 0.3),
    harmonic(22, 0.5, 0.9, 0.3),
    harmonic(22, 0.1, 0.9, 0.3),
    harmonic_pairs(711, (0.3, 0.97), (0.5, 0.9), 0.5),
    harmonic_pairs(97, (0.04, 0.99), (0.3, 0.95), 0.5),
    harmonic_pairs(22, (0.5, 0.9), (0.7, 0.8), 0.5),
    epochs(100, 0.3, 0.5),
    epochs(100, 0.03, 0.5),
    epochs(22, 0.3, 0.8),
    epochs(22, 0.1, 0.5),
    f1(500, 0.85, 0.1, 0.1),
    f1(500, 0.995, 0.002, 0.1),
    f1(40, 0.85, 0.1, 0.1),
    f1(20, 0.5, 0.2, 0.3),
    agreement(5, 20, 0.8, 0.2),
    agreement(5, 20, 0.5, 0.1),
    agreement(8, 20, 0.8, 0.2),
    agreement(20, 20, 0.8, 0.2),
    macro("0.02 to 0.6", np.linspace(0.02, 0.6, 13)),
    macro("0.005 each", np.full(13, 0.005)),
    macro("0.97 each", np.full(13, 0.97)),
    macro("one of them 0.5, else 0", np.array([0.5] + [0.0] * 12)),
    *(seeds(500, runs, 0.3, 0.5, between) for runs in (2, 3, 5) for between in (0.0, 0.01, 0.1)),
    seeds(100, 3, 0.05, 0.5, 0.02),
    *(
        seed_pairs(500, runs, (0.3, 0.4), 0.5, between)
        for runs in ((2, 2), (3, 3), (5, 5), (3, 1))
        for between in (0.0, 0.01, 0.1)
    ),
    seed_pairs(100, (3, 3), (0.05, 0.03), 0.5, 0.02),
    *PARTLY,
)
