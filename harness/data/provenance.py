"""Where the files of a data root came from: `.source.json`, which `harness data fetch` writes.

{"schema": "harness.source/1", "task": "mis", "licence": "apache-2.0", "parts": [
  {"kind": "hub", "name": "Tuwhy/MIS_Test", "revision": "3f2a…", "fetched": "2026-03-01T12:00:00+00:00",
   "files": {"mis_easy.json": {"bytes": 812345, "sha256": "…"}}}]}

A file that lay there before and was right is marked `"found": true`. `coming` names what a fetch was about to bring
when it ended early: `{"kind", "name", "revision", "files": {path: bytes or null}}`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, get_args

from harness.contracts import DataSource
from harness.data.built import FILE as FILE
from harness.data.downloads import hash_file
from harness.errors import BadData
from harness.files import atomic_write

SCHEMA: Final = "harness.source/1"
Files = Mapping[str, tuple[int, str]]  #: path under the root -> size in bytes and sha256
SourceKind = Literal[
    "hub", "archive", "url", "build"
]  #: where files came from; `build`: `harness build` made them here
_KINDS: Final[Mapping[str, SourceKind]] = {kind: kind for kind in get_args(SourceKind)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Files that came from one place.

    Attributes:
        kind: kind of the place.
        name: hub id, repository or address.
        revision: commit; empty if the place has none.
        fetched: time of the fetch, ISO 8601 with its zone.
        files: the fetched files.
        found: paths of files that existed before and were right.
    """

    kind: SourceKind
    name: str
    revision: str
    fetched: str
    files: Files
    found: frozenset[str] = frozenset()

    @property
    def title(self) -> str:
        """The place and its commit, for a person."""
        return _format_title(self.name, self.revision)


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingDownload:
    """What a fetch is about to write; where it ended early, the root may hold some of it.

    Attributes:
        kind: of the place.
        name: hub id, repository or address.
        revision: commit; empty where the place has none.
        files: path under the root -> size in bytes; None if it is not known.
    """

    kind: SourceKind
    name: str
    revision: str
    files: Mapping[str, int | None]

    @property
    def title(self) -> str:
        """The place and its commit, for a person."""
        return _format_title(self.name, self.revision)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """The record of all fetches into a data root; without parts, nothing was fetched.

    Attributes:
        task: the root's task.
        licence: the licence as shown.
        parts: its parts, in the order of fetching.
        coming: unfinished fetches.
    """

    task: str = ""
    licence: str = ""
    parts: tuple[Part, ...] = ()
    coming: tuple[PendingDownload, ...] = ()

    @property
    def files(self) -> Files:
        """Of all parts."""
        return {path: entry for part in self.parts for path, entry in part.files.items()}

    def with_part(self, part: Part, *, instead_of: Collection[Part] = ()) -> Provenance:
        """The same with a part, in the place of others; a path of the part is taken from all other parts."""
        others = (
            replace(each, files={path: entry for path, entry in each.files.items() if path not in part.files})
            for each in self.parts
            if each not in instead_of
        )
        return replace(self, parts=(*(each for each in others if each.files), part))

    def write(self, root: Path) -> None:
        """Write it into the data root, in one step."""
        value: dict[str, Any] = {
            "schema": SCHEMA,
            "task": self.task,
            "licence": self.licence,
            "parts": [
                {
                    "kind": part.kind,
                    "name": part.name,
                    "revision": part.revision,
                    "fetched": part.fetched,
                    "files": {
                        path: {"bytes": size, "sha256": sha256} | ({"found": True} if path in part.found else {})
                        for path, (size, sha256) in sorted(part.files.items())
                    },
                }
                for part in self.parts
            ],
        }
        if self.coming:
            value["coming"] = [{**asdict(note), "files": dict(sorted(note.files.items()))} for note in self.coming]
        atomic_write(root / FILE, json.dumps(value, indent=1, ensure_ascii=False), sync=False)


