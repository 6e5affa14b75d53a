"""Check a data set without a model: read every record, open every image, and say what is wrong.

    check_split(task, "easy", split, root, settings).bad

What would stop a run is an error, what would spoil samples is a fault, and another size than the published one is a
warning.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from harness.contracts import DataSource, Split, Task
from harness.data.downloads import hash_file
from harness.data.hub import matches
from harness.data.places import read_samples
from harness.data.provenance import Provenance
from harness.data.upstream import FOLDER
from harness.dialogues import map_images
from harness.errors import BadImage, HarnessError
from harness.images import open_image
from harness.keys import digest, messages_to_json, request_to_json
from harness.readers import open_files
from harness.readers.archives import suffix
from harness.types import Image, Settings

RECORD_SUFFIXES: Final = frozenset({".json", ".jsonl", ".csv", ".tsv"})


@dataclass(slots=True, kw_only=True)
class SplitCheck:
    """The contents of one split.

    Attributes:
        name: the split's name.
        published: the published number of samples; None if unknown.
        samples: number of samples.
        clusters: number of clusters.
        images: number of distinct images.
        bad: distinct unusable images, by reason.
        sha256: hash of all requests with their images, without ids and order; empty if it could not be read.
        error: why it could not be read; else empty.
    """

    name: str
    published: int | None = None
    samples: int = 0
    clusters: int = 0
    images: int = 0
    bad: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    sha256: str = ""
    error: HarnessError | None = None

    @property
    def warning(self) -> str:
        """A sentence when the size is not the published one."""
        return "" if self.error else size_warning(self.name, self.samples, self.published)

    @property
    def whole(self) -> bool:
        """Whether a run could ask every sample: the split can be read and holds some, and their images open."""
        return not self.error and self.samples > 0 and not self.bad


def size_warning(name: str, samples: int, published: int | None) -> str:
    """A sentence for a split with another number of samples than is published, such as an old revision; else empty."""
    if published in (None, samples):
        return ""
    held = "1 sample" if samples == 1 else f"{samples} samples"
    return f"{name} holds {held}, {published} are published: is the copy whole?"


def check_split(task: Task, name: str, split: Split, root: Path, settings: Settings) -> SplitCheck:
    """Read one split to its end.

    Args:
        task: whose split it is.
        name: of the split.
        split: how the task describes it.
        root: the task's data root.
        settings: of the task, complete.
    """
    check = SplitCheck(name=name, published=split.n)
    opened: dict[str, Image] = {}  # path -> image without its bytes: each is opened once however often it is used
    clusters: set[str] = set()
    contents: list[str] = []

    def open_once(image: Image) -> Image:
        if image.path not in opened:
            opened[image.path] = image
            try:
                content = open_image(image).opened
                opened[image.path] = replace(image, content=replace(content, data=b"", encoded=b""))
            except BadImage as fault:
                check.bad.setdefault(fault.reason, []).append(str(fault))
        return opened[image.path]

    try:
        for sample in read_samples(task, split.data or root, name, settings):
            check.samples += 1
            clusters.add(sample.cluster or sample.id)
            opened_sample = map_images(sample, open_once)
            content = request_to_json(opened_sample.request)
            if opened_sample.turns:
                content = {**content, "turns": messages_to_json(opened_sample.turns)}
            contents.append(digest(content))
    except HarnessError as error:
        check.error = error
        return check
    check.clusters = len(clusters)
    check.images = len(opened)
    check.sha256 = hashlib.sha256("\n".join(sorted(contents)).encode()).hexdigest()
    return check


def find_same_splits(checks: list[SplitCheck]) -> list[tuple[str, str]]:
    """Pairs of splits with the same content, as in a copy that has one file under several names."""
    read = [check for check in checks if check.sha256 and check.samples]
    return [(a.name, b.name) for i, a in enumerate(read) for b in read[i + 1 :] if a.sha256 == b.sha256]


def hash_record_files(root: Path, names: Sequence[str] = ()) -> Mapping[str, tuple[int, str]]:
    """Size in bytes and sha256 of each file of records directly under a data root, by name; or of the files named."""
    if not root.is_dir():
        return {}
    if names:
        files = open_files(root)
        found = [path for name in names for each in files.matching(name) if (path := root / each).is_file()]
    else:
        there = (path for path in root.iterdir() if path.is_file() and not path.name.startswith("."))
        found = sorted(path for path in there if path.suffix.lower() in RECORD_SUFFIXES)
    return {path.relative_to(root).as_posix(): (path.stat().st_size, hash_file(path)[0]) for path in found}


def find_strays(root: Path, record: Provenance, source: DataSource) -> list[str]:
    """Files that match the hub's set and that no fetch brought: of another revision, or put here by hand.

    None are found where a part of the data must be put here by hand, or comes as an archive and may have been unpacked.
    """
    if source.by_hand or record.coming or any(suffix(Path(path)) for path in record.files):
        return []
    if not any(part.kind == "hub" for part in record.parts):
        return []
    ours = (path for path in root.rglob("*") if path.is_file() and not path.name.endswith((".part", ".lock")))
    names = (path.relative_to(root).as_posix() for path in ours)
    own = (f"{FOLDER}/", ".")
    return sorted(n for n in names if n not in record.files and not n.startswith(own) and matches(n, source.files))
