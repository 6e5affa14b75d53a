"""Weighs given continuations: the log-probability of each after the prompt, summed over its tokens.

Prompt and continuation are tokenised together, as the model would read them, and every continuation is counted from the
same token on: the first in which any of them differs from the prompt alone. The engine reads each as a prompt and tells
how likely every token of it was. Images stand in the part that all share, so what they grow to there does not matter.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import anyio

from harness import Failure, Response, Usage
from harness.local import Frontend, Prompt
from harness_vllm.asking import Line, Output
from harness_vllm.untyped import Untyped, load


class Weigher:
    """Weighs continuations.

    Args:
        line: to the engine.
        frontend: tokenises.
        name: of the model, put into each response.
    """

    def __init__(self, line: Line, frontend: Frontend, name: str) -> None:
        self._line = line
        self._frontend = frontend
        self._name = name
        sampling = load("vllm.sampling_params")
        self._parameters: Untyped = sampling.SamplingParams(
            temperature=0.0,
            max_tokens=1,
            prompt_logprobs=0,  # of the prompt's own tokens alone
            detokenize=False,
            output_kind=sampling.RequestOutputKind.FINAL_ONLY,
        )

    async def __call__(self, prompt: Prompt) -> Response | Failure:
        """A response whose text is the likeliest continuation."""
        started = time.monotonic()
        alone, *rows = [self._tokens(prompt, choice) for choice in ("", *prompt.choices)]
        shared = max(min(_shared(alone, row) for row in rows), 1)
        outputs = await self._calls(prompt)
        if isinstance(outputs, Failure):
            return outputs
        tails = [len(row) - shared for row in rows]
        weights = [_weight(output, tail) for output, tail in zip(outputs, tails, strict=True)]
        choices = dict(zip(prompt.choices, weights, strict=True))
        return Response(
            text=max(choices, key=lambda choice: choices[choice]),
            usage=Usage(input_tokens=len(outputs[0].read) - len(rows[0]) + len(alone), output_tokens=sum(tails)),
            model=self._name,
            seconds=time.monotonic() - started,
            choices=choices,
            notes=prompt.notes,
        )

    async def _calls(self, prompt: Prompt) -> list[Output] | Failure:
        """The outputs of all, in order, or what one failed with."""
        outputs: dict[str, Output | Failure] = {}

        async def call(choice: str) -> None:
            outputs[choice] = await self._line.call(prompt, self._parameters, more=choice)

        async with anyio.create_task_group() as calls:
            for choice in prompt.choices:
                calls.start_soon(call, choice)
        failed = next((output for output in outputs.values() if isinstance(output, Failure)), None)
        return failed or [output for choice in prompt.choices if isinstance(output := outputs[choice], Output)]

    def _tokens(self, prompt: Prompt, choice: str) -> list[int]:
        special = not self._frontend.begins(prompt.text, raw=prompt.raw)
        found: list[int] = self._frontend.tokenizer.encode(prompt.text + choice, add_special_tokens=special)
        return found


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    return next(
        (at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), min(len(one), len(other))
    )


def _weight(output: Output, tail: int) -> float:
    """The sum over the last tokens of what the engine read."""
    last = range(len(output.read) - tail, len(output.read))
    return float(sum(output.chances[at][output.read[at]].logprob for at in last))
