"""`harness data`: lists, fetches and verifies each task's data."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.data.built import find_built_set
from harness.data.places import data_folder, find_own_splits, find_root, find_splits, read_samples
from harness.errors import BadData, HarnessError, MissingData, PluginError, UnknownName
from harness.settings import effective, nearest

from .config import with_suites
from .flags import place_flags
from .options import Group, load_host, plugin_options, show_examples, split_names
from .stdout import show, tell

if TYPE_CHECKING:
    from harness.contracts import Split, Task
    from harness.data.inspection import SplitCheck
    from harness.plugins.host import Host

    from .data_view import TaskData


class Place:
    """A task and the place of its data.

    Attributes:
        task: the task.
        root: its data root.
        settings: its complete settings.
    """

    def __init__(self, task: Task, data: Path | None, given: Mapping[str, Any]) -> None:
        own = {key.partition(".")[2]: value for key, value in given.items() if key.startswith(f"{task.name}.")}
        root = own.get("data")
        declared = {setting.name for setting in task.settings}
        self.task = task
        self.root = Path(str(root)).expanduser() if root else find_root(task, data)
        known = {key: value for key, value in own.items() if key in declared}
        self.settings = effective(task.settings, known, owner=f"task {task.name}")

    def splits(self, name: str = "") -> dict[str, Split]:
        """The split of that name; without a name, all splits that are not packaged, else all. Leaves out derived ones.

        A built set has the splits that its task would ask.
        """
        every = find_own_splits(self.task, self.settings, self.root)
        if name:
            found = find_splits(
                self.task, self.settings, self.root
            )  # an open set also accepts names that it does not list
            if name not in found or found[name].parts:
                what = f"task {self.task.name} has no split {name!r} with data"
                raise UnknownName(what, remedy=nearest(name, every))
            return {name: found[name]}
        is_built = find_built_set(self.root) is not None
        own = {name: split for name, split in every.items() if split.data is None and (split.selected or not is_built)}
        return own or every


def load_names(ctx: click.Context, names: Sequence[str], *, one: str = "") -> list[str]:
    """The names of some tasks, those of task files read and offered.

    Raises HarnessError for a file that is wrong, and with `one` for several.
    """
    from harness.evaluation.splits import load_task_files

    load_host(ctx)
    found = load_task_files(names)
    if one and len(found) > 1:
        raise HarnessError(f"{', '.join(names)} names {len(found)} tasks", remedy=one)
    return found


def _load_host(ctx: click.Context, given: Mapping[str, Any]) -> Host:
    """The host with the config's suites. Raises UnknownName for a setting that no task or rubric has."""
    from harness.evaluation.splits import check_task_settings

    host = with_suites(ctx)
    check_task_settings(given)
    return host


@click.group(cls=Group, name="data", epilog=show_examples("harness data list", "harness data fetch mis"))
def command() -> None:
    """List, fetch and verify the data of tasks."""


@command.command("list", epilog=show_examples("harness data list", "harness data list --json --data /data/vlm"))
@click.option("--json", "in_json", is_flag=True, help="Print JSON.")
@place_flags
@plugin_options
@click.pass_context
def list_(ctx: click.Context, in_json: bool, data: Path | None, task_settings: Mapping[str, Any]) -> None:
    """List each task's data: size, licence, what is here, what is missing, and where it is expected."""
    from .data_view import list_as_json, list_as_text

    host = _load_host(ctx, task_settings)
    every = [_inspect(Place(task, data, task_settings)) for task, _ in host.offers("tasks")]
    show(list_as_json(every) if in_json else list_as_text(every, data_folder(data)), raw=in_json)


def _inspect(place: Place) -> TaskData:
    """Read the first sample of each split, and the record of the fetch."""
    from harness.data.provenance import Provenance, read

    from .data_view import HERE, MISSING, TaskData

    def describe(error: Exception) -> str:
        if isinstance(error, PluginError):
            return error.said
        return error.what if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"

    states: dict[str, str] = {}
    fault = ""
    try:
        for name, split in place.splits().items():
            try:
                next(iter(read_samples(place.task, split.data or place.root, name, place.settings)), None)
                states[name] = HERE
            except MissingData:
                states[name] = MISSING
            except Exception as error:  # noqa: BLE001 - a plugin's code; the list still shows the other splits
                ours = isinstance(error, HarnessError) and not isinstance(error, PluginError)
                states[name] = f"{'broken' if ours else 'unknown'}: {describe(error)}"
    except Exception as error:  # noqa: BLE001 - likewise
        fault = describe(error)
    try:
        fetched = read(place.root)
    except BadData:
        fetched = Provenance()
    return TaskData(place=place, splits=states, fault=fault, fetched=fetched)


