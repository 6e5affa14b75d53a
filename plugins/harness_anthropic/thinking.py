"""Thinking before the answer: how it is asked for, and room for it beside the answer's own tokens.

The API counts thinking and answer against one limit, so a model that thinks is given the answer's limit and a budget.
Models take thinking in one of two forms, a budget or `adaptive`, and are told to leave it in one of two, `disabled` or
`between_tools`: where one is refused, the other is asked for. A model that thinks without being asked is found by its
first answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from harness import HarnessError, Json, Settings

_BUDGET = 8192  # where none is given
_REFUSED = re.compile(
    r"not supported|not support|unsupported|not permitted|not accept|cannot be|does not match|should be|must be one of",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinking:
    """How one model is asked to think.

    Attributes:
        wanted: as set by the user.
        budget: tokens for thinking.
        fixed: the user gave the budget.
        forms: values of the parameter still to try; the first is sent.
        found: the model thinks without being asked.
    """

    wanted: Literal["auto", "on", "off"] = "auto"
    budget: int = _BUDGET
    fixed: bool = False
    forms: tuple[Json, ...] = ()
    found: bool = False

    @staticmethod
    def of(settings: Settings) -> Thinking:
        """As the settings ask."""
        wanted, given = settings["thinking"], settings["thinking_budget"]
        budget = _BUDGET if given is None else given
        adaptive: Json = {"type": "adaptive"}
        enabled: Json = {"type": "enabled", "budget_tokens": budget}
        on = (adaptive, enabled) if given is None else (enabled, adaptive)
        # the newest models keep their thinking to themselves unless asked for it; some servers do not know how to ask
        shown = tuple({**form, "display": "summarized"} for form in on)
        off: tuple[Json, ...] = ({"type": "disabled"}, {"type": "between_tools"})
        forms = {"auto": (), "on": (*shown, *on), "off": off}
        return Thinking(wanted=wanted, budget=budget, fixed=wanted == "on" and given is not None, forms=forms[wanted])

    @property
    def form(self) -> Json:
        """The parameter; None sends none."""
        return self.forms[0] if self.forms else None

    @property
    def on(self) -> bool:
        """Whether the model was told to think."""
        return self.wanted == "on"

    @property
    def room(self) -> int:
        """Tokens beside the answer's."""
        return self.budget if self.on or self.found else 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should read."""
        found = (
            f"the model thinks unasked: {self.budget} tokens are added to each answer's limit for it "
            "(-M thinking=off, or another -M thinking_budget)"
        )
        fixed = (
            "the model takes no fixed budget for thinking: it thinks as much as it will, within that many tokens more"
        )
        notes = {found: self.found, fixed: self.fixed and self.form["type"] == "adaptive"}
        return tuple(note for note, there in notes.items() if there)

    def refused(self, words: str, sent: Json) -> Thinking:
        """The next form where the words refuse the one that was sent.

        Raises:
            HarnessError: there is none, so that the model cannot do what the user asks.
        """
        if "thinking" not in words.casefold() or not _REFUSED.search(words) or sent != self.form:
            return self
        if len(self.forms) == 1:
            raise HarnessError(
                f"the model refuses thinking={self.wanted}: {words}", remedy="leave -M thinking out, or set the other"
            )
        return replace(self, forms=self.forms[1:])
