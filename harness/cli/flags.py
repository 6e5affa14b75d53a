"""The flags of `run` and `judge`, which are a config's keys as well, and the types of their values."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harness.errors import HarnessError

from .config import Maps, OwnedSettings, Pairs, config_flag, config_keys, list_options
from .options import add_flags, plugin_options, split_names

if TYPE_CHECKING:
    from harness.limits.endpoints import Policy
    from harness.models import ModelSpec

    ParamType = click.ParamType[Any]  # generic only since click 8.2
else:
    ParamType = click.ParamType

_F = TypeVar("_F", bound=Callable[..., Any])


class Names(ParamType):
    """Reads `a,b`, or a list in the config, as a tuple of names."""

    name = "names"
    takes_list = True  #: in a config

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:  # noqa: ARG002
        """Split at commas; blanks are dropped."""
        return split_names(value)


class StoredNames(Names):
    """Names of tasks in a stored run: `FILE.yaml` is the task that the file was."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Split at commas, without the files' folders and endings."""
        from harness.task_files import drop_path

        names = super().convert(value, param, ctx)
        return tuple(drop_path(name) if "." in name else name for name in names)


class Devices(ParamType):
    """Reads `0,1`, or a number or a list in the config, as text."""

    name = "devices"
    takes_list = True  #: in a config

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002
        """The devices with commas between."""
        from harness.replicas.placement import format_devices

        return str(format_devices(value))


class ShardName(ParamType):
    """Reads `i/n` as two numbers."""

    name = "shard"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:  # noqa: ARG002
        """The shard. Raises HarnessError if there can be no such shard."""
        from harness.evaluation.options import parse_shard

        return parse_shard(str(value))


class RunPlace(click.Path):
    """Reads a run folder; one at an address, such as `s3://…`, is fetched, and becomes its local copy.

    A pattern in an address becomes all copies that match, with commas between.

    Args:
        files: whether a results file will do too.
    """

    def __init__(self, *, files: bool = False) -> None:
        super().__init__(path_type=Path, file_okay=files)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The folder. Raises HarnessError for an address without a whole copy."""
        from harness.remote import fetch_folders, is_remote

        if is_remote(value):
            return Path(",".join(map(str, fetch_folders(str(value)))))
        return super().convert(value, param, ctx)


class LocalRun(click.Path):
    """A run folder that is written to. An address is refused with the command that copies it to this machine."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, file_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The folder. Raises HarnessError for an address."""
        from harness.remote import fetch_folders, is_remote, show_address

        if not is_remote(value):
            return super().convert(value, param, ctx)
        copies = fetch_folders(str(value))
        copy, command = copies[0], ctx.command_path if ctx else "harness judge"
        target = Path("runs", copy.name)
        while target.exists():
            target = target.with_name(f"{target.name}-copy")
        raise HarnessError(
            "a run at an address is only read, and verdicts are written into the run's folder",
            where=show_address(str(value)),
            remedy=f"copy it down: mkdir -p runs && cp -r {shlex.quote(str(copy))} {shlex.quote(str(target))}\n"
            f"  then: {command} {shlex.quote(str(target))} …, with --upload to send it back",
        )


def list_places(runs: Sequence[Path]) -> list[Path]:
    """The folders of some arguments; a pattern in an address stands for several."""
    found: list[Path] = []
    for run in runs:
        parts = [Path(part) for part in str(run).split(",")]
        found += [run] if run.exists() or len(parts) == 1 else parts
    return found


class JudgeName(ParamType):
    """One `--judge`; the environment variable holds several, separated by commas."""

    name = "judge"

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        """Split at commas only, because a model's name may contain blanks."""
        return split_names(rv)


class ModelsFile(ParamType):
    """`--models FILE.yaml`, or the list itself in a config."""

    name = "models"
    takes_list = True  #: in a config

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[ModelSpec]:  # noqa: ARG002
        """The models in the file or the list. Raises HarnessError that names the wrong entry and field."""
        if not isinstance(value, str | Path):
            return parse_models(value, "the config")
        from harness.runs.config import load_yaml

        return parse_models(load_yaml(Path(value), "--models"), str(value))


