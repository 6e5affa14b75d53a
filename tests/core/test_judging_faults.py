"""A rule that decides what it must not: the notes name its plugin and the nearest label, and say what mends it."""

from pathlib import Path
from typing import Any

import pytest

from harness.testing.fakes import fake_judge, fake_task
from tests.core.carried import Server, go, numbered, split


@pytest.mark.parametrize(
    ("label", "why"),
    [
        ("refusl", "it gave the label 'refusl', which is not one of its labels: did you mean 'refusal'?"),
        (None, "it gave the label None, which is not one of its labels: known: answer, refusal"),
        (5, "it gave the label 5, which is not one of its labels: known: answer, refusal"),
    ],
)
def test_a_misspelt_label_of_a_rule_is_told_whole_with_its_plugin_and_what_mends_it(
    tmp_path: Path, label: Any, why: str
) -> None:
    odd = fake_judge(lambda *_: label, name="odd", labels=("refusal", "answer"))
    task = fake_task(numbered(3), judges={"odd": {"refusal": "safe", "answer": "unsafe"}})
    run = go(Server(), tmp_path, odd, task=task)
    assert split(run)["verdicts"]["judge_error"] == 3
    first = run.notes[0]
    assert f"judge_error 3 ({why.partition(':')[0]})" in first
    assert "; mend plugin fakes (fakes 1.0), then run it again" in first
    (note,) = [note for note in run.notes if note.startswith("plugin fakes (fakes 1.0), read of judge 'odd': ")]
    assert f"{why} (3 times)" in note


def test_a_rule_that_raises_is_told_with_what_mends_it(tmp_path: Path) -> None:
    def decide(*_: object) -> str:
        raise ValueError("boom")

    task = fake_task(numbered(3), judges={"odd": {}})
    run = go(Server(), tmp_path, fake_judge(decide, name="odd"), task=task)
    assert "mend plugin fakes (fakes 1.0), then run it again" in run.notes[0]