@command.command(epilog=show_examples("harness data verify mis", "harness data verify mis:easy --json"))
@click.argument("name", metavar="TASK[:SPLIT]")
@click.option("--json", "in_json", is_flag=True, help="Print JSON.")
@place_flags
@plugin_options
@click.pass_context
def verify(ctx: click.Context, name: str, in_json: bool, data: Path | None, task_settings: Mapping[str, Any]) -> int:
    """Read every record and open every image of a task's data, and say what is wrong.

    Exit 0 if all is well. Exit 2 if a run could not start. Exit 3 if a run would end incomplete because of unusable
    images or a split without samples, if fetched files have changed, or if a fetch of another revision did not end. A
    size other than the published one, and files from outside the fetch, are warnings.
    """
    from harness.data.downloads import open_progress
    from harness.data.inspection import check_split, find_same_splits, find_strays, hash_record_files
    from harness.data.provenance import Differences, Provenance, find_differences, read

    from .data_view import Verification, verification_as_json, verification_as_text

    (name,) = names = load_names(ctx, [name], one="a folder holds several task files: name one of them")
    host = _load_host(ctx, task_settings)
    task_name, _, split_name = names[0].partition(":")
    place = Place(host.task(task_name), data, task_settings)
    splits = place.splits(split_name)
    packaged = all(split.data is not None for split in splits.values())  # then the root is not read
    fetched, differences = Provenance(), Differences()
    if not packaged:
        fetched, progress = read(place.root), open_progress(sys.stderr)
        with progress.of("comparing with the fetched files", sum(size for size, _ in fetched.files.values())):
            differences = find_differences(place.root, fetched.files, progress.add)
    source, beside = place.task.source, place.task.folder is not None  # other tasks' files may lie in that folder, too
    checks: list[SplitCheck] = []
    for split_name, split in splits.items():
        tell(f"reading {task_name}:{split_name}")
        checks.append(check_split(place.task, split_name, split, place.root, place.settings))
    done = Verification(
        place=place,
        fetched=fetched,
        differences=differences,
        files={} if packaged else hash_record_files(place.root, source.files if source and beside else ()),
        checks=checks,
        twins=find_same_splits(checks),
        strays=find_strays(place.root, fetched, source) if source else [],
    )
    show(verification_as_json(done) if in_json else verification_as_text(done), raw=in_json)
    return done.exit_code


@command.command(epilog=show_examples("harness data fetch mis", "harness data fetch mis,mssbench --data /data/vlm"))
@click.argument("names", metavar="TASK[,TASK]")
@click.option(
    "--revision",
    default="",
    metavar="COMMIT",
    help="Commit or branch to use instead of the pinned one: of the hub's set, or of the repository if there is none.",
)
@click.option("--prompts", is_flag=True, help="Fetch upstream's wording instead, at the pinned commit.")
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path, exists=True),
    help="Take the wording from your copy of upstream's repository.",
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
    """Fetch the published data of tasks or suites; with --prompts, upstream's wording.

    Files that are here and unchanged are kept, and an interrupted download continues. HF_ENDPOINT names a mirror of the
    hub, HF_TOKEN the key for gated sets.
    """
    from harness.evaluation.splits import find_suite

    if source and not prompts:
        raise HarnessError("--from needs --prompts", remedy="put your data into its folder: see harness data list")
    wanted = load_names(ctx, split_names(names))
    host = _load_host(ctx, task_settings)
    tasks: dict[str, None] = {}  # each once, even if named by itself, by a split and by a suite
    for name in wanted:
        suite = find_suite(name)
        tasks.update(dict.fromkeys(each.partition(":")[0] for each in (suite.tasks if suite else (name,))))
    places = [Place(host.task(name), data, task_settings) for name in tasks]
    if not prompts:
        return _for_each(places, lambda place: _fetch_data(place, revision))
    worded = [place for place in places if place.task.source and place.task.source.prompts]
    if worded and (others := [place.task.name for place in places if place not in worded]):
        tell(f"{', '.join(others)} needs no wording from upstream")
    return _for_each(worded or places[:1], lambda place: _fetch_wording(host, place, source))


