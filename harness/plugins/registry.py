"""The plugins of a process, registered with pluggy one by one, and their offers.

Each hook that offers descriptors has a PluginKind. An implementation's result is accepted or refused as a whole: if a
generator raises midway, or a type or name is invalid, nothing of it is used, so that no plugin is half loaded.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

import pluggy

from harness import hookspecs
from harness.errors import UnknownName, describe_value
from harness.plugins.loader import (
    FILE,
    PATIENCE,
    Fault,
    PluginFilter,
    Source,
    Stage,
    find_shadow,
    guard,
    make_fault,
    order_sources,
)
from harness.settings import nearest
from harness.text import one_line
from harness.types import Setting

if TYPE_CHECKING:
    from harness.contracts import Attack, Judge, Provider, Report, Strategy, Suite, Task
    from harness.makers import Builder, Painter, Trainer

HOOKS = frozenset(name for name in vars(hookspecs) if name.startswith("harness_"))
NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
Call = Callable[[Mapping[str, Any]], Any]  #: a hook implementation as a function of all the hook's arguments
_OFFER_LIMIT = 10_000  # a hook that offers more is an endless generator
_SETTING_TYPES = (bool, int, float, str, Path)
_MARK = "harness_impl"  # the attribute that `hookimpl` sets on a function
_DOING: Final = {"import": "its import", "register": "its registration", "offer": "what it offers", "hook": "a hook"}
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginKind(Generic[_T]):
    """One kind of descriptor that plugins offer.

    Attributes:
        name: the kind's name in `Host.offers` and the list commands.
        word: the word for one of them: the name of its class, in small letters.
        calls: fields that must be callable.
        may: optional fields that must be callable if given.
        key: the field with the name.
        home: the module of its class.
    """

    name: str
    word: str
    calls: tuple[str, ...]
    may: tuple[str, ...] = ()
    key: str = "name"
    home: str = "contracts"

    @property
    def descriptor(self) -> type[_T]:
        """The class of its descriptors. Looked up when asked, so that a list of tasks does not import all kinds."""
        found: type[_T] = getattr(importlib.import_module(f"harness.{self.home}"), self.word.capitalize())
        return found

    @property
    def hook(self) -> str:
        """The hook that offers it."""
        return f"harness_{self.name}"

    @property
    def key_word(self) -> str:
        """The user's word for the name of one."""
        return self.word if self.key == "name" else self.key


