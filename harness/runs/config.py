"""Config files: `./harness.yaml` over the user's, under flags and environment; suites of the user's own among them.

Keys are flags' long names with `_`; `-M -J -T -S`, which have none, are the mappings `model_settings judge_settings
task_settings strategy_settings`; `suites` is name -> list of tasks or row, usable wherever a task's name is; `schemes`
is name -> row, usable wherever a provider's scheme is.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from harness.contracts import Suite
from harness.errors import HarnessError, UnknownName
from harness.plugins.host import Host
from harness.plugins.loader import Source
from harness.plugins.registry import NAME, SUITES
from harness.schemes import Row
from harness.settings import nearest, spread

if TYPE_CHECKING:
    import yaml

_FIELDS = ("tasks", "description", "task_settings", "judges", "mean")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSuite:
    """One row of `suites`.

    Attributes:
        suite: what it says.
        where: file and key it was read from.
    """

    suite: Suite
    where: str

    @staticmethod
    def read(name: str, raw: object, where: str) -> OwnSuite:
        """A row as YAML gives it: a list of tasks, a text with commas, or a mapping with `tasks`.

        Raises HarnessError for what is no row, UnknownName for a key it does not have.
        """
        given: dict[str, Any] = {"tasks": raw} if isinstance(raw, str | list) else _mapping(raw, where)
        for key in given:
            if key not in _FIELDS:
                raise UnknownName(f"a suite has no {key!r}", where=where, remedy=nearest(key, _FIELDS))
        tasks = _names(given.get("tasks"), f"{where}.tasks")
        if not tasks:
            raise HarnessError("a suite needs tasks", where=where, remedy="such as [mis, mssbench:chat]")
        judges = _mapping(given.get("judges") or {}, f"{where}.judges")
        for task, rubric in judges.items():
            if not isinstance(rubric, str):
                raise HarnessError("must be the name of a rubric", where=f"{where}.judges.{task}")
        return OwnSuite(
            suite=Suite(
                name=name,
                description=str(given.get("description") or f"of your own: {', '.join(tasks)}"),
                tasks=tasks,
                task_settings=spread(_mapping(given.get("task_settings") or {}, f"{where}.task_settings")),
                judges=judges,
                mean=_names(given.get("mean") or [], f"{where}.mean"),
            ),
            where=where,
        )

    def register(self, host: Host) -> None:
        """Offer it. Raises HarnessError where its name is none, or a plugin has a suite or a task of that name."""
        name = self.suite.name
        if not NAME.fullmatch(name):
            raise HarnessError(f"{name!r} cannot be a suite", where=self.where, remedy=f"one is like {NAME.pattern}")
        if name in {task.name for task, _ in host.offers("tasks")}:
            raise HarnessError(
                f"a plugin offers the task {name!r} already", where=self.where, remedy="give yours another name"
            )
        try:
            host.offer_own(SUITES, self.suite, _find_source(self))
        except HarnessError as error:
            error.where = self.where
            raise


def _find_source(own: OwnSuite) -> Source:
    """What the lists show as the plugin of a row."""
    name = f"suites.{own.suite.name}"
    file = own.where.removesuffix(f": {name}")
    return Source(name=name, entry=name, distribution="config", version=file, value=file, load=lambda: None)


def _names(raw: object, where: str) -> tuple[str, ...]:
    listed = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(listed, list):
        raise HarnessError("must be a list of tasks, such as [mis, mssbench:chat]", where=where)
    return tuple(text for each in cast("list[object]", listed) if (text := str(each).strip()))


def _mapping(raw: object, where: str) -> dict[str, Any]:
    if not isinstance(raw, Mapping):
        raise HarnessError("must be a mapping, or for a suite a list of tasks", where=where)
    return {str(key): value for key, value in cast("Mapping[object, Any]", raw).items()}


LOCAL = Path("harness.yaml")
_MERGE: Final = "tag:yaml.org,2002:merge"  # `<<`, which may stand there again


def user_config() -> Path:
    """The user's own config file, whether or not it is there."""
    from platformdirs import user_config_path

    return user_config_path("harness") / "harness.yaml"


