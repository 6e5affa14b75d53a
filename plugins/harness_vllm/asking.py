"""One call of the engine: how it samples, what it is handed, and what it answers."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness import Failure, Generation, Json, Response, Usage
from harness.local import Frontend, Prompt, split_reasoning
from harness_vllm import faults
from harness_vllm.engine import Running
from harness_vllm.speech import Speech
from harness_vllm.untyped import Untyped, load

#: Where neither the request nor the model says how long an answer may get.
MOST_TOKENS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What the engine answers to one prompt.

    Attributes:
        read: tokens of the prompt, those of images included.
        chances: of each of them, token -> vLLM's Logprob; None where they were not asked for.
        text: of the answer.
        written: tokens of the answer.
        ended: vLLM's word for why.
    """

    read: Sequence[int]
    chances: Untyped
    text: str
    written: int
    ended: str


class Line:
    """The line to one engine.

    Args:
        running: the engine.
        frontend: tells whether a prompt already starts as the model expects.
        adapter: vLLM's LoRARequest; each call is made with it, since calls with and without one must not meet.
    """

    def __init__(self, running: Running, frontend: Frontend, adapter: Untyped) -> None:
        self._running = running
        self._frontend = frontend
        self._adapter = adapter
        self._numbers = itertools.count()
        self._dead: type[Exception] = load("vllm.v1.engine.exceptions").EngineDeadError

    async def call(self, prompt: Prompt, parameters: Untyped, *, more: str = "") -> Output | Failure:
        """What the engine answers to a prompt with `more` behind it. Raises HarnessError where the engine is dead."""
        asked: dict[str, Any] = {"prompt": prompt.text + more}
        if prompt.images:
            asked["multi_modal_data"] = {"image": list(prompt.images)}
        options = {"add_special_tokens": False} if self._frontend.begins(prompt.text, raw=prompt.raw) else None
        outputs = self._running.llm.generate(
            asked, parameters, str(next(self._numbers)), lora_request=self._adapter, tokenization_kwargs=options
        )
        try:
            return [_output(each) async for each in outputs][-1]
        except self._dead as error:
            raise faults.died(self._running.ref, self._running.log) from error
        except Exception as error:  # noqa: BLE001 - whatever one request does to the engine, the others are answered
            return faults.failure(error)


def _output(said: Untyped) -> Output:
    (answer,) = said.outputs
    return Output(
        read=said.prompt_token_ids,
        chances=said.prompt_logprobs,
        text=answer.text,
        written=len(answer.token_ids),
        ended=str(answer.finish_reason),
    )


class Writer:
    """Writes answers.

    Args:
        line: to the engine.
        config: vLLM's configuration.
        speech: how the model is spoken to, and when it is done.
        name: of the model, put into each response.
    """

    def __init__(self, line: Line, config: Untyped, speech: Speech, name: str) -> None:
        self._line = line
        self._speech = speech
        self._name = name
        self._own: dict[str, Any] = config.model_config.get_diff_sampling_param()
        self._sampling = load("vllm.sampling_params")

    async def __call__(self, prompt: Prompt, schema: Mapping[str, Json] | None) -> Response | Failure:
        """The answer to a prompt."""
        started = time.monotonic()
        try:
            parameters = self._parameters(prompt.settings, schema)
        except Exception as error:  # noqa: BLE001 - vLLM checks the request's values here
            return faults.failure(error)
        output = await self._line.call(prompt, parameters)
        return output if isinstance(output, Failure) else self._read(prompt, output, time.monotonic() - started)

    def _parameters(self, settings: Generation, schema: Mapping[str, Json] | None) -> Untyped:
        """The model's own sampling settings, overridden by what the request says."""
        values = {"max_tokens": MOST_TOKENS, **self._own}
        for name in ("temperature", "top_p", "seed", "max_tokens"):
            if getattr(settings, name) is not None:
                values[name] = getattr(settings, name)
        if self._speech.most is not None:
            values["max_tokens"] = min(values["max_tokens"], self._speech.most)
        if self._speech.ends:
            values["stop_token_ids"] = list(self._speech.ends)
        if settings.stop:
            values["stop"] = list(settings.stop)
        if schema is not None:
            values["structured_outputs"] = self._sampling.StructuredOutputsParams(json=dict(schema))
        return self._sampling.SamplingParams(output_kind=self._sampling.RequestOutputKind.FINAL_ONLY, **values)

    def _read(self, prompt: Prompt, output: Output, seconds: float) -> Response | Failure:
        if output.ended not in ("stop", "length"):
            message = f"the engine ended the answer: {output.ended}"
            return Failure(outcome="error", reason="ended", message=message, transient=True)
        reasoning, text = split_reasoning(output.text, prompt)
        return Response(
            text=text,
            reasoning=reasoning,
            flags=frozenset({"truncated"} if output.ended == "length" else ()),
            usage=Usage(
                input_tokens=len(output.read),
                output_tokens=output.written,
                reasoning_tokens=self._speech.frontend.count(reasoning) if reasoning else 0,
            ),
            model=self._name,
            seconds=seconds,
            notes=prompt.notes,
        )
