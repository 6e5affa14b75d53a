"""Asks the engine: for an answer, or for the log-probability of given continuations.

To score continuations, prompt and continuation are tokenised together, as the model would read them, and every
continuation is counted from the same token on: the first in which any of them differs from the prompt alone. The engine
reads each as a prompt and says how likely every token of it was. Images are in the part that all share, so what they
grow to there does not matter.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import anyio

from harness import Failure, Json, Response, Usage
from harness.local import Prompt, split_reasoning
from harness.local.chat import count_shared
from harness_vllm.engine import RunningEngine, death_error, to_failure
from harness_vllm.prompt_style import PromptStyle

#: Where neither the request nor the model says how long an answer may get.
MAX_TOKENS = 1024


class Generator:
    """Asks one engine.

    Args:
        engine: that is running.
        style: how the model is prompted, and what ends its answers.
        adapter: vLLM's LoRARequest; each call is made with it, since calls with and without one must not meet.
        name: of the model, put into each response.
    """

    def __init__(self, engine: RunningEngine, style: PromptStyle, adapter: Any, name: str) -> None:
        self._engine = engine
        self._style = style
        self._adapter = adapter
        self._name = name
        self._numbers = itertools.count()
        self._defaults: dict[str, Any] = engine.config.model_config.get_diff_sampling_param()
        self._sampling = import_module("vllm.sampling_params")
        self._dead: type[Exception] = import_module("vllm.v1.engine.exceptions").EngineDeadError

    async def answer(self, prompt: Prompt, schema: Mapping[str, Json] | None) -> Response | Failure:
        """The answer to a prompt, by the model's own sampling settings, overridden by the request's."""
        started = time.monotonic()
        settings, style = prompt.settings, self._style
        values = {"max_tokens": MAX_TOKENS, **self._defaults}
        for name in ("temperature", "top_p", "seed", "max_tokens"):
            if getattr(settings, name) is not None:
                values[name] = getattr(settings, name)
        if style.max_tokens is not None:
            values["max_tokens"] = min(values["max_tokens"], style.max_tokens)
        if style.ends:
            values["stop_token_ids"] = list(style.ends)
        if settings.stop:
            values["stop"] = list(settings.stop)
        try:
            if schema is not None:
                values["structured_outputs"] = self._sampling.StructuredOutputsParams(json=dict(schema))
            parameters = self._parameters(**values)
        except Exception as error:  # noqa: BLE001 - vLLM checks the request's values here
            return to_failure(error)

        output = await self._call(prompt, "", parameters)
        if isinstance(output, Failure):
            return output
        (written,) = output.outputs
        if str(written.finish_reason) not in ("stop", "length"):
            message = f"the engine ended the answer: {written.finish_reason}"
            return Failure(outcome="error", reason="ended", message=message, transient=True)
        reasoning, text = split_reasoning(written.text, prompt)
        return Response(
            text=text,
            reasoning=reasoning,
            flags=frozenset({"truncated"} if written.finish_reason == "length" else ()),
            usage=Usage(
                input_tokens=len(output.prompt_token_ids),
                output_tokens=len(written.token_ids),
                reasoning_tokens=style.frontend.count(reasoning) if reasoning else 0,
            ),
            model=self._name,
            seconds=time.monotonic() - started,
            notes=prompt.notes,
        )

    async def score(self, prompt: Prompt) -> Response | Failure:
        """A response whose text is the likeliest of the prompt's choices."""
        started = time.monotonic()
        frontend = self._style.frontend
        special = not frontend.begins(prompt.text, raw=prompt.raw)
        alone, *rows = [
            list[int](frontend.tokenizer.encode(prompt.text + choice, add_special_tokens=special))
            for choice in ("", *prompt.choices)
        ]
        shared = max(count_shared([alone, *rows]), 1)
        parameters = self._parameters(
            temperature=0.0,
            max_tokens=1,
            prompt_logprobs=0,  # of the prompt's own tokens alone
            detokenize=False,
        )
        outputs: dict[str, Any] = {}

        async def ask(choice: str) -> None:
            outputs[choice] = await self._call(prompt, choice, parameters)

        async with anyio.create_task_group() as tasks:
            for choice in prompt.choices:
                tasks.start_soon(ask, choice)
        failed = next((output for output in outputs.values() if isinstance(output, Failure)), None)
        if failed is not None:
            return failed
        scores: dict[str, float] = {}
        for choice, row in zip(prompt.choices, rows, strict=True):
            read, chances = outputs[choice].prompt_token_ids, outputs[choice].prompt_logprobs
            tail = range(len(read) - (len(row) - shared), len(read))
            scores[choice] = float(sum(chances[at][read[at]].logprob for at in tail))
        images = len(outputs[prompt.choices[0]].prompt_token_ids) - len(rows[0])  # tokens that only the engine adds
        return Response(
            text=max(scores, key=lambda choice: scores[choice]),
            usage=Usage(input_tokens=images + len(alone), output_tokens=sum(len(row) - shared for row in rows)),
            model=self._name,
            seconds=time.monotonic() - started,
            choices=scores,
            notes=prompt.notes,
        )

    def _parameters(self, **values: Any) -> Any:
        return self._sampling.SamplingParams(output_kind=self._sampling.RequestOutputKind.FINAL_ONLY, **values)

    async def _call(self, prompt: Prompt, more: str, parameters: Any) -> Any:
        """vLLM's RequestOutput for a prompt followed by `more`, or a Failure. Raises HarnessError where it died."""
        asked: dict[str, Any] = {"prompt": prompt.text + more}
        if prompt.images:
            asked["multi_modal_data"] = {"image": list(prompt.images)}
        begins = self._style.frontend.begins(prompt.text, raw=prompt.raw)
        outputs = self._engine.llm.generate(
            asked,
            parameters,
            str(next(self._numbers)),
            lora_request=self._adapter,
            tokenization_kwargs={"add_special_tokens": False} if begins else None,
        )
        try:
            return [output async for output in outputs][-1]
        except self._dead as error:
            raise death_error(self._engine.ref, self._engine.log) from error
        except Exception as error:  # noqa: BLE001 - whatever one request does to the engine, the others are answered
            return to_failure(error)
