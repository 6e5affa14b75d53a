"""The zoos' own clients ask `harness.web`: lm-eval's `local-chat-completions`, VLMEvalKit's `--base-url`."""

import base64
import csv
import hashlib
import io
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import anyio.from_thread
import PIL.Image
import pytest

from harness import ModelInfo, Request
from harness.limits import Policy
from harness.models import ModelSpec, open_metered
from harness.testing.fakes import FakeModel
from harness.types import Image
from harness.web import chat_app, serving
from tests.zoos import lm_eval_tasks
from tests.zoos.lm_eval_tasks import drawing

TOKEN = "a-token-of-the-tests"
INFO = ModelInfo(ref="fake/model", endpoint="fake")


@contextmanager
def served(model: FakeModel, *, files: Path | None = None) -> Generator[str]:
    """The base URL of a server in a thread of its own."""
    app = chat_app(model, name="ours", token=TOKEN, files=files)
    with anyio.from_thread.start_blocking_portal() as portal, portal.wrap_async_context_manager(serving(app)) as place:
        yield f"{place.url}/v1"


def ran(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **environment}
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=250, check=False, env=env)


def images(request: Request) -> list[str]:
    """sha256 of each image's pixels, in order."""
    return [pixels(PIL.Image.open(io.BytesIO(image.opened.data))) for image in request.images]


def pixels(picture: PIL.Image.Image) -> str:
    return hashlib.sha256(picture.convert("RGB").tobytes()).hexdigest()


def test_lm_eval_asks_the_mini_model_over_http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import lm_eval
    from lm_eval.tasks import TaskManager

    monkeypatch.setenv("OPENAI_API_KEY", TOKEN)
    tasks = str(lm_eval_tasks.write_drawn(tmp_path, marks=False))
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(open_metered(ModelSpec(ref="mini/base"), Policy())) as model,
        portal.wrap_async_context_manager(serving(chat_app(model, name="mini/base", token=TOKEN))) as place,
    ):
        found = lm_eval.simple_evaluate(
            model="local-chat-completions",
            model_args=f"model=mini/base,base_url={place.url}/v1/chat/completions,num_concurrent=3,max_images=8",
            tasks=["drawn"],
            task_manager=TaskManager(include_path=tasks, include_defaults=False),
            apply_chat_template=True,
            log_samples=True,
            bootstrap_iters=0,
        )
    assert found["results"]["drawn"]["acc,none"] >= 2 / 3, found["samples"]["drawn"]


def write_choices(folder: Path) -> tuple[list[str], list[str]]:
    """A task of VLMEvalKit's with two images a question; the hashes of their pixels, question by question."""
    hashes, rows = list[str](), list[dict[str, str]]()
    for index, pair in enumerate(lm_eval_tasks.PAIRS):
        pictures = [drawing(thing).opened.data for thing in pair]
        hashes += [pixels(PIL.Image.open(io.BytesIO(data))) for data in pictures]
        rows.append(
            {
                "index": str(index),
                "image": str([base64.b64encode(data).decode() for data in pictures]),
                "question": f"Which is first in {index}?",
                "A": pair[0],
                "B": pair[1],
                "answer": "A",
            }
        )
    with (folder / "OursDrawn.tsv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)
    return hashes, [row["question"] for row in rows]


@pytest.mark.parametrize("local", [False, True], ids=["data urls", "file urls"])
def test_vlmevalkit_asks_with_its_images_in_order(tmp_path: Path, local: bool) -> None:
    data = tmp_path / "LMUData"
    data.mkdir()
    hashes, questions = write_choices(data)
    model = FakeModel("A", INFO)
    with served(model, files=data if local else None) as url:
        done = ran(
            *("-m", "vlmeval", "--data", "OursDrawn", "--model", "ours", "--base-url", url, "--key", TOKEN),
            *(
                "--judge",
                "exact_matching",
                "--max-tokens",
                "16",
                "--work-dir",
                str(tmp_path / "out"),
                "--api-nproc",
                "2",
            ),
            *(["--local-media"] if local else []),
            LMUData=str(data),
        )
    by_question = {text: images(request) for request in model.asked for text in questions if text in words(request)}
    assert set(by_question) == set(questions), done.stdout[-3000:] + done.stderr[-3000:]
    assert all(request.settings.max_tokens == 16 for request in model.asked)
    seen = [hash_ for text in questions for hash_ in by_question[text]]
    assert len(seen) == 6
    if local:  # only then it sends the files as they are
        assert seen == hashes


def words(request: Request) -> str:
    return "\n".join(
        part.text for message in request.messages for part in message.content if not isinstance(part, Image)
    )
