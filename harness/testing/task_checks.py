"""The checks of tasks and suites: samples, images, metrics, rubrics, and that every name a suite holds is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import groupby
from math import isfinite
from pathlib import Path
from typing import Any

from harness import plugins
from harness.contracts import Judge, Split, Suite, Task
from harness.dialogues import find_dialogue_fault
from harness.errors import BadImage, MissingData
from harness.images import open_image
from harness.keys import canonical, cluster_of, messages_to_json, request_to_json
from harness.labels import UNKNOWN, find_misfits, moves
from harness.metrics import Metric, Record, Share
from harness.plugins.host import Host
from harness.plugins.shapes import find_split_faults
from harness.settings import effective
from harness.types import Sample, Settings, Verdict

from .problems import Problems, check_described

OPENED_LIMIT = 500  #: samples whose images are opened
#: keys of `-T NAME.key` that the core answers for every task
_CORE_SETTINGS = ("data", "judge")
Labels = Callable[[str, Path], tuple[str, ...]]  #: (rubric, data root) -> all its labels


def check_task(
    task: Task,
    data: Path | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    judges: Iterable[Judge] = (),
    host: Host | None = None,
) -> None:
    """Check that a task keeps its contract; raises NotConforming with everything that is wrong.

    Args:
        task: the descriptor.
        data: its data root; without it only splits with packaged data are listed, and those of a task file.
        settings: of the task, by name.
        judges: rubrics that its splits accept and that are not installed, such as its plugin's own.
        host: finds the other rubrics that its splits accept; None means the current one.
    """
    problems = Problems(f"task {task.name!r}")
    data = data or task.folder
    own = {judge.name: judge for judge in (*task.rubrics, *judges)}

    def list_labels(rubric: str, root: Path) -> tuple[str, ...]:
        """All labels of a rubric under its default settings."""
        judge = own.get(rubric) or (host or plugins.current()).judge(rubric)
        return judge.open(effective(judge.settings, {}, owner=f"judge {rubric}"), root).labels

    check_described(problems, task.version, task.description, task.settings, task.paper)
    values = effective(task.settings, settings or {}, owner=f"task {task.name}")
    splits: Mapping[str, Split] = {}
    with problems.at("splits"):
        splits = task.splits(values, data or Path(task.name)) if callable(task.splits) else task.splits
        problems.require(splits or not isinstance(splits, dict), "there are none")  # an open set need list none
    for name in splits:
        with problems.at(f"split {name}"):
            split = splits[name]
            if faults := list(find_split_faults(split)):
                for fault in faults:
                    problems.add(fault)
                continue
            root = split.data or data
            problems.require(not (name.startswith("mini") and split.selected), "a mini split runs only by name")
            problems.require(all(part in splits for part in split.parts), f"parts {split.parts} are not all splits")
            given: dict[str, tuple[str, ...]] = {}
            for rubric in split.judges:
                with problems.at(f"rubric {rubric}"):
                    given[rubric] = list_labels(rubric, root or Path(task.name))
            for wrong, near in find_misfits(split, given):
                problems.add(f"{wrong}: {near}")
            if root is not None and not split.parts:
                _check_samples(problems, task, name, split, values, root, list_labels)
    problems.raise_found()


def _check_samples(
    problems: Problems, task: Task, name: str, split: Split, settings: Settings, root: Path, list_labels: Labels
) -> None:
    listing: Iterable[Sample] = task.samples(root, name, settings)
    problems.require(not isinstance(listing, list | tuple | dict | set), "samples are listed at once, not lazily")
    samples = list(listing)
    problems.require(samples, "there are no samples")
    problems.require(split.n in (None, len(samples)), f"n is {split.n}, but there are {len(samples)} samples")
    ids = [sample.id for sample in samples]
    problems.require(len(set(ids)) == len(ids), "ids are not unique")
    problems.require(all(each == each.strip() and each.isprintable() and each for each in ids), "an id is not plain")

    def spell(sample: Sample) -> tuple[str, str, str]:
        return sample.id, canonical(request_to_json(sample.request)), canonical(messages_to_json(sample.turns))

    second = [spell(sample) for sample in task.samples(root, name, settings)]
    first = [spell(sample) for sample in samples]
    problems.require(first == second, "a second listing gives other ids or other requests")
    runs = [name for name, _ in groupby(map(cluster_of, samples))]
    problems.require(len(set(runs)) == len(runs), "a cluster's samples are not together")
    absent = sorted(set(split.by) - {"category", *(tag for sample in samples for tag in sample.tags)})
    problems.require(not absent, f"breaks down by {absent}, which no sample has")
    for sample in samples:
        with problems.at(f"sample {sample.id}"):
            _check_sample(problems, sample, name, split)
    for sample in samples[:OPENED_LIMIT]:
        with problems.at(f"sample {sample.id}"):
            for image in sample.images:
                try:
                    open_image(image)
                except BadImage as error:
                    problems.add(f"its image cannot be opened: {error}")
    _check_scores(problems, split, samples, list_labels, root)


def _check_sample(problems: Problems, sample: Sample, name: str, split: Split) -> None:
    images = len(sample.images)
    problems.require(sample.split == name, f"says it is of split {sample.split!r}")
    most = split.images
    problems.require(most is None or images <= most, f"holds {images} images, the split says {most}")
    problems.require(sample.request.messages, "asks nothing")
    if sample.turns and (fault := find_dialogue_fault(sample)):
        problems.add(f"is a sample {fault}")
    canonical(sample.target)
    for value in (*sample.tags, *sample.tags.values(), sample.category, sample.cluster):
        problems.require_type(value, str, "a tag, category or cluster is a")


def _check_scores(problems: Problems, split: Split, samples: Sequence[Sample], list_labels: Labels, root: Path) -> None:
    """Require finite shares for each label, within what the metric calls possible; blocks and empties count."""
    main = next((metric for metric in split.metrics if metric.main), split.metrics[0] if split.metrics else None)
    verdicts = {"blocked_as": split.blocked_as, "empty_as": split.empty_as}
    records = [
        Record(
            item=sample.id,
            id=sample.id,
            split=sample.split,
            category=sample.category,
            tags=sample.tags,
            cluster=cluster_of(sample),
            target=sample.target,
            outcome="answered",
        )
        for sample in samples
    ]
    for rubric, loss in split.losses.items():
        problems.require(rubric in split.judges, f"says what {rubric!r} loses, which it does not accept")
        problems.require(loss[:1].isupper() and loss.endswith("."), f"what {rubric!r} loses is no sentence")
    for name, verdict in verdicts.items():
        with problems.at(f"{name} {verdict.label!r}"):
            resolved = [replace(record, label=verdict.label, axes=verdict.axes) for record in records]
            if main is not None and resolved:
                problems.require(any(main.score(record)[1] for record in resolved), f"never counts in {main.name}")
    labels = {verdict.label: verdict for verdict in verdicts.values()}
    for rubric, translation in split.judges.items():
        with suppress(Exception):  # `check_task` has reported it
            given = [translation.get(label, label) for label in list_labels(rubric, root)]
            labels |= {label: Verdict(label=label) for label in given}
    for label, verdict in labels.items():
        counts = any(_counts(metric, records, verdict) for metric in split.metrics)
        problems.require(counts or not records, f"the label {label!r} counts in no metric")
    for metric in split.metrics:
        with problems.at(f"metric {metric.name}"):
            for record in records:
                _check_metric(problems, metric, record, labels.values())
            _check_labels(problems, metric, records, sorted({*labels, *(split.vocabulary or ())}))


def _counts(metric: Metric, records: Sequence[Record], verdict: Verdict) -> bool:
    """Whether any record with this verdict is in the metric's denominator."""
    try:
        return any(metric.score(replace(record, label=verdict.label, axes=verdict.axes))[1] for record in records)
    except KeyError:  # the metric reads axes, which a label alone does not have
        return True


