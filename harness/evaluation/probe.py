"""The probe before a run: does the model answer, and can it tell two drawn images apart, in order?

A wrong key, an unreachable server or an unknown model is reported here in one message. So is a model that does not see
both images in order, because its numbers would measure something else.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field, replace

from harness.contracts import Model, ModelInfo
from harness.errors import HarnessError, PluginError
from harness.limits.endpoints import Endpoints, Policy, Tell
from harness.limits.metered import Metered
from harness.limits.quota import Meter
from harness.limits.tokens import clean_usage
from harness.types import Failure, Generation, Message, Part, Request, Response, Text, Usage

PROBE_QUESTION = (
    "What does the first image show, and what does the second image show? Name the color and the shape of each."
)
ONE_IMAGE = "What does the image show? Name the color and the shape."
NO_IMAGE = "Answer with one word: ready."
PATIENCE = 120.0  #: most seconds that one call of the probe may take or wait, because the user waits for it
_SHOWN = (("red", "circle"), ("blue", "square"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """A model's answer to the probe.

    Attributes:
        answer: the model's text.
        images: how many images it was shown.
        in_order: whether it named all images in order; True if none was shown.
        usage: the tokens that it took.
        seconds: the time that it took.
    """

    answer: str
    images: int
    in_order: bool
    usage: Usage = field(default=Usage(), compare=False)
    seconds: float = field(default=0.0, compare=False)


async def probe_model(
    model: Model,
    *,
    images: int,
    policy: Policy,
    raw: bool = False,
    tell: Tell | None = None,
    meter: Meter | None = None,
) -> ProbeResult:
    """Ask the model one small question.

    Raises HarnessError if the model cannot be used, and PluginError if its plugin fails.

    Args:
        model: the provider's model, not metered.
        images: most images in a sample of the run; the probe shows at most two.
        policy: sets the back-off; the probe waits less than a run.
        raw: ask without a chat template, for a model that may have none.
        tell: receives messages about the endpoint for the user; None drops them.
        meter: counts what it costs; None counts nothing.
    """
    shown = min(images, 2)
    question = Text(text=(NO_IMAGE, ONE_IMAGE, PROBE_QUESTION)[shown])
    request = Request(
        messages=(Message(role="user", content=(*_draw_images(shown), question)),),
        settings=Generation(max_tokens=256),
        raw=raw,
    )
    brief = replace(
        policy,
        start=1,
        cap=1,
        tries=2,
        throttled_tries=4,
        deadline=min(policy.deadline, PATIENCE),
        patience=min(policy.patience, PATIENCE),
    )
    watched = _Watched(model)
    result = await Metered(watched, Endpoints(brief, tell=tell), meter=meter).generate(request)
    if isinstance(result, Failure) and result.outcome == "error":
        if watched.fault is not None:
            raise watched.fault
        raise HarnessError(
            f"{model.info.ref} does not answer: {result.reason}: {result.message}",
            remedy="check the address, the model's name and the key; --no-probe skips this check",
        )
    answer = result.text if isinstance(result, Response) else f"{result.outcome}: {result.message}"
    # in order: the answer names each drawing by its colour or shape, the first drawing first
    found = [re.search(rf"\b(?:{'|'.join(words)})", answer, re.IGNORECASE) for words in _SHOWN[:shown]]
    places = [match.start() for match in found if match is not None]
    in_order = len(places) == shown and places == sorted(places)
    seconds = result.seconds if isinstance(result, Response) else 0.0
    return ProbeResult(answer=answer, images=shown, in_order=in_order, usage=clean_usage(result.usage), seconds=seconds)


class _Watched:
    """The model, and the PluginError of its last call. In a run that error fails one sample; here it ends the probe."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.fault: PluginError | None = None

    @property
    def info(self) -> ModelInfo:
        return self._model.info

    async def generate(self, request: Request) -> Response | Failure:
        self.fault = None
        try:
            return await self._model.generate(request)
        except PluginError as error:
            self.fault = error
            raise


def _draw_images(shown: int) -> tuple[Part, ...]:
    if not shown:
        return ()
    from harness.drawings import draw, png
    from harness.images import inline_image, open_image

    images: list[Part] = []
    for color, shape in _SHOWN[:shown]:
        drawing = draw(color, shape, random.Random(f"{color} {shape}"))
        images.append(open_image(inline_image(f"probe-{color}-{shape}.png", png(drawing))))
    return tuple(images)
