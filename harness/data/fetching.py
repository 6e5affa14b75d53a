"""Fetch what a task reads: its hub set, its repository's archive, its files by address; and record where it came from.

Each of them is a part and stands alone: where one does not come the others do, and a later command fetches what is
missing. What is there already and is what was published is not downloaded again.

A data root never holds two revisions unnoticed (`DataUpdate`). Before the first file of a part is written, the record
names all that will come (`PendingDownload`). When it has come, the files that the part held before and holds no more
are removed. A command that ends in between leaves its note in the record: `harness data verify` reports it, and the
next fetch repairs it. Only what a fetch wrote is removed, and only as it wrote it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.contracts import DataSource
from harness.data import github, hub, provenance
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
)
from harness.data.places import lock_folder
from harness.data.provenance import Part, PendingDownload, Provenance, SourceKind
from harness.data.transfer import Waits
from harness.errors import BadImage, HarnessError
from harness.readers.files import inside

if TYPE_CHECKING:
    import httpx

WORKERS: Final = 8  #: files at once
_NAMED: Final = 3  # files that are in the way, named in the error


def fetch(task: str, source: DataSource, root: Path, progress: DownloadProgress, *, revision: str = "") -> Provenance:
    """Put a task's data into its root.

    Args:
        task: name.
        source: where it comes from.
        root: the task's data root, made where it is missing.
        progress: shows how far it is.
        revision: instead of the pinned one: of the hub set, or of the repository where there is no hub set.

    Raises:
        HarnessError: a part did not come, while the others are there all the same; or the root holds a built set.
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

        there = self._unchanged_part("archive", name)
        if there is not None and there.revision and there.revision == (revision or pinned):
            self._keep(there)
            return
        downloads = Downloads(self._client, self._progress)
        commit, files = github.fetch_archive(downloads, archive, self._root, revision=revision, begin=begin)
        self._update.end(_new_part("archive", name, commit, files))

    def _fetch_url(self, file: RemoteFile) -> None:
        there = None if file.digest else self._unchanged_part("url", file.url)
        if there is not None:
            self._keep(there)
            return
        self._update.begin(PendingDownload(kind="url", name=file.url, revision="", files={file.path: file.size}))
        with self._progress.of(file.path):
            try:
                self._update.end(_new_part("url", file.url, "", self._download([file])))
            except Refusal as refusal:
                raise HarnessError(f"{file.path} does not come: {refusal}", remedy="try again later") from None

    def _keep(self, part: Part) -> None:
        """Keep a part, without what an unfinished fetch of another revision left next to it."""
        sizes = {path: size for path, (size, _) in part.files.items()}
        self._update.begin(PendingDownload(kind=part.kind, name=part.name, revision=part.revision, files=sizes))
        self._update.end(part)

    def _unchanged_part(self, kind: SourceKind, name: str) -> Part | None:
        """The part that came from there before, if its files are still as they came."""
        part = next((part for part in self._update.record.parts if (part.kind, part.name) == (kind, name)), None)
        if part is None:
            return None
        found = provenance.find_differences(self._root, part.files)
        return None if found.missing or found.changed else part

    def _download(self, files: Iterable[RemoteFile]) -> dict[str, tuple[int, str]]:
        """Download several at once; the first that fails ends the others."""
        downloads = Downloads(self._client, self._progress)
        with ThreadPoolExecutor(WORKERS) as pool:
            paths = {pool.submit(downloads.get, file, self._root / file.path): file.path for file in files}
            try:
                done = {paths[future]: future.result() for future in as_completed(paths)}
            except BaseException:
                downloads.stop()
                pool.shutdown(cancel_futures=True)
                raise
        return {path: ((self._root / path).stat().st_size, sha256) for path, sha256 in done.items()}


def _new_part(kind: SourceKind, name: str, revision: str, files: provenance.Files) -> Part:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Part(kind=kind, name=name, revision=revision, fetched=now, files=files)


