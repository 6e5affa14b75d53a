"""What a model takes, learnt from what it refuses.

Models differ: the newest take no temperature, older ones only one of temperature and top_p; some know structured output
and some only tools; a prefilled answer and each form of thinking are refused by some. Each refusal is heard once,
remembered for all later calls, and told to the run by `ModelInfo`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from harness import Json, Request
from harness.http.refusals import unsupported
from harness.http.status import Complaint

from .thinking import Thinking

TOOL = "answer"  #: name of the tool that stands for structured output
_ANSWER_TOKENS = 1024  # the API wants a limit; this is the harness's own where a run sets none
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
class Dialect:
    """The parameters one model takes.

    Attributes:
        thinking: whether it thinks, and how that is asked for.
        effort: how much work goes into an answer; empty leaves it to the model.
        schema: how structured output is asked for: `format`, as a `tool` it must call, or not at all.
        dropped: settings of Generation that are left out.
        prefill: it goes on with words that are put into its mouth.
    """

    thinking: Thinking
    effort: str = ""
    schema: str = "format"
    dropped: frozenset[str] = frozenset()
    prefill: bool = True

    def parameters(self, request: Request) -> dict[str, Json]:
        """What is sent of a request's settings."""
        settings = request.settings
        limit = settings.max_tokens if settings.max_tokens is not None else _ANSWER_TOKENS
        given: dict[str, Json] = {
            "max_tokens": limit + self.thinking.room,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "stop_sequences": list(settings.stop) or None,
            "thinking": self.thinking.form,
            "output_config": self._output(request),
            **(self._tool(request) if self._asks(request) == "tool" else {}),
        }
        return {name: value for name, value in given.items() if value is not None and not self._leaves_out(name)}

    def seen(self, request: Request) -> Dialect:
        """The dialect once it is known what a request holds: the API has no seed, nor sampling where thinking is on."""
        settings = request.settings
        never = {"seed": settings.seed, **({} if not self.thinking.on else _sampling(request))}
        gone = frozenset(name for name, value in never.items() if value is not None)
        return self if gone <= self.dropped else replace(self, dropped=self.dropped | gone)

    def thinks(self) -> Dialect:
        """The dialect of a model that was seen to think; one that was not told to needs room for it."""
        known = self.thinking.on or self.thinking.found
        return self if known else replace(self, thinking=replace(self.thinking, found=True))

    def learnt(self, complaint: Complaint, sent: Mapping[str, Json]) -> Dialect:
        """The dialect after a refusal; the same where nothing in the words is known."""
        words = complaint.message
        if (name := _sampling_refused(complaint, sent)) is not None:
            return replace(self, dropped=self.dropped | {_NAMES[name]})
        if _PREFILL.search(words):
            return replace(self, prefill=False)
        asked = "tool" if "tools" in sent else "format" if "format" in sent.get("output_config", {}) else ""
        if asked and _SCHEMA_WORDS[asked].search(words):
            # a tool cannot be forced on a model that thinks
            following = "" if self.thinking.on else _NEXT[asked]
            return replace(self, schema=following) if asked == self.schema else self
        if "thinking" in sent:
            return replace(self, thinking=self.thinking.refused(words, sent["thinking"]))
        return self

    def _leaves_out(self, name: str) -> bool:
        return _NAMES.get(name) in self.dropped

    def _asks(self, request: Request) -> str:
        return self.schema if request.schema is not None else ""

    def _output(self, request: Request) -> Json:
        effort = {"effort": self.effort} if self.effort else {}
        wanted = {"type": "json_schema", "schema": request.schema}
        return {**effort, **({"format": wanted} if self._asks(request) == "format" else {})} or None

    def _tool(self, request: Request) -> dict[str, Json]:
        tool = {"name": TOOL, "description": "Give the answer.", "input_schema": request.schema}
        return {"tools": [tool], "tool_choice": {"type": "tool", "name": TOOL}}


def _sampling(request: Request) -> dict[str, Json]:
    return {"temperature": request.settings.temperature, "top_p": request.settings.top_p}


def _sampling_refused(complaint: Complaint, sent: Mapping[str, Json]) -> str | None:
    """The one of temperature, top_p and stop sequences that a model does not take."""
    words = complaint.message
    if _EXCLUSIVE.search(words) and "top_p" in sent:
        return "top_p"
    if (found := _THINKING.search(words)) and found[1] in sent:
        return found[1]
    return unsupported(complaint, sent.keys() & _NAMES.keys())
