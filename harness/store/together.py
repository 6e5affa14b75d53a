"""Verdicts of a rubric that scores a split at once: they count only for the answers they were given on, all of them.

Such a rubric may make one number of several answers. So each of its lines carries the digest of all that was scored
with it, and where the answers that stand now have another one, the line is history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

from harness.keys import digest
from harness.store.journal import Journal
from harness.store.records import stored_hash

TOGETHER = "together"  #: field of a verdict line: the digest of all that was scored with it
Scored = tuple[str, str, str]  #: sample id, key of what was asked, hash of the answer


def together(answers: Iterable[Scored]) -> str:
    """The digest of the answers of one epoch of a split, in whatever order they come."""
    return digest([list(answer) for answer in sorted(answers)])


def answered(asked: Iterable[Mapping[str, Any]], responses: Journal) -> dict[int, list[Scored]]:
    """Epoch -> the answers that stand: what failed, was blocked or is empty is never scored.

    Args:
        asked: items of one split.
        responses: what came back.
    """
    found: dict[int, list[Scored]] = {}
    for each in asked:
        stored = responses.find(each["split"], each["id"], each["epoch"], each["key"])
        if stored is not None and stored[1] == "answered":
            answer = stored_hash(responses.read(stored[0]))
            found.setdefault(each["epoch"], []).append((each["id"], each["key"], answer))
    return found


class Present:
    """The answers that stand now in one split, read only where a verdict was given on all of them.

    Args:
        asked: gives the items that were asked of the split.
        responses: what came back.
    """

    def __init__(self, asked: Callable[[], Iterable[Mapping[str, Any]]], responses: Journal) -> None:
        self._asked = asked
        self._responses = responses

    def counts(self, line: Mapping[str, Any]) -> bool:
        """Whether a verdict line counts, as far as other answers than its own are concerned."""
        return TOGETHER not in line or line[TOGETHER] == self._digests.get(line["epoch"])

    @cached_property
    def _digests(self) -> dict[int, str]:
        return {epoch: together(found) for epoch, found in answered(self._asked(), self._responses).items()}
