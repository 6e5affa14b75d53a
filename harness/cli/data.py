"""`harness data`: where each task's data lies, upstream's wording, and whether a copy is whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.errors import HarnessError
from harness.settings import effective
from harness.terminal import plain

from .groups import Group
from .options import loaded, plugin_options
from .place import Place, place_flags, task_settings
from .table import table

if TYPE_CHECKING:
    from harness.data.inspection import SplitCheck
    from harness.data.upstream import Upstream
    from harness.plugins.host import Host


@click.group(cls=Group, name="data")
def command() -> None:
    """List, fetch and verify the data of tasks."""


@command.command("list")
@place_flags
@plugin_options
@click.pass_context
def list_(ctx: click.Context, data: Path | None, given: tuple[str, ...]) -> None:
    """List each task's data: what is here, its licence and size, and where it is expected."""
    from .data_view import row

    host = loaded(ctx)
    settings = task_settings(host, given)
    rows = [row(Place(task, data, settings)) for task, _ in host.offers("tasks")]
    click.echo(plain(table(["TASK", "HERE", "LICENCE", "SIZE", "WHERE"], rows)))


@command.command()
@click.argument("name", metavar="TASK")
@click.option("--prompts", is_flag=True, help="Fetch upstream's wording, at the pinned commit.")
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path, exists=True),
    help="Take it from a copy of upstream's repository that you have.",
)
@place_flags
@plugin_options
@click.pass_context
def fetch(
    ctx: click.Context, name: str, prompts: bool, source: Path | None, data: Path | None, given: tuple[str, ...]
) -> None:
    """Fetch what a task needs and is not ours to ship: with --prompts, upstream's wording."""
    host = loaded(ctx)
    place = Place(host.task(name), data, task_settings(host, given))
    if not prompts:
        raise _only_prompts(place)
    fetched = _fetched(place, source)
    click.echo(f"{fetched.pin.repository} at {fetched.pin.commit}: {fetched.pin.folder(place.root)}")
    for what, fidelity in _fidelities(host, place):
        click.echo(f"  {what}: {fidelity}")
        if fidelity != "upstream":
            click.echo(f"warning: {what} differs from that commit; results will say {fidelity!r}", err=True)


@command.command()
@click.argument("name", metavar="TASK[:SPLIT]")
@click.option("--json", "in_json", is_flag=True, help="Print JSON.")
@place_flags
@plugin_options
@click.pass_context
def verify(ctx: click.Context, name: str, in_json: bool, data: Path | None, given: tuple[str, ...]) -> int:
    """Read every record and open every image of a task's data, and say what is wrong.

    Exit 0 when all is well, 2 when a run could not start, 3 when it would end incomplete because of images that cannot
    be used. Another size than the published one is a warning.
    """
    from harness.data.inspection import check_split, record_files, same

    from .data_view import as_json, as_text

    host = loaded(ctx)
    task_name, _, wanted = name.partition(":")
    place = Place(host.task(task_name), data, task_settings(host, given))
    checks: list[SplitCheck] = []
    for split_name, split in place.splits(wanted).items():
        click.echo(f"reading {task_name}:{split_name}", err=True)
        checks.append(check_split(place.task, split_name, split, place.root, place.settings))
    show = as_json if in_json else as_text
    click.echo(show(place, record_files(place.root), checks, same(checks)))
    return 2 if any(check.error for check in checks) else 3 if any(check.bad for check in checks) else 0


def _only_prompts(place: Place) -> HarnessError:
    from harness.data.places import how_to_get

    name, source = place.task.name, place.task.source
    how = [how_to_get(source, place.root)] if source else []
    offered = [f"harness data fetch {name} --prompts  fetches upstream's wording"] if source and source.prompts else []
    return HarnessError(f"the data of {name} is not fetched by this command", remedy="\n  ".join([*how, *offered]))


def _fetched(place: Place, source: Path | None) -> Upstream:
    from harness.data.upstream import Pin, copy, fetch

    if place.task.source is None or place.task.source.prompts is None:
        raise HarnessError(f"task {place.task.name} needs no wording of upstream's")
    repository, commit, files = place.task.source.prompts
    pin = Pin(task=place.task.name, repository=repository, commit=commit, files=dict.fromkeys(files, ""))
    return copy(pin, place.root, source) if source else fetch(pin, place.root)


def _fidelities(host: Host, place: Place) -> Iterator[tuple[str, str]]:
    """Whose words the task and its rubrics would use now; raises BadData where a script does not hold them."""
    splits = place.splits()
    if any(setting.name == "prompts" for setting in place.task.settings):
        asked = Place(
            place.task, None, {f"{place.task.name}.data": place.root, f"{place.task.name}.prompts": "upstream"}
        )
        splits = asked.splits()
        yield from ((f"input of {name}", str(split.fidelity)) for name, split in splits.items())
    for name in dict.fromkeys(judge for split in splits.values() for judge in split.judges):
        judge = host.judge(name)
        if any(setting.name == "prompts" for setting in judge.settings):
            settings = effective(judge.settings, {"prompts": "upstream"}, owner=f"judge {name}")
            yield f"rubric {name}", judge.open(settings, place.root).fidelity
