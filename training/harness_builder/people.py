"""The candidates of a build that people review, and their decisions.

`work/candidates.jsonl` holds the candidates of the last build. The first line has the categories to choose from, how
many people must decide, and the language of the questions; each other line is a candidate, its images by sha256. The
file is replaced when a build ends. A build that ended early keeps the candidates that it did not reach: a person may be
reviewing them. A stopped candidate is deleted at once.

Reviews are in `review/` next to `work/`: they outlive the calls. An answer counts if question, category and images are
those that the reviewer saw.

candidates = CandidateFile(path, plan.categories, plan.reviewers)    # the pipeline adds each to be sorted
people = People.load(out, plan)                                       # the pipeline asks for the decision on each
queue = open_review_queue(out)                                       # `harness build review` shows them
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from shlex import quote
from typing import Any, BinaryIO, Final, cast

from harness import BadData, BadImage, HarnessError, Image, Json
from harness.files import atomic_write
from harness.keys import canonical
from harness.review import Answer
from harness_builder.disk import disk_errors
from harness_builder.plan import Plan
from harness_builder.review import Agreed, Decided, Queue, Undecided, agreed
from harness_builder.review.consensus import merge_one
from harness_builder.values import REAL, WORK, Candidate, Review

CANDIDATES: Final = "candidates.jsonl"
REVIEWS: Final = "review"
_IMAGES: Final = "images"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_REMEMBERED: Final = 1 << 14  # images: a few megabytes
_TEXTS: Final = ("key", "category", "question", "source")
_AGAIN: Final = "run `harness build` again: it rewrites this file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """The candidates to review.

    Attributes:
        every: candidates, in no particular order.
        categories: that a reviewer may choose.
        reviewers: how many must decide on each.
        language: of the questions, as in the plan; empty if an earlier version wrote the file.
    """

    every: tuple[Candidate, ...]
    categories: tuple[str, ...] = ()
    reviewers: int = 1
    language: str = ""


class CandidateFile:
    """The file of candidates, while a build writes it.

    Args:
        path: of the file.
        categories: that a reviewer may choose.
        reviewers: how many must decide on each.
        language: of the questions.

    Raises:
        HarnessError: it cannot be written.
    """

    def __init__(
        self, path: Path, categories: Iterable[str] = (), reviewers: int = 1, language: str = "English"
    ) -> None:
        self.path = path
        self._new = path.with_name(f".{path.name}.new")
        self._keys: set[str] = set()
        self._struck: set[str] = set()
        self._before: set[str] | None = None  # keys of the earlier file, read on first use
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = self._new.open("wb")
        self._write({"categories": list(categories), "reviewers": reviewers, "language": language})

    def put(self, candidate: Candidate) -> None:
        """Add one. Its images are in the build's folder, named by their sha256."""
        self._keys.add(candidate.key)
        self._write(
            {
                **{name: getattr(candidate, name) for name in _TEXTS},
                "objects": list(candidate.objects),
                "images": [PurePosixPath(image.path).stem for image in candidate.images],
                "opinion": dict(candidate.opinion),
            }
        )

    def strike(self, key: str) -> None:
        """Delete a stopped candidate and its photographs, here and in the earlier file."""
        gone = {key, f"{key}{REAL}"}
        self._struck |= gone
        if self._before is None:
            try:
                self._before = {str(line.get("key")) for line in self._earlier_lines()}
            except BadData:  # it may hold anything
                self.path.unlink()
                self._before = set()
        if gone & self._before:
            self._before -= gone
            with disk_errors(self.path):
                atomic_write(self.path, _without(self.path, gone))

    def close(self, *, whole: bool) -> None:
        """Replace the earlier file; `whole` if the build reached all candidates."""
        for line in () if whole else self._earlier_lines(skip_broken=True):  # it must not hide what ended the build
            if "key" in line and line["key"] not in self._keys:
                self._write(line)
        with disk_errors(self.path):
            self._file.close()
            if self._struck & self._keys:
                atomic_write(self._new, _without(self._new, self._struck))
            self._new.replace(self.path)

    def _earlier_lines(self, *, skip_broken: bool = False) -> Iterator[dict[str, Any]]:
        return _read_lines(self.path, skip_broken=skip_broken) if self.path.exists() else iter(())

    def _write(self, line: Mapping[str, Json]) -> None:
        with disk_errors(self.path):
            self._file.write(_format_line(line).encode("utf-8", "backslashreplace"))


def read_candidates(path: Path, image: Callable[[str], Image]) -> Candidates:
    """Read the candidates to review.

    Args:
        path: of the file.
        image: sha256 -> the image, not opened.

    Raises:
        BadData: a line is not a candidate.
    """
    head: Mapping[str, Any] = {}
    every: dict[str, Candidate] = {}
    for number, line in enumerate(_read_lines(path), 1):
        try:
            if number == 1:
                head = {"categories": _texts(line["categories"]), "reviewers": int(line["reviewers"])}
                head |= {"language": str(line.get("language", ""))}
            else:
                (one, other), (first, second) = _texts(line["objects"]), _texts(line["images"])
                opinion = {str(name): str(text) for name, text in dict(line["opinion"]).items()}
                texts = dict(zip(_TEXTS, _texts([line[name] for name in _TEXTS]), strict=True))
                every[texts["key"]] = Candidate(
                    **texts, objects=(one, other), images=(image(first), image(second)), opinion=opinion
                )
        except (KeyError, TypeError, ValueError) as error:
            what = f"this is not a candidate: {type(error).__name__} {error}"
            raise BadData(what, where=f"{path}, line {number}", remedy=_AGAIN) from None
    return Candidates(every=tuple(every.values()), **head)


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is not a list of texts")
    every = cast("Sequence[Any]", value)
    if not all(isinstance(each, str) for each in every):
        raise ValueError(f"{value!r} holds other values than texts")
    return tuple(every)


