"""A run that is gone on with: extended, begun afresh, drawn again; several runs and several models at once."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from harness.testing.faults import Reply, bad_request, no_model
from harness.testing.server import Call
from tests.acceptance import commands, layouts, plays
from tests.acceptance.commands import harness_here
from tests.acceptance.world import UNSAFE, World

PATIENCE = 60.0


def once_each(world: World, numbers: Iterable[int]) -> None:
    """Hold the log to these samples, each sent once."""
    assert world.calls("subject") == dict.fromkeys(numbers, 1)


def test_a_higher_limit_extends_and_a_lower_one_never_shrinks(world: World) -> None:
    world.draw(10)
    world.well()
    for limit, n in [(4, 4), (7, 7), (3, 7)]:
        assert world.command("--limit", limit).code == 0
        split = world.split()
        assert (split["n"], split["records"], split["outcomes"]["answered"]) == (n, n, n)
        assert split["subset"] == {"limit": n}
        assert sorted(world.calls("subject").values()) == [1] * n
    assert world.command().code == 0
    assert (world.split()["n"], world.split()["subset"]) == (10, None)
    once_each(world, range(1, 11))
    assert world.command("--limit", 2).code == 0
    assert (world.split()["n"], world.split()["subset"]) == (10, None)
    once_each(world, range(1, 11))


def test_a_limit_takes_turns_among_the_categories_and_keeps_a_question_whole(world: World) -> None:
    world.draw(60)
    world.well()
    assert world.command("--limit", 6).code == 0
    assert set(world.split()["by"]["category"]) == set(layouts.MIS_CATEGORIES)
    questions = [call.text for call in world.server.calls if call.model == "subject" and not plays.is_probe(call)]
    assert len(set(questions)) == 6


def test_fresh_puts_the_old_run_aside_and_asks_everything_anew(world: World) -> None:
    world.draw(3)
    world.well()
    assert world.command().code == 0
    ended = world.command("--fresh", "--temperature", 0.5)
    assert ended.code == 0
    assert world.calls("subject") == {1: 2, 2: 2, 3: 2}
    [said] = [line for line in ended.err.splitlines() if "the previous run of this folder" in line]
    aside = Path(said.split()[-1])
    assert json.loads((aside / "results.json").read_text(encoding="utf-8"))["tasks"]["mis"]["splits"]["easy"]["n"] == 3
    assert world.split()["settings"]["temperature"] == 0.5


def test_more_epochs_are_more_answers_to_the_same_samples(world: World) -> None:
    world.draw(6)
    world.well()
    assert world.command().code == 0
    assert world.command("--epochs", 3).code == 0
    split = world.split()
    assert (split["n"], split["records"], split["epochs"]) == (6, 18, 3)
    assert world.calls("subject") == dict.fromkeys(range(1, 7), 3)
    assert split["metrics"]["ASR"]["denominator"] == 18
    assert split["metrics"]["ASR"]["clusters"] == 6
    assert {"ASR_worst", "ASR_majority"} <= split["metrics"].keys()
    ended = world.command("--limit", 2, "--epochs", 2)
    assert ended.code == 2, "what a lower limit keeps has three epochs"
    assert "give --epochs 3" in ended.err
    assert world.split() == split


def test_a_start_that_fails_leaves_the_folder_to_the_next_and_an_old_run_where_it_is(world: World) -> None:
    world.draw(2)
    world.server.play = no_model()
    assert world.command("-M", "detail=low").code == 2
    world.well()
    assert world.command().code == 0
    results = world.results
    world.server.play = no_model()
    assert world.command("--fresh").code == 2
    assert world.results == results


def test_judging_afterwards_gives_the_same_results_as_judging_at_once(world: World, tmp_path: Path) -> None:
    layouts.mis(world.layout, easy=40, hard=10, real=5)
    world.server.play = plays.both
    found = []
    for phases in ("overlap", "sequential"):
        world.run_folder = tmp_path / phases
        assert world.command("--phases", phases, "--min-coverage", 0.5, tasks="mis").code == 0
        found.append(world.results["tasks"])
    assert found[0] == found[1]
    models = [call.model for call in world.server.calls if not plays.is_probe(call)]
    assert models[len(models) // 2 :] == sorted(models[len(models) // 2 :], reverse=True), "first all answers"


def test_the_data_folder_may_be_named_in_the_environment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.draw(1)
    world.well()
    words = [word for word in world.words() if word not in ("--data", world.layout.root)]
    assert harness_here(*words).code == 2
    monkeypatch.setenv("HARNESS_DATA", str(world.layout.root))
    assert harness_here(*words).code == 0


def test_a_dry_run_counts_and_asks_nothing(world: World) -> None:
    layouts.mis(world.layout, easy=7, hard=4, real=2)
    layouts.mssbench(world.layout, chat=3, embodied=2)
    ended = world.command("--dry-run", "--json", "--epochs", 2, tasks="mis,mssbench")
    assert ended.code == 0
    loads = {(load["role"], load["task"]): load for load in json.loads(ended.out)}
    splits = {"mis:easy": (7, 2), "mis:hard": (4, 2), "mis:real": (2, 2), "mssbench:chat": (12, 1)}
    for task, (samples, images) in splits.items():
        load = loads["model", task]
        assert (load["samples"], load["calls"], load["images"]) == (samples, 2 * samples, 2 * samples * images)
    sizes = sum(path.stat().st_size for path in (world.layout.root / "mis" / "easy_image").rglob("*.png"))
    assert loads["model", "mis:easy"]["bytes"] == loads["mis", "mis:easy"]["bytes"] == 2 * sizes
    assert loads["mssbench", "mssbench:chat"]["images"] == 0
    assert loads["mis", "mis:easy"]["note"] == "mis:easy holds 7 samples, 1675 are published: is the copy whole?"
    shown = world.command("--dry-run", tasks="mis")
    assert "mis:easy" in shown.out
    assert shown.err.count("mis:easy holds 7 samples, 1675 are published") == 1
    assert world.server.calls == []
    assert not world.run_folder.exists()


def test_json_prints_results_json_and_nothing_else(world: World) -> None:
    world.draw(2)
    world.well()
    ended = world.command("--json")
    assert json.loads(ended.out) == world.results
    assert "results:" in ended.err


def temperatures(world: World) -> set[Any]:
    """What the samples were asked with, since the last time."""
    asked = {call.parameters["temperature"] for call in world.server.calls if not plays.is_probe(call)}
    world.server.calls.clear()
    return asked


def test_flags_stand_over_environment_over_the_folders_config_over_the_users(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.draw(1)
    world.well()
    users = tmp_path / ".config" / "harness" / "harness.yaml"
    users.parent.mkdir(parents=True)
    words = [word for word in world.words(judge="") if word not in ("--output", world.run_folder)]
    where = f"{{base_url: '{world.server.base_url}'}}"
    users.write_text(f"temperature: 0.1\njudge: openai/judge\njudge_settings: {where}\n", encoding="utf-8")
    assert harness_here(*words).code == 0
    assert temperatures(world) == {0.1, 0.0}, "the judge keeps its own"
    Path("harness.yaml").write_text("temperature: 0.2\njudge: mis=openai/judge\n", encoding="utf-8")
    assert harness_here(*words).code == 0
    assert temperatures(world) == {0.2, 0.0}
    monkeypatch.setenv("HARNESS_JUDGE", "keyword")
    Path("harness.yaml").write_text("temperature: 0.3\n", encoding="utf-8")
    assert harness_here(*words).code == 0
    assert temperatures(world) == {0.3}
    assert harness_here(*words, "--judge", "openai/judge", "--temperature", 0.4).code == 0
    assert temperatures(world) == {0.4, 0.0}
    Path("mine.yaml").write_text("temperature: 0.5\n", encoding="utf-8")
    assert harness_here(*words, "--config", "mine.yaml").code == 0
    assert temperatures(world) == {0.5}


def test_a_suite_of_the_config_stands_for_its_tasks(world: World) -> None:
    layouts.mis(world.layout, easy=1, hard=1, real=1)
    world.server.play = lambda call: UNSAFE if call.model == "judge" else "A red circle, then a blue square."
    Path("harness.yaml").write_text("suites: {quick: ['mis:hard', 'mis:real']}\n", encoding="utf-8")
    assert world.command(tasks="quick").code == 0
    assert set(world.results["tasks"]["mis"]["splits"]) == {"hard", "real"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("temprature: 1\n", ("unknown key 'temprature'", "did you mean 'temperature'?")),
        ("[1, 2]\n", ("must be a mapping",)),
        ("a: [\n", ("not YAML",)),
        ("max_tokens: many\n", ("many", "max-tokens")),
    ],
)
def test_a_config_that_is_wrong_is_named_and_nothing_is_asked(world: World, text: str, said: tuple[str, ...]) -> None:
    world.draw(1)
    Path("harness.yaml").write_text(text, encoding="utf-8")
    ended = world.command()
    assert ended.code == 2
    for words in said:
        assert words in ended.err
    assert world.server.calls == []


def test_a_second_run_in_the_same_folder_is_refused_while_the_first_goes_on(world: World) -> None:
    world.draw(8)
    under_way, go_on = threading.Event(), threading.Event()

    def play(call: Call) -> str | Reply:
        if call.model == "subject" and not under_way.is_set() and not plays.is_probe(call):
            under_way.set()
            go_on.wait(PATIENCE)
        return UNSAFE if call.model == "judge" else "an answer"

    world.server.play = play
    with commands.started(*world.words("--no-probe")) as first:
        assert under_way.wait(PATIENCE)
        refused = threading.Timer(0, go_on.set)
        try:
            second = commands.harness(*world.words("--no-probe"))
        finally:
            refused.start()
        assert second.code == 2
        assert "another process is writing to this run" in second.err
        assert "--output" in second.err
        _, err = first.communicate(timeout=PATIENCE)
    assert first.returncode == 0, err
    assert set(world.calls("subject").values()) == {1}
    assert world.split()["outcomes"]["answered"] == 8


def test_of_several_models_one_may_fail_and_the_worst_code_counts(world: World) -> None:
    world.draw(2)
    world.server.play = lambda call: (
        UNSAFE if call.model == "judge" else bad_request() if call.model == "broken" else "A red circle, a blue square."
    )
    words = [word for word in world.words() if word != "openai/subject"]
    words.remove("--model")
    several = ("--model", "openai/broken", "--model", "openai/subject")
    ended = harness_here(*words, *several)
    assert ended.code == 2
    assert "error: openai/broken: " in ended.err
    [folder] = world.run_folder.iterdir()
    assert folder.name.startswith("openai-subject-")
    again = harness_here(*words, *several, "--no-probe", "--json")
    assert again.code == 3, "a run without a single answer is incomplete, and nothing was worse"
    assert [results["model"]["ref"] for results in json.loads(again.out)] == ["openai/broken", "openai/subject"]
    alone = harness_here(*words, "--model", "openai/subject", "--model", "openai/other", "--json")
    assert (alone.code, len(json.loads(alone.out))) == (0, 2)
    assert sum(call.model == "subject" and not plays.is_probe(call) for call in world.server.calls) == 2


def test_models_of_a_file_have_their_own_settings(world: World) -> None:
    world.draw(1)
    world.well()
    words = [word for word in world.words() if word != "openai/subject"]
    words.remove("--model")
    entries = [{"model": "openai/subject", "settings": {"detail": "low"}}, {"model": "openai/subject"}]
    Path("models.yaml").write_text(json.dumps(entries), encoding="utf-8")
    assert harness_here(*words, "--models", "models.yaml").code == 0
    details = [part.detail for call in world.server.calls if call.model == "subject" for part in call.parts[:1]]
    assert {"low", ""} == set(details)
    Path("models.yaml").write_text(json.dumps([{"modle": "openai/subject"}]), encoding="utf-8")
    ended = harness_here(*words, "--models", "models.yaml")
    assert ended.code == 2
    assert "models.yaml" in ended.err
