"""What refuses a comparison, one thing at a time, and what is only told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError
from tests.core.compared import beside, changed, played


def told(a: Path, b: Path) -> list[str]:
    """Why two runs are refused; the same is told beside the numbers where it is allowed."""
    with pytest.raises(HarnessError, match="not measured alike") as error:
        beside(a, b)
    lines = [line.strip() for line in error.value.what.splitlines()[1:]]
    assert "--allow-mismatch" in error.value.remedy
    assert [each.told for each in beside(a, b, allow_mismatch=True).mismatches] == lines
    return lines


def test_runs_that_were_measured_alike_have_no_mismatch(tmp_path: Path) -> None:
    assert beside(played(tmp_path / "a", "us"), played(tmp_path / "b", "su")).mismatches == ()


def entry(raw: Any) -> Any:
    return raw["tasks"]["played"]["splits"]["one"]


def version(raw: Any) -> None:
    raw["tasks"]["played"]["version"] = "2"


def content(raw: Any) -> None:
    entry(raw)["content"] = "f" * 64


def wording(raw: Any) -> None:
    entry(raw).update(fidelity="own", template_hash="0123456789abcdef")


@pytest.mark.parametrize(
    ("change", "file", "line"),
    [
        (version, "run.json", "played:one: the task version is 1 in A, 2 in B"),
        (content, "run.json", r"played:one: the data (sha256) is"),
        (wording, "results.json", "played:one: the wording of the input is none in A, own 01234567 in B"),
    ],
)
def test_what_makes_another_measure_refuses(
    tmp_path: Path, change: Callable[[Any], None], file: str, line: str
) -> None:
    a, b = played(tmp_path / "a", "us"), played(tmp_path / "b", "su")
    (found,) = told(a, changed(b, change, file))
    assert found.startswith(line)


def test_two_data_revisions_refuse(tmp_path: Path) -> None:
    def revised(number: str) -> Callable[[Any], None]:
        def change(raw: Any) -> None:
            entry(raw)["packaged"] = False
            raw["tasks"]["played"]["data"]["revision"] = number

        return change

    runs = [changed(played(tmp_path / name, "us"), revised(number)) for name, number in (("a", "v1"), ("b", "v2"))]
    assert told(*runs) == ["played:one: the data revision is v1 in A, v2 in B"]


def test_other_settings_of_the_task_refuse(tmp_path: Path) -> None:
    a = played(tmp_path / "a", "us")
    b = played(tmp_path / "b", "us", "-T", "played.tone=rude")
    lines = told(a, b)
    assert lines[0] == "played:one: the task with its settings is played in A, played+tone=rude in B"
    assert lines[1].startswith("played:one: the data (sha256) is")
    (one,) = beside(a, b, allow_mismatch=True).splits
    assert (one.counts.common, one.main.paired.pairs) == (12, 12)


def test_another_judge_refuses(tmp_path: Path) -> None:
    a, b = played(tmp_path / "a", "us"), played(tmp_path / "b", "us", judge="strict")
    (line,) = told(a, b)
    assert line.startswith("played:one: the judge is mild-")
    assert " in A, strict-" in line


def test_another_snapshot_behind_the_judge_refuses(tmp_path: Path) -> None:
    def behind(name: str) -> Callable[[Any], None]:
        def change(raw: Any) -> None:
            for card in raw["judges"].values():
                card["resolved"] = [name]

        return change

    runs = [changed(played(tmp_path / name, "us"), behind(f"{name}-2026"), "results.json") for name in "ab"]
    assert told(*runs) == ["played:one: the snapshot behind the judge is a-2026 in A, b-2026 in B"]


def test_a_part_of_the_same_data_is_alike_and_a_part_of_other_data_is_not(tmp_path: Path) -> None:
    a = played(tmp_path / "a", "us")
    b = played(tmp_path / "b", "us", "--limit", "4")
    assert beside(a, b).mismatches == ()
    responses = b / "played" / "responses.jsonl"
    responses.write_text(responses.read_text().replace("plain question", "rude question"))
    assert told(a, b) == ["played:one: what was asked is one thing on 4 common items in A, another in B"]


def test_what_belongs_to_the_model_and_its_sampling_is_told_and_not_refused(tmp_path: Path) -> None:
    a = played(tmp_path / "a", "us")
    b = played(tmp_path / "b", "us", "--system", "Be kind.", "--temperature", "0.5", "--seed", "3", "--limit", "4")
    found = beside(a, b)
    assert [each.told for each in found.differing] == [
        'the system prompt is none in A, "Be kind." in B',
        "played:one: generation setting temperature is 0 in A, 0.5 in B",
        "played:one: the limit is none in A, 4 in B",
    ]
    assert found.runs[1].name == "played/us + system prompt"


def test_the_model_is_told_where_it_differs(tmp_path: Path) -> None:
    found = beside(played(tmp_path / "a", "us"), played(tmp_path / "b", "su"))
    assert [each.told for each in found.differing] == ["the model is played/us in A, played/su in B"]


def test_what_a_training_left_out_is_told(tmp_path: Path) -> None:
    a, b = played(tmp_path / "a", "us"), played(tmp_path / "b", "us")
    said = json.loads((b / "run.json").read_text(encoding="utf-8"))
    said["model"]["training"] = {"tuned_from": "x/base", "trained_on": [], "held_out": ["privacy", "self-harm"]}
    (b / "run.json").write_text(json.dumps(said), encoding="utf-8")
    assert [each.told for each in beside(a, b).differing] == [
        "what its training left out is none in A, privacy, self-harm in B"
    ]


def test_a_verdict_that_is_missing_is_unresolved_and_no_other_judge(tmp_path: Path) -> None:
    a, b = played(tmp_path / "a", "us"), played(tmp_path / "b", "us")
    for file in b.glob("*/verdicts-*.jsonl"):
        file.unlink()
    found = beside(a, b)
    assert found.mismatches == ()
    assert found.splits[0].counts.unresolved_other == 12
