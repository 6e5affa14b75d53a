"""Images of requests, and those that were drawn: they lie on disk and are in memory only while they are sent.

A call is looked up by the sha256 of its images, which are opened for that and let go; they are opened again when the
call has its slot, so that what waits for one holds none.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from harness import Image, Request, Text
from harness.files import atomic_write
from harness.images import open_image
from harness.types import ImageContent
from harness_builder.disk import disk_errors

FOLDER: Final = "images"
SUFFIXES: Final = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}
AT_ONCE: Final = 4  #: requests whose images are opened at once, to be hashed or on their way out
_REMEMBERED: Final = 1 << 12  # hashes


class ImageOpener:
    """Opens the images of requests in threads, a few at once."""

    def __init__(self) -> None:
        self._room = anyio.CapacityLimiter(AT_ONCE)
        self._known: OrderedDict[tuple[str, int, int], ImageContent] = OrderedDict()

    async def hash_images(self, request: Request) -> Request:
        """A request whose images have their hash and no bytes. Raises BadImage for one that cannot be opened."""
        if all(image.files.stamp(image.path) in self._known for image in request.images):
            return _replace_images(request, self._hash) if request.images else request
        return await self._in_thread(request, self._hash)

    async def open_images(self, request: Request) -> Request:
        """A request with its images open. Raises BadImage."""
        return await self._in_thread(request, open_image) if request.images else request

    async def _in_thread(self, request: Request, change: Callable[[Image], Image]) -> Request:
        return await anyio.to_thread.run_sync(partial(_replace_images, request, change), limiter=self._room)

    def _hash(self, image: Image) -> Image:
        stamp = image.files.stamp(image.path)
        known = self._known.get(stamp)
        if known is None:
            known = replace(open_image(image).opened, data=b"", encoded=b"")
            if stamp[2] > 0:  # a file: what lies in memory has no time
                self._known[stamp] = known
                if len(self._known) > _REMEMBERED:
                    self._known.popitem(last=False)
        return replace(image, content=known)


def _replace_images(request: Request, change: Callable[[Image], Image]) -> Request:
    messages = (
        replace(each, content=tuple(part if isinstance(part, Text) else change(part) for part in each.content))
        for each in request.messages
    )
    return replace(request, messages=tuple(messages))


class ImageStore:
    """The folder of images that were drawn: `<2 hex>/<sha256>.<ext>`.

    Args:
        folder: `work/` of the build.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._one_at_a_time = anyio.CapacityLimiter(1)  # two that draw the same write the same file

    def find(self, sha256: str) -> Path | None:
        """The file of an image."""
        return next((path for path in self._list_paths(sha256) if path.is_file()), None)

    async def write(self, content: ImageContent) -> None:
        """Put an image in its place, in one step. If it is dropped meanwhile, it is not there.

        Raises:
            HarnessError: the disk does not take it.
        """
        await anyio.to_thread.run_sync(self._write, content, limiter=self._one_at_a_time)

    def drop(self, drawings: Iterable[str]) -> None:
        """Delete images, and what is half written of them. Raises OSError."""
        for sha256 in drawings:
            for path in self._list_paths(sha256):
                _scratch_path(path).unlink(missing_ok=True)
                path.unlink(missing_ok=True)

    def _write(self, content: ImageContent) -> None:
        path = self._folder / content.sha256[:2] / f"{content.sha256}{SUFFIXES[content.mime]}"
        # a scratch file that `drop` deletes since a call that drew the same was stopped leaves nothing to move
        with disk_errors(path), suppress(FileNotFoundError):
            atomic_write(path, content.data, sync=False, scratch=_scratch_path(path))

    def _list_paths(self, sha256: str) -> list[Path]:
        return [self._folder / sha256[:2] / f"{sha256}{suffix}" for suffix in SUFFIXES.values()]


def _scratch_path(path: Path) -> Path:
    return path.with_name(f".{path.name}")
