"""Which records are asked again of real photographs, and of which.

Records come in the order of a hash of the plan's seed and their key. Several are looked into at once, but decided one
after the other: what is taken depends on what was taken before, and not on which call was answered first.

What becomes of a photograph before a record may show it has a fixed order, and each step may end its way: its caption
meets the words' rule; its faces are covered and all that a camera noted is left behind; the model's hard stop sees what
is left; then the viewer says whether it shows the object. Only then is the image kept. Of one that is stopped nothing
stays that an earlier build kept of it, since another rule or another model may have let it through.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Final

import anyio

from harness import BadImage, HarnessError, Image, Json, Message, Request, Text, Verdict
from harness.images import decode, inline_image, open_image
from harness.rubric import ReplySchema, fill
from harness.rubric.templates import fence, random_marker, unused_marker
from harness_builder.calls.images import FOLDER, ImageStore
from harness_builder.calls.results import Halted, ModelQuery, StepResult, Unreadable
from harness_builder.calls.store import CallStore
from harness_builder.plan import Photos
from harness_builder.quality import ImageIndex, ImageMark, References, mark_image
from harness_builder.records import BuiltRecord
from harness_builder.steps.context import BuildContext, gather
from harness_builder.stops import stop_text
from harness_builder.stops.faces import BlurredPhoto, FaceFinder, blur_faces, open_face_finder
from harness_builder.values import REAL, End, Step

from .collection import Photo, RealRecord, RejectedPhoto, UsedPhoto, find_licence_fault
from .search import PhotoIndex

#: the hard stop by a model: `harness_builder.steps.context.check_images`
Check = Callable[[BuildContext, Step, str, Image], Awaitable[StepResult[None] | Halted]]
#: what becomes of a record once its photographs are chosen: where people decide, what they decided
Settle = Callable[[BuiltRecord, RealRecord], RealRecord | Halted]

TRIED: Final = 8  #: photographs of one object that are looked at
AGAIN: Final = " (the next build asks again)"
NONE: Final = "no photograph of each object"
_AT_ONCE: Final = 16  # records that are looked into at once; how many changes nothing in what is chosen
_STEP: Final[Step] = "sort"
_OWNER: Final = "photograph-"  # before the first digits of a hash
_DIGITS: Final = 16
_FORM: Final = ReplySchema(
    fields={"seen": str, "shows": ("yes", "no")},
    labels=("yes", "no"),
    verdict=lambda fields: Verdict(label=fields["shows"]),
)


class PhotoLosses(Counter[tuple[End, str]]):
    """How many photographs, and records, ended so and why; a photograph once for each reason.

    Attributes:
        again: that failed for a reason that may pass.
    """

    again: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FitPhoto:
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
class UnfitPhoto:
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

    @property
    def why(self) -> str:
        """Why, and whether the next build asks again."""
        return self.ended.why + (AGAIN if self.ended.again else "")


def keep_as_it_is(_: BuiltRecord, record: RealRecord) -> RealRecord:
    """People are not asked about it."""
    return record


async def select_records(
    records: Sequence[BuiltRecord],
    photos: Photos,
    context: BuildContext,
    check: Check,
    *,
    index: PhotoIndex,
    work: Path,
    references: References | None = None,
    licences: Iterable[str] = (),
    accepted: bool = False,
    faces: FaceFinder | None = None,
    settle: Settle = keep_as_it_is,
    left: PhotoLosses | None = None,
) -> list[RealRecord]:
    """Records of the split `real`, at most `photos.count`; those that wait are counted among them.

    What `settle` drops keeps its photographs, so that what others show stays as it is, and leaves its place to another
    record.

    Args:
        records: that are kept; those of the easy and the hard test may be asked again.
        photos: the collection.
        context: models and plan.
        check: the hard stop by a model, `harness_builder.steps.context.check_images`.
        index: of the collection, from `open_photos`.
        work: folder of the build; images go to `images/` in it.
        references: items of tests, none of whose images may be nearly equalled.
        licences: that the set is under without photographs, but for those of sources the user accepted.
        accepted: the user allows the collection in spite of its licences.
        faces: finds them; None for what the collection's config says.
        settle: what becomes of each.
        left: is added to: what was not used, and why.

    Raises:
        HarnessError: as models do, and where nothing finds faces: no photograph is used then.
    """
    inspector = PhotoInspector(context, check, faces or open_face_finder(photos.faces), work)
    while await anyio.to_thread.run_sync(index.advance):
        pass
    rules = _Rules(ImageIndex(context.plan.bits), references or References(), set(licences), accepted=accepted)
    selector = _Selector(inspector, index, rules, settle, PhotoLosses() if left is None else left)

    def rank(made: BuiltRecord) -> bytes:
        return hashlib.sha256(f"{context.plan.seed}/{made.key}".encode("utf-8", "surrogatepass")).digest()

    rest = deque(sorted((made for made in records if made.sorted.subset in ("easy", "hard")), key=rank))
    found: list[RealRecord | Halted] = []
    while rest and len(found) < photos.count:
        several = [rest.popleft() for _ in range(min(_AT_ONCE, photos.count - len(found), len(rest)))]
        await selector.look_ahead(several)
        decided = [await selector.decide(made) for made in several]
        found += [each for each in decided if not isinstance(each, Halted) or each.end == "waiting"]
    return [each for each in found if isinstance(each, RealRecord)]


class _Rules:
    """What a photograph must not be, besides those that are used already."""

    def __init__(self, used: ImageIndex, references: References, licences: set[str], *, accepted: bool) -> None:
        self.keys: set[str] = set()
        self._marks = used
        self._references = references
        self._licences = licences
        self._accepted = accepted

    def licence_fault(self, photo: Photo) -> str:
        """Why its licence keeps it out; empty where it does not."""
        return find_licence_fault(photo.licence, self._licences, accepted=self._accepted)

    def find_fault(self, fit: FitPhoto, other: FitPhoto | None) -> str:
        """Why it is not taken next to the other one of its record; empty where it is."""
        key = fit.photo.key
        if found := self._references.find_image(key, [fit.mark]):
            return f"it nearly equals an image of {found.of.partition('/')[0]}"
        licences = self._licences | ({other.photo.licence} if other else set[str]())
        if why := find_licence_fault(fit.photo.licence, licences, accepted=self._accepted):
            return why
        near = key in self.keys or self._marks.find(key, fit.mark) is not None
        if other and not near:
            index = ImageIndex()
            index.add("other", other.mark)
            near = index.find(key, fit.mark) is not None
        return "it nearly equals a photograph that is used" if near else ""

    def take(self, fit: FitPhoto) -> None:
        """It is used now."""
        self.keys.add(fit.photo.key)
        self._marks.add(fit.photo.key, fit.mark)
        if not self._accepted:
            self._licences.add(fit.photo.licence)


class _Selector:
    """What became of each photograph that was looked at, and what is taken of them."""

    def __init__(
        self, inspector: PhotoInspector, index: PhotoIndex, rules: _Rules, settle: Settle, left: PhotoLosses
    ) -> None:
        self._inspector = inspector
        self._index = index
        self._rules = rules
        self._settle = settle
        self._left = left
        self._counted: set[tuple[str, str]] = set()
        self._one_thread = anyio.CapacityLimiter(1)
        self._ranked: dict[str, tuple[int, list[Photo]]] = {}
        self._inspected: dict[tuple[str, str], FitPhoto | UnfitPhoto] = {}

    async def look_ahead(self, records: Sequence[BuiltRecord]) -> None:
        """Look for what these records will want, all objects at once; nothing is taken. The second object of a record
        is not looked for where there is no photograph of the first."""
        firsts = Counter(made.element.objects[0] for made in records)
        await gather(self._look_for, firsts.items())
        there = {each.object for each in self._inspected.values() if isinstance(each, FitPhoto)}
        seconds = Counter(made.element.objects[1] for made in records if made.element.objects[0] in there)
        await gather(self._look_for, seconds.items())

    async def _look_for(self, wanted: tuple[str, int]) -> None:
        """Look until there are so many good photographs of an object."""
        words, missing = wanted
        for photo in await self._find(words):
            missing -= isinstance(await self._inspect(photo, words), FitPhoto)
            if missing <= 0:
                return

    async def decide(self, made: BuiltRecord) -> RealRecord | Halted:
        """The record with the best photographs that nothing speaks against; they are taken then."""
        rejected: list[RejectedPhoto] = []
        one = await self._take(made.element.objects[0], None, rejected)
        other = one and await self._take(made.element.objects[1], one, rejected)
        settled: RealRecord | Halted = Halted(end="dropped", why=NONE)
        if one is not None and other is not None:
            self._rules.take(one)
            self._rules.take(other)
            record = RealRecord(
                key=f"{made.key}{REAL}",
                of=made.key,
                question=made.sorted.question,
                category=made.sorted.category,
                sub_category=made.sorted.sub_category,
                photos=(_used_photo(one), _used_photo(other)),
                untaken=tuple(rejected),
            )
            settled = self._settle(made, record)
        if isinstance(settled, Halted):
            self._left[settled.end, settled.why] += 1
        return settled

    async def _take(self, words: str, other: FitPhoto | None, rejected: list[RejectedPhoto]) -> FitPhoto | None:
        """The best photograph of an object that nothing speaks against; those before it are added to `rejected`."""
        for photo in await self._find(words):
            found = await self._inspect(photo, words)
            if isinstance(found, UnfitPhoto):
                ended = found.ended
                entry = RejectedPhoto(object=words, end=ended.end, why=found.why, calls=ended.calls)
            else:
                why = self._rules.find_fault(found, other)
                if not why:
                    return found
                entry = RejectedPhoto(object=words, end="dropped", why=why, calls=found.calls)
                self._count(photo, "dropped", why)
            if entry.end != "stopped":  # of a stop nothing but its kind is kept
                entry = replace(entry, key=photo.key, sha256=found.sha256, faces=found.faces)
            rejected.append(entry)
        return None

    async def _find(self, words: str) -> list[Photo]:
        """The best that are not used yet and whose licence lets them be used."""
        used = self._rules.keys
        count, found = self._ranked.get(words, (0, list[Photo]()))
        if count < TRIED + len(used):  # at most that many of the best are used
            count = TRIED + len(used) + 2 * _AT_ONCE
            found = await anyio.to_thread.run_sync(self._index.find, words, count, limiter=self._one_thread)
            self._ranked[words] = count, found
        allowed: list[Photo] = []
        for photo in [photo for photo in found if photo.key not in used][:TRIED]:
            if why := self._rules.licence_fault(photo):
                self._count(photo, "dropped", why)
            else:
                allowed.append(photo)
        return allowed

    async def _inspect(self, photo: Photo, words: str) -> FitPhoto | UnfitPhoto:
        at = (photo.key, words)
        if at not in self._inspected:
            self._inspected[at] = found = await self._inspector.inspect(photo, words)
            if isinstance(found, UnfitPhoto):
                self._count(photo, found.ended.end, found.why, again=found.ended.again)
        return self._inspected[at]

    def _count(self, photo: Photo, end: End, why: str, *, again: bool = False) -> None:
        """Count a photograph that is not used, once for each reason."""
        if (photo.key, why) not in self._counted:
            self._counted.add((photo.key, why))
            self._left[end, why] += 1
            self._left.again += again


def _used_photo(fit: FitPhoto) -> UsedPhoto:
    photo = fit.photo
    return UsedPhoto(
        key=photo.key,
        object=fit.object,
        sha256=fit.sha256,
        faces=fit.faces,
        score=photo.score,
        licence=photo.licence,
        caption=photo.caption,
        url=photo.url,
        author=photo.author,
        calls=fit.calls,
    )


class PhotoInspector:
    """Decides whether a photograph may be shown for an object; see the module.

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
        self._one_thread = anyio.CapacityLimiter(1)

    async def inspect(self, photo: Photo, words: str) -> FitPhoto | UnfitPhoto:
        """What the photograph is good for, as one of this object."""
        stop = stop_text(photo.caption)
        try:
            blurred = await anyio.to_thread.run_sync(
                partial(cover_faces, photo.image, self._faces, self._side), limiter=self._one_thread
            )
            image = open_image(inline_image("photograph.png", blurred.data))
            looks = await anyio.to_thread.run_sync(mark_image, image, limiter=self._one_thread)
        except BadImage as error:
            dropped = Halted(end="dropped", why=f"its image is {error.reason}")
            return UnfitPhoto(photo=photo, ended=Halted.at_stop(stop) if stop else dropped)
        sha256, faces = image.opened.sha256, blurred.faces
        owner = photo_owner(sha256)
        found = Halted.at_stop(stop) if stop else await self._ask(image, words, owner)
        if isinstance(found, Halted):
            if found.end == "stopped":
                self._context.calls.forget(owner)
                with _delete_errors(self._work):
                    self._images.drop((sha256,))
            return UnfitPhoto(photo=photo, ended=found, sha256=sha256, faces=faces)
        if self._images.find(sha256) is None:
            await self._images.write(image.opened)
        return FitPhoto(photo=photo, object=words, sha256=sha256, faces=faces, mark=looks, calls=found.calls)

    async def _ask(self, image: Image, words: str, owner: str) -> StepResult[None] | Halted:
        """Whether the checker lets the image through and the viewer sees the object."""
        checked = await self._check(self._context, _STEP, owner, image)
        if isinstance(checked, Halted):
            return checked
        fenced = fence("object", words, unused_marker((words,), random_marker))
        text = Text(text=fill(_viewer_text(), form=_FORM.describe(), object=fenced))
        request = Request(messages=(Message(role="user", content=(image, text)),), schema=_FORM.schema)
        query = ModelQuery(step=_STEP, owner=owner, role="viewer", request=request, read=_parse_reply)
        reply = await self._context.calls.ask(query)
        if isinstance(reply, Halted):
            return reply.after(checked.calls)
        if reply.value["shows"] != "yes":
            return Halted(end="dropped", why="it does not show the object", call=reply.call, before=checked.calls)
        return StepResult(value=None, calls=(*checked.calls, reply.call))


