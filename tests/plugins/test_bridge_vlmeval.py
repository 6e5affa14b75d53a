"""`harness bridge vlmeval`: VLMEvalKit's command line, over a fake of it, asks one of our models."""

import base64
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner, Result
from harness_bridge.vlmeval.running import name_model

from harness import Generation
from harness.cli import cli
from harness.models import ModelSpec
from harness.testing.fakes import PIXEL

ZOO = Path(__file__).with_name("fake_zoo")
FAILED = "Failed to obtain answer via API."
PLUGIN = """
from contextlib import asynccontextmanager
import anyio
from harness import Failure, HarnessError, ModelInfo, Provider, Text, hookimpl
from harness.testing.fakes import fake_provider

def say(request):
    words = " ".join(part.text for each in request.messages for part in each.content if isinstance(part, Text))
    if "block" in words:
        return Failure(outcome="input_blocked", reason="content_filter", message="not this")
    if "nothing" in words:
        return ""
    if "stop" in words:
        raise HarnessError("the key is not accepted", remedy="export KEY=...")
    roles = "".join(each.role[0] for each in request.messages)
    shown = " ".join(image.opened.sha256[:8] for image in request.images)
    return " ".join(filter(None, (roles, words, shown, str(request.settings.max_tokens))))

class Slow:
    info = ModelInfo(ref="slow/m", endpoint="slow")

    async def generate(self, request):
        print("waiting", flush=True)
        await anyio.sleep_forever()

@asynccontextmanager
async def slow(name, settings):
    yield Slow()

SLOW = Provider(scheme="slow", description="never answers", open=slow)

@hookimpl
def harness_models():
    info = ModelInfo(ref="", endpoint="two", max_images=2, can=frozenset({"images"}))
    return [fake_provider(say), fake_provider(say, scheme="two", info=info), SLOW]
"""
Bridge = Callable[..., Result]


def text(value: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "value": value, **more}


def image(value: str) -> dict[str, Any]:
    return {"type": "image", "value": value}


