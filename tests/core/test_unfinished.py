"""What lies in the folder of a training that has not ended is no model, wherever it is opened from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import HarnessError
from harness.fingerprint import of_folder
from harness.local import find
from harness.unfinished import MARK, mark, refuse_unfinished


def model(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}), encoding="utf-8")
    return folder


def ways(folder: Path) -> tuple[Callable[[], object], ...]:
    """All that open a folder as a model."""
    return (
        lambda: refuse_unfinished(folder),
        lambda: of_folder(folder),
        lambda: find(str(folder), None, scheme="hf"),
        lambda: find(str(folder), None, scheme="vllm", adapter="lora"),
    )


def refused(folder: Path) -> bool:
    """Whether every way refuses it, or none does."""
    answers = {_refused(way) for way in ways(folder)}
    assert len(answers) == 1
    return answers.pop()


def _refused(way: Callable[[], object]) -> bool:
    try:
        way()
    except HarnessError as error:
        return "has not ended" in error.what and "harness train" in error.remedy
    return False


def test_a_model_that_stands_by_itself_is_taken(tmp_path: Path) -> None:
    assert not refused(model(tmp_path / "m"))


def test_what_lies_below_a_mark_is_refused_however_deep(tmp_path: Path) -> None:
    mark(tmp_path / "out.partial")
    assert refused(model(tmp_path / "out.partial" / "checkpoints" / "checkpoint-2"))
    assert not refused(model(tmp_path / "out"))


def test_a_link_to_it_and_a_path_with_detours_are_refused_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark(tmp_path / "out.partial")
    inside = model(tmp_path / "out.partial" / "model")
    (tmp_path / "link").symlink_to(inside)
    assert refused(tmp_path / "link")
    monkeypatch.chdir(inside)
    assert refused(Path())


def test_a_checkpoint_stays_refused_where_it_was_copied_to(tmp_path: Path) -> None:
    checkpoint = model(tmp_path / "out.partial" / "checkpoint-2")
    mark(checkpoint)
    assert refused(shutil.copytree(checkpoint, tmp_path / "mine"))
    assert not [name for name in of_folder(model(tmp_path / "other")) if name == MARK]


def test_the_folder_itself_says_why_it_is_none(tmp_path: Path) -> None:
    mark(tmp_path / "out.partial")
    with pytest.raises(HarnessError, match="has not ended"):
        find(str(tmp_path / "out.partial"), None, scheme="vllm", adapter="lora")
