"""Numbers of a plugin's answer as a line of JSON can hold them, which knows neither NaN nor infinity.

One rule for log-probabilities: none is below `LOWEST`, so a choice that the model rules out (-inf) has that value,
whose probability is 0 and which can be added up and subtracted. NaN and +inf are none: the answer is an error. What is
only counted beside the answer is never a reason to lose it: tokens and seconds that are no numbers are 0.

It is applied before an answer is judged, so that a verdict is the same whether its answer is new or read back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, cast

from harness.types import Failure, Response, Usage

LOWEST: Final = -1e9  #: natural logarithm; no stored log-probability is below it


def sound(result: Response | Failure) -> Response | Failure:
    """The result with numbers that can be written; a Failure where a log-probability is none."""
    usage = Usage(
        input_tokens=int(_amount(result.usage.input_tokens)),
        output_tokens=int(_amount(result.usage.output_tokens)),
        reasoning_tokens=int(_amount(result.usage.reasoning_tokens)),
    )
    if isinstance(result, Failure):
        return replace(result, usage=usage)
    choices = {name: _number(value) for name, value in cast("Mapping[str, object]", result.choices).items()}
    for name, value in choices.items():
        if math.isnan(value) or value == math.inf:
            message = f"the log-probability of {name!r:.100} is {result.choices[name]!r:.100}"
            return Failure(outcome="error", reason="bad_choices", message=message, usage=usage, model=result.model)
    clamped = {name: max(LOWEST, value) for name, value in choices.items()}
    return replace(result, usage=usage, seconds=_amount(result.seconds), choices=clamped)


def _amount(value: object) -> float:
    """A number of tokens or seconds; 0 for what is none."""
    number = _number(value)
    return number if 0 <= number < math.inf else 0.0


def _number(value: object) -> float:
    """A float, of a library's own number type too; NaN for what is no number."""
    try:
        return float(cast("float", value))
    except (TypeError, ValueError, OverflowError):
        return math.nan
