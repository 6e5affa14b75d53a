"""Finds plugins and loads them one by one, so that a broken one breaks nothing else.

A Source is where a plugin comes from: an entry point of the group `harness`, or a file named by `--plugin`. `guard`
turns whatever a plugin raises during import, registration or a call into a Fault; only KeyboardInterrupt passes.
Distributions are read one at a time, so another package's broken metadata does not affect ours.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final, Literal

from harness.errors import HarnessError, describe_error
from harness.plugins.distributions import find_distributions, load_entry, parse_entries
from harness.settings import nearest
from harness.text import one_line

GROUP = "harness"
OWN = "vlm-safety-harness"
FILE = "file"  #: the distribution of `--plugin FILE.py`
PATIENCE: Final = 5.0  #: seconds of silence before a plugin that hangs is named
Stage = Literal["find", "import", "register", "offer", "name", "hook", "observe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a plugin comes from.

    Attributes:
        name: unique among all sources: the entry name, or `entry@distribution` if two distributions use it.
        entry: name of the entry point or file.
        distribution: normalised name of the distribution; `file` for `--plugin FILE.py`.
        version: version of the distribution, or hash of the file.
        value: target of the entry point, or the file.
        site: folder in which the distribution is installed; empty for a file.
        load: imports it and returns the object with the hooks; may raise anything.
    """

    name: str
    entry: str
    distribution: str
    version: str
    value: str
    site: str = ""
    load: Callable[[], object] = field(default=lambda: None, repr=False, compare=False)

    @property
    def origin(self) -> str:
        """Distribution and version."""
        return f"{self.distribution} {self.version}"

    @property
    def package(self) -> str:
        """The top-level module that the entry point names; empty for a file."""
        if self.distribution == FILE:
            return ""
        return self.value.partition(":")[0].partition("[")[0].partition(".")[0].strip()

    @property
    def labels(self) -> frozenset[str]:
        """All its names in allow and block lists."""
        return frozenset({self.name, self.entry, self.distribution, f"{self.entry}@{self.distribution}"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault of a plugin.

    Attributes:
        source: the plugin.
        stage: when it happened.
        what: one line that describes it, without control characters.
        story: the whole traceback, or empty.
        remedy: how to fix it, or empty.
    """

    source: Source
    stage: Stage
    what: str
    story: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        remedy = f" ({self.remedy})" if self.remedy else ""
        return f"plugin {one_line(self.source.name)} ({one_line(self.source.origin)}): {self.what}{remedy}"


def make_fault(source: Source, stage: Stage, what: str, *, remedy: str = "") -> Fault:
    """A fault without a traceback."""
    return Fault(source=source, stage=stage, what=one_line(what), remedy=one_line(remedy))


@contextlib.contextmanager
def guard(source: Source, stage: Stage, report: Callable[[Fault], None]) -> Generator[None]:
    """Run a plugin's code, and report whatever it raises as a Fault."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a plugin may raise SystemExit at import
        report(replace(make_fault(source, stage, describe_error(error)), story=format_story(error)))


def format_story(error: BaseException) -> str:
    """The traceback of an error, even if the error's text raises."""
    import traceback

    try:
        return "".join(traceback.format_exception(error, limit=-20))
    except Exception:  # noqa: BLE001 - the error's text may raise
        return type(error).__name__


def find_shadow(source: Source, alike: Iterable[Source]) -> Fault | None:
    """The fault of an imported source whose module another distribution shadows; None if not shadowed.

    `alike` are all sources with the same module name: Python imports only one of them. A distribution's module lies in
    its site folder, except for an editable install: then only the other distribution's file shows the shadowing.
    """
    module = sys.modules.get(source.package)
    file = getattr(module, "__file__", None)
    if file is None or not source.site:
        return None
    others = [each for each in alike if each.distribution != source.distribution]
    here, rivals = _owns(source, file), [each for each in others if _owns(each, file)]
    if here and not any(each.distribution == OWN for each in rivals):
        return None
    if not rivals and not _has_module(source):
        return None
    is_own = source.package == GROUP or any(each.distribution == OWN for each in others)
    owner = next((each.distribution for each in rivals), OWN if is_own else "another one")
    what = f"its module {source.package!r} is shadowed by that of {owner} ({file}), so it is not loaded"
    return make_fault(source, "import", what, remedy="its author can rename the module")


# Uses str, not Path, for speed: every start of a command checks each plugin.
def _owns(source: Source, file: str) -> bool:
    """Whether a module's file lies in the distribution's site folder, under its top-level name."""
    return file.startswith(source.site.rstrip(os.sep) + os.sep) and _has_module(source)


def _has_module(source: Source) -> bool:
    place = os.path.join(source.site, source.package)  # noqa: PTH118
    return os.path.isdir(place) or os.path.isfile(f"{place}.py")  # noqa: PTH112, PTH113


_UNREADABLE = Source(name="?", entry="?", distribution="unreadable", version="", value="")


def normalize_name(distribution: str) -> str:
    """A distribution's name, normalised as package indexes do."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def find_installed(report: Callable[[Fault], None]) -> list[Source]:
    """Every entry point of the group, from every distribution on the path; the first distribution of a name wins."""
    found: dict[str, list[Source]] = {}
    for distribution in find_distributions():
        with guard(_UNREADABLE, "find", report):
            listed = distribution.read_text("entry_points.txt") or ""
            if f"[{GROUP}]" not in listed:
                continue
            # Read only the two lines with name and version: parsing all metadata takes ten times as long.
            text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
            head = text.split("\n\n", 1)[0]
            named = re.search(r"^Name:[ \t]*(\S+)", head, re.MULTILINE)
            versioned = re.search(r"^Version:[ \t]*(\S+)", head, re.MULTILINE)
            name = normalize_name(named[1]) if named else "unnamed"
            version, site = versioned[1] if versioned else "unknown", str(distribution.locate_file(""))
            known = partial(Source, distribution=name, version=version, site=site)
            entries = parse_entries(listed, GROUP)
            found.setdefault(
                name, [known(name=e, entry=e, value=to, load=partial(load_entry, to)) for e, to in entries]
            )
    return [source for sources in found.values() for source in sources]


def from_file(path: Path) -> Source:
    """The source of an uninstalled plugin: a file, or a package's folder. Its version is the hash of its code.

    Raises:
        HarnessError: there is no such file, or the folder holds no package.
    """
    code = path
    if path.is_dir():  # a package, or a folder with one `harness_*`, as `harness plugins new` makes it
        inside = [each.parent for each in sorted(path.glob("harness_*/__init__.py"))]
        if not (path / "__init__.py").is_file() and len(inside) != 1:
            raise HarnessError(
                "the folder is not a Python package: it has no __init__.py",
                where=str(path),
                remedy="give the folder that contains __init__.py, or one file",
            )
        code = (path if (path / "__init__.py").is_file() else inside[0]).absolute()
    files = sorted(code.rglob("*.py")) if code.is_dir() else [code]
    try:
        found = {file.relative_to(code.parent): file.read_bytes() for file in files}
    except OSError as error:
        raise HarnessError(f"cannot read the plugin file: {error.strerror}", where=str(path)) from None
    from hashlib import sha256

    whole = b"".join(str(name).encode() + b"\0" + text + b"\0" for name, text in found.items())
    version = sha256(whole if code.is_dir() else found[Path(code.name)]).hexdigest()[:12]
    entry = re.sub(r"[^a-z0-9_.-]", "_", code.stem.lower()).removeprefix("harness_")
    load = partial(_import_code, code, version)
    return Source(name=entry, entry=entry, distribution=FILE, version=version, value=str(code), load=load)


def _import_code(code: Path, version: str) -> object:
    """Import a file, or a package by its name, so that its modules find each other.

    A file may import its neighbours; they never hide an installed module. Raises ImportError if another module has the
    package's name.
    """
    is_package = code.is_dir()
    name = code.name if is_package else f"harness_file_{version}"
    file = code / "__init__.py" if is_package else code
    there = sys.modules.get(name) if is_package else None
    if is_package:
        spec = None if there is not None else importlib.util.find_spec(name)
        taken = getattr(there, "__file__", None) if there is not None else spec.origin if spec else None
        if taken is not None and Path(taken).resolve() != file.resolve():
            raise ImportError(f"the name {name} is taken by the module {taken}; rename the folder")
    folder = str(code.absolute().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    if there is not None:
        return there
    inside = [str(code)] if is_package else None
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=inside)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file.name} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look up a class's module there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def order_sources(sources: Iterable[Source]) -> list[Source]:
    """The sources in a fixed order, independent of installation order, each with a unique name.

    The same file given twice is one source. Sources with equal entry names get the distribution in their name, and the
    version if that is equal too.
    """
    ordered = sorted(set(sources), key=lambda source: (source.entry, source.distribution, source.version))
    entries = Counter(source.entry for source in ordered)
    pairs = Counter((source.entry, source.distribution) for source in ordered)

    def name(source: Source) -> str:
        if entries[source.entry] == 1:
            return source.entry
        alone = pairs[source.entry, source.distribution] == 1
        return f"{source.entry}@{source.distribution}" + ("" if alone else f"-{source.version}")

    return [replace(source, name=name(source)) for source in ordered]


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginFilter:
    """Decides which sources may load: those allowed and not blocked, by distribution or entry name."""

    allow: frozenset[str] | None
    block: frozenset[str]

    @staticmethod
    def of(allow: Iterable[str] | None, block: Iterable[str]) -> PluginFilter:
        """Build it from lists of distributions and entry names, in any spelling of a distribution."""
        return PluginFilter(allow=None if allow is None else frozenset(allow), block=frozenset(block))

    @staticmethod
    def read(allow: Iterable[str] | None, block: Iterable[str] | None) -> PluginFilter:
        """As `of`, but None means the list in `HARNESS_PLUGINS_ALLOW` or `HARNESS_PLUGINS_BLOCK`."""

        def from_environment(variable: str) -> list[str] | None:
            return [name.strip() for name in os.environ.get(variable, "").split(",") if name.strip()] or None

        return PluginFilter.of(
            from_environment("HARNESS_PLUGINS_ALLOW") if allow is None else allow,
            (from_environment("HARNESS_PLUGINS_BLOCK") or ()) if block is None else block,
        )

    def admits(self, source: Source) -> bool:
        """Whether the source may load."""
        return (self.allow is None or _is_listed(source, self.allow)) and not _is_listed(source, self.block)

    def find_unknown(self, sources: Sequence[Source]) -> list[tuple[str, str]]:
        """Names in the lists that match no source, each with the nearest valid one; a typo would block nothing."""
        known = {label for source in sources for label in source.labels}
        shown = {label for source in sources for label in (source.name, source.distribution)}
        given = sorted((self.allow or frozenset()) | self.block)
        return [(name, nearest(name, shown)) for name in given if not {name, normalize_name(name)} & known]


def _is_listed(source: Source, names: frozenset[str]) -> bool:
    return any(name in source.labels or normalize_name(name) == source.distribution for name in names)
