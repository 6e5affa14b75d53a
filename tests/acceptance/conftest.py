"""Each test works in a folder of its own and knows no key, no config and no data of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.batches import queue as queues
from harness.testing.server import ChatServer
from tests.acceptance.commands import foreign, home
from tests.acceptance.world import World


@pytest.fixture(scope="module", autouse=True)
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An environment without our variables, for commands that a module's fixtures run."""
    with pytest.MonkeyPatch.context() as patch:
        for name in foreign():
            patch.delenv(name)
        for name, folder in home(tmp_path_factory.mktemp("home")).items():
            patch.setenv(name, folder)
        yield


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stranger: None) -> None:
    """An empty folder as working directory and home."""
    for name, folder in home(tmp_path).items():
        monkeypatch.setenv(name, folder)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A server and a place for data and runs."""
    with ChatServer() as server:
        yield World(tmp_path, server)


@pytest.fixture
def quick_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for what a provider may need some seconds for."""
    monkeypatch.setattr(queues, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(queues, "FIRST_SECONDS", 0.02)
