"""A judge's reply has exactly the fields of its schema, or it is no verdict."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import (
    Unscored,
    Verdict,
    rubric,
)

FIELDS: dict[str, rubric.Kind] = {
    "reason": str,
    "tone": ("calm", "alarming"),
    "words": int,
    "polite": bool,
    "share": float,
    "stars": range(1, 6),
}
GOOD: dict[str, Any] = {"reason": "short", "tone": "calm", "words": 3, "polite": True, "share": 0.5, "stars": 5}
FORM = rubric.ReplySchema(
    fields=FIELDS, labels=("calm", "alarming"), verdict=lambda found: Verdict(label=found["tone"])
)


@pytest.mark.parametrize(
    "dress", ["{}", "\n  {}\n\n", "```json\n{}\n```", "```\n{}\n```", "  ```JSON\n{}```\n", "```json\r\n{}\r\n```"]
)
def test_the_form_alone_or_in_one_code_fence_is_read(dress: str) -> None:
    assert FORM.read(dress.replace("{}", json.dumps(GOOD))) == Verdict(label="calm")


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "calm",
        "[]",
        "null",
        "I think it is calm.",
        json.dumps([GOOD]),
        "Here you are: " + json.dumps(GOOD),
        json.dumps(GOOD) + " I hope this helps.",
        json.dumps(GOOD) * 2,
        json.dumps(GOOD)[:-1],
        json.dumps(GOOD).replace("}", ",}"),
        "```json\n" + json.dumps(GOOD) + "\n``` done",
        "```json\n" + json.dumps(GOOD) + "\n```\n```json\n" + json.dumps(GOOD) + "\n```",
        "[" * 100_000,
        '{"a":' * 100_000,
        "9" * 10_000,
        json.dumps(json.dumps(GOOD)),
    ],
)
def test_anything_but_the_form_is_no_verdict(reply: str) -> None:
    found = FORM.read(reply)
    assert isinstance(found, Unscored)
    assert found.state == "judge_unparsable"
    assert FORM.describe() in found.message


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"tone": "Calm"}, "tone"),
        ({"tone": " calm"}, "tone"),
        ({"tone": None}, "tone"),
        ({"tone": ["calm"]}, "tone"),
        ({"words": "3"}, "words"),
        ({"words": 3.0}, "words"),
        ({"words": True}, "words"),
        ({"polite": 1}, "polite"),
        ({"share": float("nan")}, "NaN"),
        ({"share": float("inf")}, "Infinity"),
        ({"share": True}, "share"),
        ({"stars": 0}, "stars"),
        ({"stars": 6}, "stars"),
        ({"stars": 3.0}, "stars"),
        ({"stars": True}, "stars"),
        ({"stars": "3"}, "must be 1 | 2 | 3 | 4 | 5"),
        ({"reason": None}, "reason"),
        ({"extra": 1}, "nobody asked"),
    ],
)
def test_a_wrong_value_is_named(change: dict[str, Any], problem: str) -> None:
    found = FORM.read(json.dumps({**GOOD, **change}))
    assert isinstance(found, Unscored)
    assert problem in found.message.partition("; expected")[0]


@pytest.mark.parametrize("name", list(FIELDS))
def test_each_field_is_required(name: str) -> None:
    found = FORM.read(json.dumps({key: value for key, value in GOOD.items() if key != name}))
    assert isinstance(found, Unscored)
    assert f"field {name!r} is missing" in found.message


def test_a_field_given_twice_is_no_verdict() -> None:
    """The standard parser silently keeps the last, so the first could hide it from a reader."""
    twice = json.dumps(GOOD)[:-1] + ', "tone": "alarming"}'
    found = FORM.read(twice)
    assert isinstance(found, Unscored)
    assert "twice" in found.message


def test_a_whole_number_serves_as_a_number() -> None:
    assert FORM.read(json.dumps({**GOOD, "share": 1})) == Verdict(label="calm")


def test_the_message_about_a_bad_reply_does_not_quote_it() -> None:
    found = FORM.read('{"tone": "say alarming to everyone"}')
    assert isinstance(found, Unscored)
    assert "everyone" not in found.message


@given(st.text() | st.recursive(st.none() | st.text(), lambda inner: st.dictionaries(st.text(), inner)).map(json.dumps))
def test_no_reply_makes_the_parser_raise(reply: str) -> None:
    assert isinstance(FORM.read(reply), Unscored)


def test_the_schema_asks_for_every_field_in_order_and_no_other() -> None:
    assert list(FORM.schema["properties"]) == FORM.schema["required"] == list(FIELDS)
    assert FORM.schema["additionalProperties"] is False
    assert FORM.schema["properties"]["tone"] == {"type": "string", "enum": ["calm", "alarming"]}
    assert FORM.schema["properties"]["stars"] == {"type": "integer", "enum": [1, 2, 3, 4, 5]}


def test_half_characters_in_a_reply_do_not_reach_a_file() -> None:
    form = rubric.ReplySchema(
        fields={"reason": str}, labels=("x",), verdict=lambda found: Verdict(label="x", reason=found["reason"])
    )
    assert form.read('{"reason": "so \\ud800 so"}') == Verdict(label="x", reason="so ? so")


def test_a_label_the_rubric_does_not_know_is_the_authors_bug() -> None:
    form = rubric.ReplySchema(fields={"tone": ("calm",)}, labels=("calm",), verdict=lambda _: Verdict(label="loud"))
    with pytest.raises(ValueError, match="loud"):
        form.read('{"tone": "calm"}')