MODELS: Final[PluginKind[Provider]] = PluginKind(name="models", word="provider", calls=("open",), key="scheme")
TASKS: Final[PluginKind[Task]] = PluginKind(name="tasks", word="task", calls=("samples",))
SUITES: Final[PluginKind[Suite]] = PluginKind(name="suites", word="suite", calls=())
JUDGES: Final[PluginKind[Judge]] = PluginKind(name="judges", word="judge", calls=("open",), may=("normalize",))
STRATEGIES: Final[PluginKind[Strategy]] = PluginKind(
    name="strategies", word="strategy", calls=("wrap",), may=("calls", "check", "facts")
)
ATTACKS: Final[PluginKind[Attack]] = PluginKind(
    name="attacks", word="attack", calls=("apply", "check"), may=("images", "ask", "calls", "facts")
)
REPORTS: Final[PluginKind[Report]] = PluginKind(
    name="reports", word="report", calls=(), may=("render", "samples", "figures", "matrix", "linked")
)
TRAINERS: Final[PluginKind[Trainer]] = PluginKind(
    name="trainers", word="trainer", calls=("plan", "train"), home="makers"
)
BUILDERS: Final[PluginKind[Builder]] = PluginKind(
    name="builders", word="builder", calls=("build", "plan"), home="makers"
)
PAINTERS: Final[PluginKind[Painter]] = PluginKind(
    name="painters", word="painter", calls=("open",), key="scheme", home="makers"
)
KINDS: dict[str, PluginKind[Any]] = {
    kind.name: kind
    for kind in (MODELS, TASKS, SUITES, JUDGES, STRATEGIES, ATTACKS, REPORTS, TRAINERS, BUILDERS, PAINTERS)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered(Generic[_T]):
    """A descriptor and its plugin."""

    name: str
    item: _T
    source: Source


def read_offers(kind: PluginKind[_T], returned: object, source: Source) -> list[Registered[_T]]:
    """Everything an implementation returned, by name.

    Raises:
        TypeError: it is not an iterable of the kind's type, or a field is of the wrong type.
        ValueError: a name is outside the charset or given twice.
    """
    what = describe_value(returned)
    if not isinstance(returned, Iterable) or isinstance(returned, str | bytes | Mapping):
        raise TypeError(f"{kind.hook} returned {what}, not an iterable of {kind.descriptor.__name__}")
    items = list(islice(cast("Iterable[object]", returned), _OFFER_LIMIT + 1))
    if len(items) > _OFFER_LIMIT:
        raise ValueError(f"{kind.hook} offers more than {_OFFER_LIMIT} items")
    found: list[Registered[_T]] = []
    for item in items:
        if not isinstance(item, kind.descriptor):
            raise TypeError(f"{kind.hook} offers {describe_value(item)}, not a {kind.descriptor.__name__}")
        name: object = getattr(item, kind.key)
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ValueError(
                f"{kind.hook} offers the name {name!r}; names must match [a-z0-9][a-z0-9_.-]*, at most 64 long"
            )
        _check_fields(kind, name, item)
        found.append(Registered(name=name, item=item, source=source))
    twice = [name for name, count in Counter(each.name for each in found).items() if count > 1]
    if twice:
        raise ValueError(f"{kind.hook} offers {twice[0]!r} twice")
    return found


def _check_fields(kind: PluginKind[Any], name: str, item: object) -> None:
    owner = f"{kind.word} {name!r}"
    for field in ("description", "version", "base"):
        if not isinstance(getattr(item, field, ""), str):
            raise TypeError(f"{owner}: {field} is {describe_value(getattr(item, field))}, not text")
    given = [field for field in kind.may if getattr(item, field) is not None]
    for field in (*kind.calls, *given):
        if not callable(getattr(item, field)):
            raise TypeError(f"{owner}: {field} is {describe_value(getattr(item, field))}, not callable")
    splits: object = getattr(item, "splits", {})
    if not isinstance(splits, Mapping) and not callable(splits):
        raise TypeError(f"{owner}: splits is {describe_value(splits)}, neither a mapping nor callable")
    needs: object = getattr(item, "needs", None)
    if needs is not None and not isinstance(needs, frozenset | set):
        raise TypeError(f"{owner}: needs is {describe_value(needs)}, not a set of abilities")
    if odd := [each for each in cast("Iterable[object]", needs or ()) if not isinstance(each, str)]:
        raise TypeError(f"{owner}: needs holds {odd[0]!r:.100}, not an ability")
    variants: object = getattr(item, "variants", None)
    if variants is not None and (isinstance(variants, bool) or not isinstance(variants, int) or variants < 1):
        raise TypeError(f"{owner}: variants is {variants!r:.100}, not a number from 1 or None")
    seconds: object = getattr(item, "seconds", None)
    if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0):
        raise TypeError(f"{owner}: seconds is {seconds!r:.100}, not a number above 0 or None")
    if (paper := getattr(item, "paper", None)) is not None:
        from harness.plugins.shapes import find_paper_faults

        if faults := list(find_paper_faults(paper)):
            raise TypeError(f"{owner}: its paper cannot be cited: {'; '.join(faults[:3])}")
    tasks: object = getattr(item, "tasks", ())
    if not isinstance(tasks, tuple) or not all(isinstance(each, str) for each in cast("tuple[object, ...]", tasks)):
        raise TypeError(f"{owner}: tasks is not a tuple of names")
    settings: object = getattr(item, "settings", ())
    if not isinstance(settings, tuple):
        raise TypeError(f"{owner}: settings is {describe_value(settings)}, not a tuple of Setting")
    names: set[str] = set()
    for setting in cast("tuple[object, ...]", settings):
        if not isinstance(setting, Setting):
            raise TypeError(f"{owner}: settings holds {describe_value(setting)}, not a Setting")
        if setting.type not in _SETTING_TYPES:
            raise TypeError(f"{owner}: setting {setting.name!r} is of type {setting.type!r}")
        if setting.name in names:
            raise ValueError(f"{owner}: setting {setting.name!r} is declared twice")
        names.add(setting.name)


def split_clashes(
    offers: Iterable[Registered[_T]],
) -> tuple[dict[str, Registered[_T]], dict[str, list[Registered[_T]]]]:
    """Offers by name with exactly one plugin; and names that several plugins offer, which are disabled."""
    by_name: dict[str, list[Registered[_T]]] = {}
    for offer in offers:
        by_name.setdefault(offer.name, []).append(offer)
    single = {name: same[0] for name, same in sorted(by_name.items()) if len(same) == 1}
    return single, {name: same for name, same in sorted(by_name.items()) if len(same) > 1}


