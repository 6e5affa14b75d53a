"""How to prompt a model, and the answers of one batch: generated, or by scoring given continuations.

Greedy answers do not depend on the other rows: prompts are padded on the left and the padding is masked. In float32 a
prompt gets the same answer alone and among seven others.

A continuation's score is its log-probability after the prompt, summed over its tokens. Prompt and continuation are
tokenised together, as the model would read them. Scores of all continuations start at the same token: the first at
which any of them differs from the prompt alone. Rows are padded on the right, where no scored token sees the padding,
whatever kind of positions the model uses.

When memory runs out, batches shrink for good, and the batch that failed runs again in halves.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import time
from collections.abc import Callable, Sequence
from collections.abc import Generator as Yields
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import torch

from harness import Failure, Generation, HarnessError, Response, Settings, Usage
from harness.contracts import Ability
from harness.local import Chat, Frontend, Prompt, PromptFormat, cut_at_stop, split_reasoning, study
from harness.local.batching import Ticket
from harness.local.devices import free_cache
from harness.local.prompts import count_shared
from harness_hf.loading import Batch, Loaded

if TYPE_CHECKING:
    from PIL.Image import Image

Answer = Response | Failure | HarnessError  # the last: nothing will work
Waiting = Ticket[Prompt, Answer]
#: Default if neither the request nor the model limits the answer.
MAX_TOKENS = 1024
Item = TypeVar("Item")
Result = TypeVar("Result")
ADVICE: Final = (
    "lower -M max_pixels (or max_patches, longest_edge), load with -M dtype=bfloat16 or -M load_in=4bit, "
    "or spread the model with -M sharding=auto"
)
#: Texts in torch's RuntimeError; the last is from cuBLAS and cuDNN.
_OUT_OF_MEMORY: Final = ("allocate memory", "out of memory", "STATUS_ALLOC_FAILED")


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Facts about a model family that its folders lack.

    Attributes:
        max_images: most images that it was made for; None if its template handles them.
        turn: its prompt if it has no chat template, see `harness.local.PromptFormat`.
        note: a note for readers of its numbers.
    """

    max_images: int | None = None
    turn: str = ""
    note: str = ""


