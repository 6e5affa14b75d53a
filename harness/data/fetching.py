"""Fetch what a task reads: its hub set, its repository's archive, its files by address; then say where all came from.

Each of them is a part and stands alone: where one does not come the others do, and a later command takes what is
missing. What is there already and is what was published is not downloaded again; what another revision left is taken
away, see `harness.data.renewal`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.contracts import DataSource
from harness.data import github, hub, provenance
from harness.data.built import built
from harness.data.downloads import PATIENCE, Downloads, Refusal, Wanted
from harness.data.holding import held
from harness.data.meter import Meter, spelled
from harness.data.provenance import Coming, Kind, Part, Provenance
from harness.data.renewal import Renewal
from harness.data.waiting import Waits
from harness.errors import HarnessError

if TYPE_CHECKING:
    import httpx

WORKERS: Final = 8  #: files at once


def fetch(task: str, source: DataSource, root: Path, meter: Meter, *, revision: str = "") -> Provenance:
    """Put a task's data into its root.

    Args:
        task: name.
        source: where it comes from.
        root: the task's data root, made where it is not there.
        meter: shows how far it is.
        revision: instead of the pinned one: of the hub set, or of the repository where there is no hub set.

    Raises:
        HarnessError: a part did not come, while the others are there all the same; or the root holds a set that was
            built.
    """
    if made := built(root):
        raise HarnessError(
            f"the folder holds the set {made.name}, which was built and is not {task}",
            where=str(root),
            remedy=f"name another folder for {task}: -T {task}.data=DIR",
        )
    import httpx

    failed: list[HarnessError] = []
    with held(root), httpx.Client(timeout=PATIENCE) as client:
        renewal = Renewal(root, replace(provenance.read(root), task=task, licence=source.licence))
        for step in _Fetching(source, root, revision, client, meter, renewal).steps():
            try:
                step()
            except HarnessError as error:
                failed.append(error)
    if failed:
        raise _together(failed)
    return renewal.record


class _Fetching:
    """The parts of one source, each of them a step."""

    def __init__(
        self, source: DataSource, root: Path, revision: str, client: httpx.Client, meter: Meter, renewal: Renewal
    ) -> None:
        self._source = source
        self._root = root
        self._revision = revision
        self._client = client
        self._meter = meter
        self._renewal = renewal

    def steps(self) -> Iterator[Callable[[], None]]:
        """In order; none is taken before the one before it has ended."""
        if self._source.hub:
            yield self._hub
        if self._source.archive is not None:
            yield partial(self._archive, self._source.archive)
        for path, url, md5 in self._source.urls:
            yield partial(self._url, Wanted(path=path, url=url, kind="md5" if md5 else "", digest=md5))

    def _hub(self) -> None:
        found = hub.listing(self._source, Waits(self._meter.tell), self._revision)
        _check_room(self._root, found.files)
        sizes = {wanted.path: wanted.size for wanted in found.files}
        names = (self._source.hub, *self._source.mirrors)
        self._renewal.begin(Coming(kind="hub", name=found.name, revision=found.commit, files=sizes), names)
        with self._meter.of(found.name, sum(wanted.size or 0 for wanted in found.files)):
            try:
                files = self._downloaded(found.files)
            except Refusal as refusal:
                raise hub.refused(refusal, found.name, self._source) from None
        self._renewal.end(_part("hub", found.name, found.commit, files))

    def _archive(self, archive: tuple[str, str, tuple[str, ...]]) -> None:
        name, pinned, _ = archive
        revision = "" if self._source.hub else self._revision

        def begin(commit: str, sizes: Mapping[str, int]) -> None:
            self._renewal.begin(Coming(kind="archive", name=name, revision=commit, files=sizes))

        there = self._as_before("archive", name)
        if there is not None and there.revision and there.revision == (revision or pinned):
            self._kept(there)
            return
        downloads = Downloads(self._client, self._meter)
        taken = github.take(downloads, archive, self._root, revision=revision, begin=begin)
        self._renewal.end(_part("archive", name, taken.commit, taken.files))

    def _url(self, wanted: Wanted) -> None:
        there = None if wanted.digest else self._as_before("url", wanted.url)
        if there is not None:
            self._kept(there)
            return
        self._renewal.begin(Coming(kind="url", name=wanted.url, revision="", files={wanted.path: wanted.size}))
        with self._meter.of(wanted.path):
            try:
                self._renewal.end(_part("url", wanted.url, "", self._downloaded([wanted])))
            except Refusal as refusal:
                raise HarnessError(f"{wanted.path} does not come: {refusal}", remedy="try again later") from None

    def _kept(self, part: Part) -> None:
        """A part that stays, without what a fetch of another revision that did not end left beside it."""
        sizes = {path: size for path, (size, _) in part.files.items()}
        self._renewal.begin(Coming(kind=part.kind, name=part.name, revision=part.revision, files=sizes))
        self._renewal.end(part)

    def _as_before(self, kind: Kind, name: str) -> Part | None:
        """The part that came from there before, where its files are still as they came."""
        part = next((part for part in self._renewal.record.parts if (part.kind, part.name) == (kind, name)), None)
        if part is None:
            return None
        found = provenance.differences(self._root, part.files)
        return None if found.missing or found.changed else part

    def _downloaded(self, files: Iterable[Wanted]) -> dict[str, tuple[int, str]]:
        """Several at once; the first that fails ends the others."""
        downloads = Downloads(self._client, self._meter)
        with ThreadPoolExecutor(WORKERS) as pool:
            paths = {pool.submit(downloads.get, wanted, self._root / wanted.path): wanted.path for wanted in files}
            try:
                done = {paths[future]: future.result() for future in as_completed(paths)}
            except BaseException:
                downloads.stop()
                pool.shutdown(cancel_futures=True)
                raise
        return {path: ((self._root / path).stat().st_size, sha256) for path, sha256 in done.items()}


def _together(failed: list[HarnessError]) -> HarnessError:
    if len(failed) == 1:
        return failed[0]
    remedies = dict.fromkeys(error.remedy for error in failed if error.remedy)
    return HarnessError("; ".join(error.what for error in failed), remedy="\n  ".join(remedies))


def _check_room(root: Path, files: Iterable[Wanted]) -> None:
    needed = sum(wanted.size or 0 for wanted in files if not (root / wanted.path).is_file())
    free = shutil.disk_usage(root).free
    if needed > free:
        what = f"{spelled(needed)} are needed and {spelled(free)} are free"
        raise HarnessError(what, where=str(root), remedy="make room, or name another folder with --data DIR")


def _part(kind: Kind, name: str, revision: str, files: provenance.Files) -> Part:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Part(kind=kind, name=name, revision=revision, fetched=now, files=files)
