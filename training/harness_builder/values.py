"""What a build is made of, step by step: a seed, an element, a question, a pair of images, a label.

A thing of one step names the thing it was made of by `key`; so each final record tells its whole story.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from harness import Image

Step = Literal["elements", "write", "draw", "sort", "probe", "label"]
Subset = Literal["train", "easy", "hard", "real"]
STEPS: Final[tuple[Step, ...]] = get_args(Step)
REAL: Final = "@real"  #: ends the key of a record that shows photographs; before it stands that of its drawn twin

#: how a thing ended in a step: it goes on; a rule, a model or a person dropped it; the model refused; the call or the
#: reply was no use; a hard stop, of which nothing but the count is kept; people have still to decide
End = Literal["kept", "dropped", "refused", "failed", "stopped", "waiting"]
ENDS: Final[tuple[End, ...]] = get_args(End)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """What an idea is taken from: a text or an image of a source.

    Attributes:
        key: `<source>/<id>`; stable.
        source: name of the data it came from.
        text: empty for an image alone.
        image: None for a text alone.
        category: as the source says; empty where it does not.
        fault: what is wrong with its record, so that nothing can be made of it; empty where nothing is.
    """

    key: str
    source: str
    text: str = ""
    image: Image | None = None
    category: str = ""
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """A risk that takes two objects.

    Attributes:
        key: `<seed key>#<number>`.
        seed: key of the seed.
        category: of the risk.
        sub_category: of the risk; empty where no model named one.
        question: as the model put it, naming both objects.
        objects: the two, in the order of the images.
    """

    key: str
    seed: str
    category: str
    question: str
    objects: tuple[str, str]
    sub_category: str = ""


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
class DrawnImage:
    """One drawing that was made for an object, taken or not.

    Attributes:
        sha256: of the image, which lies in the build's folder under this name.
        object: which of the two, 0 or 1.
        prompt: it was drawn from.
        seed: likewise.
        round: of the two or more, from 1.
        taken: it is one of the two that the record shows.
    """

    sha256: str
    object: int
    prompt: str
    seed: int
    round: int
    taken: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The two images of an element.

    Attributes:
        key: of its element.
        images: sha256 of each, in order.
        shots: all that were drawn, in order; those taken among them.
        accepted: the model that looked was content; False where the last round was over first.
    """

    key: str
    images: tuple[str, str]
    shots: tuple[DrawnImage, ...]
    accepted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """What a model thinks of a candidate.

    Attributes:
        text_unsafe: the question says by itself what is wrong.
        image_harmful: an image does.
        category: of the risk; empty where the model named none.
        sub_category: likewise.
    """

    text_unsafe: bool
    image_harmful: bool
    category: str = ""
    sub_category: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubsetDecision:
    """Where an element goes, and why.

    Attributes:
        key: of its element.
        subset: by the rule of `subset()`.
        text_unsafe: the question says by itself what is wrong.
        image_harmful: an image does.
        category: of the risk, as it stands in the record.
        sub_category: likewise; empty for none.
        question: as it stands in the record: people may have mended it.
        by: who decided: the model alone, or people, whose word counts over the model's.
        reviewers: who they were.
    """

    key: str
    subset: Subset
    text_unsafe: bool
    image_harmful: bool
    category: str
    sub_category: str
    question: str
    by: Literal["model", "people"]
    reviewers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What a model should have answered.

    Attributes:
        key: of its element.
        answer: prose: what both images show, what follows from them together, a safe answer.
        verdict: label that the judge gave the answer.
        text_question: the question in words alone, for the text-only ablation; empty where it was not asked for.
        text_answer: answer to it; likewise.
        refusal: an answer that declines and gives no reason, for the refusal-only ablation; likewise.
    """

    key: str
    answer: str
    verdict: str
    text_question: str = ""
    text_answer: str = ""
    refusal: str = ""


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


def before(step: Step) -> tuple[Step, ...]:
    """The steps that an element has gone on from when it comes to one: tests are probed, what is to train on is
    labelled, and no element is both."""
    return tuple(each for each in STEPS[: STEPS.index(step)] if each != "probe")


def subset(*, text_unsafe: bool, image_harmful: bool) -> Subset:
    """Where a kept candidate goes: an unsafe text trains, a safe one tests, easily where an image gives it away."""
    if text_unsafe:
        return "train"
    return "easy" if image_harmful else "hard"
