"""What was measured on the terminal: in colour there, plain and 120 wide elsewhere."""

from __future__ import annotations

import io
import sys
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from harness.board.display import ARROWS, NOTHING, estimate, figure, share
from harness.runs.answers import Answer
from harness.runs.seen import Sighting
from harness.stats.agreement import Agreement
from harness.terminal import one_line, plain

from .measuring import Measured, Pair, Swap

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

WIDTH = 120  #: columns where there is no terminal
SHOWN = 5  #: differing items of a split, unless --show says otherwise
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def show(model: str, splits: Sequence[Measured], texts: Mapping[str, Answer], most: int | None) -> None:
    """Print all splits on stdout."""
    from rich.console import Console

    if sys.stdout.isatty():
        draw(Console(highlight=False), model, splits, texts, most)
        return
    out = io.StringIO()
    draw(Console(file=out, width=WIDTH, highlight=False, color_system=None), model, splits, texts, most)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines()))


def draw(
    console: Console, model: str, splits: Sequence[Measured], texts: Mapping[str, Answer], most: int | None
) -> None:
    """Print all splits on a console of the caller's."""
    for place, each in enumerate(splits):
        _split(console, model, each, first=place == 0)
        _list(console, each, texts, SHOWN if most is None else most)


def _split(console: Console, model: str, each: Measured, *, first: bool) -> None:
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    blank = [] if first else [""]
    told = f"{len(each.seen.sightings)} records · {each.answered} answered · {each.common} scored by all"
    head = Text.assemble((one_line(each.seen.title), "bold"), "  ", one_line(model))
    console.print(*blank, head, Padding(Text(told, style="dim"), (0, 0, 0, 2)), sep="\n")
    if len(each.seen.judges) < 2:
        named = ", ".join(each.seen.judges) or "no judge"
        console.print(f"  {one_line(named)} alone has seen it: nothing to compare", style="yellow", markup=False)
        return
    names = names_of(each)
    notes = [Text(note, style="yellow") for note in _notes(each, names)]
    parts = [_judges(each, names), Group(_figures(each, names), *notes)]
    parts += [_confusion(each, pair, names) for pair in each.pairs if any(map(any, pair.table))]
    parts += [_swap(each, each.swap, names)] if each.swap is not None else []
    for part in parts:
        console.print("", Padding(part, (0, 0, 0, 2)), sep="\n")


def names_of(each: Measured) -> dict[str, str]:
    """A letter for each judge of a split."""
    judges = each.seen.judges
    letters = _LETTERS if len(judges) <= len(_LETTERS) else [f"J{number}" for number, _ in enumerate(judges, 1)]
    return dict(zip(judges, letters, strict=False))


