"""Zips and tars read in place, as if they were folders.

Members are read one by one, on demand, and never unpacked by name, so that no entry of an archive can write anywhere.
A compressed tar cannot be read from the middle: its plain tar is kept in the user's cache and read by offsets. A link
is followed when it ends inside its archive; device files are left out. Sizes are limited against archives that unpack
to far more than they hold.
"""

from __future__ import annotations

import copy
import importlib
import os
import posixpath
import stat
import struct
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import IO, Any, Final

from harness.files import lock_file, open_atomic

READ_LIMIT: Final = 1 << 30  #: bytes of one member
MEMBER_LIMIT: Final = 1_000_000
EXPANSION_LIMIT: Final = 100  #: how many times its own size a compressed tar may become …
EXPANSION_FLOOR: Final = 1 << 30  #: … beyond this many bytes
LINK_LIMIT: Final = 8  #: links followed in a row

#: What reading an archive can raise; the caller names the file.
FAULTS: Final = (
    OSError,
    ValueError,
    EOFError,
    RuntimeError,  # an encrypted zip
    NotImplementedError,  # a compression this Python does not know
    ImportError,  # a Python built without bz2 or lzma
    zlib.error,
    struct.error,
    zipfile.BadZipFile,
)

_COMPRESSED: Final = {
    ".tar.gz": "gzip",
    ".tgz": "gzip",
    ".tar.bz2": "bz2",
    ".tbz2": "bz2",
    ".tar.xz": "lzma",
    ".txz": "lzma",
}
SUFFIXES: Final = (".zip", ".tar", *_COMPRESSED)
_BOUNDED: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})  # zipfile unpacks no more than is asked for
_PIECE: Final = 1 << 16
_LEAST_WINDOW: Final = 1 << 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file of an archive.

    Attributes:
        size: in bytes.
        read: gives them.
        refused: why it is never handed out; empty when it is.
    """

    size: int
    read: Callable[[], bytes]
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """The files of one zip or tar."""

    path: Path
    mtime_ns: int
    members: Mapping[str, Member]
    top: str  #: the one folder everything lies in, with its slash, or empty

    def find(self, path: str) -> str | None:
        """The member that holds a data file: of the same path, below the one top folder, or without the folder the
        archive is named after (`chat.zip` holding `1/a.png` for `chat/1/a.png`)."""
        own = stem(self.path) + "/"
        bare = path.removeprefix(own) if path.startswith(own) else path
        return next((name for name in (path, self.top + path, bare) if name in self.members), None)


def suffix(path: Path) -> str:
    """The archive suffix of a file name, or an empty text."""
    name = path.name.lower()
    return max((one for one in SUFFIXES if name.endswith(one)), key=len, default="")


def stem(path: Path) -> str:
    """The file name without its archive suffix."""
    return path.name[: len(path.name) - len(suffix(path))]


def open_archive(path: Path) -> Archive:
    """The archive at a path; the index of the last ones is kept for as long as the file does not change.

    Raises:
        one of FAULTS: it cannot be read.
    """
    found = path.stat()
    return _index(path, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=32)
def _index(path: Path, _size: int, mtime_ns: int) -> Archive:
    members = _index_zip(path) if suffix(path) == ".zip" else _index_tar(plain_tar(path))
    tops = {name.partition("/")[0] + "/" if "/" in name else "" for name in members}
    return Archive(path=path, mtime_ns=mtime_ns, members=members, top=tops.pop() if len(tops) == 1 else "")


def _clean_name(name: str) -> str:
    """A member's name as a data file spells it; empty for one that is never handed out."""
    clean = posixpath.normpath(name)
    out = clean.startswith(("/", "../", "__MACOSX/")) or clean in {"..", "."}
    return "" if out else clean


