"""What strategies share: the model around a model, several calls at once, and the words of a question."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Final, TypeVar, TypeVarTuple, Unpack

from harness import BadImage, Failure, HarnessError, Message, Model, ModelInfo, Request, Response, Settings, Text
from harness.errors import BudgetSpent
from harness.extras import require_module
from harness.types import Part, add_usage

_T = TypeVar("_T")
_A = TypeVarTuple("_A")
Answer = Callable[[Model, Request], Awaitable[Response | Failure]]
BLOCKED: Final = "defence"  #: the reason of an `input_blocked` that is a strategy's, not a provider's
GAP: Final = "{}"  #: in a template: where the question stands


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyModel:
    """A model with a strategy around it.

    Attributes:
        name: the strategy's name.
        inner: the inner model; its info stays the same.
        answer: asks the inner model.
    """

    name: str
    inner: Model
    answer: Answer

    @property
    def info(self) -> ModelInfo:
        """The inner model's."""
        return self.inner.info

    async def generate(self, request: Request) -> Response | Failure:
        """Answer by the strategy; a request that is not a chat fails: the strategy cannot apply."""
        if not is_chat(request):
            why = "the request is raw or asks for log-probabilities, so it has no turn for the strategy"
            return Failure(outcome="error", reason="no_chat_turn", message=f"strategy {self.name}: {why}")
        try:
            return await self.answer(self.inner, request)
        except BadImage as fault:  # its structure was sound, and its pixels cannot be read
            return Failure(outcome="bad_sample", reason=fault.reason, message=str(fault))


def is_chat(request: Request) -> bool:
    """Whether the request has a turn for a strategy."""
    return not (request.raw or request.choices)


def count_one_call(request: Request, _settings: Settings) -> tuple[int, int]:
    """Least and most calls of a strategy that asks once; none without a chat."""
    return (1, 1) if is_chat(request) else (0, 0)


def seed_random(request: Request, salt: str) -> Random:
    """Random numbers that depend on the request and the salt alone: the same request is changed in the same way."""
    from harness.keys import digest, request_to_json

    return Random(digest({"request": request_to_json(request), "salt": salt}))


async def run_in_thread(work: Callable[[Unpack[_A]], _T], *arguments: *_A) -> _T:
    """What a function gives that computes for long, while other calls go on."""
    from anyio import to_thread  # a list of plugins imports this module and needs no anyio

    return await to_thread.run_sync(work, *arguments)


async def ask_all(model: Model, requests: Sequence[Request]) -> list[Response | Failure]:
    """Send requests at once; the replies are in the same order. Raises HarnessError if no request will work."""
    results: list[Response | Failure | None] = [None] * len(requests)
    over: list[BudgetSpent] = []

    async def send(number: int, request: Request) -> None:
        try:
            results[number] = await model.generate(request)
        except BudgetSpent as error:  # the others are on the wire and paid for
            over.append(error)

    try:
        import anyio

        async with anyio.create_task_group() as group:
            for number, request in enumerate(requests):
                group.start_soon(send, number, request)
    except BaseExceptionGroup as error:
        raise error.exceptions[0] from None
    if over:
        raise over[0]
    return [result for result in results if result is not None]


def join_calls(
    last: Response | Failure, calls: Sequence[Response | Failure], steps: Mapping[str, str]
) -> Response | Failure:
    """The outcome with the steps so far and the tokens of all calls."""
    usage = add_usage(*(call.usage for call in calls))
    if isinstance(last, Failure):
        return replace(last, usage=usage, steps=steps)
    notes = dict.fromkeys(note for call in calls if isinstance(call, Response) for note in call.notes)
    return replace(last, usage=usage, notes=tuple(notes), steps=steps)


def block(message: str) -> Failure:
    """What a sample ends as that a strategy blocks: as one that the provider's filter blocks, with another reason."""
    return Failure(outcome="input_blocked", reason=BLOCKED, message=message)


def find_question(request: Request) -> str:
    """The words of the last user turn, its parts on lines of their own."""
    turns = [message for message in request.messages if message.role == "user"]
    parts = turns[-1].content if turns else ()
    return "\n".join(part.text for part in parts if isinstance(part, Text))


def change_question(request: Request, change: Callable[[tuple[Part, ...]], tuple[Part, ...]]) -> Request:
    """The request with another content of its last user turn; earlier turns stay as they were asked."""
    messages: list[Message] = list(request.messages)
    for place in range(len(messages) - 1, -1, -1):
        if messages[place].role == "user":
            messages[place] = replace(messages[place], content=change(messages[place].content))
            break
    return replace(request, messages=tuple(messages))


def append_words(parts: tuple[Part, ...], words: str) -> tuple[Part, ...]:
    """A turn with a paragraph at its end: of its last text, or a text of its own after an image."""
    if parts and isinstance(end := parts[-1], Text):
        return (*parts[:-1], Text(text=f"{end.text}\n\n{words}"))
    return (*parts, Text(text=words))


def find_scorer(name: str) -> tuple[Path, str]:
    """The folder of a model of transformers that a strategy asks itself, and the hash of its files.

    Raises HarnessError if the model is not there, or the extra `hf` is not installed.
    """
    require_module("harness_strategies.embedding", "hf", by=name)  # so that it is said before the run
    from harness.fingerprint import hash_folder
    from harness.keys import digest
    from harness.local.origin import folder_of

    folder = folder_of(name, None, scheme="hf", adapter="")
    return folder, digest(hash_folder(folder)).partition(":")[2]


def read_words(file: Path, what: str) -> str:
    """The text of a user's file, without blanks around it. Raises HarnessError if it cannot be read, or is blank."""
    try:
        words = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise HarnessError(f"{what} cannot be read as UTF-8 text", where=str(file)) from error
    if not words:
        raise HarnessError(f"the text of {what} is blank", where=str(file))
    return words
