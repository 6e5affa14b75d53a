"""Folders and archives of one content."""

import zipfile
from pathlib import Path

import pytest

from harness.errors import BadImage
from harness.readers.files import open_files

CONTENT = {"easy_image/1/object1.png": b"first", "easy_image/1/object2.png": b"second"}


def zipped(path: Path, content: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in content.items():
            file.writestr(name, data)
    return path


def fault(root: Path, path: str) -> str:
    with pytest.raises(BadImage) as caught:
        open_files(root).read(path)
    assert caught.value.path == path
    return caught.value.reason
