"""One run for a viewer: light rows, texts to search, images, and single items.

`describe_item` describes an item for the page: its prompt in order, the answer, each judge's verdict, time and tokens.

Only images named in the run's prompts can be requested, by hash. An image is read from its task's data root by the
rules of all data files (no path outside, limits of pixels and bytes), and shown only if its bytes are those that the
model saw.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final, Literal, cast

from harness.board.results import FILE as RESULTS
from harness.errors import BadImage, HarnessError
from harness.images import open_image
from harness.metrics import Metric
from harness.readers import DataFiles, open_files
from harness.runs.following import RunFollower, RunSplit
from harness.runs.items import Item
from harness.store.journal import stat_file
from harness.store.run_file import RunFile
from harness.text import one_line
from harness.types import ImageContent, Json

from .attacked import AttackedImages
from .item_letters import count_item, describe_metrics, list_metrics
from .overview import RunProgress, list_numbers
from .prompts import JudgePrompts

Mode = Literal["fold", "reveal", "redact"]

EXCERPT: Final = 90  #: characters of a question or an answer in the list
_MOST_SEARCHED: Final = 1 << 28  #: characters of searched text in memory; each search re-reads the rest
_NUMBERS: Final = ("part", "epoch", "outcome", "label", "category", "flags", "disagree", "counts")
_TEXTS: Final = ("reasoning", "message", "notes", "steps")  #: texts of an answer or failure, besides `text`

#: fault -> why an image is not shown, for readers
_WHY: Final = {
    "missing": "the file is gone",
    "outside_root": "its path leads out of the data folder",
    "too_many_pixels": "it has too many pixels",
    "too_many_bytes": "it is too large",
}


def describe_item(item: Item, part: RunSplit, *, redacted: bool) -> dict[str, Json]:
    """All of an item; if redacted, only names, labels, counts and numbers."""
    asked, response = item.answer.asked, item.answer.response or {}
    prompt = get_prompt(item)
    images = sum("image" in each for each in prompt)
    judges: list[dict[str, Json]] = []
    for said in item.said.values():
        axes = {name: value for name, value in said.axes.items() if not redacted or isinstance(value, int | float)}
        judge: dict[str, Json] = {
            "judge": said.judge,
            "primary": said.judge == part.words.primary,
            "state": said.state,
            "label": said.label,
            "own": said.own if said.own != said.label else "",
            "axes": axes,
            "models": list(said.models),
            "usage": dict(said.usage),
            "at": said.at,
        }
        judges.append(judge if redacted else {**judge, "reason": said.reason, "raw": list(said.raw)})
    found: dict[str, Json] = {
        "item": item.item,
        "part": part.title,
        "task": part.display,
        "sample": str(asked["id"]),
        "epoch": int(asked["epoch"]),
        "category": str(asked.get("category") or ""),
        "outcome": item.outcome,
        "label": item.label,
        "flags": list(item.flags),
        "reason": str(response.get("reason", "") if response else "no answer yet"),
        "seconds": get_seconds(response),
        "at": str(response.get("at", "")),
        "model": str(response.get("model", "")),
        "usage": response.get("usage", {}),
        "images": images,
        "texts": len(prompt) - images,
        "judges": judges,
    }
    if redacted:
        return found
    tags, groups, original = get_tags(item), get_breakdowns(part), get_original(item)
    return {
        **found,
        "prompt": [dict(each) for each in prompt],
        **({"original": [dict(each) for each in original]} if original else {}),
        **({"attack_notes": list(notes)} if (notes := get_attack_notes(item)) else {}),
        "answer": item.answer.text,
        "tags": tags,
        "folded": [name for name, value in tags.items() if is_text(value) and name not in groups],
        "target": asked.get("target"),
        **{name: response[name] for name in _TEXTS if response.get(name)},
    }


def get_prompt(item: Item) -> Sequence[Mapping[str, Any]]:
    """The sent texts and images, in order; empty if none."""
    prompt: Sequence[Mapping[str, Any]] = (item.answer.response or {}).get("prompt", ())
    return prompt


def get_original(item: Item) -> Sequence[Mapping[str, Any]]:
    """The texts and images as the task puts them, if the run's attack changed what was asked; else none."""
    attack: Mapping[str, Any] = (item.answer.response or {}).get("attack") or {}
    question: Sequence[Mapping[str, Any]] = attack.get("question", ())
    return question


def get_attack_notes(item: Item) -> Sequence[str]:
    """What the run's attack notes on an item."""
    attack: Mapping[str, Any] = (item.answer.response or {}).get("attack") or {}
    return [str(note) for note in attack.get("notes", ())]


