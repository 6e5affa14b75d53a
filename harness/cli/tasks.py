"""`harness tasks`: the benchmarks, their splits and what each takes; and the suites they are run in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from harness.contracts import DataSource, Split, Task
from harness.data.places import data_folder, find_splits
from harness.errors import describe_error
from harness.settings import effective
from harness.text import one_line
from harness.types import Json

from .configured import suites_flag, with_suites
from .listing import Listing, list_command
from .suites import SUITES
from .table import indented, table

if TYPE_CHECKING:
    from harness.board.published import PublishedRow


def _splits(task: Task) -> Mapping[str, Split] | str:
    """The splits at default settings, or why they cannot be told."""
    try:
        found = find_splits(task, effective(task.settings, {}, owner=f"task {task.name}"), data_folder() / task.name)
        return {name: found[name] for name in found}
    except Exception as error:  # noqa: BLE001 - a plugin's code; a list shows the others all the same
        return f"unknown: {one_line(describe_error(error))}"


def _names(task: Task) -> str:
    splits = _splits(task)
    return splits if isinstance(splits, str) else " ".join(splits)


def _facts(task: Task) -> Mapping[str, Json]:
    splits = _splits(task)
    return {
        "kind": "task",
        "version": task.version,
        "splits": splits if isinstance(splits, str) else {name: _split(split) for name, split in splits.items()},
        "data": _data(task.source) if task.source else None,
    }


def _split(split: Split) -> dict[str, Json]:
    return {
        "n": split.n,
        "images": split.images,
        "judges": list(split.judges),
        "metrics": [metric.name for metric in split.metrics],
        "main": _main(split),
        "by": list(split.by),
        "selected": split.selected,
        "mini": split.data is not None,
        "parts": list(split.parts),
    }


def _main(split: Split) -> str:
    main = [metric.name for metric in split.metrics if metric.main] or [metric.name for metric in split.metrics[:1]]
    return main[0] if main else ""


def _data(source: DataSource) -> dict[str, Json]:
    return {
        "hub": source.hub,
        "url": source.url,
        "revision": _pinned(source),
        "unchecked": source.unchecked,
        "licence": source.licence,
        "size": source.size,
        "gated": source.gated,
    }


def _details(task: Task) -> str:
    splits = _splits(task)
    lines = [f"version {task.version}"]
    if task.source:
        lines.append(f"data {_source(task.source)}")
        lines.append(f"revision {_revision(task.source)}")
    if isinstance(splits, str):
        return indented("\n".join([*lines, f"splits {splits}", *_published(task)]))
    header = ["SPLIT", "SAMPLES", "IMAGES", "JUDGES", "METRICS", "BY", "SELECTED"]
    rows = [[name, *_cells(split)] for name, split in splits.items()]
    return indented("\n".join([*lines, "splits", indented(table(header, rows)), *_published(task)]))


def _source(source: DataSource) -> str:
    facts = [source.hub or source.url, source.size and f"size: {source.size}"]
    facts += [f"licence: {source.licence or 'not stated'}", "gated" if source.gated else ""]
    return "; ".join(fact for fact in facts if fact)


def _revision(source: DataSource) -> str:
    """The commit that the counts were checked with, or that there was none."""
    return f"not checked: {source.unchecked}" if source.unchecked else _pinned(source)


def _pinned(source: DataSource) -> str:
    return source.revision or (source.archive or ("", ""))[1]


def _published(task: Task) -> Iterator[str]:
    """What others published, source by source; a file that cannot be read hides nothing else."""
    from harness.board.published import published
    from harness.errors import BadData

    try:
        found = published(task)
    except BadData as error:
        yield f"published numbers: {one_line(str(error))}"
        return
    for source in dict.fromkeys(row.source for row in found):
        rows = [row for row in found if row.source == source]
        yield f"published, not measured here: {', '.join(filter(None, (source.title, source.place, source.url)))}"
        said = [f"judge: {source.judge}" if source.judge else "", source.note]
        metrics = list(dict.fromkeys(metric for row in rows for metric in row.values))
        cells = [
            [row.model, row.split, *(_printed(row.values.get(metric)) for metric in metrics), _marks(row)]
            for row in rows
        ]
        whole = table(["MODEL", "SPLIT", *metrics, "MIND"], cells)
        yield indented("\n".join([*filter(None, said), whole]))


def _printed(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _marks(row: PublishedRow) -> str:
    return "; ".join(filter(None, (*row.slips, row.note)))


def _cells(split: Split) -> list[str]:
    selected = f"pooled from {' + '.join(split.parts)}" if split.parts else "yes" if split.selected else "by name"
    metrics = ", ".join(metric.name for metric in split.metrics)
    n, images = ("?" if count is None else str(count) for count in (split.n, split.images))
    return [n, images, ", ".join(split.judges), metrics, ", ".join(split.by), selected]


command = list_command(
    Listing(
        kind="tasks",
        columns={"VERSION": lambda task: task.version, "SPLITS": _names},
        facts=_facts,
        details=_details,
        flag=lambda task: f"-T {task.name}.KEY=VALUE",
        host=with_suites,
        flags=suites_flag,
        below=SUITES,
    ),
    "List the tasks and suites, or show some in detail.",
)
