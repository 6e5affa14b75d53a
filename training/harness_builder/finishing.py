"""From a walk that came to its end to a set that is whole: photographs, files, card, and what is still open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

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
from harness_builder.real.choosing import Left, real_records
from harness_builder.real.photographs import open_photos
from harness_builder.real.values import RealRecord
from harness_builder.steps.checking import check_images
from harness_builder.terms import licence_in, licence_of
from harness_builder.walk.crew import Walk
from harness_builder.walk.values import Made, Tally


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
    made = list(ready.walk.records)
    real = await _photographed(ready, made)
    before = held(ready.asked.out)
    written = write_set(made, ready.plan, ready.asked.out, ready.image, real=real)
    facts = _facts(ready, written, licence_in(ready.plan, ready.asked.accepted, written.entries))
    finish(facts, ready.book.find)
    for line in fewer(before, facts):
        ready.asked.tell(line)
    return Built(folder=ready.asked.out, records=written.records, open=facts.open)


async def _photographed(ready: Ready, made: Sequence[Made]) -> list[RealRecord]:
    """Records of the split `real`; what was not used, and why, is told."""
    photos = ready.plan.photos
    if photos is None:
        return []
    left: Left = Counter()
    beside = licence_of(replace(ready.plan, photos=None), set(ready.asked.accepted) - {photos.name})
    work = ready.book.folder
    found = await real_records(
        made,
        photos,
        ready.walk.shop,
        check_images,
        index=open_photos(photos, work, accepted=photos.name in ready.asked.accepted, tell=ready.asked.tell),
        work=work,
        references=ready.walk.gates.references,
        licences=[licence for name, licence in beside.sources.items() if name not in beside.accepted],
        accepted=photos.name in ready.asked.accepted,
        left=left,
    )
    ready.asked.tell(f"photographs: {len(found):,} records of real")
    for (end, why), number in sorted(left.items()):
        ready.asked.tell(f"photographs: {number:,} {end}: {why}")
    return found


def open_ends(tally: Tally, folder: Path, written: Written, *, finish: bool = False) -> Iterator[str]:
    """What is still to be done, and by which command; with `finish`, what failed is left out."""
    if tally.again and not finish:
        yield f"{tally.again:,} failed for a reason that may pass: run the same command again, or with -S finish=true"
    waiting = sum(number for (_, end), number in tally.ends.items() if end == "waiting")
    if waiting:
        yield f"{waiting:,} wait for people: harness build review {folder}  and then the same command again"
    if not written.records and not waiting:
        yield "no record came all the way: see how they ended in README.md and in work/"


def _facts(ready: Ready, written: Written, licence: OutputLicence) -> Facts:
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
        agreed=walk.people.agreement() if walk.people else (),
        open=tuple(open_ends(walk.tally, ready.asked.out, written, finish=ready.asked.settings["finish"])),
    )
