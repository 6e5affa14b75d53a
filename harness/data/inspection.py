"""Look at a data set as a run would: read every record, open every image, and say what is wrong.

    check_split(task, "easy", split, root, settings).bad

Nothing is asked of a model. What would stop a run is an error, what would spoil samples is a fault, another size than
the published one is a warning.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from harness.contracts import DataSource, Split, Task
from harness.data.downloads import digests
from harness.data.hub import matches
from harness.data.places import samples
from harness.data.provenance import Provenance
from harness.data.upstream import FOLDER
from harness.errors import BadImage, HarnessError
from harness.images.opening import open_image
from harness.keys import asked, digest
from harness.readers.archives import suffix
from harness.types import Image, Request, Sample, Settings

RECORD_SUFFIXES: Final = frozenset({".json", ".jsonl", ".csv", ".tsv"})


@dataclass(slots=True, kw_only=True)
class SplitCheck:
    """What one split holds.

    Attributes:
        name: of the split.
        published: how many samples it should hold; None when that is not known.
        samples: how many it holds.
        clusters: what is resampled.
        images: distinct images.
        bad: distinct images that cannot be used, by reason.
        sha256: of all requests with their images, whatever their ids and order; empty when it could not be read.
        error: why it could not be read.
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
        return "" if self.error else another_size(self.name, self.samples, self.published)

    @property
    def whole(self) -> bool:
        """Whether a run would have all it asks: the split can be read and holds samples, and their images open."""
        return not self.error and self.samples > 0 and not self.bad


def another_size(name: str, samples: int, published: int | None) -> str:
    """A sentence where a split holds another number of samples than is published, as an old revision does."""
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
    look = _Look(check)
    try:
        for sample in samples(task, split.data or root, name, settings):
            look.take(sample)
    except HarnessError as error:
        check.error = error
    else:
        look.close()
    return check


def same(checks: list[SplitCheck]) -> list[tuple[str, str]]:
    """Pairs of splits with the same content: the mark of a copy in which one file stands for several."""
    read = [check for check in checks if check.sha256 and check.samples]
    return [(a.name, b.name) for i, a in enumerate(read) for b in read[i + 1 :] if a.sha256 == b.sha256]


def record_files(root: Path) -> Mapping[str, tuple[int, str]]:
    """Size in bytes and sha256 of each file of records directly under a data root, by name."""
    if not root.is_dir():
        return {}
    there = (path for path in root.iterdir() if path.is_file() and not path.name.startswith("."))
    found = sorted(path for path in there if path.suffix.lower() in RECORD_SUFFIXES)
    return {path.name: (path.stat().st_size, digests(path)[0]) for path in found}


def strays(root: Path, record: Provenance, source: DataSource) -> list[str]:
    """Files that the task would read from the hub's set and no fetch brought: of another revision, or put here by hand.

    They cannot be told where a part of the data is to be put here by hand, or comes packed and may have been unpacked.
    """
    if source.by_hand or record.coming or any(suffix(Path(path)) for path in record.files):
        return []
    if not any(part.kind == "hub" for part in record.parts):
        return []
    ours = (path for path in root.rglob("*") if path.is_file() and not path.name.endswith((".part", ".lock")))
    names = (path.relative_to(root).as_posix() for path in ours)
    own = (f"{FOLDER}/", ".")
    return sorted(n for n in names if n not in record.files and not n.startswith(own) and matches(n, source.files))


class _Look:
    """Fills in a check, sample by sample; an image is opened once however often it is used."""

    def __init__(self, check: SplitCheck) -> None:
        self._check = check
        self._opened: dict[str, Image] = {}
        self._clusters: set[str] = set()
        self._contents: list[str] = []

    def take(self, sample: Sample) -> None:
        """Count a sample and open its images."""
        self._check.samples += 1
        self._clusters.add(sample.cluster or sample.id)
        self._contents.append(digest(asked(self._with_images(sample.request))))

    def close(self) -> None:
        """Everything has been taken."""
        self._check.clusters = len(self._clusters)
        self._check.images = len(self._opened)
        self._check.sha256 = hashlib.sha256("\n".join(sorted(self._contents)).encode()).hexdigest()

    def _with_images(self, request: Request) -> Request:
        messages = (
            replace(message, content=tuple(self._image(p) if isinstance(p, Image) else p for p in message.content))
            for message in request.messages
        )
        return replace(request, messages=tuple(messages))

    def _image(self, image: Image) -> Image:
        if image.path not in self._opened:
            self._opened[image.path] = self._looked_at(image)
        return self._opened[image.path]

    def _looked_at(self, image: Image) -> Image:
        try:
            content = open_image(image).opened
        except BadImage as fault:
            self._check.bad.setdefault(fault.reason, []).append(str(fault))
            return image
        return replace(image, content=replace(content, data=b"", encoded=b""))  # the hash is enough from here on