class DataUpdate:
    """Updates a root part by part: `begin` before anything is written, `end` when all of it is there.

    Attributes:
        record: what is known of the root now; the record on disk says the same.
    """

    def __init__(self, root: Path, record: Provenance) -> None:
        self.record = record
        self._root = root
        self._former = _FormerFiles(root=root, parts=(), notes=())
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
        parts = [part for part in self.record.parts if part.kind == pending.kind and part.name in names]
        notes = [note for note in self.record.coming if note.kind == pending.kind and note.name in names]
        self._former = former = _FormerFiles(root=self._root, parts=parts, notes=notes)
        others = {path for part in self.record.parts if part not in parts for path in part.files}
        self._stale = sorted(path for path in former.paths - set(pending.files) - others if _is_inside(path))
        foreign = [path for path in self._stale if not former.is_as_written(path)]
        if foreign:
            named = ", ".join(foreign[:_NAMED])
            more = f" and {len(foreign) - _NAMED} more" if len(foreign) > _NAMED else ""
            raise HarnessError(
                "the folder holds files of another revision that were put here by hand or changed since: "
                f"{named}{more}",
                where=str(self._root),
                remedy="move them away or delete them, or fetch into another folder with --data DIR",
            )
        there = {path: _stamp(self._root / path) for path in pending.files if path not in former.written}
        self._found = {path: stamp for path, stamp in there.items() if stamp}
        ours = {path: size for path, size in pending.files.items() if path not in self._found}
        note = replace(pending, files={**former.noted, **ours})
        self.record = replace(self.record, coming=(*(each for each in self.record.coming if each not in notes), note))
        self.record.write(self._root)

    def end(self, part: Part) -> None:
        """The part has come: it takes the place of what came from there before."""
        for path in self._stale:
            _remove(self._root, path)
        found = frozenset(path for path, stamp in self._found.items() if stamp == _stamp(self._root / path))
        record = self.record.with_part(replace(part, found=found), instead_of=self._former.parts)
        self.record = replace(record, coming=tuple(note for note in record.coming if note.name != part.name))
        self.record.write(self._root)


@dataclass(frozen=True, slots=True, kw_only=True)
class _FormerFiles:
    """What came from one place before: whole parts, and what a fetch that did not end was about to bring."""

    root: Path
    parts: Sequence[Part]
    notes: Sequence[PendingDownload]

    @property
    def noted(self) -> Mapping[str, int | None]:
        return {path: size for note in self.notes for path, size in note.files.items()}

    @property
    def written(self) -> set[str]:
        """What a fetch wrote, or was about to."""
        return {path for part in self.parts for path in part.files if path not in part.found} | set(self.noted)

    @property
    def paths(self) -> set[str]:
        return {path for part in self.parts for path in part.files} | set(self.noted)

    def is_as_written(self, path: str) -> bool:
        """Whether what lies there is what a fetch wrote, or nothing; of an unfinished fetch only the size is known."""
        target = self.root / path
        if not target.is_file():
            return not target.exists()
        if not target.resolve().is_relative_to(self.root.resolve()):
            return False  # a link of the user's leads out
        size = target.stat().st_size
        for part in self.parts:
            if path in part.files and path not in part.found:
                known_size, sha256 = part.files[path]
                if size == known_size and hash_file(target)[0] == sha256:
                    return True
        return path in self.noted and self.noted[path] in (None, size)


def _is_inside(path: str) -> bool:
    """Whether a path of the record lies under the root: the record may be somebody else's."""
    try:
        return bool(inside(path))
    except BadImage:
        return False


def _stamp(path: Path) -> tuple[int, int] | None:
    """What changes when a file is written anew; None for no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _remove(root: Path, path: str) -> None:
    """Delete a file with its parts, and the folders that this leaves empty."""
    target = root / path
    for part in (target, *find_parts(target)):
        part.unlink(missing_ok=True)
    for folder in target.parents:
        if folder == root:
            return
        with suppress(OSError):
            folder.rmdir()
