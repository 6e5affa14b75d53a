"""The plan of an invocation: all splits of its tasks and suites, each once, and which samples of each are evaluated.

Planning calls no model. Each split is listed once before a run starts, so that broken data costs nothing.

`--shard i/n` takes a part of what `--limit` takes: whole clusters, by a hash of their names, so that shards need not
know of each other.

`--limit N` and `--sample N` each take the first N clusters of a fixed order. No seed or file order changes it, and
a higher N only adds. `--limit` covers all categories: within a category clusters are ordered by the sha256 of their
name, and categories take turns. `--sample` takes a plain random sample, which represents the rest: clusters are
ordered by a hash alone, whatever their category.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final, NoReturn

from harness.attacks import ResolvedAttack
from harness.contracts import Ability, Suite
from harness.errors import HarnessError, MissingData, PluginError
from harness.evaluation.options import Options, Shard
from harness.evaluation.samples import SamplesError
from harness.evaluation.splits import (
    AskedTask,
    JudgeChoice,
    LeftOut,
    SplitPlan,
    build_split_plans,
    check_parts,
    check_task_settings,
    find_unmapped,
    format_left_out,
    list_asked_tasks,
    load_task_files,
    select_maps,
    suite_place,
)
from harness.keys import cluster_of, draw_order, text_hash
from harness.labels import check_labels, check_map
from harness.store.run_file import RunFile
from harness.types import Request, Sample

FailedSplit = tuple[SplitPlan, SamplesError]

_NAMED: Final = 3  # samples that a message names for each reason


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """The splits and suites that the options name.

    Attributes:
        splits: the splits to run.
        left_out: parts of suites whose splits are unknown because their data is missing.
        suites: the named suites, with the titles of their parts.
    """

    splits: tuple[SplitPlan, ...]
    left_out: tuple[LeftOut, ...]
    suites: Mapping[str, SuiteMembers]


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteMembers:
    """A suite of this run.

    Attributes:
        suite: its descriptor.
        rubrics: title of each part -> its named rubric, empty for none.
        mean: titles whose main numbers are averaged.
    """

    suite: Suite
    rubrics: Mapping[str, str]
    mean: tuple[str, ...]


def make_plan(options: Options, *, rehearse: bool = False) -> RunPlan:
    """Resolve all tasks, suites, splits and judges of some options. Raises UnknownName or HarnessError.

    Args:
        options: the user's options.
        rehearse: leave out a task whose data is missing, also one that the user names.
    """
    load_task_files(options.tasks)  # first, so that -T can name them
    check_task_settings(options.task_settings)
    options = replace(options, maps=select_maps(options.maps, options.judges))
    splits: dict[tuple[str, str], SplitPlan] = {}
    left_out: list[LeftOut] = []
    asked: dict[str, list[tuple[AskedTask, Sequence[SplitPlan]]]] = {}
    for entry in list_asked_tasks(options):
        suite, found = entry.suite, list[SplitPlan]()
        name = "" if suite is None else suite.name
        try:
            if suite is not None:
                check_task_settings(suite.task_settings)
            plans = build_split_plans(entry.name, entry.options)
            found = [replace(plan, suite=name, rubric=entry.rubric) for plan in plans]
        except HarnessError as error:
            if suite is not None:
                error.where = error.where or suite_place(suite)
            if not isinstance(error, MissingData) or (suite is None and not rehearse):
                raise
            left_out.append(LeftOut(title=entry.name, error=error, named=suite is None))
        for plan in found:
            one = splits.setdefault((plan.display, plan.name), plan)
            if one is not plan:  # named twice: keep the judges of both; if one names it outside a suite, so does it
                first, second = (one, plan) if one.suite in ("", name) else (plan, one)
                judges = (*first.judges, *(choice for choice in second.judges if choice not in first.judges))
                splits[plan.display, plan.name] = replace(first, judges=judges)
        if suite is not None:
            asked.setdefault(name, []).append((entry, found))
    if not splits and not left_out:
        raise HarnessError("no task to run", remedy="give --tasks NAME[,NAME]: see `harness tasks list`")
    if unmapped := find_unmapped(options, (plan.split for plan in splits.values())):
        return make_plan(replace(options, maps={**options.maps, **unmapped}), rehearse=rehearse)
    for plan in splits.values():
        check_plan(plan, rehearse=rehearse)
    suites = {name: _build_members(parts) for name, parts in asked.items()}
    return RunPlan(splits=tuple(splits.values()), left_out=tuple(left_out), suites=suites)


def check_plan(plan: SplitPlan, *, rehearse: bool = False) -> None:
    """Refuse a split if no metric knows one of its labels. This opens its rubrics, and calls no model.

    Raises HarnessError, also if a rubric cannot be opened. A part of a suite is then left out when it is listed, and so
    is what lacks data in a rehearsal.
    """
    given: dict[str, tuple[str, ...]] = {}
    for choice in plan.judges:
        try:
            given[choice.judge.name] = choice.judge.open(choice.settings, choice.root).labels
        except HarnessError as error:
            if not plan.suite and not (rehearse and isinstance(error, MissingData)):
                raise
    for rubric in plan.maps.keys() & given.keys():
        check_map(plan.title, plan.split, rubric, given[rubric])
    check_labels(plan.title, plan.split, given)


def _build_members(parts: Sequence[tuple[AskedTask, Sequence[SplitPlan]]]) -> SuiteMembers:
    """A suite with the titles of its parts; a part that was left out keeps its name in the suite.

    Raises HarnessError for a mean over a task with several splits, or over numbers of several kinds.
    """
    suite = parts[0][0].suite
    assert suite is not None
    rubrics: dict[str, str] = {}
    mean: list[str] = []
    kinds: dict[tuple[str, str], str] = {}
    for entry, plans in parts:
        titles = [plan.title for plan in plans] or [entry.name]
        rubrics.update(dict.fromkeys(titles, entry.rubric))
        if entry.name not in suite.mean:
            continue
        _, colon, split = entry.name.partition(":")
        if len(plans) > 1 and not colon:
            names = ", ".join(plan.name for plan in plans)
            raise HarnessError(
                f"mean: {entry.name!r} has several splits: {names}",
                where=suite_place(suite),
                remedy=f"name one in tasks and in mean: {entry.name}:SPLIT",
            )
        mean.append(f"{plans[0].display}{colon}{split}" if plans and colon else titles[0])
        for metrics in (plan.split.metrics for plan in plans[:1]):
            main = next((metric for metric in metrics if metric.main), metrics[0])
            kinds.setdefault((main.unit, main.better), f"{main.name} of {entry.name}")
    if len(kinds) > 1:
        mixed = ", ".join(f"{name} ({unit}, {better} is better)" for (unit, better), name in kinds.items())
        remedy = "name parts whose main numbers have one unit and one direction"
        raise HarnessError(f"mean: its numbers are not of one kind: {mixed}", where=suite_place(suite), remedy=remedy)
    return SuiteMembers(suite=suite, rubrics=rubrics, mean=tuple(mean))


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitJob:
    """One split of this invocation.

    Attributes:
        plan: the split's plan.
        epochs: answers for each sample.
        survey: what the split holds and which samples are taken; None if only stored answers are judged.
        asked: ids of the asked samples, if only stored answers are judged.
        keep: whether an earlier listing with more samples is kept.
        drawn: last place (`harness.keys.draw_order`) of the draw to judge; None for all.
        deferred: judges that score a whole split at once, which a shard leaves to the merged run.
        defers_primary: whether the first of them is the split's primary judge.
    """

    plan: SplitPlan
    epochs: int
    survey: Survey | None = None
    asked: frozenset[str] = frozenset()
    keep: bool = False
    drawn: str | None = None
    deferred: tuple[JudgeChoice, ...] = ()
    defers_primary: bool = False

    @property
    def total(self) -> int:
        """Records to evaluate."""
        return self.epochs * (len(self.asked) if self.survey is None else self.survey.samples)

    def samples(self) -> Iterator[Sample]:
        """The samples to evaluate, lazily."""
        for sample in self.plan.samples():
            if sample.id in self.asked if self.survey is None else self.survey.takes(sample):
                yield sample


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedSplits:
    """The splits of an invocation, listed once.

    Attributes:
        jobs: splits to evaluate.
        failed: splits whose task raised.
        left_out: parts of suites that cannot be listed.
    """

    jobs: list[SplitJob]
    failed: list[FailedSplit]
    left_out: list[LeftOut]


def list_splits(
    plans: Sequence[SplitPlan],
    options: Options,
    run: RunFile | None,
    left_out: Iterable[LeftOut] = (),
    attack: ResolvedAttack | None = None,
    *,
    rehearse: bool = False,
) -> ListedSplits:
    """List each split once and choose its samples; a split whose task raises goes to `failed`.

    A part of a suite is left out if its data is missing or broken, if a package it needs is not installed, or if its
    rubric needs upstream's wording, which has not been fetched.

    Args:
        plans: the splits.
        options: the user's options.
        run: run.json of the folder; None for a new folder.
        left_out: parts of suites whose splits are unknown.
        attack: changes what the model is asked; None for nothing.
        rehearse: leave out a split whose data is missing, also one that the user names.

    Raises:
        HarnessError: data is missing or broken, a rubric cannot be opened, nothing can be listed, the attack can take
            no sample of a split, or an earlier listing cannot be kept.
    """
    found = ListedSplits(jobs=[], failed=[], left_out=list(left_out))
    for plan in plans:
        try:
            try:
                survey = survey_samples(plan.samples(), options.limit, options.shard, attack)
            except Exception as error:
                if isinstance(error, HarnessError) and not isinstance(error, PluginError):
                    raise
                found.failed.append((plan, SamplesError(error)))  # a task is a plugin
                continue
            job = defer_split_rubrics(SplitJob(plan=plan, epochs=options.epochs, survey=survey), options.shard)
            check_parts(plan)
            if attack is not None:
                check_taken(plan, survey, attack)
        except HarnessError as error:
            if not plan.suite and not (rehearse and isinstance(error, MissingData)):
                raise
            found.left_out.append(LeftOut(title=plan.title, error=error, named=not plan.suite))
            continue
        task = None if run is None else run.tasks.get(plan.display)
        entry = None if task is None else task.splits.get(plan.name)
        if entry is None or options.limit is None or (entry.limit is not None and entry.limit <= options.limit):
            found.jobs.append(job)
            continue
        if entry.epochs != options.epochs:  # the folder's listing has a higher limit, which a lower one never shrinks
            raise HarnessError(
                f"this folder holds {plan.title} with --epochs {entry.epochs} and a higher --limit",
                remedy=f"give --epochs {entry.epochs}, or the higher --limit, or --fresh",
            )
        found.jobs.append(replace(job, keep=True))
    if not found.jobs:
        raise_nothing_listed(found)
    return found


def defer_split_rubrics(job: SplitJob, shard: Shard | None) -> SplitJob:
    """Open each rubric, and take those that score a whole split at once out of a shard's plan.

    Raises HarnessError if a rubric cannot be opened.
    """
    plan = job.plan
    scopes = [choice.judge.open(choice.settings, choice.root).scope for choice in plan.judges]
    if shard is None or "split" not in scopes:
        return job
    now = tuple(choice for choice, scope in zip(plan.judges, scopes, strict=True) if scope != "split")
    deferred = tuple(choice for choice, scope in zip(plan.judges, scopes, strict=True) if scope == "split")
    return replace(job, plan=replace(plan, judges=now), deferred=deferred, defers_primary=deferred[0] is plan.judges[0])


def raise_nothing_listed(found: ListedSplits) -> NoReturn:
    """Raise the HarnessError that says why no split can be run."""
    if found.failed:
        plan, fault = found.failed[0]
        what, by = f"{plan.title} cannot be listed: its task {fault}", fault.error
        if by is None:
            raise HarnessError(what) from fault
        raise PluginError(what, where=f"plugin {by.plugin}", remedy=by.remedy, story=by.story) from fault
    first, *others = found.left_out
    if all(part.named and part.why == first.why for part in others):
        raise first.error
    raise HarnessError("none of these tasks can be run", remedy="\n  ".join(format_left_out(found.left_out)))


def check_taken(plan: SplitPlan, survey: Survey, attack: ResolvedAttack) -> None:
    """Refuse a split of which the attack can take no sample. Raises HarnessError."""
    if survey.samples and survey.refused == survey.samples:
        raise HarnessError(
            f"attack {attack.attack.name} can take no sample of {plan.title}: {list_refusals(survey)}",
            remedy="leave the split out, or take another attack: see `harness attacks list`",
        )


def list_refusals(survey: Survey) -> str:
    """Why an attack cannot take samples, each reason with its samples."""
    return "; ".join(
        f"{why} ({', '.join(survey.named.get(why, ()))}{', …' if many > len(survey.named.get(why, ())) else ''})"
        for why, many in survey.refusals.items()
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a split holds, found by listing it once without opening an image.

    Attributes:
        samples: how many samples are taken.
        found: how many samples there are.
        images: number of images in the samples taken.
        most_images: most images in one of them.
        needs: abilities a model must have to answer them.
        taken: clusters taken by the limit; None for all.
        shard: the part of them that is evaluated; None for all.
        whole: how many samples all shards have together; 0 without a shard.
        listing: hash of the ids and clusters of these, in any order, 64 hex digits; empty without a shard.
        refusals: why the attack cannot take samples -> how many of those taken.
        named: the same reasons -> the first of these samples.
        dialogues: whether a sample has several turns, asked or given.
    """

    samples: int
    found: int
    images: int
    most_images: int
    needs: frozenset[Ability]
    taken: frozenset[str] | None
    shard: Shard | None = None
    whole: int = 0
    listing: str = ""
    refusals: Mapping[str, int] = field(default_factory=dict[str, int])
    named: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    dialogues: bool = False

    @property
    def refused(self) -> int:
        """How many of the samples taken the attack cannot take."""
        return sum(self.refusals.values())

    def takes(self, sample: Sample) -> bool:
        """Whether a sample is part of the run."""
        if self.taken is None and self.shard is None:
            return True
        cluster = cluster_of(sample)
        return (self.taken is None or cluster in self.taken) and in_shard(cluster, self.shard)


