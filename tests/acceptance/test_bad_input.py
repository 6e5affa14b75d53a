"""Bad input through the command line: what it gets, and that it costs nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import harness_mini
import pytest

from tests.acceptance import layouts
from tests.acceptance.commands import harness_here
from tests.acceptance.world import World, refused

JUDGE = ("--judge", "openai/judge")


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (("--model", "opanai/subject"), "did you mean 'openai'?"),
        (("--model", "subject"), "SCHEME/NAME"),
        (("--tasks", "mssbensh"), "did you mean 'mssbench'?"),
        (("--tasks", "mis:eesy"), "did you mean 'easy'?"),
        (("--judge", "keywrd"), "did you mean 'keyword'?"),
        (("--judge", "mis=opanai/judge"), "did you mean 'openai'?"),
        (("--judge", "mis"), "--judge mis=SCHEME/NAME"),
        (("--judge", "mis=openai/judge", "--map", "mis: unsafe=unsfe"), "did you mean 'unsafe'?"),
        (("--strategy", "two-step"), "no strategy is called 'two-step'"),
        (("--retry", "answred"), "did you mean 'answered'?"),
        (("--modle", "openai/x"), "--model"),
        (("-M", "base_ulr=x"), "did you mean 'base_url'?"),
        (("-M", "base_url"), "not KEY=VALUE"),
        (("-M", "timeout=soon"), "timeout=soon is not a float"),
        (("-M", "detail=lo"), "did you mean 'low'?"),
        (("-J", "base_ulr=x"), "did you mean 'base_url'?"),
        (("-J", "mis.base_ulr=x"), "did you mean 'base_url'?"),
        (("-T", "mis.promt=x"), "did you mean 'prompt'?"),
        (("-T", "msi.data=x"), "did you mean 'mis'?"),
        (("-T", "mssbench.seting=qc"), "did you mean 'setting'?"),
        (("-T", "mis.judge=keywrd"), "did you mean 'keyword'?"),
        (("-T", "mis.judge=mssbench"), "it accepts: mis, llamaguard, harmbench, strongreject, keyword"),
        (("--limit", "0"), "--limit"),
        (("--limit", "9" * 30), "--limit must be at least 1 and at most"),
        (("--epochs", "0"), "--epochs"),
        (("--epochs", "99999999999"), "--epochs must be at least 1 and at most 10,000"),
        (("--phases", "overlapp"), "overlap"),
        (("--temperature", "-1"), "--temperature"),
        (("--temperature", "nan"), "temperature must be a number, not nan"),
        (("--temperature", "inf"), "temperature must be a number, not inf"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_misspelling_is_answered_with_the_nearest_spelling(world: World, words: tuple[str, ...], near: str) -> None:
    world.draw(2)
    flags = list(world.words())
    replaced = {"--model", "--tasks", "--judge"} & {words[0]}
    for flag in replaced:
        at = flags.index(flag)
        del flags[at : at + 2]
    refused(world, (*flags, *words), near)


def test_a_value_of_a_task_setting_is_checked_too(world: World) -> None:
    layouts.mssbench(world.layout, chat=1, embodied=1)
    refused(world, world.words("-T", "mssbench.setting=ic_cpa", tasks="mssbench"), "did you mean 'ic_cap'?")
    refused(world, world.words("-T", "mssbench.setting=no", tasks="mssbench"), "known: ic, ic_cap, if, qc")


@pytest.mark.parametrize(
    ("words", "near"),
    [(("rnu",), "run"), (("report", "nowhere"), "nowhere"), (("judge", "nowhere", *JUDGE), "there is no run here")],
    ids=["command", "report", "judge"],
)
def test_other_commands_say_what_they_miss(world: World, words: tuple[str, ...], near: str) -> None:
    refused(world, words, near)


@pytest.mark.parametrize("task", ["mis", "mssbench"])
def test_data_that_is_missing_is_answered_with_the_command_that_gets_it(world: World, task: str) -> None:
    command = f"harness data fetch {task} --data {world.layout.root}"
    refused(world, world.words(tasks=task), command, "size:", "licence:")


# -------------------------------------------------------------------------------------------------------------- images


@pytest.mark.parametrize("images", [0, 1])
def test_a_model_that_takes_too_few_images_is_refused_before_the_run(world: World, images: int) -> None:
    world.draw(3)
    ended = world.command("-M", f"max_images={images}")
    assert ended.code == 2
    assert ("it takes no images" if images == 0 else "shows 2 images at once; openai/subject takes 1") in ended.err
    assert "resume with" not in ended.err
    assert world.server.calls == []


def test_a_folder_of_another_identity_is_refused_with_what_differs(world: World) -> None:
    world.draw(2)
    world.well()
    assert world.command().code == 0
    kept = (world.run_folder / "results.json").read_bytes()
    world.server.calls.clear()
    for more, differs in [
        (("--temperature", 0.7), "overrides.generation.temperature was null and is 0.7"),
        (("--system", "be kind"), 'overrides.system was "" and is "be kind"'),
        (("-M", "detail=low"), 'settings.detail was "" and is "low"'),
    ]:
        ended = world.command(*more)
        assert ended.code == 2
        assert differs in ended.err
        assert "--output" in ended.err
        assert "--fresh" in ended.err
    assert world.server.calls == []
    assert (world.run_folder / "results.json").read_bytes() == kept


def test_what_is_transport_is_no_other_identity(world: World) -> None:
    world.draw(2)
    world.well()
    assert world.command().code == 0
    assert world.command("-M", "timeout=9", "--concurrency", 2, "--min-coverage", 0.5).code == 0
    assert world.calls("subject") == {1: 1, 2: 1}


def test_a_checkpoint_overwritten_under_the_same_path_is_another_identity(tmp_path: Path) -> None:
    checkpoint, run = tmp_path / "checkpoint", tmp_path / "run"
    shutil.copytree(Path(harness_mini.__file__).with_name("base"), checkpoint)
    words = ("run", "--model", f"hf/{checkpoint}", "--tasks", "mis:mini", "--limit", 1, "--output", run, "--no-probe")
    assert harness_here(*words).code == 0
    template = checkpoint / "chat_template.jinja"
    template.write_bytes(template.read_bytes().replace(b"\n", b" ", 1))
    ended = harness_here(*words)
    assert ended.code == 2
    assert "fingerprint.chat_template.jinja.sha256 was " in ended.err
    moved = tmp_path / "moved"
    template.write_bytes(template.read_bytes().replace(b" ", b"\n", 1))
    shutil.copytree(Path(harness_mini.__file__).with_name("base"), moved)
    assert harness_here(*(f"hf/{moved}" if str(word).startswith("hf/") else word for word in words)).code == 0


# ----------------------------------------------------------------------------------------------------------------- disk
