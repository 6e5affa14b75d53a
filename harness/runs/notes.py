"""What is left to say when a run has ended: its exit code, and what a person should read."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from harness import plugins
from harness.contracts import Results
from harness.data.inspection import size_warning
from harness.data.places import format_root_flag
from harness.errors import describe_deed
from harness.evaluation.context import RunContext
from harness.evaluation.judges import OpenJudge
from harness.evaluation.options import Options
from harness.evaluation.samples import ALWAYS_RETRIED
from harness.evaluation.splits import SplitPlan
from harness.evaluation.suites import format_left_out
from harness.plugins.loader import FILE
from harness.runs.items import read_answers
from harness.runs.results import ComputedResults
from harness.store.folder import RunFolder
from harness.text import one_line

_WIDTH = 60  #: of a reason, in letters


def find_main_reasons(run: RunFolder, plan: SplitPlan, judge: str = "") -> Mapping[str, str]:
    """The most frequent reason of each outcome and judge state that has any; the name alone says all of the others.

    Args:
        run: the folder.
        plan: the split.
        judge: whose missing verdicts are meant; empty for those of none.
    """
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for state, reason in _list_reasons(run, plan, judge):
        counts[state][reason] += 1
    return {state: found.most_common(1)[0][0] for state, found in counts.items()}


def _list_reasons(run: RunFolder, plan: SplitPlan, judge: str) -> Iterator[tuple[str, str]]:
    with ExitStack() as stack:
        task = run.task(plan.display)
        verdicts = task.verdicts(judge, write=False) if judge in task.judges() else None
        if verdicts is not None:
            stack.callback(verdicts.close)
        for answer in read_answers(run, plan.display, plan.name):
            found = None if verdicts is None else verdicts.find(*answer.place)
            if answer.response is not None and answer.outcome in ("error", "bad_sample"):
                yield answer.outcome, one_line(answer.response["reason"], _WIDTH)
            elif verdicts is not None and found is not None:
                line = verdicts.read(found[0])
                if line["state"] == "judge_error":
                    yield "judge_error", one_line(line["reason"].partition(":")[0], _WIDTH)


def build_notes(context: RunContext, concluded: ComputedResults, folder: Path) -> tuple[int, list[str]]:
    """The exit code, 0 for done and 3 for done but incomplete, and the notes, what is missing first."""
    results = concluded.results
    missing = [
        *format_left_out(context.left_out),
        *_failed(context),
        *_dead(context),
        *_unscored(concluded),
        *_incomplete(context, concluded, folder),
    ]
    return 3 if missing else 0, [
        *missing,
        *context.notes,
        *context.endpoints.notes,
        *_flag_undrawn(context, concluded),
        *_sizes(context),
        *_revisions(context, results),
        *_refused(context),
        *_names(context, results),
        *_uncounted(context, results),
    ]


def _failed(context: RunContext) -> Iterator[str]:
    for plan, error in context.failed:
        yield f"{plan.title} ended early: its task {error}"


def _dead(context: RunContext) -> Iterator[str]:
    for bench in context.judges:
        if bench.dead is not None:
            yield f"judge {bench.id} stopped: {bench.dead}"


def _unscored(concluded: ComputedResults) -> Iterator[str]:
    """Tasks whose own code raised while their results were computed: nothing the user can give again mends that."""
    host = plugins.current()
    owners = {task.name: f"{plugin} ({host.source(plugin).origin})" for task, plugin in host.offers("tasks")}
    for display, fault in concluded.unscored.items():
        did = describe_deed(fault.__cause__ or fault)
        there = "keeps what stood there before" if display in concluded.results["tasks"] else "does not hold it"
        yield (
            f"{display} could not be scored: plugin {owners.get(display.partition('+')[0], '?')} {did}; "
            f"its traceback is in log.txt; "
            f"results.json {there}; the answers and verdicts are kept, and `harness judge RUN` cannot mend it: "
            "mend the plugin, then run again"
        )


def _incomplete(context: RunContext, concluded: ComputedResults, folder: Path) -> Iterator[str]:
    waiting: list[SplitPlan] = []
    for job in context.jobs:
        plan = job.plan
        if plan.display in concluded.unscored:
            continue
        split = concluded.results["tasks"][plan.display]["splits"][plan.name]
        benches = context.judges_of.get((plan.display, plan.name), ())
        short = [bench for bench in benches if not _complete(split, bench)]
        if not short and (benches or split["complete"]):
            continue
        if short or not split["verdicts"]["unjudged"]:
            why = find_main_reasons(context.folder, plan, short[0].id if short else "")
            rest = "" if job.drawn is None else _command_for_rest(context.options, folder)
            yield f"{plan.title} is incomplete: {_open(plan, split, short, why, rest)}"
        else:
            waiting.append(plan)
    if waiting:
        yield format_judge_command(waiting, context.options, folder)


def _flag_undrawn(context: RunContext, concluded: ComputedResults) -> Iterator[str]:
    """Judges that have read a part of a split which nothing says is a random one."""
    for job in context.jobs:
        plan = job.plan
        if plan.display in concluded.unscored:
            continue
        split = concluded.results["tasks"][plan.display]["splits"][plan.name]
        for bench in context.judges_of.get((plan.display, plan.name), ()):
            view = split if split["judge"] == bench.id else split["other_judges"].get(bench.id, {})
            if view.get("drawn") is False:
                answers, waiting = split["outcomes"]["answered"], view["verdicts"]["unjudged"]
                yield (
                    f"{plan.title}: judge {bench.id} has read {answers - waiting} of {answers} answers, which are not"
                    " drawn: the others may be unlike them; judge the rest, or draw by harness judge --judge-limit N"
                )


def _open(
    plan: SplitPlan, split: Mapping[str, Any], short: Sequence[OpenJudge], why: Mapping[str, str], rest: str
) -> str:
    """What keeps a split incomplete, for the first judge it is so for, and what another run tries again by itself.

    Args:
        plan: the split.
        split: its part of the results.
        short: judges by which it is incomplete.
        why: commonest reason of an outcome or judge state.
        rest: the command that judges what `--judge-limit` left out; empty without one.
    """
    view = split["other_judges"].get(short[0].id, split) if short else split
    found = {
        **{name: split["outcomes"][name] for name in ("bad_sample", "error")},
        **{state: count for state, count in view["verdicts"].items() if state != "scored"},
    }
    if view["coverage"] is None:
        return "nothing was asked; run it again"
    left = {name: count for name, count in found.items() if count}
    cut = round(split["records"] * (1 - view["coverage"])) - sum(left.values())
    counts = [f"{name} {count}" + (f" ({why[name]})" if name in why else "") for name, count in left.items()]
    again = [_named_images(plan)] if "bad_sample" in left and plan.split.data is None else []
    fault = short[0].fault if short and "judge_error" in left else None
    first = f"mend plugin {fault.plugin}, then " if fault else ""
    limited = rest and "unjudged" in left
    within = left.keys() - {"unjudged"} or any(bench.dead is not None for bench in short)
    again += [f"{first}run it again{_retry(left)}"] if (within if limited else left) else []
    again += [f"`{rest}` judges the rest, with a larger --judge-limit more of it"] if limited else []
    if cut > 0:
        counts.append(f"cut off before any text {cut}")
        again.append("a larger --max-tokens, in a folder of its own, leaves room for those cut off")
    coverage = ", ".join([f"coverage {view['coverage']:.1%}", *counts])
    return f"{coverage}; {'; '.join(again) or 'run it again'}"


def _command_for_rest(options: Options, folder: Path) -> str:
    """The command that judges a run as these options do, without a limit."""
    words = [word for judge in options.judges for word in ("--judge", judge)]
    for flag, given in (("-J", options.judge_settings), ("-T", options.task_settings)):
        words += [word for key, value in given.items() for word in (flag, f"{key}={value}")]
    return shlex.join(["harness", "judge", str(folder), *words])


def _named_images(plan: SplitPlan) -> str:
    task = plan.task.name
    command = f"harness data verify {task}:{plan.name}{format_root_flag(task, plan.root)}"
    return f"`{command}` names the images that cannot be used"


def _retry(left: Mapping[str, int]) -> str:
    asked = sorted(set(left) - ALWAYS_RETRIED - {"unjudged"})
    return f", with --retry {','.join(asked)} for the rest" if asked else ""


def _complete(split: Mapping[str, Any], bench: OpenJudge) -> bool:
    """Whether a judge's view of a split is complete; one that has seen no answer is not in the results."""
    if split["judge"] == bench.id:
        return bool(split["complete"])
    view = split["other_judges"].get(bench.id)
    return bool(view["complete"]) if view is not None else not split["outcomes"]["answered"] and bool(split["complete"])


