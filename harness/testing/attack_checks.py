"""`check_attack`: whether an attack keeps its contract, on samples of every shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any, Final

from harness.contracts import Attack, Attacked, Variant
from harness.drawings import draw, png
from harness.errors import BadImage, HarnessError
from harness.images import draw_image, inline_image
from harness.keys import canonical, request_to_json
from harness.settings import effective
from harness.types import Image, Message, Request, Sample, Settings, Text

from .problems import Problems, check_described

EPOCHS: Final = 6
QUESTION: Final = "How does the thing in the first picture fit on the left of the thing in the second one?"


def check_attack(attack: Attack, samples: Sequence[Sample] = (), *, settings: Mapping[str, Any] | None = None) -> None:
    """Check that an attack keeps its contract: it is pure, says what it cannot take, and sends the images that it says.

    Args:
        attack: the descriptor.
        samples: with open images; without any, samples of every shape.
        settings: of the attack, by name.
    """
    problems = Problems(f"attack {attack.name!r}")
    check_described(problems, attack.version, attack.description, attack.settings)
    problems.require((attack.ask is None) == (attack.calls is None), "gives ask or calls, and not both")
    values = effective(attack.settings, settings or {}, owner=f"attack {attack.name}")
    if attack.facts is not None:
        with problems.at("facts"):
            canonical(dict(attack.facts(values)))
    taken = 0
    for sample in samples or tuple(make_samples()):
        with problems.at(f"sample {sample.id}"):
            why = attack.check(sample, values)
            problems.require_type(why, str, "check gives a")
            problems.require(why == attack.check(close_images(sample), values), "decides otherwise on unopened images")
            if not why:
                taken += 1
                _check_applied(problems, attack, sample, values)
    problems.require(taken, "can take none of the samples")
    problems.raise_found()


def make_samples() -> Iterator[Sample]:
    """Samples with no image and several, without words, of several turns, and raw."""
    images = [
        draw_image(f"{color}.png", png(draw(color, "ring", Random(color), 48))) for color in ("red", "blue", "black")
    ]
    words = Text(text=QUESTION)

    def sample(name: str, *turns: tuple[Image | Text, ...], raw: bool = False) -> Sample:
        roles = [("user", "assistant")[number % 2] for number in range(len(turns))]
        messages = tuple(
            Message(role="user" if role == "user" else "assistant", content=turn)
            for role, turn in zip(roles, turns, strict=True)
        )
        return Sample(id=name, split="all", request=Request(messages=messages, raw=raw))

    yield sample("text", (words,))
    yield sample("one-image", (images[0], words))
    yield sample("three-images", (images[0], images[1], words, images[2]))
    yield sample("images-alone", (images[0], images[1]))
    yield sample("no-words", (Text(text=" "),))
    yield sample("turns", (images[0], words), (Text(text="It depends."),), (images[1], words))
    yield sample("raw", (words,), raw=True)


def close_images(sample: Sample) -> Sample:
    """The sample as its task lists it, before its images are opened."""
    messages = tuple(
        replace(each, content=tuple(_close(part) if isinstance(part, Image) else part for part in each.content))
        for each in sample.request.messages
    )
    return replace(sample, request=replace(sample.request, messages=messages))


def _close(image: Image) -> Image:
    return inline_image(image.path, image.opened.data)


def _check_applied(problems: Problems, attack: Attack, sample: Sample, values: Settings) -> None:
    before = canonical(request_to_json(sample.request))
    asked = [] if attack.ask is None else attack.ask(sample, values)
    count = 0 if attack.calls is None else attack.calls(sample, values)
    problems.require(len(asked) == count, f"asks {len(asked)} times first, and says {count}")
    most = len(sample.request.images) if attack.images is None else attack.images(sample, values)
    made: list[str] = []
    for epoch in range(EPOCHS):
        variant = Variant(epoch=epoch, key=f"{sample.id} {epoch}", replies=("A picture.",) * count)
        try:
            given = [attack.apply(sample, values, variant) for _ in range(2)]
        except (BadImage, HarnessError) as error:
            problems.add(f"cannot take it, which check did not say: {error}")
            return
        for each in given:
            problems.require_type(each, Attacked, "apply gives a")
        texts = [canonical(request_to_json(each.request)) for each in given]
        problems.require(texts[0] == texts[1], "gives another request for the same variant")
        made.append(texts[0])
        request = given[0].request
        problems.require(all(message.content for message in request.messages), "leaves a turn without content")
        problems.require(all(image.content is not None for image in request.images), "gives an image that is not open")
        roles = [[message.role for message in each.messages] for each in (sample.request, request)]
        problems.require(len(roles[0]) == 1 or roles[0] == roles[1], "changes the turns of a dialogue")
        shown = max(len(each.images) for each in (request, *asked))
        problems.require(shown <= most, f"shows {shown} images, and says {most}")
        problems.require(request.settings == sample.request.settings, "changes how the answer is sampled")
    problems.require(canonical(request_to_json(sample.request)) == before, "changes the sample")
    if attack.variants is not None:
        problems.require(
            len(set(made)) <= attack.variants, f"makes {len(set(made))} variants, and says {attack.variants}"
        )
    elif sample.id == "three-images":
        problems.require(len(set(made)) > 1, "makes one variant alone, and says that each epoch is another")
