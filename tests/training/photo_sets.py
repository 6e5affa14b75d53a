"""Collections of photographs in each layout, all of them drawings."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

from harness_builder.plan import Photos

from harness.drawings import draw, png
from tests.training.played import PlayedCalls


class Looking(PlayedCalls):
    """An Asker for photographs.

    Attributes:
        forgotten: owners whose calls it was told to forget, in order.
    """

    def __init__(self, **scripts: Any) -> None:
        super().__init__(**scripts)
        self.forgotten: list[str] = []

    def forget(self, owner: str) -> None:
        self.forgotten.append(owner)


def photos(path: Path, **changes: Any) -> Photos:
    given: dict[str, Any] = {"name": "album", "path": path, "licence": "cc-by-4.0", "by": "caption"}
    return Photos(**{**given, **changes})


def drawing(name: str, seed: object = 0, size: int = 64) -> bytes:
    """A picture of a thing such as "red star"; another seed, another picture."""
    color, shape = name.split()
    return png(draw(color, shape, Random(f"{name} {seed}"), size))


def folder(root: Path, captions: Mapping[str, str], **said: str) -> Path:
    """A folder of drawings, each with a text and a record beside it: file name -> its caption, that begins with it."""
    for name, caption in captions.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(drawing(" ".join(caption.split()[:2]), name))
        file.with_suffix(".txt").write_text(caption)
        if said:
            file.with_suffix(".json").write_text(json.dumps(said))
    return root


def tar(file: Path, members: Mapping[str, bytes]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file


def parquet(file: Path, rows: list[dict[str, Any]]) -> Path:
    import pyarrow as pa
    from pyarrow import parquet as format_

    file.parent.mkdir(parents=True, exist_ok=True)
    format_.write_table(pa.Table.from_pylist(rows), file)
    return file
