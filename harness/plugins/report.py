"""What the host says about plugins: suspicious hooks, names that clash, and why a name is unknown."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from harness.errors import UnknownName
from harness.plugins.loader import FILE, Fault, Source, fault
from harness.settings import nearest

if TYPE_CHECKING:
    import pluggy

_MARK = "harness_impl"  # what `hookimpl` leaves on a function


def unusable(impl: pluggy.HookImpl) -> str:
    """Why an implementation cannot be called as a hook of ours; empty when it can."""
    if impl.wrapper or impl.hookwrapper:
        return "is a wrapper, and hooks here have none"
    if inspect.iscoroutinefunction(impl.function) or inspect.isasyncgenfunction(impl.function):
        return "is async, and hooks are synchronous"
    return ""


def suspicious(
    source: Source, plugin: object, manager: pluggy.PluginManager, hooks: Collection[str]
) -> Iterator[Fault]:
    """Hooks that nobody will ever call: misspelled, without the marker, wrappers, coroutines."""
    for caller in manager.get_hookcallers(plugin) or ():
        for impl in caller.get_hookimpls():
            if impl.plugin_name != source.name:
                continue
            if caller.name not in hooks and not impl.optionalhook:
                yield fault(source, "hook", f"there is no hook {caller.name!r}", remedy=nearest(caller.name, hooks))
            elif why := unusable(impl):
                yield fault(source, "hook", f"{caller.name} {why}")
    for name, meant in _unmarked(plugin, hooks):
        spelling = "" if name == meant else f"; did you mean {meant!r}?"
        yield fault(source, "hook", f"{name} is not marked with @hookimpl, so it is never called{spelling}")


def _unmarked(plugin: object, hooks: Collection[str]) -> Iterator[tuple[str, str]]:
    home = getattr(plugin, "__name__", None)
    for name, value in vars(plugin).items() if hasattr(plugin, "__dict__") else ():
        if name.startswith("harness_") and inspect.isfunction(value) and not hasattr(value, _MARK):
            import difflib

            meant = difflib.get_close_matches(name, hooks, n=1, cutoff=0.85)
            if meant and value.__module__ == home:
                yield name, meant[0]


def clash(
    word: str, name: str, sources: Sequence[Source], every: Sequence[Source], blocked: Collection[str]
) -> UnknownName:
    """The error of asking for a name that several plugins offer: both distributions, and the line that settles it.

    Args:
        word: what kind of thing has the name.
        name: that several offer.
        sources: those plugins.
        every: all loaded plugins.
        blocked: the block list in force, which the line keeps.
    """

    def line(kept: Source) -> str:
        names = [*sorted(blocked), *(_handle(source, every) for source in sources if source != kept)]
        return f"HARNESS_PLUGINS_BLOCK={','.join(names)} keeps {kept.name}'s"

    owners = " and ".join(f"{source.name} ({source.origin})" for source in sources)
    lines = [line(source) for source in sources]
    return UnknownName(f"{len(sources)} plugins offer the {word} {name!r}: {owners}", remedy="\n  ".join(lines))


def _handle(source: Source, every: Sequence[Source]) -> str:
    """What blocks this plugin and no other: its distribution if that holds nothing else, else its own name.

    What stands for the distribution of a file is all files', also those of the next command.
    """
    per_distribution = Counter(other.distribution for other in every)
    names = {label for other in every if other != source for label in other.labels}
    alone = per_distribution[source.distribution] == 1 and source.distribution != FILE
    free = alone and source.distribution not in names
    return source.distribution if free else source.name


def unknown(
    word: str, name: str, known: Collection[str], faults: Sequence[Fault], blocked: Sequence[Source]
) -> UnknownName:
    """The error of asking for a name nobody offers; says so when a failed or blocked plugin may have offered it."""
    for source in blocked:
        if name in source.labels:
            why = (
                f"plugin {source.name} ({source.origin}) is kept out by HARNESS_PLUGINS_ALLOW or HARNESS_PLUGINS_BLOCK"
            )
            return UnknownName(f"no {word} is called {name!r}", remedy=why)
    failed = list(
        dict.fromkeys(each.source.name for each in faults if each.stage in ("import", "register", "offer", "hook"))
    )
    if name in failed:
        said = next(each for each in faults if each.source.name == name)
        return UnknownName(f"no {word} is called {name!r}: {said}", remedy="the whole story: harness plugins doctor")
    remedy = nearest(name, known)
    if word == "provider":
        remedy += "\n  one of your own is a row under schemes in harness.yaml, on each machine that uses it"
    if failed:
        remedy += f"\n  or a plugin that failed offers it ({', '.join(failed)}): harness plugins doctor"
    return UnknownName(f"no {word} is called {name!r}", remedy=remedy)