def find_question(item: Item) -> str:
    """The beginning of what the user says in the prompt."""
    prompt = get_prompt(item)
    texts = [str(each["text"])[: 4 * EXCERPT] for each in prompt if "text" in each and each.get("role") == "user"]
    return " ".join(texts)[: 4 * EXCERPT]


def get_tags(item: Item) -> dict[str, Json]:
    """The tags of an item."""
    return dict(item.answer.asked.get("tags") or {})


def get_breakdowns(part: RunSplit) -> tuple[str, ...]:
    """The tags by which results break a split down; their values are names, as categories."""
    return () if part.words.split is None else part.words.split.by


def get_seconds(response: Mapping[str, Any]) -> float | None:
    """Duration of an answer; None if it is not stored, or not a time."""
    value: object = response.get("seconds")
    if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None
    return round(float(value), 3)


def is_text(value: object) -> bool:
    """Whether a tag or a score is a text of several words, which may be harmful, not a name."""
    return len(str(value).split()) > 1


def collect_searched(item: Item, *, redacted: bool) -> str:
    """The texts that a search looks through, case folded."""
    asked, response = item.answer.asked, item.answer.response or {}
    texts = [item.item, str(asked.get("category") or ""), item.outcome, item.label]
    if not redacted:
        texts += [item.answer.question, item.answer.text]
        texts += [str(response.get("reasoning", "")), str(response.get("message", ""))]
        for said in item.said.values():
            texts += [said.reason, *said.raw]
    return "\n".join(texts).casefold()


def encode_json(value: Json) -> bytes:
    """A value as browser-safe JSON: in ASCII, with null for NaN and infinity."""
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    except ValueError:
        return json.dumps(_drop_nan(value), separators=(",", ":")).encode()


def _drop_nan(value: Any) -> Json:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(name): _drop_nan(each) for name, each in cast("Mapping[object, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_drop_nan(each) for each in cast("Sequence[Any]", value)]
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingImage:
    """An image that cannot be shown, and why, in our words, never the data's."""

    why: str


class PromptImages:
    """The images in a run's prompts; filled as its items are read."""

    def __init__(self, file: RunFile) -> None:
        self._places: dict[tuple[str, str], tuple[Path | None, str]] = {}
        self._drawn: dict[tuple[str, str], Callable[[], tuple[Item, RunSplit]]] = {}  # what an attack drew
        self._attacked = AttackedImages(file)

    def add(self, item: Item, part: RunSplit, again: Callable[[], tuple[Item, RunSplit]]) -> None:
        """Record the places of one item's images. `again` gives both again, so that no item is kept."""
        original = get_original(item)
        for each in original or get_prompt(item):
            if each.get("image") and each.get("sha256"):
                self._places.setdefault((part.display, str(each["sha256"])), (part.root, str(each["image"])))
        for each in get_prompt(item) if original else ():
            if each.get("image") and each.get("sha256"):
                self._drawn.setdefault((part.display, str(each["sha256"])), again)

    def load(self, display: str, sha256: str) -> ImageContent | MissingImage:
        """The image with this hash in a prompt of the task. Raises KeyError if none has it."""
        if (display, sha256) not in self._places:
            drawn = self._attacked.draw(*self._drawn[display, sha256](), sha256)
            return MissingImage(why=one_line(drawn)) if isinstance(drawn, str) else drawn
        root, path = self._places[display, sha256]
        if root is None:
            return MissingImage(why="where its data lies is not known")
        if not root.is_dir():
            return MissingImage(why="no data here: --data says where")
        try:
            content = open_image(_open_root(root).image(path)).content
        except BadImage as fault:
            return MissingImage(why=_WHY.get(fault.reason, "it cannot be read"))
        if content is None or content.sha256 != sha256:
            return MissingImage(why="the file is another one now")
        return content


@lru_cache(maxsize=64)
def _open_root(root: Path) -> DataFiles:
    """The files under a root; the archives among them are opened once."""
    return open_files(root)


def draw_placeholder(image: MissingImage) -> bytes:
    """An SVG in an image's place."""
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 320 200" width="320" height="200">'
        '<rect width="320" height="200" fill="#8882"/><path d="M110 60h100v70H110z" fill="none" stroke="#888" '
        'stroke-width="4"/><path d="M110 130 210 60" stroke="#888" stroke-width="4"/><text x="160" y="165" '
        f'text-anchor="middle" font-family="sans-serif" font-size="15" fill="#888">{image.why}</text></svg>'
    ).encode()


