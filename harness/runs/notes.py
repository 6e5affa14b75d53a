"""The exit code of a run, and the notes that tell the user what is missing and what to do."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from harness import plugins
from harness.contracts import Results
from harness.data.inspection import size_warning
from harness.data.places import format_root_flag, format_task
from harness.errors import describe_deed
from harness.evaluation.context import RunContext
from harness.evaluation.judges import OpenJudge
from harness.evaluation.options import Options
from harness.evaluation.plan import SplitJob
from harness.evaluation.samples import ALWAYS_RETRIED
from harness.evaluation.splits import SplitPlan, format_left_out
from harness.plugins.loader import FILE
from harness.runs.results import ComputedResults
from harness.runs.shards import format_shard
from harness.runs.votes import list_votes
from harness.store.folder import RunFolder
from harness.store.reader import read_answers
from harness.store.shards import find_base
from harness.text import one_line

_WIDTH = 60  #: longest reason, in letters
FAILED: Final = ("bad_sample", "error", "unanswered")  #: outcomes without an answer that another run may bring


def find_main_reasons(run: RunFolder, plan: SplitPlan, judge: str = "") -> Mapping[str, str]:
    """The most frequent reason of each outcome and judge state that has reasons.

    Args:
        run: the folder.
        plan: the split.
        judge: the judge whose missing verdicts to explain; empty for none.
    """
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    task = run.task(plan.display)
    judges = (judge,) if judge in task.judges() else ()
    for answer in read_answers(task, plan.name, judges):
        line = answer.verdicts.get(judge)
        if answer.response is not None and answer.outcome in ("error", "bad_sample"):
            counts[answer.outcome][one_line(answer.response["reason"], _WIDTH)] += 1
        elif line is not None and line["state"] == "judge_error":
            counts["judge_error"][one_line(line["reason"].partition(":")[0], _WIDTH)] += 1
    return {state: found.most_common(1)[0][0] for state, found in counts.items()}


def build_notes(context: RunContext, computed: ComputedResults, folder: Path) -> tuple[int, list[str]]:
    """The exit code (0 done, 3 done but incomplete) and the notes, missing things first."""
    # of the repeats of one judge, which ask one model, the first that stopped
    stopped = (next((each for each in judge.every if each.dead is not None), None) for judge in context.judges)
    missing = [
        *format_left_out(context.left_out),
        *(f"{plan.title} ended early: its task {error}" for plan, error in context.failed),
        *(f"judge {each.id} stopped: {each.dead}" for each in stopped if each is not None),
        *_list_unscored(computed),
        *computed.unread,
        *_list_incomplete(context, computed, folder),
        *_list_undecided(context, computed),
    ]
    return 3 if missing else 0, [
        *missing,
        *context.notes,
        *context.endpoints.notes,
        *_list_undrawn(context, computed),
        *_list_remarks(context, computed.results),
        *_list_shard_notes(context, folder),
    ]


def _list_unscored(computed: ComputedResults) -> Iterator[str]:
    """Tasks whose code raised while their results were computed; only a fixed plugin helps."""
    host = plugins.current()
    owners = {task.name: f"{plugin} ({host.source(plugin).origin})" for task, plugin in host.offers("tasks")}
    for display, fault in computed.unscored.items():
        did = describe_deed(fault.__cause__ or fault)
        there = "keeps its former numbers" if display in computed.results["tasks"] else "does not contain it"
        yield (
            f"{display} could not be scored: plugin {owners.get(display.partition('+')[0], '?')} {did}; "
            f"its traceback is in log.txt; "
            f"results.json {there}; the answers and verdicts are kept, and `harness judge RUN` cannot help: "
            "fix the plugin, then run again"
        )


def _list_incomplete(context: RunContext, computed: ComputedResults, folder: Path) -> Iterator[str]:
    """The incomplete splits, with what is missing and what to do; those that wait for a judge come last."""
    waiting: list[SplitPlan] = []
    for job, split in _pair_splits(context, computed):
        plan = job.plan
        if job.survey is not None and job.survey.whole and not job.survey.samples:
            continue  # a shard without a cluster of this split lacks nothing
        judges = context.judges_of.get((plan.display, plan.name), ())
        if job.deferred and not judges:
            failed = sum(split["outcomes"].get(name, 0) for name in FAILED)
            if split["records"] and failed / split["records"] > 1 - context.options.min_coverage:
                yield f"{plan.title} is incomplete: {failed} of {split['records']} are not answered; run it again"
            continue
        short = [judge for judge in judges if not _is_complete(split, judge)]
        if not short and (judges or split["complete"]):
            continue
        if short or not split["verdicts"]["unjudged"]:
            why = find_main_reasons(context.folder, plan, short[0].id if short else "")
            rest = "" if job.drawn is None else _format_rest_command(context.options, folder)
            yield f"{plan.title} is incomplete: {_explain_incomplete(plan, split, short, why, rest)}"
        else:
            waiting.append(plan)
    if waiting:
        shard, base = context.options.shard, find_base(folder)
        text = format_judge_command(waiting, context.options, base)
        yield text if shard is None else f"{text}, once the shards are merged: {_format_merge_command(base)}"


def _format_merge_command(base: Path) -> str:
    return shlex.join(["harness", "merge", str(base)])


def _list_shard_notes(context: RunContext, folder: Path) -> Iterator[str]:
    """That a shard is no whole run, and what is left to the merged one."""
    shard = context.options.shard
    if shard is None:
        return
    command = _format_merge_command(find_base(folder))
    for job in context.jobs:
        for choice in job.deferred:
            yield f"{job.plan.title}: rubric {choice.judge.name!r} scores all answers at once, after `{command}`"
    what = f"this is shard {format_shard(shard)}, whose numbers are not the run's"
    yield f"{what}; when all {shard[1]} have ended: {command}"


def _list_undecided(context: RunContext, computed: ComputedResults) -> Iterator[str]:
    """The splits that are incomplete by the vote of a judge's repeats, though not by the judge itself."""
    for job, split in _pair_splits(context, computed):
        plan = job.plan
        judges = context.judges_of.get((plan.display, plan.name), ())
        for judge in (judge for judge in judges if _is_complete(split, judge)):
            for vote in list_votes([judge], context.options):
                view = split if split["judge"] == vote.id else split["other_judges"].get(vote.id)
                if view is not None and not view["complete"]:
                    left = {state: count for state, count in view["verdicts"].items() if count and state != "scored"}
                    counted = (f"{state} {count}" for state, count in left.items())
                    counts = ", ".join((f"coverage {view['coverage']:.1%}", *counted))
                    odd = "; an odd --judge-repeat leaves fewer ties" if vote.count % 2 == 0 else ""
                    yield f"{plan.title} is incomplete by the vote of {vote.count} repeats: {counts}{odd}"


