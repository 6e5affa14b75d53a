"""Where the shards of a run lie: `FOLDER/.shards/i-of-n/`, each an ordinary run folder.

The folder is hidden, so a pattern such as `runs/*` finds the run and not its shards. `harness.runs.merging` makes one
run of them.
"""

from __future__ import annotations

import json
import os
import re
from array import array
from pathlib import Path
from typing import IO, Final

from harness.errors import HarnessError

SHARDS: Final = ".shards"
_BLOCK: Final = 1 << 16
_KEY: Final = b',"key":"'
_NAME: Final = re.compile(r"(0|[1-9][0-9]*)-of-([1-9][0-9]*)", re.ASCII)


def shard_folder(folder: Path, shard: tuple[int, int]) -> Path:
    """The folder of one shard of the run in `folder`."""
    return folder / SHARDS / f"{shard[0]}-of-{shard[1]}"


def find_base(folder: Path) -> Path:
    """The run folder that a shard's folder belongs to; a folder that is no shard's stays."""
    return folder.parent.parent if folder.parent.name == SHARDS and is_shard_name(folder.name) else folder


def is_shard_name(name: str) -> bool:
    """Whether a folder's name is that of a shard, such as `0-of-2`."""
    return _NAME.fullmatch(name) is not None


def list_shards(folder: Path) -> dict[tuple[int, int], Path]:
    """The folders of the shards that have begun, in order: (number, of how many) -> path."""
    found: dict[tuple[int, int], Path] = {}
    for path in (folder / SHARDS).glob("*-of-*"):
        match = _NAME.fullmatch(path.name)
        if match is not None and (path / "run.json").is_file():
            found[int(match[1]), int(match[2])] = path
    return dict(sorted(found.items(), key=lambda each: (each[0][1], each[0][0])))


def check_count(folder: Path, count: int) -> None:
    """Raise HarnessError if the folder holds shards of another number."""
    others = sorted({of for _, of in list_shards(folder)} - {count})
    if others:
        raise HarnessError(
            f"this folder holds shards of {others[0]}, not of {count}",
            where=str(folder / SHARDS),
            remedy=f"continue with --shard i/{others[0]}, give another --output, or move the folder {SHARDS} away",
        )


def measure_whole_lines(path: Path) -> int:
    """The bytes of a file's whole lines; 0 for a missing file. A torn end does not count."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return 0
    with file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - _BLOCK)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            end = start
    return 0


def hash_items(path: Path) -> array[int]:
    """A hash of the item of each line of a journal or a listing, in order; none for a missing file.

    Every line begins with its item, up to the key, whose spelling no text inside can have: its quotes are escaped. A
    torn end does not count.
    """
    found = array("q")
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return found
    with file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            end = line.find(_KEY)
            found.append(hash(line[:end]) if end >= 0 else hash_item(line))
    return found


def hash_item(line: bytes) -> int:
    """The hash of the item of one line, also of one that somebody edited; see `hash_items`."""
    end = line.find(_KEY)
    if end >= 0:
        return hash(line[:end])
    try:
        item = json.loads(line)
        head = json.dumps({name: item[name] for name in ("id", "split", "epoch")}, separators=(",", ":"))
        return hash(head[:-1].encode())
    except (ValueError, TypeError, KeyError):
        return hash(line)  # damaged, which who reads it says


def append_part(target: IO[bytes], path: Path, start: int, end: int) -> None:
    """Append a part of a file to another, without its bytes passing through this process where the system can."""
    with path.open("rb") as source:
        while start < end:
            target.flush()
            done = os.sendfile(target.fileno(), source.fileno(), start, end - start)
            if not done:
                raise HarnessError("this file became shorter while it was read", where=str(path))
            start += done
        target.seek(0, os.SEEK_END)
