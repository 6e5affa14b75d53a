"""Reads the records of an ingredient one by one, changes their labels, and checks each before a model learns from it.

A list of a gigabyte is never in memory as a whole. `harness.readers.rows` gives all records at once and refuses a file
for one of them; here a bad record is a value among the others, so that all of them can be counted and the first named.
"""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from sys import intern
from typing import Any, Final, TextIO, cast

from harness import BadData, BadImage, Json, MissingData, UnknownName
from harness.lineage import fold_category
from harness.readers import DataFiles, Row, parquet_rows
from harness.readers.records import RepeatedKey, parse_object
from harness.settings import nearest
from harness_mirage.methods import Ingredient, Labels
from harness_mirage.mixture import HELD_OUT, IMAGE, BadRecord, Picture, Record, Turn

from .layouts import Conversation, Source

#: In our own words; which of them a record gets depends on what the record says.
REFUSALS: Final = (
    "I'm sorry, but I can't help with that.",
    "I'm sorry, I won't be able to assist with this request.",
    "I'm sorry, but this is something I have to decline.",
    "Sorry, I can't go along with this request.",
    "I'm sorry, but I am not able to answer that.",
    "I apologise, but I can't help you with this.",
)
_REMEDY: Final = "fix them, or train without them: -S skip_bad=true"
_NO_TEXT: Final = "no text_question, which asks in words alone"
_NO_ANSWER: Final = "no text_answer to the text_question: the other answer speaks of images that are not shown"
_TEXT_REMEDY: Final = (
    "bring data whose records have a text_question and a text_answer, or leave out the others: -S skip_bad=true"
)
_NAMED: Final = 10  #: bad records that an error names
_PIECE: Final = 1 << 20  #: characters read at once
_NEAR: Final = 16  #: a fault so near to the end of a piece may only be the piece's end
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_DECODER: Final = json.JSONDecoder(object_pairs_hook=parse_object)


class HoldOut:
    """Finds the records of some categories; capitals, spaces, hyphens and underscores make no difference."""

    def __init__(self, names: Iterable[str]) -> None:
        self._wanted = {fold_category(name): name.strip() for name in names if name.strip()}
        self._seen: dict[str, str] = {}  # as folded -> as the data spell it

    def match(self, conversation: Conversation) -> str:
        """The name under which a record is held out; empty if it stays."""
        if not self._wanted:
            return ""
        held = ""
        for name in (*conversation.category.split(";"), *conversation.sub_category.split(";")):
            key = fold_category(name)
            if key:
                self._seen.setdefault(key, name.strip())
                held = held or self._wanted.get(key, "")
        return held

    def check(self) -> None:
        """Raise UnknownName for a name that is no category of any record; to be called once all data were read."""
        import difflib

        for key, name in self._wanted.items():
            if key not in self._seen:
                close = difflib.get_close_matches(key, list(self._seen), n=1, cutoff=0.6)
                spelled = self._seen[close[0]] if close else ""
                remedy = f"did you mean {spelled!r}?" if spelled else nearest(name, self._seen.values())
                raise UnknownName(f"--hold-out {name}: no record has this category or sub-category", remedy=remedy)


