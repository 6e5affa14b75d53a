"""What becomes of a photograph before a record may show it. The order is fixed, and each may end its way:

its caption meets the words' rule; its faces are covered and all that a camera noted is left behind; the model's hard
stop sees what is left; then the viewer says whether it shows the object. Only then is the image kept. Of one that is
stopped nothing stays that an earlier build kept of it, since another rule or another model may have let it through.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Final

import anyio

from harness import BadImage, Image, Json, Message, Request, Text, Verdict
from harness.images import decode, inline_image, open_image
from harness.rubric import Form, fill
from harness.rubric.templates import fence, random_marker, unused_marker
from harness_builder.calls.images import ImageStore
from harness_builder.calls.results import Halted, ModelQuery, StepResult, Unreadable
from harness_builder.quality import ImageMark, mark_image
from harness_builder.steps.context import BuildContext
from harness_builder.stops import stop_text
from harness_builder.stops.faces import BlurredPhoto, FaceFinder, blur_faces
from harness_builder.values import Step

from .unused import deleting, owner_of
from .values import Photo

#: the hard stop by a model: `harness_builder.steps.context.check_images`
Check = Callable[[BuildContext, Step, str, Image], Awaitable[StepResult[None] | Halted]]

STEP: Final[Step] = "sort"
FORM: Final = Form(
    fields={"seen": str, "shows": ("yes", "no")},
    labels=("yes", "no"),
    verdict=lambda fields: Verdict(label=fields["shows"]),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A photograph that may be shown for an object.

    Attributes:
        photo: as it was found.
        object: that it shows.
        sha256: of the image that is kept.
        faces: that were covered.
        mark: what it looks like.
        calls: digests of those that looked at it, in order.
    """

    photo: Photo
    object: str
    sha256: str
    faces: int
    mark: ImageMark
    calls: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfit:
    """A photograph that may not.

    Attributes:
        photo: as it was found.
        ended: how, after which calls.
        sha256: of the image as models saw it, which is not kept; empty where none did.
        faces: that were covered in it.
    """

    photo: Photo
    ended: Halted
    sha256: str = ""
    faces: int = 0


class Looking:
    """See the module.

    Args:
        context: models and plan.
        check: the hard stop by a model.
        faces: finds them; used by one photograph at a time.
        work: folder of the build, among whose images those that may be shown are kept.
    """

    def __init__(self, context: BuildContext, check: Check, faces: FaceFinder, work: Path) -> None:
        self._context = context
        self._check = check
        self._faces = faces
        self._work = work
        self._images = ImageStore(work)
        self._side = max(context.plan.width, context.plan.height)
        self._hands = anyio.CapacityLimiter(1)

    async def look(self, photo: Photo, words: str) -> Seen | Unfit:
        """What it is good for, as a photograph of this object."""
        stop = stop_text(photo.caption)
        try:
            blurred = await anyio.to_thread.run_sync(
                partial(covered, photo.image, self._faces, self._side), limiter=self._hands
            )
            image = open_image(inline_image("photograph.png", blurred.data))
            looks = await anyio.to_thread.run_sync(mark_image, image, limiter=self._hands)
        except BadImage as error:
            dropped = Halted(end="dropped", why=f"its image is {error.reason}")
            return Unfit(photo=photo, ended=Halted.at_stop(stop) if stop else dropped)
        sha256, faces = image.opened.sha256, blurred.faces
        owner = owner_of(sha256)
        found = Halted.at_stop(stop) if stop else await self._asked(image, words, owner)
        if isinstance(found, Halted):
            if found.end == "stopped":
                self._erase(owner, sha256)
            return Unfit(photo=photo, ended=found, sha256=sha256, faces=faces)
        if self._images.find(sha256) is None:
            await self._images.write(image.opened)
        return Seen(photo=photo, object=words, sha256=sha256, faces=faces, mark=looks, calls=found.calls)

    def _erase(self, owner: str, sha256: str) -> None:
        self._context.calls.forget(owner)
        with deleting(self._work):
            self._images.drop((sha256,))

    async def _asked(self, image: Image, words: str, owner: str) -> StepResult[None] | Halted:
        """Whether image and viewer are fine."""
        checked = await self._check(self._context, STEP, owner, image)
        if isinstance(checked, Halted):
            return checked
        asked = ModelQuery(step=STEP, owner=owner, role="viewer", request=shows_request(image, words), read=_read)
        said = await self._context.calls.ask(asked)
        if isinstance(said, Halted):
            return said.after(checked.calls)
        if said.value["shows"] != "yes":
            return Halted(end="dropped", why="it does not show the object", call=said.call, before=checked.calls)
        return StepResult(value=None, calls=(*checked.calls, said.call))


def covered(image: Image, faces: FaceFinder, side: int) -> BlurredPhoto:
    """A photograph with its faces covered, no longer on a side than this many pixels.

    Made smaller first: what is looked through for faces is what is kept.

    Raises:
        BadImage: it is missing, broken or out of bounds.
    """
    from PIL.Image import Resampling

    picture = decode(open_image(image).opened)
    picture.thumbnail((side, side), Resampling.LANCZOS)
    plain = io.BytesIO()
    picture.save(plain, format="BMP")
    return blur_faces(inline_image("photograph.bmp", plain.getvalue()), faces)


def shows_request(image: Image, words: str) -> Request:
    """What the viewer is asked."""
    fenced = fence("object", words, unused_marker((words,), random_marker))
    text = Text(text=fill(_text(), form=FORM.describe(), object=fenced))
    return Request(messages=(Message(role="user", content=(image, text)),), schema=FORM.schema)


def _read(text: str) -> Json:
    """Whether it shows it. What else the viewer saw is not kept: it may describe a person."""
    found = FORM.read(text)
    if isinstance(found, Verdict):
        return {"shows": found.label}
    raise Unreadable(found.message)


@cache
def _text() -> str:
    return Path(__file__).with_name("shows.txt").read_text(encoding="utf-8").strip()


def shows_hash() -> str:
    """sha256 of what the viewer is told."""
    return hashlib.sha256(_text().encode()).hexdigest()
