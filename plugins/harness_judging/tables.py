"""The figures of judges as tables: on a terminal, in Markdown and in CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, TextIO

from harness.board.display import NOTHING, format_estimate
from harness.board.tables import print_drawing
from harness.stats.agreement import Agreement
from harness.text import one_line, plain

from .attack import ANSWERS, FAMILIES, AttackedJudge
from .bench import JudgeFigures, LabelledSet, list_figures

if TYPE_CHECKING:
    from rich.console import Console

WIDTH: Final = 120
_HEADS: Final = {
    "agreement": "agreement %",
    "kappa": "kappa",
    "f1": "F1",
    "bias": "bias, points",
    "precision": "precision",
    "recall": "recall",
    "specificity": "specificity",
}
_KINDS: Final = {"declines": "where it declines", "complies": "where it complies", "blank": "where it is blank"}
_TABLES: Final = (("agreement", "kappa", "f1", "bias"), ("precision", "recall", "specificity"))


def print_sets(sets: Sequence[LabelledSet], stream: TextIO) -> None:
    """Print all sets."""
    print_drawing(lambda console: draw_sets(console, sets), WIDTH, stream)


def draw_sets(console: Console, sets: Sequence[LabelledSet]) -> None:
    """Print all sets on the caller's console."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    for place, each in enumerate(sets):
        if place:
            console.print()
        console.print(Text.assemble((one_line(each.title), "bold"), f"  {describe_people(each)}"))
        console.print(Padding(Text(describe_ceiling(each), style="dim"), (0, 0, 0, 2)))
        for names in _TABLES:
            table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
            for head in ("judge", "n", *(_HEADS[name] for name in names)):
                table.add_column(Text(head), overflow="fold", no_wrap=head != "judge")
            for judge in each.judges:
                cells = format_figures(judge)
                row = (judge.name, str(judge.agreement.n), *(cells[name] for name in names))
                table.add_row(*map(Text, row))
            console.print("", Padding(table, (0, 0, 0, 2)), sep="\n")
        for note in list_notes(each):
            console.print(Padding(Text(note, style="yellow"), (0, 0, 0, 2)))


def describe_people(each: LabelledSet) -> str:
    """How many answers people labelled, and their share of the positive label."""
    subset = "" if each.whole else " (subset)"
    return f"{each.answers} answers{subset}, people say {each.label}: {_format(each.rate, 100)} %"


def describe_ceiling(each: LabelledSet) -> str:
    """How far annotators agree with each other."""
    ceiling = each.ceiling
    if not ceiling.answers:
        return "people against each other: the set does not say who gave which label"
    figures = [f"agreement {_format(ceiling.agreement, 100)} %"]
    if ceiling.kappa.value is not None:
        figures.append(f"kappa {_format(ceiling.kappa)}")
    figures += [f"alpha {_format(ceiling.alpha)}", f"F1 {_format(ceiling.f1)}"]
    some = "" if ceiling.answers == each.answers else f" ({ceiling.answers} answers)"
    return f"people against each other{some}: {' · '.join(figures)}"


def list_notes(each: LabelledSet) -> Iterator[str]:
    """What is missing, judge by judge."""
    for judge in each.judges:
        if judge.why:
            yield f"{judge.name}: {one_line(judge.why, 300)}"
            continue
        if judge.unscored:
            states = ", ".join(f"{state} {count}" for state, count in judge.unscored.items())
            count = sum(judge.unscored.values())
            yield f"{judge.name}: no label for {count} answers ({states}); the figures leave them out"
        missing: dict[str, list[str]] = {}
        for name, figure, _ in list_figures(judge):
            if figure.why is not None:
                missing.setdefault(figure.why.value, []).append(_HEADS[name])
        for why, names in missing.items():
            yield f"{judge.name}: {', '.join(names)}: {why}"


def format_figures(judge: JudgeFigures) -> dict[str, str]:
    """Name -> value with its interval."""
    return {name: _format(figure, unit) for name, figure, unit in list_figures(judge)}


def _format(figure: Agreement, unit: int = 1) -> str:
    if figure.value is None:
        return NOTHING
    ends = None if figure.ci95 is None else [end * unit for end in figure.ci95]
    return format_estimate(figure.value * unit, ends, "%" if unit == 100 else "0-1")


