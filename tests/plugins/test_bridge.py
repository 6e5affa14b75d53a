"""The bridge to lm-eval, in what needs no lm-eval: how its contexts become our requests. With it, see tests/zoos."""

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

import PIL.Image
import psutil
import pytest
from click.testing import CliRunner, Result
from harness_bridge.lm_eval.questions import Sampling, Tally, encode_turns, to_request
from harness_bridge.vlmeval.running import name_model

from harness import Failure, Generation, HarnessError, ModelInfo, Request, Response
from harness.cli import cli
from harness.images import decode
from harness.models import ModelSpec
from harness.testing.fakes import PIXEL
from harness.types import Image, Text

ALL = ModelInfo(ref="fake/m", endpoint="f", can=frozenset({"images", "system", "raw", "choices", "prefill"}))
RED, BLUE = PIL.Image.new("RGB", (9, 7), "red"), PIL.Image.new("RGBA", (5, 5), "blue")


def turn(content: str, role: str = "user") -> dict[str, str]:
    return {"role": role, "content": content}


def made(context: str, *visuals: Any, info: ModelInfo = ALL, **fields: Any) -> Request:
    found = to_request(context, visuals, info, settings=Generation(), **fields)
    assert isinstance(found, Request), found
    return found


def kinds(request: Request) -> list[list[Any]]:
    return [
        [part.text if isinstance(part, Text) else (part.opened.width, part.opened.height) for part in message.content]
        for message in request.messages
    ]


def test_pictures_stand_where_their_marks_are_in_whichever_turn() -> None:
    context = encode_turns(
        [turn("s", "system"), turn("a <image> b"), turn("c", "assistant"), turn("<image>d")], answers=True
    )
    request = made(context, RED, BLUE)
    assert [message.role for message in request.messages] == ["system", "user", "assistant", "user"]
    assert kinds(request) == [["s"], ["a ", (9, 7), " b"], ["c"], [(5, 5), "d"]]
    assert request.prefill == ""


def test_pictures_without_marks_stand_before_the_last_turn() -> None:
    assert kinds(made(encode_turns([turn("a")], answers=True), RED, BLUE)) == [[(9, 7), (5, 5), "a"]]


def test_a_mark_without_pictures_is_a_word() -> None:
    assert kinds(made(encode_turns([turn("what is <image>?")], answers=True))) == [["what is <image>?"]]


def test_marks_that_do_not_match_the_pictures_are_the_samples_fault() -> None:
    found = to_request(encode_turns([turn("<image>")], answers=True), [RED, BLUE], ALL, settings=Generation())
    assert isinstance(found, Failure)
    assert (found.outcome, found.message) == ("bad_sample", "1 marks, 2 pictures")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1", "CMYK"])
def test_pixels_are_kept_whatever_the_pictures_mode(mode: str) -> None:
    picture = PIL.Image.linear_gradient("L").convert("RGB").convert(mode)
    [image] = made(encode_turns([turn("<image>")], answers=True), picture).images
    assert isinstance(image, Image)
    assert decode(image.opened).tobytes() == picture.convert("RGB").tobytes()


def test_what_is_no_picture_is_the_samples_fault() -> None:
    found = to_request(encode_turns([turn("<image>")], answers=True), ["a.png"], ALL, settings=Generation())
    assert isinstance(found, Failure)
    assert (found.outcome, found.reason) == ("bad_sample", "not_an_image")


def test_a_begun_answer_is_a_prefill() -> None:
    history = [turn("q"), turn("Answer:", "assistant")]
    request = made(encode_turns(history, answers=False) + " the")
    assert kinds(request) == [["q"]]
    assert request.prefill == "Answer: the"


def test_a_context_without_a_template_is_raw_text() -> None:
    request = made("once upon", choices=(" a", " b"))
    assert (request.raw, request.choices, kinds(request)) == (True, (" a", " b"), [["once upon"]])


@pytest.mark.parametrize(
    ("context", "visuals", "fields", "said"),
    [
        ("plain", [], {"can": frozenset({"system"})}, "needs a chat template"),
        ("plain <image>", [RED], {}, "needs a chat template"),
        (encode_turns([turn("<image>")], answers=True), [RED], {"can": frozenset({"raw"})}, "takes 0"),
        (encode_turns([turn("<image><image>")], answers=True), [RED, RED], {"max_images": 1}, "takes 1"),
        (
            encode_turns([turn("q"), turn("A:", "assistant")], answers=False),
            [],
            {"can": frozenset()},
            "not support prefill",
        ),
        (encode_turns([turn("s", "system"), turn("q")], answers=True), [], {"can": frozenset()}, "no system message"),
    ],
)
def test_what_the_model_has_no_ability_for_ends_it(
    context: str, visuals: list[Any], fields: dict[str, Any], said: str
) -> None:
    info = ModelInfo(**{"ref": "fake/m", "endpoint": "f", "can": ALL.can, **fields})
    with pytest.raises(HarnessError, match=said):
        to_request(context, visuals, info, settings=Generation())


@pytest.mark.parametrize(
    ("given", "temperature", "tokens", "top_p"),
    [
        ({}, 0.0, 256, None),
        ({"do_sample": False, "temperature": 0.7, "top_p": 0.9, "top_k": 5}, 0.0, 256, None),
        ({"do_sample": True, "max_new_tokens": 9}, 1.0, 9, None),
        ({"temperature": 0.5, "top_p": 0.9, "max_gen_toks": 7, "num_beams": 1}, 0.5, 7, 0.9),
    ],
)
def test_a_tasks_settings_are_ours(given: dict[str, Any], temperature: float, tokens: int, top_p: float | None) -> None:
    settings = Sampling.of(given).settings
    assert (settings.temperature, settings.max_tokens, settings.top_p) == (temperature, tokens, top_p)


def test_a_setting_that_we_do_not_have_is_refused() -> None:
    with pytest.raises(HarnessError, match=r"repetition_penalty=1\.3"):
        Sampling.of({"repetition_penalty": 1.3})


def test_every_stop_ends_an_answer_and_four_are_sent() -> None:
    sampling = Sampling.of({"until": ["1", "2", "3", "4", "5", ""]})
    assert sampling.settings.stop == ("1", "2", "3", "4")
    assert sampling.cut("ab5cd3") == "ab"
    assert Sampling.of({"until": "x"}).cut("axb") == "a"


def test_the_tally_says_how_many_ended_how_and_which_failed() -> None:
    tally = Tally()
    tally.add("t", "0", Response(text="a"))
    tally.add("t", "1", Response(text=" "))
    tally.add("t", "2", Failure(outcome="input_blocked", reason="content_filter", message="\x1b[31mno"))
    assert tally.outcomes == {"answered": 1, "empty": 1, "input_blocked": 1}
    assert "t     2    input_blocked  content_filter  [31mno" in tally.text
    assert "\x1b" not in tally.text


def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "harness_bridge.lm_eval.running", None)
    done = CliRunner().invoke(cli, ["bridge", "lm-eval", "--model", "mini/base", "--", "--tasks", "x"])
    assert "pip install 'vlm-safety-harness[lm-eval]'" in str(done.exception)


def test_the_list_of_bridges_imports_none_of_them() -> None:
    done = CliRunner().invoke(cli, ["bridge", "--help"])
    assert done.exit_code == 0
    assert "lm-eval" in done.output
    assert "vlmeval" in done.output
    assert "no command is called 'lm_eval'" in CliRunner().invoke(cli, ["bridge", "lm_eval"]).output


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
        ([{"type": "video", "value": "a.mp4"}], "a part with the type video"),
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
