"""The queue: keys to decide on, in one order for all and another one for each, and a person's work on it.

People do not see each other's answers. All get the keys block by block in one order, so that work that ends early
overlaps; within a block each person has another order, drawn by hash. An answer counts while what was shown is
unchanged; else the key is asked again.

The keys may lie in several folders, such as the tasks of several runs: a person then has a file in each. What comes
from several files is put in the order of its times.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar

from harness.errors import HarnessError
from harness.keys import text_hash

from .log import Answer, Entry, LogFormat, LogState, OptOut, Pause, ReviewLog, Skip, Undo

P = TypeVar("P")
BLOCK: Final = 20  #: keys that each person gets in another order
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")


class OutdatedReview(HarnessError):
    """The key is no longer open: another page of the same person was faster."""


class BadField(HarnessError):
    """A field of what a person sent is refused, and the page says so beside it; `field` names it."""

    field = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the lines on a key are written: a folder, and the key's name in its files."""

    folder: Path
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewProgress(Generic[P]):
    """One reviewer's progress.

    Attributes:
        decided: what was said on each key.
        skipped: skipped keys.
        left_out: undecided keys of hidden categories.
        open: keys still to decide, in order; the page shows the first one.
        categories: hidden by the reviewer.
        last: the last answer, which can be revoked; None at the beginning.
        last_key: what it is on.
        paused: since when the person rests; empty if they do not.
    """

    decided: dict[str, P]
    skipped: tuple[str, ...]
    left_out: tuple[str, ...]
    open: tuple[str, ...]
    categories: tuple[str, ...]
    last: Answer[P] | Skip | None
    last_key: str = ""
    paused: str = ""


class ReviewQueue(Generic[P]):
    """What people decide on. A subclass says what a key shows.

    Args:
        form: of the lines.
        places: key -> where its lines are; the order is that in which people get the keys, block by block.
        folders: that hold people's files; the first one gets what is about no key.
    """

    noun = "item"  #: what one key is called in messages
    who = "reviewer"  #: and a person

    def __init__(self, form: LogFormat[P], places: Mapping[str, Place], folders: Sequence[Path]) -> None:
        self.form = form
        self.places = places
        self.folders = tuple(dict.fromkeys(folders))
        self._common = tuple(places)
        self._plain = all(place.key == key for key, place in places.items())  # keys are the same in the file
        self._keys_in: dict[Path, dict[str, str]] = {folder: {} for folder in self.folders}
        for key, place in places.items():
            self._keys_in[place.folder][place.key] = key
        self._logs: dict[tuple[Path, str], ReviewLog[P]] = {}
        self._orders: dict[str, list[str]] = {}

    def find_shown_hash(self, key: str) -> str:
        """A hash of what a person sees of a key: with another one, answers are outdated."""
        raise NotImplementedError

    def find_category(self, key: str) -> str:
        """The category of a key, by which a person may leave it out."""
        raise NotImplementedError

    @property
    def reviewers(self) -> tuple[str, ...]:
        """Who has a file here."""
        return find_reviewers(self.folders, self.form.prefix)

    def log(self, reviewer: str, folder: Path | None = None) -> ReviewLog[P]:
        """The file of a reviewer, whose name `normalize_reviewer` returned; by default in the first folder."""
        folder = folder or self.folders[0]
        if (folder, reviewer) not in self._logs:
            path = folder / f"{self.form.prefix}-{reviewer}.jsonl"
            self._logs[folder, reviewer] = ReviewLog(path, reviewer, self.form)
        return self._logs[folder, reviewer]

    def order(self, reviewer: str) -> list[str]:
        """The keys in one person's order; always the same."""
        if reviewer not in self._orders:
            blocks = (self._common[start : start + BLOCK] for start in range(0, len(self._common), BLOCK))
            mixed = (sorted(block, key=lambda key: text_hash(f"{reviewer}/{key}")) for block in blocks)
            self._orders[reviewer] = [key for block in mixed for key in block]
        return self._orders[reviewer]

    def answers(self, reviewer: str, *, first: bool = False) -> dict[str, P]:
        """What one person said of the keys in their present form, in the person's order.

        Args:
            reviewer: a name that `normalize_reviewer` returned.
            first: the first answer on each key, given before the person saw a machine's opinion. Otherwise the answer
                that counts now.

        Raises:
            BadData: a file holds a line that is not of this kind.
        """
        found: dict[str, P] = {}
        for folder in self.folders:
            state = self.log(reviewer, folder).state()
            for each in state.first.values() if first else state.current.values():
                key = self._keys_in[folder].get(each.key)
                if isinstance(each, Answer) and key is not None and self.is_current(key, each):
                    found[key] = each.payload
        return {key: found[key] for key in self.order(reviewer) if key in found}

    def is_current(self, key: str, answer: Answer[P]) -> bool:
        """Whether an answer is on the key's present form."""
        return key in self.places and answer.shown == self.find_shown_hash(key)

    def join_states(self, reviewer: str, held: Mapping[Path, LogState[P]] | None = None) -> LogState[P]:
        """The joint state of a reviewer's files, by the keys of this queue.

        Args:
            reviewer: a name that `normalize_reviewer` returned.
            held: the states of files that are locked by the caller.

        Raises:
            BadData: a file holds a line that is not of this kind.
        """
        held = held or {}
        states = {each: held.get(each) or self.log(reviewer, each).state() for each in self.folders}
        if len(states) == 1 and self._plain:
            return next(iter(states.values()))
        joint = LogState[P]()
        current: list[tuple[str, Answer[P] | Skip]] = []
        for folder, state in states.items():
            known = self._keys_in[folder]
            current += [(known[name], each) for name, each in state.current.items() if name in known]
            joint.withdrawn |= {known[name]: each for name, each in state.withdrawn.items() if name in known}
            joint.first |= {(known[name], how): each for (name, how), each in state.first.items() if name in known}
            if state.last_at > joint.last_at:
                joint.last_at, joint.paused, joint.undone = state.last_at, state.paused, known.get(state.undone, "")
        joint.current = dict(sorted(current, key=lambda pair: pair[1].at))
        joint.left_out = states[self.folders[0]].left_out
        return joint


