"""Copies finished run folders to an address, and fetches shards from one: see `harness.remote`."""

from __future__ import annotations

import os
import shlex
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from harness.errors import HarnessError
from harness.files import atomic_write
from harness.keys import digest
from harness.remote import (
    Uploaded,
    fetch_folder,
    join_address,
    list_copies,
    measure_folder,
    show_address,
    upload_folder,
)
from harness.store.folder import RunFolder
from harness.store.shards import SHARDS, is_shard_name

_FETCHED: Final = ".fetched"  # in a shard's folder: a hash of what was fetched


def upload_run(folder: Path, url: str) -> Uploaded:
    """Copy a run folder to an address, or a shard to its place below it. The folder is only read.

    Raises HarnessError: as `harness.remote.upload_folder`; the remedy says that the run itself is safe.
    """
    file = RunFolder(folder).load_run()
    address = url if file.part is None else join_address(url, SHARDS, folder.name)
    # how a run began tells it from others of its model; of a merged run, earlier entries may come into the history
    began = [file.started, *(() if file.merged or not file.history else file.history[0].command)]
    of = digest({"identity": dict(file.identity), "began": began, "shard": list(file.part or ())})
    try:
        return upload_folder(folder, address, of=of)
    except HarnessError as error:
        again = f"the run itself is whole in {folder}: the same command uploads it again and asks nothing twice"
        error.remedy = "\n  ".join(filter(None, (error.remedy, again)))
        raise


def fetch_shards(url: str, folder: Path) -> None:
    """Fetch the shards of a run from an address into a local folder, where they can be merged.

    Raises HarnessError: there are none, one is not whole, or a shard of the local folder would be replaced.
    """
    names = [name for name in list_copies(url, SHARDS) if is_shard_name(name)]  # an object's key may hold `..`
    if not names:
        raise HarnessError(
            "there are no copies of shards here",
            where=show_address(url),
            remedy="give the address that --upload of the shards named",
        )
    for name in names:
        _fetch_shard(join_address(url, SHARDS, name), folder / SHARDS / name, folder)


def _fetch_shard(url: str, target: Path, folder: Path) -> None:
    """Put the copy of a shard into its place in one step; a fetch that breaks off leaves what is there.

    Raises HarnessError: the shard was made or went on here, or a process writes to it.
    """
    scratch, old = (target.with_name(f".{what}-{target.name}") for what in ("fetching", "replaced"))
    with ExitStack() as stack:
        if target.exists():
            mark = target / _FETCHED
            fetched = mark.read_text(encoding="ascii") if mark.exists() else ""
            if fetched:
                stack.enter_context(RunFolder(target).hold_alone())
            if fetched != measure_folder(target):
                what = "was fetched and has been changed here since" if fetched else "was made here"
                raise HarnessError(
                    f"this shard {what}, so it is not replaced by a copy",
                    where=str(target),
                    remedy="give another --output, or merge the shards of this machine: "
                    f"harness merge {shlex.quote(str(folder))}",
                )
            if not scratch.exists():  # what has not changed is not fetched again
                shutil.copytree(target, scratch, copy_function=_link, ignore=shutil.ignore_patterns(".*"))
        fetch_folder(url, scratch)
        atomic_write(scratch / _FETCHED, measure_folder(scratch))
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)
            target.rename(old)
        scratch.rename(target)
        shutil.rmtree(old, ignore_errors=True)


def _link(source: str, target: str) -> None:
    """Make a second name of a file; a copy where the disk has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
