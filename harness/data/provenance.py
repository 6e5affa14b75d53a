"""Where the files of a data root came from: `.source.json`, which `harness data fetch` writes.

{"schema": "harness.source/1", "task": "mis", "licence": "apache-2.0", "parts": [
  {"kind": "hub", "name": "Tuwhy/MIS_Test", "revision": "3f2a…", "fetched": "2026-03-01T12:00:00+00:00",
   "files": {"mis_easy.json": {"bytes": 812345, "sha256": "…"}}}]}
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, cast

from harness.data.downloads import digests
from harness.errors import BadData

FILE: Final = ".source.json"
SCHEMA: Final = "harness.source/1"
Files = Mapping[str, tuple[int, str]]  #: path under the root -> size in bytes and sha256
Kind = Literal["hub", "archive", "url"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Files that came from one place.

    Attributes:
        kind: of the place.
        name: hub id, repository or address.
        revision: commit; empty where the place has none.
        fetched: ISO 8601 with its zone.
        files: what came.
    """

    kind: Kind
    name: str
    revision: str
    fetched: str
    files: Files

    @property
    def title(self) -> str:
        """The place and its commit, for a person."""
        return self.name + (f" at {self.revision}" if self.revision else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """All that was fetched into a data root; without parts, nothing was.

    Attributes:
        task: whose root it is.
        licence: as it was shown.
        parts: in the order they were fetched.
    """

    task: str = ""
    licence: str = ""
    parts: tuple[Part, ...] = ()

    @property
    def files(self) -> Files:
        """Of all parts."""
        return {path: entry for part in self.parts for path, entry in part.files.items()}

    def having(self, part: Part) -> Provenance:
        """With a part, in the place of what came from there before."""
        kept = tuple(each for each in self.parts if (each.kind, each.name) != (part.kind, part.name))
        return Provenance(task=self.task, licence=self.licence, parts=(*kept, part))

    def write(self, root: Path) -> None:
        """Put it into the data root."""
        value = {
            "schema": SCHEMA,
            "task": self.task,
            "licence": self.licence,
            "parts": [
                {
                    "kind": part.kind,
                    "name": part.name,
                    "revision": part.revision,
                    "fetched": part.fetched,
                    "files": {p: {"bytes": size, "sha256": sha256} for p, (size, sha256) in sorted(part.files.items())},
                }
                for part in self.parts
            ],
        }
        new = root / f"{FILE}.part"
        new.write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")
        new.replace(root / FILE)


def read(root: Path) -> Provenance:
    """What was fetched into a data root.

    Raises:
        BadData: the file is there and cannot be read.
    """
    try:
        raw: Any = json.loads((root / FILE).read_text(encoding="utf-8"))
        parts = tuple(_part(each) for each in raw["parts"])
        return Provenance(task=str(raw["task"]), licence=str(raw["licence"]), parts=parts)
    except (FileNotFoundError, NotADirectoryError):
        return Provenance()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"the record of what was fetched cannot be read: {type(error).__name__}: {error}"
        raise BadData(what, where=str(root / FILE), remedy="delete it and fetch again") from None


def origin(root: Path) -> tuple[str, str]:
    """Name and revision of what a data root holds: as it was fetched, else as its place in the hub client's cache says
    it (`…/datasets--OWNER--NAME/snapshots/COMMIT`); empty texts where nothing says it."""
    try:
        parts = read(root).parts
    except BadData:
        parts = ()
    if parts:
        first = min(parts, key=lambda part: ("hub", "archive", "url").index(part.kind))
        return first.name, first.revision
    real = root.resolve()
    if real.parent.name == "snapshots" and real.parent.parent.name.startswith("datasets--"):
        return real.parent.parent.name.removeprefix("datasets--").replace("--", "/", 1), real.name
    return "", ""


@dataclass(slots=True, kw_only=True)
class Differences:
    """Files that are not as they were fetched, by path."""

    missing: list[str] = field(default_factory=list[str])
    changed: list[str] = field(default_factory=list[str])


def differences(root: Path, files: Files, tell: Callable[[int], None] = lambda _: None) -> Differences:
    """Hash every file that was fetched; `tell` hears the bytes of each."""
    found = Differences()
    for path, (size, sha256) in files.items():
        here = root / path
        if not here.is_file():
            found.missing.append(path)
        elif here.stat().st_size != size or digests(here)[0] != sha256:
            found.changed.append(path)
        tell(size)
    return found


def _part(raw: Mapping[str, Any]) -> Part:
    if raw["kind"] not in ("hub", "archive", "url"):
        raise ValueError(f"no kind of place: {raw['kind']!r}")
    files = cast("dict[str, Any]", raw["files"]).items()
    return Part(
        kind=raw["kind"],
        name=str(raw["name"]),
        revision=str(raw["revision"]),
        fetched=str(raw["fetched"]),
        files={path: (int(entry["bytes"]), str(entry["sha256"])) for path, entry in files},
    )
