"""A plugin's numbers become numbers that a line of JSON can hold, or a failure; never the end of a run."""

import json
from fractions import Fraction
from typing import Any

import pytest

from harness.store.records import LOWEST, response_line, sanitize_numbers
from harness.testing.fakes import fake_sample
from harness.types import Failure, Response, Usage

NAN, INF = float("nan"), float("inf")
USAGE = Usage(input_tokens=3, output_tokens=2, reasoning_tokens=1)


def test_a_sound_answer_stays_as_it_is() -> None:
    response = Response(text="A", usage=USAGE, seconds=1.5, choices={"A": -0.1, "B": -7.5}, model="m", notes=("n",))
    assert sanitize_numbers(response) == response
    failure = Failure(outcome="output_blocked", reason="filter", text="half", usage=USAGE)
    assert sanitize_numbers(failure) == failure


def test_a_choice_the_model_rules_out_has_the_lowest_log_probability() -> None:
    result = sanitize_numbers(Response(text="A", choices={"A": -0.1, "B": -INF, "C": -1e300}))
    assert isinstance(result, Response)
    assert result.choices == {"A": -0.1, "B": LOWEST, "C": LOWEST}


@pytest.mark.parametrize("value", [NAN, INF, None, "high"])
def test_a_log_probability_that_is_none_fails_the_sample_and_names_the_choice(value: Any) -> None:
    result = sanitize_numbers(Response(text="A", choices={"A": -0.1, "B": value}, usage=USAGE, model="m"))
    assert isinstance(result, Failure)
    assert (result.outcome, result.reason, result.usage, result.model) == ("error", "bad_choices", USAGE, "m")
    assert result.message == f"the log-probability of 'B' is {value!r}"


@pytest.mark.parametrize("value", [NAN, INF, -INF, -1, None, "many"])
@pytest.mark.parametrize("kind", ["response", "failure"])
def test_tokens_and_seconds_that_are_no_numbers_are_0(value: Any, kind: str) -> None:
    usage = Usage(input_tokens=value, output_tokens=value, reasoning_tokens=1)
    given: Response | Failure = Response(text="A", usage=usage, seconds=value)
    if kind == "failure":
        given = Failure(outcome="error", reason="http_500", usage=usage)
    result = sanitize_numbers(given)
    assert result.usage == Usage(reasoning_tokens=1)
    if isinstance(result, Response):
        assert result.seconds == 0.0


def test_numbers_of_a_librarys_own_type_become_plain_ones() -> None:
    quarter: Any = Fraction(-1, 4)
    result = sanitize_numbers(Response(text="A", choices={"A": quarter}, seconds=-quarter))
    line = json.loads(json.dumps(response_line(fake_sample(), 0, "k1:a", result)))
    assert (line["choices"], line["seconds"]) == ({"A": -0.25}, 0.25)