def read(root: Path) -> Provenance:
    """What was fetched into a data root.

    Raises:
        BadData: the file is there and cannot be read.
    """
    try:
        raw: Any = json.loads((root / FILE).read_text(encoding="utf-8"))
        parts = tuple(
            Part(
                kind=_read_kind(each["kind"]),
                name=str(each["name"]),
                revision=str(each["revision"]),
                fetched=str(each["fetched"]),
                files={path: (int(entry["bytes"]), str(entry["sha256"])) for path, entry in each["files"].items()},
                found=frozenset(path for path, entry in each["files"].items() if entry.get("found")),
            )
            for each in raw["parts"]
        )
        coming = tuple(
            PendingDownload(
                kind=_read_kind(each["kind"]),
                name=str(each["name"]),
                revision=str(each["revision"]),
                files={path: None if size is None else int(size) for path, size in each["files"].items()},
            )
            for each in raw.get("coming", ())
        )
        return Provenance(task=str(raw["task"]), licence=str(raw["licence"]), parts=parts, coming=coming)
    except (FileNotFoundError, NotADirectoryError):
        return Provenance()
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        what = f"the record of what was fetched cannot be read: {type(error).__name__}: {error}"
        raise BadData(what, where=str(root / FILE), remedy="delete it and fetch again") from None


def find_origin(root: Path) -> tuple[str, str]:
    """Name and revision of what a data root holds.

    They are as it was fetched, else as its place in the hub client's cache says
    (`…/datasets--OWNER--NAME/snapshots/COMMIT`), and empty where neither is known. Where a fetch ended early, there is
    no revision.
    """
    try:
        record = read(root)
    except BadData:
        record = Provenance()
    if record.parts:
        first = min(record.parts, key=lambda part: get_args(SourceKind).index(part.kind))
        return first.name, "" if first.kind in {note.kind for note in record.coming} else first.revision
    real = root.resolve()
    if real.parent.name == "snapshots" and real.parent.parent.name.startswith("datasets--"):
        return real.parent.parent.name.removeprefix("datasets--").replace("--", "/", 1), real.name
    return "", ""


#: whether data are of the revision that the counts were checked with; `none`: there was none to check them with
RevisionCheck = Literal["same", "another", "unknown", "none"]


def check_revision(source: DataSource, root: Path) -> RevisionCheck:
    """Whether a data root holds the revision that its source's counts were checked with, as far as its record says."""
    if source.unchecked:
        return "none"
    pins = {source.hub: source.revision} if source.hub else {}
    if source.archive is not None:
        pins[source.archive[0]] = source.archive[1]
    try:
        record = read(root)
    except BadData:
        record = Provenance()
    there = {part.name: part.revision for part in record.parts} or dict([find_origin(root)])
    pending = {note.name for note in record.coming}
    if any(not there.get(name) or name in pending for name in pins):
        return "unknown"
    return "same" if all(there[name] == commit for name, commit in pins.items()) else "another"


@dataclass(slots=True, kw_only=True)
class Differences:
    """Files that are not as they were fetched, by path."""

    missing: list[str] = field(default_factory=list[str])
    changed: list[str] = field(default_factory=list[str])


def find_differences(root: Path, files: Files, tell: Callable[[int], None] = lambda _: None) -> Differences:
    """Hash every file that was fetched; `tell` is called with the bytes of each."""
    found = Differences()
    for path, (size, sha256) in files.items():
        here = root / path
        if not here.is_file():
            found.missing.append(path)
        elif here.stat().st_size != size or hash_file(here)[0] != sha256:
            found.changed.append(path)
        tell(size)
    return found


def _format_title(name: str, revision: str) -> str:
    return name + (f" at {revision}" if revision else "")


def _read_kind(raw: Any) -> SourceKind:
    kind = _KINDS.get(raw)
    if kind is None:
        raise ValueError(f"unknown kind of place: {raw!r}")
    return kind
