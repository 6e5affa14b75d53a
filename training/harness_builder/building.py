"""Runs a build from its config to the data set, shows its plan, and lists what is left to do.

A build keeps no state in memory alone. Each invocation walks all seeds, answers calls from the store where it can, and
writes the set anew from the finished records.

The plan shows the most calls that the build can take. It assumes that every element asked for is found and finished, in
both ways that it can end, and that every drawing is sent back until the last round. For photographs it assumes that
each record tries all its candidates. It does not count the second try after an unreadable reply, stored calls (which
are not made again), the check and sorting of a question that people changed, and a further photograph if another record
took one first.
"""

from __future__ import annotations

import shutil
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Final

from harness import BadImage, Build, Built, HarnessError, plugins
from harness.extras import check_modules
from harness.keys import digest
from harness.text import one_line
from harness_builder.calls.models import check_models
from harness_builder.calls.runner import BuildCallRunner, open_call_runner
from harness_builder.calls.store import CallStore
from harness_builder.config import read_plan
from harness_builder.dedup import DedupFilter
from harness_builder.licences import OutputLicence
from harness_builder.output import CardData, PreviousSet, WrittenSet, check_free, check_name, finish_set, write_set
from harness_builder.output.manifest import build_environment, describe_fewer, plan_json, portable_plan, read_counts
from harness_builder.people import CANDIDATES, BuildImages, CandidateFile, People
from harness_builder.photos.selection import (
    TRIED,
    PhotoResult,
    check_plan_photos,
    delete_unused,
    list_still_asked,
    select_photos,
)
from harness_builder.pipeline import Pipeline
from harness_builder.plan import INSTEAD, ROLES, ModelChoice, Plan, check_sources_readable, read_plan_seeds
from harness_builder.prompts import Prompts, load_prompts
from harness_builder.quality import ImageMark
from harness_builder.quality.contamination import read_references
from harness_builder.quality.duplicates import MarkStore
from harness_builder.records import RecordFile, StepLog
from harness_builder.steps.context import BuildContext
from harness_builder.steps.labelling import LabelJudge, Labeller
from harness_builder.steps.probing import PARTS
from harness_builder.tally import Tally, find_losses, format_losses, format_open_losses, show_progress
from harness_builder.terms import check_sources, licence_in, licence_of, tell_needless
from harness_builder.values import WORK

_CALLS: Final = 32  # at once of one server, if the plan does not say
_SEEDS: Final = 4  # on their way for each of these: a seed waits for its turn, and for servers that others keep busy
_TIES: Final = 5  # that are named each
_WHO: Final = (*ROLES, "painter")
_WIDEST: Final = 120  # columns of a line of prose
_NOTE: Final = (
    "if each seed yields everything it is asked for and nothing is dropped; an unreadable reply is asked for once "
    "more, and stored calls of an earlier build are not made again"
)


def plan(build: Build) -> str:
    """The plan of a build, as text. Raises HarnessError if config, sources or folder cannot be used."""
    plan, licence, _ = _check(build, build.tell)
    check_free(build.out)
    return render_plan(plan, licence)


async def build(build: Build) -> Built:
    """Build a set, or continue with it.

    Raises:
        HarnessError: the config, the sources or the folder are wrong, or no call can succeed.
        KeyboardInterrupt: the user interrupts the build.
    """
    plan, _, prompts = _check(build, lambda _: None)  # lines about photographs come during their search
    check_free(build.out)
    check_name(build.out, plan.name)
    work = build.out / WORK
    image = BuildImages(work).image
    with ExitStack() as stack:
        store = stack.enter_context(CallStore(work))
        marks = stack.enter_context(MarkStore(work))
        log = stack.enter_context(StepLog(work))
        records = stack.enter_context(RecordFile(work))

        def mark(sha256: str) -> ImageMark:
            try:
                return marks.get(image(sha256))
            except BadImage as fault:  # it was there a moment ago
                what = f"a drawing can no longer be read: {fault.reason}"
                remedy = "delete it if it still exists, and run the command again: it draws the image again"
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
            return await _finish(build, pipeline, calls, store)


def _check(build: Build, tell: Callable[[str], None]) -> tuple[Plan, OutputLicence, Prompts]:
    """The plan, the licence of its sources, and its templates. Raises HarnessError if one of them is wrong.

    `tell` gets lines about photographs, which may each have a licence: only the set says which had to be accepted.
    """
    plan = read_plan(build.config)
    check_modules("rensa", "imagehash", extras=("build",), by="harness build mis")
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
    """Walk all seeds, and write the candidates that people may review."""
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


