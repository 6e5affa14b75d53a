"""Records as a model reads them: one text by the chat template, its length in tokens, and batches with labels.

The text is what generation would have seen, then what it should have said: the template's own prompt for an answer, the
answer, and the mark that ends it. The line feed that many templates write after that mark is not learnt, since
generation has stopped by then. In a conversation every answer is learnt.

A line feed next to an image's mark is a habit of the layouts that trainers read and no part of the question, so it is
left out: images stand in the text as they do when the model is evaluated. A control token that a text spells out is
broken up by a space, as it is in an evaluation. An answer is found again in the tokens of the whole text, images and
all, by the control token it follows: no user can write one.

Devices that train together must run the same parts of a model in each step: if its weights are spread, the others wait
for ever for a part that one of them leaves out. So there a batch without an image gets a blank one behind an answer,
where no token that is learnt sees it: the losses stay what they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from harness import BadData, HarnessError
from harness.extras import Untyped
from harness.local import Chat, Frontend
from harness_mirage.mixture import BLANK, IMAGE, Record, Turn, load_picture, measure_picture
from harness_mirage.models.untyped import torch

IGNORED: Final = -100  #: a label that no loss is computed on
RECORDS: Final = "records"  #: key of a batch: numbers of its records, for errors
NAMED: Final = 10  #: records that a message lists
_MARKS: Final = re.compile(rf"\n?{re.escape(IMAGE)}\n?")
_THREADS: Final = 8  #: that open images at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Where an answer is among the tokens of a text.

    Attributes:
        tokens: from the control token before the answer to the mark that ends it.
        start: index of the first one that is learnt.
    """

    tokens: tuple[int, ...]
    start: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedChat:
    """A record as text.

    Attributes:
        text: with a place for each image.
        answers: in order.
    """

    text: str
    answers: tuple[Answer, ...]


class ChatEncoder:
    """Writes records as text for one model.

    Args:
        frontend: renders and encodes.
        chat: how the template wants its messages.
        mark: what stands for an image in a text, if the template takes plain texts only; else empty.
    """

    def __init__(self, frontend: Frontend, chat: Chat, mark: str = "") -> None:
        self._frontend = frontend
        self._chat = chat
        self._mark = mark or chat.mark
        tokens = sorted({*frontend.control_tokens(), self._mark}, key=len, reverse=True)
        self._control = re.compile("|".join(map(re.escape, tokens)))
        self._places = {*frontend.placeholders, self._mark}

    def encode(self, record: Record) -> EncodedChat:
        """Write a record as text.

        Raises:
            BadData: the chat template cannot write it, or loses an image on the way.
        """
        messages = [self._build_message(turn, record) for turn in record.turns]
        prompt, text = self._render(messages[:-1], record, asks=True), self._render(messages, record).rstrip()
        answer = self._clean(record.turns[-1].text).strip()
        if not text.startswith(prompt):  # a template that asks for an answer otherwise than it writes one
            text = prompt + text[_find_answer(text, answer, record) :]
        if text.endswith(answer):
            text += str(self._frontend.tokenizer.eos_token)
        spans: list[tuple[int, int]] = []
        for at, turn in enumerate(record.turns[:-1]):
            if turn.speaker != "assistant":
                continue
            before = self._render(messages[:at], record, asks=True)
            through = self._render(messages[: at + 1], record).rstrip()
            if not text.startswith(through):
                raise _bad_record_error(record, "the chat template rewrites an answer when the conversation continues")
            earlier = self._clean(turn.text).strip()
            start = len(before) if through.startswith(before) else _find_answer(through, earlier, record)
            spans.append((start, len(through)))
        spans.append((len(prompt), len(text)))
        places = text.count(self._mark)
        if places != len(record.pictures):
            what = f"the prompt has places for {places} images, the record has {len(record.pictures)}"
            raise _bad_record_error(record, what)
        return EncodedChat(text=text, answers=tuple(self._encode_answer(text, *span) for span in spans))

    def _encode_answer(self, text: str, start: int, end: int) -> Answer:
        begin = 0
        for control in self._control.finditer(text, 0, start):  # the last one before the answer counts
            begin = control.end() if control[0] in self._places else control.start()
        tokenizer = self._frontend.tokenizer
        prompt: list[int] = tokenizer.encode(text[begin:start], add_special_tokens=False)
        tokens: list[int] = tokenizer.encode(text[begin:end], add_special_tokens=False)
        pairs = enumerate(zip(prompt, tokens, strict=False))
        same = next((at for at, (one, other) in pairs if one != other), len(prompt))
        return Answer(tokens=tuple(tokens), start=same)

    def _build_message(self, turn: Turn, record: Record) -> dict[str, Any]:
        style = self._chat.system if turn.speaker == "system" else self._chat.style
        if style is None:
            raise _bad_record_error(record, "the model's chat template takes no system message")
        if turn.speaker == "assistant":
            said = self._clean(turn.text).strip()
            return {"role": "assistant", "content": said if style == "plain" else [{"type": "text", "text": said}]}
        first, *others = map(self._clean, _MARKS.split(turn.text))
        if style == "plain":
            return {"role": turn.speaker, "content": self._mark.join([first, *others])}
        parts = [{"type": "text", "text": first}]
        for other in others:
            parts += [{"type": "image"}, {"type": "text", "text": other}]
        return {"role": turn.speaker, "content": [part for part in parts if part.get("text") != ""]}

    def _clean(self, text: str) -> str:
        """A text whose control tokens are broken up."""
        return self._control.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)

    def _render(self, messages: list[dict[str, Any]], record: Record, *, asks: bool = False) -> str:
        options: Mapping[str, Any] = {**self._chat.options, "add_generation_prompt": asks}
        try:
            text: str = self._frontend.processor.apply_chat_template(
                messages, chat_template=self._frontend.template, tokenize=False, **options
            )
        except Exception as error:  # a template refuses by raising whatever it likes
            raise _bad_record_error(record, f"the chat template refuses it: {str(error)[:200]}") from error
        return text


