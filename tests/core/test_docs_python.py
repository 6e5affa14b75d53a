"""The page on Python is run as it stands, block after block, on the model that comes along."""

import re
from pathlib import Path

import pytest

import harness

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_every_block_of_the_page_runs_in_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_DATA", raising=False)
    names: dict[str, object] = {}
    for number, block in enumerate(BLOCKS, 1):
        exec(compile(block, f"docs/python.md, block {number}", "exec"), names)
    told = capsys.readouterr().out
    assert "runs/mini-base" in told
    assert "ASR 100.0%" in told
    assert "did you mean" in told or "known:" in told
    (run, careful) = (names["run"], names["careful"])
    assert isinstance(run, harness.Run)
    assert isinstance(careful, harness.Run)
    assert run.exit_code == careful.exit_code == 0


def test_the_page_shows_what_it_promises() -> None:
    assert len(BLOCKS) == PAGE.count("```python") >= 6
    for name in ("harness.run(", "harness.run_async(", "run.to_frame()", "harness.HarnessError"):
        assert name in PAGE
