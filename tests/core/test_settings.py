import re
from pathlib import Path
from typing import Any

import pytest

from harness import secrets
from harness.errors import HarnessError, UnknownName
from harness.settings import effective, find_changed, identity, json_object, nearest
from harness.types import Setting

DECLARED = (
    Setting(name="detail", type=str, default="auto", identity=True, choices=("auto", "low", "high")),
    Setting(name="timeout", type=float, default=60.0, identity=False, least=0.1),
    Setting(name="pixels", type=int, default=None, identity=True, least=1),
    Setting(name="resize", type=bool, default=True, identity=True),
    Setting(name="words", type=Path, default=None, identity=True),
    Setting(name="share", type=float, default=0.5, identity=True, least=0, most=1),
)


def values(**given: Any) -> dict[str, Any]:
    return effective(DECLARED, given, owner="provider fake")


def test_what_is_not_given_has_its_default() -> None:
    assert values() == {"detail": "auto", "timeout": 60.0, "pixels": None, "resize": True, "words": None, "share": 0.5}


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ({"pixels": "12"}, 12),
        ({"timeout": "2.5"}, 2.5),
        ({"timeout": 3}, 3.0),
        ({"resize": "off"}, False),
        ({"resize": "Yes"}, True),
        ({"resize": False}, False),
        ({"words": "a/b.txt"}, Path("a/b.txt")),
        ({"detail": "high"}, "high"),
    ],
)
def test_text_becomes_a_value_of_the_declared_type(given: dict[str, Any], value: object) -> None:
    name = next(iter(given))
    assert values(**given)[name] == value


def test_an_undeclared_key_is_refused_with_the_nearest_spelling() -> None:
    with pytest.raises(UnknownName, match=r"provider fake has no setting 'timout'\n  did you mean 'timeout'"):
        values(timout=1)


def test_of_few_names_all_are_named_and_of_very_many_the_least_far_first_and_how_many_more() -> None:
    assert nearest("wrong", ["b", "a"]) == "known: a, b"
    assert nearest("wrong", []) == "there is none"
    many = [f"k{number:04}" for number in range(3000)] + ["worried"]
    assert nearest("k2999", many) == "did you mean 'k2999'?"
    said = nearest("wrong", many)
    assert said.startswith("known: worried, k0000, k0001, ")
    assert said.endswith("k0008, and 2,991 more")


@pytest.mark.parametrize(
    "given", [{"pixels": "many"}, {"pixels": 1.5}, {"resize": "perhaps"}, {"detail": "huge"}, {"pixels": True}]
)
def test_a_value_that_does_not_fit_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(HarnessError, match=next(iter(given))):
        values(**given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"share": "1.1"}, "share=1.1 is more than 1"),
        ({"pixels": "0"}, "pixels=0 is less than 1"),
        ({"timeout": -1}, "timeout=-1 is less than 0.1"),
        ({"timeout": "nan"}, "timeout=nan is not a float"),
        ({"timeout": float("inf")}, "timeout=inf is not a float"),
    ],
)
def test_a_number_below_the_least_and_what_is_no_number_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(HarnessError, match=f"provider fake: {re.escape(said)}$"):
        values(**given)


def test_the_least_number_itself_is_taken() -> None:
    assert values(pixels=1, timeout=0.1)["pixels"] == 1


def test_transport_is_no_part_of_the_identity() -> None:
    assert set(identity(DECLARED, values(timeout=1))) == {"detail", "pixels", "resize", "words", "share"}


def test_only_changed_identity_settings_are_named() -> None:
    assert find_changed(DECLARED, values(timeout=1, pixels=9)) == {"pixels": 9}


@pytest.mark.parametrize("text", ["[1]", "{", "5", "null", "[" * 100_000])
def test_a_setting_that_is_to_hold_a_json_object_holds_nothing_else(text: str) -> None:
    with pytest.raises(HarnessError, match="-M extra is not a JSON object") as refused:
        json_object({"extra": text}, "extra", such_as='{"top_k": 20}')
    assert """-M extra='{"top_k": 20}'""" in refused.value.remedy


def test_an_object_is_read_but_not_with_what_the_harness_itself_sets() -> None:
    assert json_object({"extra": '{"a": [1]}'}, "extra", such_as="{}", owned={"b"}) == {"a": [1]}
    assert json_object({"extra": ""}, "extra", such_as="{}") == {}
    with pytest.raises(HarnessError, match="must not hold b, c"):
        json_object({"extra": '{"c": 1, "a": 2, "b": 3}'}, "extra", such_as="{}", owned={"b", "c", "d"})


