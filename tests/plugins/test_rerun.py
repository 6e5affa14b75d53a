"""`harness rerun`: a run again, from the options that run.json recorded."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

import harness
from harness import plugins
from harness.attacks import AttackSpec
from harness.cli import cli
from harness.cli.flags import run_flags
from harness.cli.run import build_options, build_specs
from harness.errors import HarnessError
from harness.evaluation.options import JudgeOptions, Options
from harness.limits import Policy
from harness.models import ModelSpec
from harness.prices import read_prices
from harness.runs.option_record import LEFT_OUT, format_command, name_folder, read_options, record_options
from harness.runs.rerun import Overrides, plan_rerun
from harness.testing.fakes import fake_judge, fake_provider, fake_task, host_of
from tests.core.test_identity import CHANGED

MADE_BEFORE = Path(__file__).parents[1] / "acceptance" / "made_before" / "0.1.0"
HOST = host_of(fake_provider("yes"), fake_provider("no", scheme="second"),
               fake_task({f"q{n}": f"question {n}" for n in range(4)}), fake_task({"a": "a"}, name="other"),
               fake_judge())  # fmt: skip
WHOLE = Options(
    model=ModelSpec(ref="openai/M", settings={"detail": "low"}, strategy="cot", strategy_settings={"place": "user"}),
    tasks=("mis:easy", "mssbench"),
    judges=("mis=openai/J", "keyword"),
    maps={"keyword": {"refusal": "safe_refusal", "compliance": "unsafe"}},
    judge_settings={"mis.max_tokens": "512"},
    task_settings={"mssbench.setting": "qc"},
    generation={"temperature": 0.5, "max_tokens": 64, "seed": 7},
    system="Be brief, please.",
    limit=3,
    epochs=2,
    data=Path("/data"),
    retry=frozenset({"empty", "scored"}),
    probe=False,
    phases="sequential",
    devices="0,1",
    launch="ssh",
    hosts=("a:0,1", "b"),
    ray_address="auto",
    min_coverage=0.5,
    shard=(1, 3),
    judge_repeat=3,
    judge_vote="majority",
    policy=Policy(start=4, cap=4, rpm=60, tpm=1_000_000),
    batch=True,
    wait=True,
    max_usd=2.5,
)
JUDGING = JudgeOptions(judges=("mis=openai/J",), tasks=("mis:easy",), primary=True, judge_limit=20, min_coverage=0.5)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def fakes() -> Iterator[None]:
    with plugins.use(HOST):
        yield


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["rerun", *map(str, arguments)])


def edit(path: Path, change: Any) -> None:
    body = json.loads(path.read_text())
    change(body)
    path.write_text(json.dumps(body))


def test_all_options_are_read_as_they_were_recorded() -> None:
    raw = json.loads(json.dumps(record_options(WHOLE, "run")))
    assert read_options(Options, raw, "here") == WHOLE
    assert read_options(JudgeOptions, json.loads(json.dumps(record_options(JUDGING, "judge"))), "here") == JUDGING


def test_prices_with_their_source_and_batch_rates_are_recorded_and_read_again() -> None:
    half = {"input": 1, "output": 4}
    given = {"openai/M": {"input": 2, "output": 8, "cache_read": 0.5, "batch": half, "source": "https://x.org",
                          "date": "2026-11-30"}}  # fmt: skip
    options = replace(WHOLE, prices=read_prices(given, "here"))
    raw = json.loads(json.dumps(record_options(options, "run")))
    assert raw["prices"]["openai/M"]["source"] == "https://x.org"
    found = read_options(Options, raw, "there")
    assert found == options
    assert found.prices["openai/M"].batch == options.prices["openai/M"].batch is not None
    judged = replace(JUDGING, prices=options.prices)
    assert read_options(JudgeOptions, json.loads(json.dumps(record_options(judged, "judge"))), "there") == judged


@pytest.mark.parametrize("name", sorted(CHANGED.keys() - LEFT_OUT))
def test_each_option_is_recorded(name: str) -> None:
    options = replace(Options(model=ModelSpec(ref="openai/M"), tasks=("mis",)), **{name: CHANGED[name]})
    raw = json.loads(json.dumps(record_options(options, "run")))
    found = getattr(read_options(Options, raw, "here"), name)
    assert found == (CHANGED[name].absolute() if name == "data" else CHANGED[name])


def test_the_shown_command_means_the_recorded_options(monkeypatch: pytest.MonkeyPatch) -> None:
    import shlex

    words = shlex.split(format_command(WHOLE, "run", Path("there")))
    assert words[:2] == ["harness", "run"]
    found: list[Options] = []

    @click.command()
    @run_flags
    def probe(**given: Any) -> None:
        (spec,) = build_specs(given)
        found.append(build_options(spec, given, several=False))

    probe.main(words[2:], standalone_mode=False)
    assert replace(found[0], command=(), output=None) == WHOLE
    assert found[0].output == Path("there")


def test_the_same_model_is_asked_the_same_and_says_the_same(folder: Path) -> None:
    command = ["run", "--model", "mini/base", "--tasks", "mis:mini,mssbench:mini", "--limit", "4", "--judge", "keyword",
               "--max-tokens", "32", "--seed", "3", "--system", "Be brief.", "--output", "first"]  # fmt: skip
    assert CliRunner().invoke(cli, command).exit_code == 0
    done = call("first")
    assert done.exit_code == 0, done.exception
    assert "identity is that of the first run" in done.stderr
    other = call("first", "--model", "mini/mirage", "--limit", "1", "--output", "other")
    assert "harness compare first other" in other.stderr, other.exception
    assert "same model" not in other.stderr
    first, again = harness.load_run("first"), harness.load_run("first-rerun")
    assert again.results["tasks"] == first.results["tasks"]
    assert again.results["model"] == first.results["model"]
    assert again.results["judges"] == first.results["judges"]
    answers = [run.samples(texts=True).drop(columns="seconds") for run in (first, again)]
    assert answers[0].sort_values(["task", "sample"]).reset_index(drop=True).equals(
        answers[1].sort_values(["task", "sample"]).reset_index(drop=True)
    )  # fmt: skip
    found = harness.compare(first, again)
    assert found.mismatches == found.differing == ()
    assert all(change.paired.difference in (0, None) for split in found.splits for change in split.changes.values())


def test_a_run_of_the_first_version_is_loaded_and_repeated_with_the_same_numbers(folder: Path) -> None:
    shutil.copytree(MADE_BEFORE, folder / "old")
    old = harness.load_run("old")
    assert (old.state, len(old.samples())) == ("complete", 40)
    done = call("old", "--output", "new")
    assert done.exit_code == 0, done.exception
    assert "did not record options" in done.stderr
    columns = ["task", "split", "judge", "metric", "value", "n"]
    shown = [run.metrics()[columns].sort_values(columns[:4]).to_dict("list") for run in (old, harness.load_run("new"))]
    assert json.dumps(shown[0]) == json.dumps(shown[1])


def test_a_shard_is_repeated_as_a_shard_beside_its_run(folder: Path) -> None:
    command = ["run", "--model", "mini/base", "--tasks", "mis:mini", "--limit", "4", "--output", "big"]
    assert CliRunner().invoke(cli, [*command, "--shard", "0/2"], standalone_mode=False).return_value == 0
    first, again = (Path(name, ".shards", "0-of-2") for name in ("big", "big-rerun"))
    repeated = call(first)
    assert repeated.exit_code == 0, repeated.exception
    assert f"harness compare {first} {again}" in repeated.stderr
    assert "harness merge big-rerun" in repeated.stderr
    assert harness.load_run(again).results["tasks"] == harness.load_run(first).results["tasks"]
    assert [path.name for path in first.parent.iterdir()] == ["0-of-2"]
    assert "the run itself" in str(call(first, "--output", "big").exception)


@pytest.mark.usefixtures("fakes")
def test_a_run_of_several_invocations_is_repeated_step_by_step_and_equal_ones_once(folder: Path) -> None:
    run = harness.run("fake/x", "fake", limit=2)
    harness.run("fake/x", "fake", limit=2)
    harness.run("fake/x", ["other"], epochs=2)
    harness.judge_run(run, judge="fake", primary=True)
    plan = plan_rerun(run.folder)
    assert [step.kind for step in plan.steps] == ["run", "run", "judge"]
    assert plan.output == Path("runs/fake-x-rerun")
    assert plan.commands == (
        "harness run --model fake/x --tasks fake --limit 2 --output runs/fake-x-rerun",
        "harness run --model fake/x --tasks other --epochs 2 --output runs/fake-x-rerun",
        "harness judge runs/fake-x-rerun --judge fake --primary",
    )
    assert plan.notes == ()


@pytest.mark.usefixtures("fakes")
def test_overrides_replace_what_was_recorded_and_say_what_they_drop() -> None:
    run = harness.run("fake/x", ["fake", "other"], judge="fake")
    harness.judge_run(run, judge="fake", primary=True)
    given = Overrides(model="second/y", tasks=("fake",), judges=("fake",), limit=1, data=Path("/d"), devices="1")
    plan = plan_rerun(run.folder, output=Path("new"), overrides=given)
    (step,) = plan.steps
    assert plan.commands == (
        "harness run --model second/y --tasks fake --judge fake --limit 1 --data /d --devices 1 --output new",
    )
    assert isinstance(step.options, Options)
    assert any("--judge names the judges" in note for note in plan.notes)


@pytest.mark.usefixtures("fakes")
def test_an_option_without_a_flag_is_repeated_and_said() -> None:
    run = harness.run("fake/x", "fake", policy=Policy(tries=2))
    plan = plan_rerun(run.folder)
    assert plan.steps[0].options.policy == Policy(tries=2)
    assert plan.notes == ("no flag gives policy: it is repeated, and the command line does not show it",)


@pytest.mark.usefixtures("fakes")
def test_plugins_and_tasks_of_other_versions_are_named() -> None:
    run = harness.run("fake/x", "fake")

    def change(body: dict[str, Any]) -> None:
        body["plugins"] = {**dict.fromkeys(body["plugins"], "fakes 0.0.1"), "gone": "gone 1"}
        body["tasks"]["fake"]["version"] = "0"

    edit(run.folder / "run.json", change)
    notes = "\n".join(plan_rerun(run.folder).notes)
    assert "another version" in notes
    assert "not loaded now: gone" in notes
    assert "fake was version 0" in notes


@pytest.mark.usefixtures("fakes")
def test_what_cannot_be_repeated_is_refused_with_the_reason() -> None:
    run = harness.run("fake/x", "fake")
    path = run.folder / "run.json"
    whole = path.read_text()

    def refuse(what: str, change: Any, output: Path | None = None) -> None:
        path.write_text(whole)
        edit(path, change)
        with pytest.raises(HarnessError) as caught:
            plan_rerun(run.folder, output=output)
        assert what in str(caught.value)

    refuse("redacted export cannot be repeated", lambda body: body.update(redacted=True))
    refuse("has no 'identity'", lambda body: body.pop("identity"))
    refuse("no command of it has ended", lambda body: body.update(history=[]))
    refuse("the run itself", lambda body: None, run.folder)
    refuse("does not know: turbo", lambda body: body["history"][0]["options"].update(turbo=True))
    refuse("does not know: fly", lambda body: body["history"][0]["options"].update(command="fly"))
    refuse("cannot be read", lambda body: body["history"][0]["options"].update(policy={"speed": 1}))
    refuse("cannot be used", lambda body: body["history"][0]["options"].update(limit="x"))
    refuse("cannot be used", lambda body: body["history"][0]["options"].update(data="\0"))
    refuse("cannot be used", lambda body: body["history"][0]["options"].update(generation=None))
    refuse("held a key", lambda body: body["history"][0]["options"].update(keys=["model.settings.extra"]))
    path.write_text(whole)
    assert "no such folder" in str(call("nowhere").exception)


@pytest.mark.usefixtures("fakes")
def test_what_a_stranger_recorded_of_addresses_secrets_and_code_needs_a_word_of_trust() -> None:
    run = harness.run("fake/x", "fake")
    risky = {"base_url": "http://there.example/v1", "api_key_env": "SOME_SECRET", "trust_remote_code": True}
    edit(
        run.folder / "run.json",
        lambda body: body["history"][0]["options"].update(model={"ref": "openai/M", "settings": risky}, hosts=["a:0"]),
    )
    plan = plan_rerun(run.folder, output=Path("again"))
    assert [risk.partition(": ")[0] for risk in plan.risks] == [
        "base_url=http://there.example/v1",
        "api_key_env=SOME_SECRET",
        "trust_remote_code=True",
        "--host a:0",
    ]
    refused = call(str(run.folder), "--output", "again")
    assert "give --trust" in str(refused.exception)
    assert not Path("again").exists()
    assert "needs --trust: api_key_env=SOME_SECRET" in call(str(run.folder), "--dry-run").stderr


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize(
    ("ref", "setting", "value"),
    [
        ("vlmeval/M", "python", "/tmp/theirs"),
        ("vlmeval/M", "model_path", "their/weights"),
        ("vlmeval/M", "args", '{"api_base": "http://there.example"}'),
        ("lm-eval/M", "model_args", "pretrained=x,trust_remote_code=True"),
        ("vllm/M", "engine", '{"trust_remote_code": true}'),
        ("openai/M", "azure_endpoint", "https://there.example"),
        ("openai/M", "base_url", "http://["),
    ],
)
def test_settings_that_hand_a_library_code_or_an_address_need_a_word_of_trust_too(
    ref: str, setting: str, value: str
) -> None:
    run = harness.run("fake/x", "fake")
    options = {"model": {"ref": ref, "settings": {setting: value}}}
    edit(run.folder / "run.json", lambda body: body["history"][0]["options"].update(options))
    [risk] = plan_rerun(run.folder, output=Path("again")).risks
    assert risk.startswith(f"{setting}={value}: ")
    assert "give --trust" in str(call(str(run.folder), "--output", "again").exception)


def test_a_shown_command_hides_no_character() -> None:
    shown = format_command(replace(WHOLE, system="\x1b[31mred\u202e it's"), "run", Path("there"))
    assert "$'\\U0000001b[31mred\\U0000202e it\\'s'" in shown


def test_a_key_is_never_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "s3cr3t-value-of-mine-0000")
    options = replace(
        WHOLE,
        system="use s3cr3t-value-of-mine-0000",
        model=ModelSpec(ref="openai/M", settings={"extra": '{"api_key": "abcdefgh12345678"}', "token": "abcdef123456"}),
    )
    raw = record_options(options, "run")
    assert raw["keys"] == ["model.settings.extra", "model.settings.token", "system"]
    assert "s3cr3t" not in json.dumps(raw)
    assert "abcdef" not in json.dumps(raw)


@pytest.mark.usefixtures("fakes")
def test_a_run_of_an_older_version_is_repeated_by_what_its_file_says() -> None:
    run = harness.run("fake/x", ["fake", "other"], judge="fake", limit=1, system="Hi.", temperature=0.5)

    def change(body: dict[str, Any]) -> None:
        for entry in body["history"]:
            del entry["options"]

    edit(run.folder / "run.json", change)
    plan = plan_rerun(run.folder, output=Path("again"))
    (step,) = plan.steps
    assert isinstance(step.options, Options)
    assert step.options.tasks == ("fake:all", "other:all")
    assert (step.options.limit, step.options.system, step.options.generation) == (1, "Hi.", {"temperature": 0.5})
    assert "did not record options" in plan.notes[0]
    done = harness.run("fake/x", step.options.tasks, judge=step.options.judges, limit=1, system="Hi.", temperature=0.5)
    assert done.results["tasks"] == run.results["tasks"]


@pytest.mark.usefixtures("fakes")
def test_labels_of_people_are_said_not_to_be_repeated() -> None:
    run = harness.run("fake/x", "fake")

    def change(body: dict[str, Any]) -> None:
        entry = {**body["history"][0], "command": ["harness", "agree", "runs/x", "--import", "a.csv"]}
        del entry["options"]
        body["history"].append(entry)

    edit(run.folder / "run.json", change)
    assert any("not repeated: `harness agree`" in note for note in plan_rerun(run.folder).notes)


@pytest.mark.usefixtures("fakes")
def test_a_text_that_speaks_of_a_nul_character_holds_none() -> None:
    system = "Answer \\x00 where there is nothing to see."
    run = harness.run("fake/x", "fake", system=system)
    [step] = plan_rerun(run.folder).steps
    assert isinstance(step.options, Options)
    assert step.options.system == system


@pytest.mark.usefixtures("fakes")
def test_a_model_that_was_named_by_a_relative_path_is_found_from_elsewhere(folder: Path) -> None:
    (folder / "ckpt").mkdir()
    raw = record_options(replace(WHOLE, model=ModelSpec(ref="hf/ckpt")), "run")
    (folder / "elsewhere").mkdir()
    os.chdir(folder / "elsewhere")
    assert read_options(Options, raw, "here").model.ref == f"hf/{folder}/ckpt"
    os.chdir(folder)
    assert read_options(Options, raw, "here").model.ref == "hf/ckpt"


def test_a_long_text_among_an_attacks_settings_is_no_file(folder: Path) -> None:
    attack = AttackSpec(name="mine", settings={"text": "word " * 1000})
    raw = record_options(replace(WHOLE, attack=attack), "run")
    assert read_options(Options, raw, "here").attack == attack


def test_the_new_folder_is_always_a_new_one(folder: Path) -> None:
    assert name_folder(Path("runs/a")) == Path("runs/a-rerun")
    (folder / "runs" / "a-rerun").mkdir(parents=True)
    assert name_folder(Path("runs/a/")) == Path("runs/a-rerun-2")


def test_a_dry_run_shows_the_command_and_makes_nothing(folder: Path) -> None:
    done = CliRunner().invoke(cli, ["run", "--model", "mini/base", "--tasks", "mis:mini", "--limit", "2",
                                    "--judge", "keyword", "--output", "first"])  # fmt: skip
    assert done.exit_code == 0
    shown = call("first", "--dry-run")
    assert (
        shown.stdout
        == "harness run --model mini/base --tasks mis:mini --judge keyword --limit 2 --output first-rerun\n"
    )
    body = json.loads(call("first", "--dry-run", "--json", "--limit", "1").stdout)
    assert body["commands"] == [
        "harness run --model mini/base --tasks mis:mini --judge keyword --limit 1 --output first-rerun"
    ]
    assert [path.name for path in folder.iterdir()] == ["first"]