class ReviewSession(Generic[P]):
    """One reviewer's work on a queue. Raises HarnessError for a bad name."""

    def __init__(self, queue: ReviewQueue[P], reviewer: str) -> None:
        self._queue = queue
        self.reviewer = normalize_reviewer(reviewer, queue.who)

    def progress(self) -> ReviewProgress[P]:
        """The reviewer's progress. Raises BadData if their file holds a line that is not of this kind."""
        return self._progress(self._queue.join_states(self.reviewer))

    def write_answer(self, key: str, payload: P, *, at: str = "", anyway: bool = False) -> None:
        """Write down an answer on a key of the queue.

        Args:
            key: of the queue.
            payload: what the reviewer says.
            at: when; empty for now.
            anyway: in place of any other; else the key must be open.

        Raises:
            OutdatedReview: the key is no longer open.
            HarnessError: it cannot be written.
        """
        place = self._queue.places[key]
        shown = self._queue.find_shown_hash(key)
        entry = Answer(key=place.key, payload=payload, shown=shown, at=at or self._queue.form.now())
        self._append(place.folder, entry, (lambda _: None) if anyway else self._check_open(key))

    def skip(self, key: str) -> None:
        """Skip one key. Raises OutdatedReview if it is no longer open."""
        place = self._queue.places.get(key) or Place(folder=self._queue.folders[0], key=key)
        self._append(place.folder, Skip(key=place.key, at=self._queue.form.now()), self._check_open(key))

    def undo(self, key: str) -> P | None:
        """Revoke the last answer, which must be on this key, and return what it said; None for a skip. Raises
        OutdatedReview if there is a later answer."""
        undone: list[Answer[P] | Skip] = []

        def check(progress: ReviewProgress[P]) -> None:
            if progress.last is None or progress.last_key != key:
                raise OutdatedReview("there is a later answer", remedy="take that one back first")
            undone.append(progress.last)

        place = self._queue.places.get(key) or Place(folder=self._queue.folders[0], key=key)
        self._append(place.folder, Undo(key=place.key, at=self._queue.form.now()), check)
        return undone[0].payload if isinstance(undone[0], Answer) else None

    def leave_out(self, categories: Sequence[str]) -> None:
        """Hide keys of these categories from now on."""
        entry = OptOut(categories=tuple(dict.fromkeys(categories)), at=self._queue.form.now())
        self._append(self._queue.folders[0], entry, lambda _: None)

    def pause(self, key: str = "", *, ended: bool) -> None:
        """Rest from now on, or go on; nothing is written if that is so already. `key` is what is shown."""
        place = self._queue.places.get(key)
        folder = place.folder if place else self._queue.folders[0]

        def check(progress: ReviewProgress[P]) -> None:
            if bool(progress.paused) is not ended:
                raise OutdatedReview("this decision was recorded already")

        with suppress(OutdatedReview):
            self._append(folder, Pause(ended=ended, at=self._queue.form.now()), check)

    def _append(self, folder: Path, entry: Entry[P], check: Callable[[ReviewProgress[P]], None]) -> None:
        def check_state(state: LogState[P]) -> None:
            check(self._progress(self._queue.join_states(self.reviewer, {folder: state})))

        self._queue.log(self.reviewer, folder).append(entry, check_state)

    def _check_open(self, key: str) -> Callable[[ReviewProgress[P]], None]:
        def check(progress: ReviewProgress[P]) -> None:
            if key not in progress.open:
                raise OutdatedReview(
                    f"this {self._queue.noun} is no longer open", remedy="continue with the one that the page shows now"
                )

        return check

    def _progress(self, state: LogState[P]) -> ReviewProgress[P]:
        queue = self._queue
        current = {
            key: each
            for key, each in state.current.items()
            if (queue.is_current(key, each) if isinstance(each, Answer) else key in queue.places)
        }
        rest = [key for key in queue.order(self.reviewer) if key not in current]
        hidden = {key for key in rest if state.left_out and queue.find_category(key) in state.left_out}
        shown = [key for key in rest if key not in hidden]
        last_key = next(reversed(current), "")
        return ReviewProgress(
            decided={key: each.payload for key, each in current.items() if isinstance(each, Answer)},
            skipped=tuple(key for key, each in current.items() if isinstance(each, Skip)),
            left_out=tuple(key for key in rest if key in hidden),
            open=tuple(sorted(shown, key=lambda key: key != state.undone)),  # a revoked key comes first
            categories=state.left_out,
            last=current.get(last_key),
            last_key=last_key,
            paused=state.paused,
        )


def find_reviewers(folders: Iterable[Path], prefix: str) -> tuple[str, ...]:
    """Who has a file `<prefix>-<name>.jsonl` in these folders; files of names that nobody can have are other files."""
    start = f"{prefix}-"
    names = {
        path.stem.removeprefix(start) for each in folders for path in each.glob(f"{start}*.jsonl") if path.is_file()
    }
    return tuple(sorted(name for name in names if _NAME.fullmatch(name)))


def normalize_reviewer(reviewer: str, who: str = "reviewer") -> str:
    """A reviewer's stored name: in small letters, so that no two files differ by capitals alone. Raises HarnessError if
    it is not a valid file name on every system; `who` is what the message calls them."""
    name = reviewer.strip().lower()
    if not _NAME.fullmatch(name):
        remedy = "use up to 40 letters a-z, digits, dots, hyphens and underscores, a letter or digit first"
        article = "an" if who[0] in "aeiou" else "a"
        raise HarnessError(f"{reviewer!r} cannot be {article} {who}'s name", remedy=remedy)
    return name
