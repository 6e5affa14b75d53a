"""The leaderboard: results in, one board for each task, split and class of comparability out. Reports draw only this.

Rows are ranked only within one class of comparability: the same judge (its rubric, template, settings and snapshot),
wording, task version, data and settings. Each class is a board of its own, which says how it differs from the others.
Subsets and incomplete results are in the class they would belong to and are never ranked. A rank is one more than the
number of rows whose whole interval is better, so rows that cannot be told apart share it. The interval is
`ci95_worst`, which covers what unresolved records could still have been.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from harness.board.corrected import RANKED_BY_JUDGE, explain_corrected
from harness.board.display import (
    format_estimate,
    format_flags,
    format_interval,
    format_share,
    format_value,
)
from harness.board.judging import explain_judging
from harness.board.rows import Ends, Measure, Row
from harness.board.sections import Section, list_sections, read_rows
from harness.contracts import Results
from harness.matrix import Standing
from harness.metrics import Better
from harness.stats.intervals import Interval
from harness.types import Json

_TURNS: Final[Mapping[Better, float]] = {"lower": 1.0, "higher": -1.0, "neither": 0.0}
_NAMED: Final = 5  #: models in one remark; more are counted
_IN_THE_NAME: Final = frozenset({"attack", "strategy", "system"})  #: cautions that the row's name tells already
_LETTERS: Final = (*string.ascii_uppercase, *(a + b for a in string.ascii_uppercase for b in string.ascii_uppercase))
_Basis = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """The rows of one split that may be compared, best first, unranked ones last.

    Attributes:
        task: its displayed name.
        split: its name.
        part_of: the derived split that pools this one; empty for none.
        rows: best first.
        group: letter that tells it from the split's other boards; empty where it is the only one.
        apart: what of the basis differs from those.
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
    def topic(self) -> str:
        """What its split asks about: `safety`, `over-refusal`, `ability`; empty for another kind, or if unknown."""
        return next((row.topic for row in self.rows if row.topic), "")

    @property
    def shows_corrected(self) -> bool:
        """Whether people's labels give the main number of a row."""
        mains = [row.main.corrected for row in self.rows if row.main is not None]
        return any(each is not None and each.value is not None for each in mains)

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The columns: each metric once, the main one first."""
        named = {measure.name: measure for row in reversed(self.rows) for measure in row.measures}
        order = dict.fromkeys(measure.name for row in self.rows for measure in row.measures)
        return tuple(sorted((named[name] for name in order), key=lambda measure: not measure.main))


def boards(results: Sequence[Results]) -> tuple[Board, ...]:
    """The boards of each task and split, tasks in the order of the results; a derived split first, its parts last.

    Args:
        results: dicts of results.json, one per run.
    """
    found: dict[tuple[str, str], list[tuple[int, Section]]] = {}
    for run, result in enumerate(results):
        for section in list_sections(result):
            found.setdefault((section.task, section.split), []).append((run, section))
    owners = {(s.task, part): s.split for split in found.values() for _, s in split for part in s.parts}
    tasks = list(dict.fromkeys(task for task, _ in found))
    derived = {(task, owner) for (task, _), owner in owners.items()}
    order = sorted(found, key=lambda key: (tasks.index(key[0]), key in owners, key not in derived))
    return tuple(
        board
        for task, split in order
        for board in _rank_split(
            Board(
                task=task,
                split=split,
                part_of=owners.get((task, split), ""),
                rows=tuple(replace(row, run=run) for run, section in found[task, split] for row in read_rows(section)),
            )
        )
    )


def _rank_split(board: Board) -> Iterator[Board]:
    """All rows of a split as a board for each class, named apart, ranked and sorted, with their notes."""
    rows = [replace(row, unranked=_explain_unranked(row)) for row in name_apart(board.rows)]
    # Rows rest on the data's hash too where all runs asked the same splits: only then is it of the same data. What is
    # not ranked rests on it only if it asked the same: the hash is over all that its run asked of the task.
    asked = {row.asked for row in rows if not row.unranked}
    if len(asked) == 1:
        rows = [replace(row, basis={**row.basis, "data": row.data[:8]}) if row.asked in asked else row for row in rows]
    classes = _group_by_basis(rows)
    letters = dict(zip(classes, _LETTERS, strict=False)) if len(classes) > 1 else {}
    names = dict.fromkeys(name for basis in classes for name, _ in basis)
    differing = [name for name in names if len({dict(basis).get(name, "") for basis in classes}) > 1]
    for basis, members in classes.items():
        apart = "; ".join(f"{name} {dict(basis).get(name) or 'unset'}" for name in differing)
        members.sort(key=_sort_key)
        ranks = rank_intervals([None if row.unranked else _worst_interval(row) for row in members])
        placed = [replace(row, rank=rank) for row, rank in zip(members, ranks, strict=True)]
        # a wide interval shares a better rank than its value has: ranks stand in order
        placed.sort(key=lambda row: (row.rank is None, row.rank or 0))
        notes = [f"Ranked apart from other results of this split, by: {apart}."] if apart else []
        models: dict[str, list[str]] = {}  # remark -> models that it holds for
        for row in placed:
            remarks = list(_remark_on(row))
            for pairing in row.paired.values():
                remarks += _describe_pairing(pairing, board.split, row)
            for remark in remarks:
                models.setdefault(remark, []).append(row.model)
        for remark, several in models.items():
            shown = list(dict.fromkeys(several))
            left = len(shown) - _NAMED
            named = ", ".join(shown) if left <= 1 else f"{', '.join(shown[:_NAMED])} and {left} more"
            notes.append(f"{named}: {remark}.")
        yield replace(
            board,
            rows=tuple(placed),
            group=letters.get(basis, ""),
            apart=apart,
            notes=tuple(dict.fromkeys(notes)),  # two judges of a run may earn the same
        )


def _group_by_basis(rows: Sequence[Row]) -> dict[_Basis, list[Row]]:
    """Basis -> its rows; the class with most ranked rows first."""
    found: dict[_Basis, list[Row]] = {}

    def without(basis: _Basis, names: frozenset[str]) -> _Basis:
        return tuple(pair for pair in basis if pair[0] not in names)

    for row in sorted(rows, key=lambda row: len(_open_basis(row))):
        mine = tuple(sorted((name, value) for name, value in row.basis.items() if value))
        is_open = _open_basis(row)
        home = (basis for basis in found if without(basis, is_open) == without(mine, is_open))
        found.setdefault(next(home, mine), []).append(row)
    return dict(sorted(found.items(), key=lambda each: -sum(not row.unranked for row in each[1])))


def _open_basis(row: Row) -> frozenset[str]:
    """The names of its basis that decide nothing: a subset has other samples, some rows have no judge or no hash."""
    part = row.subset is not None
    free = (("samples", part), ("data", part or "data" not in row.basis), ("judge", not row.judge.id))
    return frozenset(name for name, is_free in free if is_free)


def _explain_unranked(row: Row) -> str:
    if row.unranked:
        return row.unranked
    if row.main is None or row.main.value is None:
        return (row.main and row.main.why) or "nothing scored"
    if partial := explain_partial(row):
        return partial
    if row.main.better == "neither":
        return f"neither direction of {row.main.name} is better"
    return "" if _worst_interval(row) is not None else "no interval"


def explain_partial(row: Row) -> str:
    """Why a row stands for less than its split: a subset, or too few results; empty if it stands for the whole."""
    if row.subset is not None:
        return f"subset ({_format_subset(row)})"
    return "" if row.complete else f"incomplete (coverage {format_share(row.coverage)})"


def _worst_interval(row: Row) -> Interval | None:
    return None if row.main is None else turn_interval(row.main.ci95_worst, row.main.better)


def turn_interval(ends: Ends, better: Better) -> Interval | None:
    """An interval turned so that lower is better, as ranks use it; None if there is none or neither is better."""
    low, high = ends
    if low is None or high is None or better == "neither":
        return None
    return (low, high) if better == "lower" else (-high, -low)


def rank_intervals(intervals: Sequence[Interval | None]) -> list[int | None]:
    """The rank of each interval: one more than the number of those that are wholly better; None for none."""
    return [
        None if mine is None else 1 + sum(other is not None and other[1] < mine[0] for other in intervals)
        for mine in intervals
    ]


def _sort_key(row: Row) -> tuple[bool, bool, float]:
    value = None if row.main is None else row.main.value
    turned = 0.0 if value is None or row.main is None else value * _TURNS[row.main.better]
    return bool(row.unranked), value is None, turned


def find_standing(board: Board, row: Row) -> Standing:
    """The mark of a row: `best` for the only row of rank 1, `second` for the only one of rank 2 if others follow.

    A rank is significant by itself: it counts the rows whose whole interval is better. A single row is not best, and
    rows that share a rank have no mark.
    """
    return mark_rank(row.rank, [other.rank for other in board.rows])


def mark_rank(rank: int | None, ranks: Sequence[int | None]) -> Standing:
    """The mark of one rank among those of its column, itself among them."""
    every = [other for other in ranks if other is not None]
    if len(every) < 2 or rank is None or rank > 2 or every.count(1) != 1 or every.count(rank) != 1:
        return ""
    return "best" if rank == 1 else "second" if len(every) > 2 else ""


def name_runs(results: Sequence[Results]) -> list[str]:
    """The name of each run's model, as the rows of a board would have it; without results the model's ref alone.

    Args:
        results: dicts of results.json, one per run.
    """
    rows = [next((row for section in list_sections(result) for row in read_rows(section)), None) for result in results]
    named = iter(_name_by_options([row for row in rows if row is not None]))
    return [
        str(result["model"]["ref"]) if row is None else next(named).model
        for row, result in zip(rows, results, strict=True)
    ]


def name_apart(rows: Sequence[Row]) -> Iterator[Row]:
    """Each row's name: the ref, what was put around it, and what tells it from others of that name."""
    named = _name_by_options(rows)
    for row in named:
        twins = [other for other in named if (other.model, other.judge.id) == (row.model, row.judge.id)]
        # Runs of one model that were asked in one way differ in how much of the split was asked, in their folder, or in
        # when they ended: results from Python have no folder, and folders of two places may have one name.
        if len({_format_subset(twin) for twin in twins}) > 1:
            yield replace(row, model=_add_detail(row.model, _format_subset(row)))
        elif row.folder and len({twin.folder for twin in twins}) == len(twins) > 1:
            yield replace(row, model=_add_detail(row.model, f"folder {row.folder}"))
        elif len({twin.finished for twin in twins}) > 1:
            yield replace(row, model=_add_detail(row.model, f"finished {row.finished}"))
        else:
            yield row


