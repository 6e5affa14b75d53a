"""The flags that load plugins, the host that they load, and groups that correct a misspelled command."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
from click.core import ParameterSource
from click.exceptions import Exit

from harness.errors import HarnessError
from harness.files import find_configs
from harness.settings import nearest

if TYPE_CHECKING:
    from harness.plugins.host import Host
    from harness.plugins.loader import Source

_F = TypeVar("_F", bound=Callable[..., Any])
#: the parameters of `plugin_options`
PLUGIN_FLAGS: Final = ("plugin", "strict_plugins", "plugins_allow", "plugins_block")
#: exceptions that end a command normally
_OF_COMMANDS = (click.ClickException, click.Abort, Exit, BrokenPipeError)


class Group(click.Group):
    """A group that suggests the nearest command for an unknown one, in every version of click."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As in click, but with our message for an unknown command."""
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            _get_loading(ctx).expects_config = False  # it may be a command of ./harness.yaml
            if self.get_command(ctx, name) is not None:
                return super().resolve_command(ctx, args)
            raise click.UsageError(f"no command is called {name!r}; {nearest(name, self.list_commands(ctx))}", ctx)
        return super().resolve_command(ctx, args)


class OpenGroup(Group):
    """A core command to which plugins may add subcommands: `harness_commands` adds a group of the same name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Its own subcommands, then those of plugins by name."""
        return [*self.commands, *sorted(self._find_added(ctx))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The subcommand; plugins are loaded only for a name that is not its own."""
        return self.commands.get(cmd_name) or self._find_added(ctx).get(cmd_name)

    def invoke(self, ctx: click.Context) -> object:
        """Run the subcommand; an error in a plugin's becomes a PluginError."""
        try:
            return super().invoke(ctx)
        except (Exception, SystemExit, GeneratorExit) as error:
            blame_plugin(ctx, f"{self.name} {ctx.invoked_subcommand}", error)
            raise

    def _find_added(self, ctx: click.Context) -> dict[str, click.Command]:
        head = f"{self.name} "
        added = load_commands(load_host(ctx))
        return {name.removeprefix(head): command for name, (command, _) in added.items() if name.startswith(head)}


def load_commands(host: Host) -> dict[str, tuple[click.Command, Source]]:
    """Commands of plugins by name, subcommands of core commands as `judges bench`."""
    from . import CORE, OPEN

    own = (f"{name} {inner}" for name in OPEN for inner in ("list", "show"))
    return host.commands((*CORE, *own), groups=OPEN)


def blame_plugin(ctx: click.Context, name: str, error: BaseException) -> None:
    """Raise a PluginError for an error in a plugin's command; return for a core command or a normal end."""
    if isinstance(error, _OF_COMMANDS):
        return
    found = load_commands(load_host(ctx)).get(name)
    if found is not None:
        from harness.plugins.boundary import Boundary

        Boundary(found[1]).fail(f"command {name!r}", error)


def show_examples(*lines: str) -> str:
    """The `epilog` of a command: examples for its `--help`, whole command lines that begin with `harness`."""
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))


def add_flags(function: _F, *flags: Callable[[_F], _F]) -> _F:
    """Add these flags to a function; help shows them in this order."""
    for flag in reversed(flags):
        function = flag(function)
    return function


def split_names(text: str | Sequence[str]) -> tuple[str, ...]:
    """`a,b`, or a list of such texts, as names; blanks are dropped."""
    parts = [text] if isinstance(text, str) else text
    return tuple(name.strip() for part in parts for name in str(part).split(",") if name.strip())


def parse_pairs(texts: Sequence[str], flag: str) -> dict[str, str]:
    """`KEY=VALUE` texts as a dict. Raises HarnessError for a text without a key or `=`."""
    pairs: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise HarnessError(f"{flag} {text}: not KEY=VALUE", remedy=f"write {flag} key=value")
        pairs[key] = value
    return pairs


class FiniteRange(click.FloatRange):
    """A range of numbers without `nan` and `inf`, which click takes for numbers in any open range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        number: float = super().convert(value, param, ctx)
        return number if math.isfinite(number) else self.fail(f"{value!r} is not a finite number.", param, ctx)


class _Loading:
    """How to load the host; each flag may come before or after the command's name."""

    def __init__(self) -> None:
        self.files: list[Path] = []
        self.strict = False
        self.lists: dict[str, Sequence[str]] = {}  # "allow" and "block", if given
        self.config: dict[str, Any] | None = None  # what the config files hold, once they are read
        self.expects_config = False  # whether the words hold a `--config` that a group has not seen yet
        self.of_config: dict[str, Any] | None = None  # the config's values for these flags, once they are read
        self.host: Host | None = None


def _get_loading(ctx: click.Context) -> _Loading:
    state = ctx.find_root().meta.setdefault("harness.loading", _Loading())
    assert isinstance(state, _Loading)
    return state


def _keep_flag(ctx: click.Context, option: click.Parameter, value: Any) -> None:
    """Callback of the flags of plugins: a new value makes `load_host` load the plugins again."""
    state, name = _get_loading(ctx), str(option.name)
    if not value:
        return
    if name == "plugin":
        state.files += value
    elif name == "strict_plugins":
        state.strict = True
    else:
        which, names = name.removeprefix("plugins_"), split_names(value)
        is_flag = ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if not names or (which in state.lists and not is_flag):  # config and environment never override a flag
            return
        state.lists[which] = names
    state.host = None