def _check_labels(problems: Problems, metric: Metric, records: Sequence[Record], labels: Sequence[str]) -> None:
    """Check that the labels a metric names are those that change its score, compared with an unknown word."""
    try:
        moving = {label for label in labels if any(moves(metric, record, label) for record in records)}
    except KeyError:  # the metric reads axes, which a label alone does not have
        return
    if metric.labels is None:
        problems.require(moving or not records, "no label changes its score; where it looks at none, say labels=()")
    elif records:
        still, hidden = sorted(set(metric.labels) - moving), sorted(moving - set(metric.labels))
        problems.require(not still, f"says that it looks for {still}, which change nothing")
        # A metric of several values may tell a bad label from an unknown one; only a yes that is not named is wrong.
        unknown = [metric.score(replace(record, label=UNKNOWN))[0] for record in records]
        lifting = [
            label
            for label in hidden
            if any(metric.score(replace(r, label=label))[0] > no for r, no in zip(records, unknown, strict=True))
        ]
        problems.require(not lifting, f"counts {lifting}, which its labels do not name")


def _check_metric(problems: Problems, metric: Metric, record: Record, verdicts: Iterable[Verdict]) -> None:
    possible = metric.possible(record)
    for verdict in verdicts:
        try:
            share = metric.score(replace(record, label=verdict.label, axes=verdict.axes))
        except KeyError:  # as in `_counts`
            continue
        sound = all(isfinite(number) for number in share) and share[1] >= 0
        problems.require(sound, f"label {verdict.label!r} scores {share}")
        if not (sound and _is_within(share, possible)):
            problems.add(f"label {verdict.label!r} scores {share}, which is not among the possible {possible}")
    for function in (metric.group, metric.cluster, metric.stratum):
        if function is not None:
            problems.require_type(function(record), str, "a group, cluster or stratum is a")


