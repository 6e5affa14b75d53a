"""The values that a build makes, step by step: seed, element, question, pair of images, subset, label.

The `key` of a value names its origin, so a final record tells its whole story. The fields are those of `work/*.jsonl`
and of the set's provenance.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from harness import Image

Step = Literal["elements", "write", "draw", "sort", "probe", "label"]
Subset = Literal["train", "easy", "hard", "real"]
STEPS: Final[tuple[Step, ...]] = get_args(Step)
WORK: Final = "work"  #: folder of a build's calls, images and logs, in the folder of its set
REAL: Final = "@real"  #: ends the key of a record that shows photographs, after the key of its drawn twin

#: how something ended in a step: it continues; a rule, a model or a person dropped it; the model refused; the call
#: failed or its reply was useless; a hard stop, which is only counted; it waits for people
End = Literal["kept", "dropped", "refused", "failed", "stopped", "waiting"]
ENDS: Final[tuple[End, ...]] = get_args(End)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """A text or an image of a source, from which a model takes ideas.

    Attributes:
        key: `<source>/<id>`; stable.
        source: name of the data it came from.
        text: empty for an image alone.
        image: None for a text alone.
        category: as the source states it; empty for none.
        fault: why its record cannot be used; empty if it can.
    """

    key: str
    source: str
    text: str = ""
    image: Image | None = None
    category: str = ""
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """A risk that needs two objects.

    Attributes:
        key: `<seed key>#<number>`.
        seed: key of the seed.
        category: of the risk.
        sub_category: of the risk; empty if no model named one.
        question: as the model wrote it, naming both objects.
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
    """A question that names neither object, but refers to the first and the second image.

    Attributes:
        key: of its element.
        text: as it will be asked.
        explicit: the same with the objects' names, for the text-only ablation.
        changed: a model made it neutral.
        explanation: of the change; empty if there was none.
    """

    key: str
    text: str
    explicit: str
    changed: bool = False
    explanation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnImage:
    """One drawing of an object, taken or not.

    Attributes:
        sha256: of the image; its file in the build's folder has this name.
        object: which of the two, 0 or 1.
        prompt, seed: of the drawing.
        round: from 1.
        taken: whether it is one of the record's two images.
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
        shots: all drawings, in order, including the taken ones.
        accepted: whether the viewer accepted the two; False if the last round ended first.
    """

    key: str
    images: tuple[str, str]
    shots: tuple[DrawnImage, ...]
    accepted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """A model's opinion of a candidate.

    Attributes:
        text_unsafe: whether the question alone is unsafe.
        image_harmful: whether an image alone shows something harmful.
        category, sub_category: of the risk; empty if the model named none.
    """

    text_unsafe: bool
    image_harmful: bool
    category: str = ""
    sub_category: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubsetDecision:
    """The subset of an element, and the reasons.

    Attributes:
        key: of its element.
        subset: see `choose_subset`.
        text_unsafe, image_harmful: as in an Assessment, after people's decision.
        category, sub_category: of the record; the latter is empty for none.
        question: of the record: people may have changed it.
        by: the model alone, or people, who overrule the model.
        reviewers: the people.
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
        verdict: the judge's label of the answer.
        text_question, text_answer: the question in words alone and its answer, for the text-only ablation; else empty.
        refusal: an answer that declines and gives no reason, for the refusal-only ablation; else empty.
    """

    key: str
    answer: str
    verdict: str
    text_question: str = ""
    text_answer: str = ""
    refusal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A question with its two images, for a person or a model to sort.

    Attributes:
        key: of its element.
        category: of the risk.
        question: as it will be asked.
        objects: shown in the images.
        images: in order, not opened.
        source: of the seed.
        opinion: the model's (`text_unsafe`, `image_harmful`, …); a person sees it only after answering.
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
    """One person's decision on one candidate.

    Attributes:
        key: of the candidate.
        reviewer: name.
        decision: keep, drop, or fix: keep it with the `question` or `category` given here.
        category, question: replacing the candidate's; empty to keep it.
        text_unsafe: whether the question alone is unsafe; None for no answer.
        image_harmful: whether an image alone shows something explicitly harmful; None for no answer.
        combination_risky: whether question and both images together ask for something harmful; None for no answer.
        reason: in the reviewer's words.
        seconds: time for the decision.
        at: ISO 8601.
    """

    key: str
    reviewer: str
    decision: Literal["keep", "drop", "fix"]
    category: str = ""
    question: str = ""
    text_unsafe: bool | None = None
    image_harmful: bool | None = None
    combination_risky: bool | None = None
    reason: str = ""
    seconds: float = 0.0
    at: str = ""


def steps_before(step: Step) -> tuple[Step, ...]:
    """The steps that an element has passed before this one. Test elements are probed, training elements are labelled,
    none is both."""
    return tuple(each for each in STEPS[: STEPS.index(step)] if each != "probe")


def choose_subset(*, text_unsafe: bool, image_harmful: bool) -> Subset:
    """The subset: `train` for an unsafe text; else a test, `easy` if an image gives the risk away."""
    if text_unsafe:
        return "train"
    return "easy" if image_harmful else "hard"