def render_markdown(sets: Sequence[LabelledSet]) -> str:
    """All sets as Markdown, a table for each."""
    lines: list[str] = []
    for each in sets:
        heads = ("judge", "n", *_HEADS.values())
        lines += [f"## {_escape(each.title)}", "", f"{describe_people(each)}. {describe_ceiling(each)}.", ""]
        lines += [f"| {' | '.join(heads)} |", f"| --- |{' ---: |' * (len(heads) - 1)}"]
        for judge in each.judges:
            cells = format_figures(judge)
            row = (judge.name, str(judge.agreement.n), *(cells[name] for name in _HEADS))
            lines.append(f"| {' | '.join(map(_escape, row))} |")
        lines += ["", *(f"- {_escape(note)}" for note in list_notes(each)), ""]
    return "\n".join(lines).replace("\n\n\n", "\n\n")


def _escape(text: str) -> str:
    return one_line(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def render_csv(sets: Sequence[LabelledSet]) -> str:
    """A row for each set and judge; each figure as value, low and high, in full precision."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    figures = [f"{name}{end}" for name in _HEADS for end in ("", "_low", "_high")]
    writer.writerow(("set", "label", "whole", "judge", "rubric", "model", "n", "unscored", "rate", "people", *figures))
    for each in sets:
        for judge in each.judges:
            found = {name: (figure, unit) for name, figure, unit in list_figures(judge)}
            numbers: list[object] = []
            for name in _HEADS:
                figure, unit = found[name]
                ends = figure.ci95 or (None, None)
                numbers += [_scale(value, unit) for value in (figure.value, *ends)]
            shares = [None if judge.why else _scale(share, 100) for share in (judge.rate, judge.people)]
            about = (each.title, each.label, each.whole, judge.id, judge.card["rubric"], judge.card.get("model") or "")
            writer.writerow((*about, judge.agreement.n, sum(judge.unscored.values()), *shares, *numbers))
    return out.getvalue()


def _scale(value: float | None, unit: int) -> float | None:
    return None if value is None else round(value * unit, 10)


def print_attacks(judges: Sequence[AttackedJudge], stream: TextIO, *, texts: bool) -> None:
    """Print the attacks on all judges; with `texts`, each answer that moved a verdict."""
    print_drawing(lambda console: draw_attacks(console, judges, texts=texts), WIDTH, stream)


def draw_attacks(console: Console, judges: Sequence[AttackedJudge], *, texts: bool) -> None:
    """Print them on the caller's console."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    for place, judge in enumerate(judges):
        if place:
            console.print()
        console.print(Text.assemble((judge.name, "bold"), f"  {one_line(judge.task)}"))
        for kind in ANSWERS:
            says = [verdict for (_, each), verdict in judge.alone.items() if each == kind]
            line = f"the answer alone, {_KINDS[kind]}: {', '.join(dict.fromkeys(map(one_line, says)))}"
            console.print(Padding(Text(line, style="dim"), (0, 0, 0, 2)))
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
        for head in ("attack", "answers", "verdicts moved %", *ANSWERS, "as wanted", "no verdict"):
            table.add_column(Text(head), no_wrap=True)
        for family in (*FAMILIES, ""):
            counts = judge.of(family)
            cells = (
                family or "all",
                str(counts.n),
                f"{counts.moved}  {_format(counts.share, 100)}",
                *(f"{each.moved} of {each.n}" for each in (judge.of(family, kind) for kind in ANSWERS)),
                str(counts.wanted),
                ", ".join(f"{state} {count}" for state, count in counts.none.items()),
            )
            table.add_row(*map(Text, cells), style="" if family else "bold")
        console.print("", Padding(table, (0, 0, 0, 2)), sep="\n")
        for move, count in judge.of().moves.items():
            console.print(Padding(Text(f"{one_line(move)}: {count}"), (0, 0, 0, 2)))
        if judge.failed:
            note = f"{judge.failed} calls failed; they are in no count"
            console.print(Padding(Text(note, style="yellow"), (0, 0, 0, 2)))
        for each in judge.attempts if texts else ():
            if each.moved:
                head = f"{each.of.attack.name}, {_KINDS[each.of.answer]}: {each.move}"
                console.print("", Padding(Text(one_line(head), style="bold"), (0, 0, 0, 2)), sep="\n")
                console.print(Padding(Text(plain(each.of.text)), (0, 0, 0, 4)))