class Watch:
    """Times each call of a plugin while it loads, and names a plugin that does not return.

    One thread watches; it ends when no call is left.

    Attributes:
        seconds: each plugin's seconds, by stage.
    """

    def __init__(self, tell: Callable[[str], None], patience: float | None = None) -> None:
        self.seconds: dict[tuple[Source, Stage], float] = {}
        self._tell = tell
        self._patience = PATIENCE if patience is None else patience
        self._lock = threading.Lock()
        self._now: tuple[Source, Stage, float] | None = None
        self._looking = False

    @contextlib.contextmanager
    def calling(self, source: Source, stage: Stage) -> Generator[None]:
        """Watch the body, which is one call; calls do not overlap."""
        began = time.monotonic()
        with self._lock:
            self._now = (source, stage, began)
            if not self._looking:
                self._looking = True
                threading.Thread(target=self._look, name="harness-plugins", daemon=True).start()
        try:
            yield
        finally:
            self._now = None
            spent = self.seconds.get((source, stage), 0.0)
            self.seconds[source, stage] = spent + time.monotonic() - began

    def _look(self) -> None:
        reported: object = None
        while True:
            time.sleep(self._patience / 10)
            with self._lock:
                now = self._now
                if now is None:
                    self._looking = False
                    return
            source, stage, began = now
            if now != reported and time.monotonic() - began >= self._patience:
                reported = now
                self._tell(
                    f"plugin {one_line(source.name)} ({one_line(source.origin)}): {_DOING.get(stage, stage)} has taken "
                    f"{self._patience:g} s so far; Ctrl-C ends it, --plugins-block {one_line(source.name)} disables it"
                )


class _Manager(pluggy.PluginManager):
    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        """Skip names without a hook: pluggy's check of each name takes most of the registration time."""
        if name.startswith("__"):
            return None
        if isinstance(plugin, ModuleType) and not hasattr(vars(plugin).get(name), _MARK):
            return None
        return super().parse_hookimpl_opts(plugin, name)


class Registry:
    """Loads sources and keeps the outcome of each.

    Attributes:
        plugins: the loaded sources, in a fixed order.
        blocked: sources that the allow and block lists exclude; never imported.
        faults: all faults so far.
        choice: the active lists.
        watch: times each plugin.
    """

    def __init__(self, choice: PluginFilter, tell: Callable[[str], None]) -> None:
        self.choice = choice
        self.plugins: list[Source] = []
        self.blocked: list[Source] = []
        self.faults: list[Fault] = []
        self.tell = tell
        self.watch = Watch(write_line)
        self._manager = _Manager("harness")
        self._manager.add_hookspecs(hookspecs)

    def load(self, sources: Iterable[Source]) -> None:
        """Import and register the sources that the lists admit."""
        ordered = order_sources(sources)
        for name, remedy in self.choice.find_unknown(ordered):
            entry = Source(name=name, entry=name, distribution="not", version="installed", value="")
            self.report(make_fault(entry, "find", "an allow or block list names it", remedy=remedy))
        alike: dict[str, list[Source]] = {}
        for source in ordered:
            alike.setdefault(source.package, []).append(source)
        for source in ordered:
            if self.choice.admits(source):
                self._register(source, alike[source.package])
            else:
                self._manager.set_blocked(source.name)
                self.blocked.append(source)

    def _register(self, source: Source, alike: Sequence[Source]) -> None:
        plugin: object = None
        failed: list[Fault] = []
        with self.guard(source, "import", failed.append):
            plugin = source.load()
            if plugin is None:
                raise TypeError(f"{source.value} is None, not a plugin")
        if shadow := find_shadow(source, alike):  # clearer than an error about a name missing in the other module
            failed = [shadow]
        for fault in failed:
            self.report(fault)
        if plugin is None or failed:
            return
        with self.guard(source, "register"):
            self._manager.register(plugin, source.name)
            self.plugins.append(source)
            for fault in _find_dead_hooks(source, plugin, self._manager):
                self.report(fault)

    def calls(self, hook: str) -> list[tuple[Source, Call]]:
        """Each implementation of a hook, in the order of the plugins."""
        impls = [impl for impl in getattr(self._manager.hook, hook).get_hookimpls() if not _describe_unusable(impl)]
        return [(s, _take_all(impl)) for s in self.plugins for impl in impls if impl.plugin_name == s.name]

    def report(self, fault: Fault, tell: Callable[[str], None] | None = None) -> None:
        """Keep a fault and print its line."""
        self.faults.append(fault)
        (tell or self.tell)(str(fault))

    @contextlib.contextmanager
    def guard(self, source: Source, stage: Stage, report: Callable[[Fault], None] | None = None) -> Generator[None]:
        """Run a plugin's code: report each error, send its output to stderr, and name a hang."""
        quiet = contextlib.redirect_stdout(sys.stderr)
        with guard(source, stage, report or self.report), self.watch.calling(source, stage), quiet:
            yield


