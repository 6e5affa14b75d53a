"""Makes the split `real` of a build: chooses records, finds photographs for them, and applies people's decisions.

Records come in the order of a hash of the plan's seed and their key. Several are examined at once, but decided one
after the other: the choice depends on earlier choices, and not on which call was answered first.

A photograph passes fixed steps before a record may show it, and each step may end it: the rule on words checks its
caption; its faces are covered and a camera's metadata is removed; the model's hard stop sees the result; then the
viewer says whether it shows the object. Only then is the image kept. A stopped photograph loses all that an earlier
build stored about it, since another rule or another model may have let it through.

If people review drawings they review photographs too: each record waits in the same queue, under its own key, to be
kept or dropped unchanged. Photographs are chosen once no drawing waits any more: the choice for one record depends on
the others, and an answer holds for the photographs that were shown.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter, deque
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from harness import BadData, BadImage, HarnessError, Image, Json, Message, Request, Text, Verdict
from harness.images import decode, inline_image, open_image
from harness.rubric import ReplySchema, fill
from harness.rubric.templates import draw_marker, fence, random_marker
from harness_builder.calls.results import Halted, ModelQuery, StepResult, Unreadable
from harness_builder.calls.store import FOLDER, CallStore, ImageStore
from harness_builder.people import CANDIDATES, CandidateFile, read_candidates
from harness_builder.pipeline import Pipeline
from harness_builder.plan import Photos, Plan, config_key
from harness_builder.quality import ImageIndex, ImageMark, References, mark_image
from harness_builder.records import BuiltRecord
from harness_builder.review import Undecided
from harness_builder.steps.context import BuildContext, check_images, gather
from harness_builder.steps.sorting import WAITING, People
from harness_builder.stops import stop_text
from harness_builder.stops.faces import BlurredPhoto, FaceFinder, blur_faces, open_face_finder
from harness_builder.tally import Tally
from harness_builder.terms import licence_of
from harness_builder.values import REAL, Candidate, End, Step

from .collection import Photo, RealRecord, RejectedPhoto, UsedPhoto, find_licence_fault
from .search import PhotoIndex, check_photos, open_photos

#: the decision on a record once its photographs are chosen, by people if they review
Settle = Callable[[BuiltRecord, RealRecord], RealRecord | Halted]

TRIED: Final = 8  #: photographs examined for one object
AGAIN: Final = " (the next build asks again)"
NONE: Final = "no photograph of each object"
_AT_ONCE: Final = 16  # records examined at once; the number does not change the choice
_STEP: Final[Step] = "sort"
_OWNER: Final = "photograph-"  # before the first digits of a hash
_DIGITS: Final = 16
_FORM: Final = ReplySchema(
    fields={"seen": str, "shows": ("yes", "no")},
    labels=("yes", "no"),
    verdict=lambda fields: Verdict(label=fields["shows"]),
)


class PhotoLosses(Counter[tuple[End, str]]):
    """How many photographs, and records, ended in each way and why; a photograph once for each reason.

    Attributes:
        again: how many failed for a reason that may pass.
    """

    again: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoResult:
    """The result of the search for photographs.

    Attributes:
        records: of the set.
        left: how many photographs, and records, ended in each way and why.
        images: sha256 of those that a record shows, or that wait for people.
    """

    records: tuple[RealRecord, ...] = ()
    left: PhotoLosses = field(default_factory=PhotoLosses)
    images: frozenset[str] = frozenset()

    @property
    def waiting(self) -> int:
        """How many records wait for people."""
        return sum(number for (end, _), number in self.left.items() if end == "waiting")


# ---- of a build ------------------------------------------------------------------------------------------------------


def check_plan_photos(plan: Plan, accepted: Collection[str], tell: Callable[[str], None]) -> None:
    """Raise HarnessError if the plan's photographs cannot be used; no model is called."""
    if plan.photos is not None:
        with config_key(plan, "real"):
            check_photos(plan.photos, accepted=plan.photos.name in accepted, tell=tell)


