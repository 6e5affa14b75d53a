"""The flags of `run` and `judge`, and the config, whose keys are these flags.

click uses a config value if neither the command line nor the environment has one.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click
from click.core import ParameterSource

from harness.errors import HarnessError
from harness.settings import spread

from .options import PLUGIN_FLAGS, add_flags, load_host, parse_pairs, plugin_options, read_config, split_names
from .stdout import tell

if TYPE_CHECKING:
    from harness.limits.endpoints import Policy
    from harness.models import ModelSpec
    from harness.plugins.host import Host

    ParamType = click.ParamType[Any]  # generic only since click 8.2
else:
    ParamType = click.ParamType

_F = TypeVar("_F", bound=Callable[..., Any])


_MAP_EXAMPLE = "such as --map 'keyword: refusal=safe, compliance=unsafe'"


class Names(ParamType):
    """Reads `a,b`, or a list in the config, as a tuple of names."""

    name = "names"

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


class Pairs:
    """Callback of a repeatable `KEY=VALUE` flag: its values override the config's mapping, key by key.

    A mapping in the config keeps its values' types. With `dotted`, one level of nesting equals a dot on the command
    line: `mis: {prompts: upstream}` is `mis.prompts`. Otherwise a mapping or a list is passed as JSON.
    """

    def __init__(self, *, dotted: bool) -> None:
        self._dotted = dotted

    def __call__(self, ctx: click.Context, param: click.Parameter, texts: Sequence[str]) -> dict[str, Any]:
        """The settings as a dict. Raises HarnessError for a text without `=`."""
        return {**self.read(ctx.obj.get(param.name, {})), **parse_pairs(texts, param.opts[0])}

    def read(self, configured: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of the config as those of the flag."""
        if self._dotted:
            return spread(configured)
        return {k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in configured.items()}


