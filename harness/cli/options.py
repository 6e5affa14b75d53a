"""Options that several commands share, and the host they load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from harness.plugins.host import Host

_F = TypeVar("_F", bound=Callable[..., Any])
_KEY = "harness.loading"


class _Loading:
    """How the host is to be loaded; all of it may be given before or after the command's name."""

    def __init__(self) -> None:
        self.files: list[Path] = []
        self.strict = False
        self.allow: list[str] | None = None
        self.block: list[str] | None = None
        self.host: Host | None = None


def _state(ctx: click.Context) -> _Loading:
    state = ctx.find_root().meta.setdefault(_KEY, _Loading())
    assert isinstance(state, _Loading)
    return state


def _add_files(ctx: click.Context, _: click.Parameter, files: tuple[Path, ...]) -> None:
    if files:
        _state(ctx).files += files
        _state(ctx).host = None


def _add_strict(ctx: click.Context, _: click.Parameter, strict: bool) -> None:
    if strict:
        _state(ctx).strict = True
        _state(ctx).host = None


def _set_list(ctx: click.Context, option: click.Parameter, values: tuple[str, ...]) -> None:
    """Keep an allow or block list; what the config or the environment says never replaces a flag."""
    which = "allow" if option.name == "plugins_allow" else "block"
    given = ctx.get_parameter_source(str(option.name)) is click.core.ParameterSource.COMMANDLINE
    listed = [name.strip() for value in values for name in value.split(",") if name.strip()]
    if listed and (given or getattr(_state(ctx), which) is None):
        setattr(_state(ctx), which, listed)
        _state(ctx).host = None


def _list(name: str, variable: str, text: str) -> Callable[[_F], _F]:
    return click.option(
        name,
        multiple=True,
        is_eager=True,
        expose_value=False,
        callback=_set_list,
        envvar=variable,
        metavar="NAME[,…]",
        help=text,
    )


def plugin_options(function: _F) -> _F:
    """Add `--plugin --strict-plugins --plugins-allow --plugins-block`; they reach `loaded`, not the function."""
    file = click.option(
        "--plugin",
        type=click.Path(path_type=Path),
        multiple=True,
        is_eager=True,  # so that it counts before --help
        expose_value=False,
        callback=_add_files,
        metavar="PATH",
        help="Load a Python file, or the folder of a package, as a plugin; repeatable.",
    )
    strict = click.option(
        "--strict-plugins",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_add_strict,
        help="A plugin that fails ends the command with exit 2.",
    )
    allow = _list("--plugins-allow", "HARNESS_PLUGINS_ALLOW", "Load only these plugins or distributions.")
    block = _list("--plugins-block", "HARNESS_PLUGINS_BLOCK", "Keep these plugins or distributions out.")
    return file(strict(allow(block(function))))


def loaded(ctx: click.Context | None = None, *, quiet: bool = False) -> Host:
    """The host as the options want it, loaded once; it becomes the current one of the process.

    Args:
        ctx: of any command; None means the current one.
        quiet: say nothing on stderr, because the command itself tells all faults.
    """
    from harness.plugins.host import Host, use

    ctx = ctx or click.get_current_context()
    state = _state(ctx)
    if state.host is None:
        tell = _nothing if quiet else None
        state.host = Host.load(state.files, strict=state.strict, allow=state.allow, block=state.block, tell=tell)
        ctx.find_root().with_resource(use(state.host))
    return state.host


def provenance(ctx: click.Context) -> str:
    """The plugins of the loaded host on one line; never loads one."""
    host = _state(ctx).host
    return ", ".join(f"{name} ({origin})" for name, origin in host.provenance().items()) if host else "not loaded"


def _nothing(_: str) -> None:
    """Where the lines of faults go that are told otherwise."""