class _OpenZip:
    """A zip, opened once in each process: after a fork both processes would move the position in one open file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: dict[int, tuple[zipfile.ZipFile, threading.Lock]] = {}

    def in_process(self) -> tuple[zipfile.ZipFile, threading.Lock]:
        process = os.getpid()
        if process not in self._open:
            self._open[process] = zipfile.ZipFile(self._path), threading.Lock()
        return self._open[process]

    def read(self, info: zipfile.ZipInfo) -> bytes:
        return read_member(*self.in_process(), info)


def _index_zip(path: Path) -> dict[str, Member]:
    opened = _OpenZip(path)
    infos = _limit_members(info for info in opened.in_process()[0].infolist() if not info.is_dir())
    return {
        name: Member(
            size=info.file_size,
            read=partial(opened.read, info),
            refused="a link inside a zip" if stat.S_ISLNK(info.external_attr >> 16) else "",
        )
        for info in infos
        if (name := _clean_name(info.filename))
    }


def read_member(file: zipfile.ZipFile, lock: AbstractContextManager[Any], info: zipfile.ZipInfo) -> bytes:
    """One member of a zip: never more bytes than the zip says it has.

    Args:
        file: the zip.
        lock: opening and closing count users of the shared handle, which is not safe between threads.
        info: of the member.

    Raises:
        one of FAULTS: it is not what it says of itself, or cannot be unpacked.
    """
    bounded = info.compress_type in _BOUNDED
    packed = info
    if not bounded:  # to be read as it is packed
        packed = copy.copy(info)
        packed.compress_type, packed.file_size = zipfile.ZIP_STORED, info.compress_size
        del packed.CRC  # it is that of the unpacked bytes
    with lock:
        member = file.open(packed)
    try:
        if not bounded:
            return _unpack(info, member)
        return member.read(min(info.file_size, READ_LIMIT) + 1)  # one byte more: it compares the checksum at the end
    finally:
        with lock:
            member.close()


def _unpack(info: zipfile.ZipInfo, packed: IO[bytes]) -> bytes:
    """The bytes of a member that zipfile would unpack without a bound."""
    decompressor: Any
    fault: type[Exception]
    if info.compress_type == zipfile.ZIP_BZIP2:
        decompressor, fault = importlib.import_module("bz2").BZ2Decompressor(), OSError
    elif info.compress_type == zipfile.ZIP_LZMA:
        lzma = importlib.import_module("lzma")
        size, kind, window = struct.unpack("<2xHBI", packed.read(9))  # the parameters come first: APPNOTE 5.8.8
        packed.read(max(0, size - 5))
        chain = {
            "id": lzma.FILTER_LZMA1,
            # allocated at once, and nothing lies further back
            "dict_size": min(window, max(info.file_size, _LEAST_WINDOW)),
            "lc": kind % 9,
            "lp": kind // 9 % 5,
            "pb": kind // 45,
        }
        fault = lzma.LZMAError
        try:
            decompressor = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[chain])
        except fault as error:
            raise zipfile.BadZipFile(str(error)) from None
    else:
        raise NotImplementedError(f"{info.filename}: compression {info.compress_type} of a zip is not read")
    content = bytearray()
    try:
        while not decompressor.eof and len(content) <= info.file_size:
            data = packed.read(_PIECE) if decompressor.needs_input else b""
            if decompressor.needs_input and not data:
                break
            content += decompressor.decompress(data, info.file_size + 1 - len(content))
    except fault as error:
        raise zipfile.BadZipFile(str(error)) from None
    if len(content) != info.file_size or zlib.crc32(content) != info.CRC:
        raise zipfile.BadZipFile(f"{info.filename} is not what its zip says of it")
    return bytes(content)


def _index_tar(path: Path) -> dict[str, Member]:
    import tarfile  # here, since the list of tasks need not wait for it

    members: dict[str, Member] = {}
    links: dict[str, str] = {}
    try:
        with tarfile.open(path, "r:") as file:
            for info in _limit_members(file):
                name = _clean_name(info.name)
                if name and info.isreg() and not info.issparse():
                    members[name] = Member(size=info.size, read=partial(_read_at, path, info.offset_data, info.size))
                elif name and (info.issym() or info.islnk()):
                    target = posixpath.join(posixpath.dirname(name), info.linkname) if info.issym() else info.linkname
                    links[name] = target
    except tarfile.TarError as error:
        raise ValueError(str(error) or type(error).__name__) from None
    return {name: _follow_link(target, members, links) for name, target in links.items()} | members


def _follow_link(target: str, members: Mapping[str, Member], links: Mapping[str, str]) -> Member:
    name = _clean_name(target)
    for _ in range(LINK_LIMIT):
        if name in members:
            return members[name]
        name = _clean_name(links.get(name, ""))
    return Member(size=0, read=bytes, refused=f"a link to {target}, which is not a file of its archive")


def _read_at(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read(min(size, READ_LIMIT))
    if len(data) < size:
        raise EOFError(f"{path.name} ends inside a file")
    return data


def _limit_members(infos: Iterable[Any]) -> Iterable[Any]:
    for number, info in enumerate(infos):
        if number >= MEMBER_LIMIT:
            raise ValueError(f"more than {MEMBER_LIMIT} files")
        yield info


def plain_tar(path: Path) -> Path:
    """The path itself, or for a compressed tar its plain one, which is made once.

    It is kept in the user's cache under a name made of the archive's path, size and modification time.

    Raises:
        one of FAULTS: it cannot be read, or unpacks to implausibly much.
    """
    from hashlib import sha256

    if suffix(path) not in _COMPRESSED:
        return path
    from platformdirs import user_cache_path

    found = path.stat()
    name = sha256(f"{path.absolute()} {found.st_size} {found.st_mtime_ns}".encode()).hexdigest()[:32]
    plain = user_cache_path("harness", appauthor=False, ensure_exists=True) / f"{name}.tar"
    with lock_file(plain.with_suffix(".lock")):
        if not plain.exists():
            decompress(path, plain)
    return plain


def decompress(path: Path, plain: Path) -> None:
    """Write the plain tar of a compressed one, whole or not at all.

    Raises:
        one of FAULTS: it cannot be read, or unpacks to implausibly much.
    """
    limit = max(EXPANSION_FLOOR, EXPANSION_LIMIT * path.stat().st_size)
    module = importlib.import_module(_COMPRESSED[suffix(path)])
    copied = 0
    try:
        scratch = plain.with_suffix(".part")
        with module.open(path, "rb") as source, open_atomic(plain, sync=False, scratch=scratch) as target:
            while piece := source.read(1 << 20):
                copied += len(piece)
                if copied > limit:
                    raise ValueError(f"unpacks to more than {limit} bytes")
                target.write(piece)
    except getattr(module, "LZMAError", EOFError) as error:
        raise ValueError(str(error)) from None