class RowTable:
    """The light row of each item, by column, for lists and filters.

    Repeated texts (outcomes, labels, categories) are indexes into one list of texts, so that 20,000 rows are small to
    send and quick to filter. A log records the order of writes.

    Args:
        excerpts: whether rows hold the beginnings of the question and the answer.
    """

    def __init__(self, *, excerpts: bool) -> None:
        self.log: list[int] = []
        self._excerpts = excerpts
        self._texts = {"": 0}
        self._judges: dict[str, list[int]] = {}
        self._counted: dict[str, list[int]] = {}  # judge -> letters of `item_letters.py`
        self._ids: list[str] = []
        self._seconds: list[float | None] = []
        self._excerpt: list[str] = []
        self._question: list[str] = []
        self._columns: dict[str, list[int]] = {name: [] for name in _NUMBERS}

    def __len__(self) -> int:
        return len(self._ids)

    def put(self, number: int, item: Item, part: int, judges: Sequence[str], counts: tuple[str, Sequence[str]]) -> None:
        """Write the row of an item; a new row follows the last.

        Args:
            number: of the item.
            item: the item.
            part: number of its split.
            judges: of its split.
            counts: how it counts, and how under each judge, as `count_item` returns it.
        """
        for judge in judges:
            self._judges.setdefault(judge, [0] * len(self._ids))
            self._counted.setdefault(judge, [0] * len(self._ids))
        while len(self._ids) <= number:
            self._ids.append("")
            self._seconds.append(None)
            self._excerpt.append("")
            self._question.append("")
            for column in (*self._columns.values(), *self._judges.values(), *self._counted.values()):
                column.append(0)
        asked, response = item.answer.asked, item.answer.response or {}
        self._ids[number] = str(asked["id"])
        self._seconds[number] = get_seconds(response)
        if self._excerpts:
            self._excerpt[number] = one_line(item.answer.text[: 4 * EXCERPT], EXCERPT)
            self._question[number] = one_line(find_question(item), EXCERPT)
        values = {
            "part": part,
            "epoch": int(asked["epoch"]),
            "outcome": self._number_text(item.outcome),
            "label": self._number_text(item.label),
            "category": self._number_text(str(asked.get("category") or "")),
            "flags": self._number_text(", ".join(map(str, item.flags))),
            "disagree": int(item.disagree),
            "counts": self._number_text(counts[0]),
        }
        for name, value in values.items():
            self._columns[name][number] = value
        for judge, letters in zip(judges, counts[1], strict=True):
            said = item.said.get(judge)
            self._judges[judge][number] = self._number_text(said.label or said.state if said else "")
            self._counted[judge][number] = self._number_text(letters)
        self.log.append(number)

    def select_since(self, position: int, texts: int, most: int) -> dict[str, Json]:
        """Rows written since a position of the log, each once, and the texts after the first `texts`."""
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
            "question": [self._question[n] for n in chosen] if self._excerpts else [],
            "said": [[column[n] for n in chosen] for column in self._judges.values()],
            "counted": [[column[n] for n in chosen] for column in self._counted.values()],
            **columns,
        }

    def _number_text(self, text: str) -> int:
        return self._texts.setdefault(text, len(self._texts))