def _pair_splits(context: RunContext, computed: ComputedResults) -> Iterator[tuple[SplitJob, Mapping[str, Any]]]:
    """Each split of the invocation with its results, without tasks that could not be scored."""
    for job in context.jobs:
        if job.plan.display not in computed.unscored:
            yield job, computed.results["tasks"][job.plan.display]["splits"][job.plan.name]


def _is_complete(split: Mapping[str, Any], judge: OpenJudge) -> bool:
    """Whether a split is complete under a judge; a judge that has seen no answer is not in the results."""
    view = split if split["judge"] == judge.id else split["other_judges"].get(judge.id)
    return bool(view["complete"]) if view is not None else not split["outcomes"]["answered"] and bool(split["complete"])


def _explain_incomplete(
    plan: SplitPlan, split: Mapping[str, Any], short: Sequence[OpenJudge], why: Mapping[str, str], rest: str
) -> str:
    """Why a split is incomplete under the first of some judges, and what to do.

    Args:
        plan: the split.
        split: its results.
        short: judges under which it is incomplete.
        why: outcome or judge state -> its most frequent reason.
        rest: the command that judges what `--sample` left out; empty without a limit.
    """
    view = split["other_judges"].get(short[0].id, split) if short else split
    if view["coverage"] is None:
        return "nothing was asked; run it again"
    found = {
        **{name: split["outcomes"].get(name, 0) for name in FAILED},
        **{state: count for state, count in view["verdicts"].items() if state != "scored"},
    }
    left = {name: count for name, count in found.items() if count}
    cut = round(split["records"] * (1 - view["coverage"])) - sum(left.values())
    counts = [f"{name} {count}" + (f" ({why[name]})" if name in why else "") for name, count in left.items()]
    remedies: list[str] = []
    if "bad_sample" in left and plan.split.data is None:
        task = plan.task
        named = f"{format_task(task.name, task.file, plan.name)}{format_root_flag(task, plan.root)}"
        remedies.append(f"`harness data verify {named}` names the images that cannot be used")
    limited = rest and "unjudged" in left
    if "judge_error" in left and why.get("judge_error") == "context_length":
        remedies.append(
            "asking again cannot help where a text is too long for the judge: name one with a longer context by --judge"
        )
        left.pop("judge_error")
    if (left.keys() - {"unjudged"} or any(judge.dead is not None for judge in short)) if limited else left:
        fault = short[0].fault if short and "judge_error" in left else None
        first = f"fix plugin {fault.plugin}, then " if fault else ""
        retried = sorted(set(left) - ALWAYS_RETRIED - {"unjudged", "unanswered"})
        retry = f", with --retry {','.join(retried)} for the rest" if retried else ""
        remedies.append(f"{first}run it again{retry}")
    if limited:
        remedies.append(f"`{rest}` judges the rest; a larger --sample judges more")
    if cut > 0:
        counts.append(f"cut off before any text {cut}")
        remedies.append("a larger --max-tokens, in another folder, leaves room for the answers cut off")
    coverage = ", ".join([f"coverage {view['coverage']:.1%}", *counts])
    return f"{coverage}; {'; '.join(remedies) or 'run it again'}"


def _format_rest_command(options: Options, folder: Path) -> str:
    """The command that judges all of a run with these options."""
    words = [word for judge in options.judges for word in ("--judge", judge)] + _format_repeats(options)
    for flag, given in (("-J", options.judge_settings), ("-T", options.task_settings)):
        words += [word for key, value in given.items() for word in (flag, f"{key}={value}")]
    return shlex.join(["harness", "judge", str(folder), *words])


