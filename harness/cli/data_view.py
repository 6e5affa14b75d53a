"""What `harness data verify` found, and how it shows it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.text import one_line, plain

from .data_list import fetched_parts
from .table import indented, table

if TYPE_CHECKING:
    from harness.data.inspection import SplitCheck
    from harness.data.provenance import Differences, Part, PendingDownload, Provenance

    from .place import Place

_SHOWN = 5  # bad images or files named for each reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A task's data, looked through.

    Attributes:
        place: the task and its root.
        fetched: what `harness data fetch` put there.
        differences: what of it is not as it came.
        files: size and sha256 of each file of records in the root itself, by name.
        checks: of each split.
        twins: pairs of splits with the same content.
        strays: files among those of the hub's set that no fetch brought.
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
        """Whether the root holds a set that was built, of which nothing was published."""
        return any(part.kind == "build" for part in self.fetched.parts)

    @property
    def exit_code(self) -> int:
        """2 when a run could not start, 3 when the copy is not whole, else 0."""
        if any(check.error for check in self.checks):
            return 2
        lost = self.differences.missing or self.differences.changed or self.fetched.coming
        return 0 if not lost and all(check.whole for check in self.checks) else 3


def as_text(found: Verified) -> str:
    """What was verified, and what is wrong."""
    parts = [f"{found.place.task.name}  {found.place.root}"]
    parts += [f"  {_came(part, found.place.task.name)}" for part in found.fetched.parts]
    if found.files:
        rows = [[name, str(size), sha256] for name, (size, sha256) in found.files.items()]
        parts.append(indented(table(["FILE", "BYTES", "SHA256"], rows)))
    header = ["SPLIT", "SAMPLES", "PUBLISHED", "CLUSTERS", "IMAGES", "BAD", "SHA256 OF ALL REQUESTS"]
    parts.append(indented(table(header, [_cells(check, built=found.built) for check in found.checks])))
    problems = [line for check in found.checks for line in _problems(check)]
    problems += [f"warning: {one} and {other} hold the same samples" for one, other in found.twins]
    problems += _changes(found)
    remedies = dict.fromkeys(check.error.remedy for check in found.checks if check.error and check.error.remedy)
    return plain("\n".join([*parts, *problems, *map(indented, remedies)]))


def _came(part: Part, task: str) -> str:
    """Where files came from, and when."""
    if part.kind == "build":
        return f"built {part.fetched[:10]}".rstrip() + f" as {part.title}: a set of its own, no copy of {task}"
    return f"fetched {part.fetched[:10]} from {part.title}"


def _changes(found: Verified) -> Iterator[str]:
    """What of the root is not as a fetch left it, or is of two revisions."""
    lost, notes = found.differences, found.fetched.coming
    how = "built" if found.built else "fetched"
    yield from (_unfinished(found.fetched, note) for note in notes)
    if found.fetched.parts and not (lost.missing or lost.changed):
        yield f"all {len(found.fetched.files)} files are as they were {how}"
    for state, paths in (("missing", lost.missing), ("changed", lost.changed)):
        if paths:
            yield f"{len(paths)} files {state} since they were {how}\n{_named(paths)}"
    if (lost.missing or lost.changed or notes) and not found.built:
        yield f"  harness data fetch {found.place.task.name}  fetches these again"
    if found.strays:
        what = f"warning: {len(found.strays)} files here did not come with this fetch: of another revision, or put here"
        yield f"{what} by hand\n{_named(found.strays)}"


def _unfinished(fetched: Provenance, note: PendingDownload) -> str:
    before = [part.title for part in fetched.parts if part.kind == note.kind]
    mix = f": the folder may hold a mix of it and {before[-1]}" if before else ""
    return f"the fetch of {note.title} did not end{mix}"


def _named(faults: Sequence[str]) -> str:
    shown = [one_line(fault) for fault in faults[:_SHOWN]]
    more = [f"… and {len(faults) - _SHOWN} more"] if len(faults) > _SHOWN else []
    return indented("\n".join([*shown, *more]))


def _cells(check: SplitCheck, *, built: bool) -> list[str]:
    unknown = "none" if built else "?"
    published = unknown if check.published is None else str(check.published)
    bad = sum(map(len, check.bad.values()))
    numbers = [str(number) for number in (check.clusters, check.images, bad)] if check.sha256 else ["", "", ""]
    return [check.name, str(check.samples), published, *numbers, check.sha256 or "could not be read"]


def _problems(check: SplitCheck) -> Iterator[str]:
    if check.error:
        yield f"{check.name}: {check.error.what}" + (f" ({check.error.where})" if check.error.where else "")
    if check.warning:
        yield f"warning: {check.warning}"
    for reason, faults in check.bad.items():
        yield f"{check.name}: {len(faults)} image{'' if len(faults) == 1 else 's'} {reason}\n{_named(faults)}"


def as_json(found: Verified) -> str:
    """The same as JSON."""
    value = {
        "task": found.place.task.name,
        "root": str(found.place.root),
        "fetched": list(fetched_parts(found.fetched)),
        "unfinished": [note.title for note in found.fetched.coming],
        "missing": found.differences.missing,
        "changed": found.differences.changed,
        "files": {name: {"bytes": size, "sha256": sha256} for name, (size, sha256) in found.files.items()},
        "splits": {check.name: _plain(check) for check in found.checks},
        "strays": list(found.strays),
        "same": [list(pair) for pair in found.twins],
    }
    return json.dumps(value, indent=2, ensure_ascii=False)


def _plain(check: SplitCheck) -> dict[str, object]:
    return {
        "samples": check.samples,
        "published": check.published,
        "clusters": check.clusters,
        "images": check.images,
        "bad": check.bad,
        "sha256": check.sha256,
        "error": str(check.error) if check.error else None,
        "warning": check.warning or None,
    }
