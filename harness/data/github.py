"""Files of a GitHub repository at one commit, out of its archive and by the rules of the readers: regular files only,
none outside the data root, links followed inside the archive, no archive that unpacks to far more than it holds."""

from __future__ import annotations

import hashlib
import posixpath
import shutil
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from harness.data.downloads import Downloads, Refusal, RemoteFile, match_file
from harness.data.hub import matches, nothing_matches_error
from harness.errors import HarnessError
from harness.files import atomic_write
from harness.readers.archives import FAULTS, Archive, decompress, open_archive
from harness.text import one_line

ARCHIVE_URL: Final = "https://codeload.github.com/{repository}/tar.gz/{commit}"
NEWEST: Final = "HEAD"
STAGING: Final = ".fetch"  #: folder under the data root, gone when all is in its place
_NAMED: Final = 3  # refused members that are named, in so many columns
_WIDTH: Final = 400


def fetch_archive(
    downloads: Downloads,
    archive: tuple[str, str, tuple[str, ...]],
    root: Path,
    *,
    revision: str = "",
    begin: Callable[[str, Mapping[str, int]], None] = lambda _commit, _sizes: None,
) -> tuple[str, dict[str, tuple[int, str]]]:
    """Download a repository's archive and put the files that match into the data root, under their own paths.

    Args:
        downloads: does the downloading.
        archive: as `DataSource.archive` has it.
        root: the task's data root.
        revision: instead of the pinned commit; without either, the newest.
        begin: is called with the commit and the size of each file before the first is written.

    Returns:
        The commit as the archive itself names it, empty where it does not; path under the data root -> size in bytes
        and sha256.

    Raises:
        HarnessError: it does not come, is damaged, is another commit, or holds nothing that matches.
    """
    repository, pinned, patterns = archive
    wanted = revision or pinned or NEWEST
    staging = root / STAGING
    packed, plain = staging / "archive.tar.gz", staging / "archive.tar"
    url = ARCHIVE_URL.format(repository=repository, commit=wanted)
    try:
        with downloads.progress.of(f"{repository} (archive)"):
            downloads.get(RemoteFile(path=packed.name, url=url), packed)
        decompress(packed, plain)
        with tarfile.open(plain, "r:") as file:
            commit = str(file.pax_headers.get("comment", ""))  # git writes it into the head of an archive
            names = [posixpath.normpath(info.name) for info in file if not info.isdir()]
        if wanted != NEWEST and commit and not commit.startswith(wanted) and len(wanted) == len(commit):
            raise HarnessError(f"the archive of {repository} is of commit {commit}, not {wanted}", where=url)
        opened = open_archive(plain)
        refused = _list_refused(names, opened, patterns)
        if refused:
            more = f" and {len(refused) - _NAMED} more" if len(refused) > _NAMED else ""
            line = f"refused {len(refused)} of the archive's members: {', '.join(refused[:_NAMED])}"
            downloads.progress.tell(f"warning: {repository}: {one_line(line, _WIDTH)}{more}")
        members = {path.removeprefix(opened.top): member for path, member in opened.members.items()}
        chosen = {path: each for path, each in members.items() if matches(path, patterns) and not each.refused}
        if not chosen:
            raise nothing_matches_error(repository, patterns, list(members))
        begin(commit, {path: member.size for path, member in chosen.items()})
        files: dict[str, tuple[int, str]] = {}
        for path, member in chosen.items():
            data = member.read()
            sha256 = hashlib.sha256(data).hexdigest()
            files[path] = (member.size, sha256)
            # A file that lies there already stays the one it is.
            if not match_file(RemoteFile(path=path, url="", kind="sha256", digest=sha256), root / path):
                target = root / path
                atomic_write(target, data, sync=False, scratch=target.with_name(f"{target.name}.new.part"))
    except Refusal as refusal:
        remedy = "see its commits, and name one with --revision" if refusal.status == 404 else "try again later"
        raise HarnessError(f"the archive of {repository} does not come: {refusal}", remedy=remedy) from None
    except FAULTS as fault:
        if isinstance(fault, OSError) and fault.filename:
            raise HarnessError(f"cannot be written: {fault.strerror}", where=str(fault.filename)) from None
        reason = " ".join(str(fault).split()) or type(fault).__name__
        what = f"the archive of {repository} came damaged: {reason}"
        raise HarnessError(what, remedy="run the command again") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return commit, files


def _list_refused(names: list[str], archive: Archive, patterns: tuple[str, ...]) -> list[str]:
    """Members that are never written: all that lead out of the archive, and matching ones that are no regular files."""
    unknown = [name for name in names if name not in archive.members]
    outside = [name for name in unknown if name.startswith(("/", ".."))]
    others = {name: "no regular file" for name in unknown if name not in outside}
    others |= {name: member.refused for name, member in archive.members.items() if member.refused}
    matching = [name for name in others if matches(name.removeprefix(archive.top), patterns)]
    return [f"{name} (outside the archive)" for name in outside] + [f"{name} ({others[name]})" for name in matching]