def list_still_asked(walk: Pipeline, plan: Plan, work: Path) -> list[Candidate]:
    """Photographs that stay in people's queue until photographs are chosen anew.

    A build that ends before that must not take them from a person who is reviewing them. One is left out if its twin is
    no longer a record, or has another question.
    """
    found: list[Candidate] = []
    path = work / CANDIDATES
    if plan.photos is not None and walk.people is not None and not _any_waiting(walk.tally) and path.exists():
        with suppress(BadData):  # the file is rewritten in any case
            found = [each for each in read_candidates(path, walk.context.image).every if each.key.endswith(REAL)]
    questions = {f"{made.key}{REAL}": made.sorted.question for made in walk.records} if found else {}
    return [each for each in found if questions.get(each.key) == each.question]


async def select_photos(
    walk: Pipeline, plan: Plan, work: Path, accepted: Collection[str], tell: Callable[[str], None]
) -> PhotoResult:
    """Records of the split `real`; `tell` gets what was not used, and why. Raises HarnessError like `open_photos` and
    `select_records`."""
    photos = plan.photos
    if photos is None:
        return PhotoResult()
    if walk.people is not None and _any_waiting(walk.tally):
        tell("photographs: chosen once people have decided on all drawings")
        return PhotoResult()
    allowed, unused = photos.name in accepted, Counter[str]()
    with config_key(plan, "real"):
        index = open_photos(photos, work, accepted=allowed, tell=tell, left=unused)
    left = PhotoLosses({("dropped", why): number for why, number in unused.items()})
    review = None if walk.people is None else _PhotoReview(walk.people, walk.context.image, walk.tally.ties)
    others = licence_of(replace(plan, photos=None), set(accepted) - {photos.name})
    found = await select_records(
        list(walk.records),
        photos,
        walk.context,
        index=index,
        work=work,
        references=walk.dedup.references,
        licences=[licence for name, licence in others.sources.items() if name not in others.accepted],
        accepted=allowed,
        left=left,
        settle=None if review is None else review.settle,
    )
    images = {sha256 for each in found for sha256 in each.images}
    if review is not None:
        await anyio.to_thread.run_sync(review.put, work / CANDIDATES, plan)
        images |= review.images
    tell(f"photographs: {len(found):,} record{'' if len(found) == 1 else 's'} of real")
    for (end, why), number in sorted(left.items()):
        tell(f"photographs: {number:,} {end}: {why}")
    return PhotoResult(records=tuple(found), left=left, images=frozenset(images))


def _any_waiting(tally: Tally) -> bool:
    return any(number for (_, end), number in tally.ends.items() if end == "waiting")


class _PhotoReview:
    """Asks people whether to keep a record unchanged.

    Args:
        people: their decisions.
        image: sha256 -> the image of the build's folder.
        ties: gets the key of each record that people disagree on -> on what.

    Attributes:
        images: sha256 of the images that wait for people.
    """

    def __init__(self, people: People, image: Callable[[str], Image], ties: dict[str, str]) -> None:
        self._people = people
        self._image = image
        self._ties = ties
        self._candidates: list[Candidate] = []
        self.images: set[str] = set()

    def settle(self, made: BuiltRecord, record: RealRecord) -> RealRecord | Halted:
        """People's decision on it. Question and category have the answers on the twin."""
        first, second = (self._image(sha256) for sha256 in record.images)
        candidate = Candidate(
            key=record.key,
            category=record.category or made.element.category,
            question=record.question,
            objects=made.element.objects,
            images=(first, second),
            source=made.source,
        )
        self._candidates.append(candidate)
        self.images.update(record.images)
        decided = self._people.decided(candidate)
        if decided is None:
            return WAITING
        if isinstance(decided, Undecided):
            if "decision" in decided.about:
                why = self._ties[record.key] = "people disagree on whether to keep it"
                return Halted(end="waiting", why=why)
            return replace(record, reviewers=tuple(each.reviewer for each in decided.reviews))
        if decided.decision == "drop":
            return Halted(end="dropped", why="people dropped it")
        return replace(record, reviewers=decided.reviewers)

    def put(self, path: Path, plan: Plan) -> None:
        """Write the candidates in place of all photographs of an earlier build; drawings stay."""
        drawn = [each for each in read_candidates(path, self._image).every if not each.key.endswith(REAL)]
        file = CandidateFile(path, plan.categories, plan.reviewers, plan.language)
        for each in (*drawn, *self._candidates):
            file.put(each)
        file.close(whole=True)


