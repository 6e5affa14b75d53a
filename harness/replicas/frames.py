"""Frames between a run and its replicas: a JSON header, then blobs of bytes as they are; nothing is unpickled."""

from __future__ import annotations

import json
import struct
from collections.abc import Awaitable, Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Literal, cast

from harness.types import Json

#: open, ask and drop go to a replica; ready, failed and answer come from it
Kind = Literal["open", "ask", "drop", "ready", "failed", "answer"]
#: what a replica's frames begin with: what a library prints before them is none
GREETING: Final = b"\x00harness replica 1\n"
_LENGTH: Final = struct.Struct(">I")


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One message.

    Attributes:
        kind: what it is.
        number: of the request it is about.
        body: JSON.
        blobs: bytes beside it, such as image files.
    """

    kind: Kind
    number: int = 0
    body: Json = None
    blobs: tuple[bytes, ...] = ()

    def packed(self) -> list[bytes]:
        """The pieces to write, in order. Raises TypeError or ValueError where the body is no JSON."""
        sizes = [len(blob) for blob in self.blobs]
        header = json.dumps([self.kind, self.number, self.body, sizes], default=_plain).encode()
        return [_LENGTH.pack(len(header)) + header, *self.blobs]


def read(source: BinaryIO) -> Frame | None:
    """The next frame of a blocking file; None at its end, also in the middle of a frame."""
    try:
        (length,) = _LENGTH.unpack(_exactly(source, _LENGTH.size))
        kind, number, body, sizes = json.loads(_exactly(source, length))
        return Frame(kind=kind, number=number, body=body, blobs=tuple(_exactly(source, size) for size in sizes))
    except EOFError:
        return None


async def receive(exactly: Callable[[int], Awaitable[bytes]]) -> Frame:
    """The next frame of an asynchronous stream, whose own errors pass."""
    (length,) = _LENGTH.unpack(await exactly(_LENGTH.size))
    kind, number, body, sizes = json.loads(await exactly(length))
    return Frame(kind=kind, number=number, body=body, blobs=tuple([await exactly(size) for size in sizes]))


def _exactly(source: BinaryIO, size: int) -> bytes:
    found = source.read(size)
    if len(found) < size:
        raise EOFError
    return found


def _plain(value: object) -> Json:
    """Sets, mappings of other kinds and paths as JSON has them."""
    if isinstance(value, AbstractSet):
        return sorted(cast("AbstractSet[str]", value))
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, Json]", value))
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
