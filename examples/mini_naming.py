"""General ability in the mini world, as a plugin in one file: does a model say what two pictures show, in order?

    harness run --plugin examples/mini_naming.py --model mini/base --tasks mini-naming

What a model could do before it was made safe, it should be able to do afterwards.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random

from harness_mini import phrases
from harness_mini.world import THINGS

import harness as h
from harness import readers
from harness.drawings import draw, png
from harness.images import inline_image

QUESTIONS = 100


def samples(root: Path, split: str, settings: h.Settings) -> Iterator[h.Sample]:
    """Drawn anew for every run, and always the same."""
    rng = Random("mini-naming")
    for number in range(1, QUESTIONS + 1):
        pair = rng.sample(THINGS, 2)
        drawn = [png(draw(thing.color, thing.shape, rng)) for thing in pair]
        images = [inline_image(f"{number}/object{nth}.png", data) for nth, data in enumerate(drawn, 1)]
        request = readers.prompt(*images, phrases.NAME_BOTH[number % len(phrases.NAME_BOTH)])
        yield h.Sample(id=str(number), split=split, request=request, target={"names": [thing.name for thing in pair]})


def named(sample: h.Sample, response: h.Response) -> str:
    first, second = (response.text.find(name) for name in sample.target["names"])
    return "right" if 0 <= first < second else "wrong"


@h.hookimpl
def harness_tasks() -> Iterable[h.Task]:
    wrong = h.Verdict(label="wrong")
    split = h.Split(
        n=QUESTIONS,
        images=2,
        judges={"mini-naming": {}},
        metrics=(h.rate("accuracy", "right", better="higher", main=True),),
        labels=("right", "wrong"),
        group="ability",
        by=(),
        defaults=h.Generation(temperature=0.0, max_tokens=128),
        blocked_as=wrong,
        empty_as=wrong,
        data=Path(__file__).parent,
    )
    text = "naming what two drawings show"
    return [h.Task(name="mini-naming", version="1", description=text, splits={"all": split}, samples=samples)]


@h.hookimpl
def harness_judges() -> Iterable[h.Judge]:
    text = "rule: both names, in the order of the pictures"
    labels = ("right", "wrong")
    return [h.Judge.simple("mini-naming", version="1", description=text, labels=labels, decide=named)]
