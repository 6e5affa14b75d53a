"""lm-eval models that call a server: one call per request, in a thread, with the outcome that lm-eval would lose.

lm-eval keeps only a completion's text, turns a block into an empty answer and any error into an exception. This module
catches the server's own reply, so that blocks, token limits and wrong keys keep their outcome.
"""

from __future__ import annotations

import contextvars
import importlib
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from harness import Failure, Json, Response
from harness.extras import Untyped
from harness.http import Address, Reply, Unreadable, unreachable
from harness.http.chat import answer
from harness.http.status import ApiError, failure

from .posting import GuardedRequests
from .registry import Context, LmEvalType

_caught: contextvars.ContextVar[list[Json]] = contextvars.ContextVar("caught")


class Caller:
    """Makes one call; thread-safe."""

    def __init__(self, model: LmEvalType, name: str) -> None:
        self._lm = model.lm
        self._chat = model.kind == "chat"
        self._name = name
        self._where = Address(url=str(model.lm.base_url), key_env="OPENAI_API_KEY")
        _hide_progress(model.lm)
        api_models: Untyped = importlib.import_module("lm_eval.models.api_models")
        api_models.requests = GuardedRequests()
        call: Untyped = model.lm.model_call

        def call_and_keep(*arguments: Untyped, **options: Untyped) -> Untyped:
            reply = call(*arguments, **options)
            _caught.get([]).append(reply)
            return reply

        model.lm.model_call = call_and_keep

    @property
    def endpoint(self) -> str:
        """Where the calls go."""
        return self._where.id

    def __call__(self, context: Context) -> Response | Failure:
        """One attempt. Raises HarnessError if no request will work."""
        replies: list[Json] = []
        token = _caught.set(replies)
        started = time.perf_counter()
        try:
            (text,) = self._lm.generate_until(context.instances(), disable_tqdm=True)
        except Exception as error:  # noqa: BLE001 - requests, tenacity, aiohttp and lm-eval itself
            return self._describe_failure(error)
        finally:
            _caught.reset(token)
        seconds = time.perf_counter() - started
        if self._chat and replies:
            said = answer(Reply(payload=replies[-1], seconds=seconds, where=self._where))
            return said if isinstance(said, Failure) or not text else replace(said, text=text)
        return Response(text=text, model=self._name, seconds=seconds)

    def _describe_failure(self, error: Exception) -> Failure:
        if isinstance(error, Unreadable):
            return unreachable(error, self._where)
        reply: Any = getattr(error, "response", None)
        if reply is not None and hasattr(reply, "status_code"):
            headers: Mapping[str, str] = dict(reply.headers)
            return failure(reply.status_code, headers, ApiError.of(reply.content), self._where)
        lost = "Connection" in type(error).__name__ or "Timeout" in type(error).__name__
        reason = "connection" if lost else type(error).__name__
        return Failure(outcome="error", reason=reason, message=self._where.redact(str(error)), transient=lost)


def _hide_progress(lm: Untyped) -> None:
    """Hide the progress bar of each call; the run has its own."""
    shown: Untyped = importlib.import_module("tqdm").tqdm

    def hide(*arguments: Untyped, **options: Untyped) -> Untyped:
        return shown(*arguments, **options | {"disable": True})

    bases: tuple[type, ...] = type(lm).__mro__
    for base in bases:
        home: Untyped = importlib.import_module(base.__module__)
        if getattr(home, "tqdm", None) is shown:
            home.tqdm = hide
