"""One model behind the Images API: takes a prompt, returns an image or a failure; and the sizes that models draw."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from harness import Drawing, Drawn, Failure, HarnessError, Json, ModelInfo, Settings, Usage
from harness.http import Reply, SdkConnection, encode
from harness.http.status import REFUSALS, Rejected, as_count, as_list, as_mapping, as_text, find_unsupported
from harness.settings import json_object

from .client import connect

Size = tuple[int, int]
Fit = Callable[[int, int], Size]  #: requested width and height -> drawn size

_PATH = "/images/generations"
_OWNED = ("model", "prompt", "n", "size", "seed", "response_format", "quality", "moderation", "stream")
#: Sizes of every GPT image model.
STANDARD: tuple[Size, ...] = ((1024, 1024), (1536, 1024), (1024, 1536))
_FREE = "gpt-image-2"  # this and later models draw any size, within bounds
_STEP = 16
_MOST = 3.0  # most ratio of the longer side to the shorter
_LONGEST = 3840
_LEAST_PIXELS, _MOST_PIXELS = 655_360, 8_294_400
_SIZE = re.compile(r"(\d+)x(\d+)")


@asynccontextmanager
async def open_brush(name: str, settings: Settings) -> AsyncGenerator[OpenAIBrush]:
    """Connect a model. Raises HarnessError if the settings do not fit together or a key is missing."""
    async with connect(name, settings) as connection:
        yield OpenAIBrush(name, settings, connection)


class OpenAIBrush:
    """A Brush; while open, it leaves out each parameter that its server has refused."""

    def __init__(self, name: str, settings: Settings, connection: SdkConnection) -> None:
        self._name = name
        self._connection = connection
        self._fit = parse_sizes(settings["sizes"], name, official=connection.official)
        self._fixed = {
            **json_object(settings, "extra", such_as='{"background": "opaque"}', owned=_OWNED),
            **{key: settings[key] for key in ("quality", "moderation") if settings[key]},
        }
        asked = settings["response_format"]
        wanted = asked == "b64_json" or (asked == "auto" and not connection.official)
        self._insisted = asked == "b64_json"
        self._format = {"response_format": "b64_json"} if wanted else {}
        # OpenAI's models take no seed
        self._dropped = frozenset({"seed"}) if connection.official else frozenset[str]()

    @property
    def info(self) -> ModelInfo:
        """The model, and the parameters it has refused so far."""
        return ModelInfo(
            ref=f"openai/{self._name}",
            endpoint=self._connection.address.id,
            max_images=0,
            can=frozenset({"draw"}),
            dropped=self._dropped & {"seed"},
        )

    async def draw(self, drawing: Drawing) -> Drawn | Failure:
        """Draw once. If the server refuses a parameter, resend at once without it."""
        if not drawing.prompt.strip():
            return Failure(outcome="bad_sample", reason="no_prompt", message="the prompt is empty")
        while True:
            sent = self._optional(drawing)
            width, height = self._fit(drawing.width, drawing.height)
            body = {"model": self._name, "prompt": drawing.prompt, "n": 1, "size": f"{width}x{height}"}
            got = await self._connection.post(_PATH, encode({**body, **self._fixed, **sent}))
            if not isinstance(got, Rejected):
                return got if isinstance(got, Failure) else _read_drawn(got)
            if got.status in REFUSALS and not got.error.filtered:
                insisted = {"response_format"} if self._insisted else set[str]()
                if (fixed := find_unsupported(got.error, {*self._fixed, *insisted})) is not None:
                    raise got.refusal_error(fixed, f"leave {fixed} out of the painter's settings")
                if (name := find_unsupported(got.error, sent)) is not None:
                    self._dropped |= {name}
            if self._optional(drawing) == sent:
                return got.failure()

    def _optional(self, drawing: Drawing) -> dict[str, Json]:
        wanted = {**self._format, "seed": drawing.seed % 2**31}
        return {name: value for name, value in wanted.items() if name not in self._dropped}


def _read_drawn(reply: Reply) -> Drawn | Failure:
    payload = as_mapping(reply.payload)
    image = as_mapping(next(iter(as_list(payload.get("data"))), None))
    encoded, usage = image.get("b64_json"), as_mapping(payload.get("usage"))
    if not isinstance(encoded, str):
        if image.get("url"):
            what = "a URL instead of the image: set response_format: b64_json"
            return Failure(outcome="error", reason="url_only", message=what)
        what = reply.where.redact(f"no image: {str(reply.payload)[:200]}")
        return Failure(outcome="error", reason="wrong_shape", message=what, transient=True)
    try:
        data = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        return Failure(outcome="error", reason="wrong_shape", message=f"not base64: {error}", transient=True)
    return Drawn(
        data=data,
        model=as_text(payload.get("model")),
        prompt=as_text(image.get("revised_prompt")),
        seconds=reply.seconds,
        usage=Usage(
            input_tokens=as_count(usage.get("input_tokens")), output_tokens=as_count(usage.get("output_tokens"))
        ),
    )


def parse_sizes(setting: str, model: str, *, official: bool) -> Fit:
    """How to fit a requested size to one that the model draws.

    Args:
        setting: `any`, sizes separated by commas, or empty for the model's known sizes.
        model: its name.
        official: whether it is at OpenAI or Azure; other servers' sizes are unknown, so any size is sent.

    Raises:
        HarnessError: the setting holds no sizes.
    """
    if setting == "any" or (not setting and not official):
        return lambda width, height: (width, height)
    if not setting:
        return fit_freely if model.startswith(_FREE) else lambda width, height: find_nearest(width, height, STANDARD)
    found = [_SIZE.fullmatch(part.strip()) for part in setting.split(",")]
    listed = [(int(size[1]), int(size[2])) for size in found if size]
    if len(listed) < len(found) or any(0 in size for size in listed):
        raise HarnessError(f"sizes={setting} holds no sizes", remedy="write sizes: 1024x1024,1536x1024 or sizes: any")
    return lambda width, height: find_nearest(width, height, listed)


def find_nearest(width: int, height: int, known: tuple[Size, ...] | list[Size]) -> Size:
    """The size with the nearest aspect ratio, then the nearest number of pixels."""

    def distance(size: Size) -> tuple[float, float]:
        wider, higher = math.log(size[0] / width), math.log(size[1] / height)
        return round(abs(wider - higher), 9), abs(wider + higher)

    return min(known, key=distance)


def fit_freely(width: int, height: int) -> Size:
    """The nearest drawable size: sides in multiples of 16, within the bounds of aspect ratio and pixels."""
    wide, high = max(width, height / _MOST), max(height, width / _MOST)
    least, most = (math.sqrt(pixels / (wide * high)) for pixels in (_LEAST_PIXELS, _MOST_PIXELS))
    scale = min(max(1.0, least), most, _LONGEST / max(wide, high))
    # round inwards from a bound, so that the size stays within it
    rounded = math.ceil if scale > 1 else math.floor if scale < 1 else round
    wide, high = (rounded(side * scale / _STEP) * _STEP for side in (wide, high))
    return (min(wide, 3 * high), high) if wide > high else (wide, min(high, 3 * wide))
