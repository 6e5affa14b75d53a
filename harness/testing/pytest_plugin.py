"""Fixtures for tests of plugins; pytest loads this where the harness is installed, so it imports nothing before use.

    def test_my_task_is_judged(harness_host, fake_model):
        with harness_host(TASK, JUDGE):
            …

`harness.testing.conformance` has a suite per contract, `harness.testing.server` a server that plays every fault.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from harness.plugins.host import Host
    from harness.testing.fakes import FakeModel
    from harness.testing.server import ChatServer


@pytest.fixture
def fake_model() -> Callable[..., FakeModel]:
    """Makes a model that follows a script: texts, Responses, Failures, or a function of the request."""
    from harness.testing.fakes import FakeModel

    return FakeModel


@pytest.fixture
def harness_host() -> Callable[..., AbstractContextManager[Host]]:
    """Makes these descriptors the only plugins, as a context manager."""

    def hosting(*descriptors: object) -> AbstractContextManager[Host]:
        from harness.plugins.host import use
        from harness.testing.fakes import host_of

        return use(host_of(*descriptors))

    return hosting


@pytest.fixture
def chat_server() -> Generator[ChatServer]:
    """A running server of Chat Completions; set its `play` to the answer."""
    from harness.testing.server import ChatServer

    with ChatServer() as server:
        yield server