@pytest.fixture
def bridge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bridge:
    """Run the bridge on questions, one list for each data set."""
    monkeypatch.setenv("PYTHONPATH", str(ZOO))
    monkeypatch.setenv("LMUData", str(tmp_path))
    monkeypatch.delenv("HARNESS_VLMEVAL_PYTHON", raising=False)
    monkeypatch.delenv("MMEVAL_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    Path("plugin.py").write_text(PLUGIN, encoding="utf-8")
    Path("one.png").write_bytes(PIXEL)

    def run(
        *flags: str, model: str = "fake/m.1", data: dict[str, Any] | None = None, ours: tuple[str, ...] = ()
    ) -> Result:
        for name, questions in (data or {}).items():
            Path(f"{name}.json").write_text(json.dumps(questions), encoding="utf-8")
        names = ("--data", *data) if data else ()
        command = ["bridge", "vlmeval", "--plugin", "plugin.py", "--model", model, *ours, "--", *names, *flags]
        return CliRunner().invoke(cli, command, standalone_mode=False)

    return run


def answers(name: str, model: str = "fake-m-1", under: str = "outputs") -> list[str]:
    found: list[str] = json.loads((Path(under) / model / f"{name}.json").read_text("utf-8"))
    return found


def test_questions_reach_the_model_with_their_parts_in_order(bridge: Bridge) -> None:
    url = "data:image/png;base64," + base64.b64encode(PIXEL).decode()
    done = bridge(data={"set": [[text("a"), image("one.png"), text("b"), image(url)]]})
    assert done.return_value == 0, done.output
    assert answers("set") == ["u a b 9853e99c 9853e99c 2048"]


def test_a_conversation_keeps_its_turns_and_a_system_part_is_a_turn_of_its_own(bridge: Bridge) -> None:
    talk = [
        {"role": "user", "content": [text("q")]},
        {"role": "assistant", "content": "r"},
        {"role": "user", "content": "s"},
    ]
    done = bridge(data={"talks": [talk], "set": [[text("be", role="system"), text("x")]]})
    assert done.return_value == 0, done.output
    assert answers("talks") == ["uau q r s 2048"]
    assert answers("set") == ["su be x 2048"]


def test_what_is_not_answered_is_their_fail_string_and_is_counted_by_outcome(bridge: Bridge) -> None:
    questions = [
        [text("fine")],
        [text("block")],
        [text("nothing")],
        [image("gone.png")],
        [image("http://127.0.0.1:9/a.png")],
    ]
    done = bridge(data={"set": questions})
    assert answers("set")[1:] == [FAILED] * 4
    assert "5 answers asked for: 1 answered, 2 bad_sample, 1 empty, 1 input_blocked" in done.stderr
    assert "1 times content_filter: not this" in done.stderr
    assert done.return_value == 3


def test_a_block_alone_leaves_the_run_complete(bridge: Bridge) -> None:
    assert bridge(data={"set": [[text("fine")], [text("block")]]}).return_value == 0


@pytest.mark.parametrize(
    ("question", "why"),
    [
        ([image("one.png")] * 3, "3 images, and the model takes 2"),
        ([text("s", role="system"), text("x")], "takes no system message"),
        ([{"type": "video", "value": "a.mp4"}], "a part of the type video"),
    ],
    ids=["images", "system", "video"],
)
def test_what_the_model_can_not_be_asked_is_an_error_and_is_not_asked(bridge: Bridge, question: Any, why: str) -> None:
    done = bridge(model="two/m", data={"set": [question]})
    assert answers("set", "two-m") == [FAILED]
    assert why in done.stderr
    assert done.return_value == 3


def test_a_judge_that_needs_no_model_is_added_only_where_none_is_named(bridge: Bridge) -> None:
    for flags, judge in (((), "exact_matching"), (("--judge", "mine"), "mine"), (("--judge=mine",), "mine")):
        assert bridge(*flags, data={"set": [[text("x")]]}).return_value == 0
        assert json.loads(Path("outputs/fake-m-1/status.json").read_text("utf-8"))["judge"] == judge


def test_their_flags_reach_them_and_results_are_looked_for_where_they_say(bridge: Bridge) -> None:
    done = bridge("--work-dir", "mine", "--api-nproc", "1", data={"set": [[text("x")]]}, ours=("--max-tokens", "9"))
    assert done.return_value == 0, done.output
    [place] = Path("mine").glob("fake-m-1-*")
    assert answers("set", place.name, under="mine") == ["u x 9"]
    assert f"results: {place}" in done.stderr


def test_a_model_with_other_settings_has_another_name_there_since_answers_are_taken_up_by_name() -> None:
    def name(tokens: int = 2048, **given: Any) -> str:
        spec = ModelSpec(ref="openai/gpt-4.1", settings=given)
        return name_model(spec, Generation(temperature=0.0, max_tokens=tokens))

    assert name() == name(timeout=1.0, base_url="") == "openai-gpt-4-1"
    others = {name(detail="low"), name(detail="high"), name(9)}
    assert len(others) == 3
    assert all(re.fullmatch("openai-gpt-4-1-[0-9a-f]{6}", other) for other in others)


def test_without_data_nothing_is_started(bridge: Bridge) -> None:
    done = bridge()
    assert "--data is not among VLMEvalKit's flags" in str(done.exception)
    assert not Path("outputs").exists()


def test_one_failed_data_set_leaves_the_run_incomplete_and_all_of_them_are_an_error(bridge: Bridge) -> None:
    some = bridge("--data", "set", "lost", data={"set": [[text("x")]]})
    assert some.return_value == 3
    assert "lost: " in some.stderr
    every = bridge("--data", "lost")
    assert "VLMEvalKit failed on every data set: lost" in str(every.exception)


def test_what_will_never_work_ends_their_run_too(bridge: Bridge) -> None:
    before = psutil.Process().children()
    done = bridge(data={"set": [[text("stop")]] * 3})
    assert "the key is not accepted" in str(done.exception)
    assert [each for each in psutil.Process().children() if each not in before] == []


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--model", "theirs"), "--model is among VLMEvalKit's flags"),
        (("--base-url=http://x",), "--base-url is among VLMEvalKit's flags"),
        (("--no-such-flag",), "ended with status 2"),
    ],
)
def test_flags_that_do_not_fit_are_refused(bridge: Bridge, flags: tuple[str, ...], words: str) -> None:
    assert words in str(bridge(*flags, data={"set": [[text("x")]]}).exception)


def test_an_interpreter_without_vlmevalkit_is_told_with_the_command_that_mends_it(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "")
    assert "pip install 'vlm-safety-harness[vlmeval]'" in str(bridge(data={"set": []}).exception)
    assert "does not start" in str(bridge(data={"set": []}, ours=("--python", "/no/such/python")).exception)


@pytest.mark.skipif(os.name == "nt", reason="signals of a terminal")
def test_ctrl_c_ends_both_and_leaves_nothing(bridge: Bridge) -> None:
    Path("set.json").write_text(json.dumps([[text("wait")]]), encoding="utf-8")
    command = [sys.executable, "-m", "harness", "bridge", "vlmeval", "--plugin", "plugin.py", "--model", "slow/m"]
    with subprocess.Popen([*command, "--", "--data", "set"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"waiting\n"
        (child,) = psutil.Process(running.pid).children()
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=30)
    assert running.returncode == 130
    assert not child.is_running()
