"""`work/candidates.jsonl`: what people are asked to decide on, as the last walk had it.

The first line says what they may choose from, how many must decide and in which language the questions are; each other
one is a candidate, its images by sha256. The file is put in place of the old one when a walk ends. One that ended early
keeps the candidates that it did not come to: a person may be in the middle of them. One that is stopped goes at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final, cast

from harness import BadData, Image, Json
from harness.keys import canonical
from harness.store.journal import replace
from harness_builder.disk import disk_errors
from harness_builder.values import REAL, Candidate

NAME: Final = "candidates.jsonl"
_TEXTS: Final = ("key", "category", "question", "source")
_AGAIN: Final = "run `harness build` again: it writes this file anew"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """What is to be decided.

    Attributes:
        every: candidates, in no order that means anything.
        categories: that a reviewer may choose.
        reviewers: how many must decide on each.
        language: of the questions, as the plan has it; empty where an earlier version wrote the file.
    """

    every: tuple[Candidate, ...]
    categories: tuple[str, ...] = ()
    reviewers: int = 1
    language: str = ""


class CandidateFile:
    """The file, being written by a walk.

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
        self._before: set[str] | None = None  # keys of the file that stands, once they are asked for
        self._file = self._opened()
        self._line({"categories": list(categories), "reviewers": reviewers, "language": language})

    def put(self, candidate: Candidate) -> None:
        """Add one. Its images are those of the build's folder, which are called by their sha256."""
        self._keys.add(candidate.key)
        self._line(_written(candidate))

    def strike(self, key: str) -> None:
        """One was stopped, and with it what photographs show of it: neither is here, nor in the file that stands."""
        gone = {key, f"{key}{REAL}"}
        self._struck |= gone
        if self._before is None:
            self._before = self._read_keys()
        if gone & self._before:
            self._before -= gone
            with disk_errors(self.path):
                replace(self.path, _without(self.path, gone))

    def close(self, *, whole: bool) -> None:
        """Put it in place; `whole` where the walk came to all candidates that there are."""
        for said in () if whole else self._standing():
            if "key" in said and said["key"] not in self._keys:
                self._line(said)
        with disk_errors(self.path):
            self._file.close()
            if self._struck & self._keys:
                replace(self._new, _without(self._new, self._struck))
            self._new.replace(self.path)

    def _read_keys(self) -> set[str]:
        """Of the file that stands; one that cannot be read may hold anything, and goes."""
        try:
            return {str(said.get("key")) for said in self._standing()}
        except BadData:
            self.path.unlink()
            return set()

    def _standing(self) -> Iterator[dict[str, Any]]:
        return _lines(self.path) if self.path.exists() else iter(())

    def _opened(self) -> BinaryIO:
        with disk_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return self._new.open("wb")

    def _line(self, said: Mapping[str, Json]) -> None:
        with disk_errors(self.path):
            self._file.write(_text(said).encode("utf-8", "backslashreplace"))


def write_candidates(
    path: Path, candidates: Iterable[Candidate], categories: Iterable[str] = (), reviewers: int = 1
) -> None:
    """Write all of them at once. Raises as `CandidateFile`."""
    file = CandidateFile(path, categories, reviewers)
    for each in candidates:
        file.put(each)
    file.close(whole=True)


def read_candidates(path: Path, image: Callable[[str], Image]) -> Candidates:
    """What people are asked to decide on.

    Args:
        path: of the file.
        image: sha256 -> the image, not opened.

    Raises:
        BadData: a line is none of such a file.
    """
    head: Mapping[str, Any] = {}
    every: dict[str, Candidate] = {}
    for number, said in enumerate(_lines(path), 1):
        try:
            if number == 1:
                head = {"categories": _texts(said["categories"]), "reviewers": int(said["reviewers"])}
                head |= {"language": str(said.get("language", ""))}
            else:
                found = _read(said, image)
                every[found.key] = found
        except (KeyError, TypeError, ValueError) as error:
            what = f"this is no candidate: {type(error).__name__} {error}"
            raise BadData(what, where=f"{path}, line {number}", remedy=_AGAIN) from None
    return Candidates(every=tuple(every.values()), **head)


def _text(said: Mapping[str, Json]) -> str:
    return f"{canonical(dict(said))}\n"


def _without(path: Path, keys: Collection[str]) -> str:
    return "".join(_text(said) for said in _lines(path) if said.get("key") not in keys)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    number = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                said: Any = json.loads(line)
            except ValueError:
                said = None
            if not isinstance(said, dict):
                raise BadData("this is no line of candidates", where=f"{path}, line {number}", remedy=_AGAIN)
            yield cast("dict[str, Any]", said)


def _written(candidate: Candidate) -> dict[str, Json]:
    return {
        **{name: getattr(candidate, name) for name in _TEXTS},
        "objects": list(candidate.objects),
        "images": [PurePosixPath(image.path).stem for image in candidate.images],
        "opinion": dict(candidate.opinion),
    }


def _read(said: Mapping[str, Any], image: Callable[[str], Image]) -> Candidate:
    objects, images = _texts(said["objects"]), _texts(said["images"])
    opinion = {str(name): str(text) for name, text in dict(said["opinion"]).items()}
    (one, other), (first, second) = objects, images
    texts = dict(zip(_TEXTS, _texts([said[name] for name in _TEXTS]), strict=True))
    return Candidate(**texts, objects=(one, other), images=(image(first), image(second)), opinion=opinion)


def _texts(said: Any) -> tuple[str, ...]:
    if not isinstance(said, list):
        raise TypeError(f"{said!r} is no list of texts")
    every = cast("Sequence[Any]", said)
    if not all(isinstance(each, str) for each in every):
        raise ValueError(f"{said!r} holds something else than texts")
    return tuple(every)
