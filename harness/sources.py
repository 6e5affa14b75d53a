"""Where the data of a task comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: in a task's displayed name, before the name of the set it was asked on, where one was built: see `harness.data.built`
BUILT: Final = "+data="
#: of a source of which nobody here could download a revision
UNSEEN: Final = "no revision of it could be downloaded here, so the counts are those that are published"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSource:
    """Where a task's data comes from: what `harness data fetch` takes, and what is shown when it is missing.

    A pattern is a path in which `*` stands for anything, slashes included.

    Attributes:
        hub: dataset id on the Hugging Face hub, or empty.
        mirrors: other ids of the same data set, tried in order where `hub` is not there.
        files: patterns of the hub's files that the task reads; empty takes all.
        url: web page or repository.
        revision: commit of `hub` that the splits' counts were checked with, or empty.
        unchecked: why there was no revision of a part of it to check the counts with; empty where all was checked. Then
            `hub` and `archive` name their commits, and another one is fetched only by `--revision`.
        licence: as the publisher states it, with what it forbids.
        size: human text, such as "3 GB".
        gated: access must be asked for.
        archive: GitHub repository that holds the data or a part of it: (owner/name, commit that the counts were checked
            with or empty, patterns).
        urls: files by themselves: (path under the data root, address, md5 or empty).
        by_hand: what no program can fetch and the user puts into the data root: what, and the page it is on.
        prompts: GitHub repository and commit that hold upstream's wording: (owner/name, commit, files).
        toy: drawn to show the tool: a number on it measures nothing, and every report says so.
    """

    hub: str = ""
    mirrors: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    url: str = ""
    revision: str = ""
    unchecked: str = ""
    licence: str = ""
    size: str = ""
    gated: bool = False
    archive: tuple[str, str, tuple[str, ...]] | None = None
    urls: tuple[tuple[str, str, str], ...] = ()
    by_hand: tuple[str, ...] = ()
    prompts: tuple[str, str, tuple[str, ...]] | None = None
    toy: bool = False
