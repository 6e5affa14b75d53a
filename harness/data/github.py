"""Files of a GitHub repository at one commit, out of its archive and by the rules of the readers: regular files only,
none outside the data root, links followed inside the archive, no archive that unpacks to far more than it holds."""

from __future__ import annotations

import posixpath
import shutil
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.data.downloads import Downloads, Refusal, Wanted, digests, stands
from harness.data.hub import matches, nothing_matches
from harness.errors import HarnessError
from harness.readers.archives import FAULTS, Archive, Member, decompress, open_archive
from harness.terminal import one_line

ARCHIVE_URL: Final = "https://codeload.github.com/{repository}/tar.gz/{commit}"
NEWEST: Final = "HEAD"
_NAMED: Final = 3  # refused members that are named, in so many columns
_WIDTH: Final = 400
STAGING: Final = ".fetch"  #: folder under the data root, gone when all is in its place


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What was taken out of a repository.

    Attributes:
        commit: full hash, as the archive itself says it; empty where it does not.
        files: path under the data root -> size in bytes and sha256.
    """

    commit: str
    files: dict[str, tuple[int, str]]


def take(
    downloads: Downloads,
    archive: tuple[str, str, tuple[str, ...]],
    root: Path,
    *,
    revision: str = "",
    begin: Callable[[str, Mapping[str, int]], None] = lambda _commit, _sizes: None,
) -> Taken:
    """Download a repository's archive and put the files that match into the data root, under their own paths.

    Args:
        downloads: does the downloading.
        archive: as `DataSource.archive` has it.
        root: the task's data root.
        revision: instead of the pinned commit; without either, the newest.
        begin: hears the commit and the size of each file before the first is written.

    Raises:
        HarnessError: it does not come, is damaged, is another commit, or holds nothing that matches.
    """
    repository, pinned, patterns = archive
    wanted = revision or pinned or NEWEST
    staging = root / STAGING
    packed, plain = staging / "archive.tar.gz", staging / "archive.tar"
    url = ARCHIVE_URL.format(repository=repository, commit=wanted)
    try:
        with downloads.meter.of(f"{repository} (archive)"):
            downloads.get(Wanted(path=packed.name, url=url), packed)
        decompress(packed, plain)
        commit = _commit(plain)
        if wanted != NEWEST and commit and not commit.startswith(wanted) and len(wanted) == len(commit):
            raise HarnessError(f"the archive of {repository} is of commit {commit}, not {wanted}", where=url)
        opened = open_archive(plain)
        if refused := _refused(plain, opened, patterns):
            downloads.meter.tell(f"warning: {repository}: {_named(refused)}")
        chosen = _chosen(opened, patterns, repository)
        begin(commit, {path: member.size for path, member in chosen.items()})
        return Taken(commit=commit, files=_unpacked(chosen, root))
    except Refusal as refusal:
        remedy = "see its commits, and name one with --revision" if refusal.status == 404 else "try again later"
        raise HarnessError(f"the archive of {repository} does not come: {refusal}", remedy=remedy) from None
    except FAULTS as fault:
        raise _damaged(repository, fault) from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _commit(tar: Path) -> str:
    """The commit that git writes into the head of an archive."""
    with tarfile.open(tar, "r:") as file:
        return str(file.pax_headers.get("comment", ""))


def _refused(tar: Path, archive: Archive, patterns: tuple[str, ...]) -> list[str]:
    """Members that are never written: all that lead out of the archive, and of those that are wanted all other."""
    with tarfile.open(tar, "r:") as file:
        names = [
            info.name for info in file if not info.isdir() and posixpath.normpath(info.name) not in archive.members
        ]
    outside = [name for name in names if posixpath.normpath(name).startswith(("/", ".."))]
    others = {name: "no regular file" for name in names if name not in outside}
    others |= {name: member.refused for name, member in archive.members.items() if member.refused}
    wanted = [name for name in others if matches(name.removeprefix(archive.top), patterns)]
    return [f"{name} (outside the archive)" for name in outside] + [f"{name} ({others[name]})" for name in wanted]


def _named(refused: Sequence[str]) -> str:
    more = f" and {len(refused) - _NAMED} more" if len(refused) > _NAMED else ""
    return one_line(f"refused {len(refused)} of the archive's members: {', '.join(refused[:_NAMED])}", _WIDTH) + more


def _chosen(archive: Archive, patterns: tuple[str, ...], name: str) -> dict[str, Member]:
    there = {path.removeprefix(archive.top): member for path, member in archive.members.items()}
    chosen = {path: member for path, member in there.items() if matches(path, patterns) and not member.refused}
    if not chosen:
        raise nothing_matches(name, patterns, list(there))
    return chosen


def _unpacked(chosen: Mapping[str, Member], root: Path) -> dict[str, tuple[int, str]]:
    files: dict[str, tuple[int, str]] = {}
    for path, member in chosen.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"{target.name}.new.part")
        part.write_bytes(member.read())
        sha256, _ = digests(part)
        files[path] = (member.size, sha256)
        if stands(Wanted(path=path, url="", kind="sha256", digest=sha256), target):
            part.unlink()  # a file that lies there already stays the one it is
        else:
            part.replace(target)
    return files


def _damaged(repository: str, fault: Exception) -> HarnessError:
    if isinstance(fault, OSError) and fault.filename:
        return HarnessError(f"cannot be written: {fault.strerror}", where=str(fault.filename))
    said = " ".join(str(fault).split()) or type(fault).__name__
    return HarnessError(f"the archive of {repository} came damaged: {said}", remedy="run the command again")
