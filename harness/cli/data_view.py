"""How `harness data` shows what it found."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from harness.errors import HarnessError, MissingData
from harness.terminal import one_line, plain

from .table import indented, table

if TYPE_CHECKING:
    from harness.data.inspection import SplitCheck

    from .place import Place

_SHOWN = 5  # bad images named for each reason
Files = Mapping[str, tuple[int, str]]


def row(place: Place) -> list[str]:
    """One line of the list: task, what is here, licence, size, where."""
    source = place.task.source
    facts = (source.licence or "not stated", source.size or "?") if source else ("", "")
    return [place.task.name, _here(place), *facts, str(place.root) if source else "comes with the harness"]


def _here(place: Place) -> str:
    """The splits whose first sample can be read."""
    try:
        found = [name for name in place.splits() if _there(place, name)]
    except HarnessError as error:
        return one_line(f"broken: {error.what}", 60)
    except Exception as error:  # noqa: BLE001 - a plugin's code; the list shows the other tasks all the same
        return one_line(f"unknown: {type(error).__name__}: {error}", 60)
    return " ".join(found) or "missing"


def _there(place: Place, name: str) -> bool:
    from harness.data.places import samples

    split = place.splits()[name]
    try:
        next(samples(place.task, split.data or place.root, name, place.settings), None)
    except MissingData:
        return False
    return True


def as_text(place: Place, files: Files, checks: Sequence[SplitCheck], twins: Sequence[tuple[str, str]]) -> str:
    """What was verified, and what is wrong."""
    parts = [f"{place.task.name}  {place.root}"]
    if files:
        rows = [[name, str(size), sha256] for name, (size, sha256) in files.items()]
        parts.append(indented(table(["FILE", "BYTES", "SHA256"], rows)))
    header = ["SPLIT", "SAMPLES", "PUBLISHED", "CLUSTERS", "IMAGES", "BAD", "SHA256 OF ALL REQUESTS"]
    parts.append(indented(table(header, [_cells(check) for check in checks])))
    problems = [line for check in checks for line in _problems(check)]
    problems += [f"warning: {one} and {other} hold the same samples" for one, other in twins]
    remedies = dict.fromkeys(check.error.remedy for check in checks if check.error and check.error.remedy)
    return plain("\n".join([*parts, *problems, *map(indented, remedies)]))


def _cells(check: SplitCheck) -> list[str]:
    published = "?" if check.published is None else str(check.published)
    bad = sum(map(len, check.bad.values()))
    numbers = [str(number) for number in (check.clusters, check.images, bad)] if check.sha256 else ["", "", ""]
    return [check.name, str(check.samples), published, *numbers, check.sha256 or "could not be read"]


def _problems(check: SplitCheck) -> Iterator[str]:
    if check.error:
        yield f"{check.name}: {check.error.what}" + (f" ({check.error.where})" if check.error.where else "")
    if check.warning:
        yield f"warning: {check.warning}"
    for reason, faults in check.bad.items():
        shown = [one_line(fault) for fault in faults[:_SHOWN]]
        more = [f"… and {len(faults) - _SHOWN} more"] if len(faults) > _SHOWN else []
        yield f"{check.name}: {len(faults)} images {reason}\n{indented(chr(10).join([*shown, *more]))}"


def as_json(place: Place, files: Files, checks: Sequence[SplitCheck], twins: Sequence[tuple[str, str]]) -> str:
    """The same as JSON."""
    found = {
        "task": place.task.name,
        "root": str(place.root),
        "files": {name: {"bytes": size, "sha256": sha256} for name, (size, sha256) in files.items()},
        "splits": {check.name: _plain(check) for check in checks},
        "same": [list(pair) for pair in twins],
    }
    return json.dumps(found, indent=2, ensure_ascii=False)


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
