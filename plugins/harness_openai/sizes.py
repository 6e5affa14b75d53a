"""What sizes an image model draws, and which of them is the nearest to one that is asked for."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from harness import HarnessError

Size = tuple[int, int]
Fit = Callable[[int, int], Size]  #: width and height as asked -> as they are drawn

#: What every GPT image model draws.
STANDARD: tuple[Size, ...] = ((1024, 1024), (1536, 1024), (1024, 1536))
_FREE = "gpt-image-2"  # these and later draw any size, within bounds
_STEP = 16
_MOST = 3.0  # of the longer side to the shorter
_LONGEST = 3840
_LEAST_PIXELS, _MOST_PIXELS = 655_360, 8_294_400
_SIZE = re.compile(r"(\d+)x(\d+)")


def sizes(setting: str, model: str, *, official: bool) -> Fit:
    """How sizes are fitted.

    Args:
        setting: `any`, sizes with commas between, or empty for what is known of the model.
        model: its name.
        official: at OpenAI or Azure; what other servers draw is not known, and they are asked for any.

    Raises:
        HarnessError: the setting holds no sizes.
    """
    if setting == "any" or (not setting and not official):
        return lambda width, height: (width, height)
    if not setting:
        return free if model.startswith(_FREE) else lambda width, height: nearest(width, height, STANDARD)
    found = [_SIZE.fullmatch(part.strip()) for part in setting.split(",")]
    listed = [(int(size[1]), int(size[2])) for size in found if size]
    if len(listed) < len(found) or any(0 in size for size in listed):
        raise HarnessError(f"sizes={setting} holds no sizes", remedy="write sizes: 1024x1024,1536x1024 or sizes: any")
    return lambda width, height: nearest(width, height, listed)


def nearest(width: int, height: int, known: tuple[Size, ...] | list[Size]) -> Size:
    """The one of some sizes whose form is nearest, and of those the one of about as many pixels."""

    def apart(size: Size) -> tuple[float, float]:
        wider, higher = math.log(size[0] / width), math.log(size[1] / height)
        return round(abs(wider - higher), 9), abs(wider + higher)

    return min(known, key=apart)


def free(width: int, height: int) -> Size:
    """The nearest size with sides of a multiple of 16, not too long a form, and as many pixels as are allowed."""
    wide, high = max(width, height / _MOST), max(height, width / _MOST)
    least, most = (math.sqrt(pixels / (wide * high)) for pixels in (_LEAST_PIXELS, _MOST_PIXELS))
    scale = min(max(1.0, least), most, _LONGEST / max(wide, high))
    # inwards from a bound, so that rounding does not lead over it
    rounded = math.ceil if scale > 1 else math.floor if scale < 1 else round
    wide, high = (rounded(side * scale / _STEP) * _STEP for side in (wide, high))
    return (min(wide, 3 * high), high) if wide > high else (wide, min(high, 3 * wide))
