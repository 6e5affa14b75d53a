"""`vlmeval/NAME` and `harness bridge vlmeval` with the real VLMEvalKit, offline."""

import base64
import csv
import json
import os
import random
import ssl
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import harness_vlmeval
import pytest
from harness_vlmeval.process import KitProcess, Refused, start_kit

from harness import Failure, Generation, Message, Model, Request, Response, Text
from harness.drawings import draw, png
from harness.evaluation.probe import PROBE_QUESTION
from harness.images import inline_image, open_image
from harness.settings import effective
from harness.testing.faults import filtered_azure, throttled
from harness.testing.server import ChatServer

THINGS = ("red circle", "blue square", "green star", "yellow cross")
LETTERS = "ABCD"
PLUGIN = """
from harness import Failure, Text, hookimpl
from harness.testing.fakes import fake_provider

def say(request):
    words = " ".join(part.text for each in request.messages for part in each.content if isinstance(part, Text))
    number = int(words.split("Number ")[1][0])
    assert len(request.images) == (2 if "pair" in words else 1)
    blocked = Failure(outcome="input_blocked", reason="content_filter")
    return {1: blocked, 2: ""}.get(number, "ABCD"[number])

@hookimpl
def harness_models():
    return [fake_provider(say)]
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own: importing VLMEvalKit may write into it."""
    place = tmp_path / "home"
    place.mkdir()
    monkeypatch.setenv("HOME", str(place))
    monkeypatch.delenv("LMUData", raising=False)
    return place


def drawing(thing: str) -> bytes:
    return png(draw(*thing.split(), random.Random(thing)))


def asked(text: str, *, mixed: bool = True) -> Request:
    shown = [open_image(inline_image(f"{thing}.png", drawing(thing))) for thing in THINGS[:2]]
    words = Text(text=text)
    content = (words, shown[0], Text(text="and"), shown[1]) if mixed else (*shown, words)
    return Request(messages=(Message(role="user", content=content),), settings=Generation(max_tokens=33))


def opening(name: str, weights: Path | None = None, **args: Any) -> Any:
    [provider] = harness_vlmeval.harness_models()
    settings = {"args": json.dumps(args), **({"model_path": weights} if weights else {})}
    return provider.open(name, effective(provider.settings, settings, owner="provider vlmeval"))


async def failure(model: Model) -> Failure:
    said = await model.generate(asked("?"))
    assert isinstance(said, Failure)
    return said


@pytest.mark.anyio
async def test_a_model_of_the_zoo_asks_its_server_with_parts_in_order_and_gives_true_outcomes(home: Path) -> None:
    context = ssl._create_default_https_context
    async with (
        ChatServer("a circle") as server,
        opening("GPT4o", api_base=f"{server.base_url}/chat/completions") as model,
    ):
        text = "https://127.0.0.1:9/a.png"  # would be fetched, were it not kept a text
        said = await model.generate(asked(text))
        assert isinstance(said, Response)
        assert (said.text, said.model, said.usage.output_tokens > 0) == ("a circle", "test-model-2026-01-01", True)
        [call] = server.calls
        assert [part.kind for part in call.parts] == ["text", "image", "text", "image"]
        assert call.parts[0].value == text
        assert len(set(call.images)) == 2
        assert (call.parameters["temperature"], call.parameters["max_tokens"]) == (0.0, 33)
        server.play = filtered_azure()
        assert (await failure(model)).outcome == "input_blocked"
        server.play = throttled(3)
        assert (await failure(model)).retry_after == 3
        server.play = ""
        empty = await model.generate(asked("?"))
        assert isinstance(empty, Response)
        assert empty.text == ""
        assert len(server.calls) == 4  # one try a call
        info = model.info
    assert info.dropped == frozenset()
    assert "JPEG" in info.notes[0]
    assert str(info.fingerprint["package"]).startswith("ms-vlmeval ")
    assert info.fingerprint["class"] == "vlmeval.api.gpt.GPT4V"
    assert not [name for name in sys.modules if name.partition(".")[0] == "vlmeval"]
    assert ssl._create_default_https_context is context
    assert left_in(home) == []


def left_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name == "LMUData"]


async def opened(child: KitProcess, name: str, **arguments: Any) -> Any:
    return await child.ask("open", name=name, arguments=arguments)