def format_judge_command(plans: Sequence[SplitPlan], options: Options, folder: Path) -> str:
    """The one command that finishes a run whose answers wait for judges."""
    rubrics = {plan.default.name: plan.default for plan in plans}
    flags = dict.fromkeys(word for plan in plans for word in _flags(plan))
    words = [word for flag in sorted(flags, key=lambda flag: "=" in flag) for word in ("--judge", flag)]
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
    return f"the answers wait for a judge: {need}, and none is ever assumed; finish with: {command}"


def _flags(plan: SplitPlan) -> Iterator[str]:
    """The `--judge` that answers for a split: by name where `--judge MODEL` would mean another rubric, or none."""
    by_name = plan.rubric or plan.default.name != next(iter(plan.split.judges))
    yield f"{plan.default.name}=SCHEME/NAME" if by_name else "SCHEME/NAME"


def _sizes(context: RunContext) -> Iterator[str]:
    for job in context.jobs:
        found, plan = job.survey, job.plan
        if found is not None and (told := size_warning(plan.title, found.found, plan.split.n)):
            yield told


def _uncounted(context: RunContext, results: Results) -> Iterator[str]:
    """Labels that a judge gave and that no metric looked at, of tasks that did not say what theirs are."""
    for plan in (job.plan for job in context.jobs):
        split = results["tasks"].get(plan.display, {}).get("splits", {}).get(plan.name, {})
        if labels := split.get("uncounted"):
            yield (
                f"{plan.title}: no metric looks at the label {', '.join(map(repr, labels))}; where that is meant, its "
                "task says so by Split.labels, or by Metric.labels"
            )
        if metrics := split.get("unmoved"):
            yield (
                f"{plan.title}: no label that was given changes the metric {', '.join(metrics)}; if it looks at none, "
                "its task says so by Metric.labels=()"
            )


