"""One run as a viewer holds it: rows, texts to search, images, and its items one by one. Safe to use from threads."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final, Literal

from harness.errors import HarnessError
from harness.runs.following import Following
from harness.types import ImageContent, Json

from .details import detail, haystack
from .pictures import Gone, Pictures
from .rows import Rows

Mode = Literal["fold", "reveal", "redact"]
_KEPT: Final = 1 << 28  # characters of searched text kept in memory; what is beyond is read anew for each search


class Index:
    """A run.

    Args:
        folder: of the run. Raises HarnessError where there is none.
        name: what it is called on the page.
        mode: `redact` keeps all text and images back.
        data: the folder that holds each task's data now; None for where the run had it.
    """

    def __init__(self, folder: Path, name: str, mode: Mode, data: Path | None = None) -> None:
        self.name = name
        self.mode: Mode = mode
        self._run = Following(folder, data)
        self._lock = threading.Lock()
        self._clear()

    def close(self) -> None:
        """Let the run's files go."""
        with self._lock:
            self._run.close()

    def advance(self, most: int) -> int:
        """Take in up to `most` items that are new or have changed; how many there were."""
        with self._lock:
            generation, found = self._run.generation, self._run.advance(most)
            if generation != self._run.generation:
                self._clear()
            for number, item in found:
                part = self._run.part(number)
                place = self._parts.setdefault(part.title, len(self._parts))
                self._rows.put(number, item, place, tuple(part.words.judges))
                self._numbers[item.item] = number
                self._pictures.add(item, part)
                self._keep(number, haystack(item, redacted=self._redacted))
            return len(found)

    def about(self) -> dict[str, Json]:
        """What a page says of the run."""
        file = self._run.items.file
        return {
            "name": self.name,
            "model": file.model.ref,
            "started": file.started,
            "cost_usd": _cost(self._run),
            "mode": self.mode,
        }

    def since(self, generation: int, position: int, texts: int, most: int) -> dict[str, Json]:
        """The rows written since; from the first one where the page's generation is over."""
        with self._lock:
            if generation != self._run.generation:
                position = texts = 0
            rows = self._rows.since(position, texts, most)
            return {
                "generation": self._run.generation,
                "parts": list(self._parts),
                "settled": self._run.settled and rows["position"] == len(self._rows.log),
                "unreadable": self._run.unreadable,
                **rows,
            }

    def __len__(self) -> int:
        return len(self._rows)

    def item(self, number: int) -> dict[str, Json]:
        """An item by its number. Raises IndexError where there is none."""
        with self._lock:
            return detail(self._run.item(number), self._run.part(number), redacted=self._redacted)

    def named(self, item: str) -> dict[str, Json]:
        """An item by its name, with its number as `n`. Raises KeyError where there is none."""
        number = self._numbers[item]
        return {**self.item(number), "n": number}

    def search(self, query: str) -> list[int]:
        """Numbers of the items in which all words of the query occur, whatever their case."""
        words = sorted(query.casefold().split(), key=len, reverse=True)  # the rarer first
        with self._lock:
            texts = list(self._texts)
        found = [n for n, text in enumerate(texts) if text is not None]
        for word in words:  # word by word: a generator for each text would cost more than looking through it
            found = [n for n in found if word in (texts[n] or "")]
        return sorted([*found, *(n for n, text in enumerate(texts) if text is None and _has(self._again(n), words))])

    def image(self, display: str, sha256: str) -> ImageContent | Gone:
        """An image that a prompt names. Raises KeyError for any other, and for all where the run is redacted."""
        if self._redacted:
            raise KeyError(sha256)
        return self._pictures.get(display, sha256)

    @property
    def _redacted(self) -> bool:
        return self.mode == "redact"

    def _clear(self) -> None:
        self._rows = Rows(excerpts=not self._redacted)
        self._parts: dict[str, int] = {}
        self._numbers: dict[str, int] = {}
        self._pictures = Pictures()
        self._texts: list[str | None] = []
        self._held = 0

    def _keep(self, number: int, text: str) -> None:
        self._texts += [None] * (number + 1 - len(self._texts))
        self._held -= len(self._texts[number] or "")
        fits = self._held + len(text) <= _KEPT
        self._texts[number] = text if fits else None
        self._held += len(text) if fits else 0

    def _again(self, number: int) -> str:
        with self._lock:
            return haystack(self._run.item(number), redacted=self._redacted)


def _has(text: str, words: list[str]) -> bool:
    return all(word in text for word in words)


def _cost(run: Following) -> float | None:
    """What the run cost in US dollars; None where nobody knows."""
    try:
        found = run.items.folder.results.get("usage", {}).get("cost_usd")
    except (HarnessError, AttributeError):
        return None
    return float(found) if isinstance(found, int | float) else None


def open_indexes(folders: tuple[Path, ...], mode: Mode, data: Path | None = None) -> list[Index]:
    """The runs under names of their own. Raises HarnessError for a folder that holds none."""
    names: list[str] = []
    for folder in folders:
        name = folder.resolve().name
        again = sum(each == name or each.startswith(f"{name} (") for each in names)
        names.append(f"{name} ({again + 1})" if again else name)
    return [Index(folder, name, mode, data) for folder, name in zip(folders, names, strict=True)]
