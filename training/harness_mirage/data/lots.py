"""Sampling by lot: each record draws a number from the seed and what it says, and the lowest numbers are taken.

So the sample does not depend on the order of the files, and no more records are held than are taken.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable
from hashlib import sha256

from harness_mirage.records import Record


def content(record: Record) -> bytes:
    """What a record says and shows, wherever it stands."""
    said = [record.id, [[turn.speaker, turn.text] for turn in record.turns], [each.path for each in record.pictures]]
    return sha256(json.dumps(said).encode()).digest()


def lot(seed: int, what: bytes) -> int:
    """The number that something draws."""
    return int.from_bytes(sha256(f"{seed}:".encode() + what).digest()[:16], "big")


class Lots:
    """The records of the lowest numbers, or all of them.

    Args:
        count: most that are taken; None for all.
        seed: of the lots.
        check: looks at a record once it would be taken, and raises where it cannot be.
    """

    def __init__(self, count: int | None, seed: int, check: Callable[[Record], object] | None = None) -> None:
        self._count = count
        self._seed = seed
        self._check = check
        self._heap: list[tuple[int, int, bytes, Record]] = []  # the highest number first
        self._offered = 0

    def offer(self, record: Record) -> None:
        """Raises what `check` raises; the record is not taken then."""
        what = content(record)
        number = lot(self._seed, what)
        self._offered += 1
        full = self._count is not None and len(self._heap) >= self._count
        if full and (not self._heap or -self._heap[0][0] <= number):
            return
        if self._check is not None:
            self._check(record)
        entry = (-number, self._offered, what, record)
        if full:
            heapq.heapreplace(self._heap, entry)
        else:
            heapq.heappush(self._heap, entry)

    def taken(self) -> list[tuple[bytes, Record]]:
        """What was taken, each with its content, by id and content; the lots are over then."""
        heap, self._heap = self._heap, []
        return sorted(((entry[2], entry[3]) for entry in heap), key=lambda each: (each[1].id, each[0]))