def _grid(*heads: str, right: bool = False, whole: Container[int] = ()) -> Table:
    """A table with faint heads; where the terminal is too narrow, the columns in `whole` keep every character.

    With `right` all columns but the first are set to the right.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for place, head in enumerate(heads):
        side: Literal["left", "right"] = "right" if right and place else "left"
        table.add_column(Text(head), no_wrap=place in whole, overflow="fold", justify=side)
    return table


def _add(table: Table, *cells: str | Text, style: str = "") -> None:
    """A row; text of strangers is no markup."""
    from rich.text import Text

    table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells), style=style)


def _judges(each: Measured, names: Mapping[str, str]) -> RenderableType:
    from rich.text import Text

    table = _grid("", "judge", "scored", "not scored", whole=(0, 2))
    for judge, states in each.states.items():
        rest = ", ".join(f"{state} {count}" for state, count in states.items() if state != "scored")
        _add(table, Text(names[judge], style="bold"), one_line(judge), str(states["scored"]), rest)
    return table


def _figures(each: Measured, names: Mapping[str, str]) -> RenderableType:
    table = _grid("", "", "n", "agreement %", "beyond chance", whole=range(2, 5))
    for pair in each.pairs:
        both = f"{names[pair.left]} {names[pair.right]}"
        _add(table, both, "Cohen's kappa", str(pair.same.n), _shown(pair.same, 100), _shown(pair.kappa))
    for title, found in (("Fleiss' kappa", each.fleiss), ("Krippendorff's alpha", each.alpha)):
        _add(table, "all", title, str(found.n), "", _shown(found))
    return table


def _shown(found: Agreement, unit: int = 1) -> str:
    if found.value is None:
        return NOTHING
    ends = None if found.ci95 is None else [end * unit for end in found.ci95]
    return estimate(found.value * unit, ends, "%" if unit == 100 else "0-1")


def _confusion(each: Measured, pair: Pair, names: Mapping[str, str]) -> RenderableType:
    """Labels that neither has given are left out."""
    from rich.text import Text

    used = [
        number
        for number, _ in enumerate(each.labels)
        if any(pair.table[number]) or any(row[number] for row in pair.table)
    ]
    corner = f"{names[pair.left]} ↓  {names[pair.right]} →"
    table = _grid(corner, *(one_line(each.labels[number], 24) for number in used), right=True)
    for row in used:
        cells = [
            Text(str(pair.table[row][column]), style="bold green" if row == column else "yellow" if count else "dim")
            for column in used
            for count in (pair.table[row][column],)
        ]
        _add(table, one_line(each.labels[row], 24), *cells)
    return table


def _swap(each: Measured, swap: Swap, names: Mapping[str, str]) -> RenderableType:
    unit = "% " if swap.unit == "%" else ""
    title = f"{one_line(swap.name)} {unit}{ARROWS[swap.better]}".rstrip()
    table = _grid(title, "all records", "coverage", f"the {each.common} scored by all", whole=range(4))
    for judge, figures in swap.whole.items():
        value = estimate(figures["value"], figures["ci95"], swap.unit)
        _add(table, names[judge], value, share(swap.coverage[judge]), figure(swap.common[judge], swap.unit))
    if swap.ends is not None:
        low, high = (figure(end, swap.unit) for end in swap.ends)
        _add(table, "range", "", "", f"{low} to {high}", style="bold")
    return table


def _notes(each: Measured, names: Mapping[str, str]) -> Iterator[str]:
    """Why figures or their intervals are missing, those with one reason together."""
    found = [(f"{names[pair.left]} {names[pair.right]}", pair.kappa) for pair in each.pairs]
    whose: dict[str, list[str]] = {}
    for who, figures in (*found, ("Fleiss' kappa", each.fleiss), ("Krippendorff's alpha", each.alpha)):
        if figures.why is not None:
            whose.setdefault(figures.why.value, []).append(who)
    yield from (f"{', '.join(who)}: {why}" for why, who in whose.items())
    if each.swap is not None:
        name = one_line(each.swap.name)
        missing = {judge: body["why"] for judge, body in each.swap.whole.items() if "why" in body}
        yield from (f"{names[judge]}: no {name}: {one_line(why, 200)}" for judge, why in missing.items())
    if each.fault:
        yield one_line(each.fault)


def _list(console: Console, each: Measured, texts: Mapping[str, Answer], most: int) -> None:
    """The answers on which judges differ; texts only where they were asked for."""
    from rich.padding import Padding
    from rich.text import Text

    if not each.differing:
        return
    names, shown = names_of(each), each.differing[:most]
    more = "" if len(shown) == len(each.differing) else f", {len(shown)} shown (--show N)"
    folded = "" if texts or not shown else "; texts are folded (--reveal)"
    told = Text(f"{len(each.differing)} answers are labelled differently{more}{folded}", style="dim")
    console.print("", Padding(told, (0, 0, 0, 2)), sep="\n")
    if not shown:
        return
    if texts:
        for sighting in shown:
            console.print(Padding(_unfolded(sighting, texts.get(sighting.record.item), names), (0, 0, 0, 2)))
        return
    table = _grid("item", *names.values())
    for sighting in shown:
        given = (one_line(sighting.labels.get(judge, NOTHING), 24) for judge in names)
        _add(table, one_line(sighting.record.item, 60), *given)
    console.print(Padding(table, (0, 0, 0, 2)))


def _unfolded(sighting: Sighting, answer: Answer | None, names: Mapping[str, str]) -> RenderableType:
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
