"""The bridge to lm-eval, in what needs no lm-eval: how its contexts become our requests. With it, see tests/zoos."""

import sys
from typing import Any

import PIL.Image
import pytest
from click.testing import CliRunner
from harness_bridge.lm_eval.contexts import Sampling, encode_turns, to_request
from harness_bridge.lm_eval.questions import Tally

from harness import Failure, Generation, HarnessError, ModelInfo, Request, Response
from harness.cli import cli
from harness.images import decode
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
        ("plain", [], {"can": frozenset({"system"})}, "without a chat template"),
        ("plain <image>", [RED], {}, "without a chat template"),
        (encode_turns([turn("<image>")], answers=True), [RED], {"can": frozenset({"raw"})}, "takes 0"),
        (encode_turns([turn("<image><image>")], answers=True), [RED, RED], {"max_images": 1}, "takes 1"),
        (encode_turns([turn("q"), turn("A:", "assistant")], answers=False), [], {"can": frozenset()}, "no prefill"),
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
