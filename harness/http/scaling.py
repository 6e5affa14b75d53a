"""Images over a provider's size limit: one stated rule, the same for every provider.

An image over the limit is scaled down by its longest side with Lanczos resampling: to the longest side allowed, or to
three quarters of its own where only the file is too large, and to three quarters again until the file fits. A JPEG
stays a JPEG of quality 95, everything else becomes a PNG. What was done is noted in the response; that it may be done
is a setting.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.errors import BadImage
from harness.types import Failure, Image, ImageContent, Message, Part, Request

if TYPE_CHECKING:
    import PIL.Image

_STEP = 0.75
_QUALITY = 95


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLimit:
    """The largest image a provider takes.

    Attributes:
        size: bytes of the file, before base64; None where there is no limit.
        side: pixels of the longest side; None where there is no limit.
    """

    size: int | None = None
    side: int | None = None

    def holds(self, content: ImageContent) -> bool:
        """Whether an image may be sent as it is."""
        too_large = self.size is not None and len(content.data) > self.size
        return not too_large and (self.side is None or max(content.width, content.height) <= self.side)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A request whose images are all within the limit, and a note for each one that was scaled."""

    request: Request
    notes: tuple[str, ...] = ()


async def fit(request: Request, limit: ImageLimit, *, resize: bool = True) -> Fitted | Failure:
    """Scale down the images over the limit, in a worker thread; costs nothing when there are none.

    With `resize` off, the first image over the limit is an `error`.
    """
    over = [image for image in request.images if not limit.holds(image.opened)]
    if not over:
        return Fitted(request=request)
    if not resize:
        seen = over[0].opened
        what = f"{over[0].path}: {seen.width}x{seen.height}, {len(seen.data)} bytes is over the provider's limit"
        return Failure(outcome="error", reason="image_too_large", message=what)
    import anyio.to_thread

    try:
        return await anyio.to_thread.run_sync(_fitted, request, limit)
    except BadImage as fault:
        return Failure(outcome="bad_sample", reason=fault.reason, message=str(fault))


def _fitted(request: Request, limit: ImageLimit) -> Fitted:
    notes: list[str] = []

    def part(old: Part) -> Part:
        if not isinstance(old, Image) or limit.holds(old.opened):
            return old
        small = scale(old.opened, limit)
        before, after = (f"{seen.width}x{seen.height}" for seen in (old.opened, small))
        notes.append(f"{old.path}: scaled from {before} to {after} (longest side, Lanczos)")
        return replace(old, content=small)

    messages = tuple(
        Message(role=message.role, content=tuple(map(part, message.content))) for message in request.messages
    )
    return Fitted(request=replace(request, messages=messages), notes=tuple(notes))


def scale(content: ImageContent, limit: ImageLimit) -> ImageContent:
    """An image by the rule above. Blocking: decodes and encodes."""
    from harness.images.opening import decode

    whole = decode(content)
    small = content
    for side in _sides(max(content.width, content.height), limit):
        small = _at(whole, side, content.mime)
        if limit.holds(small):
            break
    return small


def _sides(longest: int, limit: ImageLimit) -> Iterator[int]:
    side = limit.side if limit.side is not None and limit.side < longest else int(longest * _STEP)
    while side >= 1:
        yield side
        side = int(side * _STEP)


def _at(whole: PIL.Image.Image, side: int, mime: str) -> ImageContent:
    import PIL.Image

    factor = side / max(whole.size)
    size = (max(1, round(whole.width * factor)), max(1, round(whole.height * factor)))
    small = whole.resize(size, PIL.Image.Resampling.LANCZOS)
    file = io.BytesIO()
    if mime == "image/jpeg":
        small.save(file, "JPEG", quality=_QUALITY)
    else:
        small.save(file, "PNG")
    data = file.getvalue()
    return ImageContent(
        data=data,
        encoded=base64.b64encode(data),
        sha256=hashlib.sha256(data).hexdigest(),
        mime="image/jpeg" if mime == "image/jpeg" else "image/png",
        width=size[0],
        height=size[1],
    )
