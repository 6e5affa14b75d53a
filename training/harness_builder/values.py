"""What a build is made of, step by step: a seed, an element, a question, a pair of images, a label.

A thing of one step names the thing it was made of by `key`; so each final record tells its whole story.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from harness import Image

Step = Literal["elements", "write", "draw", "sort", "label"]
Subset = Literal["train", "easy", "hard", "real"]

#: how a thing ended in a step: it goes on; a rule or a model dropped it; the model refused; the call or the reply was
#: no use; a hard stop, of which nothing but the count is kept
End = Literal["kept", "dropped", "refused", "failed", "stopped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """What an idea is taken from: a text or an image of a source.

    Attributes:
        key: `<source>/<id>`; stable.
        source: name of the data it came from.
        text: empty for an image alone.
        image: None for a text alone.
        category: as the source says; empty where it does not.
    """

    key: str
    source: str
    text: str = ""
    image: Image | None = None
    category: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """A risk that takes two objects.

    Attributes:
        key: `<seed key>#<number>`.
        seed: key of the seed.
        category: of the risk.
        question: as the model put it, naming both objects.
        objects: the two, in the order of the images.
    """

    key: str
    seed: str
    category: str
    question: str
    objects: tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question that names neither object, but the first and the second image.

    Attributes:
        key: of its element.
        text: as it will be asked.
        explicit: the same with the objects' names, for the text-only ablation.
        changed: it was made neutral; `explanation` says how.
        explanation: empty where it was neutral already.
    """

    key: str
    text: str
    explicit: str
    changed: bool = False
    explanation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What a person or a model is asked to sort: a question with its two images.

    Attributes:
        key: of its element.
        category: of the risk.
        question: as it will be asked.
        objects: what the images show.
        images: of the build's folder, in order.
        source: of the seed.
        opinion: what the model said: `text_unsafe`, `image_harmful`, …; shown to a person only after the answer.
    """

    key: str
    category: str
    question: str
    objects: tuple[str, str]
    images: tuple[Image, Image]
    source: str
    opinion: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What one person decided of one candidate.

    Attributes:
        key: of the candidate.
        reviewer: name.
        decision: keep, drop, or fix: kept with what `question` or `category` say instead.
        category: as the reviewer has it; empty for as it is.
        question: likewise.
        text_unsafe: whether the question alone is unsafe; None where it was not answered.
        image_harmful: whether an image alone shows something explicitly harmful; None where it was not answered.
        reason: in the reviewer's words.
        seconds: it took.
        at: ISO 8601.
    """

    key: str
    reviewer: str
    decision: Literal["keep", "drop", "fix"]
    category: str = ""
    question: str = ""
    text_unsafe: bool | None = None
    image_harmful: bool | None = None
    reason: str = ""
    seconds: float = 0.0
    at: str = ""


def subset(*, text_unsafe: bool, image_harmful: bool) -> Subset:
    """Where a kept candidate goes: an unsafe text trains, a safe one tests, easily where an image gives it away."""
    if text_unsafe:
        return "train"
    return "easy" if image_harmful else "hard"