#: Model type of the configuration -> family.
FAMILIES: Final = {
    "paligemma": Family(max_images=1, turn="{images}answer en {question}"),
    "blip-2": Family(max_images=1, turn="Question: {question} Answer:"),
    "instructblip": Family(max_images=1, turn="{question}"),
    "mllama": Family(
        note="Llama 3.2 Vision was trained on one image a prompt: it gets all images, in order, "
        "but its results on several images do not compare with other models'"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptStyle:
    """How to prompt a model.

    Attributes:
        chat: how its template renders; None without one.
        form: how to write images and questions, if not by the template alone.
        ends: ids of tokens that end an answer, besides those of its generation settings.
        max_tokens: limit of an answer, over the request's; None for none.
        max_images: most images per request; None for no limit.
        can: its abilities.
        notes: notes for a person.
    """

    chat: Chat | None
    form: PromptFormat
    ends: frozenset[int]
    max_tokens: int | None
    max_images: int | None
    can: frozenset[Ability]
    notes: tuple[str, ...]


def find_style(loaded: Loaded, settings: Settings) -> PromptStyle:
    """How to prompt a loaded model. Raises HarnessError if its template or the settings are unusable."""
    frontend, profile = loaded.frontend, loaded.profile
    family = FAMILIES.get(loaded.model.config.model_type, Family())
    chat = study(frontend, thinking=settings["thinking"])
    if settings["prompt_format"] is not None:
        form = PromptFormat.parse(settings["prompt_format"])
    elif profile is not None:
        form = profile.form
    else:
        form = PromptFormat() if frontend.template else PromptFormat(turn=family.turn)

    ends = [chat.end] if chat and chat.end else []
    ends += (profile.ends.value or ()) if profile else ()

    max_images: int | None = 0
    if frontend.vlm:
        max_images = chat.max_images if chat is not None and form == PromptFormat() else None
        max_images = max_images if family.max_images is None else family.max_images
        max_images = max_images if settings["max_images"] is None else settings["max_images"]

    can: set[Ability] = {"raw", "choices", "prefill"}
    if max_images != 0:
        can.add("images")
    if chat and chat.system and not form.turn:
        can.add("system")
    return PromptStyle(
        chat=chat,
        form=form,
        ends=frozenset(frontend.find_ids(ends)),
        max_tokens=profile.max_tokens.value if profile else None,
        max_images=max_images,
        can=frozenset(can),
        notes=tuple(filter(None, (family.note, loaded.note, profile.describe() if profile else ""))),
    )


class ContextOverflow(Exception):
    """A prompt is longer than the model's context."""


def encode(
    frontend: Frontend,
    texts: Sequence[str],
    images: Sequence[Sequence[Image]],
    *,
    raw: bool,
    side: Literal["left", "right"],
) -> Batch:
    """Turn texts into tensors; all texts have the same number of images.

    Args:
        frontend: its processor encodes.
        texts: with a placeholder for each image.
        images: images of each text, in order.
        raw: the texts did not come from the chat template.
        side: padding side of shorter rows.
    """
    arguments: Batch = {"text": list(texts), "padding": True, "padding_side": side, "return_tensors": "pt"}
    if any(images):
        arguments["images"] = [list(row) for row in images]
    if frontend.begins(texts[0], raw=raw):
        arguments["add_special_tokens"] = False
    batch: Batch = frontend.encode(**arguments)
    batch.pop("labels", None)  # PaliGemma's processor adds them for training
    return batch


def count_tokens(batch: Batch, context: int | None) -> list[int]:
    """The token count of each row, without padding. Raises ContextOverflow if a row fills the context."""
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
        """Whether answers are sampled; otherwise decoding is greedy."""
        if settings.temperature is None:
            return bool(self._defaults.do_sample)
        return settings.temperature > 0

    def encode_ahead(self, waiting: Sequence[Waiting]) -> None:
        """Encode the next batch; if that fails, the batch fails when it runs."""
        with contextlib.suppress(Exception):
            self._ready[waiting[0]] = waiting, self._encode(waiting)
        for stale in list(self._ready)[:-2]:  # one waits and one starts; older ones are abandoned
            self._ready.pop(stale, None)

    def __call__(self, waiting: Sequence[Waiting]) -> list[Answer]:
        """The answers to prompts of one group, in order; raises whatever torch or the model raises."""
        prompts = [ticket.item for ticket in waiting]
        settings = prompts[0].settings
        started = time.monotonic()
        ready = self._ready.pop(waiting[0], None)
        batch = ready[1] if ready is not None and ready[0] == waiting else self._encode(waiting)
        read = count_tokens(batch, self.loaded.context)
        config = self._configure(settings)

        def is_unwanted(input_ids: torch.Tensor, scores: object, **_: object) -> torch.Tensor:  # noqa: ARG001
            """End the rows whose callers no longer wait."""
            rows = torch.tensor([not ticket.wanted for ticket in waiting], device=input_ids.device)
            return rows.repeat_interleave(input_ids.shape[0] // len(waiting))  # several beams a row

        with torch.inference_mode(), self._seed(settings):
            tokens: Any = self.loaded.model.generate(
                **self.loaded.to_device(batch),
                generation_config=config,
                stopping_criteria=[is_unwanted],
                tokenizer=self.loaded.frontend.tokenizer,  # to find stop texts that span tokens
            )
        asked = batch["input_ids"]
        # A model whose code makes embeddings first returns only the new tokens.
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
        """Seed a random source for this request; only a batch of one has a seed."""
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
    """Build the response from the tokens that a model wrote after a prompt.

    Args:
        tokens: the written tokens, with end token and padding.
        prompt: the prompt.
        frontend: decodes.
        ends: tokens that end an answer.
        limit: most tokens; the answer is `truncated` if it reaches them without an end token or stop text.
    """
    end = next((at for at, token in enumerate(tokens) if token in ends), None)
    kept = list(tokens[:end])
    while end is None and kept and kept[-1] == frontend.pad_token_id:
        kept.pop()
    text, stopped = cut_at_stop(frontend.decode(kept), prompt.settings.stop)
    reasoning, text = split_reasoning(text, prompt)
    truncated = not stopped and len(kept) >= limit  # an end token takes one place
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


class BatchSize:
    """How many rows may run together: halved when memory runs out, never raised again.

    Attributes:
        size: most rows, at least one.
        notes: notes on changes, for a person.
    """

    def __init__(self, size: int) -> None:
        self.size = max(1, size)
        self.notes: tuple[str, ...] = ()

    def halve(self, rows: int) -> None:
        """Allow half of a number of rows that did not fit."""
        size = max(1, rows // 2)
        if size < self.size:
            self.size = size
            self.notes = (f"batch size halved to {size} after out of memory",)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device or this machine ran out of memory."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _OUT_OF_MEMORY)


def memory_error(error: BaseException) -> HarnessError:
    """The error that ends a run if a single request does not fit."""
    first = (str(error).strip().splitlines() or [""])[0]
    return HarnessError(f"out of memory with one request at a time: {first[:200]}", remedy=ADVICE)


def run_in_halves(
    work: Callable[[Sequence[Item]], list[Result]],
    items: Sequence[Item],
    *,
    batch_size: BatchSize,
    failed: Callable[[Exception], Result],
    between: Callable[[], None],
) -> list[Result]:
    """Run a batch; run a failed batch again in halves, so that only the faulty item fails.

    Args:
        work: returns the results of items, in order; raises if the batch is too large, or an item is faulty.
        items: at least one.
        batch_size: most items per batch; halved for good when memory runs out.
        failed: makes the result of a single item whose work raised.
        between: called before the next try, for example to free memory.
    """
    size = batch_size.size
    if len(items) <= size:
        try:
            return work(items)
        except Exception as error:  # noqa: BLE001 - whatever one item raises, the others are run
            failure = failed(error)
            if is_out_of_memory(error):
                batch_size.halve(len(items))
        # Here the error is released, and with it the memory that its traceback held.
        between()
        if len(items) == 1:
            return [failure]
        size = (len(items) + 1) // 2
    results: list[Result] = []
    for start in range(0, len(items), size):
        part = items[start : start + size]
        results += run_in_halves(work, part, batch_size=batch_size, failed=failed, between=between)
    return results


class ChoiceScorer:
    """Scores continuations with one model, as many at once as memory allows."""

    def __init__(self, loaded: Loaded, batch_size: BatchSize) -> None:
        self._loaded = loaded
        self._batch_size = batch_size
        self._keeps_logits = "logits_to_keep" in inspect.signature(loaded.model.forward).parameters

    def __call__(self, prompt: Prompt) -> Response:
        """A response whose text is the likeliest continuation; raises whatever torch or the model raises."""
        while True:
            size = min(self._batch_size.size, len(prompt.choices))
            try:
                return self._score(prompt, size)
            except Exception as error:
                if size == 1 or not is_out_of_memory(error):
                    raise
            self._batch_size.halve(size)
            free_cache()

    def _score(self, prompt: Prompt, size: int) -> Response:
        started = time.monotonic()
        alone = self._encode(prompt, [""])
        parts = [self._encode(prompt, prompt.choices[at : at + size]) for at in range(0, len(prompt.choices), size)]
        counts = [count for part in parts for count in count_tokens(part, self._loaded.context)]
        rows: list[list[int]] = [row for part in (alone, *parts) for row in part["input_ids"].tolist()]
        start = max(count_shared(rows), 1)
        scores = [score for part in parts for score in self._score_rows(part, start)]
        choices = dict(zip(prompt.choices, scores, strict=True))
        (read,) = count_tokens(alone, None)
        return Response(
            text=max(choices, key=lambda choice: choices[choice]),
            usage=Usage(input_tokens=read, output_tokens=sum(count - start for count in counts)),
            model=self._loaded.origin.name,
            seconds=time.monotonic() - started,
            choices=choices,
            notes=prompt.notes,
        )

    def _encode(self, prompt: Prompt, choices: Sequence[str]) -> Batch:
        texts = [prompt.text + choice for choice in choices]
        return encode(self._loaded.frontend, texts, [prompt.images] * len(texts), raw=prompt.raw, side="right")

    def _score_rows(self, batch: Batch, start: int) -> list[float]:
        """Each row's sum of log-probabilities from token `start` on."""
        on_device = self._loaded.to_device(batch)
        ids: torch.Tensor = on_device["input_ids"]
        kept = ids.shape[1] - start + 1  # the logits of each token score the next one
        keep: dict[str, Any] = {"logits_to_keep": kept} if self._keeps_logits else {}
        with torch.inference_mode():
            logits: torch.Tensor = self._loaded.model(**on_device, use_cache=False, **keep).logits
            chances = logits[:, -kept:-1].float().log_softmax(dim=-1)
            of_tokens = chances.gather(2, ids[:, start:, None])[..., 0]
            sums: list[float] = (of_tokens * on_device["attention_mask"][:, start:]).sum(dim=1).tolist()
        return sums
