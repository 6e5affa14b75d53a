"""Fixtures that several test files use."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from harness.testing.installed import install
from tests.core.fetched import Bench, shapes_published
from tests.core.published import Published
from tests.core.sites import GOOD, Install


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a distribution of one module, whose entry point has the distribution's name."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("HARNESS_PLUGINS_ALLOW", raising=False)
    monkeypatch.delenv("HARNESS_PLUGINS_BLOCK", raising=False)
    before = set(sys.modules)

    def add(name: str, source: str, *, entries: Mapping[str, str] | None = None, version: str = "1.0") -> None:
        module = f"installed_{tmp_path.name.replace('-', '_')}_{name.replace('-', '_')}"
        before.discard(module)
        install(
            tmp_path,
            name,
            entries={entry: value.replace("MODULE", module) for entry, value in (entries or {name: "MODULE"}).items()},
            modules={module: source},
            version=version,
        )

    add("good", GOOD.replace("NAME", "good"))
    return add


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Published]:
    """Stand-ins of the places data is published in, with a small set on the hub."""
    with shapes_published(monkeypatch, tmp_path) as place:
        yield place


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Fetches into a root of its own."""
    return Bench(tmp_path / "data" / "shapes")