def _find_answer(text: str, answer: str, record: Record) -> int:
    at = text.rfind(answer)
    if at < 0:
        raise _bad_record_error(record, "the chat template changes an answer")
    return at


def _bad_record_error(record: Record, what: str) -> BadData:
    return BadData(what, where=record.place, remedy="fix or leave out this record, or train a model that takes it")


def encode_all(encoder: ChatEncoder, records: Sequence[Record]) -> tuple[EncodedChat, ...]:
    """Write all records as text.

    Raises:
        BadData: some cannot be written; the first of them are named.
    """
    chats: list[EncodedChat] = []
    bad: list[BadData] = []
    for record in records:
        try:
            chats.append(encoder.encode(record))
        except BadData as error:
            bad.append(error)
    if len(bad) == 1:
        raise bad[0]
    if bad:
        lines = "".join(f"\n    {error.where}: {error.what}" for error in bad[:NAMED])
        what = f"{len(bad)} records cannot be written for this model; the first:{lines}"
        raise BadData(what, remedy=bad[0].remedy)
    return tuple(chats)


@dataclass(frozen=True, slots=True, kw_only=True)
class LongRecord:
    """A record that is too long to learn from: where it is, and its length in tokens."""

    place: str
    tokens: int


class TokenCounter:
    """Counts the tokens of one model's records without cutting their images: by blank ones of the same sizes.

    Args:
        frontend: of the model.
        mark: what stands for an image in a text.
        pixels: most pixels of an image.
    """

    def __init__(self, frontend: Frontend, mark: str, pixels: int | None) -> None:
        self._frontend = frontend
        self._mark = mark
        self._pixels = pixels
        self._known: dict[tuple[tuple[int, int], ...], int] = {(): 0}

    def count(self, record: Record, chat: EncodedChat) -> int:
        """Tokens of a record's whole text, its images cut up. Raises BadData for an image that cannot be read."""
        return self.count_chat(chat, self.measure_images(record))

    def measure_images(self, record: Record) -> tuple[tuple[int, int], ...]:
        """Width and height of a record's images; any thread may call it. Raises BadData for one that cannot be read."""
        return tuple(measure_picture(picture, self._pixels, record.place) for picture in record.pictures)

    def count_chat(self, chat: EncodedChat, sizes: tuple[tuple[int, int], ...]) -> int:
        """Tokens of a text with images of these sizes."""
        return self._frontend.count(chat.text) + self.count_images(sizes)

    def count_images(self, sizes: tuple[tuple[int, int], ...]) -> int:
        """Tokens that images of some sizes put in the place of their marks; some models count them all together."""
        if sizes not in self._known:
            import PIL.Image

            blank = [PIL.Image.new("RGB", each) for each in sizes]
            text = self._mark * len(sizes)
            cut = self._frontend.encode(text=[text], images=[blank], return_tensors="pt", add_special_tokens=False)
            self._known[sizes] = int(cut["input_ids"].shape[-1]) - self._frontend.count(text)
        return self._known[sizes]


