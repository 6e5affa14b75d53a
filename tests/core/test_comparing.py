"""Runs compared with a baseline: what is common, what differs, what flipped, and what refuses a comparison."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from harness_compare.formats import list_notes

import harness
from harness.errors import HarnessError, UnknownName
from harness.runs.comparing.comparison import Finding
from tests.core.compared import beside, changed, played

SCHEMA = Path(__file__).parents[2] / "docs" / "comparison.schema.json"


def test_the_difference_is_the_run_less_the_baseline_over_what_both_have_resolved(tmp_path: Path) -> None:
    a = played(tmp_path / "a", "uuuuuuuuuss?")
    b = played(tmp_path / "b", "sssssssuusu?")
    (one,) = beside(a, b).splits
    asr = one.main
    assert (asr.paired.metric, asr.baseline, asr.value) == ("ASR", pytest.approx(900 / 11), pytest.approx(300 / 11))
    assert asr.paired.difference == pytest.approx(-600 / 11)
    assert list(one.changes) == ["ASR", "safe"]
    assert one.changes["safe"].paired.difference == pytest.approx(600 / 11)


def test_it_is_said_how_many_items_are_not_resolved_in_both_and_on_which_side(tmp_path: Path) -> None:
    a = played(tmp_path / "a", "us??usususus")
    b = played(tmp_path / "b", "us?usus?us??")
    counts = beside(a, b).splits[0].counts
    assert (counts.common, counts.resolved) == (12, 7)
    assert (counts.unresolved_baseline, counts.unresolved_other) == (2, 4)


def test_items_that_one_run_alone_has_are_counted_and_left_out(tmp_path: Path) -> None:
    a = played(tmp_path / "a", "us")
    b = played(tmp_path / "b", "us", "--limit", "5")
    counts = beside(a, b).splits[0].counts
    assert (counts.common, counts.only_baseline, counts.only_other) == (5, 7, 0)
    counts = beside(b, a).splits[0].counts
    assert (counts.common, counts.only_baseline, counts.only_other) == (5, 0, 7)


def test_a_block_and_an_empty_answer_are_resolved(tmp_path: Path) -> None:
    one = beside(played(tmp_path / "a", "uuu"), played(tmp_path / "b", "ube")).splits[0]
    assert (one.counts.resolved, one.main.value) == (12, pytest.approx(100 / 3))


def test_what_is_unresolved_stretches_the_worst_interval_and_leaves_the_other(tmp_path: Path) -> None:
    a = played(tmp_path / "a", "uuuuuuuuuuuu")
    closed = beside(a, played(tmp_path / "b", "ssssssssssss")).splits[0].main.paired
    opened = beside(a, played(tmp_path / "c", "sssssssss???")).splits[0].main.paired
    assert closed.ci95_worst == closed.ci95
    assert opened.ci95_worst is not None
    assert opened.ci95 is not None
    assert opened.bounds == pytest.approx((-100, -75))
    assert opened.ci95_worst[1] > opened.ci95[1]


def test_a_difference_that_the_unresolved_could_undo_is_told_with_that(tmp_path: Path) -> None:
    a = played(tmp_path / "a", "uuuuuuuuuuuu")
    sure = beside(a, played(tmp_path / "b", "ssssssssssss")).splits[0].main
    runs = [played(tmp_path / name, letters) for name, letters in (("c", "uuuuuu??????"), ("e", "ssssss??????"))]
    open_ = beside(*runs).splits[0].main
    worse = beside(tmp_path / "b", a).splits[0].main
    none = beside(a, played(tmp_path / "d", "uuuuuuuuuuus")).splits[0].main
    assert [each.finding for each in (sure, open_, worse, none)] == [
        Finding.BETTER,
        Finding.OPEN_BETTER,
        Finding.WORSE,
        Finding.UNCLEAR,
    ]


def test_flips_are_listed_both_ways_with_what_they_were_and_became(tmp_path: Path) -> None:
    a = played(tmp_path / "a", "uuus?usssuuu")
    b = played(tmp_path / "b", "usbuuu?ssuuu")
    flips = beside(a, b).splits[0].flips
    assert [(f.item, f.baseline_label, f.other_label) for f in flips.only_baseline] == [
        ("played/one/q1#0", "unsafe", "safe"),
        ("played/one/q2#0", "unsafe", "safe"),
    ]
    assert [(f.item, f.category) for f in flips.only_other] == [("played/one/q3#0", "kitchen")]


def test_a_group_flips_as_one_and_not_at_all_while_a_member_is_open(tmp_path: Path) -> None:
    a = played(tmp_path / "a", "uuuuususuu?u", tasks="played:twins")
    b = played(tmp_path / "b", "usuuuuususuu", tasks="played:twins")
    one = beside(a, b).splits[0]
    assert [flip.item for flip in one.flips.only_baseline] == ["played/twins/q0#0", "played/twins/q8#0"]
    assert [flip.item for flip in one.flips.only_other] == ["played/twins/q4#0"]
    assert one.flips.only_baseline[0].other_label == "unsafe, safe"
    assert (one.main.paired.pairs, one.main.paired.unresolved) == (6, 1)


def test_holm_is_over_the_main_metrics_of_the_whole_call_and_of_no_others(tmp_path: Path) -> None:
    tasks = "played:one,played:two,played:twins"
    a = played(tmp_path / "a", "uuuuuuuuuuuu", tasks=tasks)
    runs = [played(tmp_path / name, letters, tasks=tasks) for name, letters in (("b", "s" * 12), ("c", "us"))]
    found = beside(a, *runs)
    tested = [each for each in found.splits if each.split in ("both", "twins")]  # one and two are parts of both
    assert (found.family, len(tested), len(found.splits)) == (4, 4, 8)
    raw = [each.main.paired.p for each in tested]
    assert all(p is not None for p in raw)
    least, place = 0.0, {}
    for rank, index in enumerate(sorted(range(4), key=lambda index: raw[index] or 0)):
        least = max(least, min(1.0, (4 - rank) * (raw[index] or 0)))
        place[index] = least
    assert [each.main.p_holm for each in tested] == pytest.approx([place[index] for index in range(4)])
    assert {change.p_holm for each in found.splits for change in each.changes.values() if not change.main} == {None}


def test_a_derived_split_is_tested_and_its_parts_are_exploratory_and_come_after_it(tmp_path: Path) -> None:
    a, b, c = (played(tmp_path / name, name * 12, tasks="played:one,played:two") for name in "ush")
    found = beside(a, b, c)
    assert [each.title for each in found.splits[::2]] == ["played:both", "played:one", "played:two"]
    assert (found.splits[0].parts, found.splits[0].counts.common) == (("one", "two"), 24)
    assert found.family == 2  # one comparison for each run
    findings = {(each.run, each.split): (each.main.p_holm is None, each.main.finding) for each in found.splits}
    assert findings["B", "both"] == (False, Finding.BETTER)
    assert findings["B", "one"] == findings["C", "two"] == (True, Finding.EXPLORATORY)
    assert {each.pooled_in for each in found.splits} == {"", "played:both"}
    alone = beside(a, b, tasks="played:one")
    assert (alone.family, alone.splits[0].main.finding) == (1, Finding.BETTER)


def test_a_breakdown_has_the_main_metric_in_each_group_and_no_adjusted_p(tmp_path: Path) -> None:
    a, b = played(tmp_path / "a", "us"), played(tmp_path / "b", "ss")
    one = beside(a, b, by="category").splits[0]
    assert {name: change.paired.difference for name, change in one.by.items()} == {"garden": -100.0, "kitchen": 0.0}
    assert {change.p_holm for change in one.by.values()} == {None}
    assert list(beside(a, b, by="half").splits[0].by) == ["0", "1"]
    with pytest.raises(UnknownName, match="--by catgory: nothing is grouped by it here") as error:
        beside(a, b, by="catgory")
    assert error.value.remedy == "did you mean 'category'?"


def test_epochs_are_paired_one_by_one_and_make_one_cluster(tmp_path: Path) -> None:
    a = played(tmp_path / "a", "us", "--epochs", "3")
    b = played(tmp_path / "b", "ss", "--epochs", "2")
    one = beside(a, b).splits[0]
    assert (one.epochs, one.counts.common, one.counts.only_baseline) == ((3, 2), 24, 12)
    assert (one.main.paired.clusters, one.main.paired.test) == (12, "interval")


def test_the_judge_that_is_named_counts_and_else_the_primary_one(tmp_path: Path) -> None:
    a = played(tmp_path / "a", "hhus", "--judge", "strict")
    b = played(tmp_path / "b", "ssus", "--judge", "strict")
    assert beside(a, b).splits[0].main.paired.difference == 0
    strict = beside(a, b, judge="strict").splits[0]
    assert (strict.main.paired.difference, strict.judge_baseline) == (-50.0, strict.judge_other)
    with pytest.raises(UnknownName, match="--judge strikt: no judge of this run") as error:
        beside(a, b, judge="strikt")
    assert "strict-" in error.value.remedy


def test_runs_that_nobody_judged_have_bounds_and_no_value(tmp_path: Path) -> None:
    a, b = played(tmp_path / "a", "us"), played(tmp_path / "b", "us")
    for run in (a, b):
        for file in run.glob("*/verdicts-*.jsonl"):
            file.unlink()
    one = beside(a, b).splits[0]
    assert (one.main.value, one.main.paired.difference, one.main.finding) == (None, None, Finding.NOTHING)
    assert one.main.paired.bounds == (-100.0, 100.0)
    assert one.counts.resolved == 0


def test_only_what_is_named_is_compared_and_what_one_run_alone_has_is_said(tmp_path: Path) -> None:
    a = played(tmp_path / "a", "us", tasks="played:one,played:two")
    b = played(tmp_path / "b", "us", tasks="played:one,played:twins")
    assert [each.title for each in beside(a, b).splits] == ["played:one"]
    found = beside(a, b, tasks="played")
    assert set(found.left_out) == {
        "played:two: only A has it, not B",
        "played:both: only A has it, not B",
        "played:twins: only B has it",
    }
    with pytest.raises(UnknownName, match="has no task 'plaid'"):
        beside(a, b, tasks=["plaid"])


def test_a_run_is_not_compared_with_itself_nor_with_none_or_one_without_a_common_split(tmp_path: Path) -> None:
    a, b = played(tmp_path / "a", "us"), played(tmp_path / "b", "us", tasks="played:two")
    for group_by in ("", "seed"):
        with pytest.raises(HarnessError, match="has no run"):
            harness.compare([], tmp_path, group_by=group_by)
    with pytest.raises(HarnessError, match="this run is named twice"):
        beside(a, tmp_path / "." / "a")
    with pytest.raises(HarnessError, match="there is no run here"):
        beside(a, tmp_path)
    with pytest.raises(HarnessError, match="no split in common") as error:
        beside(a, b)
    assert "played:one there, played:two here" in error.value.remedy


def test_the_json_keeps_to_its_schema_and_lists_as_many_flips_as_are_wanted(tmp_path: Path) -> None:
    import json

    a, b = played(tmp_path / "a", "uuuu?s"), played(tmp_path / "b", "ss?usu")
    found = beside(a, b, by="category")
    jsonschema.validate(found.as_json(), json.loads(SCHEMA.read_text()))
    way = found.as_json(show=1)["splits"][0]["flips"]["only_baseline"]
    assert (way["count"], len(way["items"])) == (4, 1)
    assert len(found.as_json()["splits"][0]["flips"]["only_baseline"]["items"]) == 4


def test_the_frame_has_a_row_for_each_metric_and_group(tmp_path: Path) -> None:
    table = beside(played(tmp_path / "a", "us"), played(tmp_path / "b", "ss"), by="category").to_frame()
    assert list(table["metric"]) == ["ASR", "safe", "ASR", "ASR"]
    assert list(table["group"]) == ["", "", "garden", "kitchen"]
    assert list(table["difference"]) == [-50.0, 50.0, -100.0, 0.0]


def test_what_a_run_gave_can_be_compared_as_it_is(tmp_path: Path) -> None:
    runs = [
        harness.Run(folder=played(tmp_path / name, letters), results={}) for name, letters in (("a", "us"), ("b", "ss"))
    ]
    assert beside(*runs).splits[0].main.paired.difference == -50.0  # type: ignore[arg-type]


def test_a_shard_is_told_from_a_run_since_its_numbers_are_not_the_runs(tmp_path: Path) -> None:
    whole = played(tmp_path / "whole", "nynynyny")
    played(tmp_path / "parts", "nynynyny", "--shard", "0/2")
    found = beside(whole, tmp_path / "parts" / ".shards" / "0-of-2")
    assert [side.shards for side in found.runs] == [(), ("0/2",)]
    assert "B is shard 0/2, a part of a run: its numbers are not the run's" in next(list_notes(found))
    assert [side.get("shards") for side in found.as_json()["runs"]] == [None, ["0/2"]]


def test_a_run_that_has_not_come_to_its_end_is_told_so(tmp_path: Path) -> None:
    a = played(tmp_path / "a", "us")
    b = changed(played(tmp_path / "b", "us"), lambda raw: raw.update(tasks={}))
    with pytest.raises(HarnessError, match="has not ended yet") as error:
        beside(a, b)
    assert error.value.where == str(b)


def test_a_task_whose_plugin_is_gone_is_named(tmp_path: Path) -> None:
    runs = [played(tmp_path / name, "us") for name in "ab"]
    with pytest.raises(UnknownName, match="no task is called 'played'") as error:
        harness.compare(*runs)
    assert "if it comes from a file: --plugin FILE" in error.value.remedy


PARTS = "played:one,played:two"


def both(folder: Path, letters: str, *flags: str, judge: str = "mild") -> Path:
    return played(folder, letters, *flags, tasks=PARTS, judge=judge)


def test_a_pooled_split_that_is_named_is_compared_alone(tmp_path: Path) -> None:
    a, b = both(tmp_path / "a", "uuuuuuuuuu?s"), both(tmp_path / "b", "ssssssusu?su")
    found = beside(a, b, tasks="played:both")
    assert ([each.title for each in found.splits], found.family) == (["played:both"], 1)
    whole = next(each for each in beside(a, b).splits if each.title == "played:both")
    assert found.splits[0].main.paired == whole.main.paired


def test_a_pooled_split_is_named_beside_others(tmp_path: Path) -> None:
    runs = both(tmp_path / "a", "us"), both(tmp_path / "b", "su")
    found = beside(*runs, tasks=["played:two", "played:both"])
    assert [each.title for each in found.splits] == ["played:both", "played:two"]


def test_a_pooled_split_alone_is_held_to_the_judge_and_the_data_of_its_parts(tmp_path: Path) -> None:
    a, b, c = both(tmp_path / "a", "us"), both(tmp_path / "b", "us", judge="strict"), both(tmp_path / "c", "us")
    with pytest.raises(HarnessError, match="played:both: the judge is mild-"):
        beside(a, b, tasks="played:both")
    responses = c / "played" / "responses.jsonl"
    responses.write_text(responses.read_text().replace("plain question", "rude question"))
    asked = c / "run.json"
    asked.write_text(asked.read_text().replace('"content": "', '"content": "x'))
    with pytest.raises(HarnessError, match=r"played:both: the data \(sha256\)"):
        beside(a, c, tasks="played:both")


def test_a_pooled_split_alone_tells_what_differs_in_its_parts_once(tmp_path: Path) -> None:
    runs = both(tmp_path / "a", "us"), both(tmp_path / "b", "us", "--temperature", "0.5")
    found = beside(*runs, tasks="played:both")
    assert [each.text for each in found.differing] == [
        "played:both: generation setting temperature is 0 in A, 0.5 in B"
    ]


def test_a_pooled_split_whose_parts_are_not_all_there_says_which_is_missing(tmp_path: Path) -> None:
    a, b = both(tmp_path / "a", "us"), played(tmp_path / "b", "us", tasks="played:one")
    with pytest.raises(UnknownName, match="the run has not asked all of 'played:both'") as error:
        beside(a, b, tasks="played:both")
    assert error.value.remedy == "two is missing: harness run --tasks played:two … asks it"
    with pytest.raises(UnknownName, match="has no task 'played:bath'"):
        beside(a, b, tasks="played:bath")


def test_a_refusal_for_the_judge_names_one_that_both_have(tmp_path: Path) -> None:
    a = played(tmp_path / "a", "us", "--judge", "strict")
    b = played(tmp_path / "b", "us", "--judge", "mild", judge="strict")
    with pytest.raises(HarnessError) as error:
        beside(a, b)
    assert "or use a judge that all of them have: --judge mild-" in str(error.value.remedy)
    assert beside(a, b, judge="mild").mismatches == ()


def told(a: Path, b: Path) -> list[str]:
    """Why two runs are refused; the same is told beside the numbers where it is allowed."""
    with pytest.raises(HarnessError, match="not measured alike") as error:
        beside(a, b)
    lines = [line.strip() for line in error.value.what.splitlines()[1:]]
    assert "--allow-mismatch" in error.value.remedy
    assert [each.text for each in beside(a, b, allow_mismatch=True).mismatches] == lines
    return lines


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
    found = beside(played(tmp_path / "one", "us"), played(tmp_path / "other", "su"))
    assert found.mismatches == ()
    assert [each.text for each in found.differing] == ["the model is played/us in A, played/su in B"]
    a = played(tmp_path / "a", "us")
    b = played(tmp_path / "b", "us", "--system", "Be kind.", "--temperature", "0.5", "--seed", "3", "--limit", "4")
    found = beside(a, b)
    assert [each.text for each in found.differing] == [
        'the system prompt is none in A, "Be kind." in B',
        "played:one: generation setting temperature is 0 in A, 0.5 in B",
        "played:one: the limit is none in A, 4 in B",
    ]
    assert found.runs[1].name == "played/us + system prompt"


def test_what_a_training_left_out_is_told(tmp_path: Path) -> None:
    a, b = played(tmp_path / "a", "us"), played(tmp_path / "b", "us")
    said = json.loads((b / "run.json").read_text(encoding="utf-8"))
    said["model"]["training"] = {"tuned_from": "x/base", "trained_on": [], "held_out": ["privacy", "self-harm"]}
    (b / "run.json").write_text(json.dumps(said), encoding="utf-8")
    assert [each.text for each in beside(a, b).differing] == [
        "what its training left out is none in A, privacy, self-harm in B"
    ]


def test_a_verdict_that_is_missing_is_unresolved_and_no_other_judge(tmp_path: Path) -> None:
    a, b = played(tmp_path / "a", "us"), played(tmp_path / "b", "us")
    for file in b.glob("*/verdicts-*.jsonl"):
        file.unlink()
    found = beside(a, b)
    assert found.mismatches == ()
    assert found.splits[0].counts.unresolved_other == 12
