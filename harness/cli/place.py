"""Where a task's data lies, as the flags of a command say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harness.data.places import data_folder, splits_of
from harness.errors import UnknownName
from harness.settings import effective, nearest

from .flags import pairs

if TYPE_CHECKING:
    from harness.contracts import Split, Task
    from harness.plugins.host import Host

_F = TypeVar("_F", bound=Callable[..., Any])


def place_flags(function: _F) -> _F:
    """Add `--data` and `-T`, which arrive as `data` and `given`."""
    folder = click.option(
        "--data",
        type=click.Path(path_type=Path, file_okay=False),
        envvar="HARNESS_DATA",
        help="Data folder: a task's data lies in DATA/<task>.",
    )
    settings = click.option(
        "-T", "given", multiple=True, metavar="NAME.KEY=VALUE", help="Setting of a task; NAME.data is its folder."
    )
    return folder(settings(function))


class Place:
    """A task and where its data lies.

    Attributes:
        task: the task.
        root: its data root.
        settings: its settings, complete.
    """

    def __init__(self, task: Task, data: Path | None, given: Mapping[str, Any]) -> None:
        own = {key.partition(".")[2]: value for key, value in given.items() if key.startswith(f"{task.name}.")}
        root = own.pop("data", None)
        self.task = task
        self.root = Path(root).expanduser() if root else data_folder(data) / task.name
        self.settings = effective(task.settings, own, owner=f"task {task.name}")

    def splits(self, wanted: str = "") -> dict[str, Split]:
        """The split asked for, else all that are not packaged, else all; derived ones have no data of their own."""
        every = splits_of(self.task, self.settings, self.root)
        if wanted and wanted not in every:
            raise UnknownName(f"task {self.task.name} has no split {wanted!r} with data", remedy=nearest(wanted, every))
        if wanted:
            return {wanted: every[wanted]}
        return {name: split for name, split in every.items() if split.data is None} or every


def task_settings(host: Host, given: Sequence[str]) -> dict[str, Any]:
    """`-T NAME.KEY=VALUE` texts by `NAME.KEY`; raises UnknownName for a task nobody offers."""
    found = pairs(given, "-T")
    for key in found:
        host.task(key.partition(".")[0])
    return found
