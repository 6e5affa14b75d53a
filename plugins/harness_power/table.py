"""The plan as a table in the terminal, in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from harness.board.costs import NOT_SOLD, is_not_sold
from harness.board.display import NOTHING, format_head, format_interval
from harness.board.tables import WIDTH, print_drawing
from harness.errors import HarnessError
from harness.runs.power_plan import PAIRED, PowerBasis, PowerRow
from harness.text import one_line

if TYPE_CHECKING:
    from rich.console import Console


def check_limit(basis: PowerBasis, limit: float) -> None:
    """Raise HarnessError where the expected rate breaks the limit, so no number of samples can show that it is kept."""
    rate = 100 * basis.model.rate
    measured = f": it was {describe_measure(basis)}" if basis.rate_ci95 is not None else ""
    if basis.better == "higher" and rate <= limit:
        what = (
            f"the expected rate {rate:.1f} is not above the limit {limit:g}, so no number of samples shows that it is"
            f"{measured}"
        )
        raise HarnessError(what, remedy="give a --rate above it, or a lower --limit")
    if basis.better != "higher" and rate >= limit:
        what = (
            f"the expected rate {rate:.1f} is not below the limit {limit:g}, so no number of samples shows that it is"
            f"{measured}"
        )
        raise HarnessError(what, remedy="give a --rate below it, or a higher --limit")


def print_table(basis: PowerBasis, rows: Sequence[PowerRow], power: float) -> None:
    """Print what each goal needs on stdout."""

    def draw(console: Console) -> None:
        from rich.padding import Padding
        from rich.table import Table
        from rich.text import Text

        head = format_head(basis.metric, basis.unit, basis.better) if basis.metric else "a rate"
        console.print(Text(one_line(f"{basis.title}: {head}"), style="bold"))
        for line in describe_basis(basis, pairs=any(row.goal in PAIRED for row in rows)):
            console.print(Padding(Text(one_line(line, 2000), style="dim"), (0, 0, 0, 2)))
        console.print()
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
        table.add_column(f"To, in {100 * power:g} of 100 evaluations", overflow="fold")
        for title in ("Seeds", "Samples", "Calls", "Dollars", "Chance"):
            table.add_column(title, justify="right", no_wrap=True)
        for row in rows:
            cells = (
                describe_goal(row, basis.better),
                str(row.seeds),
                format_samples(row, basis),
                NOTHING if row.calls is None else f"{row.calls:,}",
                format_dollars(row, basis),
                NOTHING if row.samples is None else f"{100 * row.power:.0f}%",
            )
            table.add_row(*map(Text, cells), style="" if row.enough is not False else "yellow")
        console.print(Padding(table, (0, 0, 0, 2)))
        console.print()
        for line in describe_end(basis, rows):
            console.print(Padding(Text(one_line(line, 2000)), (0, 0, 0, 2)))

    print_drawing(draw, WIDTH)


def describe_basis(basis: PowerBasis, *, pairs: bool) -> Iterator[str]:
    """What is known or assumed, and where it comes from; `pairs` is whether a plan compares two runs."""
    model, sources = basis.model, basis.sources
    measured = f"; {describe_measure(basis)}" if basis.rate_ci95 is not None else ""
    yield f"true rate {100 * model.rate:.1f} ({sources['rate']}{measured})"
    if sources["design_effect"] == "assumed":
        yield "each answer counts for itself: no run says how clusters hang together"
    else:
        yield f"clusters multiply the variance by {model.design_effect:.2f} ({sources['design_effect']})"
    if pairs and sources["correlation"] == "assumed":
        yield "two models' answers are taken as unrelated, the worst case: a run of another model tells how they are"
    elif pairs:
        yield f"two models' answers correlate by {model.correlation:.2f} ({sources['correlation']})"
    if sources["seed_sd"] == "assumed":
        yield "seeds are taken not to differ: several seeds of one run, or --seed-sd, tell how they do"
    else:
        yield f"true rates differ by {100 * model.seed_sd:.2f} points (sd) between seeds ({sources['seed_sd']})"


def describe_measure(basis: PowerBasis) -> str:
    """On how many answers the rate was measured, with its interval: `measured on 10 answers [0.0, 27.8]`."""
    return f"measured on {basis.rate_answers:,} answers {format_interval(basis.rate_ci95)}"


def describe_goal(row: PowerRow, better: str) -> str:
    """What is wanted, in words."""
    if row.goal == "detect":
        way = f", from {row.rates[0]:.1f} to {row.rates[1]:.1f}" if len(row.rates) > 1 else ""
        return f"find a difference of {row.size:g} points{way}"
    if row.goal == "margin":
        return f"show an equal model to be worse by at most {row.size:g} points"
    if row.goal == "limit":
        return f"show {row.rates[0]:.1f} to be at {'least' if better == 'higher' else 'most'} {row.size:g}"
    return f"have an interval at most {row.size:g} points wide"


def format_samples(row: PowerRow, basis: PowerBasis) -> str:
    """How many samples, beside how many there are."""
    if row.samples is None:
        return "out of reach"
    if row.enough is False:
        return f"{row.samples:,} (!): the split has {basis.published:,}"
    return f"{row.samples:,}" + (f" of {basis.published:,}" if basis.published else "")


def format_dollars(row: PowerRow, basis: PowerBasis) -> str:
    """What one side costs."""
    if row.cost_usd is None:
        return NOT_SOLD if is_not_sold(basis.cost_why) else "unknown"
    return f"{row.cost_usd:,.2f}"


def describe_end(basis: PowerBasis, rows: Sequence[PowerRow]) -> Iterator[str]:
    """What the whole split reaches, and what the columns count."""
    short = [row for row in rows if row.enough is False]
    for row in rows:
        if row.worst_rate is not None:
            end = "lower" if basis.better == "higher" else "upper"
            told = f"{row.rates[0]:.1f} was {describe_measure(basis)}; at the {end} end {row.worst_rate:.1f}"
            if row.worst_samples is None:
                yield f"{told} no number of samples suffices: give --rate"
            else:
                yield f"{told} it takes {row.worst_samples:,} samples"
        if basis.published is None or row.goal == "limit":
            continue
        seeds = f" and {row.seeds} seeds" if row.seeds > 1 else ""
        what = {"detect": "a difference", "margin": "a margin", "width": "a width"}[row.goal]
        told = "none" if row.reach is None else f"{row.reach:.1f} points"
        yield f"all {basis.published:,} samples{seeds} reach {what} of {told}"
    if short:
        yield "(!): the split has fewer samples; seeds, epochs or another test set can help, more samples cannot"
    if any(row.goal in PAIRED for row in rows):
        yield "calls and dollars are those of one side; both runs answer the same samples"
    if all(row.cost_usd is None for row in rows):
        start = "no dollars" if is_not_sold(basis.cost_why) else "dollars are not known"
        yield f"{start}: {basis.cost_why or 'no run says what its answers cost'}"
    if any(row.seeds > 1 and row.goal in PAIRED for row in rows):
        yield "each side is the mean of so many runs that differ in a seed alone"
