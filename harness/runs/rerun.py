"""Repeats a run from its run.json: what each invocation was asked to do, in a new folder.

A run folder may be the work of several invocations: some tasks, then more of them, then another judge. Each that ended
normally is one step, and equal ones (a resumed run) are one. The steps use the recorded options, never the words of a
command line, so a config file or a variable of the environment that has changed since changes nothing. Keys alone come
from the environment.

A run of an older version has no recorded options. They are built from the rest of run.json as far as it goes, and
`notes` says what it does not tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

from harness import plugins
from harness.errors import HarnessError, UnknownName
from harness.evaluation.options import JudgeOptions, Options
from harness.evaluation.samples import Stop
from harness.keys import canonical
from harness.labels import HUMAN
from harness.models import ModelSpec
from harness.progress.lines import Progress
from harness.runs.option_record import Kind, format_command, list_unflagged, name_folder, read_options
from harness.runs.run import Run, judge_async, run_async
from harness.runs.state import check_run_folder
from harness.runs.stored import COMBINED
from harness.runs.task_entries import find_changed_file
from harness.store.folder import RunFolder
from harness.store.run_file import RunFile
from harness.store.shards import find_base, shard_folder
from harness.types import Json

#: what tells two invocations apart only in how they went
_TRANSPORT: Final = frozenset(
    {"cwd", "retry", "policy", "probe", "devices", "phases", "launch", "hosts", "ray_address"}
    | {"max_usd", "prices", "batch", "wait"}
)

_HERE: Final = frozenset({"127.0.0.1", "localhost", "::1"})
#: settings of providers, judges and strategies that a stranger should not decide
_RUN_CODE: Final = frozenset({"trust_remote_code", "remote_python", "python", "model_path"})
_LIBRARIES: Final = frozenset({"args", "engine", "model_args"})
_ADDRESSES: Final = frozenset({"base_url", "azure_endpoint"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What a rerun does in another way; what is None or empty stays as it was.

    Attributes:
        model: another model; its settings stay if its scheme does.
        tasks: only these, instead of the recorded ones.
        judges: these judges, instead of all recorded ones.
        limit: clusters to take of each split.
        data: the data folder.
        devices: for local models and judges.
    """

    model: str = ""
    tasks: tuple[str, ...] = ()
    judges: tuple[str, ...] = ()
    limit: int | None = None
    data: Path | None = None
    devices: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One invocation to repeat; judging needs the folder that the steps before it made."""

    kind: Kind
    options: Options | JudgeOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class RerunPlan:
    """A run to repeat.

    Attributes:
        source: the run folder that is repeated.
        output: the new run folder, as `harness run --output` names it.
        steps: what to do, in order.
        notes: what is not repeated or not the same, for the user.
        risks: recorded settings that run code, name an address or send a secret: a stranger may have written them.
    """

    source: Path
    output: Path
    steps: tuple[Step, ...]
    notes: tuple[str, ...]
    risks: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """The folder that will hold the answers: `output`, or the shard's folder in it."""
        shards = [step.options.shard for step in self.steps if isinstance(step.options, Options)]
        shard = next(filter(None, shards), None)
        return self.output if shard is None else shard_folder(self.output, shard)

    @property
    def commands(self) -> tuple[str, ...]:
        """The command line of each step."""
        return tuple(
            format_command(step.options, step.kind, self.output if step.kind == "run" else self.folder)
            for step in self.steps
        )


