"""`lm-eval/…` as a Model; local lm-eval models answer one batch at a time, in a thread."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import cast

import anyio.to_thread

from harness import Failure, Model, ModelInfo, Request, Response, Settings
from harness.contracts import Ability
from harness.extras import Untyped
from harness.local.batching import Batcher, Ticket

from .registry import Context, ContextBuilder, LmEvalType, open_type, release
from .remote import Caller

Asked = Ticket[Context, Response | Failure]
Answerer = Callable[[Context], Awaitable[Response | Failure]]
NOTE = "lm-eval reports neither truncation nor token counts: no answer is flagged as truncated"


@asynccontextmanager
async def open_model(name: str, settings: Settings) -> AsyncGenerator[Model]:
    """Open `lm-eval/NAME`. Raises HarnessError."""
    model = await anyio.to_thread.run_sync(open_type, name, settings, abandon_on_cancel=True)
    try:
        contexts = ContextBuilder(model)
        if model.remote:
            caller = Caller(model, name)
            threads = anyio.CapacityLimiter(settings["batch_size"])

            async def call(context: Context) -> Response | Failure:
                return await anyio.to_thread.run_sync(caller, context, limiter=threads, abandon_on_cancel=True)

            yield LmEvalModel(_build_info(name, model, settings, caller.endpoint), contexts, call)
            return
        runner = Runner(model.lm, name)
        batcher = Batcher(runner, size=settings["batch_size"], wait=settings["batch_wait"] / 1000)

        async def submit(context: Context) -> Response | Failure:
            return await batcher.submit(context, runner.group(context))

        async with batcher.serving():
            info = _build_info(name, model, settings, f"local:{model.lm.device or 'cpu'}")
            yield LmEvalModel(info, contexts, submit)
    finally:
        release(model)


def _build_info(name: str, model: LmEvalType, settings: Settings, endpoint: str) -> ModelInfo:
    images = {"pictures": getattr(model.lm, "max_images", None), "chat": None}.get(model.kind, 0)
    can: dict[Ability, bool] = {
        "images": images != 0,
        "system": bool(model.system),
        "raw": model.kind != "chat",
        "choices": not model.remote,
    }
    return ModelInfo(
        ref=f"lm-eval/{name}",
        endpoint=endpoint,
        max_images=images,
        local=not model.remote,
        concurrency=settings["batch_size"] * (1 if model.remote else 2),
        fingerprint=model.fingerprint,
        can=frozenset(ability for ability, there in can.items() if there),
        notes=() if model.kind == "chat" else (NOTE,),
    )


class LmEvalModel:
    """A model of lm-eval.

    Attributes:
        info: the model's description; a seed counts as dropped once a request asked for one.
    """

    def __init__(self, info: ModelInfo, contexts: ContextBuilder, answer: Answerer) -> None:
        self.info = info
        self._contexts = contexts
        self._answer = answer
        self._seeded = contexts.seeded

    async def generate(self, request: Request) -> Response | Failure:
        """Answer one request; a local model batches it with concurrent ones."""
        if request.settings.seed is not None and not self._seeded:
            self.info = replace(self.info, dropped=frozenset({"seed"}))
        context = await anyio.to_thread.run_sync(self._contexts.build, request)
        return context if isinstance(context, Failure) else await self._answer(context)


class TooLong(Exception):
    """A context whose start lm-eval would silently cut off."""


class Runner:
    """Runs one batch; called in the batcher's thread."""

    def __init__(self, lm: Untyped, name: str) -> None:
        self._lm = lm
        self._name = name
        for encoder in ("tok_batch_multimodal_encode", "tok_batch_encode"):
            if hasattr(lm, encoder):
                setattr(lm, encoder, refuse_truncation(getattr(lm, encoder)))

    def group(self, context: Context) -> Hashable:
        """A key, equal for contexts that may run together; None for one that runs alone."""
        if context.choices:
            return None
        return repr(sorted(context.sampling.items())), len(context.pictures)

    def __call__(self, asked: Sequence[Asked]) -> list[Response | Failure]:
        """One result for each, in order; a failed batch runs again one by one."""
        if not any(ticket.wanted for ticket in asked):
            return [Failure(outcome="error", reason="abandoned") for _ in asked]
        try:
            return self._answer([ticket.item for ticket in asked])
        except Exception as error:  # noqa: BLE001 - a model may raise anything
            reason = "context_length" if isinstance(error, TooLong) else type(error).__name__
            if "out of memory" in str(error).lower() or "allocate memory" in str(error):
                reason = "out_of_memory"
            failure = Failure(outcome="error", reason=reason, message=str(error)[:300])
        return [failure] if len(asked) == 1 else [result for ticket in asked for result in self([ticket])]

    def _answer(self, contexts: Sequence[Context]) -> list[Response | Failure]:
        started = time.perf_counter()
        encode, most = getattr(self._lm, "tok_encode", None), getattr(self._lm, "max_length", None)
        for context in contexts:
            if context.pictures or encode is None or not isinstance(most, int):
                continue  # only the encoder can count the tokens of pictures
            room = 0 if context.choices else context.sampling.get("max_gen_toks", getattr(self._lm, "max_gen_toks", 0))
            longest = max(len(encode(context.text + choice)) for choice in context.choices or ("",))
            if longest > most - room:
                raise TooLong(_format_too_long(longest, most - room))
        if contexts[0].choices:
            weighed = self._lm.loglikelihood(contexts[0].instances(), disable_tqdm=True)
            choices = {name: float(pair[0]) for name, pair in zip(contexts[0].choices, weighed, strict=True)}
            best = max(choices, key=lambda name: choices[name])
            return [Response(text=best, choices=choices, model=self._name, seconds=time.perf_counter() - started)]
        asked = [instance for context in contexts for instance in context.instances()]
        texts: list[str] = self._lm.generate_until(asked, disable_tqdm=True)
        seconds = time.perf_counter() - started
        responses: list[Response | Failure] = []
        for text, context in zip(texts, contexts, strict=True):
            for stop in context.sampling["until"]:
                text = text.partition(stop)[0]
            responses.append(Response(text=text, model=self._name, seconds=seconds))
        return responses


def refuse_truncation(encode: Untyped) -> Untyped:
    """An encoder that raises TooLong where lm-eval's would cut off the start of a context."""

    def encode_whole(*arguments: Untyped, left_truncate_len: int | None = None, **options: Untyped) -> Untyped:
        found = encode(*arguments, left_truncate_len=None, **options)
        rows: Untyped = found
        tokens: Untyped = cast("Untyped", rows[0]) if isinstance(rows, tuple) else getattr(rows, "input_ids", None)
        count = 0 if tokens is None else int(tokens.shape[1])  # None: vLLM's encoder, which checks by itself
        if left_truncate_len is not None and count > left_truncate_len:
            raise TooLong(_format_too_long(count, left_truncate_len))
        return found

    return encode_whole


def _format_too_long(count: int, most: int) -> str:
    return f"{count} tokens, but {max(0, most)} fit; set a longer max_length=… in model_args"
