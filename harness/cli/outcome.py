"""Runs several models one after the other, and prints the results of runs and dry runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from harness.errors import HarnessError

from .ending import exit_code
from .stdout import results_stream, show, tell

if TYPE_CHECKING:
    from rich.console import Console

    from harness.contracts import Results
    from harness.prices.forecast import Forecast
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
    """Print what each model and judge would be asked as a table; what is missing goes to stderr."""
    loads = [load for each in every for load in each.loads]
    if as_json:
        show(json.dumps([asdict(load) for load in loads], indent=1), raw=True)
        for each in every:
            if each.over_limit:
                tell(f"note: {each.over_limit}")
        return
    print_calls([load for load in loads if not load.left_out])
    missing = [each.over_limit for each in every]
    missing += [text for load in loads for text in (load.left_out, load.incomplete)]
    notes = [*missing, *(load.note for load in loads), *(note for each in every for note in each.notes)]
    for note in dict.fromkeys(filter(None, notes)):
        tell(f"note: {note}")


def print_calls(loads: Sequence[PlannedCalls]) -> None:
    """Print what each model and judge would be asked, and what that takes, in one table; below it what it rests on."""
    if not loads:
        return
    from rich.table import Table

    from harness.board.display import format_count, format_duration
    from harness.board.tables import WIDTH, print_drawing

    has = {
        "stored": any(load.stored for load in loads),
        "missing": any(load.missing for load in loads),
        "tokens in": any(load.forecast is not None for load in loads),
        "time": any(load.forecast is not None and load.forecast.seconds for load in loads),
    }
    has["tokens out"] = has["USD"] = has["tokens in"]
    names = ("samples", "stored", "calls", "images", "MB", "missing", "tokens in", "tokens out", "USD", "time")
    shown = [name for name in names if has.get(name, True)]
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for name in ("model", "as", "task"):
        table.add_column(name, overflow="fold")
    for name in shown:
        table.add_column(name, justify="right", no_wrap=True)
    for load in loads:
        found = load.forecast
        cells = {
            "samples": str(load.samples),
            "stored": str(load.stored) if load.role == "model" else "",
            "calls": _format_calls(load),
            "images": str(load.images),
            "MB": f"{load.bytes / 1e6:.1f}",
            "missing": str(load.missing),
            "tokens in": "?" if found is None else _format_range(found.input_tokens, format_count),
            "tokens out": "?" if found is None else _format_range(found.output_tokens, format_count),
            "USD": "?" if found is None else _format_usd(found),
            "time": _format_range(found.seconds, format_duration) if found and found.seconds else "?",
        }
        table.add_row(load.who, load.role, load.task, *(cells[name] for name in shown))
    lines = list(_describe_calls(loads))

    def draw(console: Console) -> None:
        console.print()
        console.print(table)
        console.print()
        for line in lines:
            console.print(line, markup=False)

    print_drawing(draw, WIDTH, results_stream())


def _format_calls(load: PlannedCalls) -> str:
    """The calls that are left, as far as they are foreseen; else the fewest, which a strategy or a judge may exceed."""
    if load.forecast is not None:
        return _format_range(load.forecast.calls, str)
    if load.most_calls is None:
        return f"{load.calls}+"
    return _format_range((load.calls, load.most_calls), str)


def _format_usd(found: Forecast) -> str:
    from harness.board.costs import format_cost

    if found.usd is None:
        return format_cost(None, found.usd_why)
    return _format_range(found.usd, lambda amount: format_cost(amount, ""))


def _describe_calls(loads: Sequence[PlannedCalls]) -> Iterator[str]:
    """The dollars of all, where models would run, and what each forecast rests on."""
    from harness.board.costs import is_not_sold
    from harness.prices.forecast import add_ranges

    forecasts = [(load.who, load.forecast) for load in loads if load.forecast is not None]
    unpriced = {who: found.usd_why for who, found in forecasts if found.usd is None}
    if dollars := [found.usd for _, found in forecasts if found.usd is not None]:
        low, high = add_ranges(dollars)
        partly = not all(is_not_sold(why) for why in unpriced.values())
        yield f"in all: ${low:.2f} to ${high:.2f}{', without what has no price' if partly else ''}"
    places = {load.who: load.where for load in loads if load.where != "elsewhere"}
    yield from (f"{who} is opened in {where}" for who, where in places.items())
    rests: dict[tuple[bool, str], list[str]] = {}  # (whether there is a forecast, on what it rests or why not)
    for load in loads:
        of = f"{load.who} ({load.role}), {load.task}"
        if load.forecast is not None:
            rests.setdefault((True, load.forecast.rests_on), []).append(of)
        elif load.unforeseen:
            rests.setdefault((False, load.unforeseen), []).append(of)
    for (is_foreseen, what), who in rests.items():
        of = "; ".join(who)
        yield f"The forecast of {of} rests on {what}." if is_foreseen else f"No forecast of {of}: {what}."
    yield from (f"no dollars of {who}: {why}" for who, why in unpriced.items())


def _format_range(ends: tuple[_N, _N], form: Callable[[_N], str]) -> str:
    low, high = (form(end) for end in ends)
    return low if low == high else f"{low} to {high}"
