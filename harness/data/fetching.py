"""Fetches a task's data: its hub set, its repository's archive, its files by address; and records the sources.

Each source is a separate part: if one fails, the others are still fetched, and a later command fetches the rest. A file
that is already the published one is not downloaded again.

A data root never holds two revisions unnoticed (`DataUpdate`). Before writing the first file of a part, the record
names all its files (`PendingDownload`). After the fetch, files that the part no longer holds are removed. A command
that ends in between leaves its note in the record: `harness data verify` reports it, and the next fetch repairs it. A
fetch removes only unchanged files that a fetch wrote.

Files of a GitHub repository are unpacked by the rules of the readers: regular files only, none outside the data root,
links followed inside the archive, no archive that unpacks to far more than its size.
"""

from __future__ import annotations

import hashlib
import posixpath
import shutil
import tarfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.contracts import DataSource
from harness.data import hub, provenance
from harness.data.built import find_built_set
from harness.data.downloads import (
    PATIENCE,
    DownloadProgress,
    Downloads,
    Refusal,
    RemoteFile,
    find_parts,
    format_bytes,
    hash_file,
    match_file,
)
from harness.data.hub import explain_no_match, matches
from harness.data.places import lock_folder
from harness.data.provenance import Part, PendingDownload, Provenance, SourceKind
from harness.data.transfer import Waits
from harness.errors import HarnessError
from harness.files import atomic_write
from harness.readers.archives import FAULTS, Archive, decompress, open_archive
from harness.readers.files import is_inside
from harness.text import one_line

if TYPE_CHECKING:
    import httpx

WORKERS: Final = 8  #: files at once
ARCHIVE_URL: Final = "https://codeload.github.com/{repository}/tar.gz/{commit}"
NEWEST: Final = "HEAD"
STAGING: Final = ".fetch"  #: temporary folder for an archive under the data root; removed after unpacking
_NAMED: Final = 3  # files to name in an error or a warning
_WIDTH: Final = 400


def fetch(task: str, source: DataSource, root: Path, progress: DownloadProgress, *, revision: str = "") -> Provenance:
    """Put a task's data into its root.

    Args:
        task: the task's name.
        source: where the data comes from.
        root: the task's data root; made if missing.
        progress: shows the progress.
        revision: replaces the pinned one: of the hub set, or of the repository if there is no hub set.

    Raises:
        HarnessError: a part could not be fetched (the others were); or the root holds a built set.
    """
    if built := find_built_set(root):
        raise HarnessError(
            f"the folder holds the set {built.name}, which was built and is not {task}",
            where=str(root),
            remedy=f"name another folder for {task}: -T {task}.data=DIR",
        )
    import httpx

    failed: list[HarnessError] = []
    with lock_folder(root), httpx.Client(timeout=PATIENCE) as client:
        update = DataUpdate(root, replace(provenance.read(root), task=task, licence=source.licence))
        for fetch_part in _Fetch(source, root, revision, client, progress, update).parts():
            try:
                fetch_part()
            except HarnessError as error:
                failed.append(error)
    if len(failed) > 1:
        remedies = dict.fromkeys(error.remedy for error in failed if error.remedy)
        raise HarnessError("; ".join(error.what for error in failed), remedy="\n  ".join(remedies))
    if failed:
        raise failed[0]
    return update.record