def load_config(explicit: Path | None, known: Callable[[], Collection[str]]) -> dict[str, Any]:
    """The merged config: an explicit file alone, else `./harness.yaml` over the user's, mappings key by key.

    `known` gives all keys; it is asked only where there is a file, because telling them needs each flag of a run.

    Raises HarnessError for a file that is missing or no mapping, UnknownName for a key nobody knows.
    """
    files = [path for path in (user_config(), LOCAL) if path.exists()] if explicit is None else [explicit]
    merged: dict[str, Any] = {}
    for path in files:
        for key, value in _read(path, known()).items():
            below = merged.get(key)
            merged[key] = {**below, **value} if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def load_yaml(path: Path, what: str) -> object:
    """What a YAML file holds.

    Raises:
        HarnessError: it cannot be read, is nested too deeply, is no YAML and so not `what` it should have been, or has
            a key twice.
    """
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        loader: Any = yaml.SafeLoader(_Named(text, path))
        node = loader.get_single_node()
        _check_keys(node, path)
        loaded: object = None if node is None else loader.construct_document(node)
    except OSError as error:
        raise HarnessError(f"cannot read {what}: {error.strerror}", where=str(path)) from None
    except RecursionError:
        raise HarnessError(f"{what} is nested too deeply", where=str(path), remedy="give a file that is not") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:  # ValueError: a number of thousands of digits
        raise HarnessError(f"{what} is not YAML: {' '.join(str(error).split())}", where=str(path)) from None
    return loaded


class _Named(io.StringIO):
    """A text that YAML's errors call by the name of its file."""

    def __init__(self, text: str, path: Path) -> None:
        super().__init__(text)
        self.name = path.name


def _check_keys(root: yaml.Node | None, path: Path) -> None:
    """Of a key that stands twice in one mapping YAML takes the last, and says nothing."""
    import yaml

    seen, left = set[int](), [root]
    while left:
        node = left.pop()
        if id(node) in seen:  # what an anchor names stands in several places, and may hold itself
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            left += node.value
        elif isinstance(node, yaml.MappingNode):
            _check_mapping(node.value, path)
            left += [part for pair in node.value for part in pair]


def _check_mapping(pairs: Iterable[tuple[yaml.Node, yaml.Node]], path: Path) -> None:
    lines: dict[tuple[str, object], int] = {}
    for key, _ in pairs:
        name, line = (key.tag, key.value), key.start_mark.line + 1
        if not isinstance(key.value, str) or key.tag == _MERGE:
            continue
        if name in lines:
            what = f"the key {key.value!r} stands there twice, first in line {lines[name]}"
            raise HarnessError(what, where=f"{path}, line {line}", remedy="leave one of them out")
        lines[name] = line


def _read(path: Path, known: Collection[str]) -> dict[str, Any]:
    loaded = load_yaml(path, "the config")
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise HarnessError("the config must be a mapping of flags to values", where=str(path))
    values = {str(key): value for key, value in cast("dict[object, Any]", loaded).items()}
    for key in values:
        if key not in known:
            raise UnknownName(f"the config has an unknown key {key!r}", where=str(path), remedy=nearest(key, known))
    if "suites" in values:
        values["suites"] = _suites(values["suites"], path)
    if "schemes" in values:
        values["schemes"] = _schemes(values["schemes"], path)
    return values


def _suites(value: object, path: Path) -> dict[str, OwnSuite]:
    """Suites as name -> row, each with the place it was read from."""
    if not isinstance(value, dict):
        raise HarnessError("suites must be a mapping of names to lists of tasks", where=str(path))
    rows = cast("dict[object, Any]", value).items()
    return {str(name): OwnSuite.read(str(name), raw, f"{path}: suites.{name}") for name, raw in rows}


def _schemes(value: object, path: Path) -> dict[str, Row]:
    """Schemes as name -> row, each with the place it was read from."""
    if not isinstance(value, dict):
        raise HarnessError("schemes must be a mapping of names to rows", where=str(path))
    rows = cast("dict[object, Any]", value).items()
    return {str(name): Row.read(str(name), raw, f"{path}: schemes.{name}") for name, raw in rows}
