"""The content of the page's templates, made from boards: tables of cells, sections, and the methods paragraph.

Nothing is HTML yet: the templates escape all text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from harness import Results
from harness.board.corrected import (
    ADDS_NOTHING,
    CorrectedNumber,
    count_things,
    describe_annotator,
)
from harness.board.display import ARROWS, NOTHING, format_estimate, format_interval, format_share, format_value
from harness.board.leaderboard import Board, Mean, find_standing, list_flags
from harness.board.published import PublishedRow
from harness.board.rows import Caution, Ends, Measure, Row
from harness.text import one_line

_WIDTH: Final = 100.0  #: width of a whisker, in its own units
_LEAST: Final = 1.5  #: least length of its line, so that a point is visible
_OWN_SETTINGS: Final = "with the providers' settings"
_OUTCOMES: Final = (
    "Every sample ends in one outcome: blocked and empty answers count as each benchmark says, and what is unresolved "
    "(errors, broken samples, judges that failed) is outside the denominator, counted beside the number, and turned "
    "into bounds."
)
_INTERVALS: Final = (
    "Intervals are 95% Wilson intervals at the effective sample size, clustered by what belongs together and stretched "
    "over those bounds; a rank counts the models whose whole interval is better."
)
_BY_PEOPLE: Final = (
    "A number by people rests on labels that people gave a random part of the answers, drawn by the judge's labels; "
    "its interval holds the judge's errors and the draw. It changes no rank, since not every model has labels."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whisker:
    """An interval as a small line in a table cell: positions of its parts, 0 to 100."""

    low: float
    high: float
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The values at the left and right ends of the whiskers of one column."""

    left: float
    right: float

    @classmethod
    def of(cls, measures: Iterable[Measure]) -> Scale:
        """The whole range for percent and shares, else the column's range."""
        given = [measure for measure in measures if measure.value is not None]
        units = {measure.unit for measure in given}
        if units <= {"%", "0-1"}:
            return cls(left=0.0, right=100.0 if units == {"%"} else 1.0)
        own = [(*measure.ci95, measure.value) for measure in given]
        own += [(*each.ci95, each.value) for measure in given if (each := measure.corrected) is not None]
        ends = [end for numbers in own for end in numbers if end is not None]
        return cls(left=min(ends), right=max(ends))

    def draw(self, number: float | None, ends: Ends) -> Whisker | None:
        """A number with its interval; None without a number."""
        if number is None:
            return None
        low, high = (number if end is None else end for end in ends)
        left, right, value = self._place(low), self._place(high), self._place(number)
        if right - left < _LEAST:
            left, right = max(0.0, value - _LEAST / 2), value + _LEAST / 2
        return Whisker(low=left, high=right, value=value)

    def _place(self, value: float) -> float:
        width = self.right - self.left
        return round(_WIDTH * min(1.0, max(0.0, (value - self.left) / width)) if width else _WIDTH / 2, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleNumber:
    """What people's labels say of a number: shown value and interval, their drawing, and what they rest on."""

    text: str
    interval: str
    labels: str
    whisker: Whisker | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One number.

    Attributes:
        text: the displayed value.
        interval: the displayed interval; empty for none.
        sort: the full value; None sorts last.
        whisker: its drawing; None for none.
        mark: `best`, `second` or nothing.
        note: why it has no rank; empty if ranked.
        main: whether it is its board's main number.
        why: why there is no value; empty if there is one.
        people: what people's labels say of it; None where they give no number.
    """

    text: str = NOTHING
    interval: str = ""
    sort: float | None = None
    whisker: Whisker | None = None
    mark: str = ""
    note: str = ""
    main: bool = False
    why: str = ""
    people: PeopleNumber | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A column of numbers: its name, its direction's arrow, and the board it links to."""

    name: str
    metric: str
    arrow: str
    anchor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One model.

    Attributes:
        model: its name.
        kind: `local weights` or `API`.
        cells: one per column.
        facts: the other columns of the row.
        cautions: cautions on its numbers.
        unranked: why it has no rank; empty if ranked.
        rank: rank in its class; None if unranked, or the table has several classes.
        revision: the model's revision; empty if unknown, or the table has several runs.
        held_out: categories that its training left out.
    """

    model: str
    kind: str
    cells: Sequence[Cell]
    facts: Sequence[str] = ()
    cautions: Sequence[Caution] = ()
    unranked: str = ""
    rank: int | None = None
    revision: str = ""
    held_out: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Lines under heads; `facts` names the columns after the numbers; `ranks`: whether lines have ranks."""

    heads: Sequence[Head]
    lines: Sequence[Line]
    facts: Sequence[str] = ()
    ranks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelling:
    """What people's labels say of one metric of one model, in words; or of several of which they say nothing.

    Attributes:
        model: the row's name.
        metric: its name and unit; several where one reason holds for all.
        judged: the judge's number with its interval; empty for several metrics.
        people: people's number with its interval, or why there is none.
        labels: how many answers are labelled, of how many.
        agreement: how far people agree.
        annotators: each person's own estimate.
        parts: the cells of the draw.
        remarks: reasons to doubt it.
    """

    model: str
    metric: str
    judged: str
    people: str
    labels: str
    agreement: str
    annotators: Sequence[str]
    parts: Sequence[str]
    remarks: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One board in full.

    Attributes:
        anchor: the id for links.
        board: the board.
        table: all its metrics.
        published: published rows of others.
        facts: facts shared by all rows: (name, text).
        notes: notes to read before comparing rows.
        labelled: what people's labels say, metric by metric.
    """

    anchor: str
    board: Board
    table: Table
    published: Sequence[PublishedRow]
    facts: Sequence[tuple[str, str]]
    notes: Sequence[str]
    labelled: Sequence[Labelling] = ()


def build_overview(boards: Sequence[Board], anchors: Sequence[str]) -> Table:
    """Models against the main numbers of all boards that are not parts of another.

    Args:
        boards: boards of the page.
        anchors: the id of each board's section.
    """
    shown = [
        (anchor, board) for anchor, board in zip(anchors, boards, strict=True) if not board.part_of and board.measures
    ]
    models: dict[str, dict[str, Row]] = {}
    for anchor, board in shown:
        for row in board.rows:
            models.setdefault(row.model, {}).setdefault(anchor, row)
    scales = {anchor: Scale.of(row.main for row in board.rows if row.main) for anchor, board in shown}
    lines: list[Line] = []
    for model, rows in models.items():
        cells = [
            Cell() if (mine := rows.get(anchor)) is None else _build_cell(board, mine, mine.main, scales[anchor])
            for anchor, board in shown
        ]
        cautions: dict[str, list[str]] = {}  # one per kind, with all their texts
        for caution in dict.fromkeys(caution for row in rows.values() for caution in row.cautions):
            cautions.setdefault(caution.kind, []).append(caution.told)
        line = Line(
            model=model,
            kind=_name_kind(next(iter(rows.values()))),
            cells=cells,
            cautions=[Caution(kind=kind, told="; ".join(texts)) for kind, texts in cautions.items()],
            held_out=tuple(dict.fromkeys(name for row in rows.values() for name in row.held_out)),
            unranked="in no table" if all(row.unranked for row in rows.values()) else "",
        )
        lines.append(line)
    return Table(heads=[_build_head(board.name, board.measures[0], anchor) for anchor, board in shown], lines=lines)


def build_section(board: Board, anchor: str, published: Sequence[PublishedRow]) -> Section:
    """A board in full."""
    names = [measure.name for measure in board.measures]
    scales = {
        name: Scale.of(each for row in board.rows for each in row.measures if each.name == name) for name in names
    }
    lines: list[Line] = []
    for row in board.rows:
        measures = {measure.name: measure for measure in reversed(row.measures)}
        again = f" in {row.epochs} epochs" if row.epochs > 1 else ""
        samples = f"{row.n}{again}{' (subset)' if row.subset is not None else ''}"
        line = Line(
            model=row.model,
            kind=_name_kind(row),
            cells=[_build_cell(board, row, measures.get(name), scales[name]) for name in names],
            facts=(samples, format_share(row.coverage), str(row.blocked), row.finished[:10]),
            revision=row.model_revision,
            held_out=row.held_out,
            cautions=row.cautions,
            unranked=row.unranked,
            rank=row.rank,
        )
        lines.append(line)
    table = Table(
        heads=[_build_head(measure.name, measure) for measure in board.measures],
        lines=lines,
        facts=("n", "Coverage", "Blocked", "Date"),
        ranks=any(row.rank is not None for row in board.rows),
    )
    return Section(
        anchor=anchor,
        board=board,
        table=table,
        published=published,
        facts=tuple(_list_shared(board).items()),
        notes=(*board.notes, *list_flags(board)),
        labelled=tuple(line for row in board.rows for line in _list_labels(row)),
    )


def _list_labels(row: Row) -> Iterator[Labelling]:
    """A line for each metric with a number by people, and one for each reason that others have none."""
    missing: dict[str, Labelling] = {}
    for measure in row.measures:
        found = measure.corrected
        if found is None:
            continue
        line = _describe_labels(row, measure, found)
        if found.value is not None:
            yield line
        elif (same := missing.get(found.why)) is None:
            missing[found.why] = replace(line, judged="", annotators=())
        else:
            missing[found.why] = replace(same, metric=f"{same.metric}, {line.metric}")
    yield from missing.values()


def _describe_labels(row: Row, measure: Measure, found: CorrectedNumber) -> Labelling:
    unit = measure.unit
    remarks = [*([ADDS_NOTHING] if found.adds_nothing else []), *found.notes]
    parts: list[str] = []
    for part in found.parts:
        share = "" if part.value is None or found.value is None else f": {format_value(part.value, unit)}"
        count = f"{part.answers}, known" if part.known else f"{part.labels} of {part.answers}"
        parts.append(f"{part.name} {count}{share}")
    return Labelling(
        model=row.model,
        metric=f"{measure.name}{' %' if unit == '%' else ''}",
        judged=format_estimate(measure.value, measure.ci95, unit),
        people=f"none: {found.why}" if found.value is None else format_estimate(found.value, found.ci95, unit),
        labels=f"{found.labels} of {found.of}" if found.of else str(found.labels),
        agreement=found.agreement,
        annotators=[describe_annotator(who, own, unit) for who, own in found.annotators.items()],
        parts=parts,
        remarks=remarks,
    )


def _build_head(name: str, measure: Measure, anchor: str = "") -> Head:
    unit = " %" if measure.unit == "%" else ""
    return Head(name=name, metric=f"{measure.name}{unit}", arrow=ARROWS.get(measure.better, ""), anchor=anchor)


def _build_cell(board: Board, row: Row, measure: Measure | None, scale: Scale) -> Cell:
    """A number of a row; the main one with its mark, or why it has no rank."""
    if measure is None:
        return Cell()
    found = measure.corrected
    people = None
    if found is not None and found.value is not None:
        people = PeopleNumber(
            text=format_value(found.value, measure.unit),
            interval=format_interval(found.ci95, measure.unit),
            labels=count_things(found.labels, "label"),
            whisker=scale.draw(found.value, found.ci95),
        )
    return Cell(
        text=format_value(measure.value, measure.unit),
        interval=format_interval(measure.ci95_worst, measure.unit),
        sort=measure.value,
        whisker=scale.draw(measure.value, measure.ci95_worst),
        mark=find_standing(board, row) if measure.main else "",
        note=row.unranked if measure.main else "",
        main=measure.main,
        why=one_line(measure.why, 200),
        people=people,
    )


def _name_kind(row: Row) -> str:
    return "local weights" if row.local else "API"


def _list_shared(board: Board) -> dict[str, str]:
    """Facts shared by the whole class: judge, wording, data, settings."""
    row = next((row for row in board.rows if row.judge.id), board.rows[0])
    settings = {name: value for name, value in row.settings.items() if value not in (None, [], "")}
    facts = {
        "Judge": row.judge.label,
        "Input wording": row.fidelity,
        "Data": f"{row.source} {replace(row, revision=row.revision[:12]).data_revision}".strip(),
        "Data hash": row.data[:12],
        "Licence": row.licence,
        "Settings": ", ".join(f"{name} {value}" for name, value in settings.items()),
    }
    return {name: one_line(text) for name, text in facts.items() if text}


def describe_methods(results: Sequence[Results], boards: Sequence[Board], means: Sequence[Mean]) -> list[str]:
    """The methods paragraph: the actual runs, in sentences for a paper; empty without runs."""
    rows = [row for board in boards for row in board.rows]
    if not rows:
        return []
    versions = _join({str(each["harness"]) for each in results})
    days = sorted(str(each[key])[:10] for each in results for key in ("started", "finished") if each.get(key))
    models = _count(len({str(each["model"]["ref"]) for each in results}), "model")
    when = f"on {days[0]}" if days[0] == days[-1] else f"between {days[0]} and {days[-1]}"
    splits: dict[str, dict[str, None]] = {}
    for board in boards:
        splits.setdefault(board.task, {})[board.split] = None
    asked = _join([f"{task} ({', '.join(names)})" for task, names in splits.items()])
    judges = _join({row.judge.label for row in rows if row.judge.id})
    given: Mapping[str, set[str]] = {
        name: {str(row.settings[name]) for row in rows if row.settings.get(name) is not None}
        for name in ("temperature", "max_tokens")
    }
    clauses = [f"at temperature {_join(given['temperature'])}"] if given["temperature"] else []
    clauses += [f"with at most {_join(given['max_tokens'])} tokens"] if given["max_tokens"] else []
    if any("temperature" in row.settings and row.settings["temperature"] is None for row in rows):
        clauses.append("with their provider's own sampling where they refuse a temperature")
    sentences = [
        f"{models} ran under vlm-safety-harness {versions} {when}.",
        f"The splits asked were those of {asked}.",
        f"Answers were generated {', '.join(clauses) if clauses else _OWN_SETTINGS}.",
        f"They were judged by {judges}." if judges else "Nobody has judged them.",
        _OUTCOMES,
        _INTERVALS,
    ]
    if any(board.shows_corrected for board in boards):
        sentences.append(_BY_PEOPLE)
    if means:
        suites = _join({mean.suite for mean in means})
        sentences.append(f"The mean of {suites} is unweighted, and null while a part is missing.")
    if unranked := sum(bool(row.unranked) for row in rows):
        shown = f"{unranked} of {_count(len(rows), 'result')} {'are' if unranked > 1 else 'is'} shown unranked"
        sentences.append(f"{shown}: incomplete, a subset, or not judged.")
    return [one_line(sentence, 2000) for sentence in sentences]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _join(names: set[str] | Sequence[str]) -> str:
    """`a, b and c`; names of a set in their order."""
    ordered = sorted(names) if isinstance(names, set) else names
    return ", ".join(ordered[:-1]) + " and " + ordered[-1] if len(ordered) > 1 else "".join(ordered)