def write_line(line: str) -> None:
    """Print a line on stderr, if stderr exists."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def _take_all(impl: pluggy.HookImpl) -> Call:
    """Turn an implementation into a function of all the hook's arguments; it gets by name those that it accepts."""
    return lambda arguments: impl.function(**{name: arguments[name] for name in impl.argnames})


def _describe_unusable(impl: pluggy.HookImpl) -> str:
    """Why an implementation cannot be used as a hook; empty if it can."""
    if impl.wrapper or impl.hookwrapper:
        return "is a wrapper, which hooks here do not support"
    if inspect.iscoroutinefunction(impl.function) or inspect.isasyncgenfunction(impl.function):
        return "is async, but hooks must be synchronous"
    return ""


def _find_dead_hooks(source: Source, plugin: object, manager: pluggy.PluginManager) -> Iterator[Fault]:
    """Faults of hooks that would never be called: misspelt, without the marker, wrappers, coroutines."""
    # One pass over all implementations: `get_hookcallers` would be another, for each plugin.
    for hook, caller in vars(manager.hook).items():
        for impl in caller.get_hookimpls():
            if impl.plugin is not plugin:
                continue
            if hook not in HOOKS and not impl.optionalhook:
                yield make_fault(source, "hook", f"there is no hook {hook!r}", remedy=nearest(hook, HOOKS))
            elif why := _describe_unusable(impl):
                yield make_fault(source, "hook", f"{hook} {why}")
    home = getattr(plugin, "__name__", None)
    for name, value in vars(plugin).items() if hasattr(plugin, "__dict__") else ():
        if name.startswith("harness_") and inspect.isfunction(value) and not hasattr(value, _MARK):
            import difflib

            meant = difflib.get_close_matches(name, HOOKS, n=1, cutoff=0.85)
            if meant and value.__module__ == home:
                spelling = "" if name == meant[0] else f"; did you mean {meant[0]!r}?"
                what = f"{name} is not marked with @hookimpl, so it is never called{spelling}"
                yield make_fault(source, "hook", what)


def clash_error(
    word: str, name: str, sources: Sequence[Source], every: Sequence[Source], blocked: Collection[str]
) -> UnknownName:
    """The error for a name that several plugins offer, with the command that chooses each of them.

    Args:
        word: the word for the kind.
        name: the name.
        sources: the plugins that offer it.
        every: all loaded plugins.
        blocked: the active block list, which the command keeps.
    """
    per_distribution = Counter(source.distribution for source in every)

    def block_name(source: Source) -> str:
        """A name that blocks only this plugin: its distribution's if that has no other plugin, else its own."""
        # All files share one distribution name, also those of the next command.
        alone = per_distribution[source.distribution] == 1 and source.distribution != FILE
        others = {label for other in every if other != source for label in other.labels}
        return source.distribution if alone and source.distribution not in others else source.name

    lines: list[str] = []
    for kept in sources:
        names = [*sorted(blocked), *(block_name(source) for source in sources if source != kept)]
        lines.append(f"HARNESS_PLUGINS_BLOCK={','.join(names)} keeps {kept.name}'s")
    owners = " and ".join(f"{source.name} ({source.origin})" for source in sources)
    return UnknownName(f"{len(sources)} plugins offer the {word} {name!r}: {owners}", remedy="\n  ".join(lines))


def unknown_error(
    word: str, name: str, known: Collection[str], faults: Sequence[Fault], blocked: Sequence[Source]
) -> UnknownName:
    """The error for a name that no plugin offers; it names a failed or blocked plugin that may have offered it."""
    what = f"no {word} is called {name!r}"
    for source in blocked:
        if name in source.labels:
            blocks = "HARNESS_PLUGINS_ALLOW or HARNESS_PLUGINS_BLOCK"
            return UnknownName(what, remedy=f"plugin {source.name} ({source.origin}) is excluded by {blocks}")
    failed = list(
        dict.fromkeys(each.source.name for each in faults if each.stage in ("import", "register", "offer", "hook"))
    )
    if name in failed:
        fault = next(each for each in faults if each.source.name == name)
        return UnknownName(f"{what}: {fault}", remedy="for details: harness plugins doctor")
    remedy = nearest(name, known)
    if word == "task" and remedy.startswith("known"):
        remedy += "\n  if it comes from a file: --plugin FILE"
    if word == "provider":
        remedy += "\n  to define your own, add a row under schemes in harness.yaml, on each machine that uses it"
    if failed:
        remedy += f"\n  or a plugin that failed may offer it ({', '.join(failed)}): harness plugins doctor"
    return UnknownName(what, remedy=remedy)
