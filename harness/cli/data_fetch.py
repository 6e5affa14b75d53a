"""`harness data fetch`: a task's data, or upstream's wording."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.errors import HarnessError
from harness.settings import effective

from .options import plugin_options
from .place import Place, place_flags, tasks_of
from .stdout import show, tell

if TYPE_CHECKING:
    from harness.contracts import Task
    from harness.data.provenance import Part, Provenance
    from harness.data.upstream import Upstream
    from harness.plugins.host import Host


@click.command()
@click.argument("names", metavar="TASK[,TASK]")
@click.option(
    "--revision",
    default="",
    metavar="COMMIT",
    help="Another commit than the pinned one, or a branch: of the hub's set, or of the repository where that is all.",
)
@click.option("--prompts", is_flag=True, help="Fetch upstream's wording instead, at the pinned commit.")
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path, exists=True),
    help="Take the wording from a copy of upstream's repository that you have.",
)
@place_flags
@plugin_options
@click.pass_context
def fetch(
    ctx: click.Context,
    names: str,
    revision: str,
    prompts: bool,
    source: Path | None,
    data: Path | None,
    task_settings: Mapping[str, Any],
) -> int:
    """Fetch the data of tasks or suites from where it is published; with --prompts, upstream's wording.

    What is here already and is what was published is kept, and a download that broke off is gone on with. HF_ENDPOINT
    names a mirror of the hub, HF_TOKEN the key for gated sets.
    """
    if source and not prompts:
        raise HarnessError("--from goes with --prompts", remedy="put data that you have into its folder: see data list")
    host, tasks = tasks_of(ctx, names, task_settings)
    places = [Place(task, data, task_settings) for task in tasks]
    if prompts:
        worded = [place for place in places if place.task.source and place.task.source.prompts]
        if worded and (others := [place.task.name for place in places if place not in worded]):
            tell(f"no wording of upstream's is needed for {', '.join(others)}")
        return _each(worded or places[:1], lambda place: _wording(host, place, source))
    return _each(places, lambda place: _data(place, revision))


def _each(places: list[Place], take: Callable[[Place], None]) -> int:
    """One after the other; of several, one that fails keeps none from coming."""
    failed = 0
    for place in places:
        try:
            take(place)
        except KeyboardInterrupt:
            tell("what has come is kept: run the same command again to go on")
            raise
        except HarnessError as error:
            if len(places) == 1:
                raise
            tell(f"{place.task.name}: {error}")
            failed += 1
    return 2 if failed else 0


def _data(place: Place, revision: str) -> None:
    from harness.data.downloads import open_progress
    from harness.data.fetching import fetch
    from harness.data.places import explain_fetch, is_fetchable, list_unpinned

    name, source = place.task.name, place.task.source
    if source is None:
        show(f"{name}: comes with the harness")
        return
    if not is_fetchable(source):
        raise HarnessError(f"the data of {name} cannot be fetched", remedy=explain_fetch(name, source, place.root))
    facts = f"size: {source.size or '?'}; licence: {source.licence or 'not stated'}"
    tell(f"{name}: {facts}")
    for each in [] if revision else list_unpinned(source):
        why = f" ({source.unchecked})" if source.unchecked else ""
        tell(f"note: {each} is not pinned: its newest commit is taken, and recorded{why}")
    fetched = fetch(name, source, place.root, open_progress(sys.stderr), revision=revision)
    show(_told(place.task, place.root, fetched))


def _told(task: Task, root: Path, fetched: Provenance) -> str:
    from harness.data.downloads import format_bytes

    assert task.source is not None
    size = format_bytes(sum(size for size, _ in fetched.files.values()))
    lines = [f"{task.name}: {len(fetched.files)} files, {size}, in {root}"]
    lines += [f"  from {part.title}" for part in fetched.parts]
    lines += [f"  {part.name} names no commit of its own" for part in fetched.parts if _anonymous(part)]
    lines += [f"  licence: {task.source.licence or 'not stated'}"]
    lines += [f"  to be put there by hand: {what}" for what in task.source.by_hand]
    if task.source.prompts:
        lines.append(f"  upstream's wording: harness data fetch {task.name} --prompts")
    return "\n".join(lines)


def _anonymous(part: Part) -> bool:
    return part.kind != "url" and not part.revision


def _wording(host: Host, place: Place, source: Path | None) -> None:
    fetched = _words(place, source)
    show(f"{fetched.pin.repository} at {fetched.pin.commit}: {fetched.pin.folder(place.root)}")
    for what, fidelity in _fidelities(host, place):
        show(f"  {what}: {fidelity}")
        if fidelity != "upstream":
            tell(f"warning: {what} differs from that commit; results will say {fidelity!r}")


def _words(place: Place, source: Path | None) -> Upstream:
    from harness.data.upstream import Pin, copy, fetch

    if place.task.source is None or place.task.source.prompts is None:
        raise HarnessError(f"task {place.task.name} needs no wording of upstream's")
    repository, commit, files = place.task.source.prompts
    pin = Pin(task=place.task.name, repository=repository, commit=commit, files=dict.fromkeys(files, ""))
    if source:
        return copy(pin, place.root, source)
    return fetch(pin, place.root, tell=tell)


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
