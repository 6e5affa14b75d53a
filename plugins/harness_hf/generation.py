"""Generates the answers of one batch.

Greedy answers do not depend on the other rows: prompts are padded on the left and the padding is masked, so in float32
a prompt gets the same answer alone and among seven others.
"""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Generator as Yields
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import torch

from harness import Failure, Generation, HarnessError, Response, Usage
from harness.local import Frontend, Prompt, cut_at_stop, split_reasoning
from harness.local.batching import Ticket
from harness_hf.loading import Batch, Loaded
from harness_hf.prompt_style import PromptStyle

if TYPE_CHECKING:
    from PIL.Image import Image

Answer = Response | Failure | HarnessError  # the last: nothing will work
Waiting = Ticket[Prompt, Answer]
#: Where neither the request nor the model says how long an answer may get.
MAX_TOKENS = 1024


class ContextOverflow(Exception):
    """A prompt is longer than what the model can read."""


def encode(
    frontend: Frontend,
    texts: Sequence[str],
    images: Sequence[Sequence[Image]],
    *,
    raw: bool,
    side: Literal["left", "right"],
) -> Batch:
    """Turn texts into tensors, each text with as many images as every other.

    Args:
        frontend: whose processor encodes.
        texts: with a placeholder for each image.
        images: of each text, in order.
        raw: the texts did not come from the chat template.
        side: on which shorter rows are padded.
    """
    arguments: Batch = {"text": list(texts), "padding": True, "padding_side": side, "return_tensors": "pt"}
    if any(images):
        arguments["images"] = [list(row) for row in images]
    if frontend.begins(texts[0], raw=raw):
        arguments["add_special_tokens"] = False
    batch: Batch = frontend.encode(**arguments)
    batch.pop("labels", None)  # PaliGemma's processor makes some for training
    return batch


def count_tokens(batch: Batch, context: int | None) -> list[int]:
    """The tokens of each row, without padding. Raises ContextOverflow where a row leaves no room for another token."""
    counts: list[int] = batch["attention_mask"].sum(dim=1).tolist()
    if context is not None and max(counts) >= context:
        raise ContextOverflow(f"the prompt has {max(counts)} tokens, the model can read {context}")
    return counts