def cover_faces(image: Image, faces: FaceFinder, side: int) -> BlurredPhoto:
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


def _parse_reply(text: str) -> Json:
    """Whether the photograph shows the object. What else the viewer saw is not kept: it may describe a person."""
    found = _FORM.read(text)
    if isinstance(found, Verdict):
        return {"shows": found.label}
    raise Unreadable(found.message)


@cache
def _viewer_text() -> str:
    return Path(__file__).with_name("shows.txt").read_text(encoding="utf-8").strip()


def photo_owner(sha256: str) -> str:
    """Whose the calls about a photograph are, by the hash of its image."""
    return f"{_OWNER}{sha256[:_DIGITS]}"


def delete_unused(store: CallStore, used: Collection[str]) -> None:
    """Delete the images of all photographs but these. What was answered of them stays, and they are written again where
    they are chosen again.

    Args:
        store: of the build; an image that no call of a photograph is about is not of a photograph.
        used: sha256 of images that a record shows, or that people are asked about.

    Raises:
        HarnessError: one cannot be deleted.
    """
    asked = set(store.owners(_OWNER))
    names = (path.name.lstrip(".").partition(".")[0] for path in (store.folder / FOLDER).glob("??/*"))
    gone = {name for name in names if photo_owner(name) in asked} - set(used)
    with _delete_errors(store.folder):
        ImageStore(store.folder).drop(gone)


@contextmanager
def _delete_errors(work: Path) -> Generator[None]:
    """Raise HarnessError where the image of a photograph cannot be deleted in the body."""
    try:
        yield
    except OSError as error:
        remedy = "delete it, or fix what forbids it, and run it again"
        what = f"the image of a photograph cannot be deleted: {error.strerror}"
        raise HarnessError(what, where=str(error.filename or work), remedy=remedy) from error
