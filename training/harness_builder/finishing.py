"""From a walk that came to its end to a set that is whole: photographs, files, card, and what is still open."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness import Build, Built, plugins
from harness.keys import digest
from harness_builder.calls.asking import Asking
from harness_builder.calls.book import CallBook
from harness_builder.config.plan import Plan
from harness_builder.licences import OutputLicence, terms
from harness_builder.output import Facts, RealRecord, Written, finish, write_set
from harness_builder.prompts.templates import Prompts
from harness_builder.walk.crew import Walk
from harness_builder.walk.values import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A walk that is over, and what it was made with, still open.

    Attributes:
        asked: the build as it was asked for.
        plan, licence, prompts: of the set.
        walk: that is over.
        asker: for what photographs take.
        book: the calls.
        image: sha256 -> where the build keeps an image.
    """

    asked: Build
    plan: Plan
    licence: OutputLicence
    prompts: Prompts
    walk: Walk
    asker: Asking
    book: CallBook
    image: Callable[[str], Path]


async def finished(ready: Ready) -> Built:
    """Write the set and all that is told about it."""
    made = list(ready.walk.records)
    real, licence = await photographed(ready, made)
    written = write_set(made, ready.plan, ready.asked.out, ready.image, real=real)
    facts = _facts(ready, written, licence)
    finish(facts, ready.book.told)
    return Built(folder=ready.asked.out, records=written.records, open=facts.open)


def open_ends(tally: Tally, folder: Path, written: Written) -> Iterator[str]:
    """What is still to be done, and by which command."""
    if tally.again:
        yield f"{tally.again:,} failed for a reason that may pass: run the same command again"
    waiting = sum(number for (_, end), number in tally.ends.items() if end == "waiting")
    if waiting:
        yield f"{waiting:,} wait for people: harness build review {folder}  and then the same command again"
    if not written.records and not waiting and not tally.again:
        yield "no record came all the way: see how they ended in README.md and in work/"


def _facts(ready: Ready, written: Written, licence: OutputLicence) -> Facts:
    plan, walk = ready.plan, ready.walk
    models = ready.asker.identities
    return Facts(
        plan=plan,
        written=written,
        tally=walk.tally,
        licence=licence,
        prompts=ready.prompts,
        identity=digest({"plan": plan.identity, "prompts": dict(ready.prompts.hashes), "models": dict(models)}),
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=plugins.current().provenance(),
        models=models,
        spent=ready.asker.ledger.spent(),
        near=tuple(walk.gates.near),
        contaminated=tuple(walk.gates.contaminated),
        agreed=walk.people.agreement() if walk.people else (),
        open=tuple(open_ends(walk.tally, ready.asked.out, written)),
    )
