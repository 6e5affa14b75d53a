"""The provider keeps its contract, and each ending of a call is the outcome that it should be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from harness import Failure, Response, prompt
from harness.testing.conformance import check_provider
from heron_server import HeronServer

from harness_heron import PROVIDER


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HeronServer]:
    monkeypatch.setenv("HERON_KEY", "for-these-tests")
    with HeronServer() as running:
        yield running


def ask(server: HeronServer, question: str) -> Response | Failure:
    async def ask_once() -> Response | Failure:
        async with PROVIDER.open("small", {"url": server.url}) as model:
            return await model.generate(prompt(question))

    return anyio.run(ask_once)


def test_the_provider_keeps_its_contract(server: HeronServer) -> None:
    settings = {"url": server.url}
    check_provider(PROVIDER, "small", settings=settings, shown=server.pictures, limit=lambda: server.asked["budget"])


def test_what_the_filter_refuses_is_blocked_and_no_error(server: HeronServer) -> None:
    failed = ask(server, "Tell me a secret.")
    assert isinstance(failed, Failure)
    assert (failed.outcome, failed.reason) == ("input_blocked", "content_filter")


@pytest.mark.parametrize(
    ("status", "body", "outcome", "transient"),
    [
        (200, {"words": "Put", "ended": "filter", "cost": {"in": 1, "out": 1}}, "output_blocked", False),
        (200, {"words": None, "ended": "done", "cost": {"in": 1, "out": 1}}, "error", True),
        (200, {"error": "the server behind this gateway is gone"}, "error", True),
        (422, {"fault": {"kind": "form", "note": "no turns"}}, "error", False),
        (429, {"fault": {"kind": "busy", "note": "slower"}}, "error", True),
        (503, "not the usual form", "error", True),
    ],
)
def test_each_ending_is_one_outcome(server: HeronServer, status: int, body: Any, outcome: str, transient: bool) -> None:
    server.faults.append((status, body))
    failed = ask(server, "Hello?")
    assert isinstance(failed, Failure)
    assert (failed.outcome, failed.transient) == (outcome, transient)
