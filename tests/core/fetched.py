"""A small data set in the stand-ins, and a root that it is fetched into."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.contracts import DataSource
from harness.data import downloads, fetching
from harness.data.downloads import DownloadProgress
from harness.data.fetching import fetch
from harness.data.places import LOCK
from harness.data.provenance import FILE, Provenance
from harness.errors import HarnessError
from tests.core.published import DataSet, Published

HUB = "someone/shapes"
LARGE = bytes(range(256)) * 40  #: above the size from which the hub keeps a file apart
FILES = {
    "shapes.json": b"[1, 2]",
    "empty.txt": b"",
    "images/1.png": LARGE,
    "images/2.png": b"second",
    "README.md": b"read me",
}
SET = DataSource(hub=HUB)
_ENVIRONMENT = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")


@contextmanager
def shapes_published(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Published]:
    """The stand-ins with the set in them; nobody's token, no waiting."""
    for name in _ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no token"))
    monkeypatch.setattr(downloads, "PAUSES", (0.0,) * len(downloads.PAUSES))
    with Published() as place:
        monkeypatch.setenv("HF_ENDPOINT", place.url)
        monkeypatch.setattr(fetching, "ARCHIVE_URL", place.archive_url)
        place.sets[HUB] = DataSet(dict(FILES))
        yield place


class Bench:
    """Fetches into one root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.said = ""  # what the last fetch told

    def get(self, source: DataSource = SET, revision: str = "") -> Provenance:
        told = io.StringIO()
        try:
            return fetch("shapes", source, self.root, DownloadProgress(told), revision=revision)
        finally:
            self.said = told.getvalue()

    def failed(self, source: DataSource = SET, revision: str = "") -> HarnessError:
        """The error it ends with."""
        with pytest.raises(HarnessError) as caught:
            self.get(source, revision)
        return caught.value

    def there(self) -> dict[str, bytes]:
        """What lies in the root, but for what says where it came from."""
        return there(self.root)


def there(root: Path) -> dict[str, bytes]:
    files = (path for path in root.rglob("*") if path.is_file() and path.name not in (FILE, LOCK))
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}