def _format_repeats(options: Options) -> list[str]:
    """The flags that let each judge judge several times."""
    repeat = ["--judge-repeat", str(options.judge_repeat)] if options.judge_repeat > 1 else []
    return [*repeat, *(["--judge-vote", options.judge_vote] if options.judge_vote else [])]


def format_judge_command(plans: Sequence[SplitPlan], options: Options, folder: Path) -> str:
    """The one command that finishes a run whose answers wait for judges."""
    rubrics = {plan.default.name: plan.default for plan in plans}
    flags: dict[str, None] = {}
    for plan in plans:  # by name if `--judge MODEL` would mean another rubric, or none
        by_name = plan.rubric or plan.default.name != next(iter(plan.split.judges))
        flags[f"{plan.default.name}=SCHEME/NAME" if by_name else "SCHEME/NAME"] = None
    words = [word for flag in sorted(flags, key=lambda flag: "=" in flag) for word in ("--judge", flag)]
    words += _format_repeats(options)
    for rubric in rubrics.values():
        declared = {setting.name for setting in rubric.settings}
        own = [(key, value) for key, value in options.given(rubric.name).items() if key in declared]
        words += [word for key, value in own for word in ("-T", f"{rubric.name}.{key}={value}")]
    words += [
        word for each in plugins.current().plugins if each.distribution == FILE for word in ("--plugin", each.value)
    ]
    command = shlex.join(["harness", "judge", str(folder), *words])
    names = ", ".join(repr(name) for name in rubrics)
    need = f"rubric {names} needs a model" if len(rubrics) == 1 else f"rubrics {names} need a model each"
    return f"the answers wait for a judge: {need}, and there is no default; finish with: {command}"


def _list_undrawn(context: RunContext, computed: ComputedResults) -> Iterator[str]:
    """Judges that have read a part of a split that may not be random."""
    for job, split in _pair_splits(context, computed):
        plan = job.plan
        for judge in context.judges_of.get((plan.display, plan.name), ()):
            view = split if split["judge"] == judge.id else split["other_judges"].get(judge.id, {})
            if view.get("drawn") is False:
                answers, waiting = split["outcomes"]["answered"], view["verdicts"]["unjudged"]
                yield (
                    f"{plan.title}: judge {judge.id} has read {answers - waiting} of {answers} answers, not a random"
                    " sample: the others may differ; judge the rest, or draw a sample: harness judge --sample N"
                )


def _list_remarks(context: RunContext, results: Results) -> Iterator[str]:
    """What a reader of the numbers should know of the data, the models, the labels and the rubrics."""
    for job in context.jobs:
        survey, plan = job.survey, job.plan
        if survey is not None and (warning := size_warning(plan.title, survey.found, plan.split.n)):
            yield warning
    for display, task in {job.plan.display: job.plan.task for job in context.jobs}.items():
        data = results["tasks"].get(display, {}).get("data", {})
        if data.get("checked") == "another" and task.source is not None:
            pinned = task.source.revision or (task.source.archive or ("", ""))[1]
            yield f"{display}: its data has revision {data['revision']}; its counts were checked with {pinned}"
    if context.dropped:
        names = ", ".join(sorted(context.dropped))
        yield f"provider sampling: the model refuses {names}; it was not sent and is recorded as null"

    answered = results["model"]["resolved"]
    if len(answered) > 1:
        yield f"{results['model']['ref']} answered under several names: {', '.join(answered)}"
    for judge in context.judges:
        if judge.model is None:
            continue
        ref, said = judge.model.info.ref, results["judges"][judge.id]["resolved"]
        if len(said) > 1:
            yield f"judge {judge.id} answered under several names: {', '.join(said)}"
        elif said and not judge.model.info.local and said[0] != ref.partition("/")[2]:
            yield f"judge {ref} is now an alias of {said[0]}: use that name if you will compare numbers later"

    # only a task that does not declare its metrics' labels has such
    for plan in (job.plan for job in context.jobs):
        split = results["tasks"].get(plan.display, {}).get("splits", {}).get(plan.name, {})
        if labels := split.get("uncounted"):
            yield (
                f"{plan.title}: no metric uses the label {', '.join(map(repr, labels))}; if that is intended, declare "
                "it in the task's Split.labels or Metric.labels"
            )
        if metrics := split.get("unmoved"):
            yield (
                f"{plan.title}: no label that was given changes the metric {', '.join(metrics)}; if it uses none, "
                "declare Metric.labels=() in the task"
            )

    # a rubric of another benchmark that judges in place of the split's own
    found: dict[tuple[str, str], list[str]] = {}
    for plan in (job.plan for job in context.jobs):
        for choice in plan.judges:
            rubric = choice.judge.name
            if rubric != next(iter(plan.split.judges)) and (sentence := plan.split.losses.get(rubric)):
                found.setdefault((rubric, sentence), []).append(plan.title)
    for (rubric, sentence), titles in found.items():
        yield f"{', '.join(titles)} by rubric {rubric!r}: {sentence}"
