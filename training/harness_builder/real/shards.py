"""Photographs in the shards of a WebDataset: members of one stem are one photograph with what is said of it.

A shard is read in place. Only its photographs' places are kept, so that a collection of many shards stays small.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness import BadData, BadImage, Image
from harness.readers.archives import FAULTS, Member, open_archive

from .fields import Said
from .folders import caption_of, record_of
from .found import IMAGES, Found, Lost


@dataclass(frozen=True, slots=True)
class _Within:
    """The one file of an archive; see `harness.types.Files`."""

    root: Path
    member: Member
    changed: int

    def read(self, path: str) -> bytes:
        try:
            return self.member.read()
        except FAULTS as fault:
            raise BadImage(path, "unreadable", str(fault) or type(fault).__name__) from None

    def stamp(self, path: str) -> tuple[str, int, int]:
        return f"{self.root}!{path}", self.member.size, self.changed


def shard(path: Path, name: str) -> Iterator[Found | Lost]:
    """The photographs of a shard.

    Args:
        path: of a tar or zip.
        name: it has in the collection.

    Raises:
        BadData: it cannot be read.
    """
    try:
        archive = open_archive(path)
    except FAULTS as fault:
        raise BadData(f"the shard cannot be read: {fault}", where=str(path)) from None
    for stem, parts in _together(archive.members).items():
        ending = next((each for each in parts if f".{each}" in IMAGES), "")
        if not ending:
            continue
        member = parts[ending]
        try:
            words = _said(parts)
        except (BadData, *FAULTS):
            yield "unreadable"
            continue
        image = Image(path=f"{stem}.{ending}", files=_Within(path, member, archive.mtime_ns))
        stamp = f"{member.size} {archive.mtime_ns}"
        yield "unreadable" if member.refused else Found(place=f"{name}/{stem}", image=image, stamp=stamp, said=words)


def _together(members: Mapping[str, Member]) -> dict[str, dict[str, Member]]:
    """Stem -> ending -> member. As WebDataset has it, the stem goes to the first dot of the file's name."""
    found: dict[str, dict[str, Member]] = {}
    for path, member in members.items():
        folder, slash, file = path.rpartition("/")
        stem, _, ending = file.partition(".")
        if stem:
            found.setdefault(f"{folder}{slash}{stem}", {})[ending.casefold()] = member
    return found


def _said(parts: dict[str, Member]) -> Said:
    own = record_of(parts["json"].read()) if "json" in parts else Said()
    return own.over(Said(caption=caption_of(parts["txt"].read()))) if "txt" in parts else own
