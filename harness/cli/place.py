"""Where a task's data lies, as the flags of a command say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harness.data.built import find_built_set
from harness.data.places import data_folder, find_own_splits, find_splits
from harness.errors import UnknownName
from harness.settings import effective, nearest

from .configured import configured, with_suites
from .values import Pairs, names

if TYPE_CHECKING:
    from harness.contracts import Split, Task
    from harness.plugins.host import Host

_F = TypeVar("_F", bound=Callable[..., Any])


def place_flags(function: _F) -> _F:
    """Add `--data`, `-T` and `--config`; the first two arrive as `data` and `task_settings`."""
    folder = click.option(
        "--data",
        type=click.Path(path_type=Path, file_okay=False),
        envvar="HARNESS_DATA",
        help="Data folder: a task's data lies in DATA/<task>.",
    )
    settings = click.option(
        "-T",
        "task_settings",
        multiple=True,
        callback=Pairs(dotted=True),
        metavar="NAME.KEY=VALUE",
        help="Setting of a task; NAME.data is its folder.",
    )
    config = click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        is_eager=True,
        expose_value=False,
        callback=configured,
        help="YAML with the flags' names as keys; default ./harness.yaml over the user's.",
    )
    return folder(settings(config(function)))


class Place:
    """A task and where its data lies.

    Attributes:
        task: the task.
        root: its data root.
        settings: its settings, complete.
    """

    def __init__(self, task: Task, data: Path | None, given: Mapping[str, Any]) -> None:
        own = {key.partition(".")[2]: value for key, value in given.items() if key.startswith(f"{task.name}.")}
        root = own.get("data")
        declared = {setting.name for setting in task.settings}
        self.task = task
        self.root = Path(str(root)).expanduser() if root else data_folder(data) / task.name
        known = {key: value for key, value in own.items() if key in declared}
        self.settings = effective(task.settings, known, owner=f"task {task.name}")

    def splits(self, wanted: str = "") -> dict[str, Split]:
        """The split asked for, else all that are not packaged, else all; derived ones have no data of their own.

        A set that was built has those that its task would ask of it.
        """
        every = find_own_splits(self.task, self.settings, self.root)
        if wanted:
            found = find_splits(self.task, self.settings, self.root)  # an open set also answers names it does not list
            if wanted not in found or found[wanted].parts:
                what = f"task {self.task.name} has no split {wanted!r} with data"
                raise UnknownName(what, remedy=nearest(wanted, every))
            return {wanted: found[wanted]}
        made = find_built_set(self.root) is not None
        own = {name: split for name, split in every.items() if split.data is None and (split.selected or not made)}
        return own or every


def host_of(ctx: click.Context, given: Mapping[str, Any]) -> Host:
    """The host with the suites of the config. Raises UnknownName for a setting of no task and no rubric."""
    from harness.evaluation.splits import check_task_settings

    host = with_suites(ctx)
    check_task_settings(given)
    return host


def tasks_of(ctx: click.Context, given_names: str, given: Mapping[str, Any]) -> tuple[Host, list[Task]]:
    """The host, and each task once that is named by itself, by one of its splits or by a suite it is in.

    Raises:
        UnknownName: a name nobody offers.
    """
    from harness.evaluation.splits import find_suite

    host = host_of(ctx, given)
    found: dict[str, None] = {}
    for name in names(given_names):
        suite = find_suite(name)
        found.update(dict.fromkeys(each.partition(":")[0] for each in (suite.tasks if suite else (name,))))
    return host, [host.task(name) for name in found]