def plan_rerun(folder: Path, *, output: Path | None = None, overrides: Overrides | None = None) -> RerunPlan:
    """Plan to repeat a run. Opens no model and writes nothing.

    Args:
        folder: the run folder.
        output: the new folder; None for one beside the run, of a shard beside the run that it is a part of.
        overrides: what to do in another way.

    Raises:
        HarnessError: there is no run, it is a redacted export, it lacks what is needed, or `output` is the run itself.
    """
    check_run_folder(folder)
    file = RunFolder(folder).load_run()
    if file.redacted:
        raise HarnessError(
            "a redacted export cannot be repeated: its settings and texts were removed",
            where=str(folder),
            remedy="use the run itself",
        )
    given = f"{file.model.ref}: its answers are those of the data, so only judges can differ"
    notes = [given] if file.model.given else []
    target = name_folder(find_base(folder)) if output is None else output
    steps = list(_read_steps(file, folder, notes))
    if not any(step.kind == "run" for step in steps):
        raise HarnessError(
            "run.json does not say how its answers were asked for",
            where=str(folder),
            remedy="run it with its original command",
        )
    steps = list(_override(steps, overrides or Overrides(), notes))
    for step in steps:
        left = list_unflagged(step.options)
        if left:
            notes.append(f"no flag gives {', '.join(left)}: it is repeated, and the command line does not show it")
    notes += _list_changes(file)
    risks = dict.fromkeys(risk for step in steps for risk in list_risks(step.options))
    plan = RerunPlan(
        source=folder, output=target, steps=tuple(steps), notes=tuple(dict.fromkeys(notes)), risks=tuple(risks)
    )
    if folder.resolve() in (target.resolve(), plan.folder.resolve()):
        raise HarnessError("this is the run itself", where=str(target), remedy="give --output another folder")
    return plan


def list_risks(options: Options | JudgeOptions) -> Iterator[str]:
    """Settings of a recorded invocation that nobody should use who does not trust the one who recorded it."""
    settings: list[Mapping[str, Any]] = [options.judge_settings]
    if isinstance(options, Options):
        settings += [options.model.settings, options.model.strategy_settings]
    for given in settings:
        for name, value in given.items():
            own = name.rpartition(".")[2]
            if value and own.endswith("_env"):
                yield f"{name}={value}: sends what this variable of the environment holds"
            elif value and own in _RUN_CODE:
                yield f"{name}={value}: runs code"
            elif value and own in _LIBRARIES:
                yield f"{name}={value}: a library's own arguments may run code or name an address"
            elif value and own in _ADDRESSES and _find_host(value) not in _HERE:
                yield f"{name}={value}: sends all questions there"
    for host in options.hosts:
        yield f"--host {host}: starts processes there"
    if options.ray_address:
        yield f"--ray-address {options.ray_address}: starts processes there"


def _find_host(address: object) -> str | None:
    try:
        return urlsplit(str(address)).hostname
    except ValueError:  # it is no address, and nobody knows what a library makes of it
        return None


def _read_steps(file: RunFile, folder: Path, notes: list[str]) -> Iterator[Step]:
    """The steps of the invocations that ended normally, or of the last one if none did."""
    begun = cast("Mapping[str, Any]", file.running.get("options") or {})
    if not file.history and not begun:
        raise HarnessError(
            "no command of it has ended, so run.json says nothing of its options",
            where=str(folder),
            remedy="run it with its original command",
        )
    # what `harness merge` did is the shards' own work
    own = [each for each in file.history if "merge" not in each.command[:2]]
    ended = [each for each in own if each.end == "done"] or own[-1:]
    if not any(each.options for each in own) and not begun:
        yield from _build_old_steps(file, folder, notes)
        return
    for each in ended:
        if not each.options:
            what = " ".join(each.command[:2]) or "an invocation"
            notes.append(f"not repeated: `{what}` of {each.started}, of which run.json keeps no options")
    recorded = [each.options for each in ended if each.options]
    if not recorded and begun:
        notes.append("the run never ended: it is repeated by what it had begun")
        recorded = [begun]
    seen = set[str]()
    for raw in recorded:
        kind = cast("Kind", raw["command"])
        if kind not in ("run", "judge", "combine"):
            raise HarnessError(f"it was made by a command that this version does not know: {kind}", where=str(folder))
        if not file.shard:
            raw = {name: value for name, value in raw.items() if name != "shard"}  # merged: all shards are one run
        same = canonical({name: value for name, value in raw.items() if name not in _TRANSPORT})
        if same in seen:
            continue
        seen.add(same)
        options: Options | JudgeOptions
        if kind == "run":
            options = replace(read_options(Options, raw, str(folder)), retry=frozenset())
        else:
            options = replace(read_options(JudgeOptions, raw, str(folder)), retry=frozenset())
        try:
            options.check()
            if "\\x00" in repr(raw).replace("\\\\", ""):  # without the backslashes that a text has itself
                raise ValueError("a text holds a NUL character")
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            what = f"its recorded options cannot be used: {error}"
            raise HarnessError(what, where=str(folder), remedy="run it with its original command") from None
        yield Step(kind=kind, options=options)