class _Fetch:
    """Fetches the parts of one source."""

    def __init__(
        self,
        source: DataSource,
        root: Path,
        revision: str,
        client: httpx.Client,
        progress: DownloadProgress,
        update: DataUpdate,
    ) -> None:
        self._source = source
        self._root = root
        self._revision = revision
        self._client = client
        self._progress = progress
        self._update = update

    def parts(self) -> Iterator[Callable[[], None]]:
        """A call for each part, in order."""
        if self._source.hub:
            yield self._fetch_hub
        if self._source.archive is not None:
            yield partial(self._fetch_archive, self._source.archive)
        for path, url, md5 in self._source.urls:
            yield partial(self._fetch_url, RemoteFile(path=path, url=url, kind="md5" if md5 else "", digest=md5))

    def _fetch_hub(self) -> None:
        listing = hub.list_files(self._source, Waits(self._progress.tell), self._revision)
        missing = (file for file in listing.files if not (self._root / file.path).is_file())
        needed, free = sum(file.size or 0 for file in missing), shutil.disk_usage(self._root).free
        if needed > free:
            what = f"{format_bytes(needed)} are needed and {format_bytes(free)} are free"
            raise HarnessError(what, where=str(self._root), remedy="make room, or name another folder with --data DIR")
        sizes = {file.path: file.size for file in listing.files}
        names = (self._source.hub, *self._source.mirrors)
        pending = PendingDownload(kind="hub", name=listing.name, revision=listing.commit, files=sizes)
        self._update.begin(pending, names)
        with self._progress.of(listing.name, sum(file.size or 0 for file in listing.files)):
            try:
                files = self._download(listing.files)
            except Refusal as refusal:
                raise hub.refusal_error(refusal, listing.name, self._source) from None
        self._update.end(_new_part("hub", listing.name, listing.commit, files))

    def _fetch_archive(self, archive: tuple[str, str, tuple[str, ...]]) -> None:
        name, pinned, _ = archive
        revision = "" if self._source.hub else self._revision

        def begin(commit: str, sizes: Mapping[str, int]) -> None:
            self._update.begin(PendingDownload(kind="archive", name=name, revision=commit, files=sizes))

        there = self._find_unchanged_part("archive", name)
        if there is not None and there.revision and there.revision == (revision or pinned):
            self._keep(there)
            return
        downloads = Downloads(self._client, self._progress)
        commit, files = fetch_archive(downloads, archive, self._root, revision=revision, begin=begin)
        self._update.end(_new_part("archive", name, commit, files))

    def _fetch_url(self, file: RemoteFile) -> None:
        there = None if file.digest else self._find_unchanged_part("url", file.url)
        if there is not None:
            self._keep(there)
            return
        self._update.begin(PendingDownload(kind="url", name=file.url, revision="", files={file.path: file.size}))
        with self._progress.of(file.path):
            try:
                self._update.end(_new_part("url", file.url, "", self._download([file])))
            except Refusal as refusal:
                raise HarnessError(f"{file.path} cannot be downloaded: {refusal}", remedy="try again later") from None

    def _keep(self, part: Part) -> None:
        """Keep a part, but remove leftovers of an unfinished fetch of another revision."""
        sizes = {path: size for path, (size, _) in part.files.items()}
        self._update.begin(PendingDownload(kind=part.kind, name=part.name, revision=part.revision, files=sizes))
        self._update.end(part)

    def _find_unchanged_part(self, kind: SourceKind, name: str) -> Part | None:
        """The part fetched from there before, if its files are unchanged."""
        part = next((part for part in self._update.record.parts if (part.kind, part.name) == (kind, name)), None)
        if part is None:
            return None
        found = provenance.find_differences(self._root, part.files)
        return None if found.missing or found.changed else part

    def _download(self, files: Iterable[RemoteFile]) -> dict[str, tuple[int, str]]:
        """Download several files at once; the first failure stops the others."""
        downloads = Downloads(self._client, self._progress)
        with ThreadPoolExecutor(WORKERS) as pool:
            try:
                paths = {pool.submit(downloads.get, file, self._root / file.path): file.path for file in files}
                done = {paths[future]: future.result() for future in as_completed(paths)}
            except BaseException:
                downloads.stop()
                pool.shutdown(cancel_futures=True)
                raise
        return {path: ((self._root / path).stat().st_size, sha256) for path, sha256 in done.items()}


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
            raise explain_no_match(repository, patterns, list(members))
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
        raise HarnessError(f"the archive of {repository} cannot be downloaded: {refusal}", remedy=remedy) from None
    except (*FAULTS, tarfile.TarError) as fault:
        if isinstance(fault, OSError) and fault.filename:
            raise HarnessError(f"cannot be written: {fault.strerror}", where=str(fault.filename)) from None
        reason = " ".join(str(fault).split()) or type(fault).__name__
        what = f"the archive of {repository} arrived damaged: {reason}"
        raise HarnessError(what, remedy="run the command again") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return commit, files