def _revisions(context: RunContext, results: Results) -> Iterator[str]:
    """Data of another revision than the counts were checked with."""
    for display, task in {each.plan.display: each.plan.task for each in context.jobs}.items():
        data = results["tasks"].get(display, {}).get("data", {})
        if data.get("checked") == "another" and task.source is not None:
            pinned = task.source.revision or (task.source.archive or ("", ""))[1]
            yield f"{display}: its data are of revision {data['revision']}; its counts were checked with {pinned}"


def _refused(context: RunContext) -> Iterator[str]:
    if context.dropped:
        names = ", ".join(sorted(context.dropped))
        yield f"provider sampling: the model refuses {names}, which was left out and is recorded as null"


def _names(context: RunContext, results: Results) -> Iterator[str]:
    """Names that providers reported: several behind one name, and judges that were named by an alias."""
    answered = results["model"]["resolved"]
    if len(answered) > 1:
        yield f"{results['model']['ref']} answered under several names: {', '.join(answered)}"
    for bench in context.judges:
        if bench.model is None:
            continue
        ref, said = bench.model.info.ref, results["judges"][bench.id]["resolved"]
        if len(said) > 1:
            yield f"judge {bench.id} answered under several names: {', '.join(said)}"
        elif said and not bench.model.info.local and said[0] != ref.partition("/")[2]:
            yield f"judge {ref} is an alias of {said[0]} now: name that one where numbers are to be compared later"
