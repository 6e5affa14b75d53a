"""Reads config files: `./harness.yaml` overrides the user's file; environment and flags override both.

Keys are flags' long names with `_`. `-M -J -T -S` have no long names: their keys are the mappings `model_settings
judge_settings task_settings strategy_settings`. `suites` maps names to lists of tasks or rows; a suite's name works
wherever a task's does. `schemes` maps names to rows; a scheme's name works wherever a provider's does. `prices` maps
models, SCHEME/NAME, to what their tokens cost.

Settings of a file belong to the model, judges, strategy or attack that the file names. Where a flag, the environment or
a later file names others, they are dropped, and a note says so; where the file names none, they stay.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from harness.contracts import Suite
from harness.errors import HarnessError, UnknownName
from harness.files import find_configs
from harness.plugins.host import Host
from harness.plugins.loader import Source
from harness.plugins.registry import NAME, SUITES
from harness.schemes import Row
from harness.settings import nearest, spread
from harness.yaml_files import load_yaml as load_yaml

#: settings -> the keys that name the things they belong to
OWNERS: Final[Mapping[str, tuple[str, ...]]] = {
    "model_settings": ("model", "models"),
    "judge_settings": ("judge",),
    "strategy_settings": ("strategy",),
    "attack_settings": ("attack",),
}
_FIELDS = ("tasks", "description", "task_settings", "judges", "mean")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSuite:
    """One row of `suites`.

    Attributes:
        suite: the suite.
        where: its file and key.
    """

    suite: Suite
    where: str

    @staticmethod
    def read(name: str, raw: object, where: str) -> OwnSuite:
        """Read a row of YAML: a list of tasks, a text with commas, or a mapping with `tasks`.

        Raises HarnessError for any other value, UnknownName for an unknown key.
        """
        given: dict[str, Any] = {"tasks": raw} if isinstance(raw, str | list) else _check_mapping(raw, where)
        for key in given:
            if key not in _FIELDS:
                raise UnknownName(f"a suite has no key {key!r}", where=where, remedy=nearest(key, _FIELDS))
        tasks = _split_names(given.get("tasks"), f"{where}.tasks")
        if not tasks:
            raise HarnessError("a suite needs tasks", where=where, remedy="list them, such as [mis, mssbench:chat]")
        judges = _check_mapping(given.get("judges") or {}, f"{where}.judges")
        for task, rubric in judges.items():
            if not isinstance(rubric, str):
                raise HarnessError("must be the name of a rubric", where=f"{where}.judges.{task}")
        return OwnSuite(
            suite=Suite(
                name=name,
                description=str(given.get("description") or f"of your own: {', '.join(tasks)}"),
                tasks=tasks,
                task_settings=spread(_check_mapping(given.get("task_settings") or {}, f"{where}.task_settings")),
                judges=judges,
                mean=_split_names(given.get("mean") or [], f"{where}.mean"),
            ),
            where=where,
        )

    def register(self, host: Host) -> None:
        """Offer the suite. Raises HarnessError if its name is not allowed, or a plugin's task or suite has it."""
        name = self.suite.name
        if not NAME.fullmatch(name):
            raise HarnessError(f"{name!r} cannot name a suite", where=self.where, remedy=f"use {NAME.pattern}")
        if name in {task.name for task, _ in host.offers("tasks")}:
            raise HarnessError(
                f"a plugin offers the task {name!r} already", where=self.where, remedy="give yours another name"
            )
        row = f"suites.{name}"  # the lists show it as a plugin
        file = self.where.removesuffix(f": {row}")
        source = Source(name=row, entry=row, distribution="config", version=file, value=file, load=lambda: None)
        try:
            host.offer_own(SUITES, self.suite, source)
        except HarnessError as error:
            error.where = self.where
            raise


def _split_names(raw: object, where: str) -> tuple[str, ...]:
    listed = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(listed, list):
        raise HarnessError("must be a list of tasks, such as [mis, mssbench:chat]", where=where)
    return tuple(text for each in cast("list[object]", listed) if (text := str(each).strip()))


def _check_mapping(raw: object, where: str) -> dict[str, Any]:
    if not isinstance(raw, Mapping):
        raise HarnessError("must be a mapping, or for a suite a list of tasks", where=where)
    return {str(key): value for key, value in cast("Mapping[object, Any]", raw).items()}


def load_config(
    explicit: Path | None, known: Callable[[], Collection[str]], *, tell: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """The merged config: an explicit file alone, else `./harness.yaml` over the user's; mappings merge key by key.

    `known` returns all keys. It is called only if there is a file, because it needs each flag of a run. `tell` receives
    a note for settings of the user's file that belong to something else than `./harness.yaml` names.

    Raises HarnessError for a file that is missing or not a mapping, UnknownName for an unknown key.
    """
    files = find_configs() if explicit is None else [explicit]
    merged: dict[str, Any] = {}
    for path in files:
        values = _read_file(path, known())
        for settings, owners in OWNERS.items():
            named, others = _list_owners(merged, owners), _list_owners(values, owners)
            if merged.get(settings) and named and others - named:
                del merged[settings]
                if tell is not None:
                    tell(drop_note(settings, named, others - named, where=str(files[0])))
        for key, value in values.items():
            below = merged.get(key)
            merged[key] = {**below, **value} if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def drop_note(settings: str, owners: Iterable[str], others: Iterable[str], *, where: str = "the config") -> str:
    """The note for settings that belong to `owners` and so are not used for `others`."""
    whose, whom = ", ".join(sorted(owners)), ", ".join(sorted(others))
    return f"note: {settings} of {where} belong to {whose}, so they are not used for {whom or 'none'}"


def _list_owners(values: Mapping[str, Any], keys: Iterable[str]) -> set[str]:
    """The names that a file gives under these keys; a file of models is named by its path."""
    found: set[str] = set()
    for key in keys:
        given = values.get(key)
        for each in cast("list[object]", given) if isinstance(given, list) else [given]:
            if isinstance(each, Mapping):
                found.add(str(cast("Mapping[object, object]", each).get("model", "")))
            elif each is not None:
                found.update(strip_task(text) for text in str(each).split(",") if text.strip())
    return found


def strip_task(name: str) -> str:
    """What is named, without the task that it is for: a judge `mis=openai/judge` is openai/judge."""
    task, equals, named = name.partition("=")
    return (named if equals and "/" not in task else name).strip()


def _read_file(path: Path, known: Collection[str]) -> dict[str, Any]:
    loaded = load_yaml(path, "the config")
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise HarnessError("the config must be a mapping of flags to values", where=str(path))
    from harness.prices.book import read_price  # not needed where there is no config

    values = {str(key): value for key, value in cast("dict[object, Any]", loaded).items()}
    for key in values:
        if key not in known:
            raise UnknownName(f"the config has an unknown key {key!r}", where=str(path), remedy=nearest(key, known))
    readers: tuple[tuple[str, str, Callable[[str, object, str], object]], ...] = (
        ("suites", "lists of tasks", OwnSuite.read),
        ("schemes", "rows", Row.read),
        ("prices", "prices", read_price),
    )
    for key, what, read_row in readers:
        if key in values:
            if not isinstance(values[key], dict):
                raise HarnessError(f"{key} must be a mapping of names to {what}", where=str(path))
            rows = cast("dict[object, Any]", values[key]).items()
            values[key] = {str(name): read_row(str(name), raw, f"{path}: {key}.{name}") for name, raw in rows}
    return values
