"""Copies finished run folders to an address, and fetches shards from one: see `harness.remote`."""

from __future__ import annotations

import shlex
from pathlib import Path

from harness.errors import HarnessError
from harness.keys import digest
from harness.remote import Uploaded, fetch_folder, join_address, list_copies, show_address, upload_folder
from harness.store.folder import RunFolder
from harness.store.shards import SHARDS, is_shard_name

_FETCHED = ".fetched"


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
        target = folder / SHARDS / name
        mark = folder / SHARDS / f"{_FETCHED}-{name}"
        if target.exists() and not mark.exists():
            raise HarnessError(
                "this shard was made here, so it is not replaced by a copy",
                where=str(target),
                remedy=f"give another --output, or merge the shards of this machine: harness merge {_quote(folder)}",
            )
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
        fetch_folder(join_address(url, SHARDS, name), target)


def _quote(folder: Path) -> str:
    return shlex.quote(str(folder))
