"""Models of lm-eval in this process: one batch at a time, in a thread."""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence
from typing import cast

from harness import Failure, Response
from harness.local.batching import Ticket

from .contexts import Context
from .untyped import Untyped

Asked = Ticket[Context, Response | Failure]


class TooLong(Exception):
    """A context that lm-eval would cut off at its start without a word."""


class Runner:
    """Runs one batch; called in the batcher's thread."""

    def __init__(self, lm: Untyped, name: str) -> None:
        self._lm = lm
        self._name = name
        for encoder in ("tok_batch_multimodal_encode", "tok_batch_encode"):
            if hasattr(lm, encoder):
                setattr(lm, encoder, whole(getattr(lm, encoder)))

    def group(self, context: Context) -> Hashable:
        """What contexts must share to run together; None for one that runs alone."""
        if context.choices:
            return None
        return repr(sorted(context.sampling.items())), len(context.pictures)

    def __call__(self, asked: Sequence[Asked]) -> list[Response | Failure]:
        """One result for each, in order; what fails together is asked again one by one, and so fails alone."""
        if not any(ticket.wanted for ticket in asked):
            return [Failure(outcome="error", reason="abandoned") for _ in asked]
        try:
            return self._answer([ticket.item for ticket in asked])
        except Exception as error:  # noqa: BLE001 - a model raises what it likes
            failure = _failure(error)
        return [failure] if len(asked) == 1 else [result for ticket in asked for result in self([ticket])]

    def _answer(self, contexts: Sequence[Context]) -> list[Response | Failure]:
        started = time.perf_counter()
        for context in contexts:
            self._insist_fits(context)
        if contexts[0].choices:
            weighed = self._lm.loglikelihood(contexts[0].instances(), disable_tqdm=True)
            choices = {name: float(pair[0]) for name, pair in zip(contexts[0].choices, weighed, strict=True)}
            best = max(choices, key=lambda name: choices[name])
            return [Response(text=best, choices=choices, model=self._name, seconds=time.perf_counter() - started)]
        asked = [instance for context in contexts for instance in context.instances()]
        texts: list[str] = self._lm.generate_until(asked, disable_tqdm=True)
        seconds = time.perf_counter() - started
        pairs = zip(texts, contexts, strict=True)
        return [Response(text=_cut(text, context), model=self._name, seconds=seconds) for text, context in pairs]

    def _insist_fits(self, context: Context) -> None:
        """Raise TooLong for text; where pictures are, only the encoder knows how many tokens they take."""
        encode, most = getattr(self._lm, "tok_encode", None), getattr(self._lm, "max_length", None)
        if context.pictures or encode is None or not isinstance(most, int):
            return
        room = 0 if context.choices else context.sampling.get("max_gen_toks", getattr(self._lm, "max_gen_toks", 0))
        longest = max(len(encode(context.text + choice)) for choice in context.choices or ("",))
        if longest > most - room:
            raise TooLong(_too_long(longest, most - room))


def whole(encode: Untyped) -> Untyped:
    """An encoder that raises TooLong where lm-eval's cuts the start of a context off."""

    def encoded(*arguments: Untyped, left_truncate_len: int | None = None, **options: Untyped) -> Untyped:
        found = encode(*arguments, left_truncate_len=None, **options)
        count = _longest(found)
        if left_truncate_len is not None and count > left_truncate_len:
            raise TooLong(_too_long(count, left_truncate_len))
        return found

    return encoded


def _too_long(count: int, most: int) -> str:
    return f"{count} tokens where {max(0, most)} fit; a longer max_length=… goes into model_args"


def _longest(found: Untyped) -> int:
    """Tokens of the longest row of a batch; 0 where the encoder gives no tokens, as vLLM's, which checks by itself."""
    tokens: Untyped = cast("Untyped", found[0]) if isinstance(found, tuple) else getattr(found, "input_ids", None)
    return 0 if tokens is None else int(tokens.shape[1])


def _cut(text: str, context: Context) -> str:
    """The text before the first stop."""
    for stop in context.sampling["until"]:
        text = text.partition(stop)[0]
    return text


def _failure(error: Exception) -> Failure:
    reason = "context_length" if isinstance(error, TooLong) else type(error).__name__
    if "out of memory" in str(error).lower() or "allocate memory" in str(error):
        reason = "out_of_memory"
    return Failure(outcome="error", reason=reason, message=str(error)[:300])
