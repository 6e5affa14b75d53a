"""From a walk that came to its end to a set that is whole: photographs, files, card, and what is still open."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from harness import Build, Built, plugins
from harness.keys import digest
from harness_builder.calls.asking import Asking
from harness_builder.calls.book import CallBook
from harness_builder.config.plan import Plan
from harness_builder.licences import OutputLicence
from harness_builder.output import Facts, Written, finish, write_set
from harness_builder.output.fewer import fewer, held
from harness_builder.output.libraries import ran_on
from harness_builder.output.manifest import planned
from harness_builder.output.placeless import placeless
from harness_builder.prompts.templates import Prompts
from harness_builder.real.unused import drop_unused
from harness_builder.terms import licence_in, tell_needless
from harness_builder.walk.crew import Walk
from harness_builder.walk.losses import losses, open_losses, told
from harness_builder.walk.values import Tally

from .photographed import Photographed, photographed

_TIES: Final = 5  # that are named each


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A walk that is over, and what it was made with, still open.

    Attributes:
        asked: the build as it was asked for.
        plan, prompts: of the set.
        walk: that is over.
        asker: for what photographs take.
        book: the calls.
        image: sha256 -> where the build keeps an image.
    """

    asked: Build
    plan: Plan
    prompts: Prompts
    walk: Walk
    asker: Asking
    book: CallBook
    image: Callable[[str], Path]


async def finished(ready: Ready) -> Built:
    """Write the set and all that is told about it."""
    plan, asked = ready.plan, ready.asked
    shown = await photographed(ready.walk, plan, ready.book.folder, asked.accepted, asked.tell)
    before = held(asked.out)
    written = write_set(ready.walk.records, plan, asked.out, ready.image, real=shown.records)
    drop_unused(ready.book, shown.images)
    facts = _facts(ready, written, shown, licence_in(plan, asked.accepted, written.entries))
    finish(facts, ready.book.find)
    if plan.photos and shown.records:
        tell_needless({plan.photos.name} & set(asked.accepted), facts.licence, asked.tell)
    for line in (*told(ready.walk.tally, facts.open), *fewer(before, facts)):
        asked.tell(line)
    return Built(folder=asked.out, records=written.records, open=facts.open)


def open_ends(
    tally: Tally, folder: Path, written: Written, *, finish: bool = False, photographed: int = 0, again: int = 0
) -> Iterator[str]:
    """What is still to be done, and by which command; with `finish`, what failed is left out.

    Args:
        tally: how everything drawn ended.
        folder: of the set.
        written: the set.
        finish: what failed for a reason that may pass is left out.
        photographed: how many records of photographs wait for people.
        again: how many photographs failed for a reason that may pass.
    """
    again += tally.again
    if again and not finish:
        yield f"{again:,} failed for a reason that may pass: run the same command again, or with -S finish=true"
    if not finish:
        yield from open_losses(losses(tally))
    waiting = sum(number for (_, end), number in tally.ends.items() if end == "waiting") + photographed
    if rest := waiting - len(tally.ties):
        yield f"{rest:,} wait for people: harness build review {folder}  and then the same command again"
    yield from _tied(tally.ties, folder)
    if not written.records and not waiting:
        yield "no record came all the way: see how they ended in README.md and in work/"


def _facts(ready: Ready, written: Written, shown: Photographed, licence: OutputLicence) -> Facts:
    walk, models, plan = ready.walk, ready.asker.identities, placeless(ready.plan)
    said = {"plan": planned(plan), "prompts": dict(ready.prompts.hashes), "models": models}
    return Facts(
        plan=plan,
        written=written,
        tally=walk.tally,
        licence=licence,
        prompts=ready.prompts,
        identity=digest(said),
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=plugins.current().provenance(),
        environment=ran_on(),
        models=models,
        spent=ready.asker.ledger.ever(),
        near=tuple(walk.gates.near),
        contaminated=tuple(walk.gates.contaminated),
        compared=tuple(walk.gates.references.compared.values()),
        worded=tuple(walk.gates.worded.values()),
        agreed=walk.people.agreement() if walk.people else (),
        left=shown.left,
        open=tuple(_open(ready, written, shown)),
    )


def _tied(ties: Mapping[str, str], folder: Path) -> Iterator[str]:
    """What nobody has to decide any more and is not decided: each with what people differ in."""
    for key, why in sorted(ties.items())[:_TIES]:
        yield f"{key}: {why}: one more reviewer has to decide, or one of them otherwise: harness build review {folder}"
    if len(ties) > _TIES:
        yield f"{len(ties) - _TIES:,} more that people disagree on: see `why` in work/sort.jsonl"


def _open(ready: Ready, written: Written, shown: Photographed) -> Iterator[str]:
    finish: bool = ready.asked.settings["finish"]
    waiting, again = shown.waiting, shown.left.again
    return open_ends(ready.walk.tally, ready.asked.out, written, finish=finish, photographed=waiting, again=again)
