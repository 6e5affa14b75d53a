"""The `gemini` provider: Google's SDK over real HTTP against a local server that plays every row of the outcomes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import harness_gemini
import pytest
from google.genai import types
from harness_gemini.answers import FINISHES, UNBLOCKED
from harness_gemini.provider import SETTINGS, THRESHOLDS
from harness_gemini.request import CATEGORIES, UNSENT

from harness import Failure, HarnessError, Response
from harness.testing.conformance import check_provider
from harness.testing.faults import Reply
from tests.plugins.gemini_asking import ASKED, served
from tests.plugins.gemini_serving import GeminiServer, blocked, said, sent

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("without_google")]
FILTERED = ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR", "IMAGE_SAFETY")
PASSING = ("OTHER", "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE")
FINAL = ("LANGUAGE", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE", "NO_IMAGE", "IMAGE_OTHER", "NEW_REASON")
EMPTY: dict[str, Any] = {"usageMetadata": {"promptTokenCount": 12}}

#: name -> what the server says, (outcome, reason, transient)
ROWS: dict[str, tuple[Reply, tuple[str, str, bool]]] = {
    **{f"prompt {name}": (blocked(name), ("input_blocked", name.lower(), False)) for name in (
        "SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "IMAGE_SAFETY", "MODEL_ARMOR", "JAILBREAK", "NEW_REASON"
    )},
    **{name: (said("Mix the", finish=name), ("output_blocked", name.lower(), False)) for name in FILTERED},
    "blocked without a word": (said(None, finish="SAFETY"), ("output_blocked", "safety", False)),
    "request filtered": (said(None, finish="ESCALATION"), ("input_blocked", "escalation", False)),
    **{name: (said("Mix the", finish=name), ("error", f"finish_{name.lower()}", True)) for name in PASSING},
    **{name: (said("Mix the", finish=name), ("error", f"finish_{name.lower()}", False)) for name in FINAL},
    "no end, no text": (said("", finish=None), ("error", "finish_unsaid", True)),
    "nothing": (sent(EMPTY), ("error", "no_candidates", True)),
    "no reason": (blocked("BLOCK_REASON_UNSPECIFIED"), ("error", "no_candidates", True)),
    "empty list": (sent({"candidates": [], **EMPTY}), ("error", "no_candidates", True)),
    "another shape": (sent(["no", "object"]), ("error", "no_candidates", True)),
    "not json": (Reply(body=b"<html>", headers={"Content-Type": "text/html"}), ("error", "not_json", True)),
    "lost": (Reply(fault="drop"), ("error", "connection", True)),
    "stall": (Reply(fault="stall"), ("error", "timeout", True)),
}  # fmt: skip
#: name -> what the server says, (text, flags)
ANSWERS: dict[str, tuple[Reply, tuple[str, frozenset[str]]]] = {
    "text": (said("A red circle."), ("A red circle.", frozenset())),
    "truncated": (said("A red", finish="MAX_TOKENS"), ("A red", frozenset({"truncated"}))),
    "limit of the service": (said("A red", finish="CONTINUATION"), ("A red", frozenset({"truncated"}))),
    "empty": (said(""), ("", frozenset())),
    "no content": (said(None), ("", frozenset())),
    "out of budget": (said(None, finish="MAX_TOKENS", tokens=64), ("", frozenset({"truncated"}))),
    "no end": (said("Yes", finish=None), ("Yes", frozenset())),
}


# ---- every reply ends in its outcome -----------------------------------------------------------------------------


@pytest.mark.parametrize(("reply", "ends"), ROWS.values(), ids=ROWS)
async def test_every_failure_ends_in_its_outcome_after_one_attempt(reply: Reply, ends: tuple[str, str, bool]) -> None:
    async with served(reply, timeout=0.3 if reply.fault == "stall" else 30.0) as (model, server):
        found = await model.generate(ASKED)
    assert isinstance(found, Failure)
    assert (found.outcome, found.reason, found.transient) == ends
    assert len(server.calls) == 1


@pytest.mark.parametrize(("reply", "ends"), ANSWERS.values(), ids=ANSWERS)
async def test_every_answer_has_its_text_and_flags(reply: Reply, ends: tuple[str, frozenset[str]]) -> None:
    async with served(reply) as (model, _):
        found = await model.generate(ASKED)
    assert isinstance(found, Response)
    assert (found.text, found.flags) == ends


async def test_a_blocked_answer_keeps_what_was_said_and_which_filter_stopped_it() -> None:
    ratings = [
        {"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH", "blocked": True},
        {"category": "HARM_CATEGORY_HARASSMENT", "probability": "NEGLIGIBLE"},
    ]
    async with served(said("Mix the", finish="SAFETY", safetyRatings=ratings)) as (model, _):
        found = await model.generate(ASKED)
    assert isinstance(found, Failure)
    assert (found.text, found.usage.output_tokens, found.model) == ("Mix the", 7, "gemini-test-001")
    assert found.message == "HARM_CATEGORY_DANGEROUS_CONTENT HIGH"


async def test_a_blocked_prompt_says_why() -> None:
    async with served(blocked("MODEL_ARMOR", blockReasonMessage="Blocked by Model Armor.")) as (model, _):
        found = await model.generate(ASKED)
    assert isinstance(found, Failure)
    assert (found.message, found.usage.input_tokens) == ("Blocked by Model Armor.", 12)


async def test_an_account_that_is_disabled_stops_the_run() -> None:
    async with served(said(None, finish="PUP_LIMITED_DISABLED")) as (model, _):
        with pytest.raises(HarnessError, match="limited or disabled"):
            await model.generate(ASKED)


async def test_thinking_is_split_off_and_counted_as_output() -> None:
    async with served(said("yes", thought="Let me see.", tokens=30)) as (model, _):
        found = await model.generate(ASKED)
    assert isinstance(found, Response)
    assert (found.text, found.reasoning, found.model) == ("yes", "Let me see.", "gemini-test-001")
    assert (found.usage.input_tokens, found.usage.output_tokens, found.usage.reasoning_tokens) == (12, 37, 30)
    assert 0 < found.seconds < 30


async def test_thinking_that_took_the_whole_budget_is_told_once() -> None:
    async with served(said(None, finish="MAX_TOKENS", tokens=64)) as (model, _):
        assert len(model.info.notes) == 1
        await model.generate(ASKED)
        await model.generate(ASKED)
        assert ["thinking_budget" in note for note in model.info.notes] == [False, True]


# ---- what the SDK knows is decided here --------------------------------------------------------------------------


def test_every_finish_reason_of_the_sdk_is_decided() -> None:
    assert [reason.value for reason in types.FinishReason if reason.value not in FINISHES] == []


def test_every_block_reason_of_the_sdk_is_tried() -> None:
    tried = {name.removeprefix("prompt ") for name in ROWS if name.startswith("prompt ")} | UNBLOCKED
    assert [reason.value for reason in types.BlockedReason if reason.value not in tried] == []


def test_every_harm_category_of_the_sdk_is_sent_or_left_out_for_a_reason() -> None:
    assert [name.value for name in types.HarmCategory if name.value not in {*CATEGORIES, *UNSENT}] == []


def test_every_threshold_of_the_sdk_can_be_chosen() -> None:
    known = {name.value for name in types.HarmBlockThreshold} - {"HARM_BLOCK_THRESHOLD_UNSPECIFIED"}
    assert known == set(THRESHOLDS)


# ---- the plugin --------------------------------------------------------------------------------------------------


async def test_an_open_model_keeps_the_contract_of_providers() -> None:
    import anyio.to_thread

    [provider] = harness_gemini.harness_models()
    async with GeminiServer() as server:
        settings = {"base_url": server.url, "api_key_env": "MY_KEY"}
        await anyio.to_thread.run_sync(lambda: check_provider(provider, "gemini-test", settings=settings))
        assert len(server.calls) == 3


def test_without_the_extra_the_command_that_installs_it_is_said() -> None:
    code = (
        "import sys, anyio, harness, harness_gemini; sys.modules['google.genai'] = None\n"
        "async def main():\n"
        "    async with harness_gemini.harness_models()[0].open('m', {}): pass\n"
        "try: anyio.run(main)\n"
        "except harness.HarnessError as error: print(error.remedy)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "pip install 'vlm-safety-harness[gemini]'"


def test_every_setting_finish_and_block_reason_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "providers" / "gemini.md").read_text("utf-8")
    named = [
        *(setting.name for setting in SETTINGS),
        *(name for name in FINISHES if name),
        *(reason.value for reason in types.BlockedReason if reason.value not in UNBLOCKED),
        *CATEGORIES,
        *(name for name in UNSENT if "IMAGE" not in name and "UNSPECIFIED" not in name),
    ]
    assert [name for name in named if f"`{name}`" not in page] == []