def _for_each(places: list[Place], take: Callable[[Place], None]) -> int:
    """Handle one after the other; if one of several fails, the others continue."""
    failed = 0
    for place in places:
        try:
            take(place)
        except KeyboardInterrupt:
            tell("the fetched files are kept: run the same command again to continue")
            raise
        except HarnessError as error:
            if len(places) == 1:
                raise
            tell(f"{place.task.name}: {error}")
            failed += 1
    return 2 if failed else 0


def _fetch_data(place: Place, revision: str) -> None:
    from harness.data.downloads import format_bytes, open_progress
    from harness.data.fetching import fetch
    from harness.data.places import explain_fetch, is_fetchable, list_unpinned

    name, source = place.task.name, place.task.source
    if source is None:
        show(f"{name}: comes with the harness")
        return
    if place.task.folder is not None:
        show(f"{name}: its data lies beside its task file, in {place.root}")
        return
    if not is_fetchable(source):
        raise HarnessError(
            f"the data of {name} cannot be fetched", remedy=explain_fetch(place.task, source, place.root)
        )
    licence = f"licence: {source.licence or 'not stated'}"
    tell(f"{name}: size: {source.size or 'not published'}; {licence}")
    for each in [] if revision else list_unpinned(source):
        why = f" ({source.unchecked})" if source.unchecked else ""
        tell(f"note: {each} is not pinned: its newest commit is used and recorded{why}")
    fetched = fetch(name, source, place.root, open_progress(sys.stderr), revision=revision)
    size = format_bytes(sum(size for size, _ in fetched.files.values()))
    lines = [f"{name}: {len(fetched.files)} files, {size}, in {place.root}"]
    lines += [f"  from {part.title}" for part in fetched.parts]
    unnamed = [part.name for part in fetched.parts if part.kind != "url" and not part.revision]
    lines += [f"  {part} names no commit" for part in unnamed]
    lines += [f"  {licence}"]
    lines += [f"  put there by hand: {what}" for what in source.by_hand]
    if source.prompts:
        lines.append(f"  upstream's wording: harness data fetch {name} --prompts")
    show("\n".join(lines))


def _fetch_wording(host: Host, place: Place, source: Path | None) -> None:
    """Fetch upstream's wording; says whose wording the task and its rubrics now use.

    Raises BadData for a script without the wording.
    """
    from harness.data.upstream import Pin, copy, fetch

    task = place.task
    if task.source is None or task.source.prompts is None:
        raise HarnessError(f"task {task.name} needs no wording from upstream", remedy="leave --prompts out")
    repository, commit, files = task.source.prompts
    pin = Pin(task=task.name, repository=repository, commit=commit, files=dict.fromkeys(files, ""))
    fetched = copy(pin, place.root, source) if source else fetch(pin, place.root, tell=tell)
    show(f"{fetched.pin.repository} at {fetched.pin.commit}: {fetched.pin.folder(place.root)}")

    def show_fidelity(what: str, fidelity: str) -> None:
        show(f"  {what}: {fidelity}")
        if fidelity != "upstream":
            tell(f"warning: {what} differs from that commit; results will say {fidelity!r}")

    splits = place.splits()
    if any(setting.name == "prompts" for setting in task.settings):
        splits = Place(task, None, {f"{task.name}.data": place.root, f"{task.name}.prompts": "upstream"}).splits()
        for name, split in splits.items():
            if split.fidelity is not None:  # a split without words of the benchmark has none of another
                show_fidelity(f"input of {name}", split.fidelity)
    for name in dict.fromkeys(judge for split in splits.values() for judge in split.judges):
        judge = host.judge(name)
        if any(setting.name == "prompts" for setting in judge.settings):
            settings = effective(judge.settings, {"prompts": "upstream"}, owner=f"judge {name}")
            show_fidelity(f"rubric {name}", judge.open(settings, place.root).fidelity)
