"""A file on a server of which only pieces are read: the files of a zip, without the zip."""

from __future__ import annotations

import io
import struct
import time
import zipfile
import zlib
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness import HarnessError
from harness.data import downloads
from harness.data.asking import asked, pieces
from harness.data.downloads import Refusal, Wanted, unreachable
from harness.images import BYTE_LIMIT
from harness.readers.archives import Archive, Member, read_member

if TYPE_CHECKING:
    import httpx
    from _typeshed import WriteableBuffer

_PIECE: Final = 1 << 18  # bytes asked for at once
_PASSING: Final = 500  # from this status on, another try may help


def remote_zip(client: httpx.Client, wanted: Wanted) -> Archive | None:
    """The files of a zip that a server has; None for one that is no zip by itself, such as a piece of several.

    Raises:
        HarnessError: the server cannot be reached, or gives no pieces of files.
        Refusal: it says no.
    """
    try:
        opened = zipfile.ZipFile(io.BufferedReader(_Remote(client, wanted), _PIECE))
        infos = [info for info in opened.infolist() if not info.is_dir() and info.file_size <= BYTE_LIMIT]
    except zipfile.BadZipFile:
        return None
    tops = {info.filename.partition("/")[0] + "/" if "/" in info.filename else "" for info in infos}
    return Archive(
        path=Path(wanted.path),
        mtime_ns=0,
        members={
            info.filename: Member(size=info.file_size, read=partial(_read, opened, info, wanted.path)) for info in infos
        },
        top=tops.pop() if len(tops) == 1 else "",
    )


def _read(opened: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> bytes:
    """One file; the zip's own checksum says whether it came whole."""
    try:
        return read_member(opened, nullcontext(), info)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, struct.error) as error:
        raise HarnessError(f"{info.filename} did not come as it was published: {error}", where=where) from None


class _Remote(io.RawIOBase):
    """Bytes of a file by their place."""

    def __init__(self, client: httpx.Client, wanted: Wanted) -> None:
        super().__init__()
        self._client = client
        self._wanted = wanted
        self._at = 0
        self._size = wanted.size or 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence] + offset)
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        size = min(len(view), self._size - self._at)
        if size <= 0:
            return 0
        data = self._asked(size)
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _asked(self, size: int) -> bytes:
        import httpx

        headers = {"accept-encoding": "identity", **self._wanted.headers}
        headers["range"] = f"bytes={self._at}-{self._at + size - 1}"
        fault: Exception = EOFError("no answer")
        for pause in downloads.PAUSES:
            time.sleep(pause)
            try:
                with asked(self._client, self._wanted.url, headers) as reply:
                    if reply.status_code < _PASSING:
                        return self._piece(reply, size)
                    fault = Refusal(self._wanted.url, reply.status_code)
            except httpx.TransportError as error:
                fault = error
        raise unreachable(self._wanted.url, fault)

    def _piece(self, reply: httpx.Response, size: int) -> bytes:
        if not reply.is_success:
            raise Refusal(self._wanted.url, reply.status_code, reply.headers.get("x-error-code", ""))
        if reply.status_code != 206:
            what = "the server gives no pieces of files, so single images cannot be taken out of an archive"
            raise HarnessError(what, where=self._wanted.url, remedy="fetch the archives whole, into the data's folder")
        data = b"".join(pieces(reply, limit=size, what="what was asked for"))
        if len(data) != size:
            raise HarnessError(f"the server gave {len(data)} bytes where {size} were asked for", where=self._wanted.url)
        return data
