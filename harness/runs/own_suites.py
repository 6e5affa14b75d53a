"""Suites of the user's own: rows of a config file, offered beside those of plugins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from harness.contracts import Suite
from harness.errors import HarnessError, UnknownName
from harness.plugins.host import Host
from harness.plugins.loader import Source
from harness.plugins.offers import NAME, SUITES
from harness.settings import nearest, spread

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
            host.offer_own(SUITES, self.suite, _origin(self))
        except HarnessError as error:
            error.where = self.where
            raise


def _origin(own: OwnSuite) -> Source:
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
