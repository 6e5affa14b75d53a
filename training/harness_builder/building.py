"""A build from its config to the data set: what is opened, in which order, and what is still open at the end.

Nothing that a build knows lies in its memory alone: it walks all seeds, out of its stored calls as far as there are
any, and writes the set anew from the records that come to their end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
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
from harness_builder.photos.selection import delete_unused
from harness_builder.photos.stage import PhotoResult, check_plan_photos, list_still_asked, select_photos
from harness_builder.pipeline import Pipeline
from harness_builder.plan import Plan, check_sources_readable, read_plan_seeds
from harness_builder.preview import render_plan
from harness_builder.prompts.templates import Prompts, load_prompts
from harness_builder.quality import ImageMark
from harness_builder.quality.contamination import read_references
from harness_builder.quality.duplicates import MarkStore
from harness_builder.records import RecordFile, StepLog
from harness_builder.steps.context import BuildContext
from harness_builder.steps.labelling import LabelJudge, Labeller
from harness_builder.tally import Tally, find_losses, format_losses, format_open_losses, show_progress
from harness_builder.terms import check_sources, licence_in, licence_of, tell_needless

WORK: Final = "work"
_CALLS: Final = 32  # at once of one server, if the plan does not say
_SEEDS: Final = 4  # on their way for each of these: a seed waits for its turn, and for servers that others keep busy
_TIES: Final = 5  # that are named each


def plan(build: Build) -> str:
    """What a build would do. Raises HarnessError if config, sources or folder may not be used."""
    plan, licence, _ = _check(build, build.tell)
    check_free(build.out)
    return render_plan(plan, licence)


async def build(build: Build) -> Built:
    """Build a set, or continue with it.

    Raises:
        HarnessError: something is wrong with the config, the sources or the folder, or nothing will work.
        KeyboardInterrupt: the user wants it to end.
    """
    plan, _, prompts = _check(build, lambda _: None)  # of photographs the user is told once they are looked for
    check_free(build.out)
    check_name(build.out, plan.name)
    work = build.out / WORK
    image = image_finder(work)
    with ExitStack() as stack:
        store = stack.enter_context(CallStore(work))
        marks = stack.enter_context(MarkStore(work))
        log = stack.enter_context(StepLog(work))
        records = stack.enter_context(RecordFile(work))

        def mark(sha256: str) -> ImageMark:
            try:
                return marks.get(image(sha256))
            except BadImage as fault:  # it was looked at a moment ago
                what = f"a drawing cannot be read any more: {fault.reason}"
                remedy = "delete it where it is still there, and run it again: it is drawn anew"
                raise HarnessError(what, where=str(work / fault.path), remedy=remedy) from None

        async with open_call_runner(plan, store, tell=build.tell, dropped=marks.drop) as calls:
            context = BuildContext(plan=plan, prompts=prompts, calls=calls, image=image)
            references = read_references(plan, marks, build.tell)
            pipeline = Pipeline(
                context=context,
                labeller=Labeller(context),
                dedup=DedupFilter(plan.likeness, plan.bits, references),
                log=log,
                records=records,
                people=People.load(build.out, plan) if plan.review else None,
                mark=mark,
                tally=Tally(),
                ending=build.ending,
            )
            await _walk(build, pipeline, calls)
            return await _Finish(build, pipeline, calls, store).run()


def _check(build: Build, tell: Callable[[str], None]) -> tuple[Plan, OutputLicence, Prompts]:
    """The plan, with the licence of all that it names and its templates, once nothing is found wrong with it.

    `tell` is told of its photographs. They may have a licence each: only the set says whether it had to be accepted.
    """
    plan = read_plan(build.config)
    check_sources(plan, build.accepted)
    licence = licence_of(plan, build.accepted)
    photos = {plan.photos.name} if plan.photos else set[str]()
    tell_needless(set(build.accepted) - photos, licence, build.tell)
    LabelJudge.open(plan)
    prompts = load_prompts(plan)
    check_sources_readable(plan)
    check_models(plan)
    check_plan_photos(plan, build.accepted, tell)
    return plan, licence, prompts


async def _walk(build: Build, pipeline: Pipeline, calls: BuildCallRunner) -> None:
    """Walk all seeds, and put what people may decide on where they find it."""
    plan, work = pipeline.context.plan, build.out / WORK
    candidates, whole = CandidateFile(work / CANDIDATES, plan.categories, plan.reviewers, plan.language), False
    previous = PreviousSet(build.out, build.tell)

    def erase(key: str) -> None:
        previous.strike(key)
        candidates.strike(key)
        if isinstance(pipeline.people, People):
            pipeline.people.strike(key)

    pipeline.purge.erase_elsewhere = erase
    try:
        async with show_progress(pipeline.tally, lambda: calls.costs.made, build.tell):
            seeds = (seed for _, seed in read_plan_seeds(plan))
            await pipeline.run(seeds, _SEEDS * (plan.concurrency or _CALLS), candidates.put)
        for each in list_still_asked(pipeline, plan, work):
            candidates.put(each)
        whole = not build.ending()
    finally:
        candidates.close(whole=whole)
    if build.ending():
        raise KeyboardInterrupt


@dataclass(frozen=True, slots=True)
class _Finish:
    """From a walk that came to its end to a whole set: photographs, files, card, and what is still open."""

    build: Build
    pipeline: Pipeline
    calls: BuildCallRunner
    store: CallStore

    async def run(self) -> Built:
        build, pipeline, plan = self.build, self.pipeline, self.pipeline.context.plan
        photos = await select_photos(pipeline, plan, self.store.folder, build.accepted, build.tell)
        before = read_counts(build.out)
        image = pipeline.context.image
        written = write_set(
            pipeline.records,
            plan,
            build.out,
            lambda sha256: self.store.folder / image(sha256).path,
            real=photos.records,
        )
        delete_unused(self.store, photos.images)
        data = self._collect(written, photos, licence_in(plan, build.accepted, written.entries))
        finish_set(data, self.store.find)
        if plan.photos and photos.records:
            tell_needless({plan.photos.name} & set(build.accepted), data.licence, build.tell)
        for line in (*format_losses(pipeline.tally, data.open), *describe_fewer(before, data)):
            build.tell(line)
        return Built(folder=build.out, records=written.records, open=data.open)

    def _collect(self, written: WrittenSet, photos: PhotoResult, licence: OutputLicence) -> CardData:
        pipeline, models = self.pipeline, self.calls.identities
        prompts, plan = pipeline.context.prompts, portable_plan(pipeline.context.plan)
        return CardData(
            plan=plan,
            written=written,
            tally=pipeline.tally,
            licence=licence,
            prompts=prompts,
            identity=digest({"plan": plan_json(plan), "prompts": dict(prompts.hashes), "models": models}),
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            versions=plugins.current().provenance(),
            environment=build_environment(),
            models=models,
            spent=self.calls.costs.of_all_invocations(),
            near=tuple(pipeline.dedup.near),
            contaminated=tuple(pipeline.dedup.contaminated),
            compared=tuple(pipeline.dedup.references.compared.values()),
            worded=tuple(pipeline.dedup.worded.values()),
            agreed=pipeline.people.agreement() if pipeline.people else (),
            left=photos.left,
            open=tuple(self._list_open(written, photos)),
        )

    def _list_open(self, written: WrittenSet, photos: PhotoResult) -> Iterator[str]:
        """What is still to be done, and by which command. With `finish` what failed is left out of the set."""
        tally, folder = self.pipeline.tally, self.build.out
        finish: bool = self.build.settings["finish"]
        again = photos.left.again + tally.again
        if again and not finish:
            yield f"{again:,} failed for a reason that may pass: run the same command again, or with -S finish=true"
        if not finish:
            yield from format_open_losses(find_losses(tally))
        waiting = sum(number for (_, end), number in tally.ends.items() if end == "waiting") + photos.waiting
        review = f"harness build review {folder}"
        if rest := waiting - len(tally.ties):
            yield f"{rest:,} wait for people: {review}  and then the same command again"
        for key, why in sorted(tally.ties.items())[:_TIES]:
            yield f"{key}: {why}: one more reviewer has to decide, or one of them otherwise: {review}"
        if len(tally.ties) > _TIES:
            yield f"{len(tally.ties) - _TIES:,} more that people disagree on: see `why` in work/sort.jsonl"
        if not written.records and not waiting:
            yield "no record was built: README.md and work/ say how each element ended"
