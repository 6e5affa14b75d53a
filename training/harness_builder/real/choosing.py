"""Which records are asked again of real photographs, and of which.

Records come in the order of a hash of the plan's seed and their key. Several are looked into at once, but decided one
after the other: what is taken depends on what was taken before, and not on which call was answered first.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import anyio

from harness_builder.calls.results import Halted
from harness_builder.plan import Photos
from harness_builder.quality import ImageIndex, ImageMark, References
from harness_builder.records import BuiltRecord
from harness_builder.steps.context import BuildContext, gather
from harness_builder.stops.faces import FaceFinder, open_face_finder
from harness_builder.values import REAL, End

from .licensing import unfit
from .looking import Check, Looking, Seen, Unfit
from .values import Photo, PhotoIndex, RealRecord, Untaken, Used

#: what becomes of a record once its photographs are chosen: where people decide, what they decided
Settle = Callable[[BuiltRecord, RealRecord], RealRecord | Halted]
TRIED: Final = 8  #: photographs of one object that are looked at
_AT_ONCE: Final = 16  # records that are looked into at once; how many changes nothing in what is chosen
AGAIN: Final = " (the next build asks again)"
NONE: Final = "no photograph of each object"


class Left(Counter[tuple[End, str]]):
    """How many photographs, and records, ended so and why; a photograph once for each reason.

    Attributes:
        again: that failed for a reason that may pass.
    """

    again: int = 0


def unasked(_: BuiltRecord, record: RealRecord) -> RealRecord:
    """Nobody is asked about it."""
    return record


async def real_records(
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
    settle: Settle = unasked,
    left: Left | None = None,
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
    looking = Looking(context, check, faces or open_face_finder(photos.faces), work)
    while await anyio.to_thread.run_sync(index.advance):
        pass
    rules = _Rules(ImageIndex(context.plan.bits), references or References(), set(licences), accepted=accepted)
    choice = _Choice(looking, index, rules, settle, Left() if left is None else left)
    rest, found = deque(_in_order(records, context.plan.seed)), list[RealRecord | Halted]()
    while rest and len(found) < photos.count:
        several = min(_AT_ONCE, photos.count - len(found), len(rest))
        next_ones = [rest.popleft() for _ in range(several)]
        await choice.ahead(next_ones)
        decided = [await choice.decide(made) for made in next_ones]
        found += [each for each in decided if not isinstance(each, Halted) or each.end == "waiting"]
    return [each for each in found if isinstance(each, RealRecord)]


def _in_order(records: Sequence[BuiltRecord], seed: int) -> list[BuiltRecord]:
    def rank(made: BuiltRecord) -> bytes:
        return hashlib.sha256(f"{seed}/{made.key}".encode("utf-8", "surrogatepass")).digest()

    return sorted((made for made in records if made.sorted.subset in ("easy", "hard")), key=rank)


class _Rules:
    """What a photograph must not be, beside those that are used already."""

    def __init__(self, used: ImageIndex, references: References, licences: set[str], *, accepted: bool) -> None:
        self.keys: set[str] = set()
        self._marks = used
        self._references = references
        self._licences = licences
        self._accepted = accepted

    def unfit(self, photo: Photo) -> str:
        """Why its licence keeps it out; empty where it does not."""
        return unfit(photo.licence, self._licences, accepted=self._accepted)

    def against(self, seen: Seen, other: Seen | None) -> str:
        """Why it is not taken beside the other one of its record; empty where it is."""
        key = seen.photo.key
        if found := self._references.find_image(key, [seen.mark]):
            return f"it nearly equals an image of {found.of.partition('/')[0]}"
        beside = {other.photo.licence} if other else set[str]()
        if why := unfit(seen.photo.licence, self._licences | beside, accepted=self._accepted):
            return why
        near = key in self.keys or self._marks.find(key, seen.mark) or (other and _alike(seen.mark, other.mark))
        return "it nearly equals a photograph that is used" if near else ""

    def take(self, seen: Seen) -> None:
        """It is used now."""
        self.keys.add(seen.photo.key)
        self._marks.add(seen.photo.key, seen.mark)
        if not self._accepted:
            self._licences.add(seen.photo.licence)


def _alike(one: ImageMark, other: ImageMark) -> bool:
    index = ImageIndex()
    index.add("one", one)
    return index.find("other", other) is not None


class _Choice:
    """What became of each photograph that was looked at, and what is taken of them."""

    def __init__(self, looking: Looking, index: PhotoIndex, rules: _Rules, settle: Settle, left: Left) -> None:
        self._looking = looking
        self._index = index
        self._rules = rules
        self._settle = settle
        self._left = left
        self._said: set[tuple[str, str]] = set()
        self._hands = anyio.CapacityLimiter(1)
        self._ranked: dict[str, tuple[int, list[Photo]]] = {}
        self._seen: dict[tuple[str, str], Seen | Unfit] = {}

    async def ahead(self, records: Sequence[BuiltRecord]) -> None:
        """Look for what these records will want, all objects at once; nothing is taken. The second object of a record
        is not looked for where there is no photograph of the first."""
        firsts = Counter(made.element.objects[0] for made in records)
        await gather(self._look_for, firsts.items())
        there = {seen.object for seen in self._seen.values() if isinstance(seen, Seen)}
        seconds = Counter(made.element.objects[1] for made in records if made.element.objects[0] in there)
        await gather(self._look_for, seconds.items())

    async def decide(self, made: BuiltRecord) -> RealRecord | Halted:
        """The record with the best photographs that nothing speaks against; they are taken then."""
        untaken: list[Untaken] = []
        one = await self._take(made.element.objects[0], None, untaken)
        other = one and await self._take(made.element.objects[1], one, untaken)
        settled: RealRecord | Halted = Halted(end="dropped", why=NONE)
        if one is not None and other is not None:
            self._rules.take(one)
            self._rules.take(other)
            settled = self._settle(made, _record(made, one, other, untaken))
        if isinstance(settled, Halted):
            self._left[settled.end, settled.why] += 1
        return settled

    async def _look_for(self, wanted: tuple[str, int]) -> None:
        """Look until there are so many good photographs of an object."""
        words, missing = wanted
        for photo in await self._found(words):
            missing -= isinstance(await self._look(photo, words), Seen)
            if missing <= 0:
                return

    async def _take(self, words: str, other: Seen | None, untaken: list[Untaken]) -> Seen | None:
        for photo in await self._found(words):
            seen = await self._look(photo, words)
            if isinstance(seen, Unfit):
                untaken.append(_unfit(seen, words))
                continue
            why = self._rules.against(seen, other)
            if not why:
                return seen
            untaken.append(_against(seen, why))
            self._leave(photo, "dropped", why)
        return None

    async def _found(self, words: str) -> list[Photo]:
        """The best that are not used yet and whose licence lets them be used."""
        used = self._rules.keys
        count, found = self._ranked.get(words, (0, list[Photo]()))
        if count < TRIED + len(used):  # at most that many of the best are used
            count = TRIED + len(used) + 2 * _AT_ONCE
            found = await anyio.to_thread.run_sync(self._index.find, words, count, limiter=self._hands)
            self._ranked[words] = count, found
        fresh = [photo for photo in found if photo.key not in used][:TRIED]
        for photo in fresh:
            if why := self._rules.unfit(photo):
                self._leave(photo, "dropped", why)
        return [photo for photo in fresh if not self._rules.unfit(photo)]

    async def _look(self, photo: Photo, words: str) -> Seen | Unfit:
        at = (photo.key, words)
        if at not in self._seen:
            self._seen[at] = seen = await self._looking.look(photo, words)
            if isinstance(seen, Unfit):
                self._leave(photo, seen.ended.end, _why(seen.ended), again=seen.ended.again)
        return self._seen[at]

    def _leave(self, photo: Photo, end: End, why: str, *, again: bool = False) -> None:
        """Count it, once for each reason."""
        if (photo.key, why) not in self._said:
            self._said.add((photo.key, why))
            self._left[end, why] += 1
            self._left.again += again


def _record(made: BuiltRecord, one: Seen, other: Seen, untaken: Iterable[Untaken]) -> RealRecord:
    return RealRecord(
        key=f"{made.key}{REAL}",
        of=made.key,
        question=made.sorted.question,
        category=made.sorted.category,
        sub_category=made.sorted.sub_category,
        photos=(_used(one), _used(other)),
        untaken=tuple(untaken),
    )


def _used(seen: Seen) -> Used:
    return Used(
        key=seen.photo.key,
        object=seen.object,
        sha256=seen.sha256,
        faces=seen.faces,
        score=seen.photo.score,
        licence=seen.photo.licence,
        caption=seen.photo.caption,
        url=seen.photo.url,
        author=seen.photo.author,
        calls=seen.calls,
    )


def _unfit(seen: Unfit, words: str) -> Untaken:
    ended = seen.ended
    told = Untaken(object=words, end=ended.end, why=_why(ended), calls=ended.calls)
    if ended.end == "stopped":
        return told
    return replace(told, key=seen.photo.key, sha256=seen.sha256, faces=seen.faces)


def _against(seen: Seen, why: str) -> Untaken:
    told = Untaken(object=seen.object, end="dropped", why=why, calls=seen.calls)
    return replace(told, key=seen.photo.key, sha256=seen.sha256, faces=seen.faces)


def _why(ended: Halted) -> str:
    return ended.why + (AGAIN if ended.again else "")
