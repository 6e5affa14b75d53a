"""Items as inspect's samples.

Only what a judge labelled has a score. A block is inspect's `content_filter`; an error and a bad sample are errors; an
answer that a judge did not label is inspect's unscored. So nothing that failed can be counted as a wrong answer.

A text of a sample is in the log only where it was asked for, without control characters and direction marks; else there
is its length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from inspect_ai.log import EvalError, EvalSample
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    Content,
    ContentReasoning,
    ContentText,
    ModelOutput,
    ModelUsage,
    StopReason,
)
from inspect_ai.scorer import Score

from harness.keys import canonical, short
from harness.runs.items import Item
from harness.store.folder import file_name
from harness.text import plain
from harness.types import BLOCKED, Json

_FAILED: Final = ("error", "bad_sample")
_NO_LINE: Final[Mapping[str, Any]] = {
    "flags": [],
    "usage": {},
    "prompt": [],
    "model": "",
    "reason": "no answer is stored",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleBuilder:
    """Builds the samples of one log.

    Attributes:
        model: how the evaluated model is called in the log.
        by: tags that the results break down by; the others are only in a revealed log.
        reveal: whether the log holds texts of samples.
    """

    model: str
    by: Sequence[str]
    reveal: bool

    def build(self, item: Item) -> EvalSample:
        """One item as it is stored."""
        asked, line = item.answer.asked, item.answer.response or _NO_LINE
        safe = file_name(asked["id"])  # names a file in the log: one that cannot is told apart by a piece of its hash
        name = safe if safe == asked["id"] else f"{safe}-{short(asked['id'])}"
        turns = self._build_turns(line["prompt"], f"{name}-{asked['epoch']}")
        content: list[Content] = [ContentText(text=self._show_text(item.answer.text))]
        if (thought := self._reveal_text(line.get("reasoning", ""))) is not None:
            content.insert(0, ContentReasoning(reasoning=thought))
        answer = ChatMessageAssistant(id=f"{name}-{asked['epoch']}-answer", content=content)
        into, out = line["usage"].get("input_tokens", 0), line["usage"].get("output_tokens", 0)
        usage = ModelUsage(
            input_tokens=into,
            output_tokens=out,  # reasoning is among them, as in inspect
            total_tokens=into + out,
            reasoning_tokens=line["usage"].get("reasoning_tokens", 0),
        )
        target: Json = asked["target"]
        shows_target = target is not None and self.reveal
        return EvalSample(
            id=name,
            epoch=asked["epoch"] + 1,
            input=turns,
            target=plain(target if isinstance(target, str) else canonical(target)) if shows_target else "",
            messages=[*turns, answer],
            output=ModelOutput(
                model=plain(line["model"]) or self.model,
                choices=[ChatCompletionChoice(message=answer, stop_reason=_find_stop_reason(item, line))],
                usage=usage,
            ),
            scores=self._build_scores(item),
            metadata=self._describe(item, line),
            model_usage={self.model: usage},
            total_time=line.get("seconds"),
            uuid=short(item.item, 22),
            error=self._build_error(item, line),
        )

    def _show_text(self, text: str) -> str:
        """A text, or its length in brackets; an empty one stays empty."""
        if not text:
            return ""
        return plain(text) if self.reveal else f"[{len(text)} characters]"

    def _reveal_text(self, text: str) -> str | None:
        return plain(text) if self.reveal and text else None

    def _build_turns(self, prompt: Sequence[Mapping[str, Any]], name: str) -> list[ChatMessage]:
        """The messages that were sent; parts that follow each other in one role are one message."""
        turns: list[ChatMessage] = []
        parts: list[Content] = []
        images = 0
        for place, part in enumerate(prompt):
            if "text" in part:
                text = self._show_text(part["text"])
            else:  # never an image part: a reader would open what a data set calls a path
                images += 1
                text = f"[image {images}: {plain(str(part['image']))}]" if self.reveal else f"[image {images}]"
            parts.append(ContentText(text=text))
            if place + 1 == len(prompt) or prompt[place + 1]["role"] != part["role"]:
                roles = {"system": ChatMessageSystem, "assistant": ChatMessageAssistant}
                message = roles.get(part["role"], ChatMessageUser)
                turns.append(message(id=f"{name}-{place}", content=parts))
                parts = []
        return turns

    def _build_scores(self, item: Item) -> dict[str, Score]:
        scores: dict[str, Score] = {}
        for judge, said in item.said.items():
            axes = {
                plain(name): plain(value) if isinstance(value, str) else value
                for name, value in said.axes.items()
                if self.reveal or isinstance(value, bool | int | float)
            }
            about: dict[str, Json] = {
                "state": said.state,
                "axes": axes,
                "models": [plain(name) for name in said.models],
                **({"raw": [plain(reply) for reply in said.raw]} if self.reveal else {}),
            }
            reason, answer = self._reveal_text(said.reason), self._reveal_text(item.answer.text)
            if said.state == "scored":
                score = Score(value=plain(said.label), answer=answer, explanation=reason, metadata=about)
            else:
                score = Score.unscored(reason=said.state, answer=answer, explanation=reason, metadata=about)
            scores[plain(judge)] = score
        return scores

    def _build_error(self, item: Item, line: Mapping[str, Any]) -> EvalError | None:
        if item.outcome not in _FAILED:
            return None
        parts = (item.outcome, plain(line.get("reason", "")), self._reveal_text(line.get("message", "")))
        return EvalError(message=": ".join(part for part in parts if part), traceback="", traceback_ansi="")

    def _describe(self, item: Item, line: Mapping[str, Any]) -> dict[str, Json]:
        """Who it is, how it ended, and what it counts as."""
        asked = item.answer.asked
        tags: Mapping[str, str] = asked["tags"]
        about: dict[str, Json] = {
            "item": plain(item.item),
            "sample": plain(asked["id"]),
            "category": plain(asked["category"]),
            "tags": {plain(name): plain(tag) for name, tag in tags.items() if self.reveal or name in self.by},
            "outcome": item.outcome,
            "counts_as": plain(item.label),
            "flags": list(item.flags),
        }
        if line.get("reason"):
            about["failure"] = plain(line["reason"])
        if self.reveal:
            images = [part for part in line["prompt"] if "image" in part]
            about["cluster"] = plain(asked["cluster"])
            about["images"] = [{"path": plain(str(part["image"])), "sha256": part["sha256"]} for part in images]
            steps: Mapping[str, str] = line.get("steps", {})
            if steps:
                about["steps"] = {plain(name): plain(text) for name, text in steps.items()}
        return about


def _find_stop_reason(item: Item, line: Mapping[str, Any]) -> StopReason:
    if item.outcome in BLOCKED:
        return "content_filter"
    if "truncated" in line["flags"]:
        return "max_tokens"
    return "unknown" if item.outcome in _FAILED else "stop"
