"""Reads all answers of a task in one pass over its files: for many small folders, such as the shards of a run.

`harness.store.reader` finds each line by an index and reads it by its offset; that is what a large journal needs.
Here the lines of one folder are in memory together, each found by its first bytes: every line of an item begins with
the same bytes, up to the end of its key. So a line is parsed once and nothing is hashed to find it. What is read is
the same.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic_core import from_json

from harness.store.folder import STATES, TaskFolder
from harness.store.reader import TOGETHER, Answer, read_answers
from harness.store.records import line_hash
from harness.types import OUTCOMES

MOST_BYTES: Final = 64_000_000  #: of the files of one folder; a larger one is read by its indexes
_KEY: Final = b'"key":"'
_ANSWER: Final = b',"answer":"'


class _UnusualLineError(Exception):
    """A line was not written by a run, but edited."""


def read_task(task: TaskFolder, splits: Sequence[str], judges: Sequence[str]) -> Iterator[Answer]:
    """Each asked item of some splits of a task, with the verdicts of these judges, as `read_answers` gives it."""
    paths = [task.path / "responses.jsonl", *(task.verdicts_path(judge) for judge in judges)]
    sizes = [path.stat().st_size for path in paths if path.exists()]
    if sum(sizes) <= MOST_BYTES:
        try:
            responses = _read_responses(paths[0])
            verdicts = {judge: _read_verdicts(path) for judge, path in zip(judges, paths[1:], strict=True)}
            asked = list(_read_asked(task.path / "asked.jsonl", frozenset(splits)))
        except (_UnusualLineError, ValueError, KeyError, TypeError):
            pass  # an edited file, or text that is no UTF-8: read with more care below
        else:
            try:
                yield from _join(task.display, asked, responses, verdicts)
            except ValueError:  # a line was damaged behind its head: the careful reader names it
                for name in splits:
                    deque(read_answers(task, name, judges), maxlen=0)
                raise
            return
    for name in splits:
        yield from read_answers(task, name, judges)
    task.forget_indexes()


def _join(
    display: str,
    asked: Sequence[tuple[bytes, dict[str, Any]]],
    responses: Mapping[bytes, bytes],
    verdicts: Mapping[str, Mapping[bytes, bytes]],
) -> Iterator[Answer]:
    for place, item in asked:
        line = responses.get(place)
        if line is None:
            yield Answer(display=display, asked=item, response=None)
            continue
        response = parse_line(line)
        found: dict[str, Mapping[str, Any]] = {}
        if verdicts and response["outcome"] == "answered":
            where = place + _ANSWER + line_hash(response).encode()
            for judge, lines in verdicts.items():
                verdict = lines.get(where)
                if verdict is not None:
                    found[judge] = parse_line(verdict)
        yield Answer(display=display, asked=item, response=response, verdicts=found)


def parse_line(line: bytes) -> dict[str, Any]:
    """One line as an object, as `json.loads` gives it."""
    try:
        parsed: dict[str, Any] = from_json(line, cache_strings="keys")
    except ValueError:  # half of a pair of surrogates, which only Python's parser takes
        parsed = json.loads(line)
    return parsed


def _read_lines(path: Path) -> list[bytes]:
    """The whole lines of a file, without their ends; a missing file has none."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    del lines[-1]  # a torn end, or nothing
    return lines


# In a text each quote is escaped, so the first `"key":"` of a line is the field's name. Its value ends at the next
# quote. The loops below run a million times in a large merge, so each finds its places itself.


def _read_asked(path: Path, splits: frozenset[str]) -> Iterator[tuple[bytes, dict[str, Any]]]:
    for line in _read_lines(path):
        item = parse_line(line)
        if item["split"] in splits:
            start = line.find(_KEY)
            end = line.find(b'"', start + len(_KEY))
            if start < 0 or end < 0:
                raise _UnusualLineError
            yield line[: end + 1], item


def _read_responses(path: Path) -> dict[bytes, bytes]:
    """The current line of each item."""
    found: dict[bytes, bytes] = {}
    for line in _read_lines(path):
        start = line.find(_KEY)
        end = line.find(b'"', start + len(_KEY)) + 1
        if start < 0 or not line.startswith(_OUTCOMES, end):
            raise _UnusualLineError
        found[line[:end]] = line
    return found


def _read_verdicts(path: Path) -> dict[bytes, bytes]:
    """The current line of each item and answer."""
    found: dict[bytes, bytes] = {}
    for line in _read_lines(path):
        start = line.find(_KEY)
        end = line.find(b'"', start + len(_KEY)) + 1
        last = line.find(b'"', end + len(_ANSWER))
        if start < 0 or not (line.startswith(_ANSWER, end) and line.startswith(_STATES, last + 1)) or _TOGETHER in line:
            raise _UnusualLineError
        found[line[:last]] = line
    return found


_OUTCOMES: Final = tuple(f',"outcome":"{name}"'.encode() for name in OUTCOMES)
_STATES: Final = tuple(f',"state":"{name}"'.encode() for name in STATES)
_TOGETHER: Final = f'"{TOGETHER}":'.encode()
