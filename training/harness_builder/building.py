"""A build from its config to the data set: what is opened, in which order, and what is still open at the end.

Nothing that a build knows lies in its memory alone: it walks all seeds, out of what is kept of their calls where there
is something, and writes the set anew from what came all the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness import BadImage, Build, Built, HarnessError
from harness_builder.calls.asking import Asking, open_asker
from harness_builder.calls.book import CallBook
from harness_builder.calls.opening import check_models
from harness_builder.config.plan import Plan
from harness_builder.config.reading import read_plan
from harness_builder.config.showing import shown
from harness_builder.licences import OutputLicence
from harness_builder.output import StandingSet, check_free, check_name
from harness_builder.people import CandidateFile, People, image_of
from harness_builder.people.candidates import NAME as CANDIDATES
from harness_builder.prompts.templates import Prompts, load_prompts
from harness_builder.quality import ImageMark
from harness_builder.quality.marking import Marks
from harness_builder.showing import showing
from harness_builder.sources import check_readable, seeds_of
from harness_builder.steps.labelling import Labeller, check_rubric
from harness_builder.steps.workshop import Workshop
from harness_builder.terms import check_sources, licence_of, tell_needless
from harness_builder.values import Seed
from harness_builder.walk.crew import Walk
from harness_builder.walk.gates import Gates
from harness_builder.walk.lines import Lines
from harness_builder.walk.records import Records
from harness_builder.walk.references import read_references
from harness_builder.walk.values import Tally

from .finishing import Ready, finished
from .photographed import check_photographed, still_asked

WORK: Final = "work"
_CALLS: Final = 32  # at once of one server, where the plan does not say
_SEEDS: Final = 4  # under way for each of these: a seed waits at gates, and for servers that others keep busy
_DRAWN_ANEW: Final = "delete it where it is still there, and run it again: it is drawn anew"


def plan(build: Build) -> str:
    """What a build would do. Raises HarnessError where config, sources or folder may not be used."""
    found, licence, _ = _checked(build, build.tell)
    check_free(build.out)
    return shown(found, licence)


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
            book = stack.enter_context(CallBook(work))
            marks = stack.enter_context(Marks(work))
            lines = stack.enter_context(Lines(work))
            records = stack.enter_context(Records(work))
            async with open_asker(self.plan, book, tell=self.asked.tell, dropped=marks.drop) as asker:
                shop = Workshop(plan=self.plan, prompts=self.prompts, asker=asker, image=image_of(work))
                walk = self._walk(shop, marks, lines, records)
                await self._walked(walk, asker)
                return await finished(self._ready(walk, asker, book))

    def _walk(self, shop: Workshop, marks: Marks, lines: Lines, records: Records) -> Walk:
        references = read_references(self.plan, marks, self.asked.tell)

        def mark(sha256: str) -> ImageMark:
            try:
                return marks.of(shop.image(sha256))
            except BadImage as fault:  # it was looked at a moment ago
                what, remedy = f"a drawing cannot be read any more: {fault.reason}", _DRAWN_ANEW
                raise HarnessError(what, where=str(self.asked.out / WORK / fault.path), remedy=remedy) from None

        return Walk(
            shop=shop,
            labeller=Labeller(shop),
            gates=Gates(self.plan.likeness, self.plan.bits, references),
            lines=lines,
            records=records,
            people=People.load(self.asked.out, self.plan) if self.plan.review else None,
            marks=mark,
            tally=Tally(),
            ending=self.asked.ending,
        )

    async def _walked(self, walk: Walk, asker: Asking) -> None:
        """All seeds, with what people may decide on put where they find it."""
        plan, work = self.plan, self.asked.out / WORK
        candidates, whole = CandidateFile(work / CANDIDATES, plan.categories, plan.reviewers, plan.language), False
        stands = StandingSet(self.asked.out, self.asked.tell)

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

    def _ready(self, walk: Walk, asker: Asking, book: CallBook) -> Ready:
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
    check_readable(found)
    check_models(found)
    check_photographed(found, build.accepted, tell)
    return found, licence, prompts


def image_file(work: Path) -> Callable[[str], Path]:
    """What finds the file of an image of the build."""
    image = image_of(work)
    return lambda sha256: work / image(sha256).path


def _seeds(plan: Plan) -> Iterator[Seed]:
    return (seed for _, seed in seeds_of(plan))
