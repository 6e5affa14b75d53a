"""The dollars of a run folder: what it has cost, and whether `--max-usd` can be kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from harness.batches import list_batches
from harness.batches.log import read_costs
from harness.errors import HarnessError
from harness.evaluation.judges import explain_live, resolve_settings
from harness.evaluation.options import Options
from harness.evaluation.splits import JudgeChoice
from harness.limits.quota import Budget
from harness.models import Resolved
from harness.prices import PriceBook, read_prices
from harness.prices.costs import MODEL, CostSum, read_sellers
from harness.prices.spending import Spending, Spent, check_prices
from harness.store.folder import RunFolder, find_repeated_judge
from harness.store.journal import load_objects
from harness.store.records import calls_of
from harness.store.run_file import Invocation, RunFile


def open_costs(file: RunFile, book: PriceBook, *, opened: bool = False) -> dict[str, CostSum]:
    """Sums for the dollars of a run's model and of each of its judges that asks one.

    With `opened`, also of judges that a command opened, though it ended before its results.
    """
    sellers = read_sellers(file.prices)
    refs = {MODEL: file.model.ref}
    if opened:
        noted = cast("Mapping[str, Mapping[str, Any]]", file.prices.get("sellers") or {})
        refs |= {name: str(each["ref"]) for name, each in noted.items() if "ref" in each}
    refs |= {judge: str(ref) for judge, card in file.judges.items() if (ref := card.get("model"))}
    return {name: CostSum(book, ref, sellers.get(name)) for name, ref in refs.items()}


def open_book(options: Options, file: RunFile | None) -> PriceBook:
    """The prices of an invocation: the user's of now, then those that the run knows from earlier ones."""
    known = {} if file is None else read_prices(file.prices.get("own") or {}, "run.json")
    return PriceBook({**known, **options.prices})


def open_spending(options: Options, folder: RunFolder, spent: Spent) -> Spending:
    """The dollars of an invocation in a folder."""
    file = None if options.fresh else folder.run
    book = open_book(options, file)
    if options.limit_usd is None:
        return Spending(book, spent=spent)
    budget = Budget(Decimal(str(options.limit_usd)), spent=count_spent(folder, file, book))
    return Spending(book, budget, spent=spent)


def join_prices(every: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """`prices` of several parts of one run, from run.json; the first that names a model or judge counts."""
    sellers: dict[str, Any] = {}
    own: dict[str, Any] = {}
    for each in every:
        sellers = {**(each.get("sellers") or {}), **sellers}
        own = {**(each.get("own") or {}), **own}
    return {"sellers": sellers, **({"own": own} if own else {})} if sellers else {}


def check_limit(
    options: Options, folder: RunFolder, choices: Iterable[JudgeChoice], model: Resolved | None = None
) -> None:
    """Refuse a `--max-usd` that cannot be kept: a price is unknown, or more is spent. Raises HarnessError.

    Args:
        options: the run's.
        folder: of the run.
        choices: its judges.
        model: the model that will be asked; None only judges.
    """
    if options.limit_usd is None:
        return
    file = None if options.fresh else folder.run
    book = open_book(options, file)
    asked = [] if model is None else [(model, model.find_batch_fault())]
    for choice in choices:
        judge = resolve_settings(choice, options).model
        if judge is not None:
            asked.append((judge, explain_live(choice, judge)))
    for each, live in asked:
        check_prices(book, [(each.spec.ref, each.seller)], options.limit_usd, batch=options.batch and not live)
    spent = count_spent(folder, file, book)
    waiting = file is not None and options.batch and list_batches(folder.path).unfinished  # their answers are paid for
    if spent > Decimal(str(options.limit_usd)) and not waiting:
        part = f", of which this shard has {options.limit_usd:g}," if options.shard else ""
        raise HarnessError(
            f"--max-usd {options.max_usd:g}{part} is less than what this run has cost already: ${spent:.4f}",
            where=str(folder.path),
            remedy="give a larger --max-usd, or another folder with --output",
        )


def count_spent(folder: RunFolder, file: RunFile | None, book: PriceBook) -> Decimal:
    """Dollars that a run folder has cost, as far as prices are known.

    Every line counts, also an answer that a later one replaced. A command that noted more than the lines of its time is
    believed: it knows of tries that failed. A command that was killed noted nothing, so its lines count beside what
    others noted. The answers of batches that were read count, though no line may hold them yet. A batch whose results
    are gone counts at the most that it may have cost, and so does a call that got no answer.
    """
    if file is None:
        return Decimal()
    noted = _join_periods(file.history)
    costs = [open_costs(file, book, opened=True) for _ in range(len(noted) + 1)]  # the last: of no command's time
    for who, line in _load_paid_lines(folder.path):
        at = _read_time(str(line["at"]))
        place = next((n for n, each in enumerate(noted) if each.start <= at < each.end), -1)
        if who in costs[place] and (calls := calls_of(line)):
            models = cast("list[str]", line["models"] if "models" in line else [line["model"]])
            costs[place][who].add(line, calls, reported=models[0] if len(models) == 1 else "", answered=False)
    sums = [sum((cost.known or Decimal() for cost in each.values()), Decimal()) for each in costs]
    total = sum((max(lines, each.dollars) for lines, each in zip(sums, noted, strict=False)), sums[-1])
    total = max(total, sum(read_costs(folder.path).values(), Decimal()))
    return total + list_batches(folder.path).lost + sum_unanswered(file.history)


def sum_unanswered(history: Iterable[Invocation]) -> Decimal:
    """The most dollars of all calls of a run that got no answer."""
    return sum((Decimal(str(entry.unanswered_usd or 0)) for entry in history), Decimal())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Period:
    """The time of one command that noted its dollars, or of several that overlap, such as the shards of a run."""

    start: datetime
    end: datetime
    dollars: Decimal


def _join_periods(history: Iterable[Invocation]) -> list[_Period]:
    noted = [entry for entry in history if entry.spent_usd]
    periods: list[_Period] = []
    for entry in sorted(noted, key=lambda each: _read_time(each.started)):
        start, dollars = _read_time(entry.started), Decimal(str(entry.spent_usd))
        end = _read_time(entry.finished) + timedelta(seconds=1)  # both are whole seconds, rounded down
        if periods and start < periods[-1].end:
            last = periods.pop()
            start, end, dollars = last.start, max(last.end, end), last.dollars + dollars
        periods.append(_Period(start=start, end=end, dollars=dollars))
    return periods


def _read_time(text: str) -> datetime:
    """A moment of run.json or of a line; one that cannot be read is in no command's time."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return datetime.min.replace(tzinfo=UTC)


def _load_paid_lines(folder: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each whole line of the answers and verdicts, with `model` or the id of its judge."""
    for path in sorted((*folder.glob("*/responses.jsonl"), *folder.glob("*/verdicts-*.jsonl"))):
        who = MODEL
        if path.name != "responses.jsonl":
            who = find_repeated_judge(path.name.removeprefix("verdicts-").removesuffix(".jsonl"))
        for line in load_objects(path):
            if {"usage", "at"} <= line.keys():
                yield who, line
