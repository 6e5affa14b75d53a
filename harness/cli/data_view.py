"""The output of `harness data list` and `harness data verify`, as text and as JSON."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.data.built import find_built_set
from harness.data.places import format_task
from harness.text import one_line, plain

from .stdout import indented, table

if TYPE_CHECKING:
    from harness.data.inspection import SplitCheck
    from harness.data.provenance import Differences, Provenance

    from .data import Place

HERE: Final = "here"
MISSING: Final = "missing"
_SIZE: Final = 22  #: most columns of a size, and fewest of licence and state
_LEAST_SIZE: Final = 8  # columns of a size on a narrow terminal
_LEAST: Final = 24
_NO_TERMINAL: Final = 120
_SHOWN: Final = 5  #: bad images or files to name for each reason


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskData:
    """The data in a task's root.

    Attributes:
        place: the task and its root.
        splits: name -> `here`, `missing`, or its fault.
        fault: why the splits cannot be listed; empty if they can.
        fetched: the record of `harness data fetch`.
    """

    place: Place
    splits: Mapping[str, str]
    fault: str
    fetched: Provenance


def list_as_text(every: Sequence[TaskData], folder: Path, width: int = 0) -> str:
    """The list as a table that fits the terminal.

    Args:
        every: the data of each task.
        folder: the data folder.
        width: available columns; 0 asks the terminal.
    """
    width = width or shutil.get_terminal_size((_NO_TERMINAL, 24)).columns
    rows: list[tuple[str, str, str, str]] = []
    for each in every:
        task, source = each.place.task.name, each.place.task.source
        if source is None:
            rows.append((task, "", "", "comes with the harness"))
        elif built := find_built_set(each.place.root):
            rows.append((task, "", built.licence or "not stated", f"{built.name}: {_describe_state(each)}"))
        else:
            terms = ("gated; " if source.gated else "") + (source.licence or "not stated")
            rows.append((task, one_line(source.size or "?", _SIZE), terms, _describe_state(each)))
    name, size, licence, here = (max(map(len, column), default=0) for column in zip(*rows, strict=True))
    size = max(_LEAST_SIZE, min(size, width - name - 2 * _LEAST - 3 * len("  ")))
    room = width - name - size - 3 * len("  ")
    here = min(here, max(_LEAST, room - min(licence, _LEAST)))
    licence = max(_LEAST, room - here)
    cells = [
        [task, one_line(bytes_, size), one_line(terms, licence), one_line(state, here)]
        for task, bytes_, terms, state in rows
    ]
    lines = [f"data folder: {folder}", table(["TASK", "SIZE", "LICENCE", "HERE"], cells)]
    for each in every:
        task, root = each.place.task.name, each.place.root
        if each.place.task.source is not None and root != folder / task:
            lines.append(f"{task}: {root}")
    return "\n".join(lines)


def _describe_state(each: TaskData) -> str:
    """Describe a task's splits: readable ones first, which are rarer, then broken and missing ones."""
    if each.fault:
        return f"broken: {each.fault}"
    if not each.splits:
        return f"by name: {each.place.task.name}:NAME"
    here = " ".join(name for name, state in each.splits.items() if state == HERE)
    broken = [f"{name} {state}" for name, state in each.splits.items() if state not in (HERE, MISSING)]
    missing = " ".join(name for name, state in each.splits.items() if state == MISSING)
    if not here and not broken:
        return MISSING
    return "; ".join(filter(None, (here, *broken, f"missing: {missing}" if missing else "")))


def list_as_json(every: Sequence[TaskData]) -> str:
    """The list with all known facts."""
    return json.dumps([_to_json(each) for each in every], indent=2, ensure_ascii=False)


def _to_json(each: TaskData) -> dict[str, Any]:
    source = each.place.task.source
    return {
        "task": each.place.task.name,
        "root": str(each.place.root),
        "splits": dict(each.splits),
        "fault": each.fault or None,
        "source": (source.hub or (source.archive or ("",))[0] or source.url) if source else None,
        "url": source.url if source else None,
        "revision": (source.revision or (source.archive or ("", ""))[1] or None) if source else None,
        "unchecked": (source.unchecked or None) if source else None,
        "size": source.size if source else None,
        "licence": source.licence if source else None,
        "gated": source.gated if source else False,
        "by_hand": list(source.by_hand) if source else [],
        "fetched": _parts_to_json(each.fetched),
    }


