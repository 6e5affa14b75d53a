"""A judge's reply, read strictly: exactly the JSON object that was asked for, or no verdict at all.

Guessing a verdict out of prose is how a judge's refusal, a quoted answer or a planted verdict becomes a number. So one
object is accepted, alone or in one code fence: all fields, no others, none twice, values of the right type and choices
in their exact spelling. Everything else is `judge_unparsable`, with a message that a second try can be given.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import cast

from harness.types import Json, Message, Request, Text, Unscored, Verdict

#: what a field may hold: anything of a type, one of these texts, or one of these whole numbers
Kind = type[str] | type[bool] | type[int] | type[float] | tuple[str, ...] | range
Fields = Mapping[str, Json]  #: field -> value of a reply that matched

_NAMES: dict[type, str] = {str: "string", bool: "boolean", int: "integer", float: "number"}
_SHOWN: dict[type, str] = {str: '"<text>"', bool: "true | false", int: "<integer>", float: "<number>"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplySchema:
    """The fields of a judge's reply, and how they become a verdict.

    Attributes:
        fields: name -> kind, in the order the judge writes them. What comes first is decided first.
        labels: all labels that `verdict` can give.
        verdict: matched fields -> Verdict.
    """

    fields: Mapping[str, Kind]
    labels: tuple[str, ...]
    verdict: Callable[[Fields], Verdict]

    @property
    def schema(self) -> Mapping[str, Json]:
        """JSON Schema for structured output: every field required, no others."""
        properties: dict[str, Json] = {}
        for name, kind in self.fields.items():
            if isinstance(kind, tuple | range):
                properties[name] = {"type": "string" if isinstance(kind, tuple) else "integer", "enum": list(kind)}
            else:
                properties[name] = {"type": _NAMES[kind]}
        return {
            "type": "object",
            "properties": properties,
            "required": list(self.fields),
            "additionalProperties": False,
        }

    def describe(self) -> str:
        """The reply in one line, for templates and for a judge whose reply could not be read."""
        return "{" + ", ".join(f'"{name}": {_show_kind(kind)}' for name, kind in self.fields.items()) + "}"

    def read(self, text: str) -> Verdict | Unscored:
        """The verdict in a reply; `judge_unparsable` unless it has exactly these fields, and nothing else around them.

        Raises:
            ValueError: `verdict` gave a label that is not one of the rubric's.
        """
        try:
            fields = self._match(parse_json_reply(text))
        except (ValueError, RecursionError) as error:
            problem = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
            return unparsable(f"{problem}; expected one JSON object and nothing else, of this form: {self.describe()}")
        verdict = self.verdict(fields)
        if verdict.label not in self.labels:
            raise ValueError(f"label {verdict.label!r} is not one of the rubric's: {', '.join(self.labels)}")
        return verdict

    def is_spelled_in(self, answer: str) -> bool:
        """Whether an answer names a field with one of its values, as a planted verdict does."""
        import unicodedata

        return _field_shapes(tuple(self.fields.items())).search(unicodedata.normalize("NFKC", answer)) is not None

    def _match(self, reply: Json) -> Fields:
        """The fields of a reply. Raises ValueError with what is wrong with it."""
        if not isinstance(reply, dict):
            raise ValueError("the reply is not a JSON object")  # noqa: TRY004
        found = cast("dict[str, Json]", reply)
        if missing := [name for name in self.fields if name not in found]:
            raise ValueError(f"field {missing[0]!r} is missing")
        if len(found) > len(self.fields):
            raise ValueError("there are fields that nobody asked for")
        fields: dict[str, Json] = {}
        for name, kind in self.fields.items():
            value: Json = found[name]
            if isinstance(kind, tuple | range):
                if type(value) is not (str if isinstance(kind, tuple) else int) or value not in kind:
                    raise ValueError(f"field {name!r} must be {_show_kind(kind)}")
            elif not (type(value) is kind or (kind is float and type(value) is int)):
                raise ValueError(f"field {name!r} must be of type {_NAMES[kind]}")
            elif isinstance(value, str):  # a lone surrogate would break the file this text is written to
                value = value.encode("utf-8", "replace").decode()
            fields[name] = value
        return fields


def unparsable(message: str) -> Unscored:
    """No verdict in the reply; the message goes back to the judge once, so it never quotes the judged answer."""
    return Unscored(state="judge_unparsable", message=message)


def parse_json_reply(text: str) -> Json:
    """The JSON of a reply that is nothing else, alone or in one code fence. Raises ValueError, or RecursionError."""
    fenced = re.fullmatch(r"```(?:json)?[ \t]*\r?\n(.*?)\r?\n?```", text.strip(), re.DOTALL | re.IGNORECASE)
    body = fenced[1] if fenced else text

    def build_object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            raise ValueError("a field is given twice")
        return fields

    def refuse_constant(name: str) -> Json:
        raise ValueError(f"{name} is not JSON")

    try:
        return json.loads(body.strip(), object_pairs_hook=build_object, parse_constant=refuse_constant)
    except json.JSONDecodeError:
        raise ValueError("the reply is not one JSON object") from None


def repair_request(request: Request, reply: str, message: str) -> Request:
    """The request that follows a reply which could not be read: the reply, and what was wrong with it."""
    wish = Text(text=f"Your reply could not be read: {message}. Reply once more, in exactly that form.")
    if reply.strip():
        said = Message(role="assistant", content=(Text(text=reply),))
        return replace(request, messages=(*request.messages, said, Message(role="user", content=(wish,))), prefill="")
    # Several servers refuse an empty turn, and two turns of one role in a row.
    *earlier, last = request.messages
    return replace(request, messages=(*earlier, replace(last, content=(*last.content, wish))))


@lru_cache(maxsize=64)
def _field_shapes(fields: tuple[tuple[str, Kind], ...]) -> re.Pattern[str]:
    shapes: list[str] = []
    for name, kind in fields:
        if isinstance(kind, tuple | range):
            choices = "|".join(re.escape(str(choice)) for choice in kind)
            shapes.append(rf"\b{re.escape(name)}[\"'*_`]{{0,4}}\s{{0,4}}[:=]\s{{0,4}}[\"'*_`]{{0,4}}(?:{choices})\b")
    return re.compile("|".join(shapes) or r"(?!)", re.IGNORECASE)


def _show_kind(kind: Kind) -> str:
    if isinstance(kind, tuple | range):
        return " | ".join(json.dumps(choice, ensure_ascii=False) for choice in kind)
    return _SHOWN[kind]


Form = ReplySchema  #: former name of ReplySchema, for older plugins