def parse_models(raw: object, where: str) -> list[ModelSpec]:
    """Read a list of {model, settings, strategy, strategy_settings} as models.

    Raises HarnessError that names the wrong entry and field.
    """
    from pydantic import BaseModel, TypeAdapter, ValidationError

    from harness.models import ModelSpec

    class Entry(BaseModel, extra="forbid", protected_namespaces=()):
        model: str
        settings: dict[str, Any] = {}
        strategy: str = ""
        strategy_settings: dict[str, Any] = {}

    try:
        entries = TypeAdapter(list[Entry]).validate_python(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise HarnessError(
            f"--models: {place}: {first['msg']}", where=where, remedy="write a list of {model, settings, strategy}"
        ) from None
    return [ModelSpec(ref=entry.model, **entry.model_dump(exclude={"model"})) for entry in entries]


def list_config_options() -> dict[str, click.Option]:
    """Each key of a config that is a flag of `run` or `judge`, and the flag; one file serves both."""
    commands = (click.command("")(add(lambda: None)) for add in (judge_flags, run_flags))
    options = (option for command in commands for option in list_options(command))
    return {key: option for option in options for key in config_keys(option) if key != "config"}


def list_config_keys() -> frozenset[str]:
    """All keys of a config: those of flags, and those that hold rows."""
    return frozenset({*list_config_options(), "gate", "suites", "schemes", "prices"})


def build_policy(given: Mapping[str, Any]) -> Policy:
    """The policy of all calls by `--concurrency`, `--rpm` and `--tpm`."""
    from harness.limits.endpoints import Policy

    most: int | None = given["concurrency"]
    policy = Policy(rpm=given["rpm"], tpm=given["tpm"])
    return replace(policy, start=most, cap=most) if most else policy


def _settings_flag(
    flag: str, name: str, metavar: str, text: str, *, dotted: bool, of: tuple[str, ...] = ()
) -> Callable[[_F], _F]:
    """A flag of settings; `of` names the parameters that say whose they are."""
    more: dict[str, Any] = {"multiple": True, "callback": Pairs(dotted=dotted), "metavar": metavar, "help": text}
    return click.option(flag, name, cls=OwnedSettings, owners=of, **more) if of else click.option(flag, name, **more)


def _task_settings_flag(text: str) -> Callable[[_F], _F]:
    return _settings_flag("-T", "task_settings", "NAME.KEY=VALUE", text, dotted=True)


def tasks_option(text: str, *, stored: bool = True) -> Callable[[_F], _F]:
    """`--tasks NAME[:SPLIT][,…]`, as a tuple of names; of stored runs, a task file means the task of its name."""
    kind = StoredNames() if stored else Names()
    return click.option("--task", "--tasks", "tasks", type=kind, default="", metavar="NAME[:SPLIT][,…]", help=text)


_data_flag = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="HARNESS_DATA",
    help="Data folder: a task's data lies in DATA/<task>.",
)
_judge_flag = click.option(
    "--judge",
    "judges",
    type=JudgeName(),
    multiple=True,
    envvar="HARNESS_JUDGE",
    metavar="MODEL|RUBRIC|RUBRIC=MODEL",
    help="The judge; repeatable, the first is the primary one. A judge's model has no default.",
)
_judge_settings_flag = _settings_flag(
    "-J",
    "judge_settings",
    "[RUBRIC.]KEY=VALUE",
    "Setting of the judge's provider, or temperature, max_tokens, top_p, seed.",
    dotted=True,
    of=("judges",),
)
#: with which settings judges are reached, and where
_flags_of_reaching: tuple[Callable[[Any], Any], ...] = (
    _task_settings_flag("Setting of a task or a rubric; NAME.data is a task's folder, NAME.judge its rubric."),
    _data_flag,
    click.option(
        "--devices",
        type=Devices(),
        default="",
        metavar="N[,…]",
        help="CUDA devices of local models and judges: one replica on each, or as replicas=N shares them out.",
    ),
    click.option(
        "--launch",
        type=click.Choice(["local", "srun", "ssh", "ray"]),
        help="What starts the replicas of local models and judges: this process, srun in a Slurm job, ssh, or Ray.",
    ),
    click.option(
        "--host",
        "hosts",
        multiple=True,
        metavar="HOST[:N,…]",
        help="A machine, and its CUDA devices, on which ssh starts replicas; repeatable.",
    ),
    click.option(
        "--ray-address",
        default="",
        metavar="HOST:PORT|auto",
        help="With --launch ray: the cluster's address; without it Ray is started on this machine.",
    ),
    click.option("--concurrency", type=click.IntRange(1), help="Most calls at once to one endpoint."),
    click.option("--rpm", type=click.IntRange(1), metavar="N", help="Most calls a minute to one endpoint."),
    click.option(
        "--tpm", type=click.IntRange(1), metavar="N", help="Most tokens a minute, in and out, to one endpoint."
    ),
)
_flags_of_judges: tuple[Callable[[Any], Any], ...] = (
    _judge_flag,
    click.option(
        "--map",
        "maps",
        multiple=True,
        callback=Maps(),
        metavar="'RUBRIC: LABEL=LABEL, …'",
        help="What a rubric's labels become in the task's words; repeatable. Without it a rubric that a task does not "
        "know reports its own labels.",
    ),
    _judge_settings_flag,
    *_flags_of_reaching,
    click.option(
        "--min-coverage",
        type=click.FloatRange(0, 1),
        show_default="0.98; judge: the run's",
        help="Share of records that must be resolved; below it the run is incomplete (exit 3).",
    ),
    click.option(
        "--retry",
        type=Names(),
        default="",
        metavar="NAME[,NAME]",
        help="Outcomes or judge states to retry, besides error, bad_sample and judge_error.",
    ),
)
_flags_of_repeats: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--judge-repeat",
        type=click.IntRange(1, 100),
        default=1,
        metavar="K",
        help="Let each judge that asks a model judge each answer K times, to see how much its number moves.",
    ),
    click.option(
        "--judge-vote",
        type=click.Choice(["majority"]),
        help="With --judge-repeat: the majority of the repeats gives the number; otherwise the first does.",
    ),
)
upload_flag = click.option(
    "--upload",
    default="",
    metavar="URL",
    help="Copy the run's folder there when it is whole, such as s3://BUCKET/PATH; its manifest last.",
)
_judging_flags: tuple[Callable[[Any], Any], ...] = (
    *_flags_of_judges,
    *_flags_of_repeats,
    upload_flag,
    click.option(
        "--batch",
        is_flag=True,
        help="Ask through the providers' batch APIs. While batches are open: exit 3; the same command continues later.",
    ),
    click.option("--wait", is_flag=True, help="With --batch: wait until all batches have ended."),
    click.option(
        "--max-usd",
        type=click.FloatRange(0, min_open=True),
        metavar="N",
        help="Most dollars that the run folder may cost; the run stops before a call that could exceed it (exit 3).",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print results.json instead of a table."),
    config_flag,
    plugin_options,
)


def run_flags(function: _F) -> _F:
    """Add the flags of `harness run`."""
    return add_flags(
        function,
        click.option("--model", "models", multiple=True, metavar="SCHEME/NAME", help="Evaluated model; repeatable."),
        click.option(
            "--models",
            "models_file",
            type=ModelsFile(),
            metavar="FILE.yaml",
            help="List of {model, settings, strategy}; if one fails, the rest still run.",
        ),
        tasks_option(
            "Tasks or single splits, suites, task files or a folder of them: see `harness tasks`.", stored=False
        ),
        _settings_flag(
            "-M",
            "model_settings",
            "KEY=VALUE",
            "Setting of the model's provider.",
            dotted=False,
            of=("models", "models_file"),
        ),
        click.option("--strategy", default="", metavar="NAME", help="Strategy around the model."),
        _settings_flag(
            "-S", "strategy_settings", "KEY=VALUE", "Setting of the strategy.", dotted=False, of=("strategy",)
        ),
        click.option("--attack", default="", metavar="NAME", help="Attack that changes the questions, or a control."),
        _settings_flag("-A", "attack_settings", "KEY=VALUE", "Setting of the attack.", dotted=False, of=("attack",)),
        click.option("--temperature", type=click.FloatRange(0), help="Override of the tasks' temperature."),
        click.option("--max-tokens", type=click.IntRange(1), help="Override of the tasks' token limit."),
        click.option("--system", default="", metavar="TEXT", help="System message put before each request."),
        click.option("--seed", type=int, help="Seed sent to the provider."),
        click.option(
            "--limit",
            type=click.IntRange(1),
            metavar="N",
            help="The first N groups of related samples of each split (such as a scene with its questions);"
            " a higher N extends the run.",
        ),
        click.option(
            "--shard",
            type=ShardName(),
            metavar="i/n",
            help="Answer only the i-th of n parts, from 0, in a folder below the run's: see `harness merge`.",
        ),
        click.option("--epochs", type=click.IntRange(1), default=1, show_default=True, help="Answers for each sample."),
        click.option(
            "--output",
            type=click.Path(path_type=Path, file_okay=False),
            help="Run folder; for several models, the parent of their run folders.",
        ),
        click.option(
            "--phases",
            type=click.Choice(["auto", "sequential", "overlap", "answers"]),
            default="auto",
            show_default=True,
            help="Judge while answering, or after the model is closed; auto: after, when both are local. "
            "answers: leave it to `harness judge`.",
        ),
        click.option("--fresh", is_flag=True, help="Move an old run out of this folder and start again."),
        click.option("--no-probe", is_flag=True, help="Skip the start-up check of the model and the judges."),
        click.option("--dry-run", is_flag=True, help="Show the calls that the run would make, and make none."),
        *_judging_flags,
    )


def judge_flags(function: _F) -> _F:
    """Add the flags of `harness judge`."""
    return add_flags(
        function,
        tasks_option("Only these of the run's tasks."),
        click.option(
            "--combine",
            type=click.Choice(["majority"]),
            help="Add a judge without asking a model: the majority of the stored verdicts.",
        ),
        click.option(
            "--members",
            type=Names(),
            default="",
            metavar="NAME[,…]",
            help="With --combine: only these judges, by id or rubric; default: all that gave a verdict.",
        ),
        click.option(
            "--sample",
            "--judge-limit",
            "judge_limit",
            type=click.IntRange(1),
            metavar="N",
            help="Judge only the answers of N clusters of each split: a random sample that represents the rest.",
        ),
        click.option("--primary", is_flag=True, help="Make this judge the primary one."),
        click.option("--no-probe", is_flag=True, help="Skip the start-up check of the judges."),
        *_judging_flags,
    )


_no_probe_flag = click.option("--no-probe", is_flag=True, help="Skip the start-up check of the judges.")


def add_judging_flags(function: _F) -> _F:
    """Add the flags that name judges and say how they judge a run, for a command with a `--json` of its own."""
    return add_flags(function, *_flags_of_judges, *_flags_of_repeats, _no_probe_flag, config_flag, plugin_options)


def add_asking_flags(function: _F) -> _F:
    """Add the flags that name judges and say how they are reached, for a command that keeps no run."""
    return add_flags(
        function, _judge_flag, _judge_settings_flag, *_flags_of_reaching, _no_probe_flag, config_flag, plugin_options
    )


def place_flags(function: _F) -> _F:
    """Add `--data`, `-T` and `--config`; the first two arrive as `data` and `task_settings`."""
    return add_flags(
        function, _data_flag, _task_settings_flag("Setting of a task; NAME.data is its folder."), config_flag
    )
