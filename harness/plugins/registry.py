"""The plugins of a process: registered with pluggy one by one, their hook implementations callable one by one."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any

import pluggy

from harness import hookspecs
from harness.plugins.loader import Choice, Fault, Source, Stage, distinct, fault, find_shadow, guarded
from harness.plugins.report import suspicious, unusable
from harness.plugins.watch import Watch

HOOKS = frozenset(name for name in vars(hookspecs) if name.startswith("harness_"))
Call = Callable[[Mapping[str, Any]], Any]  #: a hook implementation as a function of all the hook's arguments


class _Manager(pluggy.PluginManager):
    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        """Skip names that hold no hook: pluggy's own look at each of them is most of what registration costs."""
        return None if name.startswith("__") else super().parse_hookimpl_opts(plugin, name)


class Registry:
    """Loads sources and keeps what came of each.

    Attributes:
        plugins: what loaded, in a fixed order.
        blocked: what the allow and block lists kept out; never imported.
        faults: everything that went wrong so far.
        choice: the lists in force.
        watch: how long each plugin took.
    """

    def __init__(self, choice: Choice, tell: Callable[[str], None]) -> None:
        self.choice = choice
        self.plugins: list[Source] = []
        self.blocked: list[Source] = []
        self.faults: list[Fault] = []
        self.tell = tell
        self.watch = Watch(write_line)
        self._manager = _Manager("harness")
        self._manager.add_hookspecs(hookspecs)

    def load(self, sources: Iterable[Source]) -> None:
        """Import and register what the lists admit."""
        ordered = distinct(sources)
        self._check_lists(ordered)
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
        with self.guarded(source, "import", failed.append):
            plugin = source.load()
            if plugin is None:
                raise TypeError(f"{source.value} is None, not a plugin")
        if other := find_shadow(source, alike):  # says more than that something is not in the other module
            failed = [other]
        for said in failed:
            self.report(said)
        if plugin is None or failed:
            return
        with self.guarded(source, "register"):
            self._manager.register(plugin, source.name)
            self.plugins.append(source)
            for said in suspicious(source, plugin, self._manager, HOOKS):
                self.report(said)

    def calls(self, hook: str) -> list[tuple[Source, Call]]:
        """Each implementation of a hook by itself, in the order of the plugins."""
        impls = [impl for impl in getattr(self._manager.hook, hook).get_hookimpls() if not unusable(impl)]
        return [(s, _caller(impl)) for s in self.plugins for impl in impls if impl.plugin_name == s.name]

    def report(self, said: Fault, tell: Callable[[str], None] | None = None) -> None:
        """Keep a fault and say its line."""
        self.faults.append(said)
        (tell or self.tell)(str(said))

    @contextlib.contextmanager
    def guarded(self, source: Source, stage: Stage, report: Callable[[Fault], None] | None = None) -> Generator[None]:
        """Run a plugin's code: whatever it raises is reported, what it prints goes to stderr, and a hang is named."""
        quiet = contextlib.redirect_stdout(sys.stderr)
        with guarded(source, stage, report or self.report), self.watch.calling(source, stage), quiet:
            yield

    def _check_lists(self, sources: Sequence[Source]) -> None:
        for name, remedy in self.choice.unknown(sources):
            listed = Source(name=name, entry=name, distribution="not", version="installed", value="", load=lambda: None)
            self.report(fault(listed, "find", "an allow or block list names it", remedy=remedy))


def write_line(line: str) -> None:
    """Say a line on stderr, where there is one."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def _caller(impl: pluggy.HookImpl) -> Call:
    """An implementation as a function of all the hook's arguments; it may take fewer, and those by name."""
    return lambda arguments: impl.function(**{name: arguments[name] for name in impl.argnames})
