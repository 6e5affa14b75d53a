"""What all strategies here share: a model around a model, and the request with something put to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from harness import Failure, Message, Model, ModelInfo, Request, Response, Settings, Text

Answer = Callable[[Model, Request], Awaitable[Response | Failure]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """A model with a strategy around it.

    Attributes:
        name: of the strategy.
        inner: the model that is asked; what it is and where it runs stays as it is.
        answer: how it is asked.
    """

    name: str
    inner: Model
    answer: Answer

    @property
    def info(self) -> ModelInfo:
        """The inner model's."""
        return self.inner.info

    async def generate(self, request: Request) -> Response | Failure:
        """Answer by the strategy; a request that is no chat fails, since the strategy would silently not be there."""
        if not is_chat(request):
            why = "the request is raw, or asks for log-probabilities: there is no turn to put the strategy into"
            return Failure(outcome="error", reason="no_chat_turn", message=f"strategy {self.name}: {why}")
        return await self.answer(self.inner, request)


def is_chat(request: Request) -> bool:
    """Whether there is a turn to put a strategy into."""
    return not (request.raw or request.choices)


def once(request: Request, _settings: Settings) -> tuple[int, int]:
    """The calls of a strategy that asks once, something else than was asked; what is no chat fails unasked."""
    return (1, 1) if is_chat(request) else (0, 0)


def changing(change: Callable[[Request], Request]) -> Answer:
    """Ask once, something else than was asked."""

    async def answer(model: Model, request: Request) -> Response | Failure:
        return await model.generate(change(request))

    return answer


def with_system(request: Request, text: str) -> Request:
    """The same request with a text at the front of its system message."""
    own = request.messages[0].content if request.messages[0].role == "system" else ()
    turns = request.messages[1:] if own else request.messages
    return replace(request, messages=(Message(role="system", content=(Text(text=text), *own)), *turns))


def with_ending(request: Request, text: str) -> Request:
    """The same request with a paragraph at the end of its last turn."""
    *earlier, last = request.messages
    *parts, end = last.content
    parts += [Text(text=f"{end.text}\n\n{text}")] if isinstance(end, Text) else [end, Text(text=text)]
    return replace(request, messages=(*earlier, replace(last, content=tuple(parts))))