def _name_by_options(rows: Sequence[Row]) -> list[Row]:
    """Each row's name as far as the model and its settings give it."""

    def base(row: Row) -> str:
        around = (f"attack {row.attack}" if row.attack else "", "system prompt" if row.system else "")
        name = " + ".join(part for part in (row.ref, row.strategy, *around) if part)
        return f"{name} ({len(row.seeds)} seeds)" if row.seeds else name

    def detail(row: Row) -> str:
        every = [each.options for each in rows if base(each) == base(row)]
        names = dict.fromkeys(name for options in every for name in options)
        differing = [name for name in names if len({options.get(name, "") for options in every}) > 1]
        told = [f"{name}={row.options.get(name) or 'unset'}" for name in differing if name != "identity"]
        return f"identity {row.options['identity']}" if differing and not told else ", ".join(told)

    return [replace(row, model=_add_detail(base(row), detail(row))) for row in rows]


def _add_detail(name: str, detail: str) -> str:
    return f"{name} ({detail})" if detail else name


def _format_subset(row: Row) -> str:
    return ", ".join(f"{name} {value}" for name, value in (row.subset or {}).items())


def _remark_on(row: Row) -> Iterator[str]:
    main = row.main
    if row.unranked:
        bounds = ""
        if main is not None and main.unresolved:
            bounds = f"; {main.name} of all records lies in {format_interval(main.bounds, main.unit)}"
        yield f"not ranked: {row.unranked}{bounds}"
        if main is not None and main.unresolved:  # some pages show the first interval, some the second
            resolved, stretched = (format_interval(ends, main.unit) for ends in (main.ci95, main.ci95_worst))
            if resolved and stretched and resolved != stretched:
                yield (
                    f"the 95% interval of {main.name} is {resolved} of what is resolved; stretched over the"
                    f" {main.unresolved:g} unresolved it is {stretched}"
                )
    if row.n_expected is not None and row.n != row.n_expected and row.subset is None:
        yield f"{row.n} samples, where {row.n_expected} are published"
    if main is not None and not row.unranked:  # the interval ranks use, where it differs from the one in the table
        worst = format_interval(main.ci95_worst, main.unit)
        if worst != format_interval(main.ci95, main.unit):
            yield f"{main.unresolved:g} unresolved, so {main.name} is ranked by {worst}"
    yield from (caution.told for caution in row.cautions if caution.kind not in _IN_THE_NAME)
    yield from (note.removesuffix(".") for note in row.noted)


