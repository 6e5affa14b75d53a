"""How many calls a plan takes at most, by who is asked: what a person wants to know before it begins.

Counted as if every element that is asked for were found and came to its end, each in either way that it can end, and
every drawing were sent back until the last round; and as if, for photographs, no record found its two before the last
of those that are tried. A reply that cannot be read is asked for once more, calls that were kept are not made again, a
question that people mended is checked and sorted once more, and where a record took a photograph that another one had
been about to, one more is tried; none of these is counted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from harness_builder.quality.probing import PARTS
from harness_builder.real.choosing import TRIED

from .plan import ROLES, Plan

#: who is asked, as `limits` counts them: the roles, and the painter
WHO: Final = (*ROLES, "painter")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeds:
    """How many there are.

    Attributes:
        texts: of a text alone.
        images: with an image.
    """

    texts: int
    images: int

    def __add__(self, other: Seeds) -> Seeds:
        """All of both."""
        return Seeds(texts=self.texts + other.texts, images=self.images + other.images)


def calls(plan: Plan, seeds: Seeds, *, judge: int) -> Counter[str]:
    """Who is asked how often for so many seeds.

    Args:
        plan: of the build.
        seeds: to be walked.
        judge: calls that one judgement takes; none where a rule judges.
    """
    made = seeds.texts * plan.per_text + seeds.images * plan.per_image
    each = _of_element(plan, judge)
    found = Counter({who: each[who] * made for who in WHO})
    found["writer"] += seeds.texts
    found["viewer"] += seeds.images
    found["checker"] += seeds.images  # before the viewer sees one
    return found


def _of_element(plan: Plan, judge: int) -> Counter[str]:
    drawn = plan.rounds * plan.best_of
    choices = 2 * plan.rounds if plan.best_of > 1 else 0
    photographs = 2 * TRIED if plan.photos else 0
    return Counter(
        writer=2,  # written, made neutral
        checker=plan.rounds + drawn + photographs,  # all texts before each round, and each of its pairs
        painter=2 * drawn,
        viewer=choices + (plan.rounds - 1) + 1 + photographs,  # better prompts after each round but the last; sorted
        prober=len(PARTS) if plan.probe else 0,
        labeller=plan.tries + plan.text_only + plan.refusal,
        judge=plan.tries * judge,
    )
