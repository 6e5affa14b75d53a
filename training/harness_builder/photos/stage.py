"""The split `real` of a build: photographs for its records, and what people say of them.

Where people decide on drawings they decide on photographs too: each record waits in the same queue, under a key of its
own, to be kept or dropped as it is. Photographs are chosen once no drawing waits any more: what is chosen for one
record depends on the others, and an answer holds for what was shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio.to_thread

from harness import BadData, Image
from harness_builder.calls.results import Halted
from harness_builder.people import CANDIDATES, CandidateFile, read_candidates
from harness_builder.pipeline import Pipeline
from harness_builder.plan import Plan, config_key
from harness_builder.records import BuiltRecord
from harness_builder.review import Undecided
from harness_builder.steps.context import check_images
from harness_builder.steps.sorting import WAITING, People
from harness_builder.tally import Tally
from harness_builder.terms import licence_of
from harness_builder.values import REAL, Candidate

from .collection import RealRecord
from .search import check_photos, open_photos
from .selection import PhotoLosses, keep_as_it_is, select_records


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoResult:
    """What came of the photographs of a plan.

    Attributes:
        records: that are in the set.
        left: how many photographs, and records, ended so and why.
        images: sha256 of those that a record shows, or that people are asked about.
    """

    records: tuple[RealRecord, ...] = ()
    left: PhotoLosses = field(default_factory=PhotoLosses)
    images: frozenset[str] = frozenset()

    @property
    def waiting(self) -> int:
        """Records that people have still to decide on."""
        return sum(number for (end, _), number in self.left.items() if end == "waiting")


def check_plan_photos(plan: Plan, accepted: Collection[str], tell: Callable[[str], None]) -> None:
    """Raise HarnessError where the plan's photographs cannot be used; no model is called."""
    if plan.photos is not None:
        with config_key(plan, "real"):
            check_photos(plan.photos, accepted=plan.photos.name in accepted, tell=tell)


def list_still_asked(walk: Pipeline, plan: Plan, work: Path) -> list[Candidate]:
    """Photographs that people were asked about and stay in their queue until they are chosen anew: a build that ends
    before that must not take them from a person who is in the middle of them. Left out is one whose twin is no record
    any more, or asks something else."""
    found: list[Candidate] = []
    path = work / CANDIDATES
    if plan.photos is not None and walk.people is not None and not _any_waiting(walk.tally) and path.exists():
        with suppress(BadData):  # the file is written anew in any case
            found = [each for each in read_candidates(path, walk.context.image).every if each.key.endswith(REAL)]
    questions = {f"{made.key}{REAL}": made.sorted.question for made in walk.records} if found else {}
    return [each for each in found if questions.get(each.key) == each.question]


async def select_photos(
    walk: Pipeline, plan: Plan, work: Path, accepted: Collection[str], tell: Callable[[str], None]
) -> PhotoResult:
    """Records of the split `real`; what was not used, and why, is told.

    Raises:
        HarnessError: as `open_photos` and `select_records`.
    """
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
        check_images,
        index=index,
        work=work,
        references=walk.dedup.references,
        licences=[licence for name, licence in others.sources.items() if name not in others.accepted],
        accepted=allowed,
        left=left,
        settle=keep_as_it_is if review is None else review.settle,
    )
    images = {sha256 for each in found for sha256 in each.images}
    if review is not None:
        await anyio.to_thread.run_sync(review.put, work / CANDIDATES, plan)
        images |= review.images
    tell(f"photographs: {len(found):,} record{'' if len(found) == 1 else 's'} of real")
    for (end, why), number in sorted(left.items()):
        tell(f"photographs: {number:,} {end}: {why}")
    return PhotoResult(records=tuple(found), left=left, images=frozenset(images))


class _PhotoReview:
    """Asks people whether to keep a record as it is.

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
        """Put them among those of the build, which stay, and in place of all that an earlier build asked about."""
        drawn = [each for each in read_candidates(path, self._image).every if not each.key.endswith(REAL)]
        file = CandidateFile(path, plan.categories, plan.reviewers, plan.language)
        for each in (*drawn, *self._candidates):
            file.put(each)
        file.close(whole=True)


def _any_waiting(tally: Tally) -> bool:
    return any(number for (_, end), number in tally.ends.items() if end == "waiting")