def _describe_pairing(pairing: Mapping[str, Json], left: str, row: Row) -> Iterator[str]:
    """A sentence on each metric of a comparison inside the task."""
    units = {measure.name: measure.unit for measure in row.measures}
    for metric in pairing:
        if metric not in ("pairs", "unmatched"):
            side: Mapping[str, Json] = pairing[metric]
            unit = units.get(metric, "%")
            values = f"{format_value(side[left], unit)} against {format_value(side['synthetic'], unit)}"
            difference = format_estimate(side["difference"], side["ci95"], unit)
            left_out = f" less {side['unresolved']} unresolved" if side.get("unresolved") else ""
            matched = f"{pairing['pairs']} pairs{left_out}, {pairing['unmatched']} unmatched"
            yield f"{metric} {values} on its twins, difference {difference} ({matched})"


def list_flags(board: Board) -> tuple[str, ...]:
    """Sentences on the rows of a board.

    Each row with answers that are cut off, marked as a refusal or shaped like a verdict has one; so have other numbers
    than the main one without a value, estimated numbers, main numbers that several judges or repeats of the judge give,
    numbers by people, and categories that a training left out.
    """
    marked = ((row, format_flags(row.flags)) for row in board.rows)
    sentences = [f"{row.model}: of {row.outcomes['answered']} answers, {flags}." for row, flags in marked if flags]
    sentences = list(dict.fromkeys(sentences))
    for row in board.rows:  # why the main number has no value is said where the row is not ranked
        missing: dict[str, list[str]] = {}
        for measure in row.measures:
            if measure.value is None and measure.why and not measure.main:
                missing.setdefault(measure.why, []).append(measure.name)
        sentences += [f"{row.model}: no value of {', '.join(names)}: {why}." for why, names in missing.items()]
    for row in board.rows:
        if row.main is not None and row.main.estimated is not None:
            judged, of = row.main.estimated
            sentences.append(f"{row.model}: estimated for {of} answers from the {judged} that are judged.")
    sentences += [sentence for row in board.rows for sentence in _describe_seeds(row)]
    for row in board.rows:
        if row.main is not None:
            sentences += explain_judging(row.model, row.main.value, row.main.unit, row.over_judges, row.repeats)
    for row in board.rows:
        ordered = sorted(row.measures, key=lambda each: not each.main)
        corrected = {each.name: (each.corrected, each.unit) for each in ordered if each.corrected is not None}
        sentences += explain_corrected(row.model, corrected)
    if board.shows_corrected and any(row.rank is not None for row in board.rows):
        sentences.append(RANKED_BY_JUDGE)
    for row in board.rows if any(row.held_out for row in board.rows) else ():
        for category, measure in row.held_out_measures.items() if row.primary else ():
            number = format_estimate(measure.value, measure.ci95_worst, measure.unit)
            sentences.append(f"{row.model}: {category} was held out of its training; {measure.name} there is {number}.")
    return tuple(sentences)


def _describe_seeds(row: Row) -> Iterator[str]:
    """How the main number of a mean over seeds varies from run to run."""
    main = row.main
    if main is not None and main.by_seed:
        values = ", ".join(
            f"{format_value(value, main.unit)} (seed {seed})"
            for (_, seed), value in zip(row.seeds, main.by_seed, strict=True)
        )
        few = "; an interval over two seeds is too narrow at times: three or more are better"
        yield (
            f"{row.model}: {main.name} is the mean of {values}; standard deviation "
            f"{format_value(main.spread, main.unit)}{few if len(row.seeds) == 2 else ''}."
        )


def licences(boards: Sequence[Board]) -> tuple[tuple[str, str, str], ...]:
    """(task, source, licence) of the data behind the numbers, each once."""
    every = ((board.task, row.source, row.licence) for board in boards for row in board.rows)
    return tuple(dict.fromkeys(each for each in every if each[2]))
