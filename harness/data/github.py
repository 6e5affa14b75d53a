"""Files of a GitHub repository at one commit, out of its archive and by the rules of the readers: regular files only,
none outside the data root, links followed inside the archive, no archive that unpacks to far more than it holds."""

from __future__ import annotations

import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.data.downloads import Downloads, Refusal, Wanted, digests
from harness.data.hub import matches, nothing_matches
from harness.errors import HarnessError
from harness.readers.archives import FAULTS, Archive, decompress, open_archive

ARCHIVE_URL: Final = "https://codeload.github.com/{repository}/tar.gz/{commit}"
NEWEST: Final = "HEAD"
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


def take(downloads: Downloads, archive: tuple[str, str, tuple[str, ...]], root: Path, *, revision: str = "") -> Taken:
    """Download a repository's archive and put the files that match into the data root, under their own paths.

    Args:
        downloads: does the downloading.
        archive: as `DataSource.archive` has it.
        root: the task's data root.
        revision: instead of the pinned commit; without either, the newest.

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
        return Taken(commit=commit, files=_unpacked(open_archive(plain), patterns, root, repository))
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


def _unpacked(archive: Archive, patterns: tuple[str, ...], root: Path, name: str) -> dict[str, tuple[int, str]]:
    there = {path.removeprefix(archive.top): member for path, member in archive.members.items()}
    chosen = {path: member for path, member in there.items() if matches(path, patterns) and not member.refused}
    if not chosen:
        raise nothing_matches(name, patterns, list(there))
    files: dict[str, tuple[int, str]] = {}
    for path, member in chosen.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + ".part")
        part.write_bytes(member.read())
        files[path] = (member.size, digests(part)[0])
        part.replace(target)
    return files


def _damaged(repository: str, fault: Exception) -> HarnessError:
    if isinstance(fault, OSError) and fault.filename:
        return HarnessError(f"cannot be written: {fault.strerror}", where=str(fault.filename))
    said = " ".join(str(fault).split()) or type(fault).__name__
    return HarnessError(f"the archive of {repository} came damaged: {said}", remedy="run the command again")
