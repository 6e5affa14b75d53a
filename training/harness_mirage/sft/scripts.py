"""A record as the model reads it: one text by the chat template, and which tokens of it are answers.

The text is what generation would have seen, then what it should have said: the template's own prompt for an answer, the
answer, and the mark that ends it. The line feed that many templates write after that mark is not learnt, since
generation has stopped by then. In a conversation every answer is learnt.

A line feed beside an image's mark is a habit of the layouts that trainers read and no part of the question, so it is
left out: images stand in the text as they do when the model is evaluated. A control token that a text spells out is
broken up by a space, as it is in an evaluation.

An answer is found again in the tokens of the whole text, images and all, by the control token it follows: no user can
write one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from harness import BadData
from harness.local import Chat, Frontend
from harness_mirage.records import IMAGE, Record, Turn

_MARKS: Final = re.compile(rf"\n?{re.escape(IMAGE)}\n?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Where an answer stands among the tokens of a text.

    Attributes:
        tokens: from the control token before the answer to the mark that ends it.
        start: index of the first one that is learnt.
    """

    tokens: tuple[int, ...]
    start: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A record as text.

    Attributes:
        text: with a place for each image.
        answers: in order.
    """

    text: str
    answers: tuple[Answer, ...]


class Scribe:
    """Writes scripts for one model.

    Args:
        frontend: renders and encodes.
        chat: how the template wants to be spoken to.
        mark: what stands for an image in a text, where the template takes plain texts only; else empty.
    """

    def __init__(self, frontend: Frontend, chat: Chat, mark: str = "") -> None:
        self._frontend = frontend
        self._chat = chat
        self._mark = mark or chat.mark
        tokens = sorted({*frontend.control_tokens(), self._mark}, key=len, reverse=True)
        self._control = re.compile("|".join(map(re.escape, tokens)))
        self._places = {*frontend.placeholders, self._mark}

    def __call__(self, record: Record) -> Script:
        """The script of a record.

        Raises:
            BadData: the chat template cannot write it, or loses an image on the way.
        """
        turns = [self._message(turn, record) for turn in record.turns]
        text, spans = self._written(turns, record)
        places = text.count(self._mark)
        if places != len(record.pictures):
            raise _bad(record, f"the prompt has places for {places} images, the record has {len(record.pictures)}")
        return Script(text=text, answers=tuple(self._answer(text, *span) for span in spans))

    def _written(self, turns: list[dict[str, Any]], record: Record) -> tuple[str, list[tuple[int, int]]]:
        prompt, whole = self._render(turns[:-1], record, asks=True), self._render(turns, record).rstrip()
        answer = self._said(record.turns[-1])
        if not whole.startswith(prompt):  # a template that asks for an answer otherwise than it writes one
            whole = prompt + whole[_place(whole, answer, record) :]
        if whole.endswith(answer):
            whole += str(self._frontend.tokenizer.eos_token)
        earlier = [at for at, turn in enumerate(record.turns[:-1]) if turn.speaker == "assistant"]
        return whole, [*(self._earlier(turns, at, whole, record) for at in earlier), (len(prompt), len(whole))]

    def _earlier(self, turns: list[dict[str, Any]], at: int, whole: str, record: Record) -> tuple[int, int]:
        prompt = self._render(turns[:at], record, asks=True)
        through = self._render(turns[: at + 1], record).rstrip()
        if not whole.startswith(through):
            raise _bad(record, "the chat template writes an answer in another way once the conversation goes on")
        start = len(prompt) if through.startswith(prompt) else _place(through, self._said(record.turns[at]), record)
        return start, len(through)

    def _answer(self, text: str, start: int, end: int) -> Answer:
        before = list(self._control.finditer(text, 0, start))
        last = before[-1] if before else None
        begin = 0 if last is None else last.end() if last[0] in self._places else last.start()
        known, tokens = self._tokens(text[begin:start]), self._tokens(text[begin:end])
        same = next((at for at, pair in enumerate(zip(known, tokens, strict=False)) if len(set(pair)) > 1), len(known))
        return Answer(tokens=tuple(tokens), start=same)

    def _tokens(self, text: str) -> list[int]:
        found: list[int] = self._frontend.tokenizer.encode(text, add_special_tokens=False)
        return found

    def _message(self, turn: Turn, record: Record) -> dict[str, Any]:
        style = self._chat.system if turn.speaker == "system" else self._chat.style
        if style is None:
            raise _bad(record, "the model's chat template takes no system message")
        if turn.speaker == "assistant":
            said = self._said(turn)
            return {"role": "assistant", "content": said if style == "plain" else [{"type": "text", "text": said}]}
        if style == "plain":
            return {"role": turn.speaker, "content": self._mark.join(map(self._spell, _MARKS.split(turn.text)))}
        return {"role": turn.speaker, "content": self._parts(turn.text)}

    def _parts(self, text: str) -> list[dict[str, str]]:
        first, *others = map(self._spell, _MARKS.split(text))
        parts = [{"type": "text", "text": first}]
        for other in others:
            parts += [{"type": "image"}, {"type": "text", "text": other}]
        return [part for part in parts if part.get("text") != ""]

    def _said(self, turn: Turn) -> str:
        return self._spell(turn.text).strip()

    def _spell(self, text: str) -> str:
        return self._control.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)

    def _render(self, turns: list[dict[str, Any]], record: Record, *, asks: bool = False) -> str:
        options: Mapping[str, Any] = {**self._chat.options, "add_generation_prompt": asks}
        try:
            text: str = self._frontend.processor.apply_chat_template(
                turns, chat_template=self._frontend.template, tokenize=False, **options
            )
        except Exception as error:  # a template refuses by raising whatever it likes
            raise _bad(record, f"the chat template refuses it: {str(error)[:200]}") from error
        return text


def _place(text: str, answer: str, record: Record) -> int:
    at = text.rfind(answer)
    if at < 0:
        raise _bad(record, "the chat template changes an answer")
    return at


def _bad(record: Record, what: str) -> BadData:
    return BadData(what, where=record.place, remedy="mend or leave out this record, or train a model that takes it")
