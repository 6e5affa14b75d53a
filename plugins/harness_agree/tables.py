"""The agreement of judges as tables: in colour on a terminal, plain and 120 wide elsewhere."""

from __future__ import annotations

import io
import sys
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from harness.board.display import ARROWS, NOTHING, format_estimate, format_share, format_value
from harness.runs.stored import JudgedRecord
from harness.stats.agreement import Agreement
from harness.store.reader import Answer
from harness.text import one_line, plain

from .agreement import JudgePair, MetricByJudge, SplitAgreement

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

WIDTH = 120  #: columns without a terminal
SHOWN = 5  #: differing items of a split, unless --show says otherwise
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def print_tables(model: str, splits: Sequence[SplitAgreement], texts: Mapping[str, Answer], most: int | None) -> None:
    """Print all splits on stdout."""
    from rich.console import Console

    if sys.stdout.isatty():
        draw_tables(Console(highlight=False), model, splits, texts, most)
        return
    out = io.StringIO()
    draw_tables(Console(file=out, width=WIDTH, highlight=False, color_system=None), model, splits, texts, most)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines()))


def draw_tables(
    console: Console, model: str, splits: Sequence[SplitAgreement], texts: Mapping[str, Answer], most: int | None
) -> None:
    """Print all splits on the caller's console."""
    for place, each in enumerate(splits):
        _draw_split(console, model, each, first=place == 0)
        _draw_differing(console, each, texts, SHOWN if most is None else most)


def _draw_split(console: Console, model: str, each: SplitAgreement, *, first: bool) -> None:
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    blank = [] if first else [""]
    counts = f"{len(each.seen.records)} records · {each.answered} answered · {each.common} scored by all"
    head = Text.assemble((one_line(each.seen.title), "bold"), "  ", one_line(model))
    console.print(*blank, head, Padding(Text(counts, style="dim"), (0, 0, 0, 2)), sep="\n")
    if len(each.seen.judges) < 2:
        judges = ", ".join(each.seen.judges) or "no judge"
        console.print(f"  only {one_line(judges)} judged it: nothing to compare", style="yellow", markup=False)
        return
    names = name_judges(each)
    notes = [Text(note, style="yellow") for note in _notes(each, names)]
    parts = [_judge_table(each, names), Group(_figure_table(each, names), *notes)]
    parts += [_confusion_table(each, pair, names) for pair in each.pairs if any(map(any, pair.table))]
    parts += [_metric_table(each, each.metric, names)] if each.metric is not None else []
    for part in parts:
        console.print("", Padding(part, (0, 0, 0, 2)), sep="\n")


def name_judges(each: SplitAgreement) -> dict[str, str]:
    """A letter for each judge of a split."""
    judges = each.seen.judges
    letters = _LETTERS if len(judges) <= len(_LETTERS) else [f"J{number}" for number, _ in enumerate(judges, 1)]
    return dict(zip(judges, letters, strict=False))


