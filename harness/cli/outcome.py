"""Runs several models one after the other, and prints the results of runs and dry runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from harness.errors import HarnessError

from .ending import exit_code
from .stdout import results_stream, show, tell

if TYPE_CHECKING:
    from rich.console import Console

    from harness.contracts import Results
    from harness.runs.dry_run import DryRun, PlannedCalls
    from harness.runs.run import Run


class Ended(Protocol):
    """The result of a body: a run or a dry run."""

    @property
    def exit_code(self) -> int:
        """0 done, 3 done but incomplete."""
        ...


_T = TypeVar("_T", bound=Ended)
_N = TypeVar("_N", int, float)
_EXIT_CODES = (130, 1, 2, 3, 0)  #: for several runs, the first of these that occurs


def run_all(bodies: Sequence[tuple[str, Callable[[], _T]]]) -> tuple[list[_T], int]:
    """As `run_each`, but a single body's errors are raised."""
    if len(bodies) > 1:
        return run_each(bodies)
    ended = bodies[0][1]()
    return [ended], ended.exit_code


def run_each(bodies: Iterable[tuple[str, Callable[[], _T]]]) -> tuple[list[_T], int]:
    """Run bodies one after the other; a failure does not stop the rest, an interrupt does.

    Args:
        bodies: each run's name for errors, and its function.

    Returns:
        The finished runs, and the first of 130, 1, 2, 3, 0 that occurred. Errors are printed on stderr.
    """
    ended: list[_T] = []
    codes = {0}
    for name, body in bodies:

        def run(name: str = name, body: Callable[[], _T] = body) -> int:
            try:
                ended.append(body())
            except HarnessError as error:
                error.what = f"{name}: {error.what}"
                raise
            return ended[-1].exit_code

        code = exit_code(run, sys.argv[1:])
        codes.add(code)
        if code == _EXIT_CODES[0]:
            break
    return ended, choose_code(codes)


def choose_code(codes: Collection[int]) -> int:
    """The exit code of several runs: the first of 130, 1, 2, 3, 0 that occurred."""
    return next(code for code in _EXIT_CODES if code in codes)


def print_runs(
    runs: Sequence[Run], *, as_json: bool, several: bool, select: Callable[[Run], Results] | None = None
) -> None:
    """Print the table or JSON of runs on stdout, notes on stderr; for several models `--json` prints a list.

    Args:
        runs: finished ones.
        as_json: print JSON.
        several: more than one was asked for.
        select: what the table shows of a run; None for all of its results.
    """
    if as_json:
        every = [{"pending": run.pending, "folder": str(run.folder)} if run.pending else run.results for run in runs]
        show(json.dumps(every if several else every[0], ensure_ascii=False, indent=1), raw=True)
    for run in runs:
        if run.pending:
            from .interrupt import resume_hint

            for note in run.notes:
                tell(f"note: {note}")
            again = resume_hint(("harness", *sys.argv[1:]))
            tell(f"pending: {run.pending}\n  {again}")
            continue
        if not as_json:
            from harness.board.tables import print_run_table

            print_run_table(run.results if select is None else select(run), results_stream())
        for note in run.notes:
            tell(f"note: {note}")
        tell(f"results: {run.folder / 'results.json'}")


def check_upload(url: str) -> None:
    """Refuse an address of `--upload` that cannot be reached, before anything is spent. Raises HarnessError."""
    if url:
        from harness.remote import check_address

        check_address(url)


def upload_runs(runs: Sequence[Run], url: str, code: int, *, several: bool) -> int:
    """Copy finished runs to an address, each of several below it; returns the exit code.

    A run whose upload fails is done and whole here: the error is printed, and the code is 2.
    """
    if not url:
        return code
    from harness.remote import join_address
    from harness.runs.uploading import upload_run
    from harness.store.shards import find_base

    def upload(run: Run) -> int:
        name = find_base(run.folder).resolve().name
        tell(str(upload_run(run.folder, join_address(url, name) if several else url)))
        return 0

    codes = {code, *(exit_code(partial(upload, run), sys.argv[1:]) for run in runs)}
    return next(each for each in _EXIT_CODES if each in codes)