def _build_old_steps(file: RunFile, folder: Path, notes: list[str]) -> Iterator[Step]:
    """Steps from what older versions wrote: one for each set of splits that were asked alike."""
    notes.append(
        "run.json is of a version that did not record options: settings that are part of no identity (how a model is "
        "reached, --devices, --retry, --phases, --judge-repeat, --concurrency) are the defaults now"
    )
    if not file.tasks:
        raise HarnessError(
            "run.json has no 'tasks': the run was never finished, and its version did not record options",
            where=str(folder),
            remedy="run it with its original command: " + " ".join(file.history[-1].command),
        )
    spec = _build_old_model(file, folder)
    judges, judge_settings = _build_old_judges(file, notes)
    groups: dict[str, list[str]] = {}
    common: dict[str, Options] = {}
    for display, task in file.tasks.items():
        settings = {f"{task.task}.{name}": value for name, value in task.settings.items()}
        for name, split in task.splits.items():
            options = Options(
                model=spec,
                tasks=(),
                judges=judges,
                judge_settings=judge_settings,
                maps=split.maps,
                task_settings=settings,
                generation=file.overrides.generation,
                system=file.overrides.system,
                limit=split.limit,
                epochs=split.epochs,
                min_coverage=split.min_coverage,
                data=None if split.packaged else Path(task.data.folder),
            )
            how: dict[str, Json] = {"settings": settings, "limit": split.limit, "epochs": split.epochs}
            how |= {"least": split.min_coverage, "maps": {rubric: dict(made) for rubric, made in split.maps.items()}}
            how |= {"data": None if split.packaged else task.data.folder}
            key = canonical(how)
            common.setdefault(key, options)
            groups.setdefault(key, []).append(f"{task.task}:{name}")
        if "+" in display and not task.settings:
            notes.append(f"{display} is asked as {task.task}: the data folder must hold the same set")
    for key, titles in groups.items():
        yield Step(kind="run", options=replace(common[key], tasks=tuple(titles)))


def _build_old_model(file: RunFile, folder: Path) -> ModelSpec:
    settings = cast("Mapping[str, Any]", file.model.settings)
    provider = plugins.current().provider(file.model.ref.partition("/")[0])
    paths = {setting.name for setting in provider.settings if setting.type is Path}
    lost = sorted(name for name in paths if settings.get(name))
    if lost:
        raise HarnessError(
            f"run.json has no path of the setting {lost[0]}: its version kept the name {settings[lost[0]]} alone",
            where=str(folder),
            remedy="run it with its original command",
        )
    changed = {
        setting.name: settings[setting.name]
        for setting in provider.settings
        if setting.name in settings and settings[setting.name] != setting.default
    }
    strategy = cast("Mapping[str, Any]", file.model.strategy or {})
    return ModelSpec(
        ref=file.model.ref,
        settings=changed,
        strategy=str(strategy.get("name", "")),
        strategy_settings=dict(strategy.get("settings", {})),
    )


