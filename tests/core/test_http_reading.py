"""Reading an answer piece by piece: encodings are undone, and nothing unpacks to more than the limit."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import AsyncIterator, Mapping

import pytest

from harness.http import MIB, Unreadable, read
from harness.http.reading import Unpacking

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def body(data: bytes, headers: Mapping[str, str], *, limit: int = MIB, size: int = 7, status: int = 200) -> bytes:
    return await read(status, headers, pieces(data, size), limit)


def bare(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("", b"one two" * 100),
        ("Identity", b"one two" * 100),
        ("gzip", gzip.compress(b"one two" * 100, mtime=0)),
        (" X-GZIP ", gzip.compress(b"one two" * 100, mtime=0)),
        (
            "gzip",
            gzip.compress(b"one two" * 40, mtime=0)
            + gzip.compress(b"", mtime=0)
            + gzip.compress(b"one two" * 60, mtime=0),
        ),
        ("deflate", zlib.compress(b"one two" * 100)),
        ("deflate", bare(b"one two" * 100)),
        ("deflate", zlib.compress(b"one two" * 100) + b"what comes after the end"),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 100_000])
async def test_an_encoding_is_undone_however_its_bytes_arrive(encoding: str, packed: bytes, size: int) -> None:
    assert await body(packed, {"content-encoding": encoding}, size=size) == b"one two" * 100


@pytest.mark.parametrize(
    "trailing", [b"\0" * 8, b"xyz", b"\x1f", b"\x1fxyz", b"\0\0" + gzip.compress(b"more", mtime=0)]
)
@pytest.mark.parametrize("size", [1, 7, 100_000])
async def test_bytes_after_gzip_that_begin_no_member_are_left_out(trailing: bytes, size: int) -> None:
    packed = gzip.compress(b"one ") + gzip.compress(b"two") + trailing
    assert await body(packed, {"content-encoding": "gzip"}, size=size) == b"one two"


async def test_bytes_after_gzip_count_for_the_limit() -> None:
    with pytest.raises(Unreadable) as refused:
        await body(gzip.compress(b"one") + b"\0" * MIB, {"content-encoding": "gzip"}, size=65536)
    assert refused.value.reason == "too_large"


@pytest.mark.parametrize("wbits", [31, 15])
async def test_what_just_fits_is_read_and_one_byte_more_is_not(wbits: int) -> None:
    packer = zlib.compressobj(wbits=wbits)
    packed = packer.compress(b" " * MIB) + packer.flush()
    headers = {"content-encoding": "gzip" if wbits == 31 else "deflate"}
    assert len(await body(packed, headers, limit=MIB, size=100_000)) == MIB
    with pytest.raises(Unreadable) as refused:
        await body(packed, headers, limit=MIB - 1, size=100_000)
    assert refused.value.reason == "too_large"


async def test_a_length_over_the_limit_is_refused_before_anything_is_read() -> None:
    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("it was read")
        yield b""

    with pytest.raises(Unreadable, match="1 MiB"):
        await read(200, {"content-length": str(MIB + 1)}, never(), MIB)


async def test_a_body_of_countless_streams_is_not_unpacked_to_its_end() -> None:
    with pytest.raises(Unreadable, match="streams") as refused:
        await body(gzip.compress(b"", mtime=0) * 5000, {"content-encoding": "gzip"}, size=65536)
    assert refused.value.reason == "too_large"


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "\x1b[31m"])
async def test_an_encoding_within_an_encoding_or_another_one_is_refused(encoding: str) -> None:
    with pytest.raises(Unreadable) as refused:
        await body(b"{}", {"content-encoding": encoding})
    assert refused.value.reason == "encoding"
    assert "\x1b" not in str(refused.value)


async def test_of_an_error_the_beginning_is_enough() -> None:
    words = await body(b"busy " * MIB, {}, limit=64 * MIB, size=65536, status=503)
    assert words.startswith(b"busy busy")
    assert len(words) <= MIB
    assert await body(b"{}", {"content-encoding": "br"}, status=403) == b""


def test_no_piece_is_larger_than_a_mebibyte() -> None:
    unpacking = Unpacking("gzip")
    sizes = [len(piece) for piece in unpacking.feed(gzip.compress(b" " * (5 * MIB)))]
    assert sum(sizes) + len(unpacking.end()) == 5 * MIB
    assert max(sizes) <= MIB