def _parts_to_json(fetched: Provenance) -> list[dict[str, Any]]:
    """Where the files came from."""
    return [
        {
            "kind": part.kind,
            "name": part.name,
            "revision": part.revision or None,
            "fetched": part.fetched,
            "files": len(part.files),
            "bytes": sum(size for size, _ in part.files.values()),
        }
        for part in fetched.parts
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The findings about a task's data.

    Attributes:
        place: the task and its root.
        fetched: the record of `harness data fetch`.
        differences: fetched files that have changed.
        files: name -> size and sha256, for each file of records directly in the root.
        checks: the check of each split.
        twins: pairs of splits with the same content.
        strays: files in the hub's set that no fetch brought.
    """

    place: Place
    fetched: Provenance
    differences: Differences
    files: Mapping[str, tuple[int, str]]
    checks: Sequence[SplitCheck]
    twins: Sequence[tuple[str, str]]
    strays: Sequence[str]

    @property
    def built(self) -> bool:
        """Whether the root holds a built set, which was never published."""
        return any(part.kind == "build" for part in self.fetched.parts)

    @property
    def exit_code(self) -> int:
        """2 if a run could not start, 3 if the copy is incomplete, else 0."""
        if any(check.error for check in self.checks):
            return 2
        lost = self.differences.missing or self.differences.changed or self.fetched.coming
        return 0 if not lost and all(check.whole for check in self.checks) else 3


def verification_as_text(found: Verification) -> str:
    """The findings as text."""
    task = found.place.task.name
    lines = [f"{task}  {found.place.root}"]
    for part in found.fetched.parts:
        day = part.fetched[:10]
        built = f"built {day}".rstrip() + f" as {part.title}: a new set, not a copy of {task}"
        lines.append(f"  {built if part.kind == 'build' else f'fetched {day} from {part.title}'}")
    if found.files:
        rows = [[name, str(size), sha256] for name, (size, sha256) in found.files.items()]
        lines.append(indented(table(["FILE", "BYTES", "SHA256"], rows)))
    rows = list[list[str]]()
    for check in found.checks:
        published = ("none" if found.built else "?") if check.published is None else str(check.published)
        bad = sum(map(len, check.bad.values()))
        numbers = [str(number) for number in (check.clusters, check.images, bad)] if check.sha256 else ["", "", ""]
        rows.append([check.name, str(check.samples), published, *numbers, check.sha256 or "could not be read"])
    header = ["SPLIT", "SAMPLES", "PUBLISHED", "CLUSTERS", "IMAGES", "BAD", "SHA256 OF ALL REQUESTS"]
    lines.append(indented(table(header, rows)))
    for check in found.checks:
        if check.error:
            lines.append(f"{check.name}: {check.error.what}" + (f" ({check.error.where})" if check.error.where else ""))
        if check.warning:
            lines.append(f"warning: {check.warning}")
        for reason, faults in check.bad.items():
            images = "image" if len(faults) == 1 else "images"
            lines.append(f"{check.name}: {len(faults)} {images} {reason}\n{_render_some(faults)}")
    lines += [f"warning: {one} and {other} hold the same samples" for one, other in found.twins]
    lines += _list_changes(found)
    lines += map(indented, dict.fromkeys(c.error.remedy for c in found.checks if c.error and c.error.remedy))
    return plain("\n".join(lines))


def _list_changes(found: Verification) -> Iterator[str]:
    """Changes since the fetch, and mixed revisions, in the root."""
    lost, pending = found.differences, found.fetched.coming
    how = "built" if found.built else "fetched"
    for each in pending:
        before = [part.title for part in found.fetched.parts if part.kind == each.kind]
        mix = f": the folder may hold a mix of it and {before[-1]}" if before else ""
        yield f"the fetch of {each.title} did not end{mix}"
    if found.fetched.parts and not (lost.missing or lost.changed):
        yield f"all {len(found.fetched.files)} files are unchanged since they were {how}"
    for state, paths in (("missing", lost.missing), ("changed", lost.changed)):
        if paths:
            yield f"{len(paths)} files {state} since they were {how}\n{_render_some(paths)}"
    if (lost.missing or lost.changed or pending) and not found.built:
        task = found.place.task
        yield f"  harness data fetch {format_task(task.name, task.file)}  fetches these again"
    if found.strays:
        what = f"warning: {len(found.strays)} files here did not come with this fetch: of another revision, or put here"
        yield f"{what} by hand\n{_render_some(found.strays)}"


def _render_some(faults: Sequence[str]) -> str:
    lines = [one_line(fault) for fault in faults[:_SHOWN]]
    more = [f"… and {len(faults) - _SHOWN} more"] if len(faults) > _SHOWN else []
    return indented("\n".join([*lines, *more]))


def verification_as_json(found: Verification) -> str:
    """The findings as JSON."""
    splits = {
        check.name: {
            "samples": check.samples,
            "published": check.published,
            "clusters": check.clusters,
            "images": check.images,
            "bad": check.bad,
            "sha256": check.sha256,
            "error": str(check.error) if check.error else None,
            "warning": check.warning or None,
        }
        for check in found.checks
    }
    value = {
        "task": found.place.task.name,
        "root": str(found.place.root),
        "fetched": _parts_to_json(found.fetched),
        "unfinished": [note.title for note in found.fetched.coming],
        "missing": found.differences.missing,
        "changed": found.differences.changed,
        "files": {name: {"bytes": size, "sha256": sha256} for name, (size, sha256) in found.files.items()},
        "splits": splits,
        "strays": list(found.strays),
        "same": [list(pair) for pair in found.twins],
    }
    return json.dumps(value, indent=2, ensure_ascii=False)
