"""Other answers, or other questions, in place of those in the data: what the ablations learn from."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Final

from harness_mirage.methods import Labels
from harness_mirage.records import Turn

from .draft import BadRecord, Draft

NO_TEXT: Final = "no text_question, which asks in words alone"
NO_ANSWER: Final = "no text_answer to the text_question: the other answer speaks of images that are not shown"

#: In our own words; which of them a record gets hangs on what the record says.
REFUSALS: Final = (
    "I'm sorry, but I can't help with that.",
    "I'm sorry, I won't be able to assist with this request.",
    "I'm sorry, but this is something I have to decline.",
    "Sorry, I can't go along with this request.",
    "I'm sorry, but I am not able to answer that.",
    "I apologise, but I can't help you with this.",
)


def labelled(draft: Draft, labels: Labels) -> Draft:
    """The draft with the labels that are asked for.

    Raises:
        BadRecord: `text_only`, and the data do not say what is asked in words, or what is answered to that.
    """
    if labels == "given":
        return draft
    if labels == "refusal":
        refused = tuple(_refused(draft, turn) if turn.speaker == "assistant" else turn for turn in draft.turns)
        return replace(draft, turns=refused)
    if not draft.text_question:
        raise BadRecord(NO_TEXT)
    if not draft.text_answer:
        raise BadRecord(NO_ANSWER)
    asked = (Turn(speaker="user", text=draft.text_question), Turn(speaker="assistant", text=draft.text_answer))
    return replace(draft, turns=asked, images=(), black=False)


def _refused(draft: Draft, turn: Turn) -> Turn:
    """A refusal in place of an answer; where there was no answer there is none now, so that it is found."""
    if not turn.text.strip():
        return turn
    said = "\n".join((draft.id, *(each.text for each in draft.turns if each.speaker == "user")))
    pick = sha256(said.encode(errors="surrogatepass")).digest()
    return replace(turn, text=REFUSALS[int.from_bytes(pick[:4], "big") % len(REFUSALS)])
