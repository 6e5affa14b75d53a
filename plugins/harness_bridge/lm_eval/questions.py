"""All requests of one call of lm-eval's, asked together, and how its samples ended.

Slots and retries are the model's own. lm-eval has no word for a sample that failed, so they are counted here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.to_thread

from harness import Failure, HarnessError, Model, Request, Response
from harness.cli.table import table
from harness.errors import unwrap_groups
from harness.limits.metered import try_once

#: requests that are made ready or on their way at once; pictures are not all held in memory
_AT_ONCE = 200
_SHOWN = 20  # samples without an answer that are listed


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A sample without an answer."""

    task: str
    document: str
    failure: Failure


@dataclass(slots=True, kw_only=True)
class Tally:
    """How lm-eval's samples ended: it has no word for one that failed."""

    outcomes: Counter[str] = field(default_factory=Counter[str])
    faults: list[Fault] = field(default_factory=list[Fault])

    def add(self, task: str, document: str, result: Response | Failure) -> None:
        """One sample ended."""
        if isinstance(result, Failure):
            self.outcomes[result.outcome] += 1
            self.faults.append(Fault(task=task, document=document, failure=result))
        else:
            self.outcomes["answered" if result.text.strip() or result.choices else "empty"] += 1

    @property
    def text(self) -> str:
        """For a person: how many ended how, and the first that failed."""
        counts = table(["OUTCOME", "SAMPLES"], [[name, str(count)] for name, count in self.outcomes.most_common()])
        if not self.faults:
            return counts
        rows = [[f.task, f.document, f.failure.outcome, f.failure.reason, f.failure.message] for f in self.faults]
        more = f"\n… and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
        return f"{counts}\n\n{table(['TASK', 'DOC', 'OUTCOME', 'REASON', 'MESSAGE'], rows[:_SHOWN])}{more}"


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
            raise HarnessError(
                f"sample {question.document} of {question.task} has no answer: {result.outcome}: {result.reason}: "
                f"{result.message}",
                remedy="lm-eval would count it as an answer; --on-failure empty lets it, and says how many. With their "
                "--use_cache FILE what was answered is kept",
            )

    with unwrap_groups():
        async with anyio.create_task_group() as tasks:
            for question in questions:
                await slots.acquire()
                tasks.start_soon(one, question)


def sample_key(request: Any) -> Hashable:
    """The sample that one of lm-eval's requests belongs to."""
    return request.task_name, request.doc_id