def _new_table(*heads: str, right: bool = False, whole: Container[int] = ()) -> Table:
    """A table with faint heads; on a narrow terminal, the columns in `whole` keep every character.

    `right` aligns all columns but the first to the right.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for place, head in enumerate(heads):
        side: Literal["left", "right"] = "right" if right and place else "left"
        table.add_column(Text(head), no_wrap=place in whole, overflow="fold", justify=side)
    return table


def _add_row(table: Table, *cells: str | Text, style: str = "") -> None:
    """Add a row; untrusted text is not read as markup."""
    from rich.text import Text

    table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells), style=style)


def _judge_table(each: SplitAgreement, names: Mapping[str, str]) -> RenderableType:
    from rich.text import Text

    table = _new_table("", "judge", "scored", "not scored", whole=(0, 2))
    for judge, states in each.states.items():
        rest = ", ".join(f"{state} {count}" for state, count in states.items() if state != "scored")
        _add_row(table, Text(names[judge], style="bold"), one_line(judge), str(states["scored"]), rest)
    return table


def _figure_table(each: SplitAgreement, names: Mapping[str, str]) -> RenderableType:
    table = _new_table("", "", "n", "agreement %", "beyond chance", whole=range(2, 5))
    for pair in each.pairs:
        both = f"{names[pair.left]} {names[pair.right]}"
        _add_row(
            table, both, "Cohen's kappa", str(pair.same.n), _format_figure(pair.same, 100), _format_figure(pair.kappa)
        )
    for title, found in (("Fleiss' kappa", each.fleiss), ("Krippendorff's alpha", each.alpha)):
        _add_row(table, "all", title, str(found.n), "", _format_figure(found))
    return table


def _format_figure(found: Agreement, unit: int = 1) -> str:
    if found.value is None:
        return NOTHING
    ends = None if found.ci95 is None else [end * unit for end in found.ci95]
    return format_estimate(found.value * unit, ends, "%" if unit == 100 else "0-1")


def _confusion_table(each: SplitAgreement, pair: JudgePair, names: Mapping[str, str]) -> RenderableType:
    """Labels that neither judge used are left out."""
    from rich.text import Text

    used = [
        number
        for number, _ in enumerate(each.labels)
        if any(pair.table[number]) or any(row[number] for row in pair.table)
    ]
    corner = f"{names[pair.left]} ↓  {names[pair.right]} →"
    table = _new_table(corner, *(one_line(each.labels[number], 24) for number in used), right=True)
    for row in used:
        cells = [
            Text(str(pair.table[row][column]), style="bold green" if row == column else "yellow" if count else "dim")
            for column in used
            for count in (pair.table[row][column],)
        ]
        _add_row(table, one_line(each.labels[row], 24), *cells)
    return table


def _metric_table(each: SplitAgreement, metric: MetricByJudge, names: Mapping[str, str]) -> RenderableType:
    unit = "% " if metric.unit == "%" else ""
    title = f"{one_line(metric.name)} {unit}{ARROWS[metric.better]}".rstrip()
    table = _new_table(title, "all records", "coverage", f"the {each.common} scored by all", whole=range(4))
    for judge, figures in metric.whole.items():
        value = format_estimate(figures["value"], figures["ci95"], metric.unit)
        _add_row(
            table,
            names[judge],
            value,
            format_share(metric.coverage[judge]),
            format_value(metric.common[judge], metric.unit),
        )
    if metric.ends is not None:
        low, high = (format_value(end, metric.unit) for end in metric.ends)
        _add_row(table, "range", "", "", f"{low} to {high}", style="bold")
    return table


def _notes(each: SplitAgreement, names: Mapping[str, str]) -> Iterator[str]:
    """Why figures or intervals are missing, grouped by reason."""
    found = [(f"{names[pair.left]} {names[pair.right]}", pair.kappa) for pair in each.pairs]
    whose: dict[str, list[str]] = {}
    for who, figures in (*found, ("Fleiss' kappa", each.fleiss), ("Krippendorff's alpha", each.alpha)):
        if figures.why is not None:
            whose.setdefault(figures.why.value, []).append(who)
    yield from (f"{', '.join(who)}: {why}" for why, who in whose.items())
    if each.metric is not None:
        name = one_line(each.metric.name)
        missing = {judge: body["why"] for judge, body in each.metric.whole.items() if "why" in body}
        yield from (f"{names[judge]}: no {name}: {one_line(why, 200)}" for judge, why in missing.items())
    if each.fault:
        yield one_line(each.fault)


def _draw_differing(console: Console, each: SplitAgreement, texts: Mapping[str, Answer], most: int) -> None:
    """The answers on which judges differ; texts only if requested."""
    from rich.padding import Padding
    from rich.text import Text

    if not each.differing:
        return
    names, shown = name_judges(each), each.differing[:most]
    more = "" if len(shown) == len(each.differing) else f", {len(shown)} shown (--show N)"
    folded = "" if texts or not shown else "; texts are folded (--reveal)"
    count = Text(f"{len(each.differing)} answers are labelled differently{more}{folded}", style="dim")
    console.print("", Padding(count, (0, 0, 0, 2)), sep="\n")
    if not shown:
        return
    if texts:
        for sighting in shown:
            console.print(Padding(_show_texts(sighting, texts.get(sighting.record.item), names), (0, 0, 0, 2)))
        return
    table = _new_table("item", *names.values())
    for sighting in shown:
        given = (one_line(sighting.labels.get(judge, NOTHING), 24) for judge in names)
        _add_row(table, one_line(sighting.record.item, 60), *given)
    console.print(Padding(table, (0, 0, 0, 2)))


def _show_texts(sighting: JudgedRecord, answer: Answer | None, names: Mapping[str, str]) -> RenderableType:
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    lines: list[RenderableType] = [Text(one_line(sighting.record.item), style="bold")]
    if answer is not None:
        for name, text in (("question", answer.question), ("answer", answer.text)):
            lines += [Text(name, style="dim"), Padding(Text(plain(text).strip()), (0, 0, 0, 2))]
    for judge, label in sighting.labels.items():
        reason = one_line(sighting.reasons.get(judge, ""), 2000)
        lines.append(Text.assemble((names[judge], "bold"), f"  {one_line(label)}", (f"  {reason}", "dim")))
    return Group(*lines, "")
