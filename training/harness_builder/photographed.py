"""Records of the split `real`: photographs for the records of a walk, and what people say of them.

Where people decide on drawings they decide on photographs too: each record waits in the same queue, under a key of its
own, to be kept or dropped as it is. Photographs are chosen once nothing drawn waits any more: what is chosen for one
record depends on the others, and an answer holds for what was shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import anyio.to_thread

from harness import BadData, Image
from harness_builder.calls.results import Halted
from harness_builder.people import CANDIDATES, CandidateFile, read_candidates
from harness_builder.pipeline import Pipeline
from harness_builder.plan import Photos, Plan, config_key
from harness_builder.real.choosing import Left, real_records, unasked
from harness_builder.real.photographs import check_photos, open_photos
from harness_builder.real.values import PhotoIndex, RealRecord
from harness_builder.records import BuiltRecord
from harness_builder.review import Undecided
from harness_builder.steps.context import check_images
from harness_builder.steps.sorting import WAITING, People
from harness_builder.tally import Tally
from harness_builder.terms import licence_of
from harness_builder.values import REAL, Candidate

_LATER: Final = "photographs: chosen once people have decided on all drawings"


@dataclass(frozen=True, slots=True, kw_only=True)
class Photographed:
    """What came of the photographs of a plan.

    Attributes:
        records: that are in the set.
        left: how many photographs, and records, ended so and why.
        images: sha256 of those that a record shows, or that people are asked about.
    """

    records: tuple[RealRecord, ...] = ()
    left: Left = field(default_factory=Left)
    images: frozenset[str] = frozenset()

    @property
    def waiting(self) -> int:
        """Records that people have still to decide on."""
        return sum(number for (end, _), number in self.left.items() if end == "waiting")


def check_photographed(plan: Plan, accepted: Collection[str], tell: Callable[[str], None]) -> None:
    """Raise HarnessError where the plan's photographs cannot be used; nobody is asked anything."""
    if plan.photos is not None:
        with config_key(plan, "real"):
            check_photos(plan.photos, accepted=plan.photos.name in accepted, tell=tell)


def still_asked(walk: Pipeline, plan: Plan, work: Path) -> list[Candidate]:
    """Photographs that people were asked about and stay in their queue until they are chosen anew: a build that ends
    before that must not take them from a person who is in the middle of them. Where the twin of one is no record any
    more, or asks something else, nobody is asked about it."""
    found: list[Candidate] = []
    path = work / CANDIDATES
    if plan.photos is not None and walk.people is not None and not _waiting(walk.tally) and path.exists():
        with suppress(BadData):  # the file is written anew in any case
            found = [each for each in read_candidates(path, walk.context.image).every if each.key.endswith(REAL)]
    questions = {f"{made.key}{REAL}": made.sorted.question for made in walk.records} if found else {}
    return [each for each in found if questions.get(each.key) == each.question]


async def photographed(
    walk: Pipeline, plan: Plan, work: Path, accepted: Collection[str], tell: Callable[[str], None]
) -> Photographed:
    """Records of the split `real`; what was not used, and why, is told.

    Raises:
        HarnessError: as `open_photos` and `real_records`.
    """
    photos = plan.photos
    if photos is None:
        return Photographed()
    if walk.people is not None and _waiting(walk.tally):
        tell(_LATER)
        return Photographed()
    allowed, unused = photos.name in accepted, Counter[str]()
    with config_key(plan, "real"):
        index = open_photos(photos, work, accepted=allowed, tell=tell, left=unused)
    left = Left({("dropped", why): number for why, number in unused.items()})
    asked = None if walk.people is None else _Asked(walk.people, walk.context.image, walk.tally.ties)
    found = await _chosen(walk, plan, photos, index, work, accepted, asked, left)
    if asked is not None:
        await anyio.to_thread.run_sync(asked.put, work / CANDIDATES, plan)
    _tell(found, left, tell)
    images = frozenset(sha256 for each in found for sha256 in each.images) | (asked.images if asked else set[str]())
    return Photographed(records=tuple(found), left=left, images=images)


async def _chosen(
    walk: Pipeline,
    plan: Plan,
    photos: Photos,
    index: PhotoIndex,
    work: Path,
    accepted: Collection[str],
    asked: _Asked | None,
    left: Left,
) -> list[RealRecord]:
    beside = licence_of(replace(plan, photos=None), set(accepted) - {photos.name})
    return await real_records(
        list(walk.records),
        photos,
        walk.context,
        check_images,
        index=index,
        work=work,
        references=walk.dedup.references,
        licences=[licence for name, licence in beside.sources.items() if name not in beside.accepted],
        accepted=photos.name in accepted,
        settle=unasked if asked is None else asked.settle,
        left=left,
    )


class _Asked:
    """People, asked whether to keep a record as it is.

    Args:
        people: what they have decided.
        image: sha256 -> the image of the build's folder.
        ties: is added to: key of a record that they do not agree on -> on what.

    Attributes:
        images: sha256 of those that they are asked about.
    """

    def __init__(self, people: People, image: Callable[[str], Image], ties: dict[str, str]) -> None:
        self._people = people
        self._image = image
        self._ties = ties
        self._candidates: list[Candidate] = []
        self.images: set[str] = set()

    def settle(self, made: BuiltRecord, record: RealRecord) -> RealRecord | Halted:
        """What they decided of it. What else they answered is of the question and the category, and its twin's."""
        candidate = self._candidate(made, record)
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
        """Put them among those of the walk, which stay, and in place of all that an earlier build asked about."""
        drawn = [each for each in read_candidates(path, self._image).every if not each.key.endswith(REAL)]
        file = CandidateFile(path, plan.categories, plan.reviewers, plan.language)
        for each in (*drawn, *self._candidates):
            file.put(each)
        file.close(whole=True)

    def _candidate(self, made: BuiltRecord, record: RealRecord) -> Candidate:
        first, second = (self._image(sha256) for sha256 in record.images)
        return Candidate(
            key=record.key,
            category=record.category or made.element.category,
            question=record.question,
            objects=made.element.objects,
            images=(first, second),
            source=made.source,
        )


def _waiting(tally: Tally) -> bool:
    return any(number for (_, end), number in tally.ends.items() if end == "waiting")


def _tell(found: list[RealRecord], left: Left, tell: Callable[[str], None]) -> None:
    tell(f"photographs: {len(found):,} record{'' if len(found) == 1 else 's'} of real")
    for (end, why), number in sorted(left.items()):
        tell(f"photographs: {number:,} {end}: {why}")
