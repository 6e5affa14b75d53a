"""What the page's templates show: cells, columns and lines, made of boards; text is still text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.board.display import ARROWS, NOTHING, figure, share, span
from harness.board.flagged import flagged
from harness.board.published import PublishedRow
from harness.board.standing import standing
from harness.board.values import Board, Caution, Measure, Row
from harness.terminal import one_line

from .whiskers import Scale, Whisker

LOCAL, API = "local weights", "API"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One number.

    Attributes:
        text: the value as it is read.
        interval: as it is read; empty for none.
        sort: the value in full; None sorts last.
        whisker: its drawing; None for none.
        mark: `best`, `second` or nothing.
        note: why it has no rank; empty where it has one.
        main: the number of its board that ranks.
        why: there is no value; empty where there is one.
    """

    text: str = NOTHING
    interval: str = ""
    sort: float | None = None
    whisker: Whisker | None = None
    mark: str = ""
    note: str = ""
    main: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A column of numbers: its name, the arrow of its direction, and the board it leads to."""

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
        cells: one for each column.
        facts: what else stands in the row, column by column.
        cautions: on any of its numbers.
        unranked: it has no rank, and why.
        rank: in its class; None where it has none, or the table is of several classes.
        revision: of the model; empty where it is not known, or the table is of several runs.
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
    """Lines under heads; `facts` names the columns after the numbers; `ranks`: the lines have them."""

    heads: Sequence[Head]
    lines: Sequence[Line]
    facts: Sequence[str] = ()
    ranks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One board in full.

    Attributes:
        anchor: what links lead to.
        board: it.
        table: all its metrics.
        published: rows of others beside it.
        facts: what all its rows share: (name, text).
        notes: what a reader must know before comparing rows.
    """

    anchor: str
    board: Board
    table: Table
    published: Sequence[PublishedRow]
    facts: Sequence[tuple[str, str]]
    notes: Sequence[str]


def overview(boards: Sequence[Board], anchors: Mapping[int, str]) -> Table:
    """Models against the main numbers of all boards that are not parts of another.

    Args:
        boards: of the page.
        anchors: place of a board -> what links to it.
    """
    shown = [(place, board) for place, board in enumerate(boards) if not board.part_of and board.measures]
    rows: dict[str, dict[int, Row]] = {}
    for place, board in shown:
        for row in board.rows:
            rows.setdefault(row.model, {}).setdefault(place, row)
    scales = {place: Scale.of(row.main for row in board.rows if row.main) for place, board in shown}
    return Table(
        heads=[_head(board.name, board.measures[0], anchors[place]) for place, board in shown],
        lines=[
            Line(
                model=model,
                kind=_kind(next(iter(mine.values()))),
                cells=[_main_cell(board, mine.get(place), scales[place]) for place, board in shown],
                cautions=_together(caution for row in mine.values() for caution in row.cautions),
                held_out=tuple(dict.fromkeys(name for row in mine.values() for name in row.held_out)),
                unranked="in no table" if all(row.unranked for row in mine.values()) else "",
            )
            for model, mine in rows.items()
        ],
    )


def _together(cautions: Iterable[Caution]) -> tuple[Caution, ...]:
    """One caution of each kind, which tells what each of them does."""
    told: dict[str, list[str]] = {}
    for caution in dict.fromkeys(cautions):
        told.setdefault(caution.kind, []).append(caution.told)
    return tuple(Caution(kind=kind, told="; ".join(texts)) for kind, texts in told.items())


def section(board: Board, anchor: str, published: Sequence[PublishedRow]) -> Section:
    """A board in full."""
    return Section(
        anchor=anchor,
        board=board,
        table=_table(board),
        published=published,
        facts=tuple(_shared(board).items()),
        notes=(*board.notes, *flagged(board)),
    )


def _table(board: Board) -> Table:
    scales = {
        name: Scale.of(measure for row in board.rows for measure in row.measures if measure.name == name)
        for name in (measure.name for measure in board.measures)
    }
    return Table(
        heads=[_head(measure.name, measure) for measure in board.measures],
        facts=("n", "Coverage", "Blocked", "Date"),
        ranks=any(row.rank is not None for row in board.rows),
        lines=[
            Line(
                model=row.model,
                kind=_kind(row),
                cells=[_cell(board, row, head.name, scales[head.name]) for head in board.measures],
                facts=(_samples(row), share(row.coverage), str(row.blocked), row.finished[:10]),
                revision=row.model_revision,
                held_out=row.held_out,
                cautions=row.cautions,
                unranked=row.unranked,
                rank=row.rank,
            )
            for row in board.rows
        ],
    )


def _head(name: str, measure: Measure, anchor: str = "") -> Head:
    unit = " %" if measure.unit == "%" else ""
    arrow = ARROWS.get(measure.better, "")
    return Head(name=name, metric=f"{measure.name}{unit}", arrow=arrow, anchor=anchor)


def _main_cell(board: Board, row: Row | None, scale: Scale) -> Cell:
    if row is None or row.main is None:
        return Cell()
    return _number(row.main, scale, mark=standing(board, row), note=row.unranked)


def _cell(board: Board, row: Row, name: str, scale: Scale) -> Cell:
    measure = next((measure for measure in row.measures if measure.name == name), None)
    if measure is None:
        return Cell()
    mark = standing(board, row) if measure.main else ""
    return _number(measure, scale, mark=mark, note=row.unranked if measure.main else "")


def _number(measure: Measure, scale: Scale, *, mark: str, note: str) -> Cell:
    return Cell(
        text=figure(measure.value, measure.unit),
        interval=span(measure.ci95_worst, measure.unit),
        sort=measure.value,
        whisker=scale.whisker(measure),
        mark=mark,
        note=note,
        main=measure.main,
        why=one_line(measure.why, 200),
    )


def _kind(row: Row) -> str:
    return LOCAL if row.local else API


def _samples(row: Row) -> str:
    part = " (subset)" if row.subset is not None else ""
    again = f" in {row.epochs} epochs" if row.epochs > 1 else ""
    return f"{row.n}{again}{part}"


def _shared(board: Board) -> dict[str, str]:
    """What is one for the whole class: judge, wording, data, settings."""
    judged = next((row for row in board.rows if row.judge.id), board.rows[0])
    settings = {name: value for name, value in judged.settings.items() if value not in (None, [], "")}
    told = {
        "Judge": judged.judge.label,
        "Input wording": judged.fidelity,
        "Data": f"{judged.source} {replace(judged, revision=judged.revision[:12]).data_revision}".strip(),
        "Data hash": judged.data[:12],
        "Licence": judged.licence,
        "Settings": ", ".join(f"{name} {value}" for name, value in settings.items()),
    }
    return {name: one_line(text) for name, text in told.items() if text}
