"""`harness data` of open sets, which answer any name, and of packaged splits, which need no folder."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cli import main
from harness.data.provenance import FILE

Run = Callable[..., tuple[int, str, str]]
OPEN = """
from collections.abc import Mapping
from harness import hookimpl, MissingData
from harness.contracts import DataSource
from harness.testing.fakes import fake_sample, fake_task
from dataclasses import replace

class Any(Mapping):
    def __init__(self, one): self.one = one
    def __getitem__(self, name): return self.one
    def __iter__(self): return iter(())
    def __len__(self): return 0

def samples(root, split, settings):
    if not (root / split).exists():
        raise MissingData(f"{split} is not there")
    yield fake_sample("1", split=split)

@hookimpl
def harness_tasks():
    task = fake_task(name="anything")
    one = replace(next(iter(task.splits.values())), n=None, data=None)
    return [replace(task, splits=Any(one), samples=samples, source=DataSource(url="https://example.org"))]
"""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command line with a plugin that offers an open set: exit code, stdout, stderr."""
    monkeypatch.delenv("HARNESS_DATA", raising=False)
    (tmp_path / "open.py").write_text(OPEN)

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        where = ("--plugin", str(tmp_path / "open.py"), "--data", str(tmp_path))
        with pytest.raises(SystemExit) as ended:
            main([*map(str, arguments), *where])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def test_a_split_of_an_open_set_is_verified_by_its_name(tmp_path: Path, run: Run) -> None:
    (tmp_path / "anything").mkdir()
    (tmp_path / "anything" / "mine").touch()
    code, out, err = run("data", "verify", "anything:mine")
    assert (code, err) == (0, "reading anything:mine\n")
    assert "mine   1        ?" in out
    code, out, _ = run("data", "verify", "anything:yours")
    assert (code, "yours is not there" in out) == (2, True)


def test_a_set_that_lists_no_split_is_not_called_missing(run: Run) -> None:
    _, out, _ = run("data", "list")
    assert next(line.split()[-2:] for line in out.splitlines() if line.startswith("anything ")) == [
        "name:",
        "anything:NAME",
    ]


def test_a_packaged_split_is_whole_whatever_became_of_a_fetch(tmp_path: Path, run: Run) -> None:
    root = tmp_path / "mmstar"
    root.mkdir()
    coming = {"kind": "url", "name": "https://example.org/MMStar.tsv", "revision": "", "files": {"MMStar.tsv": None}}
    about = {"schema": "harness.source/1", "task": "mmstar", "licence": "", "parts": [], "coming": [coming]}
    (root / FILE).write_text(json.dumps(about))
    code, out, _ = run("data", "verify", "mmstar:mini")
    assert (code, "did not end" in out) == (0, False)
    code, out, _ = run("data", "verify", "mmstar")
    assert (code, "did not end" in out) == (2, True)
    assert FILE not in out  # it says where records came from and is none of them