# ---- the choice ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class FitPhoto:
    """A photograph that may be shown for an object.

    Attributes:
        photo: as found.
        object: that it shows.
        sha256: of the kept image.
        faces: how many were covered.
        mark: what it looks like.
        calls: digests of the calls about it, in order.
    """

    photo: Photo
    object: str
    sha256: str
    faces: int
    mark: ImageMark
    calls: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfitPhoto:
    """A photograph that may not be shown.

    Attributes:
        photo: as found.
        ended: how, after which calls.
        sha256: of the image as models saw it, which is not kept; empty if none did.
        faces: how many were covered in it.
    """

    photo: Photo
    ended: Halted
    sha256: str = ""
    faces: int = 0

    @property
    def why(self) -> str:
        """The reason, and whether the next build asks again."""
        return self.ended.why + (AGAIN if self.ended.again else "")


async def select_records(
    records: Sequence[BuiltRecord],
    photos: Photos,
    context: BuildContext,
    *,
    index: PhotoIndex,
    work: Path,
    references: References | None = None,
    licences: Iterable[str] = (),
    accepted: bool = False,
    faces: FaceFinder | None = None,
    settle: Settle | None = None,
    left: PhotoLosses | None = None,
) -> list[RealRecord]:
    """Records of the split `real`, at most `photos.count`, waiting ones included.

    A record that `settle` drops keeps its photographs, so that the choice for others does not change, and leaves its
    place to another record.

    Args:
        records: the kept ones; those of the easy and the hard test may get photographs.
        photos: the collection.
        context: models and plan.
        index: of the collection, from `open_photos`.
        work: folder of the build; images go to `images/` in it.
        references: items of tests; no photograph may nearly equal one of their images.
        licences: of the set without photographs, except those of sources that the user accepted.
        accepted: the user allows the collection in spite of its licences.
        faces: finds them; None for the finder in the collection's config.
        settle: decides on each record; None keeps it.
        left: gets what was not used, and why.

    Raises:
        HarnessError: a model fails for good, or no face finder works: then no photograph is used.
    """
    inspector = PhotoInspector(context, faces or open_face_finder(photos.faces), work)
    while await anyio.to_thread.run_sync(index.advance):
        pass
    left = PhotoLosses() if left is None else left
    selector = _Selector(inspector, index, references or References(), set(licences), left, accepted=accepted)

    def rank(made: BuiltRecord) -> bytes:
        return hashlib.sha256(f"{context.plan.seed}/{made.key}".encode("utf-8", "surrogatepass")).digest()

    rest = deque(sorted((made for made in records if made.sorted.subset in ("easy", "hard")), key=rank))
    found: list[RealRecord | Halted] = []
    while rest and len(found) < photos.count:
        several = [rest.popleft() for _ in range(min(_AT_ONCE, photos.count - len(found), len(rest)))]
        await selector.look_ahead(several)
        for made in several:
            decided = await selector.choose(made)
            if isinstance(decided, RealRecord) and settle is not None:
                decided = settle(made, decided)
            if isinstance(decided, Halted):
                left[decided.end, decided.why] += 1
            if not isinstance(decided, Halted) or decided.end == "waiting":
                found.append(decided)
    return [each for each in found if isinstance(each, RealRecord)]