class OwnedSettings(click.Option):
    """A flag of settings whose values in the config belong to what the config names: a model, a strategy …

    Where the command line or the environment names something else, they are dropped, and a note says so. Those of
    models stay for the models that the config names: `build_specs` adds them, since several can run.

    Args:
        owners: the parameters that name what the settings are of.
    """

    def __init__(self, *arguments: Any, owners: tuple[str, ...], **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.owners = owners

    def handle_parse_result(
        self, ctx: click.Context, opts: Mapping[str, Any], args: list[str]
    ) -> tuple[Any, list[str]]:
        """As click, after a look at what the other flags name, wherever they stand."""
        held: dict[str, Any] = ctx.obj or {}
        configured: Mapping[str, Any] | None = held.get(str(self.name))
        if configured and not ctx.resilient_parsing:
            whose, names = self._list_owners(ctx, opts)
            if whose and names - whose:
                del held[str(self.name)]
                if self.name == "model_settings" and isinstance(self.callback, Pairs):
                    held["own_settings"] = dict.fromkeys(whose, self.callback.read(configured))
                from harness.runs.config import drop_note

                tell(drop_note(str(self.name), whose, names - whose))
        return super().handle_parse_result(ctx, opts, args)

    def _list_owners(self, ctx: click.Context, opts: Mapping[str, Any]) -> tuple[set[str], set[str]]:
        """What the config names, and what is to be used."""
        from harness.runs.config import strip_task

        whose: set[str] = set()
        names: set[str] = set()
        for option in ctx.command.params:
            if option.name not in self.owners:
                continue
            configured = (ctx.default_map or {}).get(str(option.name))
            if configured is not None:
                whose |= _list_names(option.type_cast_value(ctx, configured))
            value, source = option.consume_value(ctx, opts)
            if source is not ParameterSource.DEFAULT:
                names |= _list_names(option.type_cast_value(ctx, value))
        return set(map(strip_task, whose)) - {""}, set(map(strip_task, names))


def _list_names(value: Any) -> set[str]:
    """The names in a value of `--model`, `--models`, `--judge`, `--strategy` or `--attack`; `""` for none."""
    if isinstance(value, str):
        return {value.strip()}
    return {name for each in value for name in (split_names(each) if isinstance(each, str) else (each.ref,))}


class Maps:
    """Callback of `--map`: rubric -> label -> label of the split; flags override the config rubric by rubric."""

    def __call__(self, ctx: click.Context, param: click.Parameter, texts: Sequence[str]) -> dict[str, dict[str, str]]:
        """The maps. Raises HarnessError for a text of another form."""
        configured: Mapping[str, Any] = ctx.obj.get(param.name, {})
        return {rubric: _check_map(rubric, raw) for rubric, raw in configured.items()} | dict(map(_parse_map, texts))


def _check_map(rubric: str, raw: object) -> dict[str, str]:
    if raw is None:
        return {}
    if not isinstance(raw, Mapping):
        raise HarnessError(
            f"the config's map.{rubric} must be a mapping of labels to labels",
            remedy=f"write map: {{{rubric}: {{LABEL: LABEL}}}}",
        )
    return {str(label): str(word) for label, word in cast("Mapping[object, object]", raw).items()}


def _parse_map(text: str) -> tuple[str, dict[str, str]]:
    """`RUBRIC: LABEL=LABEL, …`; a rubric alone is an empty map."""
    rubric, _, rest = text.partition(":")
    pairs = [each.partition("=") for each in split_names(rest)]
    labels = [label.strip() for label, _, _ in pairs]
    if not rubric.strip() or any(not label.strip() or not word.strip() for label, _, word in pairs):
        raise HarnessError(f"--map {text}: not of the form RUBRIC: LABEL=LABEL, …", remedy=_MAP_EXAMPLE)
    if len(set(labels)) < len(labels):
        raise HarnessError(f"--map {text}: a label is mapped twice", remedy=_MAP_EXAMPLE)
    return rubric.strip(), {label.strip(): word.strip() for label, _, word in pairs}


def config_keys(option: click.Option) -> tuple[str, ...]:
    """The config's keys of a flag: its long names with `_`; for a flag without one, its parameter's name.

    So `-M -J -T -S -A` are `model_settings judge_settings task_settings strategy_settings attack_settings`.
    """
    long = tuple(name[2:].replace("-", "_") for name in option.opts if name.startswith("--"))
    return long or (str(option.name),)


def list_config_options() -> dict[str, click.Option]:
    """Each key of a config that is a flag of `run` or `judge`, and the flag; one file serves both."""
    commands = (click.command("")(add(lambda: None)) for add in (judge_flags, run_flags))
    options = (option for command in commands for option in _options(command))
    return {key: option for option in options for key in config_keys(option) if key != "config"}


def list_config_keys() -> frozenset[str]:
    """All keys of a config: those of flags, and those that hold rows."""
    return frozenset({*list_config_options(), "gate", "suites", "schemes", "prices"})


def _options(command: click.Command) -> Iterator[click.Option]:
    return (parameter for parameter in command.params if isinstance(parameter, click.Option))


def _read_config(ctx: click.Context, _: click.Parameter, explicit: Path | None) -> None:
    """Callback of `--config`, which is processed before all other flags. Raises UnknownName for an unknown key."""
    if ctx.resilient_parsing:
        return
    values = read_config(ctx, explicit)
    ctx.obj = {name: values.get(name, {}) for name in ("suites", "schemes", "prices")}
    ctx.default_map = {}
    for option in _options(ctx.command):
        # `tasks` selects what a run asks, not which of its splits are judged again; `load_host` reads keys of plugins
        if ctx.info_name == "judge" and "tasks" in config_keys(option):
            continue
        value = read_config_value(option, values)
        if value is None or option.name in PLUGIN_FLAGS:
            continue
        if isinstance(option.callback, Pairs | Maps):
            ctx.obj[option.name] = value
        else:
            ctx.default_map[str(option.name)] = value


def read_config_value(option: click.Option, values: Mapping[str, Any]) -> Any:
    """The value that a config gives a flag, as click's `default_map` wants it; None without one.

    Raises HarnessError for a value of another shape than the flag takes.
    """
    keys = config_keys(option)
    key = next((key for key in keys if values.get(key) is not None), keys[0])
    value = values.get(key)
    if value is None:
        return None
    if isinstance(option.callback, Pairs | Maps):
        if not isinstance(value, Mapping):
            raise HarnessError(
                f"the config's {key} must be a mapping of settings to values", remedy=f"write {key}: {{NAME: VALUE}}"
            )
        return cast("Any", value)
    if isinstance(value, Mapping):
        raise HarnessError(f"the config's {key} must not be a mapping", remedy=f"write {key}: VALUE")
    is_list = isinstance(value, list)
    if is_list and not (option.multiple or isinstance(option.type, Names | ModelsFile | Devices)):
        raise HarnessError(f"the config's {key} takes one value, not a list", remedy=f"write {key}: VALUE")
    return cast("Any", value) if is_list or not option.multiple else [value]


def _read_rows(ctx: click.Context, _: click.Parameter | None, explicit: Path | None) -> None:
    # a subcommand uses its group's flag
    if not ctx.resilient_parsing and (explicit is not None or ctx.obj is None):
        values = read_config(ctx, explicit)
        ctx.obj = {name: values.get(name, {}) for name in ("schemes", "suites")}


def _config_flag(text: str, callback: Callable[..., None]) -> Callable[[_F], _F]:
    return click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        is_eager=True,
        expose_value=False,
        callback=callback,
        help=f"YAML with {text}; default ./harness.yaml over the user's.",
    )


