"""Judging apart from answering: none is ever assumed, one command finishes a run, several judges stand side by side."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from harness.testing.faults import Reply
from harness.testing.server import Call
from tests.acceptance import layouts, plays, upstream
from tests.acceptance.commands import Ended, harness_here
from tests.acceptance.world import UNSAFE, World

SAFE = json.dumps({"reason": "it declines", "perception": "level2", "safety": "safe"})


def finishing(ended: Ended, world: World) -> Ended:
    """Run the one command that a run without a judge prints, with a model filled in."""
    [line] = [line for line in ended.err.splitlines() if "finish with: " in line]
    assert line.count("SCHEME/NAME") == 1
    words = shlex.split(line.partition("finish with: ")[2].replace("SCHEME/NAME", "openai/judge"))
    assert words[:2] == ["harness", "judge"]
    return harness_here(*words[1:], "-J", f"base_url={world.server.base_url}")


def test_without_a_judge_answers_are_kept_and_one_command_finishes_the_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-lies-around")
    world.draw(5)
    world.well()
    ended = world.command(judge="")
    assert ended.code == 3
    assert {call.model for call in world.server.calls} == {"subject"}, "a key in the environment is no judge"
    split = world.split()
    assert (split["judge"], split["verdicts"]["unjudged"], split["complete"]) == (None, 5, False)
    assert split["metrics"]["ASR"]["value"] is None
    assert split["metrics"]["ASR"]["bounds"] == [0, 100]
    done = finishing(ended, world)
    assert done.code == 0, done.err
    assert world.split()["metrics"]["ASR"]["value"] == 100
    assert world.split()["complete"] is True
    assert set(world.calls("subject").values()) == {1}
    assert world.calls("judge") == dict.fromkeys(range(1, 6), 1)


def test_the_printed_command_judges_every_task_of_the_run(world: World) -> None:
    layouts.mis(world.layout, easy=3, hard=2, real=1)
    layouts.mssbench(world.layout, chat=2, embodied=1)
    world.server.play = _both_well
    ended = world.command(
        "-T", "mssbench.queries=first", "--system", "be brief", "--max-tokens", 50, tasks="mis,mssbench", judge=""
    )
    assert ended.code == 3
    done = finishing(ended, world)
    assert done.code == 0, done.err
    for task, names in {"mis": ("easy", "hard", "real"), "mssbench+queries=first": ("chat", "embodied")}.items():
        for name in names:
            split = world.split(name, task)
            assert split["verdicts"]["scored"] == split["outcomes"]["answered"] == split["n"], (task, name)


def _both_well(call: Call) -> str | Reply:
    if plays.is_probe(call):
        return "A red circle, then a blue square."
    if call.model == "subject":
        return f"{plays.case(*call.images, call.text)}: here you are"
    return json.dumps({"reason": "", **plays.verdict(plays.case_of(call), plays.asked_for(call))})


def test_judging_again_asks_nothing_that_was_judged(world: World) -> None:
    world.draw(4)
    world.well()
    assert world.command(judge="").code == 3
    assert world.judge().code == world.judge().code == 0
    assert world.calls("judge") == dict.fromkeys(range(1, 5), 1)


def test_a_second_judge_stands_beside_the_first_until_it_is_made_primary(world: World) -> None:
    world.draw(4)
    world.well()
    assert world.command().code == 0
    first = world.split()["judge"]
    assert first.startswith("mis-openai-judge-")
    assert world.judge(judge="keyword").code == 0
    split = world.split()
    assert split["judge"] == first
    [(second, beside)] = split["other_judges"].items()
    assert second.startswith("keyword-")
    assert beside["verdicts"]["scored"] == 4
    assert (split["metrics"]["ASR"]["value"], beside["metrics"]["ASR"]["value"]) == (100, 100)
    assert world.judge("--primary", judge="keyword").code == 0
    assert world.split()["judge"] == second
    assert set(world.split()["other_judges"]) == {first}
    assert set(world.results["judges"]) == {first, second}
    assert world.calls("judge") == dict.fromkeys(range(1, 5), 1)
    assert world.command().code == 0
    assert world.split()["judge"] == second, "a run again does not undo it"


def test_two_judge_models_have_verdicts_of_their_own(world: World) -> None:
    world.draw(3)
    world.well()
    assert world.command().code == 0
    world.server.play = SAFE
    assert world.judge(judge="openai/judge-two").code == 0
    split = world.split()
    [beside] = split["other_judges"].values()
    assert split["labels"] == {"unsafe": 3}
    assert beside["labels"] == {"safe_refusal": 3}
    assert len(list((world.run_folder / "mis").glob("verdicts-*.jsonl"))) == 2


def test_rubrics_of_two_tasks_may_be_named_together(world: World) -> None:
    layouts.mis(world.layout, easy=2, hard=0, real=0)
    layouts.mssbench(world.layout, chat=1, embodied=1)
    world.server.play = _both_well
    assert world.command(tasks="mis:easy,mssbench", judge="").code == 3
    ended = world.judge("--judge", "mssbench=openai/judge", judge="mis=openai/judge")
    assert ended.code == 0, ended.err
    assert world.split()["judge"].startswith("mis-")
    assert world.split("chat", "mssbench")["judge"].startswith("mssbench-")


def test_only_some_tasks_may_be_judged_and_a_misspelled_one_is_refused(world: World) -> None:
    layouts.mis(world.layout, easy=2, hard=2, real=0)
    world.server.play = _both_well
    assert world.command(tasks="mis:easy,mis:hard", judge="").code == 3
    assert world.judge("--tasks", "mis:hard").code == 0
    assert world.split("hard")["verdicts"]["scored"] == 2
    assert world.split("easy")["verdicts"]["unjudged"] == 2
    ended = world.judge("--tasks", "mis:hrad")
    assert ended.code == 2
    assert "did you mean 'mis:hard'?" in ended.err


def test_an_answer_is_judged_only_if_the_data_still_asks_the_same(world: World) -> None:
    world.draw(3)
    world.well()
    assert world.command(judge="").code == 3
    path = world.layout.root / "mis" / "mis_easy.json"
    rows = json.loads(path.read_text(encoding="utf-8"))
    rows[1]["question"] = "Something else?"
    path.write_text(json.dumps(rows), encoding="utf-8")
    assert world.judge().code == 3
    assert set(world.calls("judge")) == {1, 3}
    assert world.split()["verdicts"]["unjudged"] == 1


def test_a_new_answer_is_judged_anew(world: World) -> None:
    world.draw(2)
    world.play(subject=lambda number: "" if number == 1 else "an answer", judge=lambda _: UNSAFE)
    assert world.command().code == 0
    assert world.split()["labels"] == {"hallucination": 1, "unsafe": 1}
    world.well()
    assert world.command("--retry", "empty").code == 0
    assert world.calls("subject") == {1: 2, 2: 1}
    assert world.split()["labels"] == {"unsafe": 2}
    assert world.command("--retry", "answered,scored").code == 0
    assert world.calls("subject") == {1: 3, 2: 2}
    assert len(upstream.lines(world.run_folder / "mis" / "responses.jsonl")) == 5
    assert world.split()["n"] == world.split()["verdicts"]["scored"] == 2


def test_several_runs_are_judged_by_one_command(world: World, tmp_path: Path) -> None:
    world.draw(2)
    world.well()
    folders = [tmp_path / name for name in ("one", "two")]
    for world.run_folder in folders:
        assert world.command(judge="").code == 3
    ended = harness_here(
        *("judge", *folders, "--judge", "openai/judge", "-J", f"base_url={world.server.base_url}", "--json")
    )
    assert ended.code == 0, ended.err
    found = [results["tasks"]["mis"]["splits"]["easy"]["verdicts"]["scored"] for results in json.loads(ended.out)]
    assert found == [2, 2]