async def _finish(build: Build, pipeline: Pipeline, calls: BuildCallRunner, store: CallStore) -> Built:
    """After a finished walk, write the whole set: photographs, files, card, and the list of what is left to do."""
    plan, image, dedup = pipeline.context.plan, pipeline.context.image, pipeline.dedup
    photos = await select_photos(pipeline, plan, store.folder, build.accepted, build.tell)
    before = read_counts(build.out)
    written = write_set(
        pipeline.records, plan, build.out, lambda sha256: store.folder / image(sha256).path, real=photos.records
    )
    delete_unused(store, photos.images)
    shown, prompts, models = portable_plan(plan), pipeline.context.prompts, calls.identities
    data = CardData(
        plan=shown,
        written=written,
        tally=pipeline.tally,
        licence=licence_in(plan, build.accepted, written.entries),
        prompts=prompts,
        identity=digest({"plan": plan_json(shown), "prompts": dict(prompts.hashes), "models": models}),
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=plugins.current().provenance(),
        environment=build_environment(),
        models=models,
        spent=calls.costs.of_all_invocations(),
        near=tuple(dedup.near),
        contaminated=tuple(dedup.contaminated),
        compared=tuple(dedup.references.compared.values()),
        worded=tuple(dedup.worded.values()),
        agreed=pipeline.people.agreement() if pipeline.people else (),
        left=photos.left,
        open=tuple(_list_open(build, pipeline.tally, written, photos)),
    )
    finish_set(data, store.find)
    if plan.photos and photos.records:
        tell_needless({plan.photos.name} & set(build.accepted), data.licence, build.tell)
    for line in (*format_losses(pipeline.tally, data.open), *describe_fewer(before, data)):
        build.tell(line)
    return Built(folder=build.out, records=written.records, open=data.open)


def _list_open(build: Build, tally: Tally, written: WrittenSet, photos: PhotoResult) -> Iterator[str]:
    """What is left to do, and by which command. With `finish` the set leaves out elements that failed."""
    finish: bool = build.settings["finish"]
    again = photos.left.again + tally.again
    if again and not finish:
        yield f"{again:,} failed for a reason that may pass: run the same command again, or with -S finish=true"
    if not finish:
        yield from format_open_losses(find_losses(tally))
    waiting = sum(number for (_, end), number in tally.ends.items() if end == "waiting") + photos.waiting
    review = f"harness build review {build.out}"
    if rest := waiting - len(tally.ties):
        yield f"{rest:,} wait for people: {review}  and then the same command again"
    for key, why in sorted(tally.ties.items())[:_TIES]:
        yield f"{key}: {why}: another reviewer must decide, or one must change their decision: {review}"
    if len(tally.ties) > _TIES:
        yield f"people disagree on {len(tally.ties) - _TIES:,} more: see `why` in work/sort.jsonl"
    if not written.records and not waiting:
        yield "no record was built: README.md and work/ say how each element ended"


# ---- the plan as text ------------------------------------------------------------------------------------------------


def count_calls(plan: Plan, texts: int, images: int) -> Counter[str]:
    """Role, or `painter`, -> its most calls for these numbers of text seeds and image seeds."""
    drawings = plan.rounds * plan.best_of
    choices = 2 * plan.rounds if plan.best_of > 1 else 0
    photographs = 2 * TRIED if plan.photos else 0
    judge = plan.tries if _asks_judge(plan) else 0
    of_element = {
        "writer": 2,  # written, made neutral
        "checker": plan.rounds + drawings + photographs,  # all texts before each round, and each of its pairs
        "painter": 2 * drawings,
        # better prompts after each round but the last; sorted
        "viewer": choices + (plan.rounds - 1) + 1 + photographs,
        "prober": len(PARTS) if plan.probe else 0,
        "labeller": plan.tries + plan.text_only + plan.refusal,
        "judge": judge,
    }
    elements = texts * plan.per_text + images * plan.per_image
    found = Counter({who: of_element[who] * elements for who in _WHO})
    found["writer"] += texts
    found["viewer"] += images
    found["checker"] += images  # before the viewer sees one
    return found


