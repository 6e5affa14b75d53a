"""The gate's table in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.board.tables import WIDTH, print_drawing
from harness.runs.gating.result import GateResult, RuleState
from harness.text import one_line

from .words import (
    describe_end,
    describe_rule,
    format_ends,
    format_limit,
    format_number,
    format_samples,
    format_verdict,
    list_notes,
    name_rule,
)

if TYPE_CHECKING:
    from rich.console import Console

_COLOURS: Final = {0: "green", 2: "red", 3: "yellow", 5: "bold red"}


def print_table(found: GateResult) -> None:
    """Print the rules with their verdicts on stdout, in colour on a terminal."""

    def draw(console: Console) -> None:
        from rich.padding import Padding
        from rich.table import Table
        from rich.text import Text

        for run in found.runs:
            console.print(Text(f"{one_line(run.run)}  {one_line(run.name)}".rstrip(), style="bold"))
            rules = [rule for rule in found.rules if rule.run == run.run]
            table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
            table.add_column("Rule", overflow="fold", min_width=12)
            table.add_column("Number", justify="right", no_wrap=True)
            table.add_column("95% interval", no_wrap=True)
            table.add_column("n", justify="right", no_wrap=True)
            table.add_column("Limit", no_wrap=True)
            table.add_column("Verdict", overflow="fold")
            for rule in rules:
                style = "dim" if rule.state is RuleState.SKIPPED else _COLOURS[found.code(rule)]
                table.add_row(
                    Text(one_line(name_rule(rule), 2000)),
                    Text(format_number(rule)),
                    Text(format_ends(rule)),
                    Text(format_samples(rule)),
                    Text(format_limit(rule)),
                    Text(format_verdict(found, rule), style=style),
                )
            console.print(Padding(table, (0, 0, 0, 2)))
            for rule in rules:
                if rule.state not in (RuleState.PASSED, RuleState.SKIPPED):
                    told = one_line(f"{rule.rule}: {describe_rule(rule)}", 2000)
                    console.print(Padding(Text(told, style="dim" if found.code(rule) == 0 else ""), (0, 0, 0, 2)))
            for rule in rules:
                if rule.state is RuleState.SKIPPED:
                    told = one_line(f"not asked: {rule.rule}: {rule.why}", 2000)
                    console.print(Padding(Text(told, style="dim"), (0, 0, 0, 2)))
        for note in list_notes(found):
            console.print(Text(one_line(f"note: {note}", 2000), style="dim"))
        console.print(Text(describe_end(found), style=_COLOURS[found.exit_code]))

    print_drawing(draw, WIDTH)
