"""What a judge is shown of a sample and its answer: the setting `sees`, and `user_text` for the request alone.

    -T mis.sees=question,answer        the same rubric, blind
    -T mis.sees=caption,question,answer   the images in words
    -T strongreject.sees=goal,answer   what the attack is after, not the text that was sent

The parts are one mechanism for all rubrics that ask a model, so that what a judge sees can be varied alone. Without the
setting a rubric shows what it always did, and its id is what it was. A choice that an older setting can say, such as
`mmsafety.user_text=intent`, has that setting's id; any other is part of the id as the parts in one order.

Of a dialogue the question is the whole conversation up to the last turn, as a text with the images' places in it, and
the answer is the last reply.

Nothing is left out in silence: an unknown part, none at all, one that a rubric cannot do without or has no place for,
and one that no sample of a split holds are refused, each in a sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from harness.dialogues import format_conversation
from harness.errors import HarnessError
from harness.settings import nearest
from harness.types import Json, Sample, Setting, Settings, Text

#: part -> what it is; in the order of an id
PARTS: Final[Mapping[str, str]] = {
    "images": "the images",
    "caption": "the images in words",
    "question": "the text as it was sent",
    "intent": "the goal behind the text",
    "reasoning": "the reasoning before the answer",
    "answer": "the answer",
}
#: part -> what a user may also call it
ALSO: Final[Mapping[str, str]] = {"images": "image", "intent": "goal", "question": "prompt"}
#: fields of a target, or names of tags, that hold an image in words; the last is HarmBench's
_CAPTIONS: Final = ("caption", "context")
SEES: Final = Setting(
    name="sees",
    type=str,
    default=None,
    identity=True,
    added=True,
    help="what the judge is shown, such as question,answer: of images, caption, question (as it was sent), goal, "
    "reasoning, answer, and parts of its own",
)
MEANT: Final = "\n\nWhat is meant by it: "  #: stands between question and intent, for a judge that reads sentences
HIDDEN: Final = "(not shown to you)"  #: in a template's place of a part that is not shown
_SEES: Final[Mapping[str, tuple[str, ...]]] = {
    "shown": ("question",),
    "intent": ("intent",),
    "both": ("question", "intent"),
}


def parse_parts(text: str, own: Collection[str] = (), *, flag: str = "sees") -> tuple[str, ...]:
    """The parts that a value of `sees` names, each once and in one order.

    Args:
        text: as on the command line.
        own: further parts of the rubric.
        flag: the setting's name, for an error.

    Raises:
        HarnessError: it names none, or an unknown one.
    """
    known = (*PARTS, *own)
    also = {other: part for part, other in ALSO.items()}
    names = [also.get(name, name) for each in text.split(",") if (name := each.strip())]
    if not names:
        raise HarnessError(f"{flag}= names nothing to show", remedy=f"name parts: {', '.join(known)}")
    for name in names:
        if name not in known:
            raise HarnessError(f"{flag}={text}: there is no part {name!r}", remedy=nearest(name, known))
    return tuple(name for name in known if name in names)


def normalize_sees(
    values: Settings,
    forms: Iterable[tuple[Mapping[str, object], Collection[str]]],
    *,
    rubric: str,
    takes: Sequence[str],
    needed: Collection[str] = (),
) -> Settings:
    """Bring settings that show the same parts to one form; without `sees` they stay as they are.

    Args:
        values: the rubric's complete settings.
        forms: settings that older choices have, and the parts that they show; the first has the defaults.
        rubric: its name.
        takes: the parts that it has a place for.
        needed: those that it cannot do without; a caption may replace images.

    Raises:
        HarnessError: `sees` is wrong, or stands beside another setting that says what is shown.
    """
    given = values.get("sees")
    if given is None:
        return values
    forms = list(forms)
    usual = forms[0][0]
    for name, value in usual.items():
        if values[name] != value:
            raise HarnessError(f"{rubric}.sees and {rubric}.{name} both say what is shown", remedy="give one of them")
    flag = f"{rubric}.sees"
    parts = parse_parts(given, [name for name in takes if name not in PARTS], flag=flag)
    for name in parts:
        if name not in takes:
            what = f"{flag}={given}: the rubric has no place for {describe_part(name)}"
            raise HarnessError(what, remedy=f"it takes {', '.join(takes)}")
    for name in ("answer", *needed):
        found = {name, "caption"} if name == "images" else {name}
        found |= {"question", "intent"} if name == "question" else set()
        if not found & set(parts):
            what = f"{flag}={given}: the rubric cannot do without {describe_part(name)}"
            raise HarnessError(what, remedy=f"add it: -T {flag}={','.join((*parts, name))}")
    for settings, shown in forms:
        if set(shown) == set(parts):
            return {**values, **settings, "sees": None}
    return {**values, "sees": ",".join(parts)}


def describe_part(name: str) -> str:
    """A part in words."""
    return PARTS.get(name, f"the {name}")


def question(sample: Sample) -> str:
    """What the sample's user says, without the images; the whole conversation so far if there are replies in it."""
    if any(message.role == "assistant" for message in sample.request.messages):
        return format_conversation(sample.request.messages)
    spoken = (message for message in sample.request.messages if message.role == "user")
    return "\n".join(part.text for message in spoken for part in message.content if isinstance(part, Text))


