"""Which sentences of real servers say that a parameter is not supported, and which do not."""

from __future__ import annotations

from typing import Any

import pytest

from harness.http.status import ApiError, find_unsupported

SENT = ("temperature", "top_p", "seed", "stop", "max_tokens")
SAID: dict[str, tuple[Any, str | None]] = {
    "code and param": ({"error": {"message": "no", "code": "unsupported_parameter", "param": "stop"}}, "stop"),
    "param and words": ({"error": {"message": "It is not supported.", "param": "seed.value"}}, "seed"),
    "in quotes": ({"error": {"message": "Unsupported value: 'seed' does not support 3 with this model."}}, "seed"),
    "in backticks": ({"error": {"message": "`temperature` is deprecated for this model."}}, "temperature"),
    "bare, at the start": ({"error": {"message": "temperature is deprecated for this model."}}, "temperature"),
    "a validator's": ({"message": "litellm: 400: temperature: Extra inputs are not permitted"}, "temperature"),
    "a validator's, deeper": ({"message": "a: b: seed.value: Extra inputs are not permitted"}, "seed"),
    "after argument": ({"message": "Unrecognized request argument supplied: max_tokens"}, "max_tokens"),
    "a validator's list": ({"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "no"}]}, "seed"),
    "a bad value": ({"error": {"message": "'max_tokens' is too large: 100000"}}, None),
    "a range": ({"error": {"message": "temperature: range: 0..1"}}, None),
    "another parameter": ({"error": {"message": "Unsupported parameter: 'logprobs'"}}, None),
    "a part of another": ({"error": {"message": "'stop_sequences' is not supported"}}, None),
    "a word of a prompt": ({"error": {"message": "Unsupported image. Please stop and mind the temperature."}}, None),
}


@pytest.mark.parametrize(("body", "name"), SAID.values(), ids=SAID)
def test_only_a_sentence_that_names_a_parameter_and_says_so_counts(body: Any, name: str | None) -> None:
    assert find_unsupported(ApiError.read(body), SENT) == name
