"""A build from its config to the data set: what is opened, in which order, and what is still open at the end.

Nothing that a build knows lies in its memory alone: it walks all seeds, out of what is kept of their calls where there
is something, and writes the set anew from what came all the way.

From a walk that came to its end to a set that is whole: photographs, files, card, and what is still open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from harness import BadImage, Build, Built, HarnessError, plugins
from harness.keys import digest
from harness_builder.calls.models import check_models
from harness_builder.calls.runner import BuildCallRunner, open_call_runner
from harness_builder.calls.store import CallStore
from harness_builder.config import read_plan
from harness_builder.dedup import DedupFilter
from harness_builder.licences import OutputLicence
from harness_builder.output import CardData, PreviousSet, WrittenSet, check_free, check_name, finish_set, write_set
from harness_builder.output.manifest import (
    build_environment,
    describe_fewer,
    plan_json,
    portable_plan,
    read_counts,
)
from harness_builder.people import CANDIDATES, CandidateFile, People, image_finder
from harness_builder.photographed import Photographed, check_photographed, photographed, still_asked
from harness_builder.pipeline import Pipeline
from harness_builder.plan import Plan, check_sources_readable, read_plan_seeds
from harness_builder.preview import render_plan
from harness_builder.prompts.templates import Prompts, load_prompts
from harness_builder.quality import ImageMark
from harness_builder.quality.contamination import read_references
from harness_builder.quality.duplicates import MarkStore
from harness_builder.real.unused import drop_unused
from harness_builder.records import RecordFile, StepLog
from harness_builder.steps.context import BuildContext
from harness_builder.steps.labelling import Labeller, check_rubric
from harness_builder.tally import Tally, find_losses, format_open_losses, showing, tell_losses
from harness_builder.terms import check_sources, licence_in, licence_of, tell_needless
from harness_builder.values import Seed

WORK: Final = "work"
_CALLS: Final = 32  # at once of one server, where the plan does not say
_SEEDS: Final = 4  # under way for each of these: a seed waits at gates, and for servers that others keep busy
_DRAWN_ANEW: Final = "delete it where it is still there, and run it again: it is drawn anew"


def plan(build: Build) -> str:
    """What a build would do. Raises HarnessError where config, sources or folder may not be used."""
    found, licence, _ = _checked(build, build.tell)
    check_free(build.out)
    return render_plan(found, licence)


async def build(build: Build) -> Built:
    """Build a set, or go on with it.

    Raises:
        HarnessError: something is wrong with the config, the sources or the folder, or nothing will work.
        KeyboardInterrupt: it was asked to end.
    """
    found, _, prompts = _checked(build, lambda _: None)  # of photographs it is told once they are looked for
    check_free(build.out)
    check_name(build.out, found.name)
    return await _Site(build, found, prompts).build()


@dataclass(frozen=True, slots=True)
class _Site:
    """Where a set is built.

    Attributes:
        asked: as it was asked for.
        plan: as the config says.
        prompts: its templates.
    """

    asked: Build
    plan: Plan
    prompts: Prompts

    async def build(self) -> Built:
        """Walk, and write the set."""
        work = self.asked.out / WORK
        with ExitStack() as stack:
            book = stack.enter_context(CallStore(work))
            marks = stack.enter_context(MarkStore(work))
            lines = stack.enter_context(StepLog(work))
            records = stack.enter_context(RecordFile(work))
            async with open_call_runner(self.plan, book, tell=self.asked.tell, dropped=marks.drop) as asker:
                shop = BuildContext(plan=self.plan, prompts=self.prompts, asker=asker, image=image_finder(work))
                walk = self._walk(shop, marks, lines, records)
                await self._walked(walk, asker)
                return await finished(self._ready(walk, asker, book))

    def _walk(self, shop: BuildContext, marks: MarkStore, lines: StepLog, records: RecordFile) -> Pipeline:
        references = read_references(self.plan, marks, self.asked.tell)

        def mark(sha256: str) -> ImageMark:
            try:
                return marks.of(shop.image(sha256))
            except BadImage as fault:  # it was looked at a moment ago
                what, remedy = f"a drawing cannot be read any more: {fault.reason}", _DRAWN_ANEW
                raise HarnessError(what, where=str(self.asked.out / WORK / fault.path), remedy=remedy) from None

        return Pipeline(
            shop=shop,
            labeller=Labeller(shop),
            gates=DedupFilter(self.plan.likeness, self.plan.bits, references),
            lines=lines,
            records=records,
            people=People.load(self.asked.out, self.plan) if self.plan.review else None,
            marks=mark,
            tally=Tally(),
            ending=self.asked.ending,
        )

    async def _walked(self, walk: Pipeline, asker: BuildCallRunner) -> None:
        """All seeds, with what people may decide on put where they find it."""
        plan, work = self.plan, self.asked.out / WORK
        candidates, whole = CandidateFile(work / CANDIDATES, plan.categories, plan.reviewers, plan.language), False
        stands = PreviousSet(self.asked.out, self.asked.tell)

        def struck(key: str) -> None:
            stands.strike(key)
            candidates.strike(key)
            if isinstance(walk.people, People):
                walk.people.strike(key)

        walk.stopping.struck = struck
        try:
            async with showing(walk.tally, lambda: asker.ledger.made, self.asked.tell):
                at_once = _SEEDS * (plan.concurrency or _CALLS)
                await walk.run(_seeds(plan), at_once, candidates.put)
            for each in still_asked(walk, plan, work):
                candidates.put(each)
            whole = not self.asked.ending()
        finally:
            candidates.close(whole=whole)
        if self.asked.ending():
            raise KeyboardInterrupt

    def _ready(self, walk: Pipeline, asker: BuildCallRunner, book: CallStore) -> Ready:
        return Ready(
            asked=self.asked,
            plan=self.plan,
            prompts=self.prompts,
            walk=walk,
            asker=asker,
            book=book,
            image=image_file(self.asked.out / WORK),
        )


def _checked(build: Build, tell: Callable[[str], None]) -> tuple[Plan, OutputLicence, Prompts]:
    """The plan, with the licence of all that it names and its templates, once nothing is found wrong with it.

    `tell` is told of its photographs. They may have a licence each: only the set says whether it had to be accepted.
    """
    found = read_plan(build.config)
    check_sources(found, build.accepted)
    licence = licence_of(found, build.accepted)
    photos = {found.photos.name} if found.photos else set[str]()
    tell_needless(set(build.accepted) - photos, licence, build.tell)
    check_rubric(found)
    prompts = load_prompts(found)
    check_sources_readable(found)
    check_models(found)
    check_photographed(found, build.accepted, tell)
    return found, licence, prompts


def image_file(work: Path) -> Callable[[str], Path]:
    """What finds the file of an image of the build."""
    image = image_finder(work)
    return lambda sha256: work / image(sha256).path


def _seeds(plan: Plan) -> Iterator[Seed]:
    return (seed for _, seed in read_plan_seeds(plan))


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
    walk: Pipeline
    asker: BuildCallRunner
    book: CallStore
    image: Callable[[str], Path]


async def finished(ready: Ready) -> Built:
    """Write the set and all that is told about it."""
    plan, asked = ready.plan, ready.asked
    shown = await photographed(ready.walk, plan, ready.book.folder, asked.accepted, asked.tell)
    before = read_counts(asked.out)
    written = write_set(ready.walk.records, plan, asked.out, ready.image, real=shown.records)
    drop_unused(ready.book, shown.images)
    facts = _facts(ready, written, shown, licence_in(plan, asked.accepted, written.entries))
    finish_set(facts, ready.book.find)
    if plan.photos and shown.records:
        tell_needless({plan.photos.name} & set(asked.accepted), facts.licence, asked.tell)
    for line in (*tell_losses(ready.walk.tally, facts.open), *describe_fewer(before, facts)):
        asked.tell(line)
    return Built(folder=asked.out, records=written.records, open=facts.open)


def open_ends(
    tally: Tally, folder: Path, written: WrittenSet, *, finish: bool = False, photographed: int = 0, again: int = 0
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
        yield from format_open_losses(find_losses(tally))
    waiting = sum(number for (_, end), number in tally.ends.items() if end == "waiting") + photographed
    if rest := waiting - len(tally.ties):
        yield f"{rest:,} wait for people: harness build review {folder}  and then the same command again"
    yield from _tied(tally.ties, folder)
    if not written.records and not waiting:
        yield "no record came all the way: see how they ended in README.md and in work/"


def _facts(ready: Ready, written: WrittenSet, shown: Photographed, licence: OutputLicence) -> CardData:
    walk, models, plan = ready.walk, ready.asker.identities, portable_plan(ready.plan)
    said = {"plan": plan_json(plan), "prompts": dict(ready.prompts.hashes), "models": models}
    return CardData(
        plan=plan,
        written=written,
        tally=walk.tally,
        licence=licence,
        prompts=ready.prompts,
        identity=digest(said),
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=plugins.current().provenance(),
        environment=build_environment(),
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


def _open(ready: Ready, written: WrittenSet, shown: Photographed) -> Iterator[str]:
    finish: bool = ready.asked.settings["finish"]
    waiting, again = shown.waiting, shown.left.again
    return open_ends(ready.walk.tally, ready.asked.out, written, finish=finish, photographed=waiting, again=again)
