"""One run as a viewer holds it: light rows, texts to search, images, and its items one by one."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from harness.errors import HarnessError
from harness.runs.following import RunFollower
from harness.runs.items import Item
from harness.text import one_line
from harness.types import ImageContent, Json

from .details import MissingImage, PromptImages, collect_searched, describe_item, get_seconds

Mode = Literal["fold", "reveal", "redact"]

EXCERPT: Final = 90  #: characters of an answer in the list
_MOST_SEARCHED: Final = 1 << 28  #: characters of searched text in memory; what is beyond is read again for each search
_NUMBERS: Final = ("part", "epoch", "outcome", "label", "category", "flags", "disagree")


class RowTable:
    """The light row of each item, column by column: what a list shows and filters by.

    Texts that repeat (outcomes, labels, categories) are numbers into one list of texts, so that 20,000 rows are small
    to send and quick to filter. A log says which row was written when.

    Args:
        excerpts: whether the beginning of an answer is in its row.
    """

    def __init__(self, *, excerpts: bool) -> None:
        self.log: list[int] = []
        self._excerpts = excerpts
        self._texts = {"": 0}
        self._judges: dict[str, list[int]] = {}
        self._ids: list[str] = []
        self._seconds: list[float | None] = []
        self._excerpt: list[str] = []
        self._columns: dict[str, list[int]] = {name: [] for name in _NUMBERS}

    def __len__(self) -> int:
        return len(self._ids)

    def put(self, number: int, item: Item, part: int, judges: Sequence[str]) -> None:
        """Write the row of an item; a new one comes right behind the last."""
        for judge in judges:
            self._judges.setdefault(judge, [0] * len(self._ids))
        while len(self._ids) <= number:
            self._ids.append("")
            self._seconds.append(None)
            self._excerpt.append("")
            for column in (*self._columns.values(), *self._judges.values()):
                column.append(0)
        asked, response = item.answer.asked, item.answer.response or {}
        self._ids[number] = str(asked["id"])
        self._seconds[number] = get_seconds(response)
        if self._excerpts:
            self._excerpt[number] = one_line(item.answer.text[: 4 * EXCERPT], EXCERPT)
        values = {
            "part": part,
            "epoch": int(asked["epoch"]),
            "outcome": self._number_text(item.outcome),
            "label": self._number_text(item.label),
            "category": self._number_text(str(asked.get("category") or "")),
            "flags": self._number_text(", ".join(map(str, item.flags))),
            "disagree": int(item.disagree),
        }
        for name, value in values.items():
            self._columns[name][number] = value
        for judge in judges:
            said = item.said.get(judge)
            self._judges[judge][number] = self._number_text(said.label or said.state if said else "")
        self.log.append(number)

    def select_since(self, position: int, texts: int, most: int) -> dict[str, Json]:
        """Rows written since a position of the log, each once, and the texts that are new since `texts` were known."""
        end = min(len(self.log), position + most)
        chosen = sorted(set(self.log[position:end]))
        columns = {name: [column[n] for n in chosen] for name, column in self._columns.items()}
        return {
            "position": end,
            "texts": list(self._texts)[texts:],
            "judges": list(self._judges),
            "n": chosen,
            "id": [self._ids[n] for n in chosen],
            "seconds": [self._seconds[n] for n in chosen],
            "excerpt": [self._excerpt[n] for n in chosen] if self._excerpts else [],
            "said": [[column[n] for n in chosen] for column in self._judges.values()],
            **columns,
        }

    def _number_text(self, text: str) -> int:
        return self._texts.setdefault(text, len(self._texts))


class RunIndex:
    """A run, also while it goes on. Safe to use from threads.

    Args:
        folder: of the run. Raises HarnessError where there is none.
        name: what it is called on the page.
        mode: `redact` keeps all text and images back.
        data: the folder that holds each task's data now; None for where the run had it.
    """

    def __init__(self, folder: Path, name: str, mode: Mode, data: Path | None = None) -> None:
        self.name = name
        self.mode: Mode = mode
        self._redacted = mode == "redact"
        self._run = RunFollower(folder, data)
        self._lock = threading.Lock()
        self._clear()

    def __len__(self) -> int:
        return len(self._rows)

    def close(self) -> None:
        """Close the run's files."""
        with self._lock:
            self._run.close()

    def advance(self, most: int) -> int:
        """Read up to `most` items that are new or have changed; how many there were."""
        with self._lock:
            generation, found = self._run.generation, self._run.advance(most)
            if generation != self._run.generation:
                self._clear()
            for number, item in found:
                part = self._run.part(number)
                place = self._parts.setdefault(part.title, len(self._parts))
                self._rows.put(number, item, place, tuple(part.words.judges))
                self._numbers[item.item] = number
                self._images.add(item, part)
                self._keep_searched(number, collect_searched(item, redacted=self._redacted))
            return len(found)

    def describe(self) -> dict[str, Json]:
        """What a page says of the run; its cost is None where that is not known."""
        file = self._run.stored.file
        try:
            cost = self._run.stored.folder.results.get("usage", {}).get("cost_usd")
        except (HarnessError, AttributeError):
            cost = None
        return {
            "name": self.name,
            "model": file.model.ref,
            "started": file.started,
            "cost_usd": float(cost) if isinstance(cost, int | float) else None,
            "mode": self.mode,
        }

    def select_since(self, generation: int, position: int, texts: int, most: int) -> dict[str, Json]:
        """The rows written since; from the first one where the page's generation is over."""
        with self._lock:
            if generation != self._run.generation:
                position = texts = 0
            rows = self._rows.select_since(position, texts, most)
            return {
                "generation": self._run.generation,
                "parts": list(self._parts),
                "settled": self._run.settled and rows["position"] == len(self._rows.log),
                "unreadable": self._run.unreadable,
                **rows,
            }

    def get_item(self, number: int) -> dict[str, Json]:
        """An item by its number. Raises IndexError where there is none."""
        with self._lock:
            return describe_item(self._run.item(number), self._run.part(number), redacted=self._redacted)

    def find_item(self, item: str) -> dict[str, Json]:
        """An item by its name, with its number as `n`. Raises KeyError where there is none."""
        number = self._numbers[item]
        return {**self.get_item(number), "n": number}

    def search(self, query: str) -> list[int]:
        """Numbers of the items in which all words of the query occur, whatever their case."""
        words = sorted(query.casefold().split(), key=len, reverse=True)  # the rarer first
        with self._lock:
            texts = list(self._texts)
        found = [n for n, text in enumerate(texts) if text is not None]
        for word in words:  # word by word: a generator for each text would cost more than looking through it
            found = [n for n in found if word in (texts[n] or "")]
        for number, text in enumerate(texts):
            if text is None:
                with self._lock:
                    again = collect_searched(self._run.item(number), redacted=self._redacted)
                if all(word in again for word in words):
                    found.append(number)
        return sorted(found)

    def load_image(self, display: str, sha256: str) -> ImageContent | MissingImage:
        """An image that a prompt names. Raises KeyError for any other, and for all where the run is redacted."""
        if self._redacted:
            raise KeyError(sha256)
        return self._images.load(display, sha256)

    def _clear(self) -> None:
        self._rows = RowTable(excerpts=not self._redacted)
        self._parts: dict[str, int] = {}
        self._numbers: dict[str, int] = {}
        self._images = PromptImages()
        self._texts: list[str | None] = []
        self._characters = 0

    def _keep_searched(self, number: int, text: str) -> None:
        """Keep the searched text of an item while there is room for it."""
        self._texts += [None] * (number + 1 - len(self._texts))
        self._characters -= len(self._texts[number] or "")
        fits = self._characters + len(text) <= _MOST_SEARCHED
        self._texts[number] = text if fits else None
        self._characters += len(text) if fits else 0


def open_indexes(folders: Sequence[Path], mode: Mode, data: Path | None = None) -> list[RunIndex]:
    """The runs, each under a name of its own. Raises HarnessError for a folder that holds none."""
    names: list[str] = []
    for folder in folders:
        name = folder.resolve().name
        again = sum(each == name or each.startswith(f"{name} (") for each in names)
        names.append(f"{name} ({again + 1})" if again else name)
    return [RunIndex(folder, name, mode, data) for folder, name in zip(folders, names, strict=True)]
