"""The paper table of `harness report`: its flags, its template, and the report that sets it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from harness.contracts import Rendered, Results
    from harness.plugins.host import Host


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixOptions:
    """What the flags of the paper table say; false where none is given.

    Attributes:
        wanted: `--matrix`.
        columns: file or name of a template; None for the main metric of each split.
        printed: print the template instead of the table.
        allow_mismatch: mark numbers that do not compare.
    """

    wanted: bool
    columns: str | None
    printed: bool
    allow_mismatch: bool

    def __bool__(self) -> bool:
        if self.allow_mismatch and not (self.wanted or self.columns is not None):
            raise click.UsageError("--allow-mismatch is of the paper table: give --matrix too")
        return self.wanted or self.columns is not None or self.printed

    def print_template(self, results: Sequence[Results]) -> str:
        """The template as YAML: the one that `--columns` names, else one made of the results."""
        from harness.board.matrix import suggest_template
        from harness.board.matrix_template import find_template, parse_template, write_template

        if self.columns is None:
            return write_template(suggest_template(results))
        text, where = find_template(self.columns)
        parse_template(text, where)
        return text

    def render(self, host: Host, name: str | None, output: Path | None, results: Sequence[Results]) -> Rendered:
        """The table in the named format, in that of the output's ending, or as Markdown; or the template."""
        from harness.runs.reporting import render_matrix

        if self.printed:
            return self.print_template(results)
        return render_matrix(host, name, output, results, columns=self.columns, allow_mismatch=self.allow_mismatch)


class RunsArgument(click.Argument):
    """The runs of a report; none are needed to print a template that has a name."""

    def value_is_missing(self, value: Any) -> bool:
        """As in click, but `--columns NAME --show-columns` needs no run."""
        given = click.get_current_context().params  # both are eager, so they are there
        named = given.get("printed") is True and isinstance(given.get("columns"), str)
        return not named and super().value_is_missing(value)


def matrix_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The flags of the paper table, given to a command as `matrix`."""

    @click.option(
        "--matrix", "wanted", is_flag=True, help="One table for a paper instead: models x benchmarks; see --columns."
    )
    @click.option(
        "--columns",
        metavar="FILE",
        is_eager=True,
        help="Columns and rows of that table: a YAML file, - for stdin, or a template such as mis-paper.",
    )
    @click.option(
        "--show-columns",
        "printed",
        is_flag=True,
        is_eager=True,
        help="Print the columns as YAML, to edit, and no table.",
    )
    @click.option(
        "--allow-mismatch",
        is_flag=True,
        help="Mark numbers of other judges, data or settings by footnotes instead of refusing the table.",
    )
    @wraps(function)
    def command(
        *args: Any, wanted: bool, columns: str | None, printed: bool, allow_mismatch: bool, **named: Any
    ) -> Any:
        matrix = MatrixOptions(wanted=wanted, columns=columns, printed=printed, allow_mismatch=allow_mismatch)
        return function(*args, matrix=matrix, **named)

    return command
