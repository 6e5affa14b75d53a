"""Asking the `hf` provider in tests: requests, drawings, and what transformers says without anything of ours."""

from __future__ import annotations

import gc
import io
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import anyio
import harness_mini
import PIL.Image
import pytest
from harness_hf.provider import PROVIDER

from harness import Failure, Generation, HarnessError, Image, Message, Model, Request, Response, Text
from harness.drawings import COLORS, SHAPES, draw
from harness.images import inline_image, open_image
from harness.settings import effective

MINI = str(Path(harness_mini.__file__).with_name("base"))
GREEDY = Generation(temperature=0.0, max_tokens=24)
BOTH = "What do the two images show?"


@asynccontextmanager
async def opened(name: str | Path, **settings: Any) -> AsyncIterator[Model]:
    gc.freeze()  # a model that closes collects garbage: among all objects of torch that takes a third of a second
    values = effective(PROVIDER.settings, {"dtype": "float32", **settings}, owner="provider hf")
    async with PROVIDER.open(str(name), values) as model:
        yield model


async def refused(name: object, **settings: Any) -> HarnessError:
    """What opening a model raises."""
    with pytest.raises(HarnessError) as caught:
        async with opened(str(name), **settings):
            pass
    return caught.value


async def answers(model: Model, requests: Sequence[Request]) -> list[Response | Failure]:
    """All asked at once, in order."""
    given: dict[int, Response | Failure] = {}

    async def ask(at: int) -> None:
        given[at] = await model.generate(requests[at])

    async with anyio.create_task_group() as tasks:
        for at in range(len(requests)):
            tasks.start_soon(ask, at)
    return [given[at] for at in range(len(requests))]


async def answer(model: Model, request: Request) -> Response:
    given = await model.generate(request)
    assert isinstance(given, Response), given
    return given


def asked(*parts: Text | Image | str, settings: Generation = GREEDY, **more: Any) -> Request:
    content = tuple(Text(text=part) if isinstance(part, str) else part for part in parts)
    return Request(messages=(Message(role="user", content=content),), settings=settings, **more)


def picture(shape: str = "star", color: str = "red", seed: int = 0) -> Image:
    data = io.BytesIO()
    draw(color, shape, Random(seed)).save(data, "PNG")
    return open_image(inline_image(f"{color}-{shape}.png", data.getvalue()))


def questions(count: int) -> list[Request]:
    """Of different lengths, each with two drawings."""
    rng = Random(7)
    things = [(rng.choice(list(SHAPES)), rng.choice(list(COLORS)), rng.random()) for _ in range(2 * count)]
    images = [picture(shape, color, seed) for shape, color, seed in things]
    words = [" ".join([BOTH] * rng.randint(1, 4)) for _ in range(count)]
    return [asked(images[2 * at], images[2 * at + 1], words[at]) for at in range(count)]


def by_hand(folder: str, text: str, images: Sequence[Image] = (), tokens: int = 24) -> str:
    """What transformers answers to one prompt, without anything of ours."""
    import torch
    import transformers

    kind = transformers.AutoModelForImageTextToText if images else transformers.AutoModelForCausalLM
    model = kind.from_pretrained(folder, dtype=torch.float32)
    front = (transformers.AutoProcessor if images else transformers.AutoTokenizer).from_pretrained(folder)
    pixels = {"images": [PIL.Image.open(io.BytesIO(image.opened.data)).convert("RGB") for image in images]}
    inputs = front(text=[text], return_tensors="pt", **(pixels if images else {}))
    with torch.inference_mode():
        written = model.generate(**inputs, max_new_tokens=tokens, do_sample=False)
    return front.decode(written[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


def weight_by_hand(folder: str, text: str, choice: str, image: Image) -> float:
    """One forward pass a token, nothing padded; the tiny tokenizer has one token a byte."""
    import torch
    import transformers

    model = transformers.AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    processor = transformers.AutoProcessor.from_pretrained(folder)
    pixels = [PIL.Image.open(io.BytesIO(image.opened.data)).convert("RGB")]
    total = 0.0
    for at in range(len(choice)):
        inputs = processor(text=[text + choice[:at]], images=pixels, return_tensors="pt")
        (token,) = processor.tokenizer.encode(choice[at], add_special_tokens=False)
        with torch.inference_mode():
            total += float(model(**inputs).logits[0, -1].log_softmax(-1)[token])
    return total