def in_shard(cluster: str, shard: Shard | None) -> bool:
    """Whether a cluster is in a shard: by a hash of its name alone. All are in None."""
    return shard is None or int(text_hash(cluster), 16) % shard[1] == shard[0]


def survey_samples(
    samples: Iterable[Sample], limit: int | None, shard: Shard | None = None, attack: ResolvedAttack | None = None
) -> Survey:
    """List a split once: count its samples and choose those that the limit and the shard take.

    Images and abilities are those of what the attack makes of the samples.
    """
    categories: dict[str, str] = {}
    sizes: list[tuple[str, int]] = []
    ids: list[str] = []
    needs: set[Ability] = set()
    dialogues = False
    reasons: dict[int, tuple[str, str]] = {}
    for sample in samples:
        cluster = cluster_of(sample)
        if limit is not None:
            categories[cluster] = min(sample.category, categories.get(cluster, sample.category))
        own, images = find_needs(sample.request), len(sample.images)
        if attack is not None:
            try:
                if why := attack.check(sample):
                    reasons[len(sizes)] = why, sample.id
                images = 0 if why else attack.count_images(sample)
            except PluginError as error:  # the attack's fault, which is not the task's
                raise HarnessError(error.what, where=error.where, remedy=error.remedy) from error
            own -= {"images"}
        if images:
            own.add("images")
        needs |= own
        dialogues = dialogues or bool(sample.turns) or any(each.role == "assistant" for each in sample.request.messages)
        by_cluster = limit is not None or shard is not None
        sizes.append((cluster if by_cluster else "", images))
        ids.append(sample.id if shard is not None else "")
    taken = None if limit is None else frozenset(islice(take_turns(categories.items()), limit))
    within = [place for place, (cluster, _) in enumerate(sizes) if taken is None or cluster in taken]
    here = [place for place in within if in_shard(sizes[place][0], shard)]
    counted = [sizes[place][1] for place in here]
    refusals = Counter[str]()
    named: dict[str, list[str]] = {}
    for why, name in (reasons[place] for place in here if place in reasons):
        refusals[why] += 1
        if refusals[why] <= _NAMED:
            named.setdefault(why, []).append(name)
    listing = 0
    for place in within if shard is not None else ():
        listing += int(text_hash(f"{ids[place]}\0{sizes[place][0]}"), 16)
    return Survey(
        samples=len(counted),
        found=len(sizes),
        images=sum(counted),
        most_images=max(counted, default=0),
        needs=frozenset(needs),
        taken=taken,
        shard=shard,
        whole=0 if shard is None else len(within),
        listing="" if shard is None else f"{listing % 2**256:064x}",
        refusals=dict(refusals),
        named={why: tuple(names) for why, names in named.items()},
        dialogues=dialogues,
    )


def find_needs(request: Request) -> set[Ability]:
    """Abilities a model must have to answer a request."""
    needs: dict[Ability, bool] = {
        "images": bool(request.images),
        "raw": request.raw,
        "choices": bool(request.choices),
        "prefill": bool(request.prefill),
        "system": any(message.role == "system" for message in request.messages),
    }
    return {ability for ability, is_needed in needs.items() if is_needed}


def take_turns(clusters: Iterable[tuple[str, str]]) -> Iterator[str]:
    """The clusters of (cluster, category) pairs, in the order in which a limit takes them."""
    queues: dict[str, list[str]] = {}
    for cluster, category in clusters:
        queues.setdefault(category, []).append(cluster)
    for queue in queues.values():
        queue.sort(key=text_hash, reverse=True)
    while queues:
        for category in sorted(queues):
            yield queues[category].pop()
            if not queues[category]:
                del queues[category]


def draw_clusters(clusters: Iterable[str], limit: int) -> list[str]:
    """The clusters that `--sample` takes, in order."""
    return sorted(set(clusters), key=draw_order)[:limit]
