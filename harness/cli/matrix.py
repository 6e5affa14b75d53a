"""The paper table of `harness report`: its flags, its template, and the report that sets it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from harness.errors import HarnessError

if TYPE_CHECKING:
    from harness.contracts import Rendered, Results
    from harness.plugins.host import Host

_DEFAULT: Final = "markdown"  #: the format that is also readable on a terminal


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
        from harness.board.matrix import build_matrix
        from harness.board.matrix_template import find_template, parse_template

        if self.printed:
            return self.print_template(results)
        able = {report.name: report for report, _ in host.offers("reports") if report.matrix is not None}
        if name is None and output is not None and output.suffix:
            named = [report.name for report in able.values() if report.suffix == output.suffix]
            name = named[0] if len(named) == 1 else None
            if name is None:
                remedy = f"give --format: {', '.join(able)}"
                raise HarnessError("no format with a paper table has this ending", where=output.name, remedy=remedy)
        report = host.report(name or _DEFAULT)
        if report.matrix is None:
            raise HarnessError(f"report {report.name} has no paper table", remedy=f"give --format {', '.join(able)}")
        template = None if self.columns is None else parse_template(*find_template(self.columns))
        made = build_matrix(
            results,
            template,
            tasks=[task for task, _ in host.offers("tasks")],
            suites=[suite.name for suite, _ in host.offers("suites")],
            allow_mismatch=self.allow_mismatch,
        )
        return report.matrix(made)


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
