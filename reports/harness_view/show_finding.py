"""One item of a run by its name, or by a part of it that no other has."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.errors import UnknownName
from harness.runs.following import Following
from harness.runs.items import Item
from harness.runs.parts import Part
from harness.store.run_file import RunFile
from harness.terminal import plain

_BATCH: Final = 500  #: items read at once
_NAMED: Final = 5  #: names that an error lists


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An item, with the split it is of and its run.json."""

    item: Item
    part: Part
    file: RunFile


def find(folder: Path, wanted: str, data: Path | None = None) -> Found:
    """The item that is called so: `task/split/id#epoch`, without its epoch, its id alone, or a part of its name.

    Args:
        folder: of the run.
        wanted: as above.
        data: the folder that holds each task's data now; None for where the run had it.

    Raises:
        HarnessError: there is no run.
        UnknownName: no item is called so, or several are; the remedy names some.
    """
    run = Following(folder, data)
    try:
        names: dict[int, Item] = {}
        for number, item in _read(run):
            names[number] = item
            if item.item == wanted:
                break
        number = _chosen(names, plain(wanted), folder)
        return Found(item=names[number], part=run.part(number), file=run.items.file)
    finally:
        run.close()


def _read(run: Following) -> Iterator[tuple[int, Item]]:
    while batch := run.advance(_BATCH):
        yield from batch


def _chosen(items: Mapping[int, Item], wanted: str, folder: Path) -> int:
    """The number of the one item that is meant."""
    names = {number: plain(item.item) for number, item in items.items()}
    for meant in (
        [number for number, name in names.items() if name == wanted],
        [number for number, name in names.items() if name.rpartition("#")[0] == wanted],
        [number for number, item in items.items() if plain(str(item.answer.asked["id"])) == wanted],
        [number for number, name in names.items() if wanted in name],
    ):
        if len(meant) == 1:
            return meant[0]
        if meant:
            told = _listed(sorted(names[number] for number in meant))
            raise UnknownName(f"{len(meant)} items are called {wanted!r}", where=str(folder), remedy=f"one of: {told}")
    close = difflib.get_close_matches(wanted, names.values(), n=_NAMED, cutoff=0.3)
    known = f"nearest: {_listed(close)}" if close else f"it has: {_listed(list(names.values()))}"
    raise UnknownName(
        f"the run has no item {wanted!r}", where=str(folder), remedy=known if names else "it has none yet"
    )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
