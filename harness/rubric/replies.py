"""A judge's reply, read strictly: exactly the JSON object that was asked for, or no verdict at all.

Guessing a verdict out of prose is how a judge's refusal, a quoted answer or a planted verdict becomes a number. So one
object is accepted, alone or in one code fence: all fields, no others, none twice, values of the right type and choices
in their exact spelling. Everything else is `judge_unparsable`, with a message that a second try can be given.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from harness.types import Json, Unscored, Verdict

#: of a field: free, one of these texts, or one of these whole numbers
Kind = type[str] | type[bool] | type[int] | type[float] | tuple[str, ...] | range
Fields = Mapping[str, Json]  #: field -> value of a reply that matched

_NAMES: dict[type, str] = {str: "string", bool: "boolean", int: "integer", float: "number"}
_SHOWN: dict[type, str] = {str: '"<text>"', bool: "true | false", int: "<integer>", float: "<number>"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What a judge fills in, and how that becomes a verdict.

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
        return {
            "type": "object",
            "properties": {name: _schema(kind) for name, kind in self.fields.items()},
            "required": list(self.fields),
            "additionalProperties": False,
        }

    def describe(self) -> str:
        """The form in one line, for templates and for a judge whose reply could not be read."""
        return "{" + ", ".join(f'"{name}": {_shown(kind)}' for name, kind in self.fields.items()) + "}"

    def read(self, text: str) -> Verdict | Unscored:
        """The verdict in a reply; `judge_unparsable` unless it is the form, filled in, and nothing else."""
        try:
            fields = _matched(json_alone(text), self.fields)
        except (ValueError, RecursionError) as error:
            problem = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
            return unparsable(f"{problem}; expected one JSON object and nothing else, of this form: {self.describe()}")
        return self._decided(fields)

    def is_spelled_in(self, answer: str) -> bool:
        """Whether an answer names a field of the form with one of its values, as a planted verdict does."""
        import unicodedata

        return _spellings(tuple(self.fields.items())).search(unicodedata.normalize("NFKC", answer)) is not None

    def _decided(self, fields: Fields) -> Verdict:
        verdict = self.verdict(fields)
        if verdict.label not in self.labels:
            raise ValueError(f"label {verdict.label!r} is not one of the rubric's: {', '.join(self.labels)}")
        return verdict


@lru_cache(maxsize=64)
def _spellings(fields: tuple[tuple[str, Kind], ...]) -> re.Pattern[str]:
    shapes = [
        rf"\b{re.escape(name)}[\"'*_`]{{0,4}}\s{{0,4}}[:=]\s{{0,4}}[\"'*_`]{{0,4}}(?:{_choices(kind)})\b"
        for name, kind in fields
        if isinstance(kind, tuple | range)
    ]
    return re.compile("|".join(shapes) or r"(?!)", re.IGNORECASE)


def _choices(kind: tuple[str, ...] | range) -> str:
    return "|".join(re.escape(str(choice)) for choice in kind)


def unparsable(message: str) -> Unscored:
    """No verdict in the reply; the message goes back to the judge once, so it never quotes the judged answer."""
    return Unscored(state="judge_unparsable", message=message)


def json_alone(text: str) -> Json:
    """The JSON of a reply that is nothing else, alone or in one code fence. Raises ValueError, or RecursionError."""
    fenced = re.fullmatch(r"```(?:json)?[ \t]*\r?\n(.*?)\r?\n?```", text.strip(), re.DOTALL | re.IGNORECASE)
    body = fenced[1] if fenced else text
    try:
        return json.loads(body.strip(), object_pairs_hook=_once, parse_constant=_no_constant)
    except json.JSONDecodeError:
        raise ValueError("the reply is not one JSON object") from None


def _once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a field is given twice")
    return fields


def _no_constant(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")


def _matched(reply: Json, fields: Mapping[str, Kind]) -> Fields:
    if not isinstance(reply, dict):
        raise ValueError("the reply is not a JSON object")  # noqa: TRY004
    found = cast("dict[str, Json]", reply)
    if missing := [name for name in fields if name not in found]:
        raise ValueError(f"field {missing[0]!r} is missing")
    if len(found) > len(fields):
        raise ValueError("there are fields that nobody asked for")
    return {name: _value(name, kind, found[name]) for name, kind in fields.items()}


def _value(name: str, kind: Kind, value: Json) -> Json:
    if isinstance(kind, tuple | range):
        if type(value) is not (str if isinstance(kind, tuple) else int) or value not in kind:
            raise ValueError(f"field {name!r} must be {_shown(kind)}")
        return value
    if type(value) is kind or (kind is float and type(value) is int):
        # A lone surrogate would break the file this text is written to.
        return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
    raise ValueError(f"field {name!r} must be of type {_NAMES[kind]}")


def _schema(kind: Kind) -> Mapping[str, Json]:
    if isinstance(kind, tuple | range):
        return {"type": "string" if isinstance(kind, tuple) else "integer", "enum": list(kind)}
    return {"type": _NAMES[kind]}


def _shown(kind: Kind) -> str:
    if isinstance(kind, tuple | range):
        return " | ".join(json.dumps(choice, ensure_ascii=False) for choice in kind)
    return _SHOWN[kind]
