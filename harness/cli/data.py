"""`harness data`: where each task's data lies, how it gets there, and whether a copy is whole."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .data_fetch import fetch
from .groups import Group
from .options import plugin_options
from .place import Place, host_of, place_flags
from .stdout import show, tell

if TYPE_CHECKING:
    from harness.data.inspection import SplitCheck
    from harness.data.provenance import Differences, Provenance


@click.group(cls=Group, name="data")
def command() -> None:
    """List, fetch and verify the data of tasks."""


command.add_command(fetch)


@command.command("list")
@click.option("--json", "in_json", is_flag=True, help="Print JSON.")
@place_flags
@plugin_options
@click.pass_context
def list_(ctx: click.Context, in_json: bool, data: Path | None, task_settings: Mapping[str, Any]) -> None:
    """List each task's data: its size and licence, what is here, what is missing, and where it is expected."""
    from harness.data.places import data_folder

    from .data_list import as_json, as_text, held

    host = host_of(ctx, task_settings)
    found = [held(Place(task, data, task_settings)) for task, _ in host.offers("tasks")]
    show(as_json(found) if in_json else as_text(found, data_folder(data)), raw=in_json)


@command.command()
@click.argument("name", metavar="TASK[:SPLIT]")
@click.option("--json", "in_json", is_flag=True, help="Print JSON.")
@place_flags
@plugin_options
@click.pass_context
def verify(ctx: click.Context, name: str, in_json: bool, data: Path | None, task_settings: Mapping[str, Any]) -> int:
    """Read every record and open every image of a task's data, and say what is wrong.

    Exit 0 when all is well, 2 when a run could not start, 3 when it would end incomplete because of images that cannot
    be used or of a split without samples, or when files are not as they were fetched or a fetch of another revision
    did not end. Another size than the published one is a warning, and so are files that the fetch did not bring.
    """
    from harness.data.inspection import check_split, find_same_splits, find_strays, hash_record_files

    from .data_view import Verified, as_json, as_text

    host = host_of(ctx, task_settings)
    task_name, _, wanted = name.partition(":")
    place = Place(host.task(task_name), data, task_settings)
    splits = place.splits(wanted)
    packaged = all(split.data is not None for split in splits.values())  # then nothing of the root is read
    fetched, differences = _compared(place, packaged=packaged)
    checks: list[SplitCheck] = []
    for split_name, split in splits.items():
        tell(f"reading {task_name}:{split_name}")
        checks.append(check_split(place.task, split_name, split, place.root, place.settings))
    found = Verified(
        place=place,
        fetched=fetched,
        differences=differences,
        files={} if packaged else hash_record_files(place.root),
        checks=checks,
        twins=find_same_splits(checks),
        strays=find_strays(place.root, fetched, place.task.source) if place.task.source else [],
    )
    show(as_json(found) if in_json else as_text(found), raw=in_json)
    return found.exit_code


def _compared(place: Place, *, packaged: bool) -> tuple[Provenance, Differences]:
    """What was fetched into the root, and which of it is not as it came; nothing for packaged splits."""
    from harness.data.downloads import open_progress
    from harness.data.provenance import Differences, Provenance, read
    from harness.data.provenance import find_differences as differences

    if packaged:
        return Provenance(), Differences()
    fetched = read(place.root)
    shown = open_progress(sys.stderr)
    with shown.of("comparing with what was fetched", sum(size for size, _ in fetched.files.values())):
        return fetched, differences(place.root, fetched.files, shown.add)
