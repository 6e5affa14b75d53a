"""`harness.run`, `harness.judge_run` and `harness.load_run`: the commands for Python, and a stored run as a `Run`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

from harness.attacks import AttackSpec
from harness.errors import HarnessError
from harness.evaluation.options import JudgeOptions, Options, Phases, Vote
from harness.limits.endpoints import Policy
from harness.metrics import MIN_COVERAGE
from harness.models import ModelSpec
from harness.prices import read_prices
from harness.progress.lines import Progress
from harness.remote import find_local, is_remote, show_address
from harness.replicas.placement import format_devices
from harness.runs import run as runs
from harness.runs.run import Run


class RunOptions(TypedDict, total=False):
    """Options of `run` and `run_async`; all are optional.

    Attributes:
        judge: `MODEL`, `RUBRIC` or `RUBRIC=MODEL`, one or several; the first is the primary one. There is no default.
        maps: rubric -> its labels in the words of a split, as `--map`; an empty map reports the rubric's own labels.
        model_settings: as `-M`.
        judge_settings: as `-J`: key or `RUBRIC.key` -> value.
        task_settings: as `-T`: `NAME.key` -> value.
        strategy: the strategy around the model.
        strategy_settings: as `-S`.
        attack: what changes the questions.
        attack_settings: as `-A`.
        temperature: overrides the splits' value.
        max_tokens: overrides the splits' value.
        seed: sent to the provider.
        system: a system message put before each request.
        limit: clusters to take of each split; None takes all.
        epochs: answers for each sample.
        data: the data folder; None for `HARNESS_DATA` or the user's.
        output: the run folder; None for `runs/<scheme>-<name>`.
        fresh: first move an old run out of this folder.
        retry: outcomes or judge states to retry, one or several.
        probe: check the model and the judges first.
        phases: judge while answering, or afterwards.
        devices: CUDA devices for local models and judges, `"0,1"` or `[0, 1]`; each holds one replica.
        launch: what starts the replicas of local models and judges: `local`, `srun`, `ssh` or `ray`.
        hosts: `"HOST:0,1"`, one or several, on which ssh starts them.
        ray_address: of the Ray cluster; empty starts Ray on this machine.
        min_coverage: share of records that must be resolved.
        shard: `(0, 4)` for the first of four parts, as `--shard 0/4`; None for all.
        judge_repeat: how often each judge that asks a model judges each answer.
        judge_vote: `majority` lets the majority of the repeats give the number; empty the first.
        policy: slots, retries, breaker, and calls (`rpm`) and tokens (`tpm`) a minute.
        max_usd: most dollars that the run folder may cost; the run then raises `harness.errors.BudgetSpent`.
        prices: the user's prices, as in the config: `SCHEME/NAME` -> input, output, source, date, and so on.
        progress: receives progress events; None for no output.
    """

    judge: str | Sequence[str]
    maps: Mapping[str, Mapping[str, str]]
    model_settings: Mapping[str, Any]
    judge_settings: Mapping[str, Any]
    task_settings: Mapping[str, Any]
    strategy: str
    strategy_settings: Mapping[str, Any]
    attack: str
    attack_settings: Mapping[str, Any]
    temperature: float | None
    max_tokens: int | None
    seed: int | None
    system: str
    limit: int | None
    epochs: int
    data: Path | str | None
    output: Path | str | None
    fresh: bool
    retry: str | Sequence[str]
    probe: bool
    phases: Phases
    devices: str | int | Sequence[str | int]
    launch: str
    hosts: str | Sequence[str]
    ray_address: str
    min_coverage: float
    shard: tuple[int, int] | None
    judge_repeat: int
    judge_vote: Vote
    policy: Policy
    max_usd: float | None
    prices: Mapping[str, Mapping[str, Any]]
    progress: Progress | None


async def run_async(model: str, tasks: str | Sequence[str], **options: Unpack[RunOptions]) -> Run:
    """Answer the questions of some tasks and judge the answers.

    Args:
        model: `SCHEME/NAME`.
        tasks: `NAME` or `NAME:SPLIT`, one or several.
        options: see `RunOptions`.

    Raises:
        HarnessError: for problems that the user can fix; stored answers are kept.
    """
    for name in options:
        if name not in RunOptions.__annotations__:
            raise TypeError(f"harness.run has no option {name!r}")
    names = _to_tuple(tasks)
    temperature = options.get("temperature")
    overrides = {
        "temperature": None if temperature is None else float(temperature),  # 0 and 0.0 must be the same run
        "max_tokens": options.get("max_tokens"),
        "seed": options.get("seed"),
    }
    data, output = options.get("data"), options.get("output")
    run_options = Options(
        model=ModelSpec(
            ref=model,
            settings=options.get("model_settings", {}),
            strategy=options.get("strategy", ""),
            strategy_settings=options.get("strategy_settings", {}),
        ),
        tasks=names,
        judges=_to_tuple(options.get("judge", ())),
        maps=options.get("maps", {}),
        judge_settings=options.get("judge_settings", {}),
        task_settings=options.get("task_settings", {}),
        generation={name: value for name, value in overrides.items() if value is not None},
        system=options.get("system", ""),
        limit=options.get("limit"),
        epochs=options.get("epochs", 1),
        data=None if data is None else Path(data),
        output=None if output is None else Path(output),
        fresh=options.get("fresh", False),
        retry=frozenset(_to_tuple(options.get("retry", ()))),
        probe=options.get("probe", True),
        phases=options.get("phases", "auto"),
        devices=str(format_devices(options.get("devices", ""))),
        launch=options.get("launch", ""),
        hosts=_to_tuple(options.get("hosts", ())),
        ray_address=options.get("ray_address", ""),
        min_coverage=options.get("min_coverage", MIN_COVERAGE),
        shard=options.get("shard"),
        judge_repeat=options.get("judge_repeat", 1),
        judge_vote=options.get("judge_vote", ""),
        policy=options.get("policy", Policy()),
        max_usd=options.get("max_usd"),
        prices=read_prices(options.get("prices", {}), "harness.run"),
        attack=AttackSpec(name=options.get("attack", ""), settings=options.get("attack_settings", {})),
        command=("harness.run", model, ",".join(names)),
    )
    return await runs.run_async(run_options, progress=options.get("progress"))


def run(model: str, tasks: str | Sequence[str], **options: Unpack[RunOptions]) -> Run:
    """Call `run_async` from ordinary code, in a new thread, so it works in a notebook. Same arguments."""
    from anyio.from_thread import start_blocking_portal

    with start_blocking_portal() as portal:
        return portal.call(lambda: run_async(model, tasks, **options))


class JudgeRunOptions(TypedDict, total=False):
    """Options of `judge_run` and `judge_run_async`; all are optional.

    Attributes:
        judge: as in `RunOptions`; without one, each split's own judge, as the run was asked.
        maps: as in `RunOptions`.
        judge_settings: as in `RunOptions`.
        task_settings: `NAME.key` -> value; for a task only its data folder and its rubric.
        tasks: `NAME` or `NAME:SPLIT` of the run, one or several; none for all.
        primary: make this judge's numbers the first ones of the results.
        combine: `majority` asks no judge: it adds the majority of the stored judges as one more judge.
        members: with `combine`, the judges of the majority, by id or rubric; none for all.
        data: the data folder, if the run's is gone.
        retry: outcomes or judge states to retry, one or several.
        probe: first ask the judges' models a small question.
        devices: as in `RunOptions`.
        min_coverage: share of records that must be resolved; None for the run's value.
        sample: clusters to judge of each split, drawn at random; None for all.
        judge_repeat: as in `RunOptions`.
        judge_vote: as in `RunOptions`.
        policy: slots, retries and breaker.
        progress: receives progress events; None for no output.
    """

    judge: str | Sequence[str]
    maps: Mapping[str, Mapping[str, str]]
    judge_settings: Mapping[str, Any]
    task_settings: Mapping[str, Any]
    tasks: str | Sequence[str]
    primary: bool
    combine: Literal["", "majority"]
    members: str | Sequence[str]
    data: Path | str | None
    retry: str | Sequence[str]
    probe: bool
    devices: str | int | Sequence[str | int]
    min_coverage: float | None
    sample: int | None
    judge_repeat: int
    judge_vote: Vote
    policy: Policy
    progress: Progress | None


async def judge_run_async(run: Run | Path | str, **options: Unpack[JudgeRunOptions]) -> Run:
    """Judge the stored answers of a run, again or with another judge. Does not call the model.

    Args:
        run: a run, or its folder.
        options: see `JudgeRunOptions`.

    Returns:
        The run with its new results.

    Raises:
        HarnessError: for problems that the user can fix; stored answers and verdicts are kept.
    """
    for name in options:
        if name not in JudgeRunOptions.__annotations__:
            raise TypeError(f"harness.judge_run has no option {name!r}")
    folder = _find_folder(run)
    data = options.get("data")
    judging = JudgeOptions(
        judges=_to_tuple(options.get("judge", ())),
        maps=options.get("maps", {}),
        judge_settings=options.get("judge_settings", {}),
        task_settings=options.get("task_settings", {}),
        tasks=_to_tuple(options.get("tasks", ())),
        members=_to_tuple(options.get("members", ())),
        primary=options.get("primary", False),
        data=None if data is None else Path(data),
        retry=frozenset(_to_tuple(options.get("retry", ()))),
        probe=options.get("probe", True),
        devices=str(format_devices(options.get("devices", ""))),
        min_coverage=options.get("min_coverage"),
        judge_limit=options.get("sample"),
        judge_repeat=options.get("judge_repeat", 1),
        judge_vote=options.get("judge_vote", ""),
        policy=options.get("policy", Policy()),
        command=("harness.judge_run", str(folder)),
    )
    combine = options.get("combine", "")
    if not combine:
        if judging.members:
            raise HarnessError("members are those of a majority", remedy='give combine="majority" too')
        return await runs.judge_async(folder, judging, progress=options.get("progress"))
    if combine != "majority":
        raise HarnessError(f"combine {combine!r}: no such rule", remedy="majority is the only one")
    asks = [name for name in ("judge", "sample", "judge_repeat", "judge_vote") if name in options]
    if asks:
        raise HarnessError(f"combine asks no judge, so {asks[0]} has no effect", remedy="judge first, in another call")
    from anyio import to_thread

    from harness.runs.additions import combine_judges

    return await to_thread.run_sync(combine_judges, folder, judging)


def judge_run(run: Run | Path | str, **options: Unpack[JudgeRunOptions]) -> Run:
    """Call `judge_run_async` from ordinary code, in a new thread, so it works in a notebook. Same arguments."""
    from anyio.from_thread import start_blocking_portal

    with start_blocking_portal() as portal:
        return portal.call(lambda: judge_run_async(run, **options))


def load_run(folder: Run | Path | str) -> Run:
    """Read a run from its folder, whether it has ended, is running or failed; also a redacted export.

    Nothing is written and no model is asked. `exit_code` is 0 for a complete run and 3 for any other; `notes` then says
    what is missing. A run that has written no results has empty `results`.

    Args:
        folder: the run folder; one at an address, such as `s3://…`, is fetched.

    Raises:
        HarnessError: there is no run here, its run.json is broken, or the copy at the address is not complete.
    """
    from harness.runs.state import find_state

    place = _find_folder(folder if isinstance(folder, Run) else find_local(folder))
    state = find_state(place)
    notes = [f"this run is {state.name}: {state.why}"] if state.why else []
    if state.file.redacted:
        notes.append("a redacted export: its texts were removed, its numbers were not")
    return Run(
        folder=place,
        results=state.results or {},
        exit_code=0 if state.name == "complete" else 3,
        notes=tuple(notes),
        pending=state.why if state.name == "pending" else "",
    )


def _find_folder(run: Run | Path | str) -> Path:
    """The folder of a run. Raises HarnessError if there is none."""
    from harness.runs.state import check_run_folder

    if not isinstance(run, Run) and is_remote(run):
        raise HarnessError(
            "a run at an address is only read, and verdicts are written into the run's folder",
            where=show_address(str(run)),
            remedy="copy it down: shutil.copytree(harness.load_run(…).folder, 'runs/copy'), and judge that",
        )
    folder = run.folder if isinstance(run, Run) else Path(run)
    check_run_folder(folder)
    return folder


def _to_tuple(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)