def _build_old_judges(file: RunFile, notes: list[str]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The judges by their cards, and the settings that a card holds of a judge with a model."""
    names: list[str] = []
    settings: dict[str, Any] = {}
    primary = {split.judge for task in file.tasks.values() for split in task.splits.values()}
    for judge, card in sorted(file.judges.items(), key=lambda each: each[0] not in primary):
        rubric = str(card["rubric"])
        if rubric in (HUMAN, COMBINED):
            notes.append(f"not repeated: judge {judge}, which asks no model")
            continue
        model = card.get("model")
        names.append(f"{rubric}={model}" if isinstance(model, str) else rubric)
        own = cast("Mapping[str, Any]", card.get("settings") or {})
        settings |= {f"{rubric}.{name}": value for name, value in own.items() if isinstance(model, str)}
    return tuple(dict.fromkeys(names)), settings


def _override(steps: Sequence[Step], given: Overrides, notes: list[str]) -> Iterator[Step]:
    for step in steps:
        options = step.options
        if given.data is not None:
            options = replace(options, data=given.data)
        if given.devices:
            options = replace(options, devices=given.devices)
        if isinstance(options, JudgeOptions):
            if given.judges:
                notes.append("the recorded `harness judge` steps are left out, since --judge names the judges")
                continue
            yield Step(kind=step.kind, options=replace(options, tasks=()) if given.tasks else options)
            continue
        if given.model:
            old, new = options.model, replace(options.model, ref=given.model)
            if new.scheme != old.scheme:
                if old.settings:
                    names = ", ".join(old.settings)
                    notes.append(
                        f"the settings of {old.ref} are left out, since {new.ref} has another provider: {names}"
                    )
                new = replace(new, settings={})
            options = replace(options, model=new)
        if given.tasks:
            options = replace(options, tasks=given.tasks)
        if given.limit is not None:
            options = replace(options, limit=given.limit)
        if given.judges:
            options = replace(options, judges=given.judges, judge_settings={}, judge_repeat=1, judge_vote="")
            if step.options != options and isinstance(step.options, Options) and step.options.judge_settings:
                notes.append("the settings of the recorded judges are left out, since --judge names others")
        yield Step(kind="run", options=options)
        if given.tasks and given.limit is None and len([each for each in steps if each.kind == "run"]) > 1:
            notes.append("--tasks: each recorded step asks these tasks in its own way")


def _list_changes(file: RunFile) -> Iterator[str]:
    """Plugins and tasks whose version differs now."""
    host = plugins.current()
    now = host.provenance()
    gone = sorted(name for name in file.plugins if name not in now)
    other = sorted(name for name, origin in file.plugins.items() if name in now and now[name] != origin)
    if other:
        by_change: dict[str, list[str]] = {}
        for name in other:
            by_change.setdefault(f"{file.plugins[name]} then, {now[name]} now", []).append(name)
        for change, names in by_change.items():
            shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            yield f"another version: {shown} ({change})"
    if gone:
        yield f"plugins of the run that are not loaded now: {', '.join(gone)}"
    for display, entry in file.tasks.items():
        if entry.file:
            if changed := find_changed_file(entry):
                yield f"{display} has another task file now, so its numbers do not compare: {changed}"
            continue
        try:
            task = host.task(entry.task)
        except UnknownName:
            continue  # the run itself says so
        if task.version != entry.version:
            yield f"{display} was version {entry.version} and is {task.version} now: its numbers do not compare"


async def rerun_async(plan: RerunPlan, *, command: Sequence[str], progress: Progress | None, stop: Stop) -> Run:
    """Do the steps of a plan, one after the other.

    Args:
        plan: the plan.
        command: recorded in the new run's history.
        progress: receives progress events; None for no output.
        stop: as in `run_async`.

    Raises:
        HarnessError: as `run_async` and `judge_async`.
    """
    run: Run | None = None
    for step in plan.steps:
        if isinstance(step.options, Options):
            options = replace(step.options, output=plan.output, command=tuple(command))
            run = await run_async(options, progress=progress, stop=stop)
        elif step.kind == "judge":
            judging = replace(step.options, command=tuple(command))
            run = await judge_async(plan.folder, judging, progress=progress, stop=stop)
        else:
            from harness.runs.additions import combine_judges

            run = combine_judges(plan.folder, replace(step.options, command=tuple(command)))
    assert run is not None
    return run


def find_identity_changes(source: Path, output: Path) -> list[str]:
    """Where the identities of two runs differ, as `path`; empty if the same model answered in the same way."""
    first, second = (RunFolder(each).load_run().identity for each in (source, output))
    return sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))
