"""Images over a provider's size limit: one stated rule, the same for every provider.

An image over the limit is scaled down by its longest side with Lanczos resampling: to the longest side allowed, or to
three quarters of its own where only the file is too large, and to three quarters again until the file fits. A JPEG
stays a JPEG of quality 95, everything else becomes a PNG. An image of a type the provider does not take becomes a PNG
of its own size, its first frame where it moves. What was done is noted in the response; that it may be done is a
setting.
"""

from __future__ import annotations

import base64
import hashlib
import io
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
        size: bytes of the file, before base64; None for no limit.
        side: pixels of the longest side; None for no limit.
        types: MIME types it takes, PNG and JPEG among them; None for all.
    """

    size: int | None = None
    side: int | None = None
    types: frozenset[str] | None = None

    def holds(self, content: ImageContent) -> bool:
        """Whether an image may be sent as it is."""
        too_large = self.size is not None and len(content.data) > self.size
        too_long = self.side is not None and max(content.width, content.height) > self.side
        return self.takes(content.mime) and not too_large and not too_long

    def takes(self, mime: str) -> bool:
        """Whether images of a type may be sent."""
        return self.types is None or mime in self.types


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A request whose images are all within the limit, and a note for each one that was scaled."""

    request: Request
    notes: tuple[str, ...] = ()


async def fit(request: Request, limit: ImageLimit, *, resize: bool = True) -> Fitted | Failure:
    """Scale down the images over the limit, in a worker thread; costs nothing when there are none.

    With `resize` off, the first image over the limit is an `error`.
    """
    over = next((image for image in request.images if not limit.holds(image.opened)), None)
    if over is None:
        return Fitted(request=request)
    if not resize:
        seen = over.opened
        if not limit.takes(seen.mime):
            what = f"{over.path}: the provider takes no {seen.mime}"
            return Failure(outcome="error", reason="image_type", message=what)
        what = f"{over.path}: {seen.width}x{seen.height}, {len(seen.data)} bytes is over the provider's limit"
        return Failure(outcome="error", reason="image_too_large", message=what)
    import anyio.to_thread

    try:
        return await anyio.to_thread.run_sync(_scale_images, request, limit)
    except BadImage as fault:
        return Failure(outcome="bad_sample", reason=fault.reason, message=str(fault))


def _scale_images(request: Request, limit: ImageLimit) -> Fitted:
    notes: list[str] = []

    def fit_part(part: Part) -> Part:
        if not isinstance(part, Image) or limit.holds(part.opened):
            return part
        old, new = part.opened, scale(part.opened, limit)
        before, after = (f"{seen.width}x{seen.height}" for seen in (old, new))
        if before == after:
            notes.append(f"{part.path}: {old.mime} sent as {new.mime}")
        else:
            notes.append(f"{part.path}: scaled from {before} to {after} (longest side, Lanczos)")
        return replace(part, content=new)

    messages = tuple(
        Message(role=message.role, content=tuple(map(fit_part, message.content))) for message in request.messages
    )
    return Fitted(request=replace(request, messages=messages), notes=tuple(notes))


def scale(content: ImageContent, limit: ImageLimit) -> ImageContent:
    """An image by the rule above. Blocking: decodes and encodes."""
    from harness.images import decode

    whole = decode(content)
    longest = max(content.width, content.height)
    side = longest if not limit.takes(content.mime) else int(longest * _STEP)
    if limit.side is not None and limit.side < longest:
        side = limit.side
    small = content
    while side >= 1:
        small = _resize(whole, side, content.mime)
        if limit.holds(small):
            break
        side = int(side * _STEP)
    return small


def _resize(whole: PIL.Image.Image, side: int, mime: str) -> ImageContent:
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