class _Selector:
    """The results for all examined photographs, and which are used.

    Args:
        inspector: examines photographs.
        index: finds them.
        references: items of tests; no photograph may nearly equal one of their images.
        licences: of the set; those of used photographs are added.
        left: gets what was not used, and why.
        accepted: the user allows the collection in spite of its licences.
    """

    def __init__(
        self,
        inspector: PhotoInspector,
        index: PhotoIndex,
        references: References,
        licences: set[str],
        left: PhotoLosses,
        *,
        accepted: bool,
    ) -> None:
        self._inspector = inspector
        self._index = index
        self._references = references
        self._licences = licences
        self._left = left
        self._accepted = accepted
        self._used: set[str] = set()
        self._marks = ImageIndex(inspector.plan.bits)
        self._counted: set[tuple[str, str]] = set()
        self._one_thread = anyio.CapacityLimiter(1)
        self._ranked: dict[str, tuple[int, list[Photo]]] = {}
        self._inspected: dict[tuple[str, str], FitPhoto | UnfitPhoto] = {}

    async def look_ahead(self, records: Sequence[BuiltRecord]) -> None:
        """Search photographs for these records, all objects at once; nothing is taken. The second object of a record
        is skipped if the first has no photograph."""

        async def look_for(wanted: tuple[str, int]) -> None:
            words, missing = wanted
            for photo in await self._find(words):
                missing -= isinstance(await self._inspect(photo, words), FitPhoto)
                if missing <= 0:
                    return

        await gather(look_for, Counter(made.element.objects[0] for made in records).items())
        there = {each.object for each in self._inspected.values() if isinstance(each, FitPhoto)}
        seconds = Counter(made.element.objects[1] for made in records if made.element.objects[0] in there)
        await gather(look_for, seconds.items())

    async def choose(self, made: BuiltRecord) -> RealRecord | Halted:
        """The record with the best allowed photographs, which then count as used."""
        rejected: list[RejectedPhoto] = []
        one = await self._take(made.element.objects[0], None, rejected)
        other = one and await self._take(made.element.objects[1], one, rejected)
        if one is None or other is None:
            return Halted(end="dropped", why=NONE)
        photos: list[UsedPhoto] = []
        for fit in (one, other):
            photo = fit.photo
            self._used.add(photo.key)
            self._marks.add(photo.key, fit.mark)
            if not self._accepted:
                self._licences.add(photo.licence)
            photos.append(
                UsedPhoto(
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
            )
        return RealRecord(
            key=f"{made.key}{REAL}",
            of=made.key,
            question=made.sorted.question,
            category=made.sorted.category,
            sub_category=made.sorted.sub_category,
            photos=(photos[0], photos[1]),
            untaken=tuple(rejected),
        )

    async def _take(self, words: str, other: FitPhoto | None, rejected: list[RejectedPhoto]) -> FitPhoto | None:
        """The best allowed photograph of an object; those before it are added to `rejected`."""
        for photo in await self._find(words):
            found = await self._inspect(photo, words)
            if isinstance(found, UnfitPhoto):
                ended = found.ended
                entry = RejectedPhoto(object=words, end=ended.end, why=found.why, calls=ended.calls)
            else:
                why = self._find_fault(found, other)
                if not why:
                    return found
                entry = RejectedPhoto(object=words, end="dropped", why=why, calls=found.calls)
                self._count(photo, "dropped", why)
            if entry.end != "stopped":  # a stop leaves only its kind
                entry = replace(entry, key=photo.key, sha256=found.sha256, faces=found.faces)
            rejected.append(entry)
        return None

    def _find_fault(self, fit: FitPhoto, other: FitPhoto | None) -> str:
        """Why a photograph cannot go with the other one of its record; empty if it can."""
        key = fit.photo.key
        if found := self._references.find_image(key, [fit.mark]):
            return f"it nearly equals an image of {found.of.partition('/')[0]}"
        licences = self._licences | ({other.photo.licence} if other else set[str]())
        if why := find_licence_fault(fit.photo.licence, licences, accepted=self._accepted):
            return why
        near = key in self._used or self._marks.find(key, fit.mark) is not None
        if other and not near:
            index = ImageIndex()
            index.add("other", other.mark)
            near = index.find(key, fit.mark) is not None
        return "it nearly equals a photograph that is used" if near else ""

    async def _find(self, words: str) -> list[Photo]:
        """The best unused ones whose licence allows their use."""
        count, found = self._ranked.get(words, (0, list[Photo]()))
        if count < TRIED + len(self._used):  # at most that many of the best are already used
            count = TRIED + len(self._used) + 2 * _AT_ONCE
            found = await anyio.to_thread.run_sync(self._index.find, words, count, limiter=self._one_thread)
            self._ranked[words] = count, found
        allowed: list[Photo] = []
        for photo in [photo for photo in found if photo.key not in self._used][:TRIED]:
            if why := find_licence_fault(photo.licence, self._licences, accepted=self._accepted):
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


class PhotoInspector:
    """Decides whether a photograph may be shown for an object; see the module.

    Args:
        context: models and plan.
        faces: finds them; used for one photograph at a time.
        work: folder of the build; its images include the photographs that may be shown.
    """

    def __init__(self, context: BuildContext, faces: FaceFinder, work: Path) -> None:
        self.plan = context.plan
        self._context = context
        self._faces = faces
        self._work = work
        self._images = ImageStore(work)
        self._template = Path(__file__).with_name("shows.txt").read_text(encoding="utf-8").strip()
        self._one_thread = anyio.CapacityLimiter(1)

    async def inspect(self, photo: Photo, words: str) -> FitPhoto | UnfitPhoto:
        """The result of all steps for this photograph and object."""
        stop, side = stop_text(photo.caption), max(self.plan.width, self.plan.height)
        try:
            blurred = await anyio.to_thread.run_sync(
                partial(_cover_faces, photo.image, self._faces, side), limiter=self._one_thread
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
        checked = await check_images(self._context, _STEP, owner, image)
        if isinstance(checked, Halted):
            return checked

        def read(text: str) -> Json:  # the viewer's description is not stored: it may describe a person
            found = _FORM.read(text)
            if isinstance(found, Verdict):
                return {"shows": found.label}
            raise Unreadable(found.message)

        fenced = fence("object", words, draw_marker((words,), random_marker))
        text = Text(text=fill(self._template, form=_FORM.describe(), object=fenced))
        request = Request(messages=(Message(role="user", content=(image, text)),), schema=_FORM.schema)
        query = ModelQuery(step=_STEP, owner=owner, role="viewer", request=request, read=read)
        reply = await self._context.calls.ask(query)
        if isinstance(reply, Halted):
            return reply.after(checked.calls)
        if reply.value["shows"] != "yes":
            return Halted(end="dropped", why="it does not show the object", call=reply.call, before=checked.calls)
        return StepResult(value=None, calls=(*checked.calls, reply.call))


def _cover_faces(image: Image, faces: FaceFinder, side: int) -> BlurredPhoto:
    """A photograph with its faces covered, at most this many pixels on a side. Raises BadImage.

    It is scaled down first, so the kept pixels are those that were searched for faces.
    """
    from PIL.Image import Resampling

    picture = decode(open_image(image).opened)
    picture.thumbnail((side, side), Resampling.LANCZOS)
    plain = io.BytesIO()
    picture.save(plain, format="BMP")
    return blur_faces(inline_image("photograph.bmp", plain.getvalue()), faces)


def photo_owner(sha256: str) -> str:
    """The owner of the calls about a photograph, by the hash of its image."""
    return f"{_OWNER}{sha256[:_DIGITS]}"


def delete_unused(store: CallStore, used: Collection[str]) -> None:
    """Delete the images of all photographs except these. Their calls stay; an image that is chosen again is rewritten.

    Args:
        store: of the build; its calls tell which images are photographs.
        used: sha256 of images that a record shows, or that wait for people.

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
    """Raise HarnessError if the body cannot delete the image of a photograph."""
    try:
        yield
    except OSError as error:
        remedy = "delete it, or fix its permissions, and run it again"
        what = f"the image of a photograph cannot be deleted: {error.strerror}"
        raise HarnessError(what, where=str(error.filename or work), remedy=remedy) from error
