"""Results in the files of VLMEvalKit and lm-eval; the real ones read them in tests/zoos/test_zoo_reports.py."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from harness_vlmeval.known import KNOWN
from harness_zoos import lm_eval_files, vlmevalkit_files
from harness_zoos.layouts import SETS

from harness.testing.results import Body, judged, results, split
from tests import golden

JUDGE = "mis-openai-judge-1f3a9c2e"
OTHER = "keyword-00000002"
HOSTILE = ["../../up", "..", "=1+1", "a\x1b[2J\u202e\ud800", "x/" + "y" * 300, "/abs/olute", "con:nul", "字" * 150]


def run(ref: str = "openai/NAME", unsafe: int = 803, failed: int = 3, **changes: Any) -> Body:
    finding = judged({"unsafe": unsafe, "safe": 997 - unsafe}, main="unsafe", judge_error=failed)
    other = {OTHER: judged({"unsafe": 100, "safe": 900}, main="unsafe")}
    body = split(finding, judge=JUDGE, blocked=4, n_expected=1675, fidelity="own", other_judges=other)
    return results(ref, {"mis": {"easy": body, "test": {**body, "other_judges": {}, "parts": ["easy"]}}}, **changes)


def choices(right: int = 30, task: str = "mmstar", name: str = "val") -> Body:
    finding = judged({"accuracy": right, "wrong": 40 - right}, main="accuracy", better="higher")
    return results("hf/NAME", {task: {name: split(finding, judge="vlmeval-00000003")}})


def parsed(files: Any, name: str) -> Any:
    return json.loads(files[name])


def lines(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode())))


def test_vlmevalkits_files_are_as_they_were_read() -> None:
    files = vlmevalkit_files([run(), choices()])
    golden.check("vlmevalkit.txt", "".join(f"== {name}\n{files[name].decode()}" for name in sorted(files)))


def test_lm_evals_files_are_as_they_were_read() -> None:
    files = lm_eval_files([run()])
    golden.check("lm_eval.txt", "".join(f"== {name}\n{files[name].decode()}" for name in sorted(files)))


def test_each_split_has_a_score_file_with_values_in_their_own_unit() -> None:
    scores = parsed(vlmevalkit_files([run()]), "openai-NAME/openai-NAME_mis_easy_score.json")
    assert scores["Overall"] == scores["unsafe"] == 100 * 803 / 997


def test_what_a_number_is_not_of_stands_beside_it_in_every_file() -> None:
    files = vlmevalkit_files([run()])
    expected = {"n": 1000, "records": 1000, "coverage": 0.997, "blocked": 4, "errors": 0, "unresolved": 3}
    stem = "openai-NAME/openai-NAME_mis_easy_score"
    assert expected.items() <= parsed(files, f"{stem}.json").items()
    head, line = lines(files[f"{stem}.csv"])
    assert dict(zip(head, line, strict=True))["unresolved"] == "3"
    status = parsed(files, "openai-NAME/status.json")["datasets"]["mis_easy"]
    assert expected.items() <= status["metrics"].items()
    (theirs,) = lm_eval_files([run()]).values()
    easy = json.loads(theirs)["results"]["mis:easy"]
    assert {f"{name},none": value for name, value in expected.items()}.items() <= easy.items()


def test_what_must_be_held_against_a_number_is_said_in_both() -> None:
    body = {**run(), "bare": True}
    assert parsed(vlmevalkit_files([body]), "openai-NAME/openai-NAME_mis_easy_score.json")["flags"] == "unverifiable"
    (made,) = lm_eval_files([body]).values()
    assert json.loads(made)["configs"]["mis:easy"]["metadata"]["flags"] == "unverifiable"


def test_another_judge_has_a_file_with_its_name_and_a_filter_of_its_own() -> None:
    assert parsed(vlmevalkit_files([run()]), f"openai-NAME/openai-NAME_mis_easy_{OTHER}_score.json")["unsafe"] == 10.0
    (theirs,) = lm_eval_files([run()]).values()
    easy = json.loads(theirs)["results"]["mis:easy"]
    assert (easy["unsafe,none"], easy[f"unsafe,{OTHER}"]) == (803 / 997, 0.1)


def test_a_multiple_choice_set_has_vlmevalkits_table_in_shares_of_one() -> None:
    files = vlmevalkit_files([choices()])
    head, line = lines(files["hf-NAME/hf-NAME_MMStar_acc.csv"])
    assert (head[:4], line[:4]) == (["split", "Overall", "drawn", "n"], ["none", "0.75", "0.75", "40"])
    assert parsed(files, "hf-NAME/hf-NAME_MMStar_score.json")["accuracy"] == 75.0
    assert not any("acc.csv" in name for name in vlmevalkit_files([run()]))


def test_a_set_of_vlmevalkits_has_its_name_there() -> None:
    whole = [each for each in KNOWN if not each.pooled]
    parts = {f"{each.name}:{name}": part.dataset for each in whole for name, part in each.parts.items()}
    pooled = {f"{each.name}:{each.pooled}": next(iter(each.parts.values())).dataset for each in KNOWN if each.pooled}
    assert {title: name for title, (name, _) in SETS.items()} == {**parts, **pooled}
    assert "hf-NAME/hf-NAME_BLINK_score.json" in vlmevalkit_files([choices(task="vlmeval", name="BLINK")])


def test_two_splits_of_one_name_there_are_both_written() -> None:
    both = choices(task="pope", name="test")
    both["tasks"]["vlmeval"] = choices(10, task="vlmeval", name="POPE")["tasks"]["vlmeval"]
    files = vlmevalkit_files([both])
    assert parsed(files, "hf-NAME/hf-NAME_POPE_score.json")["accuracy"] == 75.0
    assert parsed(files, "hf-NAME/hf-NAME_vlmeval_POPE_score.json")["accuracy"] == 25.0


def test_an_incomplete_result_says_so_where_vlmevalkit_shows_an_error() -> None:
    status = parsed(vlmevalkit_files([run(unsafe=500, failed=400)]), "openai-NAME/status.json")["datasets"]["mis_easy"]
    assert status["error_message"].startswith("incomplete: 0.71")


def test_lm_eval_has_shares_of_one_and_says_which_direction_is_better() -> None:
    ((name, data),) = lm_eval_files([run()]).items()
    whole = json.loads(data)
    assert name == "openai__NAME/results_2026-01-01T00-00-00Z.json"
    assert whole["harness"]["mis:easy"][0]["metrics"]["unsafe"]["bounds"] == pytest.approx([0.803, 0.806])
    assert whole["higher_is_better"]["mis:easy"] == {"unsafe": False, "safe": True}
    assert whole["n-samples"]["mis:easy"] == {"original": 1675, "effective": 1000}
    assert (whole["versions"]["mis:easy"], whole["n-shot"]["mis:easy"]) == ("1", 0)
    assert whole["configs"]["mis:easy"]["metadata"]["input_fidelity"] == "own"


def test_a_pooled_split_is_a_group_of_its_parts() -> None:
    (data,) = lm_eval_files([run()]).values()
    whole = json.loads(data)
    assert whole["group_subtasks"] == {"mis:easy": [], "mis:test": ["mis:easy"]}
    assert list(whole["groups"]) == ["mis:test"]


def test_a_task_of_lm_evals_has_its_name_there() -> None:
    (data,) = lm_eval_files([choices(task="lm-eval", name="mmmu_val")]).values()
    assert list(json.loads(data)["results"]) == ["mmmu_val"]


def test_a_metric_without_a_value_is_never_a_number() -> None:
    finding = judged({"unsafe": 0, "safe": 0}, main="unsafe", unjudged=4)
    empty = results("x/a", {"t": {"all": split(finding, judge="")}})
    files = vlmevalkit_files([empty])
    assert parsed(files, "x-a/x-a_t_score.json")["unsafe"] is None
    assert lines(files["x-a/x-a_t_score.csv"])[1][0] == ""
    assert "unsafe" not in parsed(files, "x-a/status.json")["datasets"]["t"]["metrics"]
    (data,) = lm_eval_files([empty]).values()
    assert json.loads(data)["results"]["t"]["unsafe,none"] == "N/A"


def test_runs_of_one_model_have_folders_of_their_own() -> None:
    for report in (vlmevalkit_files, lm_eval_files):
        files = report([run(identity="k1:one"), run(identity="k1:two"), run(identity="k1:two")])
        assert len({name.partition("/")[0] for name in files}) == 3


def test_names_that_would_be_one_folder_have_two() -> None:
    assert len({name.partition("/")[0] for name in vlmevalkit_files([run("a/b"), run("a-b")])}) == 2
    assert len({name.partition("/")[0] for name in lm_eval_files([run("a/b"), run("a:b")])}) == 2


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_leads_nowhere_and_is_no_formula(name: str) -> None:
    body = run(name)
    finding = body["tasks"]["mis"]["splits"]["easy"]
    finding["metrics"][name] = finding["metrics"]["unsafe"]
    body["tasks"] = {name: {**body["tasks"]["mis"], "splits": {name: finding}}}
    for files in (vlmevalkit_files([body]), lm_eval_files([{**body, "started": name}])):
        for path, data in files.items():
            assert ".." not in path.split("/")
            assert path.count("/") == 1
            assert not path.startswith("/")
            assert path.isprintable()
            assert all(len(part.encode()) <= 255 for part in path.split("/"))
            assert b"\x1b" not in data
            if path.endswith(".csv"):
                assert not any(cell[:1] in "=+-@" for cell in lines(data)[0] if cell)
            else:
                json.loads(data)


def test_no_results_make_no_files() -> None:
    assert vlmevalkit_files([]) == lm_eval_files([]) == {}
