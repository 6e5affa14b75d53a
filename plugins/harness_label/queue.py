"""The answers that annotators label, in the order that they get them; see `harness.review.queue`.

Each annotator has another mix of the cells, and within a cell the order of the draw. So a label counts for the
corrected number as soon as it is given, see `harness.stats.draw.DrawnFrame`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from harness import HarnessError
from harness.review import BLOCK, Entry, ImageState, Place, ReviewProgress, ReviewQueue, ReviewSession, ShownImages
from harness.runs.labelling import LabelItem
from harness.stats.draw import UNSCORED

from .log import FORMAT, Label

_OTHER = "the file holds another picture than the model was shown"


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitCounts:
    """An annotator's progress on one split of one run."""

    run: str
    title: str
    done: int
    skipped: int
    open: int


def _stamp(folder: Path) -> tuple[int, int] | None:
    """What tells a folder from another of its name; None where there is none."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


class LabelQueue(ReviewQueue[Label]):
    """Answers to label.

    Args:
        items: in the order of labelling, in which annotators get them block by block. An answer that comes twice is
            there once.

    Raises:
        HarnessError: there are none.
    """

    noun = "answer"
    who = "annotator"

    def __init__(self, items: Iterable[LabelItem]) -> None:
        self.items: dict[str, LabelItem] = {}
        self.images = ShownImages()
        places: dict[str, Place] = {}
        known: set[Place] = set()
        for item in items:
            place = Place(folder=Path(item.group), key=item.item)
            if place in known:
                continue
            known.add(place)
            key = f"{item.run}/{item.item}"
            while key in places:  # two runs in folders of one name
                key += "'"
            places[key], self.items[key] = place, item
        if not places:
            raise HarnessError(
                "there is no answer to label",
                remedy="every answer was blocked, empty or an error: label a run that has answers",
            )
        super().__init__(FORMAT, places, [place.folder for place in places.values()])
        self._stamps = {folder: _stamp(folder) for folder in self.folders}
        self._by_cell: dict[str, list[str]] = {}

    def order(self, reviewer: str) -> list[str]:
        """The keys in one annotator's order; within a block each cell's answers are in the order of the draw."""
        if reviewer not in self._by_cell:
            mixed, found = super().order(reviewer), list[str]()
            place = {key: number for number, key in enumerate(self.items)}
            for start in range(0, len(mixed), BLOCK):
                block = mixed[start : start + BLOCK]
                cells: dict[tuple[str, str, str], list[str]] = {}
                for key in sorted(block, key=place.__getitem__, reverse=True):
                    cells.setdefault(self._find_cell(key), []).append(key)
                found += [cells[self._find_cell(key)].pop() for key in block]
            self._by_cell[reviewer] = found
        return self._by_cell[reviewer]

    def _find_cell(self, key: str) -> tuple[str, str, str]:
        item = self.items[key]
        return item.group, item.title, UNSCORED if item.machine is None else item.machine.label

    def check_in_place(self) -> None:
        """Raise HarnessError if a run was moved or made anew since: no label belongs into another folder's files."""
        for folder, stamp in self._stamps.items():
            now = _stamp(folder)
            if stamp is None:  # it is made with its first line
                self._stamps[folder] = now
            elif now != stamp:
                raise HarnessError(
                    "the run was moved or replaced after this page was started, so nothing was saved",
                    where=str(folder),
                    remedy="end this page, and start it again on the run; labels that were saved are in its own folder",
                )

    def session(self, annotator: str) -> LabelSession:
        """The session of one annotator. Raises HarnessError for a bad name."""
        return LabelSession(self, annotator)

    def find_shown_hash(self, key: str) -> str:
        """The hash of the answer's text."""
        return self.items[key].answer_hash

    def find_category(self, key: str) -> str:
        """The sample's category."""
        return self.items[key].category

    def open_images(self, key: str) -> tuple[ImageState, ...]:
        """The images of an item, as the model was shown them; one that has changed or is gone says so."""
        item = self.items[key]
        hashes = item.image_hashes or ("",) * len(item.images)
        self.images.forget_changed(key, item.images)
        return tuple(
            ImageState(why=_OTHER) if known and each.sha256 and each.sha256 != known else each
            for each, known in zip(self.images.open(key, item.images), hashes, strict=True)
        )

    def describe_gone(self, key: str) -> str:
        """The images of an item that cannot be seen, by name and reason; empty if all can."""
        pairs = zip(self.items[key].images, self.open_images(key), strict=True)
        return "; ".join(f"{image.path}: {state.why}" for image, state in pairs if state.why)


class LabelSession(ReviewSession[Label]):
    """One annotator's work, see `LabelQueue.session`."""

    def __init__(self, queue: LabelQueue, annotator: str) -> None:
        super().__init__(queue, annotator)
        self._labels = queue

    def _append(self, folder: Path, entry: Entry[Label], check: Callable[[ReviewProgress[Label]], None]) -> None:
        self._labels.check_in_place()
        super()._append(folder, entry, check)

    def answer(self, key: str, said: Label) -> None:
        """Write down a label on an answer that is still open; whether the verdict was seen is found here.

        Raises:
            OutdatedReview: it is no longer open.
            HarnessError: the answer or the label is unknown, an image cannot be seen, or it cannot be written.
        """
        item = self._labels.items.get(key)
        if item is None:
            raise HarnessError(
                f"{key!r} is not an answer here", remedy="reload the page: it shows the answers of this run"
            )
        if said.label not in item.labels:
            raise HarnessError(
                f"{said.label!r} is not a label of this answer", remedy=f"one of: {', '.join(item.labels)}"
            )
        if gone := self._labels.describe_gone(key):
            raise HarnessError(f"an image cannot be shown ({gone}): skip this one")
        label = Label(label=said.label, reason=said.reason, seconds=said.seconds, seen=self.has_seen(key))
        self.write_answer(key, label)

    def has_seen(self, key: str) -> bool:
        """Whether the annotator was shown the judge's verdict on this answer: it is, once they have labelled another
        answer after it."""
        item = self._labels.items[key]
        first = self._labels.join_states(self.reviewer).first
        if item.machine is None or (own := (key, item.answer_hash)) not in first:
            return False
        return max(reversed(first), key=lambda each: first[each].at) != own  # of equal times the later line

    def find_first(self, key: str) -> Label | None:
        """The label that the annotator gave before they saw the judge's; None if they gave none."""
        first = self._labels.join_states(self.reviewer).first.get((key, self._labels.items[key].answer_hash))
        return None if first is None else first.payload

    def count_splits(self) -> list[SplitCounts]:
        """Progress on each split of each run."""
        progress = self.progress()
        states = dict.fromkeys(progress.open, "open") | dict.fromkeys(progress.skipped, "skipped")
        counts: dict[tuple[str, str], dict[str, int]] = {}
        for key, item in self._labels.items.items():
            split = counts.setdefault((item.run, item.title), {"done": 0, "skipped": 0, "open": 0})
            split[states.get(key, "done")] += 1
        return [SplitCounts(run=run, title=title, **count) for (run, title), count in counts.items()]
