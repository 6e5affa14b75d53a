"""The host: the only module that calls hooks.

Plugins are imported and registered one by one. Each hook implementation is called alone, and its result is checked
before use. A plugin that fails is skipped and named in one line on stderr; `harness plugins doctor` shows the details.
A name that two plugins offer is disabled until the user blocks one of them: which `mis` runs must never depend on the
order of installation.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from harness.errors import HarnessError, UnknownName
from harness.plugins import registry
from harness.plugins.loader import FILE, Fault, PluginFilter, Source, find_installed, from_file, make_fault
from harness.plugins.registry import (
    KINDS,
    PluginKind,
    Registered,
    Registry,
    clash_error,
    read_offers,
    split_clashes,
    unknown_error,
    write_line,
)
from harness.text import one_line

if TYPE_CHECKING:
    import click

    from harness.contracts import Attack, Judge, Provider, Report, RunInfo, Strategy, Suite, Task
    from harness.makers import Builder, Painter, Trainer
    from harness.plugins.observers import Observers

_T = TypeVar("_T")
_Offers = tuple[dict[str, Registered[_T]], dict[str, list[Registered[_T]]]]  # offered by one plugin; offered by several
TASK_FILES = (".yaml", ".yml")  #: endings of a task's name that is a path
OBSERVERS = ("harness_run_started", "harness_response_added", "harness_verdict_added", "harness_run_finished")


class Host:
    """All plugins of this process, by what they offer.

    Attributes:
        plugins: the loaded plugins, in a fixed order.
        blocked: plugins that the allow and block lists exclude; never imported.
        choice: the active allow and block lists.
        faults: all faults so far.
    """

    def __init__(
        self,
        sources: Iterable[Source],
        *,
        strict: bool = False,
        choice: PluginFilter | None = None,
        faults: Iterable[Fault] = (),
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.choice = choice or PluginFilter.of(None, ())
        self._registry = Registry(self.choice, tell or write_line)
        self.plugins: Sequence[Source] = self._registry.plugins
        self.blocked: Sequence[Source] = self._registry.blocked
        self.faults: Sequence[Fault] = self._registry.faults
        self._offers: dict[str, _Offers[Any]] = {}
        self._own: dict[str, Source] = {}
        self._commands: dict[str, tuple[click.Command, Source]] | None = None
        for each in faults:
            self._registry.report(each)
        self._registry.load(sources)
        if strict and self.check():
            lines = "\n  ".join(str(fault) for fault in self.faults)
            raise HarnessError("a plugin failed, and --strict-plugins makes that an error", remedy=lines)

    def slow(self, least: float = 1.0) -> dict[Source, dict[str, float]]:
        """Plugins that took at least `least` seconds to load and offer: the seconds by stage."""
        found: dict[Source, dict[str, float]] = {}
        for (source, stage), seconds in self._registry.watch.seconds.items():
            found.setdefault(source, {})[stage] = seconds
        return {source: stages for source, stages in found.items() if sum(stages.values()) >= least}

    @classmethod
    def load(
        cls,
        files: Sequence[Path | str] = (),
        *,
        strict: bool = False,
        allow: Iterable[str] | None = None,
        block: Iterable[str] | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> Host:
        """Load every installed plugin, and files as plugins.

        Args:
            files: Python files with hooks (`--plugin FILE.py`).
            strict: whether any fault is fatal (`--strict-plugins`).
            allow: distributions or entry names that may load; None means `HARNESS_PLUGINS_ALLOW`, else all.
            block: those that may not load; None means `HARNESS_PLUGINS_BLOCK`, else none.
            tell: receives the line of each fault; None means stderr.

        Raises:
            HarnessError: a file does not exist, or `strict` and something failed.
        """
        faults: list[Fault] = []
        sources = [*find_installed(faults.append), *(from_file(Path(file)) for file in files)]
        return cls(sources, strict=strict, choice=PluginFilter.read(allow, block), faults=faults, tell=tell)

    def provider(self, scheme: str) -> Provider:
        """The provider of `SCHEME/NAME`; raises UnknownName."""
        return self._find(registry.MODELS, scheme)

    def task(self, name: str) -> Task:
        """The task of that name, or of a task file; raises UnknownName, with its own text for a suite's name.

        A path (`FILE.yaml`) is read, and its task offered from then on. Raises HarnessError for a file that is wrong.
        """
        if name.endswith(TASK_FILES):
            return self.add_task_file(Path(name).expanduser())
        try:
            return self._find(registry.TASKS, name, registry.SUITES)
        except UnknownName as error:
            beside = next((f"{name}{ending}" for ending in TASK_FILES if Path(f"{name}{ending}").is_file()), "")
            if beside:
                error.remedy = f"a task file is named with its ending: {beside}"
            elif name and any(each.suffix in TASK_FILES for each in Path(name).glob("*.y*ml")):
                error.remedy = f"a folder of task files is named with a slash: {name}/"
            raise

    def add_task_file(self, path: Path) -> Task:
        """Read a task file and offer its task. Raises HarnessError if it is wrong, or its name is taken."""
        from harness.task_files import load_task

        task = load_task(path)
        there = self._own.get(f"file {task.name}")
        if there is not None and there.value != str(path.absolute()):
            raise HarnessError(
                f"two task files are called {task.name!r}: {there.value} is the other",
                where=str(path),
                remedy="rename one of them, or run them one after the other",
            )
        self.offer_task(task)
        return task

    def offer_task(self, task: Task) -> None:
        """Offer the task of a task file, and its rubric; replaces one of its name that another file gave.

        Nothing is done if a plugin offers that very file.

        Raises HarnessError if a plugin offers another task, a suite or a rubric of that name.
        """
        path = str(task.file["path"])
        if any(each.file == task.file for each, _ in self.offers("tasks") if each.name == task.name):
            return
        name = f"file {task.name}"
        origin = Source(name=name, entry=name, distribution="task file", version=task.version, value=path)
        try:
            for kind in ("tasks", "suites", *(("judges",) if task.rubrics else ())):
                single, several = self._read(KINDS[kind])
                other = single.get(task.name)
                if task.name in several or (other is not None and other.source.name not in self._own):
                    what = f"a plugin offers the {KINDS[kind].word} {task.name!r} already"
                    raise HarnessError(what, remedy="give your task file another name")
            self.offer_own(registry.TASKS, task, origin)
            for judge in task.rubrics:
                self.offer_own(registry.JUDGES, judge, origin)
        except HarnessError as error:
            error.where = error.where or path
            raise

    def suite(self, name: str) -> Suite:
        """The suite of that name; raises UnknownName."""
        return self._find(registry.SUITES, name)

    def judge(self, name: str) -> Judge:
        """The judge whose rubric has that name; raises UnknownName."""
        return self._find(registry.JUDGES, name)

    def strategy(self, name: str) -> Strategy:
        """The strategy of that name; raises UnknownName."""
        return self._find(registry.STRATEGIES, name)

    def attack(self, name: str) -> Attack:
        """The attack of that name; raises UnknownName."""
        return self._find(registry.ATTACKS, name)

    def report(self, name: str) -> Report:
        """The report of that name; raises UnknownName."""
        return self._find(registry.REPORTS, name)

    def trainer(self, name: str) -> Trainer:
        """The trainer of that name; raises UnknownName."""
        return self._find(registry.TRAINERS, name)

    def builder(self, name: str) -> Builder:
        """The builder of that name; raises UnknownName."""
        return self._find(registry.BUILDERS, name)

    def painter(self, scheme: str) -> Painter:
        """The painter of `SCHEME/NAME`; raises UnknownName."""
        return self._find(registry.PAINTERS, scheme)

    def offers(self, kind: str) -> list[tuple[Any, str]]:
        """All descriptors of one kind ("tasks", "models", …) with their plugin's name, sorted by their own name."""
        return [(offer.item, offer.source.name) for offer in self._read(KINDS[kind])[0].values()]

    def find_file_hash(self, kind: str, name: str) -> str:
        """The hash of the file that offers a name ("attacks", "drop"); empty for an installed plugin, or for none.

        A file is edited without a new version, so what decides a request holds its hash.
        """
        offer = self._read(KINDS[kind])[0].get(name)
        return offer.source.version if offer is not None and offer.source.distribution == FILE else ""

    def clashes(self, kind: str) -> dict[str, list[Source]]:
        """Names that several plugins offer, each with these plugins."""
        return {name: [offer.source for offer in same] for name, same in self._read(KINDS[kind])[1].items()}

    def source(self, plugin: str) -> Source:
        """A loaded plugin, or the origin of a user's scheme or suite, by its name."""
        return self._own.get(plugin) or next(source for source in self.plugins if source.name == plugin)

    def offer_own(self, kind: PluginKind[_T], item: _T, origin: Source) -> None:
        """Offer a user's scheme or suite, replacing an earlier one of that name.

        Raises HarnessError if a plugin offers the name: its meaning must not depend on the working directory.
        """
        single, several = self._read(kind)
        name: str = getattr(item, kind.key)
        if name in several or (name in single and single[name].source.name not in self._own):
            raise HarnessError(
                f"a plugin offers the {kind.key_word} {name!r} already", remedy="give yours another name"
            )
        self._own[origin.name] = origin
        offers = {**single, name: Registered(name=name, item=item, source=origin)}
        self._offers[kind.name] = (dict(sorted(offers.items())), several)

    def provenance(self) -> dict[str, str]:
        """Plugin -> distribution and version, for run.json and results.json."""
        return {source.name: source.origin for source in self.plugins}

    def observe(
        self,
        run: RunInfo,
        *,
        capacity: int = 1000,
        patience: float = 5.0,
        tell: Callable[[str], None] | None = None,
        keep: Callable[[Fault], None] | None = None,
    ) -> Observers:
        """The observers of a run, as a context manager; see `harness.plugins.observers`.

        Args:
            run: the run as observers see it.
            capacity: most events in the queue.
            patience: seconds that closing waits for a slow observer.
            tell: receives the line of each fault; None means as in `load`.
            keep: receives each whole fault.
        """
        from harness.plugins.observers import Observer, Observers

        observers = [
            Observer(source=source, hook=hook, call=call)
            for hook in OBSERVERS
            for source, call in self._registry.calls(hook)
        ]

        def report(fault: Fault) -> None:
            self._registry.report(fault, tell)
            if keep is not None:
                keep(fault)

        return Observers(observers, run, report, capacity=capacity, patience=patience)

    def commands(self, taken: Iterable[str], groups: Iterable[str] = ()) -> dict[str, tuple[click.Command, Source]]:
        """Commands of plugins by name; refuses and reports a name in `taken` or of two plugins.

        Each plugin adds to its own group, so a plugin that fails midway, or adds an existing command, does no harm. The
        result is cached.

        Args:
            taken: names of core commands, and of their subcommands: `judges`, `judges list`.
            groups: core commands to which a plugin may add subcommands, by a group of that name. Such a subcommand is
                called `judges bench` here.
        """
        if self._commands is not None:
            return self._commands
        import click

        open_groups = frozenset(groups)
        found: list[Registered[click.Command]] = []
        for source, call in self._registry.calls("harness_commands"):
            group = click.Group(name="harness")
            with self._registry.guard(source, "hook"):
                call({"cli": group})
                for name, item in group.commands.items():
                    added = {name: item}
                    if name in open_groups and isinstance(item, click.Group):
                        added = {f"{name} {inner}": command for inner, command in item.commands.items()}
                    found += [Registered(name=each, item=one, source=source) for each, one in added.items()]
        single, several = split_clashes(found)
        taken = frozenset(taken)
        for offer in [offer for name, offer in single.items() if name in taken]:
            self._registry.report(make_fault(offer.source, "name", f"the command {offer.name!r} exists already"))
        for name, same in several.items():
            self._report_clash("command", name, [offer.source for offer in same])
        self._commands = {name: (offer.item, offer.source) for name, offer in single.items() if name not in taken}
        return self._commands

    def check(self) -> Sequence[Fault]:
        """Ask every plugin for everything it offers, and return all faults."""
        for kind in KINDS.values():
            self._read(kind)
        return self.faults

    def _read(self, kind: PluginKind[_T]) -> _Offers[_T]:
        if kind.name not in self._offers:
            from harness.plugins.binding import bind  # not needed to start the command line

            offers: list[Registered[_T]] = []
            for source, call in self._registry.calls(kind.hook):
                with self._registry.guard(source, "offer"):
                    found = read_offers(kind, call({}), source)
                    offers += [replace(each, item=bind(each.item, source)) for each in found]
            offers += self._list_rubrics() if kind is registry.JUDGES else ()
            _, several = self._offers[kind.name] = split_clashes(offers)
            for name, same in several.items():
                self._report_clash(kind.word, name, [offer.source for offer in same])
        return self._offers[kind.name]

    def _list_rubrics(self) -> list[Registered[Any]]:
        """The rubrics that come with tasks."""
        tasks = self._read(registry.TASKS)[0].values()
        return [
            Registered(name=judge.name, item=judge, source=each.source) for each in tasks for judge in each.item.rubrics
        ]

    def _find(self, kind: PluginKind[_T], name: str, *others: PluginKind[Any]) -> _T:
        single, several = self._read(kind)
        if name in single:
            return single[name].item
        if name in several:
            raise self._clash(kind.word, name, [offer.source for offer in several[name]])
        for each in others:
            if name in self._read(each)[0]:
                remedy = f"name one of its tasks: harness tasks show {name}"
                raise UnknownName(f"{name!r} is a {each.word}; give a {kind.word} here", remedy=remedy)
        known = [*single, *(other for each in others for other in self._read(each)[0])]
        raise unknown_error(kind.word, name, known, self.faults, self.blocked)

    def _clash(self, word: str, name: str, sources: Sequence[Source]) -> UnknownName:
        return clash_error(word, name, sources, self.plugins, self.choice.block)

    def _report_clash(self, word: str, name: str, sources: Sequence[Source]) -> None:
        error = self._clash(word, name, sources)
        for source in sources:
            self._registry.faults.append(make_fault(source, "name", error.what, remedy=error.remedy))
        self._registry.tell(one_line(f"{error.what}; so it is disabled. Block one of them: harness plugins doctor"))


_current: Host | None = None


def current() -> Host:
    """The host of this process; the first call loads all installed plugins."""
    global _current
    if _current is None:
        _current = Host.load()
    return _current


def use(host: Host) -> contextlib.AbstractContextManager[Host]:
    """Make `host` the current one at once; as a context manager, restore the previous one at the end."""
    global _current
    before, _current = _current, host
    return _Restored(host, before)


class _Restored(contextlib.AbstractContextManager[Host]):
    def __init__(self, host: Host, before: Host | None) -> None:
        self._host = host
        self._before = before

    def __enter__(self) -> Host:
        return self._host

    def __exit__(self, *_: object) -> None:
        global _current
        _current = self._before