def render_plan(plan: Plan, licence: OutputLicence) -> str:
    """The plan, section by section. Reads sources to count their seeds; opens no image and asks no model.
    Raises HarnessError if a source cannot be read."""
    counted = Counter((source.name, seed.image is None) for source, seed in read_plan_seeds(plan))
    sources: list[tuple[str, ...]] = []
    for source in plan.sources:
        numbers = ((counted[source.name, True], "texts"), (counted[source.name, False], "images"))
        what = " and ".join(f"{number} {kind}" for number, kind in numbers if number)
        sources.append((source.name, source.layout, what, licence.sources[source.name], str(source.path)))
    texts = sum(counted[source.name, True] for source in plan.sources)
    images = sum(counted[source.name, False] for source in plan.sources)
    models: list[tuple[str, ...]] = []
    for role in ROLES:
        if role != "judge" or _asks_judge(plan):
            own = plan.models.get(role)
            named = _format_choice(own) if own else f"{plan.models[INSTEAD[role]].ref}, as the {INSTEAD[role]}"
            models.append((role, named))
    models.append(("painter", f"{_format_choice(plan.painter)}, {plan.width} x {plan.height} pixels"))
    models += [("template", f"{name}: {file}") for name, file in plan.prompts.items()]
    models += [] if plan.prompts else [("template", "the package's own, all of them")]
    columns = [count_calls(plan, *seeds) for seeds in ((1, 0), (0, 1), (texts, images))]
    calls: list[tuple[str, ...]] = [("", "a text", "an image", "in all")]
    calls += [(who, *(str(column[who]) for column in columns)) for who in _WHO if columns[-1][who]]
    calls.append(("all", *(str(column.total()) for column in columns)))
    widest = min(shutil.get_terminal_size((_WIDEST, 24)).columns, _WIDEST)
    note = textwrap.wrap(_NOTE, widest, initial_indent="  ", subsequent_indent="  ")
    sections = (
        ("sources", _align_rows(sources)),
        ("models", _align_rows(models)),
        ("steps", _align_rows(_list_steps(plan))),
        ("calls at most", [*("  {:10}{:>10}{:>10}{:>12}".format(*row) for row in calls), *note]),
    )
    head = f"{one_line(plan.name)}: questions in {one_line(plan.language)}, licence {one_line(licence.summary)}"
    return "\n".join([head, *(line for title, lines in sections for line in ("", title, *lines))])


def _asks_judge(plan: Plan) -> bool:
    return plugins.current().judge(plan.rubric).needs is not None  # else a rule judges


def _format_choice(choice: ModelChoice) -> str:
    return choice.ref + "".join(f", {key}={value}" for key, value in choice.settings.items())


def _list_steps(plan: Plan) -> Iterator[tuple[str, str]]:
    yield "elements", f"{plan.per_text} of a text, {plan.per_image} of an image"
    if plan.categories:
        yield "categories", ", ".join(plan.categories)
    yield "draw", f"{_format_number(plan.rounds, 'round')}{f', the best of {plan.best_of}' if plan.best_of > 1 else ''}"
    people = f"{_format_number(plan.reviewers, 'person', 'people')} must review each candidate before it goes on"
    yield "sort", people if plan.review else "by the model alone, no person looks at it"
    together = "the tests keep what is risky together alone" if plan.together else "the rates go into the card"
    yield "probe", together if plan.probe else "not asked"
    more = [name for name, made in (("refusals", plan.refusal), ("answers in words alone", plan.text_only)) if made]
    also = f"; also {' and '.join(more)}" if more else ""
    tries = _format_number(plan.tries, "try", "tries")
    yield "label", f"{' or '.join(plan.accept)} by the rubric {plan.rubric}, in {tries}{also}"
    yield "quality", f"texts are alike from {plan.likeness:g} on, images up to {plan.bits} bits of 64 apart"
    for test in plan.against:
        yield "against", f"{test.task}{f' in {test.data}' if test.data else ''}"
    if isinstance(plan.balance, int):
        yield "balance", f"{plan.balance} of each category"
    elif plan.balance is not None:
        yield "balance", ", ".join(f"{count} of {name}" for name, count in plan.balance.items())
    if plan.photos is not None:
        tried = f"{TRIED} of each object are looked at"
        yield "real", f"at most {plan.photos.count} from {plan.photos.path}, found by {plan.photos.by}; {tried}"
    ends = [f"{plan.most_calls} calls"] if plan.most_calls is not None else []
    ends += [f"{plan.most_usd:g} US dollars"] if plan.most_usd is not None else []
    if ends:
        yield "ends at", " or ".join(ends)


def _format_number(count: int, what: str, more: str = "") -> str:
    return f"{count} {what if count == 1 else more or f'{what}s'}"


def _align_rows(rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    table = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
