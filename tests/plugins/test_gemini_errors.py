"""Errors of Google's services: which are a sample's, which are worth another try, and which end the run."""

from __future__ import annotations

import pytest

from harness import Failure, HarnessError
from harness.testing.faults import Reply
from tests.plugins.gemini_asking import ASKED, served
from tests.plugins.gemini_serving import error, sent

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("without_google")]
RPC = "type.googleapis.com/google.rpc."


def quota(name: str, delay: str = "26.5s", message: str = "You exceeded your current quota.") -> Reply:
    violation = {"quotaMetric": "generativelanguage.googleapis.com/generate_requests", "quotaId": name}
    return error(
        429,
        message,
        "RESOURCE_EXHAUSTED",
        {"@type": f"{RPC}QuotaFailure", "violations": [violation]},
        {"@type": f"{RPC}Help", "links": [{"description": "Learn more", "url": "https://ai.google.dev"}]},
        {"@type": f"{RPC}RetryInfo", "retryDelay": delay},
    )


async def test_a_quota_of_the_minute_hands_on_how_long_to_wait() -> None:
    async with served(quota("GenerateRequestsPerMinutePerProjectPerModel-FreeTier")) as (model, _):
        found = await model.generate(ASKED)
    assert isinstance(found, Failure)
    assert (found.throttled, found.transient, found.retry_after, found.reason) == (True, True, 26.5, "http_429")


async def test_an_exhausted_resource_without_details_is_throttled_too() -> None:
    async with served(error(429, "Resource exhausted. Please try again later.", "RESOURCE_EXHAUSTED")) as (model, _):
        found = await model.generate(ASKED)
    assert isinstance(found, Failure)
    assert (found.throttled, found.retry_after) == (True, None)


@pytest.mark.parametrize(
    ("status", "name"),
    [(500, "INTERNAL"), (503, "UNAVAILABLE"), (504, "DEADLINE_EXCEEDED"), (408, "CANCELLED")],
)
async def test_the_service_s_own_fault_is_worth_another_try(status: int, name: str) -> None:
    async with served(error(status, "The model is overloaded.", name)) as (model, server):
        found = await model.generate(ASKED)
    assert isinstance(found, Failure)
    assert (found.outcome, found.reason, found.transient) == ("error", f"http_{status}", True)
    assert len(server.calls) == 1


async def test_an_error_inside_a_good_status_and_one_without_json_keep_their_status() -> None:
    broken = Reply(status=503, body=b'{"error": {"code"')
    async with served(sent({"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}})) as (model, server):
        inside = await model.generate(ASKED)
        server.play = broken
        torn = await model.generate(ASKED)
    assert isinstance(inside, Failure)
    assert isinstance(torn, Failure)
    assert (inside.reason, torn.reason) == ("http_503", "http_503")
    assert torn.message == '{"error": {"code"'


@pytest.mark.parametrize("body", [b"", b"5", b"[1, 2]", b'{"error": null}', b'{"error": "no"}', b"[" * 100_000])
async def test_an_error_of_any_shape_keeps_its_status(body: bytes) -> None:
    async with served(Reply(status=502, body=body)) as (model, _):
        found = await model.generate(ASKED)
    assert isinstance(found, Failure)
    assert (found.outcome, found.reason, found.transient) == ("error", "http_502", True)
    assert found.message


async def test_a_redirect_is_not_followed_with_the_key() -> None:
    async with served() as (model, server):
        server.play = Reply(status=307, headers={"Location": f"{server.url}/elsewhere"})
        found = await model.generate(ASKED)
    assert isinstance(found, Failure)
    assert (found.reason, found.transient) == ("http_307", False)
    assert [call.path for call in server.calls] == ["/v1beta/models/gemini-test:generateContent"]


STOPPING: dict[str, tuple[Reply, str]] = {
    "wrong key": (
        error(
            400,
            "API key not valid. Please pass a valid API key.",
            "INVALID_ARGUMENT",
            {"@type": f"{RPC}ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"},
        ),
        "the key in MY_KEY is not accepted",
    ),
    "unauthenticated": (
        error(401, "Request had invalid authentication credentials.", "UNAUTHENTICATED"),
        "not accepted",
    ),
    "forbidden": (error(403, "Generative Language API has not been used.", "PERMISSION_DENIED"), "not permitted"),
    "no model": (error(404, "models/gemini-test is not found for API version v1beta.", "NOT_FOUND"), "no such model"),
    "place": (
        error(400, "User location is not supported for the API use.", "FAILED_PRECONDITION"),
        "cannot be asked",
    ),
    "quota of the day": (quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier"), "the quota is gone"),
    "quota of zero": (
        quota("GenerateRequestsPerMinutePerProjectPerModel-FreeTier", message="Quota exceeded, limit: 0, model: x"),
        "the quota is gone",
    ),
    "credit": (error(429, "Your prepayment credits are depleted.", "RESOURCE_EXHAUSTED"), "the quota is gone"),
}


@pytest.mark.parametrize(("reply", "words"), STOPPING.values(), ids=STOPPING)
async def test_what_no_request_escapes_stops_the_run(reply: Reply, words: str) -> None:
    async with served(reply) as (model, server):
        with pytest.raises(HarnessError, match=words) as stopped:
            await model.generate(ASKED)
        assert len(server.calls) == 1
    assert stopped.value.remedy


async def test_a_key_that_the_service_repeats_is_taken_out() -> None:
    async with served(lambda call: error(400, f"bad {call.headers['x-goog-api-key']}")) as (model, _):
        found = await model.generate(ASKED)
    assert isinstance(found, Failure)
    assert found.message == "bad ***"
