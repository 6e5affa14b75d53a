"""How to prompt a model in vLLM, and to ask the engine for an answer or for scores of given continuations.

A continuation's score is its log-probability after the prompt. Prompt and continuation are tokenised together, as the
model would read them. Scores of all continuations start at the same token: the first at which any of them differs from
the prompt alone. The engine reads each as a prompt and returns the probability of every token. Images are in the shared
part, so their tokens do not matter.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import anyio

from harness import Failure, HarnessError, Json, Response, Settings, Usage
from harness.contracts import Ability
from harness.local import Chat, Frontend, Origin, Profile, Prompt, PromptFormat, split_reasoning, study
from harness.local.prompts import count_shared
from harness_vllm.engine import RunningEngine, death_error, to_failure

#: Default if neither the request nor the model limits the answer.
MAX_TOKENS = 1024
IMAGE_LINES: Final = PromptFormat(line="{image}\n")
PIXELS: Final = ("min_pixels", "max_pixels")


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptStyle:
    """How to prompt a model.

    Attributes:
        frontend: its processor or tokenizer.
        chat: how its template renders; None without one.
        form: how to write images and questions, if not by the template alone.
        ends: ids of tokens that end an answer, besides those that vLLM knows.
        max_tokens: limit of an answer, over the request's; None for none.
        can: its abilities.
    """

    frontend: Frontend
    chat: Chat | None
    form: PromptFormat
    ends: tuple[int, ...]
    max_tokens: int | None
    can: frozenset[Ability]


def find_style(frontend: Frontend, settings: Settings, profile: Profile | None, *, sees: bool) -> PromptStyle:
    """How to prompt a model.

    Args:
        frontend: its processor or tokenizer.
        settings: the provider's settings.
        profile: how a paper ran its family; None if not requested.
        sees: whether it takes images.

    Raises:
        HarnessError: template or settings are unusable.
    """
    chat = study(frontend, thinking=settings["thinking"])
    form = PromptFormat()
    if settings["prompt_format"] is not None:
        form = PromptFormat.parse(settings["prompt_format"])
    elif profile is not None:
        form = profile.form
    elif sees and chat is not None and chat.max_images == 0 and frontend.placeholders:
        form = IMAGE_LINES  # the model takes images, but its template does not
    ends = [chat.end] if chat and chat.end else []
    ends += (profile.ends.value or ()) if profile else ()
    can: set[Ability] = {"raw", "choices", "prefill"}
    if sees and (chat is None or form != PromptFormat() or chat.max_images != 0):
        can.add("images")
    if chat and chat.system and not form.turn:
        can.add("system")
    if not (chat and chat.reasons and settings["thinking"] != "off"):
        can.add("schema")  # otherwise a grammar would also constrain the reasoning
    return PromptStyle(
        frontend=frontend,
        chat=chat,
        form=form,
        ends=tuple(frontend.find_ids(ends)),
        max_tokens=profile.max_tokens.value if profile else None,
        can=frozenset(can),
    )


def open_frontend(origin: Origin, model_config: Any, settings: Settings) -> Frontend:
    """The model's processor or tokenizer, from transformers and from vLLM's own data.

    Raises:
        HarnessError: transformers cannot open the processor, or it takes no pixel limit.
    """
    sees = bool(model_config.is_multimodal_model)
    transformers = import_module("transformers")
    options: dict[str, Any] = {"trust_remote_code": settings["trust_remote_code"]}
    if origin.commit:
        options["revision"] = origin.commit
    try:
        kind = transformers.AutoProcessor if sees else transformers.AutoTokenizer
        processor = kind.from_pretrained(origin.place, **options)
    except Exception as error:
        what = f"transformers cannot open the model's processor: {' '.join(str(error).split())[:300]}"
        remedy = "if it has its own code, give -M trust_remote_code=true"
        raise HarnessError(what, where=f"vllm/{origin.name}", remedy=remedy) from error
    keywords = getattr(getattr(processor, "image_processor", None), "valid_kwargs", None)
    for name in PIXELS:
        if settings[name] is not None and name not in getattr(keywords, "__annotations__", ()):
            raise HarnessError(f"the model's processor takes no {name}", remedy=f"leave out -M {name}")
    # a model with its own code may have only a tokenizer: vLLM has a processor for it
    whole = sees and hasattr(processor, "tokenizer")
    mark = ""  # vLLM's mark of an image in a text, with `{i}` for its number; empty if unknown
    if sees:
        try:
            place = import_module("vllm.model_executor.model_loader").get_model_cls(model_config).get_placeholder_str
            first, second = place("image", 1), place("image", 2)
            mark = (first.replace("1", "{i}") if first != second else first) or ""
        except (AttributeError, ValueError, NotImplementedError):
            mark = ""
    frontend = Frontend(processor, vlm=whole, image=mark)
    if not frontend.template:  # vLLM has templates for some families without one
        registry = import_module("vllm.transformers_utils.chat_templates")
        path: Path | None = registry.get_chat_template_fallback_path(
            model_type=model_config.hf_config.model_type, tokenizer_name_or_path=model_config.tokenizer
        )
        frontend.template = path.read_text(encoding="utf-8") if path else ""
    return frontend


class Generator:
    """Asks one engine.

    Args:
        engine: the running engine.
        style: how to prompt the model, and what ends its answers.
        adapter: vLLM's LoRARequest; every call uses it, since calls with and without one must not mix.
        name: the model's name, put into each response.
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
            prompt_logprobs=0,  # for the prompt's own tokens only
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
        images = len(outputs[prompt.choices[0]].prompt_token_ids) - len(rows[0])  # tokens added by the engine
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
        """vLLM's RequestOutput for a prompt followed by `more`, or a Failure. Raises HarnessError if it died."""
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
        except Exception as error:  # noqa: BLE001 - one request's error must not stop the others
            return to_failure(error)
