"""The config of a command: what ./harness.yaml, or the file of `--config`, gives its flags, and the rows it offers.

A config's keys are the flags' names. click uses a value of the config if neither the command line nor the environment
has one. Settings add up key by key (`Pairs`, `Maps`), and are dropped where another flag names something else than the
config (`OwnedSettings`). The rows of `schemes` and `suites` are offered next to what plugins offer.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click
from click.core import ParameterSource

from harness.errors import HarnessError
from harness.settings import spread

from .options import PLUGIN_FLAGS, load_host, parse_pairs, read_config, split_names
from .stdout import tell

if TYPE_CHECKING:
    from harness.plugins.host import Host

_F = TypeVar("_F", bound=Callable[..., Any])
_MAP_EXAMPLE = "such as --map 'keyword: refusal=safe, compliance=unsafe'"


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


class Maps:
    """Callback of `--map`: rubric -> label -> label of the split; flags override the config rubric by rubric."""

    def __call__(self, ctx: click.Context, param: click.Parameter, texts: Sequence[str]) -> dict[str, dict[str, str]]:
        """The maps. Raises HarnessError for a text of another form."""
        configured: Mapping[str, object] = ctx.obj.get(param.name, {})
        maps: dict[str, dict[str, str]] = {}
        for rubric, raw in configured.items():
            if raw is not None and not isinstance(raw, Mapping):
                raise HarnessError(
                    f"the config's map.{rubric} must be a mapping of labels to labels",
                    remedy=f"write map: {{{rubric}: {{LABEL: LABEL}}}}",
                )
            words = cast("Mapping[object, object]", raw or {})
            maps[rubric] = {str(label): str(word) for label, word in words.items()}
        return maps | dict(map(_parse_map, texts))


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
        if not configured or ctx.resilient_parsing:
            return super().handle_parse_result(ctx, opts, args)
        from harness.runs.config import drop_note, strip_task

        whose: set[str] = set()  # what the config names
        names: set[str] = set()  # what is to be used
        for option in ctx.command.params:
            if option.name not in self.owners:
                continue
            named = (ctx.default_map or {}).get(str(option.name))
            if named is not None:
                whose |= _list_names(option.type_cast_value(ctx, named))
            value, source = option.consume_value(ctx, opts)
            if source is not ParameterSource.DEFAULT:
                names |= _list_names(option.type_cast_value(ctx, value))
        whose, names = set(map(strip_task, whose)) - {""}, set(map(strip_task, names))
        if whose and names - whose:
            del held[str(self.name)]
            if self.name == "model_settings" and isinstance(self.callback, Pairs):
                held["own_settings"] = dict.fromkeys(whose, self.callback.read(configured))
            tell(drop_note(str(self.name), whose, names - whose))
        return super().handle_parse_result(ctx, opts, args)


def _list_names(value: Any) -> set[str]:
    """The names in a value of `--model`, `--models`, `--judge`, `--strategy` or `--attack`; `""` for none."""
    if isinstance(value, str):
        return {value.strip()}
    return {name for each in value for name in (split_names(each) if isinstance(each, str) else (each.ref,))}


def config_keys(option: click.Option) -> tuple[str, ...]:
    """The config's keys of a flag: its long names with `_`; for a flag without one, its parameter's name.

    So `-M -J -T -S -A` are `model_settings judge_settings task_settings strategy_settings attack_settings`.
    """
    long = tuple(name[2:].replace("-", "_") for name in option.opts if name.startswith("--"))
    return long or (str(option.name),)


def list_options(command: click.Command) -> Iterator[click.Option]:
    """The options of a command."""
    return (parameter for parameter in command.params if isinstance(parameter, click.Option))


def _read_config(ctx: click.Context, _: click.Parameter, explicit: Path | None) -> None:
    """Callback of `--config`, which is processed before all other flags. Raises UnknownName for an unknown key."""
    if ctx.resilient_parsing:
        return
    values = read_config(ctx, explicit)
    ctx.obj = {name: values.get(name, {}) for name in ("suites", "schemes", "prices")}
    ctx.default_map = {}
    for option in list_options(ctx.command):
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
    if is_list and not (option.multiple or getattr(option.type, "takes_list", False)):
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


def configured_data(ctx: click.Context) -> Path | None:
    """The data folder of the config, for a command without `--data`; None where the environment names one."""
    named = None if os.environ.get("HARNESS_DATA") else read_config(ctx).get("data")
    return Path(str(named)) if named else None