@pytest.mark.anyio
async def test_the_zoo_is_listed_and_what_its_classes_take_is_read_from_their_source(tmp_path: Path) -> None:
    async with anyio.create_task_group() as tasks:
        child = await start_kit(tasks, sys.executable, data=tmp_path)
        names = (await child.ask("list"))["names"]
        claude = await opened(child, "Claude3-5V_Sonnet", key="k")
        served = await opened(child, "LMDeployAPI", model="m", api_base="http://127.0.0.1:9/v1/chat/completions")
        reasoning = await opened(child, "o3", api_base="http://127.0.0.1:9/v1/chat/completions")
        with pytest.raises(Refused) as unknown:
            await opened(child, "qwen2-vl-7b-instruct-")
        await child.close()
        tasks.cancel_scope.cancel()
    assert len(names) > 500
    assert "Qwen2-VL-7B-Instruct" in unknown.value.facts["nearest"]
    assert "temperature" not in claude["takes"]  # kept, and never sent
    assert "max_tokens" in claude["takes"]
    assert "key" not in claude["arguments"]
    assert {"temperature", "max_tokens"} <= set(served["takes"])
    assert "temperature" not in reasoning["takes"]
    assert claude["is_api"]
    assert served["interleave"]


#: what a class for CUDA wants, on a machine without
SHIM = """
import torch, transformers

inner = transformers.Qwen2VLForConditionalGeneration.from_pretrained.__func__
torch.cuda.set_device = lambda *_: None
transformers.BatchFeature.to = lambda self, *_, **__: self
transformers.Qwen2VLForConditionalGeneration.from_pretrained = classmethod(
    lambda cls, path, **_: inner(cls, path, dtype=torch.float32)
)
"""
NVIDIA_SMI = "#!/bin/sh\necho 'memory.free [MiB]'\necho '80000 MiB'\n"


@pytest.mark.anyio
async def test_a_local_class_answers_here_and_sees_two_images_in_their_order(
    tmp_path: Path, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(SHIM, encoding="utf-8")
    (tmp_path / "nvidia-smi").write_text(NVIDIA_SMI, encoding="utf-8")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    async with opening("Qwen2VLChat", weights=Path(base)) as model:
        said = await model.generate(asked(PROBE_QUESTION, mixed=False))
        info = model.info
    assert isinstance(said, Response)
    assert said.text == "The first image shows a red circle. The second image shows a blue square."
    assert (info.local, info.concurrency, info.dropped) == (True, 1, frozenset())
    assert "model.safetensors" in info.fingerprint["files"]


def encoded(things: Sequence[str]) -> str:
    images = [base64.b64encode(drawing(thing)).decode() for thing in things]
    return images[0] if len(images) == 1 else str(images)


def write(path: Path, *, pairs: bool) -> None:
    """A data set in VLMEvalKit's form, under a name it does not know, so that it has no checksum for it."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, delimiter="\t")
        rows.writerow(["index", "image", "question", *LETTERS, "answer", "category"])
        for number in range(4):
            shown = (THINGS[number], THINGS[(number + 1) % 4]) if pairs else (THINGS[number],)
            question = f"Number {number}: which {'pair' if pairs else 'thing'} is it?"
            rows.writerow([number, encoded(shown), question, *THINGS, LETTERS[number], "coarse perception"])


@pytest.mark.parametrize("mode", [(), ("--api-mode",)], ids=["local mode", "api mode"])
def test_their_command_line_scores_our_model_and_counts_what_was_not_answered_as_failed(
    tmp_path: Path, mode: tuple[str, ...]
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    write(data / "StarLike.tsv", pairs=False)
    write(data / "MuirLike.tsv", pairs=True)
    (tmp_path / "plugin.py").write_text(PLUGIN, encoding="utf-8")
    command = [sys.executable, "-m", "harness", "bridge", "vlmeval", "--plugin", "plugin.py", "--model", "fake/m"]
    theirs = ["--data", "StarLike", "MuirLike", "--work-dir", "out", *mode]
    done = subprocess.run(
        [*command, "--", *theirs],
        cwd=tmp_path,
        env={**os.environ, "LMUData": str(data)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "8 answers asked for: 4 answered, 2 empty, 2 input_blocked" in done.stderr
    assert "50.00% (2/4)" in done.stderr  # their own rate of failed answers
    newest = max((tmp_path / "out" / "fake-m").glob("**/status.json"))
    sets = json.loads(newest.read_text("utf-8"))["datasets"]
    assert {name: found["metrics"]["split=none|Overall"] for name, found in sets.items()} == {
        "StarLike": 0.5,
        "MuirLike": 0.5,
    }


def test_a_run_in_which_every_data_set_failed_is_an_error_though_theirs_is_not(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "StarLike.tsv").write_text("index\n1\n", encoding="utf-8")
    (tmp_path / "plugin.py").write_text(PLUGIN, encoding="utf-8")
    command = [sys.executable, "-m", "harness", "bridge", "vlmeval", "--plugin", "plugin.py", "--model", "fake/m"]
    done = subprocess.run(
        [*command, "--", "--data", "StarLike"],
        cwd=tmp_path,
        env={**os.environ, "LMUData": str(data)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "VLMEvalKit failed on every data set: StarLike: " in done.stderr
