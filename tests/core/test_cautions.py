from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.board.leaderboard import boards
from harness.board.results import find_results, read_results
from harness.board.rows import find_families
from harness.testing.results import Body, judged, results, split


def run(ref: str = "x/a", by: str = "", *, source: str = "example", **model: Any) -> Body:
    name = f"mis-{by.replace('/', '-')}-1f3a9c2e" if by else "mini-1f3a9c2e"
    body = results(ref, {"mis": {"easy": split(judged({"unsafe": 5, "safe": 5}, main="unsafe"), judge=name)}}, **model)
    body["judges"][name] |= {"model": {"ref": by} if by else None, "resolved": []}
    body["tasks"]["mis"]["data"]["source"] = source
    return body


def kinds(body: Body) -> list[str]:
    ((row,),) = (board.rows for board in boards([body]))
    return [caution.kind for caution in row.cautions]


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("openai/gpt-4o-2024-08-06", {"OpenAI"}),
        ("openrouter/openai/o3", {"OpenAI"}),
        ("hf/Qwen/Qwen2.5-VL-7B-Instruct", {"Qwen"}),
        ("vllm/meta-llama/Llama-Guard-3-8B", {"Meta"}),
        ("hf/llava-hf/llava-onevision-qwen2-7b-ov-hf", {"Qwen"}),
        ("hf/deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", {"DeepSeek", "Qwen"}),
        ("hf/OpenGVLab/InternVL2_5-8B", {"OpenGVLab"}),
        ("mini/base", set()),
        ("hf/octo-3", set()),
    ],
)
def test_a_name_tells_the_families_of_its_model(name: str, family: set[str]) -> None:
    assert find_families(name) == family


def test_a_judge_of_the_models_own_family_is_flagged() -> None:
    assert kinds(run("openai/gpt-5", "openai/gpt-4o")) == ["own_family"]
    assert kinds(run("openai/gpt-5", "anthropic/claude-opus-4")) == []


def test_the_name_a_provider_reports_tells_the_family_too() -> None:
    assert kinds(run("azure/prod", "openai/gpt-4o")) == []
    reported = run("azure/prod", "openai/gpt-4o")
    reported["model"]["resolved"] = ["gpt-5-mini"]
    assert kinds(reported) == ["own_family"]


def test_a_model_that_judges_itself_is_flagged_whatever_it_is_called() -> None:
    assert kinds(run("vllm/acme", "vllm/acme")) == ["own_family"]


def test_a_rule_is_of_no_family() -> None:
    assert kinds(run("openai/gpt-5")) == []


@pytest.mark.parametrize(
    ("names", "flagged"),
    [
        (["mis-train"], True),
        (["MIS"], True),
        (["Tuwhy/MIS_train"], True),
        (["owner/example"], True),
        (["missing"], False),
        (["vlguard"], False),
    ],
)
def test_declared_training_on_the_tests_source_is_flagged(names: list[str], flagged: bool) -> None:
    body = run(training={"tuned_from": "x/base", "trained_on": names}, source="owner/example")
    assert (kinds(body) == ["trained_on"]) is flagged


def test_sampling_a_strategy_and_a_system_prompt_are_flagged() -> None:
    body = run(strategy={"name": "ecso"}, identity={"overrides": {"system": "Be safe."}})
    body["tasks"]["mis"]["splits"]["easy"]["settings"] = {"temperature": None}
    assert kinds(body) == ["sampling", "strategy", "system"]


def test_results_without_the_lines_they_count_are_flagged_as_not_verifiable(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(json.dumps(run()), encoding="utf-8")
    (alone,) = (read_results(path) for path in find_results([str(tmp_path)]))
    assert kinds(dict(alone)) == ["unverifiable"]
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    (tmp_path / "mis").mkdir()
    (tmp_path / "mis" / "responses.jsonl").touch()
    assert kinds(dict(read_results(tmp_path / "results.json"))) == []


def test_cautions_are_told_in_the_notes_of_the_board() -> None:
    (board,) = boards([run("vllm/acme", "vllm/acme")])
    assert board.notes == ("vllm/acme: judged by a model of its own family (vllm/acme).",)


def test_what_holds_for_several_models_is_noted_once() -> None:
    bodies = [run(f"vllm/{name}") | {"bare": True} for name in "abcdefgh"]
    (board,) = boards(bodies)
    (note,) = board.notes
    assert note.startswith("vllm/a, vllm/b, vllm/c, vllm/d, vllm/e and 3 more: not verifiable: ")