class RunIndex:
    """A run, finished or not. Thread-safe.

    Args:
        folder: the run folder. Raises HarnessError if it holds no run.
        name: its name on the page.
        mode: `redact` withholds all texts and images.
        data: current folder of the tasks' data; None for the run's own.
    """

    def __init__(self, folder: Path, name: str, mode: Mode, data: Path | None = None) -> None:
        self.folder = folder
        self.name = name
        self.mode: Mode = mode
        self._redacted = mode == "redact"
        self._data = data
        self._run = RunFollower(folder, data)
        self._lock = threading.Lock()
        self._stamp: object = None
        self._main: tuple[list[dict[str, Json]], str] = ([], "")
        self._clear()

    def __len__(self) -> int:
        return len(self._rows)

    def close(self) -> None:
        """Close the run's files."""
        with self._lock:
            self._run.close()

    def advance(self, most: int) -> int:
        """Read up to `most` new or changed items; return their number."""
        with self._lock:
            generation, found = self._run.generation, self._run.advance(most)
            if generation != self._run.generation:
                self._clear()
            for number, item in found:
                part = self._run.part(number)
                if part.title not in self._parts:
                    self._parts[part.title] = len(self._parts)
                    self._metrics.append(list_metrics(part))
                    self._described.append(describe_metrics(part))
                place, judges = self._parts[part.title], tuple(part.words.judges)
                counts = count_item(item, part, self._metrics[place], judges)
                self._rows.put(number, item, place, judges, counts)
                self._progress.put(number, item, part.title, part.words.primary)
                self._numbers[item.item] = number
                self._images.add(item, part, partial(self._read, number))
                text = collect_searched(item, redacted=self._redacted)
                self._texts += [None] * (number + 1 - len(self._texts))
                self._characters -= len(self._texts[number] or "")
                fits = self._characters + len(text) <= _MOST_SEARCHED
                self._texts[number] = text if fits else None
                self._characters += len(text) if fits else 0
            return len(found)

    def describe(self) -> dict[str, Json]:
        """The run's facts for the page; its cost is None if unknown."""
        file = self._run.stored.file
        try:
            cost = self._run.stored.folder.results.get("usage", {}).get("cost_usd")
        except (HarnessError, AttributeError):
            cost = None
        return {
            "name": self.name,
            "model": file.model_name,
            "started": file.started,
            "cost_usd": float(cost) if isinstance(cost, int | float) else None,
            "mode": self.mode,
            "splits": list(self._run.stored.splits),
        }

    def describe_overview(self) -> dict[str, Json]:
        """What stands above the samples.

        `numbers` are the main numbers of its splits, or `why` says why there are none; `progress` is None unless an
        invocation goes on.
        """
        stamp = stat_file(self.folder / RESULTS)
        if stamp != self._stamp:
            self._stamp, self._main = stamp, list_numbers(self.folder)
        numbers, why = self._main
        with self._lock:
            progress = self._progress.describe(self._run.stored.file.running, time.time())
        return {"numbers": [dict(each) for each in numbers], "why": why, "progress": progress}

    def select_since(self, generation: int, position: int, texts: int, most: int) -> dict[str, Json]:
        """The rows written since; all rows if the page's generation is outdated."""
        with self._lock:
            if generation != self._run.generation:
                position = texts = 0
            rows = self._rows.select_since(position, texts, most)
            return {
                "generation": self._run.generation,
                "parts": list(self._parts),
                "metrics": [list(each) for each in self._described],
                "settled": self._run.settled and rows["position"] == len(self._rows.log),
                "unreadable": self._run.unreadable,
                **rows,
            }

    def _read(self, number: int) -> tuple[Item, RunSplit]:
        with self._lock:
            return self._run.item(number), self._run.part(number)

    def get_item(self, number: int) -> dict[str, Json]:
        """An item by its number. Raises IndexError for none."""
        with self._lock:
            return describe_item(self._run.item(number), self._run.part(number), redacted=self._redacted)

    def find_item(self, item: str) -> dict[str, Json]:
        """An item by its name, with its number as `n`. Raises KeyError for none."""
        number = self._numbers[item]
        return {**self.get_item(number), "n": number}

    def build_prompt(self, item: str, judge: str) -> dict[str, Json]:
        """What a judge was sent about an item's answer. Raises KeyError for no such item, or if the run is redacted."""
        if self._redacted:
            raise KeyError(item)
        with self._lock:
            number = self._numbers[item]
            return self._prompts.build(self._run.item(number), self._run.part(number), judge)

    def search(self, query: str) -> list[int]:
        """Numbers of the items that contain all words of the query, in any case."""
        words = sorted(query.casefold().split(), key=len, reverse=True)  # the rarer first
        with self._lock:
            texts = list(self._texts)
        found = [n for n, text in enumerate(texts) if text is not None]
        for word in words:  # word by word: a generator per text would cost more than the search
            found = [n for n in found if word in (texts[n] or "")]
        for number, text in enumerate(texts):
            if text is None:
                with self._lock:
                    again = collect_searched(self._run.item(number), redacted=self._redacted)
                if all(word in again for word in words):
                    found.append(number)
        return sorted(found)

    def count_split(self, title: str) -> dict[str, Json]:
        """What of a split's items each of its numbers counts: see `counted`."""
        from .item_states import count_split

        with self._lock:
            numbers = dict(self._numbers)
        return count_split(self.folder, title, numbers)

    def load_image(self, display: str, sha256: str) -> ImageContent | MissingImage:
        """An image in a prompt. Raises KeyError for any other, and for all if the run is redacted."""
        if self._redacted:
            raise KeyError(sha256)
        return self._images.load(display, sha256)

    def _clear(self) -> None:
        self._rows = RowTable(excerpts=not self._redacted)
        self._parts: dict[str, int] = {}
        self._numbers: dict[str, int] = {}
        self._images = PromptImages(self._run.stored.file)
        self._metrics: list[tuple[Metric, ...]] = []  # of each part
        self._described: list[list[dict[str, Json]]] = []
        self._progress = RunProgress()
        self._prompts = JudgePrompts(self._run.stored.file, self._data)
        self._texts: list[str | None] = []
        self._characters = 0


def open_indexes(folders: Sequence[Path], mode: Mode, data: Path | None = None) -> list[RunIndex]:
    """The runs, with unique names. Raises HarnessError for a folder without a run."""
    names: list[str] = []
    for folder in folders:
        name = folder.resolve().name
        again = sum(each == name or each.startswith(f"{name} (") for each in names)
        names.append(f"{name} ({again + 1})" if again else name)
    return [RunIndex(folder, name, mode, data) for folder, name in zip(folders, names, strict=True)]