def _read_lines(path: Path, *, skip_broken: bool = False) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                value: Any = json.loads(line)
            except (ValueError, RecursionError):
                value = None
            if isinstance(value, dict):
                yield cast("dict[str, Any]", value)
            elif not skip_broken:
                raise BadData("this is not a line of candidates", where=f"{path}, line {number}", remedy=_AGAIN)


def _format_line(line: Mapping[str, Json]) -> str:
    return f"{canonical(dict(line))}\n"


def _without(path: Path, keys: Collection[str]) -> str:
    return "".join(_format_line(line) for line in _read_lines(path) if line.get("key") not in keys)


class BuildImages:
    """A `harness.types.Files` over the folder `work/` of a build, whose images are named by their sha256.

    Every call of a build looks up its images; a general reader of data sets needs a dozen disk accesses for each. This
    class looks up an image once.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._found = lru_cache(maxsize=_REMEMBERED)(self._find)

    @property
    def root(self) -> Path:
        """The folder."""
        return self._root

    def read(self, path: str) -> bytes:
        """The bytes of an image. Raises BadImage if it is missing."""
        try:
            return (self._root / path).read_bytes()
        except OSError:
            raise _explain_missing(path) from None

    def stamp(self, path: str) -> tuple[str, int, int]:
        """Name, size and time of an image. Raises BadImage if it is missing."""
        return self._found(path)

    def image(self, sha256: str) -> Image:
        """An image by its sha256, not opened: a missing one raises BadImage when it is opened. Most are PNG."""
        if not _SHA256.fullmatch(sha256):
            raise ValueError(f"{sha256!r} is not a sha256")
        stem = f"{_IMAGES}/{sha256[:2]}/{sha256}"
        path = f"{stem}.png"
        try:
            self._found(path)
        except BadImage:
            found = sorted((self._root / stem).parent.glob(f"{sha256}.*"))
            path = f"{stem}{found[0].suffix}" if found else stem
        return Image(path=path, files=self)

    def _find(self, path: str) -> tuple[str, int, int]:
        name = os.fspath(self._root / path)
        try:
            found = os.stat(name)  # noqa: PTH116 - for each image of each call
        except OSError:
            raise _explain_missing(path) from None
        return name, found.st_size, found.st_mtime_ns


def _explain_missing(path: str) -> BadImage:
    return BadImage(path, "missing", "the build's folder does not hold it")


def open_review_queue(out: Path) -> Queue:
    """The candidates that the last build left to review. Raises HarnessError if there are none."""
    work = out / WORK
    if not (work / CANDIDATES).is_file():
        what = "there is nothing to review here"
        raise HarnessError(what, where=str(out), remedy="run `harness build` with this folder as --out first")
    found = read_candidates(work / CANDIDATES, BuildImages(work).image)
    then = f"harness build mis --config FILE --out {quote(str(out))}"
    return Queue(out / REVIEWS, found.every, found.categories, language=found.language, then=then)


class People:
    """The decisions in the reviewers' files. Several threads may ask, each about another candidate.

    Args:
        folder: of those files.
        reviewers: how many must have decided.

    Raises:
        BadData: a file holds a line that is not a review.
    """

    def __init__(self, folder: Path, reviewers: int = 1) -> None:
        self._least = reviewers
        self._queue = Queue(folder, ())
        self._now: defaultdict[str, list[Answer[Review]]] = defaultdict(list)
        self._first: defaultdict[str, list[Answer[Review]]] = defaultdict(list)
        self._reviewers: defaultdict[str, set[str]] = defaultdict(set)
        self._compared: dict[str, tuple[Review, ...]] = {}
        for name in self._queue.reviewers:
            state = self._queue.log(name).state()
            for key, each in state.current.items():
                if isinstance(each, Answer):
                    self._now[key].append(each)
            for (key, _), answer in state.first.items():
                self._first[key].append(answer)
                self._reviewers[key].add(name)

    @classmethod
    def load(cls, out: Path, plan: Plan) -> People:
        """The people of a build's folder; the plan says how many must decide. Raises like the class."""
        return cls(out / REVIEWS, plan.reviewers)

    def decided(self, candidate: Candidate) -> Decided | Undecided | None:
        """Their joint decision on a candidate in its present form.

        Returns:
            Undecided if no side has more than half; None if too few have decided yet.
        """
        reviews = self._current(self._now, candidate)
        self._compared[candidate.key] = self._current(self._first, candidate)
        return None if len(reviews) < self._least else merge_one(candidate.key, reviews)

    def strike(self, key: str) -> None:
        """Erase all that people wrote about a stopped element and its photographs. Raises HarnessError if a reviewer's
        file cannot be written."""
        for each in (key, f"{key}{REAL}"):
            for name in sorted(self._reviewers.pop(each, ())):
                self._queue.log(name).strike(each)
            for known in (self._now, self._first, self._compared):
                known.pop(each, None)

    def agreement(self) -> tuple[Agreed, ...]:
        """Agreement on all candidates, by the answers given before the model's opinion was shown."""
        return agreed(review for reviews in self._compared.values() for review in reviews)

    def _current(self, answers: defaultdict[str, list[Answer[Review]]], candidate: Candidate) -> tuple[Review, ...]:
        if candidate.key not in answers:  # no need to read its images
            return ()
        shown = self._queue.hash_shown(candidate)
        return tuple(each.payload for each in answers[candidate.key] if each.shown == shown)