def _list_refused(names: list[str], archive: Archive, patterns: tuple[str, ...]) -> list[str]:
    """Members that are never written: those that lead out of the archive, and matching ones that are not files."""
    unknown = [name for name in names if name not in archive.members]
    outside = [name for name in unknown if name.startswith(("/", ".."))]
    others = {name: "no regular file" for name in unknown if name not in outside}
    others |= {name: member.refused for name, member in archive.members.items() if member.refused}
    matching = [name for name in others if matches(name.removeprefix(archive.top), patterns)]
    return [f"{name} (outside the archive)" for name in outside] + [f"{name} ({others[name]})" for name in matching]


def _new_part(kind: SourceKind, name: str, revision: str, files: provenance.Files) -> Part:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Part(kind=kind, name=name, revision=revision, fetched=now, files=files)


class DataUpdate:
    """Updates a root part by part: `begin` before anything is written, `end` when all of it is there.

    Attributes:
        record: the current record of the root, equal to the one on disk.
    """

    def __init__(self, root: Path, record: Provenance) -> None:
        self.record = record
        self._root = root
        self._former: list[Part] = []  # what came from the same place before
        self._stale: list[str] = []
        self._found: dict[str, tuple[int, int]] = {}

    def begin(self, pending: PendingDownload, aliases: Collection[str] = ()) -> None:
        """Record what will come.

        Args:
            pending: all of it.
            aliases: other names of the same place.

        Raises:
            HarnessError: a file of what was there before would have to go, and is not as a fetch wrote it.
        """
        names = {pending.name, *aliases}
        self._former = [part for part in self.record.parts if part.kind == pending.kind and part.name in names]
        notes = [note for note in self.record.coming if note.kind == pending.kind and note.name in names]
        noted = {path: size for note in notes for path, size in note.files.items()}  # by a fetch that did not end
        former = {path for part in self._former for path in part.files} | set(noted)
        others = {path for part in self.record.parts if part not in self._former for path in part.files}
        self._stale = sorted(path for path in former - set(pending.files) - others if is_inside(path))
        foreign = [path for path in self._stale if not self._is_as_written(path, noted)]
        if foreign:
            named = ", ".join(foreign[:_NAMED])
            more = f" and {len(foreign) - _NAMED} more" if len(foreign) > _NAMED else ""
            raise HarnessError(
                "the folder holds files of another revision that were put here by hand or changed since: "
                f"{named}{more}",
                where=str(self._root),
                remedy="move them away or delete them, or fetch into another folder with --data DIR",
            )
        written = {path for part in self._former for path in part.files if path not in part.found} | set(noted)
        there = {path: _stamp(self._root / path) for path in pending.files if path not in written}
        self._found = {path: stamp for path, stamp in there.items() if stamp}
        ours = {path: size for path, size in pending.files.items() if path not in self._found}
        note = replace(pending, files={**noted, **ours})
        self.record = replace(self.record, coming=(*(each for each in self.record.coming if each not in notes), note))
        self.record.write(self._root)

    def end(self, part: Part) -> None:
        """Record that the part is complete: it replaces the former part from there."""
        for path in self._stale:
            _remove(self._root, path)
        found = frozenset(path for path, stamp in self._found.items() if stamp == _stamp(self._root / path))
        record = self.record.with_part(replace(part, found=found), instead_of=self._former)
        self.record = replace(record, coming=tuple(note for note in record.coming if note.name != part.name))
        self.record.write(self._root)

    def _is_as_written(self, path: str, noted: Mapping[str, int | None]) -> bool:
        """Whether what lies there is what a fetch wrote, or nothing; of an unfinished fetch only the size is known."""
        target = self._root / path
        if not target.is_file():
            return not target.exists()
        if not target.resolve().is_relative_to(self._root.resolve()):
            return False  # a link of the user's leads out
        size = target.stat().st_size
        for part in self._former:
            if path in part.files and path not in part.found:
                known_size, sha256 = part.files[path]
                if size == known_size and hash_file(target)[0] == sha256:
                    return True
        return path in noted and noted[path] in (None, size)


def _stamp(path: Path) -> tuple[int, int] | None:
    """A stamp that changes when a file is rewritten; None for no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _remove(root: Path, path: str) -> None:
    """Delete a file with its parts, and folders that become empty."""
    target = root / path
    for part in (target, *find_parts(target)):
        part.unlink(missing_ok=True)
    for folder in target.parents:
        if folder == root:
            return
        with suppress(OSError):
            folder.rmdir()
