"""A task file for a data set of the hub: its list of files is read, and one of them is fetched to look at."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from harness.contracts import DataSource
from harness.data.downloads import DownloadProgress, format_bytes
from harness.data.fetching import fetch
from harness.data.hub import Listing, list_files
from harness.data.transfer import Waits
from harness.errors import HarnessError
from harness.readers.tables import suffix
from harness.task_files.draft import Draft, Guess
from harness.task_files.table_draft import draft_table

HUB: Final = "hub:"  #: in front of OWNER/NAME, where a file is expected
LOOKED_AT: Final = 1 << 29  #: most bytes of the file that is fetched to look at
_SPLITS: Final = ("test", "val", "dev", "train")  #: in the order in which they are asked
_SHARD: Final = re.compile(r"-\d{5}-of-\d{5}")
_OTHERS: Final = re.compile(r"(?:^|/)(?:dataset_infos?|config|metadata|package|\.[^/]*)\.jsonl?$")


def draft_from_hub(
    task: str, reference: str, root: Path, progress: DownloadProgress, tell: Callable[[str], None]
) -> Draft:
    """The task file for `OWNER/NAME` or `OWNER/NAME@REVISION`, pinned to the commit that was looked at.

    Args:
        task: the task's name.
        reference: of the set.
        root: the task's data root, into which the file is fetched.
        progress: shows the download.
        tell: takes a line for the user.

    Raises:
        HarnessError: the hub does not give it, it holds no table, or its tables are too large to look at.
    """
    name, _, revision = reference.partition("@")
    listing = list_files(DataSource(hub=name), Waits(tell), revision)
    tables = [file for file in listing.files if suffix(file.path) and not _OTHERS.search(file.path)]
    if not tables:
        raise HarnessError(
            f"{name} holds no table", remedy="known kinds: CSV, TSV, JSON, JSON lines, parquet and Excel"
        )
    chosen = min(tables, key=lambda file: (_rank(file.path), file.path))
    if (chosen.size or 0) > LOOKED_AT:
        size = format_bytes(chosen.size or 0)
        raise HarnessError(f"{chosen.path} of {name} has {size}", remedy="fetch it by hand, and give --from FILE")
    source = DataSource(hub=name, revision=listing.commit, files=(chosen.path,))
    fetch(task, source, root, progress)
    pattern = _SHARD.sub("-*", chosen.path)
    data = {"hub": name, "revision": listing.commit, "files": pattern}
    draft = draft_table(root, chosen.path, data)
    guess = Guess(
        key="data.files", value=pattern, why=f"of {len(tables)} tables; the others: {_name_others(listing, pattern)}"
    )
    notes = [f"{chosen.path} was fetched to look at; the rest comes by: harness data fetch FILE.yaml"]
    return replace(draft, guesses=(guess, *draft.guesses), notes=(*notes, *draft.notes))


def _rank(path: str) -> int:
    """Which split a file is of, by its name; the first is asked."""
    return next((number for number, word in enumerate(_SPLITS) if word in path.lower()), len(_SPLITS))


def _name_others(listing: Listing, pattern: str) -> str:
    found: Sequence[str] = list(
        dict.fromkeys(_SHARD.sub("-*", file.path) for file in listing.files if suffix(file.path))
    )
    others = [each for each in found if each != pattern]
    return (", ".join(others[:5]) + (", …" if len(others) > 5 else "")) or "none"
