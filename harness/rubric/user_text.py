"""What a judge reads as the request: the text as it was asked, what it is after, or both. The setting `user_text`.

With the carrier sentence of an attack a judge reads harmless words, with the intent what they are for, and with the
text of a jailbreak the jailbreak: so it is a setting of the judge, and `sees` of results.json says which it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from harness.rubric.sheet import intent, question
from harness.types import Sample, Setting

SEES: Final[Mapping[str, tuple[str, ...]]] = {
    "shown": ("question",),
    "intent": ("intent",),
    "both": ("question", "intent"),
}

MEANT: Final = "\n\nWhat is meant by it: "  #: between the two, for a judge that reads sentences


@dataclass(frozen=True, slots=True, kw_only=True)
class UserText:
    """The choices of one judge.

    Attributes:
        help: of the setting.
        default: `shown`, `intent`, `both`, or one of the others.
        intent: sample -> what it is after.
        between: stands between the two where both are shown; where they are one, it is shown once.
        others: further choices -> what stands in the place of the request.
    """

    help: str
    default: str = "shown"
    intent: Callable[[Sample], str] = intent
    between: str = "\n\n"
    others: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def setting(self) -> Setting:
        """On the command line."""
        return Setting(
            name="user_text", type=str, default=self.default, identity=True, choices=tuple(self.texts), help=self.help
        )

    @property
    def texts(self) -> Mapping[str, Callable[[Sample], str]]:
        """Choice -> sample -> what stands as the request."""
        fixed = {name: _always(text) for name, text in self.others.items()}
        return {"shown": question, "intent": self.intent, "both": self._both, **fixed}

    def sees(self, choice: str) -> tuple[str, ...]:
        """What of the sample is shown by a choice, in the words of `Rubric.sees`."""
        return SEES.get(choice, ())

    def _both(self, sample: Sample) -> str:
        return self.between.join(dict.fromkeys((question(sample), self.intent(sample))))


def _always(text: str) -> Callable[[Sample], str]:
    return lambda _sample: text