def expect_config(ctx: click.Context, words: Sequence[str]) -> None:
    """Load no plugin of ./harness.yaml to find a command, where its words name another file with `--config`."""
    _get_loading(ctx).expects_config = any(word.partition("=")[0] == "--config" for word in words)


def read_config(ctx: click.Context, explicit: Path | None = None) -> dict[str, Any]:
    """The config of this command line, read once: `explicit` alone, else ./harness.yaml over the user's.

    Raises HarnessError for a file that is missing or wrong, UnknownName for an unknown key.
    """
    state = _get_loading(ctx)
    if state.config is None and explicit is None and not find_configs():
        state.config = {}
    if state.config is None or explicit is not None:
        from harness.runs.config import load_config  # late, with what reads YAML and rows: most folders have no config

        from .flags import list_config_keys
        from .stdout import tell

        state.config = load_config(explicit, list_config_keys, tell=tell)
        if explicit is not None and state.of_config:
            state.host = None
        state.of_config = None if explicit is not None else state.of_config
    return dict(state.config)


def _find_plugin_keys(ctx: click.Context, state: _Loading) -> dict[str, Any]:
    """The values that the config gives the flags of plugins."""
    from .config import read_config_value

    options = (each for each in _plugin_command.params if isinstance(each, click.Option))
    found = ((option, read_config_value(option, state.config or {})) for option in options)
    return {str(option.name): option.type_cast_value(ctx, value) for option, value in found if value is not None}


def _load_plugin_keys(ctx: click.Context, state: _Loading) -> dict[str, Any]:
    """As `_find_plugin_keys`, from files that may still have to be read. Completion runs no code of a folder."""
    if ctx.resilient_parsing:
        return {}
    if state.config is None:
        if not _mention_plugins(find_configs()):  # so YAML and all flags of a run need not be loaded
            return {}
        read_config(ctx)
    return _find_plugin_keys(ctx, state)


def _mention_plugins(configs: Iterable[Path]) -> bool:
    """Whether a config may hold a key about plugins."""
    for path in configs:
        with suppress(OSError):
            if b"plugin" in path.read_bytes():
                return True
    return False


def plugin_options(function: _F) -> _F:
    """Add `--plugin --strict-plugins --plugins-allow --plugins-block`; they reach `load_host`, not the function.

    Without a flag, and for the lists without the environment, `load_host` takes them from the config.
    """

    def flag(name: str, text: str, **more: Any) -> Callable[[_F], _F]:
        # eager, so that a plugin counts before --help
        return click.option(name, is_eager=True, expose_value=False, callback=_keep_flag, help=text, **more)

    def names_flag(name: str, variable: str, text: str) -> Callable[[_F], _F]:
        return flag(name, text, multiple=True, envvar=variable, metavar="NAME[,…]")

    return add_flags(
        function,
        flag(
            "--plugin",
            "Load a Python file, or a package's folder, as a plugin; repeatable.",
            type=click.Path(path_type=Path),
            multiple=True,
            metavar="PATH",
        ),
        flag("--strict-plugins", "A plugin that fails ends the command with exit 2.", is_flag=True),
        names_flag("--plugins-allow", "HARNESS_PLUGINS_ALLOW", "Load only these plugins or distributions."),
        names_flag("--plugins-block", "HARNESS_PLUGINS_BLOCK", "Do not load these plugins or distributions."),
    )


@click.command("")
@plugin_options
def _plugin_command() -> None:
    """Holds the options above, by which the config's values are read."""


def load_host(ctx: click.Context | None = None, *, quiet: bool = False, config: bool = True) -> Host:
    """Load the host that the flags and the config describe, once, and make it the process's current one.

    Args:
        ctx: any command's context; None means the current one.
        quiet: print no faults on stderr, because the command shows them itself.
        config: whether the plugins of the config load too.
    """
    from harness.plugins.host import Host, use

    def ignore(_: str) -> None:
        pass

    ctx = ctx or click.get_current_context()
    state = _get_loading(ctx)
    early = state.expects_config and isinstance(ctx.command, click.Group)
    if config and not early and state.of_config is None:
        state.of_config = _load_plugin_keys(ctx, state)
        state.host = None if state.of_config else state.host
    if state.host is None:
        given = state.of_config or {}
        state.host = Host.load(
            state.files or given.get("plugin", ()),
            strict=state.strict or given.get("strict_plugins", False),
            allow=state.lists.get("allow") or split_names(given.get("plugins_allow", ())) or None,
            block=state.lists.get("block") or split_names(given.get("plugins_block", ())) or None,
            tell=ignore if quiet else None,
        )
        ctx.find_root().with_resource(use(state.host))
    return state.host


def describe_plugins(ctx: click.Context) -> str:
    """The plugins of the loaded host in one line; loads nothing."""
    host = _get_loading(ctx).host
    return ", ".join(f"{name} ({origin})" for name, origin in host.provenance().items()) if host else "not loaded"
