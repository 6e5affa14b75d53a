"""The parameters a model accepts, learnt from its refusals; and thinking before the answer.

Models differ: the newest accept no temperature, older ones only one of temperature and top_p. Some support structured
output, some only tools. Some refuse a prefilled answer, or a form of thinking. A `Dialect` remembers each refusal for
all later calls, and `ModelInfo` shows it.

The API counts thinking and answer against one limit, so a thinking model gets the answer's limit plus a budget. Two
forms turn thinking on, a budget or `adaptive`; two turn it off, `disabled` or `between_tools`. If a model refuses one,
the other is sent. The first answer shows whether a model thinks without being asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from harness import Json, Request, Settings
from harness.http.status import Rejected, find_unsupported

_BUDGET = 8192  # tokens, if none are given
_FORM_REFUSED = re.compile(
    r"not supported|not support|unsupported|not permitted|not accept|cannot be|does not match|should be|must be one of",
    re.IGNORECASE,
)
TOOL = "answer"  #: name of the tool that replaces structured output
_ANSWER_TOKENS = 1024  # the API requires a limit; used if a run sets none
_NAMES = {"temperature": "temperature", "top_p": "top_p", "stop_sequences": "stop"}  # on the wire -> of Generation
_SCHEMA_WORDS = {
    "format": re.compile(
        r"output_(config\.)?format|output format|json.?schema|structured|grammar|guided", re.IGNORECASE
    ),
    "tool": re.compile(r"\btool", re.IGNORECASE),
}
_NEXT = {"format": "tool", "tool": ""}
_PREFILL = re.compile(r"prefill|must end with a user message|final assistant message must start", re.IGNORECASE)
_THINKING = re.compile(r"[`'\"]?(temperature|top_p)[`'\"]? (?:may only|must) .*\bthinking\b", re.DOTALL)
_EXCLUSIVE = re.compile(r"[`'\"]?temperature[`'\"]? and [`'\"]?top_p[`'\"]? cannot both be")


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinking:
    """How one model is asked to think.

    Attributes:
        wanted: the user's setting.
        budget: tokens for thinking.
        fixed: whether the user set the budget.
        forms: parameter values still to try; the first is sent.
        found: whether the model thinks without being asked.
        heard: whether it has answered.
    """

    wanted: Literal["auto", "on", "off"] = "auto"
    budget: int = _BUDGET
    fixed: bool = False
    forms: tuple[Json, ...] = ()
    found: bool = False
    heard: bool = False

    @staticmethod
    def of(settings: Settings) -> Thinking:
        """Read the settings."""
        wanted, given = settings["thinking"], settings["thinking_budget"]
        budget = _BUDGET if given is None else given
        adaptive: Json = {"type": "adaptive"}
        enabled: Json = {"type": "enabled", "budget_tokens": budget}
        on = (adaptive, enabled) if given is None else (enabled, adaptive)
        # the newest models hide their thinking unless asked to show it; some servers do not know that parameter
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
        """Tokens added to the answer's."""
        return self.budget if self.on or self.found else 0

    @property
    def most(self) -> int:
        """Tokens that may be added to the answer's; before the first answer a model may yet be found to think."""
        return self.room if self.heard or self.wanted == "off" else self.budget

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should read."""
        found = (
            f"the model thinks unasked: {self.budget} tokens are added to each answer's limit for it "
            "(-M thinking=off, or another -M thinking_budget)"
        )
        fixed = "the model accepts no fixed thinking budget: it thinks freely, within that many extra tokens"
        notes = {found: self.found, fixed: self.fixed and self.form["type"] == "adaptive"}
        return tuple(note for note, there in notes.items() if there)

    def after_refusal(self, rejected: Rejected, sent: Json) -> Thinking:
        """The thinking with its next form, if the sent one is refused; else the same.

        Raises:
            HarnessError: no other form is left, so the model cannot do what the user asks.
        """
        words = rejected.error.message
        if "thinking" not in words.casefold() or not _FORM_REFUSED.search(words) or sent != self.form:
            return self
        if len(self.forms) == 1:
            raise rejected.refusal_error(f"thinking={self.wanted}", "leave -M thinking out, or set its other value")
        return replace(self, forms=self.forms[1:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """The parameters one model accepts.

    Attributes:
        thinking: whether it thinks, and how to ask for it.
        effort: how much work goes into an answer; empty leaves it to the model.
        schema: how to ask for structured output: `format`, as a `tool` it must call, or not at all.
        dropped: Generation settings that are left out.
        prefill: whether it supports prefill.
    """

    thinking: Thinking
    effort: str = ""
    schema: str = "format"
    dropped: frozenset[str] = frozenset()
    prefill: bool = True

    def parameters(self, request: Request) -> dict[str, Json]:
        """The parameters sent for a request."""
        settings = request.settings
        limit = settings.max_tokens if settings.max_tokens is not None else _ANSWER_TOKENS
        schema = self.schema if request.schema is not None else ""
        output: dict[str, Json] = {"effort": self.effort} if self.effort else {}
        if schema == "format":
            output["format"] = {"type": "json_schema", "schema": request.schema}
        wanted: dict[str, Json] = {
            "max_tokens": limit + self.thinking.room,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "stop_sequences": list(settings.stop) or None,
            "thinking": self.thinking.form,
            "output_config": output or None,
        }
        if schema == "tool":
            wanted["tools"] = [{"name": TOOL, "description": "Give the answer.", "input_schema": request.schema}]
            wanted["tool_choice"] = {"type": "tool", "name": TOOL}
        left_out = {name for name, setting in _NAMES.items() if setting in self.dropped}
        return {name: value for name, value in wanted.items() if value is not None and name not in left_out}

    def after_request(self, request: Request) -> Dialect:
        """The dialect without unsupported settings of a request: a seed, and sampling of a thinking model."""
        settings = request.settings
        never: dict[str, Json] = {"seed": settings.seed}
        if self.thinking.on:
            never |= {"temperature": settings.temperature, "top_p": settings.top_p}
        gone = frozenset(name for name, value in never.items() if value is not None)
        return self if gone <= self.dropped else replace(self, dropped=self.dropped | gone)

    def after_answer(self, *, thought: bool) -> Dialect:
        """The dialect after an answer; unasked thinking gets extra tokens."""
        found = self.thinking.found or (thought and not self.thinking.on)
        if self.thinking.heard and found == self.thinking.found:
            return self
        return replace(self, thinking=replace(self.thinking, found=found, heard=True))

    def after_refusal(self, rejected: Rejected, sent: Mapping[str, Json]) -> Dialect:
        """The dialect after a refusal; the same if the refusal is not recognised."""
        words = rejected.error.message
        name: str | None
        if _EXCLUSIVE.search(words) and "top_p" in sent:
            name = "top_p"
        elif (found := _THINKING.search(words)) and found[1] in sent:
            name = found[1]
        else:
            name = find_unsupported(rejected.error, sent.keys() & _NAMES.keys())
        if name is not None:
            return replace(self, dropped=self.dropped | {_NAMES[name]})
        if _PREFILL.search(words):
            return replace(self, prefill=False)
        asked = "tool" if "tools" in sent else "format" if "format" in sent.get("output_config", {}) else ""
        if asked and _SCHEMA_WORDS[asked].search(words):
            # a thinking model cannot be forced to call a tool
            following = "" if self.thinking.on else _NEXT[asked]
            return replace(self, schema=following) if asked == self.schema else self
        if "thinking" in sent:
            return replace(self, thinking=self.thinking.after_refusal(rejected, sent["thinking"]))
        return self