class Faults:
    """Counts bad records by what is wrong with them."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._first: list[tuple[str, str, str]] = []  # place, kind, what is wrong
        self._fields: set[str] = set()  # kinds that say that a field is missing or has another type

    def add(self, fault: BadData, place: str) -> None:
        """Count a bad record; `place` is used if the fault does not name its own."""
        kind = fault.kind if isinstance(fault, BadRecord) else fault.what
        self.counts[kind] += 1
        if not isinstance(fault, BadRecord):
            self._fields.add(kind)
        if len(self._first) < _NAMED:
            self._first.append((fault.where or place, kind, fault.what))

    def build_error(self, found: int, looks: str = "") -> BadData:
        """The error of a data set with so many records.

        Args:
            found: records in all.
            looks: what a record is like, for a user who brought data of another layout.
        """
        total = self.counts.total()
        if looks and 1 < total == found and {*self.counts} <= self._fields and len(self.counts) == 1:
            what = f"no record is of the layout that is expected here: {next(iter(self.counts))}, in all {found}"
            return BadData(what, where=self._first[0][0].partition(",")[0], remedy=looks)
        kinds = "; ".join(f"{kind} ({count})" for kind, count in self.counts.most_common())
        # If one thing is wrong with all of them, it has been said, and their places are enough.
        named = [place if {kind, what} == {*self.counts} else f"{place}: {what}" for place, kind, what in self._first]
        more = [f"and {total - len(self._first)} more"] if total > len(self._first) else []
        what = f"{total} of {found} records cannot be learnt from: {kinds}"
        remedy = _TEXT_REMEDY if {*self.counts} <= {_NO_TEXT, _NO_ANSWER} else _REMEDY
        return BadData(what, where="; ".join([*named, *more]), remedy=remedy)


@dataclass(slots=True)
class IngredientReader:
    """One pass over the records of an ingredient.

    Attributes:
        source: of the records.
        ingredient: whose labels they get.
        hold_out: sees every category.
        faults: of the records that cannot be learnt from.
        left_out: reason -> records that are held out.
        found: records so far, whatever became of them.
    """

    source: Source
    ingredient: Ingredient
    hold_out: HoldOut
    faults: Faults = field(default_factory=Faults)
    left_out: Counter[str] = field(default_factory=Counter[str])
    found: int = 0

    def records(self) -> Iterator[Record]:
        """Those that can be learnt from and are not held out; the others are counted."""
        for conversation in self._read_conversations():
            held = self.hold_out.match(conversation)
            if held:
                self.left_out[f"{HELD_OUT}{held}"] += 1
                continue
            try:
                yield build_record(apply_labels(conversation, self.ingredient.labels), self.ingredient.source)
            except BadData as fault:
                self.faults.add(fault, conversation.place)

    def _read_conversations(self) -> Iterator[Conversation]:
        for row in (row for name in self.source.names for row in stream_rows(self.source.files, name)):
            if isinstance(row, BadRecord):
                self.found += 1
                self.faults.add(row, row.where)
                continue
            try:
                for conversation in self.source.read(row):
                    self.found += 1
                    yield conversation
            except BadData as fault:
                self.found += 1
                self.faults.add(fault, row.place)


def apply_labels(conversation: Conversation, labels: Labels) -> Conversation:
    """Put other answers, or another question, in place of those in the data: what the ablations learn from.

    Raises:
        BadRecord: `text_only`, and the data do not say what is asked in words, or what is answered to that.
    """
    if labels == "given":
        return conversation
    if labels == "refusal":
        questions = [turn.text for turn in conversation.turns if turn.speaker == "user"]
        pick = sha256("\n".join((conversation.id, *questions)).encode(errors="surrogatepass")).digest()
        refusal = REFUSALS[int.from_bytes(pick[:4], "big") % len(REFUSALS)]
        turns = (  # an empty answer stays empty, so that it is found
            replace(turn, text=refusal) if turn.speaker == "assistant" and turn.text.strip() else turn
            for turn in conversation.turns
        )
        return replace(conversation, turns=tuple(turns))
    if not conversation.text_question:
        raise BadRecord(_NO_TEXT)
    if not conversation.text_answer:
        raise BadRecord(_NO_ANSWER)
    question = Turn(speaker="user", text=conversation.text_question)
    answer = Turn(speaker="assistant", text=conversation.text_answer)
    return replace(conversation, turns=(question, answer), images=(), black=False)


def build_record(conversation: Conversation, source: str) -> Record:
    """Check a conversation and make it a record; its images are not looked for yet, and keep the paths of the data.

    If no text has an `<image>` mark, one for each image is put in front of the first question: the images come first,
    as they do when the model is asked.

    Raises:
        BadRecord: it cannot be learnt from.
    """
    turns = conversation.turns
    speakers = [turn.speaker for turn in turns]
    spoken = speakers[1:] if speakers[:1] == ["system"] else speakers
    if not spoken or len(spoken) % 2 or spoken != ["user", "assistant"] * (len(spoken) // 2):
        raise BadRecord("turns in a wrong order", f"turns in a wrong order: {', '.join(speakers) or 'none'}")
    for turn in turns:
        bare = turn.text.replace(IMAGE, "")
        if turn.speaker != "system" and not bare.strip():
            raise BadRecord("an empty answer" if turn.speaker == "assistant" else "an empty question")
        if turn.speaker != "user" and len(bare) != len(turn.text):
            what = f"an <image> mark in the text of the {turn.speaker}"
            raise BadRecord("an <image> mark outside a question", what)
        if not turn.text.isascii():
            try:
                turn.text.encode()
            except UnicodeEncodeError:
                what = "half a character (a lone surrogate) in a text"
                raise BadRecord("a text that is not Unicode", what) from None
    pictures = (Picture(),) if conversation.black else tuple(Picture(path=path) for path in conversation.images)
    marks = sum(turn.text.count(IMAGE) for turn in turns)
    if marks and marks != len(pictures):
        what = f"{len(pictures)} images and {marks} <image> marks"
        raise BadRecord("images and <image> marks differ in number", what)
    if pictures and not marks:
        first = speakers.index("user")
        question = Turn(speaker="user", text=IMAGE * len(pictures) + turns[first].text)
        turns = (*turns[:first], question, *turns[first + 1 :])
    return Record(
        id=conversation.id,
        source=source,
        place=conversation.place,
        category=intern(conversation.category),
        sub_category=intern(conversation.sub_category),
        turns=turns,
        pictures=pictures,
    )


def stream_rows(files: DataFiles, name: str) -> Iterator[Row | BadRecord]:
    """The records of a JSON list, of JSON lines or of a parquet file, in order.

    Raises:
        MissingData: the file is not there.
        BadData: it cannot be read as such.
    """
    if name.lower().endswith(".parquet"):
        yield from parquet_rows(files, name)
        return
    with io.TextIOWrapper(cast("Any", open_bytes(files, name)), encoding="utf-8-sig", newline="\n") as text:
        try:
            cursor = _Cursor(text)
            values = _parse_lines(cursor.rest()) if cursor.peek() == "{" else _parse_list(name, cursor)
            for number, value in enumerate(values, 1):
                place = f"{name}, record {number}"
                if isinstance(value, BadRecord):
                    value.where = place
                    yield value
                elif isinstance(value, dict):
                    yield Row(values=cast("dict[str, Json]", value), place=place, number=number)
                else:
                    yield BadRecord("a record that is no object", where=place)
        except UnicodeDecodeError as error:
            raise BadData(f"the file is not UTF-8: {error.reason}", where=name) from None


def open_bytes(files: DataFiles, name: str) -> io.BufferedIOBase:
    """Open a file of the data: on the disk it is read piece by piece, out of an archive at once.

    Raises:
        MissingData: it is not there.
        BadData: it cannot be read.
    """
    try:
        place = Path(files.stamp(name)[0])
        return place.open("rb") if place.is_file() else io.BytesIO(files.read(name))
    except BadImage as fault:
        if fault.reason == "missing":
            raise MissingData(f"{name} is not there", where=str(files.root)) from None
        raise BadData("the file cannot be read", where=str(fault)) from None
    except OSError as error:
        raise BadData(f"the file cannot be read: {error.strerror or error}", where=name) from None


def _parse_lines(lines: Iterator[str]) -> Iterator[Json | BadRecord]:
    for line in lines:
        if line.strip():
            try:
                yield json.loads(line, object_pairs_hook=parse_object)
            except RepeatedKey as error:
                yield BadRecord("a line with a repeated key", str(error))
            except (ValueError, RecursionError) as error:
                yield BadRecord("a line that is not JSON", f"not JSON: {error}")


def _parse_list(name: str, cursor: _Cursor) -> Iterator[Json]:
    try:
        cursor.take("[")
        first = True
        while cursor.peek() != "]":
            if not first:
                cursor.take(",")
            first = False
            cursor.peek()
            yield cursor.parse_value()
        cursor.take("]")
        cursor.take("")
    except UnicodeDecodeError:
        raise  # a ValueError as well, and what is wrong is the file's encoding
    except (ValueError, RecursionError) as error:
        what = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise BadData(f"not a JSON list of records: {what}", where=f"{name}, line {cursor.line_number()}") from None


@dataclass(slots=True)
class _Cursor:
    """A place in a text of which only a piece is held."""

    text: TextIO
    held: str = ""
    at: int = 0
    line: int = 1
    ended: bool = False

    def line_number(self) -> int:
        return self.line + self.held.count("\n", 0, self.at)

    def rest(self) -> Iterator[str]:
        """The lines from here on."""
        ahead = self.held[self.at :] + self.text.readline()
        yield from io.StringIO(ahead, newline="\n")
        yield from self.text

    def peek(self) -> str:
        """The next character that is no space, at which the cursor stops; empty at the end."""
        while True:
            space = _SPACE.match(self.held, self.at)
            self.at = space.end() if space else self.at
            if self.at < len(self.held) or self.ended:
                return self.held[self.at : self.at + 1]
            self._read_more()

    def take(self, wanted: str) -> None:
        """Go past one character; an empty one is the end. Raises ValueError if another one is there."""
        found = self.peek()
        if found != wanted:
            raise ValueError(f"{wanted or 'the end'} expected, not {found or 'the end'}")
        self.at += len(wanted)

    def parse_value(self) -> Json:
        while True:
            try:
                value, end = _DECODER.raw_decode(self.held, self.at)
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated string") or error.pos >= len(self.held) - _NEAR
                if self.ended or not cut:  # else it may be no fault, but only the end of what is held
                    raise
            else:
                if end < len(self.held) or self.ended:
                    self.at = end
                    return value
            self._read_more()

    def _read_more(self) -> None:
        self.line = self.line_number()
        piece = self.text.read(max(_PIECE, len(self.held) - self.at))
        self.held, self.at, self.ended = self.held[self.at :] + piece, 0, not piece