def check_lengths(lengths: Iterable[int], longest: int | None) -> None:
    """Raise HarnessError if all records are too long; no more lengths are asked for than it takes."""
    if longest is not None and not any(length <= longest for length in lengths):
        raise _too_long_error(longest)


def split_by_length(
    counter: TokenCounter, records: Sequence[Record], chats: Sequence[EncodedChat], longest: int | None
) -> tuple[list[int], tuple[LongRecord, ...]]:
    """Numbers of the records that are short enough, and those that are not.

    Raises:
        HarnessError: none is short enough.
    """
    if longest is None:
        return list(range(len(records))), ()
    with ThreadPoolExecutor(_THREADS) as pool:
        sizes = list(pool.map(counter.measure_images, records))
    tokens = [counter.count_chat(chat, its) for chat, its in zip(chats, sizes, strict=True)]
    kept = [number for number, count in enumerate(tokens) if count <= longest]
    if not kept:
        raise _too_long_error(longest)
    long = (LongRecord(place=records[at].place, tokens=count) for at, count in enumerate(tokens) if count > longest)
    return kept, tuple(long)


def _too_long_error(longest: int) -> HarnessError:
    return HarnessError(f"no record is short enough for max_length {longest}", remedy="raise it: --set max_length=N")


@dataclass(frozen=True, slots=True, kw_only=True)
class Collator:
    """Makes batches, and opens images only then: memory stays flat whatever the mixture's size.

    Attributes:
        frontend: of the model.
        records: of the mixture.
        chats: the same records as text.
        pixels: most pixels of an image.
        mark: of the blank image that a batch without images gets; empty if it gets none.
    """

    frontend: Frontend
    records: Sequence[Record]
    chats: Sequence[EncodedChat]
    pixels: int | None
    mark: str = ""

    def __call__(self, rows: Sequence[Mapping[str, int]]) -> dict[str, Untyped]:
        """Make the batch of some records.

        Args:
            rows: each with the number of a record.

        Returns:
            What the processor makes of them, with `labels` (-100 on all that is no answer) and `records`.

        Raises:
            BadData: an image is missing or broken.
            HarnessError: the processor's tokens do not hold an answer.
        """
        import PIL.Image

        numbers = [row["record"] for row in rows]
        records = [self.records[number] for number in numbers]
        images = [[load_picture(each, self.pixels, record.place) for each in record.pictures] for record in records]
        texts = [self.chats[number].text for number in numbers]
        if self.mark and not any(images):
            shortest = texts.index(min(texts, key=len))  # the batch is padded to its longest
            texts[shortest] += self.mark
            images[shortest] = [PIL.Image.new("RGB", BLANK)]
        batch: dict[str, Untyped] = self.frontend.encode(
            text=texts,
            **({"images": images} if any(images) else {}),
            return_tensors="pt",
            padding=True,
            padding_side="right",
            add_special_tokens=False,  # the template wrote them
        )
        ids: list[list[int]] = batch["input_ids"].tolist()
        labels = [self._label(number, row) for number, row in zip(numbers, ids, strict=True)]
        return {**batch, "labels": torch.tensor(labels), RECORDS: torch.tensor(numbers)}

    def _label(self, number: int, ids: Sequence[int]) -> list[int]:
        """The labels of one row; answers are looked for from the end, each before the one that follows it."""
        labels, end = [IGNORED] * len(ids), len(ids)
        for answer in reversed(self.chats[number].answers):
            tokens = list(answer.tokens)
            for at in range(end - len(tokens), -1, -1):
                if ids[at] == tokens[0] and ids[at : at + len(tokens)] == tokens:
                    break
            else:
                raise HarnessError(
                    "an answer is not found among the tokens that the processor makes of its record",
                    where=self.records[number].place,
                    remedy="leave out the record; if it is every record, this processor is not known here",
                )
            start, after = at + answer.start, at + len(tokens)
            labels[start:after] = ids[start:after]
            end = start
        return labels
