"""The config under the flags: click takes a value of it where neither flag nor environment says otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harness.errors import HarnessError
from harness.runs.config import load_config

from .options import loaded
from .values import Devices, ModelsFile, Names, Pairs

if TYPE_CHECKING:
    from harness.plugins.host import Host

_F = TypeVar("_F", bound=Callable[..., Any])
#: what a run is made of, and not which of its splits are judged again
_NOT_OF_JUDGE = frozenset({"tasks"})
_NO_KEYS = frozenset({"config", "help"})


def key_of(option: click.Option) -> str:
    """The config's key of a flag: the long flag's name with `_`; one without a long flag is known by what it holds.

    So `-M -J -T -S` are `model_settings judge_settings task_settings strategy_settings`.
    """
    longest = max(option.opts, key=len)
    return longest[2:].replace("-", "_") if longest.startswith("--") else str(option.name)


def configured(ctx: click.Context, _: click.Parameter, explicit: Path | None) -> None:
    """Callback of `--config`, which comes first of all flags. Raises UnknownName for a key of no command."""
    if ctx.resilient_parsing:
        return
    values = load_config(explicit, known)
    ctx.obj = {"suites": values.pop("suites", {}), "schemes": values.pop("schemes", {})}
    ctx.default_map = {}
    own = {key_of(option): option for option in _options(ctx.command)}
    for key, value in values.items():
        if key in own and value is not None and not (ctx.info_name == "judge" and key in _NOT_OF_JUDGE):
            _put(ctx, own[key], key, value)


def known() -> frozenset[str]:
    """All keys of a config: one file serves `run` and `judge`."""
    from . import judge, run

    flags = {key_of(option) for command in (run.command, judge.command) for option in _options(command)}
    return frozenset(flags - _NO_KEYS | {"suites", "schemes"})


def _rows(ctx: click.Context, _: click.Parameter, explicit: Path | None) -> None:
    # a command below its group has what the group was given
    if not ctx.resilient_parsing and (explicit is not None or ctx.obj is None):
        values = load_config(explicit, known)
        ctx.obj = {name: values.get(name, {}) for name in ("schemes", "suites")}


def _rows_flag(of: str) -> Callable[[_F], _F]:
    return click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        is_eager=True,
        expose_value=False,
        callback=_rows,
        help=f"YAML with {of} of your own; default ./harness.yaml over the user's.",
    )


schemes_flag = _rows_flag("schemes")
suites_flag = _rows_flag("suites")


def with_schemes(ctx: click.Context) -> Host:
    """The host with the schemes of the config that the command read. Raises HarnessError for a row that is wrong."""
    from harness.schemes import register

    host = loaded(ctx)
    for row in ctx.obj["schemes"].values():
        register(host, row)
    return host


def with_suites(ctx: click.Context) -> Host:
    """The host with the suites of the config that the command read. Raises HarnessError for a row that is wrong."""
    host = loaded(ctx)
    for row in ctx.obj["suites"].values():
        row.register(host)
    return host


def _options(command: click.Command) -> Iterator[click.Option]:
    return (parameter for parameter in command.params if isinstance(parameter, click.Option))


def _put(ctx: click.Context, option: click.Option, key: str, value: Any) -> None:
    if isinstance(option.callback, Pairs):
        if not isinstance(value, Mapping):
            raise HarnessError(f"the config's {key} must be a mapping of settings to values")
        ctx.obj[option.name] = value
        return
    if isinstance(value, Mapping):
        raise HarnessError(f"the config's {key} takes no mapping")
    listed = isinstance(value, list)
    if listed and not (option.multiple or isinstance(option.type, Names | ModelsFile | Devices)):
        raise HarnessError(f"the config's {key} takes one value, not a list")
    assert isinstance(ctx.default_map, dict)
    ctx.default_map[str(option.name)] = value if listed or not option.multiple else [value]
