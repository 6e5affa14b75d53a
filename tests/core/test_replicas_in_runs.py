"""Replicas and devices as a person meets them: flags, notes, interrupts, and several local models in a row."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.replicas.placement import Machine
from tests.acceptance.commands import Ended, command, harness_here, home, started

PLUGINS = [
    word for name in ("toy_models", "toy_tasks") for word in ("--plugin", Path(__file__).with_name(f"{name}.py"))
]


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, folder in home(tmp_path).items():
        monkeypatch.setenv(name, folder)
    monkeypatch.chdir(tmp_path)


def words(*asks: str, model: str = "toy/plain", judge: str = "fake", **flags: Any) -> list[object]:
    """The words of a run in the present folder, whose files are the model's too."""
    given = [word for name, value in flags.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    asked = ["-T", f"toy.asks={'|'.join(asks)}"] if asks else []
    models = ["--model", model] if model else []
    return ["run", *PLUGINS, *models, "--tasks", "toy", "--judge", judge, "--no-probe", *asked, *given]


def here(*more: object) -> list[object]:
    """Replicas that leave their files in the present folder."""
    return ["-M", "folder=.", *more]


def responses(folder: str = "runs/toy-plain") -> dict[str, dict[str, Any]]:
    lines = Path(folder, "toy", "responses.jsonl").read_text(encoding="utf-8").splitlines()
    return {line["id"]: line for line in map(json.loads, lines)}


def texts(folder: str = "runs/toy-plain") -> list[dict[str, Any]]:
    return [json.loads(line["text"]) for line in responses(folder).values()]


def test_a_run_goes_on_when_a_replica_dies_and_says_so_at_its_end(tmp_path: Path) -> None:
    ended = harness_here(*words(*("say x",) * 5, "die once a", *("say y",) * 5), *here("-M", "replicas=2"))
    assert ended.code == 0, ended.err
    assert {line["outcome"] for line in responses().values()} == {"answered"}
    assert "was killed by SIGKILL" in ended.err
    assert "is started again (1 of 2)" in ended.err


def test_a_death_is_told_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    run = command((*words("die once a", "hold gate"), *here("-M", "replicas=2")))
    with subprocess.Popen(run, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        assert any("was killed by SIGKILL" in line for line in process.stderr), "told while a request is held"
        (tmp_path / "gate").write_text("go on")
        process.stderr.read()
    assert process.returncode == 0


def test_a_sample_that_kills_two_replicas_is_an_error_and_the_rest_is_answered() -> None:
    ended = harness_here(*words("say a", "die", "say b"), *here("-M", "replicas=2"))
    assert ended.code == 3
    lines = responses()
    assert [lines[name]["outcome"] for name in ("q0", "q1", "q2")] == ["answered", "error", "answered"]
    assert lines["q1"]["reason"].startswith("replica_died")


def test_prompts_that_crash_the_model_do_not_strand_a_run_on_one_replica() -> None:
    asked = [text for number in range(6) for text in (f"say {number}", "die", f"say {number}")]
    ended = harness_here(*words(*asked), *here("-M", "replicas=1"))
    assert ended.code == 3, ended.err
    outcomes = [(line["outcome"], line.get("reason")) for _, line in sorted(responses().items(), key=_number)]
    assert outcomes == [("error", "replica_died") if text == "die" else ("answered", None) for text in asked]


def _number(item: tuple[str, object]) -> int:
    return int(item[0].removeprefix("q"))


def test_when_all_are_gone_the_run_ends_with_what_they_said_and_goes_on_later() -> None:
    asked = ("say a", "die", "die", "die", "say b")
    ended = harness_here(*words(*asked), *here("-M", "replicas=1", "--concurrency", 1))
    assert ended.code == 2
    assert "toy/plain: replica 1 (CPU) was killed by SIGKILL" in ended.err
    assert "fatal: no more" in ended.err
    assert "\x1b" not in ended.err
    before = responses()["q0"]["text"]
    again = harness_here(*words("say a", "say c", "say d", "say e", "say b"), *here("-M", "replicas=1"))
    assert again.code == 0
    assert responses()["q0"]["text"] == before, "what was answered is not asked again"


def test_a_plugins_error_that_ends_all_replicas_is_told_in_a_line_and_its_traceback_is_in_the_log() -> None:
    ended = harness_here(*words("say a", "break", "break"), *here("-M", "replicas=1", "--concurrency", 1))
    assert ended.code == 2
    assert "RuntimeError: the model broke" in ended.err
    assert 'File "' not in ended.err
    assert "its traceback is in runs/toy-plain/log.txt" in ended.err
    assert 'File "' in Path("runs/toy-plain/log.txt").read_text("utf-8")


def test_ctrl_c_reaches_the_run_alone_and_what_is_in_flight_is_kept(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    run = command((*words("hold gate", *("say x",) * 50), *here("-M", "replicas=1", "--concurrency", 1)))
    with subprocess.Popen(
        run, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, start_new_session=True
    ) as process:
        assert process.stderr is not None
        with (tmp_path / "gate").open("w") as gate:  # opens once the replica holds the other end
            replicas = psutil.Process(process.pid).children()
            os.killpg(process.pid, signal.SIGINT)
            assert any("5 s to finish" in line for line in process.stderr)
            gate.write("go on")
        process.stderr.read()
    assert process.returncode == 130
    assert [line["outcome"] for line in responses().values()] == ["answered"]
    assert len(replicas) == 1
    assert not replicas[0].is_running()


def test_ctrl_c_ends_a_command_though_a_thread_of_its_model_is_still_at_work(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    with started(*words("hold gate"), *here()) as process, (tmp_path / "gate").open("w"):
        assert process.stderr is not None
        process.send_signal(signal.SIGINT)
        assert any("5 s to finish" in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert process.wait() == 130
    assert "resume with" in said
    assert "Traceback" not in said


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "story"
    path.touch()
    return path


def brief(story: Path) -> list[str]:
    """The story, with openings and closings in a row told once."""
    lines = story.read_text().splitlines()
    return [line for number, line in enumerate(lines) if number == 0 or line != lines[number - 1]]


def test_several_local_models_are_never_held_at_once(story: Path) -> None:
    ended = harness_here(*words(model=""), "--model", "toy/a", "--model", "toy/b", *here())
    assert ended.code == 0, ended.err
    assert brief(story) == ["open a", "close a", "open b", "close b"]


@pytest.mark.parametrize("replicas", [[], ["-M", "replicas=2", "-J", "replicas=2"]])
def test_the_processes_of_a_local_model_are_gone_before_a_local_judge_opens(story: Path, replicas: list[str]) -> None:
    ended = harness_here(*words(judge="tone=toy/judge"), *here("-J", "folder=.", *replicas))
    assert ended.code == 0, ended.err
    assert brief(story) == ["open plain", "close plain", "open judge", "close judge"]


def test_models_of_a_file_have_replicas_and_devices_of_their_own() -> None:
    entries = [
        {"model": "toy/plain", "settings": {"replicas": 2}},
        {"model": "toy/other", "settings": {"devices": [0]}},
    ]
    Path("models.yaml").write_text(json.dumps(entries), encoding="utf-8")
    ended = harness_here(*words(*("say x",) * 8, model="", models="models.yaml"), *here())
    assert ended.code == 2
    assert "toy/other: there is no device '0': this machine has no CUDA device" in ended.err
    assert len({text["pid"] for text in texts()}) == 2, "one failing does not stop the rest"


class TestWithDevices:
    """On a machine with eight devices, as far as anybody here looks, of which four may be used."""

    @pytest.fixture(autouse=True)
    def four(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Machine, "here", staticmethod(lambda: Machine(count=8, allowed="4,5,6,7")))

    def test_there_is_one_replica_on_each_device(self) -> None:
        ended = harness_here(*words(*("say x",) * 8, devices="0,2"), *here())
        assert ended.code == 0, ended.err
        assert {text["devices"] for text in texts()} == {"4", "6"}

    def test_one_device_is_held_to_by_a_process_of_its_own(self) -> None:
        assert harness_here(*words("say x", devices="3"), *here()).code == 0
        [text] = texts()
        assert (text["devices"], text["pid"] == os.getpid()) == ("7", False)

    def test_a_models_own_devices_stand_over_the_flag(self) -> None:
        assert (
            harness_here(*words(*("say x",) * 8, devices="0,2"), *here("-M", "devices=1", "-M", "replicas=1")).code == 0
        )
        assert {text["devices"] for text in texts()} == {"5"}

    def test_a_dry_run_says_what_would_be_opened_where(self) -> None:
        ended = harness_here(
            *words(judge="tone=toy/judge", devices="0,1"), *here("-J", "replicas=1", "--dry-run", "--json")
        )
        assert {load["role"]: load["where"] for load in json.loads(ended.out)} == {
            "model": "2 processes: device 0 · device 1",
            "tone": "1 process: devices 0,1",
        }

    def test_a_config_may_list_them(self) -> None:
        Path("harness.yaml").write_text("devices: [1, 3]", encoding="utf-8")
        loads = json.loads(harness_here(*words(), "--dry-run", "--json").out)
        assert {load["where"] for load in loads} == {"2 processes: device 1 · device 3"}


def test_without_replicas_or_devices_a_model_is_opened_in_this_process() -> None:
    assert harness_here(*words("say x"), *here()).code == 0
    assert texts()[0]["pid"] == os.getpid()
    [load] = json.loads(harness_here(*words(), "--dry-run", "--json").out)
    assert load["where"] == "this process"


def test_a_model_that_is_not_local_takes_neither(tmp_path: Path) -> None:
    ended = harness_here(*words(model="openai/x"), "-M", "replicas=2", "--dry-run")
    assert ended.code == 2
    assert "provider openai has no setting 'replicas'" in ended.err
    loads = json.loads(harness_here(*words(model="openai/x"), "--devices", "0", "--dry-run", "--json").out)
    assert {load["where"] for load in loads} == {"elsewhere"}


def test_a_scheme_of_the_users_own_has_replicas_too() -> None:
    rows = "schemes: {mine: {provider: toy, settings: {tone: low}}, ours: {provider: mine}}"
    Path("harness.yaml").write_text(rows, encoding="utf-8")
    for scheme in ("mine", "ours"):
        ended = harness_here(*words("say x", model=f"{scheme}/plain"), *here("-M", "replicas=1"))
        assert ended.code == 0, ended.err
        [text] = texts(f"runs/{scheme}-plain")
        assert (text["settings"]["tone"], text["pid"] == os.getpid()) == ("low", False)


def listed(*more: object) -> Ended:
    return harness_here("models", "list", *more, *PLUGINS)


def test_the_list_of_models_shows_what_every_local_provider_takes() -> None:
    [toy] = json.loads(listed("toy", "--json").out)
    assert [setting["name"] for setting in toy["settings"]][-5:-3] == ["replicas", "devices"]
    assert "devices" in listed("mini").out
    assert "devices" not in listed("openai").out
