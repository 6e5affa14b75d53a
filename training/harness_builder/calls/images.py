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

from harness import BadImage, Failure, Image, Model, ModelInfo, Request, Response, Text
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

    async def hashed(self, request: Request) -> Request:
        """A request whose images have their hash and no bytes. Raises BadImage for one that cannot be opened."""
        if all(image.files.stamp(image.path) in self._known for image in request.images):
            return _changed(request, self._hash) if request.images else request
        return await self._each(request, self._hash)

    async def opened(self, request: Request) -> Request:
        """A request with its images open. Raises BadImage."""
        return await self._each(request, open_image) if request.images else request

    async def _each(self, request: Request, change: Callable[[Image], Image]) -> Request:
        return await anyio.to_thread.run_sync(partial(_changed, request, change), limiter=self._room)

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


def _changed(request: Request, change: Callable[[Image], Image]) -> Request:
    messages = (
        replace(each, content=tuple(part if isinstance(part, Text) else change(part) for part in each.content))
        for each in request.messages
    )
    return replace(request, messages=tuple(messages))


class ImageOpeningModel:
    """A Model that is given its images when it is its turn; a schema only where it takes one.

    Args:
        model: that answers.
        opener: of its images.
        check: raises where nothing new is to begin.
    """

    def __init__(self, model: Model, opener: ImageOpener, check: Callable[[], None]) -> None:
        self._model = model
        self._opener = opener
        self._check = check

    @property
    def info(self) -> ModelInfo:
        """The model's."""
        return self._model.info

    async def generate(self, request: Request) -> Response | Failure:
        """Answer one request. Raises HarnessError where nothing will work."""
        self._check()
        try:
            opened = await self._opener.opened(request)
        except BadImage as fault:
            return Failure(outcome="bad_sample", reason=fault.reason, message=str(fault))
        if opened.schema is not None and "schema" not in self.info.can:
            opened = replace(opened, schema=None)
        return await self._model.generate(opened)


class ImageStore:
    """The folder of images that were drawn: `<2 hex>/<sha256>.<ext>`.

    Args:
        folder: `work/` of the build.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._alone = anyio.CapacityLimiter(1)  # two that draw the same write the same file

    def find(self, sha256: str) -> Path | None:
        """The file of an image; None where it is not there."""
        return next((path for path in self._places(sha256) if path.is_file()), None)

    async def write(self, content: ImageContent) -> None:
        """Put an image into its place, in one step; it is not there where it was dropped meanwhile.

        Raises:
            HarnessError: the disk does not take it.
        """
        await anyio.to_thread.run_sync(self._write, content, limiter=self._alone)

    def drop(self, drawings: Iterable[str]) -> None:
        """Delete images, and what is half written of them. Raises OSError."""
        for sha256 in drawings:
            for path in self._places(sha256):
                _scratch(path).unlink(missing_ok=True)
                path.unlink(missing_ok=True)

    def _write(self, content: ImageContent) -> None:
        path = self._place(content.sha256, SUFFIXES[content.mime])
        scratch = _scratch(path)
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                scratch.write_bytes(content.data)
                with suppress(FileNotFoundError):  # dropped, since a call that drew the same was stopped
                    scratch.replace(path)
            except OSError:
                scratch.unlink(missing_ok=True)
                raise

    def _places(self, sha256: str) -> tuple[Path, ...]:
        return tuple(self._place(sha256, suffix) for suffix in SUFFIXES.values())

    def _place(self, sha256: str, suffix: str) -> Path:
        return self._folder / sha256[:2] / f"{sha256}{suffix}"


def _scratch(path: Path) -> Path:
    return path.with_name(f".{path.name}")