KEYS = {
    "called a key": '{"api_key": "hunter2hunter2"}',
    "called one with more words": '{"openrouter": {"upstream-api-key" : "hunter2"}}',
    "a header": '{"headers": {"X-Api-Key": "hunter2hunter2", "a": 1}}',
    "authorization": "{'Authorization': 'Basic hunter2hunter2'}",
    "a token": '{"auth_token":"hunter2hunter2"}',
    "a password": '{"user": "me", "password": "hunter2"}',
    "looks like one": '{"user": "sk-hunter2hunter2"}',
    "an access key": '{"credentials": {"aws_secret_access_key": "hunter2hunter2"}}',
    "of a user": '{"user_token": "hunter2hunter2"}',
    "private": '{"private-key": "hunter2hunter2"}',
    "of a hub": "args=hf_hunter2hunter2hunter2hunter2",
    "a bearer": "Bearer hunter2hunter2",
    "of the environment": '{"user": "value-of-hunter2"}',
    "of the environment, by a number": '{"user": "second-of-hunter2"}',
    "of the environment, in a path": "https://api.acme.org/value-of-hunter2/v1",
    "of Groq": "args=gsk_hunter2hunter2hunter2",
    "of xAI": "xai-hunter2hunter2hunter2",
    "of NVIDIA": "nvapi-hunter2hunter2_x",
    "of GitHub": "github_pat_11hunter2hunter2",
    "of GitLab": "glpat-hunter2hunter2-x",
    "of Replicate": "r8_hunter2hunter2hunter2",
    "a web token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.hunter2",
    "without quotes": "model=m,api_key=hunter2hunter2,retries=3",
    "of OpenAI": "http://127.0.0.1:1/v1?user=sk-proj-abc_hunter2hunter2",
    "a user's password": "https://me:hunter2@api.acme.org/v1",
    "a user's password beside more": "url=https://me:hunter2@api.acme.org/v1 retries=3",
    "a user's token": "https://ghp_hunter2hunter2hunter2@api.acme.org/v1",
    "in a query": "https://api.acme.org/v1?key=hunter2",
    "in a query, with words": "https://api.acme.org/v1?version=2&subscription-key=hunter2&api_key=hunter2",
}


@pytest.mark.parametrize("text", KEYS.values(), ids=KEYS)
def test_a_setting_that_holds_a_key_is_refused_without_repeating_it(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_API_KEY", "value-of-hunter2")
    monkeypatch.setenv("ACME_API_KEY_2", "second-of-hunter2")
    declared = (Setting(name="extra", type=str, default="", identity=True),)
    with pytest.raises(HarnessError, match="extra holds a key") as refused:
        effective(declared, {"extra": text}, owner="provider fake")
    assert "hunter2" not in str(refused.value)
    assert "environment" in refused.value.remedy


@pytest.mark.parametrize(
    "text",
    [
        '{"top_k": 20, "max_tokens": 5, "eos_token": "</s>", "pad_token": "<pad>", "key": "value"}',
        '{"token": 1234, "api_key": ""}',
        "MY_API_KEY",
        "a task-force of sk-learn",
        '{"hf_overrides": {"architectures": ["DeepseekVLV2ForCausalLM"]}}',
        "Bearer of bad news",
        "the secret: never tell",
        "/keys/of/mine.pem",
        "short",
        "http://127.0.0.1:8000/v1",
        "http://127.0.0.1:1/task-sk-learn-model",
        "http://127.0.0.1:1/sk-learn20models24/v1?timeout=30",
        "http://lm-studio:1234/v1",
        "http://gateway-of-the-laboratory.example.org:1234/v1",
        '{"api_base": "http://gateway-of-the-laboratory.example.org/v1", "user": "gateway-of-the-laboratory"}',
        "https://login.acme.org/a/tenant",
        "a risk-sk-assessment2024-report",
        "sk-learn-models-v2",
        "model=m,api_key=EMPTY,api_key_env=MY_API_KEY_OF_MINE",
        "xai-grok-vision-large-preview",
        "user@example.org",
        "a banana a day, as the ape says",
    ],
)
def test_what_is_no_key_may_stand_in_a_setting(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_KEY", "/keys/of/mine.pem")
    monkeypatch.setenv("LMSTUDIO_API_KEY", "lm-studio")
    monkeypatch.setenv("GATEWAY_API_KEY", "gateway-of-the-laboratory")
    monkeypatch.setenv("ACME_TOKEN_URL", "https://login.acme.org/a/tenant")
    monkeypatch.setenv("TOKENIZERS_OF_MINE", "a banana a day, as the ape says")
    monkeypatch.setenv("A_TOKEN", "short")
    declared = (Setting(name="extra", type=str, default="", identity=True),)
    assert effective(declared, {"extra": text}, owner="provider fake") == {"extra": text}


def test_the_key_in_a_variable_that_a_setting_names_is_known_whatever_the_variable_is_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(secrets, "_named", set[str]())
    monkeypatch.setenv("MYK", "value-of-hunter2-hunter2")
    declared = tuple(Setting(name=name, type=str, default="", identity=True) for name in ("extra", "api_key_env"))
    given = {"extra": '{"x": "value-of-hunter2-hunter2"}', "api_key_env": "MYK"}
    with pytest.raises(HarnessError, match="extra holds a key"):
        effective(declared, given, owner="provider fake")
    assert secrets.without_secrets("it is value-of-hunter2-hunter2") == "it is [MYK]"