def print_dry_runs(every: Sequence[DryRun], *, as_json: bool) -> None:
    """Print samples, calls, images and bytes for each model and judge as a table; what is missing goes to stderr."""
    loads = [load for each in every for load in each.loads]
    if as_json:
        show(json.dumps([asdict(load) for load in loads], indent=1), raw=True)
        for each in every:
            if each.over_limit:
                tell(f"note: {each.over_limit}")
        return
    from rich import box
    from rich.table import Table

    from harness.board.tables import WIDTH, print_drawing

    table = Table(box=box.SIMPLE)
    for name in ("model", "as", "opened in", "task"):
        table.add_column(name)
    for name in ("samples", "calls", "images", "MB", "missing images"):
        table.add_column(name, justify="right")
    for load in loads:
        if load.left_out:
            continue
        calls = str(load.calls)  # the fewest; a judge or a plugin's strategy may have no upper bound
        if load.most_calls != load.calls:
            calls = f"{calls}+" if load.most_calls is None else f"{calls} to {load.most_calls}"
        numbers = (load.samples, calls, load.images, f"{load.bytes / 1e6:.1f}", load.missing)
        table.add_row(load.who, load.role, load.where, load.task, *(str(number) for number in numbers))
    if table.row_count:
        print_drawing(lambda console: console.print(table), WIDTH, results_stream())
    print_forecasts(loads)
    missing = [each.over_limit for each in every]
    missing += [text for load in loads for text in (load.left_out, load.incomplete)]
    notes = [*missing, *(load.note for load in loads), *(note for each in every for note in each.notes)]
    for note in dict.fromkeys(filter(None, notes)):
        tell(f"note: {note}")


def print_forecasts(loads: Sequence[PlannedCalls]) -> None:
    """Print tokens, dollars and time of the calls that are left, for each model and judge, and what they rest on."""
    from rich import box
    from rich.table import Table

    from harness.board.costs import NOT_SOLD, is_not_sold
    from harness.board.display import format_count, format_duration
    from harness.board.tables import WIDTH, print_drawing
    from harness.prices.forecast import add_ranges

    table = Table(box=box.SIMPLE)
    for name in ("model", "as", "task"):
        table.add_column(name, overflow="fold")
    for name in ("stored", "calls left", "tokens in", "tokens out", "USD", "time"):
        table.add_column(name, justify="right")
    rests: dict[tuple[bool, str], list[str]] = {}  # (whether there is a forecast, on what it rests or why not)
    unpriced: dict[str, str] = {}
    dollars: list[tuple[float, float]] = []
    for load in loads:
        found = load.forecast
        if load.left_out or found is None:
            if load.unforeseen:
                rests.setdefault((False, load.unforeseen), []).append(f"{load.who} ({load.role}), {load.task}")
            continue
        rests.setdefault((True, found.rests_on), []).append(f"{load.who} ({load.role}), {load.task}")
        if found.usd is not None:
            dollars.append(found.usd)
        else:
            unpriced[load.who] = found.usd_why
        table.add_row(
            load.who,
            load.role,
            load.task,
            str(load.stored) if load.role == "model" else "",
            _format_range(found.calls, str),
            _format_range(found.input_tokens, format_count),
            _format_range(found.output_tokens, format_count),
            _format_range(found.usd, lambda amount: f"{amount:.2f}")
            if found.usd
            else NOT_SOLD
            if is_not_sold(found.usd_why)
            else "?",
            _format_range(found.seconds, format_duration) if found.seconds else "?",
        )
    if not table.row_count:
        return
    lines: list[str] = []
    for (is_foreseen, what), who in rests.items():
        of = "; ".join(who)
        lines.append(f"The forecast of {of} rests on {what}." if is_foreseen else f"No forecast of {of}: {what}.")
    lines += [f"no dollars of {who}: {why}" for who, why in unpriced.items()]
    has_unknown = not all(is_not_sold(why) for why in unpriced.values())
    if dollars:
        low, high = add_ranges(dollars)
        lines.insert(0, f"in all: ${low:.2f} to ${high:.2f}{', without what has no price' if has_unknown else ''}")

    def draw(console: Console) -> None:
        console.print(table)
        for line in lines:
            console.print(f"  {line}", markup=False)

    print_drawing(draw, WIDTH, results_stream())


def _format_range(ends: tuple[_N, _N], form: Callable[[_N], str]) -> str:
    low, high = (form(end) for end in ends)
    return low if low == high else f"{low} to {high}"
