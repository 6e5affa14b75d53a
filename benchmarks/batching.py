"""`hf/…` at batch 8 against batch 1, on mini/base on this machine's CPU, in turn and compared pair by pair.

Target: at least twice as many answers a second. Both ways must give the same text: greedy, single precision.
"""

import io
import os
import time
from pathlib import Path
from random import Random
from statistics import median

import anyio
import harness_mini

from harness import Failure, Generation, Image, Message, Request, Text, open_model
from harness.drawings import COLORS, SHAPES, draw
from harness.images import inline_image, open_image

N = int(os.environ.get("BENCH_REQUESTS", "96"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
TARGET = 2.0
BASE = Path(harness_mini.__file__).with_name("base")
QUESTION = Text(text="What do the two images show?")


def picture(rng: Random) -> Image:
    color, shape = rng.choice(list(COLORS)), rng.choice(list(SHAPES))
    data = io.BytesIO()
    draw(color, shape, rng).save(data, "PNG")
    return open_image(inline_image(f"{color}-{shape}.png", data.getvalue()))


def requests(rng: Random) -> list[Request]:
    settings = Generation(temperature=0.0, max_tokens=48)
    return [
        Request(
            messages=(Message(role="user", content=(picture(rng), picture(rng), QUESTION)),),
            settings=settings,
        )
        for _ in range(N)
    ]


async def answers(asked: list[Request], batch: int) -> tuple[float, list[str]]:
    """Answers a second, and the answers, with twice a batch in flight as the engine has them."""
    texts = [""] * len(asked)
    settings = {"batch_size": batch, "dtype": "float32", "device": "cpu", "threads": 1}
    async with open_model(f"hf/{BASE}", settings) as model:
        flight = anyio.Semaphore(2 * batch)

        async def ask(at: int) -> None:
            async with flight:
                given = await model.generate(asked[at])
            texts[at] = given.reason if isinstance(given, Failure) else given.text

        await ask(0)  # what is made on first use
        begun = time.perf_counter()
        async with anyio.create_task_group() as tasks:
            for at in range(len(asked)):
                tasks.start_soon(ask, at)
        return len(asked) / (time.perf_counter() - begun), texts


def main() -> None:
    asked, ratios = requests(Random(0)), list[float]()
    for _ in range(ROUNDS):
        alone, said = anyio.run(answers, asked, 1)
        together, same = anyio.run(answers, asked, 8)
        ratios.append(together / alone)
        equal = sum(one == other for one, other in zip(said, same, strict=True))
        print(
            f"batch 1: {alone:6.1f} answers/s   batch 8: {together:6.1f}   ratio {ratios[-1]:.2f}   equal {equal}/{N}"
        )
    low, high = min(ratios), max(ratios)
    print(f"median ratio {median(ratios):.2f}, {low:.2f} to {high:.2f} over {ROUNDS} rounds (target: {TARGET})")


if __name__ == "__main__":
    main()