def intent(sample: Sample) -> str:
    """The goal of the sample's user: `intent` of its target; the question itself if the task does not say."""
    return _read_target(sample, "intent") or question(sample)


def caption(sample: Sample) -> str:
    """The sample's images in words: `caption` of its target or tags, or the `context` of a target.

    Raises:
        HarnessError: there is none.
    """
    found = next((text for name in _CAPTIONS if (text := _read_target(sample, name))), "")
    found = found or sample.tags.get("caption", "").strip()
    if not found:
        what = f"sample {sample.id} has no caption: neither its target nor its tags hold one"
        raise HarnessError(what, remedy="leave caption out of sees")
    return found


def find_parts(sample: Sample) -> frozenset[str]:
    """The parts that a sample holds, of those that may be missing."""
    has = {
        "images": bool(sample.images),
        "caption": any(_read_target(sample, name) for name in _CAPTIONS)
        or bool(sample.tags.get("caption", "").strip()),
        "question": bool(sample.turns or question(sample).strip()),  # of a dialogue it says at least who speaks
        "intent": bool(_read_target(sample, "intent")),
    }
    return frozenset(name for name, there in has.items() if there)


#: parts that samples may lack
OPTIONAL: Final = ("images", "caption", "question", "intent")


def _read_target(sample: Sample, name: str) -> str:
    """A text of a sample's target; empty for none."""
    target: Json = sample.target
    found = cast("dict[str, Json]", target).get(name) if isinstance(target, dict) else None
    return found if isinstance(found, str) and found.strip() else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserText:
    """The setting `user_text`: what a judge reads as the request, the text as it was asked, its intent, or both.

    The choice matters: an attack's own sentence may be harmless words, its intent is the goal behind them, and the text
    of a jailbreak may mislead a judge. So it is a setting of the judge, and `sees` of results.json says what was shown.

    Attributes:
        help: of the setting.
        default: `shown`, `intent`, `both`, or one of the others.
        intent: sample -> its goal.
        between: separates the two if both are shown; two equal ones are shown once.
        others: further choices -> what is shown in place of the request.
        place: the variable of a template that holds it (`harness.rubric.judge`).
    """

    help: str = ""
    default: str = "shown"
    intent: Callable[[Sample], str] = intent
    between: str = "\n\n"
    others: Mapping[str, str] = field(default_factory=dict[str, str])
    place: str = "request"

    @property
    def setting(self) -> Setting:
        """On the command line."""
        return Setting(
            name="user_text", type=str, default=self.default, identity=True, choices=tuple(self.texts), help=self.help
        )

    @property
    def texts(self) -> Mapping[str, Callable[[Sample], str]]:
        """Choice -> sample -> what is shown as the request."""

        def always(text: str) -> Callable[[Sample], str]:
            return lambda _sample: text

        def both(sample: Sample) -> str:
            return self.between.join(dict.fromkeys((question(sample), self.intent(sample))))

        fixed = {name: always(text) for name, text in self.others.items()}
        return {"shown": question, "intent": self.intent, "both": both, **fixed}

    def sees(self, choice: str) -> tuple[str, ...]:
        """What of the sample is shown by a choice, in the words of `Rubric.sees`."""
        return _SEES.get(choice, ())

    def find(self, parts: Collection[str]) -> Callable[[Sample], str] | None:
        """What is shown as the request under these parts; None for nothing."""
        shown = tuple(part for part in ("question", "intent") if part in parts)
        return next((self.texts[choice] for choice, of_it in _SEES.items() if of_it == shown), None)