class Generator:
    """Generates answers with one model.

    Attributes:
        loaded: the model.
        ends: ids of the tokens that end an answer.
    """

    def __init__(self, loaded: Loaded, style: PromptStyle) -> None:
        self.loaded = loaded
        self._limit = style.max_tokens
        self._defaults: Any = loaded.model.generation_config
        if self._defaults.pad_token_id is None:
            self._defaults.pad_token_id = loaded.frontend.pad_token_id
        own = self._defaults.eos_token_id
        if own is None:
            own = loaded.frontend.tokenizer.eos_token_id
        self.ends: frozenset[int] = style.ends.union([own] if isinstance(own, int) else own or ())
        self._defaults.eos_token_id = sorted(self.ends) or None
        self._ready: dict[Waiting, tuple[Sequence[Waiting], Batch]] = {}  # by the first of each batch

    def samples(self, settings: Generation) -> bool:
        """Whether answers are drawn; otherwise the likeliest token is taken each time."""
        if settings.temperature is None:
            return bool(self._defaults.do_sample)
        return settings.temperature > 0

    def encode_ahead(self, waiting: Sequence[Waiting]) -> None:
        """Encode the next batch; one that cannot be encoded fails when its turn comes."""
        with contextlib.suppress(Exception):
            self._ready[waiting[0]] = waiting, self._encode(waiting)
        for stale in list(self._ready)[:-2]:  # one waits and one starts; older ones were given up
            self._ready.pop(stale, None)

    def __call__(self, waiting: Sequence[Waiting]) -> list[Answer]:
        """The answers of prompts of one group, in order; raises whatever torch or the model raises."""
        prompts = [ticket.item for ticket in waiting]
        settings = prompts[0].settings
        started = time.monotonic()
        ready = self._ready.pop(waiting[0], None)
        batch = ready[1] if ready is not None and ready[0] == waiting else self._encode(waiting)
        read = count_tokens(batch, self.loaded.context)
        config = self._configure(settings)

        def is_unwanted(input_ids: torch.Tensor, scores: object, **_: object) -> torch.Tensor:  # noqa: ARG001
            """Ends the rows whose callers no longer wait."""
            rows = torch.tensor([not ticket.wanted for ticket in waiting], device=input_ids.device)
            return rows.repeat_interleave(input_ids.shape[0] // len(waiting))  # several beams a row

        with torch.inference_mode(), self._seed(settings):
            tokens: Any = self.loaded.model.generate(
                **self.loaded.to_device(batch),
                generation_config=config,
                stopping_criteria=[is_unwanted],
                tokenizer=self.loaded.frontend.tokenizer,  # finds stop texts that span tokens
            )
        asked = batch["input_ids"]
        # A model whose code makes embeddings first gives back only what is new.
        repeats = tokens[:, : asked.shape[1]].equal(asked.to(tokens.device))
        rows: list[list[int]] = (tokens[:, asked.shape[1] :] if repeats else tokens).tolist()
        seconds = time.monotonic() - started
        answers: list[Answer] = []
        for prompt, row, count in zip(prompts, rows, read, strict=True):
            answer = read_answer(row, prompt, self.loaded.frontend, ends=self.ends, limit=config.max_new_tokens)
            usage = replace(answer.usage, input_tokens=count)
            answers.append(replace(answer, usage=usage, model=self.loaded.origin.name, seconds=seconds))
        return answers

    def _encode(self, waiting: Sequence[Waiting]) -> Batch:
        prompts = [ticket.item for ticket in waiting]
        texts, images = [prompt.text for prompt in prompts], [prompt.images for prompt in prompts]
        return encode(self.loaded.frontend, texts, images, raw=prompts[0].raw, side="left")

    def _configure(self, settings: Generation) -> Any:
        """The model's own generation settings, overridden by the request's."""
        config = copy.deepcopy(self._defaults)
        config.max_length = None
        limit = settings.max_tokens or config.max_new_tokens or MAX_TOKENS
        config.max_new_tokens = limit if self._limit is None else min(limit, self._limit)
        config.do_sample = self.samples(settings)
        config.return_dict_in_generate = False
        if settings.stop:
            config.stop_strings = list(settings.stop)
        if not config.do_sample:
            for name in ("temperature", "top_p", "top_k", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff"):
                setattr(config, name, None)
            return config
        for name in ("temperature", "top_p"):
            if getattr(settings, name) is not None:
                setattr(config, name, getattr(settings, name))
        return config

    @contextlib.contextmanager
    def _seed(self, settings: Generation) -> Yields[None]:
        """Draw from a random source of this request's own; only a batch of one comes with a seed."""
        if settings.seed is None or not self.samples(settings):
            yield
            return
        devices = [self.loaded.device] if self.loaded.device.type == "cuda" else []
        source: Any = torch.random
        with source.fork_rng(devices=devices):
            source.manual_seed(settings.seed)
            yield


def read_answer(
    tokens: Sequence[int], prompt: Prompt, frontend: Frontend, *, ends: frozenset[int], limit: int
) -> Response:
    """The response in what a model wrote after a prompt.

    Args:
        tokens: what it wrote, with the end token and the padding after it.
        prompt: what it read.
        frontend: decodes.
        ends: tokens that end an answer.
        limit: how many tokens were allowed; the answer is `truncated` where neither an end token nor a stop text came.
    """
    end = next((at for at, token in enumerate(tokens) if token in ends), None)
    kept = list(tokens[:end])
    while end is None and kept and kept[-1] == frontend.pad_token_id:
        kept.pop()
    text, stopped = cut_at_stop(frontend.decode(kept), prompt.settings.stop)
    reasoning, text = split_reasoning(text, prompt)
    truncated = not stopped and len(kept) >= limit  # an end token leaves room for one less
    return Response(
        text=text,
        reasoning=reasoning,
        flags=frozenset({"truncated"} if truncated else ()),
        usage=Usage(
            output_tokens=len(kept) + (end is not None),
            reasoning_tokens=frontend.count(reasoning) if reasoning else 0,
        ),
        notes=prompt.notes,
    )
