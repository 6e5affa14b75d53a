"""A real model in two processes: the same answers as in one, also when one of them is killed in the middle."""

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

import harness
from harness.progress.lines import SilentProgress

MODEL = "mini/base"
ANSWERS = 25  #: after which one of the two is killed


class Killing(SilentProgress):
    """Kills the first replica when so many samples are answered."""

    def __init__(self) -> None:
        self._left = ANSWERS
        self.told: list[str] = []

    def note(self, text: str) -> None:
        self.told.append(text)

    def answered(self, *_: Any, **__: Any) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(replicas(1)[0].pid, signal.SIGKILL)


def replicas(number: int | str = "") -> list[psutil.Process]:
    """Replicas that live: all, or the one of that number."""
    return [child for child in psutil.Process().children() if f"{MODEL} replica {number}" in child.cmdline()[-1]]


def answers(folder: Path) -> Mapping[str, Any]:
    """Text and key of each answer, by sample; every one of them is there."""
    lines = [json.loads(line) for line in (folder / "mis" / "responses.jsonl").read_text("utf-8").splitlines()]
    assert {line["outcome"] for line in lines} == {"answered"}
    return {line["id"]: (line["text"], line["key"]) for line in lines}


def test_two_replicas_of_which_one_is_killed_answer_as_one_process_does(tmp_path: Path) -> None:
    one = harness.run(MODEL, "mis:mini", output=tmp_path / "one")
    killing = Killing()
    two = harness.run(MODEL, "mis:mini", output=tmp_path / "two", model_settings={"replicas": 2}, progress=killing)
    assert answers(tmp_path / "one") == answers(tmp_path / "two")
    assert one.results["tasks"] == two.results["tasks"]
    assert one.results["model"]["identity"] == two.results["model"]["identity"]
    [note] = [note for note in two.notes if "replica 1 (CPU)" in note]
    assert "was killed by SIGKILL" in note
    assert killing.told == [note]
    assert replicas() == []
