"""What must hold of a record before a model may learn from it; the first thing that does not is its fault."""

from __future__ import annotations

from sys import intern

from harness_mirage.records import IMAGE, Picture, Record, Turn

from .draft import BadRecord, Draft

EMPTY_ANSWER = "an empty answer"
EMPTY_QUESTION = "an empty question"
MARKS = "images and <image> marks differ in number"
ORDER = "turns out of order"
STRAY = "an <image> mark outside a question"


def checked(draft: Draft, source: str) -> Record:
    """The record of a draft; its images are not looked for yet, and their paths are as the data have them.

    Where no text has an `<image>` mark, one for each image is put in front of the first question: the images come
    first, as they do when the model is asked.

    Raises:
        BadRecord: it cannot be learnt from.
    """
    _in_order(draft.turns)
    for turn in draft.turns:
        _sound(turn)
    pictures = (Picture(),) if draft.black else tuple(Picture(path=path) for path in draft.images)
    return Record(
        id=draft.id,
        source=source,
        place=draft.place,
        category=intern(draft.category),
        sub_category=intern(draft.sub_category),
        turns=_marked(draft.turns, len(pictures)),
        pictures=pictures,
    )


def _in_order(turns: tuple[Turn, ...]) -> None:
    asked = [turn.speaker for turn in turns]
    spoken = asked[1:] if asked[:1] == ["system"] else asked
    if not spoken or len(spoken) % 2 or spoken != ["user", "assistant"] * (len(spoken) // 2):
        raise BadRecord(ORDER, f"{ORDER}: {', '.join(asked) or 'none'}")


def _sound(turn: Turn) -> None:
    bare = turn.text.replace(IMAGE, "")
    if not bare.strip():
        if turn.speaker == "assistant":
            raise BadRecord(EMPTY_ANSWER)
        if turn.speaker == "user":
            raise BadRecord(EMPTY_QUESTION)
    if turn.speaker != "user" and len(bare) != len(turn.text):
        raise BadRecord(STRAY, f"an <image> mark in the text of the {turn.speaker}")
    if not turn.text.isascii():
        try:
            turn.text.encode()
        except UnicodeEncodeError:
            raise BadRecord("a text that is no Unicode", "half a character (a lone surrogate) in a text") from None


def _marked(turns: tuple[Turn, ...], images: int) -> tuple[Turn, ...]:
    marks = sum(turn.text.count(IMAGE) for turn in turns)
    if marks == images:
        return turns
    if marks:
        raise BadRecord(MARKS, f"{images} images and {marks} <image> marks")
    first = next(number for number, turn in enumerate(turns) if turn.speaker == "user")
    asked = Turn(speaker="user", text=IMAGE * images + turns[first].text)
    return (*turns[:first], asked, *turns[first + 1 :])
