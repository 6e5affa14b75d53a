"""`harness bridge lm-eval`: lm-eval's command line with our models, on a task that lies in a folder."""

import functools
import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL.Image
import PIL.ImageChops
import pytest

from harness import Failure, HarnessError, ModelInfo, Policy, Request, Response, plugins
from harness.drawings import draw
from harness.models import ModelSpec
from harness.testing.fakes import Script, fake_provider, host_of
from harness.types import Image, Text
from tests.zoos import lm_eval_tasks

BLOCK = Failure(outcome="input_blocked", reason="content_filter", message="no")
CAN = frozenset({"images", "system", "raw", "choices"})


@pytest.fixture
def tasks(tmp_path: Path) -> str:
    return str(lm_eval_tasks.write_drawn(tmp_path))


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """lm-eval without its own 14,000 tasks, whose listing takes seconds."""
    from lm_eval.tasks import TaskManager

    inner = TaskManager.__init__
    monkeypatch.setattr(TaskManager, "__init__", functools.partialmethod(inner, include_defaults=False))


Bridge = Callable[..., tuple[int, list[Request]]]


@pytest.fixture
def bridge(few: None, tasks: str, tmp_path: Path) -> Bridge:
    """Runs lm-eval on the folder's tasks with a model that follows a script."""
    from harness_bridge.lm_eval.running import run_lm_eval

    def ran(
        script: Script, *flags: str, task: str = "drawn", stops: bool = True, can: Any = CAN, images: int | None = None
    ) -> tuple[int, list[Request]]:
        asked: list[Request] = []

        def said(request: Request) -> str | Response | Failure:
            asked.append(request)
            return script(request) if callable(script) else script[0]

        info = ModelInfo(ref="", endpoint="fake", can=can, max_images=images)
        with plugins.use(host_of(fake_provider(said, info=info))):
            spec = ModelSpec(ref="fake/model")
            return run_lm_eval(spec, Policy(), ["--tasks", task, "--include_path", tasks, *flags], stops=stops), asked

    return ran


def results(folder: Path) -> dict[str, Any]:
    [file] = folder.rglob("results_*.json")
    return json.loads(file.read_text("utf-8"))


TEMPLATE = "--apply_chat_template"


def test_the_real_command_scores_our_model_and_says_how_its_samples_ended(tasks: str, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "harness", "bridge", "lm-eval", "--model", "mini/base", "--"),
        *("run", "--tasks", "drawn,chosen", "--include_path", tasks, TEMPLATE, "--log_samples"),
        *("--output_path", str(tmp_path / "out")),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    found = results(tmp_path / "out")
    assert found["results"]["drawn"]["acc,none"] >= 2 / 3
    assert found["results"]["chosen"]["acc,none"] == 1
    assert found["config"]["harness"] == {"model": "mini/base", "outcomes": {"answered": 6}}
    assert found["config"]["model_args"] == {"model": "mini/base"}
    assert "answered  6" in done.stderr


def test_each_sample_is_asked_with_its_images_in_order_and_pixel_for_pixel(bridge: Bridge) -> None:
    code, asked = bridge(["red circle"], TEMPLATE)
    assert code == 0
    assert len(asked) == 3
    for request, pair in zip(sorted(asked, key=place), lm_eval_tasks.PAIRS, strict=True):
        [message] = request.messages
        first, second, words = message.content
        assert isinstance(words, Text)
        assert words.text == lm_eval_tasks.QUESTION
        for part, thing, name in ((first, pair[0], "first"), (second, pair[1], "second")):
            assert isinstance(part, Image)
            expected = draw(*thing.split(), random.Random(name))
            seen = PIL.Image.open(io.BytesIO(part.opened.data))
            assert PIL.ImageChops.difference(seen, expected).getbbox() is None
        assert (request.settings.temperature, request.settings.max_tokens) == (0.0, 40)
        assert request.settings.stop == ("\n\n",)


def place(request: Request) -> int:
    """Which pair a request shows, by its first image."""
    shown = PIL.Image.open(io.BytesIO(request.images[0].opened.data))
    return next(
        at
        for at, (one, _) in enumerate(lm_eval_tasks.PAIRS)
        if PIL.ImageChops.difference(shown, draw(*one.split(), random.Random("first"))).getbbox() is None
    )


def test_what_follows_a_stop_is_cut_off_though_the_model_goes_on(bridge: Bridge, tmp_path: Path) -> None:
    bridge(["nothing\n\nred circle blue square green star"], TEMPLATE, "--output_path", str(tmp_path / "out"))
    assert results(tmp_path / "out")["results"]["drawn"]["acc,none"] == 0


def test_a_sample_without_an_answer_stops_it_before_there_are_numbers(bridge: Bridge, tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"of drawn has no answer: input_blocked: content_filter") as fault:
        bridge([BLOCK], TEMPLATE, "--output_path", str(tmp_path / "out"))
    assert "--on-failure empty" in fault.value.remedy
    assert not (tmp_path / "out").exists()


def test_where_it_may_count_as_empty_the_exit_code_and_the_results_tell(
    bridge: Bridge, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def script(request: Request) -> str | Failure:
        return BLOCK if place(request) == 1 else "red circle, green star"

    code, _ = bridge(script, TEMPLATE, "--output_path", str(tmp_path / "out"), stops=False)
    assert code == 3
    assert results(tmp_path / "out")["config"]["harness"]["outcomes"] == {"answered": 2, "input_blocked": 1}
    said = capsys.readouterr().err
    assert "drawn  1    input_blocked  content_filter  no" in said
    assert "1 samples have no answer; lm-eval's numbers count each as an empty one" in said


def test_choices_are_weighed_in_one_request_a_sample(bridge: Bridge) -> None:
    def weigh(request: Request) -> Response:
        assert request.raw
        assert request.choices == (" red", " zzz qqq")
        return Response(text=" red", choices={" red": -1.0, " zzz qqq": -9.0})

    code, asked = bridge(weigh, task="chosen")
    assert code == 0
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("flags", "fields", "said"),
    [
        ((TEMPLATE,), {"images": 1}, "a sample shows 2 images at once; fake/model takes 1"),
        ((), {}, "fake/model needs a chat template"),
        ((TEMPLATE,), {"can": frozenset({"system"})}, "multimodal"),
        ((TEMPLATE, "--gen_kwargs", "num_beams=4"), {}, "num_beams=4, which our models do not support"),
        ((TEMPLATE, "--system_instruction", "be brief"), {"can": frozenset({"images"})}, "takes no system message"),
        ((), {"can": frozenset({"raw"}), "task": "chosen"}, "it has no `choices`"),
        (("--model", "hf"), {}, "--model: the bridge sets the model"),
    ],
)
def test_what_the_model_cannot_be_asked_is_refused_before_anything_is_asked(
    bridge: Bridge, flags: tuple[str, ...], fields: dict[str, Any], said: str
) -> None:
    asked: list[Request] = []
    with pytest.raises(HarnessError, match=said):
        bridge(lambda request: asked.append(request) or "ok", *flags, **fields)
    assert asked == []
