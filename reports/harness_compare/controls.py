"""The table of controls as text: on the terminal, as Markdown, and as CSV."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from harness.board.display import NOTHING, format_head, format_interval, format_value
from harness.board.rows import TOY_DATA
from harness.board.sheet import render_csv
from harness.board.tables import WIDTH, print_drawing, render_drawing
from harness.runs.comparing.controls import ControlRow, ControlsTable
from harness.text import escape_markdown, one_line

from .formats import format_p, format_signed

if TYPE_CHECKING:
    from rich.console import Console

_LEGEND: Final = (
    "Each row: the same items with and without the attack, over those resolved in both. n: what both numbers are "
    "divided by, as `without / with it` where that differs. Difference: with it - without. Brackets: 95% interval; "
    "worst case: stretched over all that the unresolved could have been. p: Holm over all main metrics of the model. A "
    "difference near 0 under drop, with a narrow interval: the number does not rest on the images. May change: items "
    "whose words name a place among the images, so that another answer may be right, of the items resolved in both."
)


def print_controls(table: ControlsTable) -> None:
    """Print the table on stdout, in colour on a terminal."""
    print_drawing(lambda console: _draw(console, table), WIDTH)


def render_controls(table: ControlsTable, form: str) -> str:
    """The table as `terminal`, `markdown`, `csv` or `json`."""
    if form == "json":
        return json.dumps(table.as_json(), ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    if form == "csv":
        return _render_csv(table)
    if form == "markdown":
        return _render_markdown(table)
    return render_drawing(lambda console: _draw(console, table), WIDTH)


def _group(table: ControlsTable) -> Iterator[tuple[str, list[ControlRow]]]:
    """The rows of each model and split, under a head that names them."""
    groups: dict[tuple[str, str], list[ControlRow]] = {}
    for row in table.rows:
        groups.setdefault((row.model, row.title), []).append(row)
    for (model, title), rows in groups.items():
        yield f"{model} · {title} · {format_head(rows[0].metric, rows[0].unit, rows[0].better)}", rows


def _list_columns(rows: Sequence[ControlRow]) -> list[str]:
    heads = ["under", "n", "without", "with it", "difference", "95% interval"]
    heads += ["worst case"] if any(row.ci95_worst for row in rows) else []
    heads += ["p"]
    return [*heads, *(["may change"] if any(row.may_change for row in rows) else [])]


def _format_row(row: ControlRow, columns: Sequence[str]) -> list[str]:
    cells = {
        "under": name_attack(row),
        "n": f"{row.value_of:g}" if row.plain_of == row.value_of else f"{row.plain_of:g} / {row.value_of:g}",
        "without": format_value(row.plain, row.unit),
        "with it": format_value(row.value, row.unit),
        "difference": format_signed(row.difference, row.unit),
        "95% interval": format_interval(row.ci95, row.unit) or NOTHING,
        "worst case": format_interval(row.ci95_worst, row.unit) if row.ci95_worst else "",
        "p": format_p(row.p_holm),
        "may change": f"{row.may_change} of {row.resolved}" if row.may_change else "",
    }
    return [cells[name] or "" for name in columns]


def name_attack(row: ControlRow) -> str:
    """The attack with the settings that are given."""
    given = ", ".join(f"{name}={one_line(str(value), 20)}" for name, value in row.settings.items() if value)
    return f"{row.attack} ({given})" if given else row.attack


def _list_notes(table: ControlsTable) -> Iterator[str]:
    toys = dict.fromkeys(row.title for row in table.rows if row.toy)
    if toys:
        yield f"{TOY_DATA}: {', '.join(toys)}"
    yield from dict.fromkeys(f"{row.title} under {row.attack}: {row.why}" for row in table.rows if row.why)
    lacking = dict.fromkeys(
        f"{row.title} under {row.attack}: {row.common - row.resolved} of {row.common} items are not resolved in both"
        for row in table.rows
        if row.resolved < row.common
    )
    yield from lacking
    yield from table.notes


def _draw(console: Console, table: ControlsTable) -> None:
    from rich.table import Table
    from rich.text import Text

    for head, rows in _group(table):
        console.print(Text(one_line(head), style="bold"))
        columns = _list_columns(rows)
        drawn = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
        for name in columns:
            drawn.add_column(name, justify="left" if name in ("under", "95% interval", "worst case") else "right")
        for row in rows:
            drawn.add_row(*(Text(one_line(cell)) for cell in _format_row(row, columns)))
        console.print(drawn)
        console.print()
    for note in _list_notes(table):
        console.print(Text(one_line(note, 2000)), style="yellow")
    console.print(Text(_LEGEND, style="dim"))


def _render_markdown(table: ControlsTable) -> str:
    blocks: list[str] = []
    for head, rows in _group(table):
        columns = _list_columns(rows)
        lines = [columns, ["---", *["---:"] * (len(columns) - 1)]]
        lines += [[escape_markdown(cell) for cell in _format_row(row, columns)] for row in rows]
        blocks += [f"### {escape_markdown(head)}", "\n".join(f"| {' | '.join(cells)} |" for cells in lines)]
    blocks.append("\n".join(f"- {escape_markdown(note)}" for note in _list_notes(table)))
    blocks.append(f"<sub>{escape_markdown(_LEGEND)}</sub>")
    return "\n\n".join(block for block in blocks if block) + "\n"


def _render_csv(table: ControlsTable) -> str:
    """One line for each row; no text can act as a formula."""
    names = [
        *("model", "task", "split", "metric", "unit", "better", "attack", "settings", "control", "run", "common"),
        *("resolved", "plain", "plain_of", "value", "value_of", "difference", "ci_low", "ci_high", "worst_low"),
        *("worst_high", "p_holm", "finding", "may_change", "toy", "why"),
    ]
    lines: list[dict[str, object]] = []
    for row in table.as_json()["rows"]:
        low, high = row.pop("ci95") or ("", "")
        worst_low, worst_high = row.pop("ci95_worst") or ("", "")
        row["settings"] = json.dumps(row["settings"], sort_keys=True)
        lines.append({**row, "ci_low": low, "ci_high": high, "worst_low": worst_low, "worst_high": worst_high})
    return render_csv(names, lines)