def _is_within(share: Share, possible: tuple[Share, ...]) -> bool:
    """Whether a share moves no ratio further than the possible ones could: at ratio R it adds num - R * den."""
    if share == (0.0, 0.0):
        return True
    for ratio in (0.0, 0.5, 1.0):
        gains = [numerator - ratio * denominator for numerator, denominator in possible] or [0.0]
        if not min(gains) - 1e-9 <= share[0] - ratio * share[1] <= max(gains) + 1e-9:
            return False
    return True


def check_suite(suite: Suite, *, host: Host | None = None) -> None:
    """Check that a suite keeps its contract; raises NotConforming with everything that is wrong.

    Args:
        suite: the descriptor.
        host: offers its tasks and rubrics; None means the current one.
    """
    host = host or plugins.current()
    problems = Problems(f"suite {suite.name!r}")
    check_described(problems, "none needed", suite.description, (), suite.paper)
    problems.require(suite.tasks, "has no tasks")
    problems.require(len(set(suite.tasks)) == len(suite.tasks), "names a task twice")
    names = {task.name for task, _ in host.offers("tasks")}
    problems.require(suite.name not in names, "a task has its name")
    rubrics = set(suite.judges.values())
    for entry in suite.tasks:
        with problems.at(entry):
            rubrics |= _check_entry(problems, suite, entry, host)
    own = {*suite.tasks, *(entry.partition(":")[0] for entry in suite.tasks)}
    for name in (*suite.judges, *suite.mean):
        problems.require(name in own, f"{name!r} is not among its tasks")
    for key in suite.task_settings:
        name = key.partition(".")[0]
        problems.require(name in own or name in rubrics, f"{key!r} is of none of its tasks and rubrics")
    problems.raise_found()


def _check_entry(problems: Problems, suite: Suite, entry: str, host: Host) -> set[str]:
    """Check one entry; gives the rubrics that its splits accept."""
    name, _, wanted = entry.partition(":")
    task = host.task(name)
    given = {key[len(name) + 1 :]: value for key, value in suite.task_settings.items() if key.startswith(f"{name}.")}
    rubrics = {setting.name for judge, _ in host.offers("judges") if judge.name == name for setting in judge.settings}
    declared = {setting.name for setting in task.settings}
    own = {key: value for key, value in given.items() if key not in _CORE_SETTINGS and key not in rubrics - declared}
    values = effective(task.settings, own, owner=f"task {name}")
    try:
        splits: Mapping[str, Split] = task.splits(values, Path(name)) if callable(task.splits) else task.splits
    except MissingData:  # upstream's wording has to be fetched by the user
        splits = task.splits(effective(task.settings, {}, owner=name), Path(name)) if callable(task.splits) else {}
    there = [splits[wanted]] if wanted else [split for split in splits.values() if split.selected and not split.parts]
    rubric = suite.rubric(entry)
    problems.require(there, "stands for no split")
    problems.require(entry not in suite.mean or len(there) == 1, "has a place in the mean, but several splits")
    for split in there if rubric else ():
        problems.require(rubric in split.judges, f"does not accept the rubric {rubric!r}")
    return {accepted for split in there for accepted in split.judges}
