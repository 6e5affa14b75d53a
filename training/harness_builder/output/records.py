"""A record as each file has it. All records of one file have the same fields, so that every reader takes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from harness import Json

from .values import Entry

#: stands for an image in the text of a turn: one for each, as LLaMA-Factory counts them, before the question, as the
#: models are asked
MARK: Final = "<image>"


def tests(entries: Sequence[Entry]) -> Iterator[dict[str, Json]]:
    """Records of a test split."""
    return (_test(entry) for entry in entries)


def training(entries: Sequence[Entry], *, refusal: bool = False) -> Iterator[dict[str, Json]]:
    """Records to train on.

    Args:
        entries: all with a label; with `refusal`, all with one that declines.
        refusal: that answer, instead of the one with its reasons.
    """
    in_words = any(entry.made.label and entry.made.label.text_question for entry in entries)
    return (_conversation(entry, refusal=refusal, in_words=in_words) for entry in entries)


def _test(entry: Entry) -> dict[str, Json]:
    first, second = entry.images
    decided = entry.made.sorted
    return {
        "id": entry.number,
        "question": sound(decided.question),
        "category": sound(entry.category),
        "sub_category": sound(decided.sub_category),
        "image_path1": first,
        "image_path2": second,
    }


def _conversation(entry: Entry, *, refusal: bool, in_words: bool) -> dict[str, Json]:
    decided, label = entry.made.sorted, entry.made.label
    assert label is not None, "a record to train on has a label"
    answer = label.refusal if refusal else label.answer
    record: dict[str, Json] = {
        "id": entry.number,
        "image": list(entry.images),
        "conversations": [
            {"from": "human", "value": MARK * len(entry.images) + sound(decided.question)},
            {"from": "gpt", "value": sound(answer)},
        ],
        "category": sound(entry.category),
        "sub_category": sound(decided.sub_category),
    }
    if in_words:
        record |= {"text_question": sound(label.text_question), "text_answer": sound(label.text_answer)}
    return record


def sound(text: str) -> str:
    """A text that every reader takes: no half characters, and no mark that would stand for an image."""
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    while MARK in whole:  # taking one out may put another together
        whole = whole.replace(MARK, "")
    return whole.strip()
