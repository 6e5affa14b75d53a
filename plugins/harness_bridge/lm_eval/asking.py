"""All requests of one call of lm-eval's, asked together; slots and retries are the model's own."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.to_thread

from harness import Failure, HarnessError, Model, Request, Response
from harness.groups import ungrouped
from harness.limits.metered import try_once

from .tally import Tally

#: requests that are made ready or on their way at once; pictures are not all held in memory
_AT_ONCE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One sample to be asked.

    Attributes:
        task: its name.
        document: its number in the task.
        make: the request, or why there is none; blocking, raises HarnessError where no request will work.
        answered: given the answer, at most once.
    """

    task: str
    document: str
    make: Callable[[], Request | Failure]
    answered: Callable[[Response], None]


async def ask_all(model: Model, questions: Sequence[Question], tally: Tally, *, stops: bool, done: Any) -> None:
    """Ask them all.

    Args:
        model: metered.
        questions: in any order.
        tally: told how each ended.
        stops: whether the first without an answer ends it all.
        done: called once for each.

    Raises:
        HarnessError: nothing will work, or one had no answer and `stops` is set.
    """
    slots = anyio.Semaphore(_AT_ONCE)

    async def one(question: Question) -> None:
        try:
            made = await anyio.to_thread.run_sync(question.make)
            result = made if isinstance(made, Failure) else await try_once(model, made)
        finally:
            slots.release()
        tally.add(question.task, question.document, result)
        done()
        if isinstance(result, Response):
            question.answered(result)
        elif stops:
            raise _without_answer(question, result)

    with ungrouped():
        async with anyio.create_task_group() as tasks:
            for question in questions:
                await slots.acquire()
                tasks.start_soon(one, question)


def _without_answer(question: Question, failure: Failure) -> HarnessError:
    return HarnessError(
        f"sample {question.document} of {question.task} has no answer: {failure.outcome}: {failure.reason}: "
        f"{failure.message}",
        remedy="lm-eval would count it as an answer; --on-failure empty lets it, and says how many. With their "
        "--use_cache FILE what was answered is kept",
    )


def key(request: Any) -> Hashable:
    """The sample that one of lm-eval's requests belongs to."""
    return request.task_name, request.doc_id