schemes_flag = _config_flag("schemes of your own", _read_rows)
suites_flag = _config_flag("suites of your own", _read_rows)
config_flag = _config_flag("the flags' names as keys", _read_config)


def build_policy(given: Mapping[str, Any]) -> Policy:
    """The policy of all calls by `--concurrency`, `--rpm` and `--tpm`."""
    from harness.limits.endpoints import Policy

    most: int | None = given["concurrency"]
    policy = Policy(rpm=given["rpm"], tpm=given["tpm"])
    return replace(policy, start=most, cap=most) if most else policy


def with_schemes(ctx: click.Context, *, quiet: bool = False) -> Host:
    """The host with the schemes of the command's config. Raises HarnessError for a wrong row."""
    from harness.schemes import register

    host = load_host(ctx, quiet=quiet)
    for row in ctx.obj["schemes"].values():
        register(host, row)
    return host


def with_suites(ctx: click.Context) -> Host:
    """The host with the suites of the command's config. Raises HarnessError for a wrong row."""
    host = load_host(ctx)
    for row in ctx.obj["suites"].values():
        row.register(host)
    return host


def with_default_suites(ctx: click.Context) -> Host:
    """The host with the suites of the default configs, for a command without `--config`."""
    _read_rows(ctx, None, None)
    return with_suites(ctx)


def _settings_flag(
    flag: str, name: str, metavar: str, text: str, *, dotted: bool, of: tuple[str, ...] = ()
) -> Callable[[_F], _F]:
    """A flag of settings; `of` names the parameters that say whose they are."""
    more: dict[str, Any] = {"multiple": True, "callback": Pairs(dotted=dotted), "metavar": metavar, "help": text}
    return click.option(flag, name, cls=OwnedSettings, owners=of, **more) if of else click.option(flag, name, **more)


def _task_settings_flag(text: str) -> Callable[[_F], _F]:
    return _settings_flag("-T", "task_settings", "NAME.KEY=VALUE", text, dotted=True)


def configured_data(ctx: click.Context) -> Path | None:
    """The data folder of the config, for a command without `--data`; None where the environment names one."""
    named = None if os.environ.get("HARNESS_DATA") else read_config(ctx).get("data")
    return Path(str(named)) if named else None


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
