"""Images as files, which is how VLMEvalKit takes them: byte for byte, named by content, gone when nobody needs them."""

from __future__ import annotations

import io
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio.to_thread

from harness import Image, ImageContent
from harness.images import decode

_SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp", "image/bmp": ".bmp", "image/gif": ".gif"}
_PLAIN = frozenset({".png", ".jpg"})  # what every class of the zoo takes


class Pictures:
    """Writes images into one folder; equal images share a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._users: Counter[Path] = Counter()

    @asynccontextmanager
    async def placed(self, images: Sequence[Image]) -> AsyncGenerator[list[str]]:
        """Absolute paths of the images' files, in order, there while the block runs.

        Raises:
            BadImage: a WebP, BMP or GIF, which is written as PNG, does not decode.
        """
        paths = [self._path(image.opened) for image in images]
        self._users.update(paths)
        try:
            for image, path in zip(images, paths, strict=True):
                if not path.exists():
                    await anyio.to_thread.run_sync(_write, image.opened, path)
            yield [str(path) for path in paths]
        finally:
            self._users.subtract(paths)
            for path in {path for path in paths if not self._users[path]}:
                path.unlink(missing_ok=True)
                del self._users[path]

    def _path(self, content: ImageContent) -> Path:
        suffix = _SUFFIXES[content.mime]
        return self._folder / f"{content.sha256}{suffix if suffix in _PLAIN else '.png'}"


def _write(content: ImageContent, path: Path) -> None:
    data = content.data
    if _SUFFIXES[content.mime] not in _PLAIN:
        file = io.BytesIO()
        decode(content).save(file, "PNG")
        data = file.getvalue()
    part = path.with_name(uuid.uuid4().hex)
    part.write_bytes(data)
    part.replace(path)  # nobody reads half a file
