"""What `harness data list` finds of each task, and how it shows it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.data.built import find_built_set
from harness.data.provenance import Provenance, read
from harness.errors import BadData, HarnessError, MissingData, PluginError
from harness.text import one_line

from .table import table

if TYPE_CHECKING:
    from .place import Place

HERE: Final = "here"
MISSING: Final = "missing"
_SIZE: Final = 22  #: columns of a size at most, and of licence and state at least
_LEAST: Final = 24
_NO_TERMINAL: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What lies in a task's root.

    Attributes:
        place: the task and its root.
        splits: name -> `here`, `missing`, or what is wrong with it.
        fault: why the splits cannot be told; empty where they can.
        fetched: what `harness data fetch` put there.
    """

    place: Place
    splits: Mapping[str, str]
    fault: str
    fetched: Provenance


def held(place: Place) -> Held:
    """Read the first sample of each split, and the record of what was fetched."""
    splits: dict[str, str] = {}
    fault = ""
    try:
        for name in place.splits():
            splits[name] = _state(place, name)
    except PluginError as error:
        fault = error.said
    except HarnessError as error:
        fault = error.what
    except Exception as error:  # noqa: BLE001 - a plugin's code; the list shows the other tasks all the same
        fault = f"{type(error).__name__}: {error}"
    return Held(place=place, splits=splits, fault=fault, fetched=_fetched(place.root))


def _fetched(root: Path) -> Provenance:
    try:
        return read(root)
    except BadData:
        return Provenance()


def _state(place: Place, name: str) -> str:
    from harness.data.places import read_samples

    split = place.splits()[name]
    try:
        next(iter(read_samples(place.task, split.data or place.root, name, place.settings)), None)
    except MissingData:
        return MISSING
    except PluginError as error:
        return f"unknown: {error.said}"
    except HarnessError as error:
        return f"broken: {error.what}"
    except Exception as error:  # noqa: BLE001 - likewise
        return f"unknown: {type(error).__name__}: {error}"
    return HERE


def as_text(found: Sequence[Held], folder: Path, width: int = 0) -> str:
    """The list as a table that fits the terminal.

    Args:
        found: of each task.
        folder: the data folder.
        width: columns there are; 0 asks the terminal.
    """
    width = width or shutil.get_terminal_size((_NO_TERMINAL, 24)).columns
    rows = [(name, one_line(size, _SIZE), licence, here) for name, size, licence, here in map(_row, found)]
    name, size, licence, here = (max(map(len, column), default=0) for column in zip(*rows, strict=True))
    room = width - name - size - 3 * len("  ")
    here = min(here, max(_LEAST, room - min(licence, _LEAST)))
    licence = max(_LEAST, room - here)
    shown = [[task, bytes_, one_line(terms, licence), one_line(state, here)] for task, bytes_, terms, state in rows]
    lines = [f"data folder: {folder}", table(["TASK", "SIZE", "LICENCE", "HERE"], shown)]
    lines += [f"{each.place.task.name}: {each.place.root}" for each in found if _elsewhere(each, folder)]
    return "\n".join(lines)


def _elsewhere(each: Held, folder: Path) -> bool:
    return each.place.task.source is not None and each.place.root != folder / each.place.task.name


def _row(each: Held) -> tuple[str, str, str, str]:
    source = each.place.task.source
    if source is None:
        return each.place.task.name, "", "", "comes with the harness"
    if made := find_built_set(each.place.root):
        return each.place.task.name, "", made.licence or "not stated", f"{made.name}: {_here(each)}"
    gate = "gated; " if source.gated else ""
    return each.place.task.name, source.size or "?", gate + (source.licence or "not stated"), _here(each)


def _here(each: Held) -> str:
    """What can be read first, since it is the rarer."""
    if each.fault:
        return f"broken: {each.fault}"
    if not each.splits:
        return f"by name: {each.place.task.name}:NAME"
    groups = [
        " ".join(name for name, state in each.splits.items() if state == HERE),
        *(f"{name} {state}" for name, state in each.splits.items() if state not in (HERE, MISSING)),
        _missing(each.splits),
    ]
    return "; ".join(filter(None, groups)) or MISSING


def _missing(splits: Mapping[str, str]) -> str:
    names = [name for name, state in splits.items() if state == MISSING]
    return "" if not names else MISSING if len(names) == len(splits) else f"missing: {' '.join(names)}"


def as_json(found: Sequence[Held]) -> str:
    """The list with all that is known."""
    return json.dumps(list(map(_plain, found)), indent=2, ensure_ascii=False)


def _plain(each: Held) -> dict[str, Any]:
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
        "fetched": list(fetched_parts(each.fetched)),
    }


def fetched_parts(fetched: Provenance) -> Iterator[dict[str, Any]]:
    """Where the files came from, for JSON."""
    for part in fetched.parts:
        yield {
            "kind": part.kind,
            "name": part.name,
            "revision": part.revision or None,
            "fetched": part.fetched,
            "files": len(part.files),
            "bytes": sum(size for size, _ in part.files.values()),
        }
