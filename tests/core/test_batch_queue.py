"""The queue and the model above it, with a side that answers at once: what is asked together, what is told apart."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection
from contextlib import suppress
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness.batches import BatchedModel, BatchesPending, BatchQueue, ask_in_batches, list_batches
from harness.batches import queue as queues
from harness.batches.log import BatchLog, read_costs
from harness.contracts import ModelInfo
from harness.errors import BudgetSpent, Forbidden, HarnessError
from harness.http import Body, encode
from harness.http.batching import (
    BatchAnswer,
    BatchLimits,
    BatchState,
    CallFailed,
    find_call,
    list_found,
    read_chat_results,
)
from harness.limits import Endpoints, Policy
from harness.limits.quota import Budget
from harness.types import Failure, Message, Request, Response, Text

pytestmark = pytest.mark.anyio


def ask(text: str) -> Request:
    return Request(messages=(Message(role="user", content=(Text(text=text),)),))


class Side:
    """A provider's side: batches are lists, and each request is answered by its text."""

    limits = BatchLimits(requests=100, bytes=10_000)
    live = True

    def __init__(self) -> None:
        self.batches: list[list[dict[str, str]]] = []
        self.ended = True

    def pack(self, name: str, body: Body) -> bytes:
        return json.dumps({"name": name, "body": bytes(body).decode()}).encode()

    def advise(self, batch: str) -> str:
        return ""

    async def submit(self, file: Path, mark: str) -> str:
        self.batches.append([json.loads(line) for line in file.read_text().splitlines()])  # noqa: ASYNC240
        return str(len(self.batches) - 1)

    async def find(self, mark: str, *, count: int, since: float, known: Collection[str]) -> str | None:
        del mark, count, since, known
        return None

    async def poll(self, batch: str) -> BatchState:
        del batch
        return BatchState(state="ended" if self.ended else "open")

    async def results(self, batch: str) -> AsyncIterator[tuple[str, BatchAnswer | None]]:
        for each in self.batches[int(batch)]:
            yield each["name"], BatchAnswer(status=200, body=each["body"].encode())

    async def cancel(self, batch: str) -> None:
        del batch


class Echo:
    """A model whose wire gives back what is asked."""

    def __init__(self, side: Side) -> None:
        self.info = ModelInfo(ref="echo/echo", endpoint="echo")
        self.batches = side

    async def generate(self, request: Request) -> Response | Failure:
        call = find_call()
        assert call is not None, "asked live"
        part = request.messages[-1].content[-1]
        assert isinstance(part, Text)
        found = await call.take(encode({"q": part.text}))
        return Response(text=json.loads(found.body)["q"].upper())


class World:
    """One folder, and an invocation after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.side = Side()
        self.policy = Policy()

    async def walk(self, *samples: tuple[str, list[list[str]]]) -> dict[str, list[list[str]]]:
        """Ask the rounds of each sample, the texts of a round at once; the answers of those that got all."""
        queue = BatchQueue(self.folder, self.policy, tell=lambda _: None)
        done: dict[str, list[list[str]]] = {}
        try:
            model = Echo(self.side)
            channel = await queue.attach("c", model.info.ref, self.side)
            batched = BatchedModel(model, Endpoints(Policy()), queue, channel)
            queue.begin_walk()
            for name, rounds in samples:
                answers: list[list[str]] = []
                with ask_in_batches(queue, name) as asker:
                    for texts in rounds:
                        answers.append(await self._ask_at_once(batched, texts))
                if not asker.pending:
                    done[name] = answers
            with suppress(BatchesPending):
                await queue.finish_walk()
        finally:
            queue.close()
        return done

    async def _ask_at_once(self, model: BatchedModel, texts: list[str]) -> list[str]:
        found: dict[int, str] = {}

        async def one(number: int, text: str) -> None:
            answer = await model.generate(ask(text))
            assert isinstance(answer, Response)
            assert answer.usage.batch
            found[number] = answer.text

        async with anyio.create_task_group() as group:
            for number, text in enumerate(texts):
                group.start_soon(one, number, text)
        return [found[number] for number in range(len(texts))]


async def test_calls_that_are_made_at_once_share_a_batch_and_later_ones_take_the_next(tmp_path: Path) -> None:
    world = World(tmp_path)
    sample = ("s", [["a", "b", "b"], ["c"]])
    assert await world.walk(sample) == {}
    assert await world.walk(sample) == {}
    assert await world.walk(sample) == {"s": [["A", "B", "B"], ["C"]]}
    assert [len(batch) for batch in world.side.batches] == [3, 1]


async def test_equal_requests_of_two_samples_are_two_requests_and_keep_their_answers(tmp_path: Path) -> None:
    world = World(tmp_path)
    both = [("s", [["a"]]), ("t", [["a"]])]
    await world.walk(*both)
    assert await world.walk(*reversed(both)) == {"s": [["A"]], "t": [["A"]]}
    [batch] = world.side.batches
    assert len({each["name"] for each in batch}) == 2


async def test_nothing_is_submitted_again_while_it_is_on_its_way(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.side.ended = False
    for _ in range(3):
        await world.walk(("s", [["a"]]))
    assert len(world.side.batches) == 1
    await world.walk(("s", [["a"]]), ("t", [["b"]]))
    assert [len(batch) for batch in world.side.batches] == [1, 1]
    [first, second] = list_batches(tmp_path).unfinished
    assert (first.stage, second.stage) == ("open", "open")


async def test_a_second_process_is_refused_while_one_asks(tmp_path: Path) -> None:
    queue = BatchQueue(tmp_path, Policy(), tell=lambda _: None)
    try:
        with pytest.raises(HarnessError, match="another process asks in batches"):
            BatchQueue(tmp_path, Policy(), tell=lambda _: None)
    finally:
        queue.close()


async def test_a_cycle_that_ended_leaves_nothing_unfinished(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.walk(("s", [["a"]]))
    assert len(list_batches(tmp_path).unfinished) == 1
    await world.walk(("s", [["a"]]))
    assert list_batches(tmp_path).unfinished == []
    assert [part.stage for part in list_batches(tmp_path).parts.values()] == ["collected"]


async def test_a_submission_that_nobody_can_find_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "SETTLE_SECONDS", 0.0)
    world = World(tmp_path)
    submit = world.side.submit

    async def die(file: Path, mark: str) -> str:
        raise KeyboardInterrupt(f"{file}, {mark}")

    world.side.submit = die  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        await world.walk(("s", [["a"]]))
    world.side.submit = submit  # type: ignore[method-assign]
    assert [part.stage for part in list_batches(tmp_path).parts.values()] == ["submitting"]
    await world.walk(("s", [["a"]]))
    assert await world.walk(("s", [["a"]])) == {"s": [["A"]]}
    assert [part.stage for part in list_batches(tmp_path).parts.values()] == ["dropped", "collected"]


async def test_a_submission_that_cannot_be_looked_up_stays_announced_and_is_found_by_the_next_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "SETTLE_SECONDS", 0.0)
    world = World(tmp_path)
    world.side = side = Unmarked(arrives=True)
    side.lost = 1
    find = side.find

    async def refuse(mark: str, **_: object) -> str | None:
        raise CallFailed(Failure(outcome="error", reason="http_500", message=f"no list for {mark[:0]}you"))

    side.find = refuse  # type: ignore[method-assign]
    with pytest.raises(HarnessError, match="the list of batches cannot be read: http_500: no list for you") as caught:
        await world.walk(("a", [["one"]]))
    assert "batches and their answers are kept" in caught.value.remedy
    assert [part.stage for part in list_batches(tmp_path).parts.values()] == ["submitting"]
    side.find = find  # type: ignore[method-assign]
    side.batches.pop()  # the other run's
    assert await world.walk(("a", [["one"]])) == {"a": [["ONE"]]}
    assert len(side.batches) == 1, "it was not made twice"


async def test_a_submission_is_tried_as_often_as_the_policy_says_and_then_given_up(tmp_path: Path) -> None:
    world = World(tmp_path)
    tries: list[str] = []

    async def fail(file: Path, mark: str) -> str:
        tries.append(f"{file.name} {mark}")
        raise CallFailed(Failure(outcome="error", reason="http_503", message="busy", transient=True))

    world.side.submit = fail  # type: ignore[method-assign]
    world.policy = Policy(tries=3, base=0.0)
    with pytest.raises(HarnessError, match="echo/echo: a batch cannot be submitted: http_503: busy"):
        await world.walk(("s", [["a"]]))
    assert len(tries) == 3
    assert [part.stage for part in list_batches(tmp_path).parts.values()] == ["dropped"]


NAME = "0123456789abcdef" * 3 + "0123456789ab"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ({"response": {"status_code": 200, "body": {"a": 1}}, "error": None}, (200, {"a": 1})),
        (
            {"response": {"status_code": 429, "body": {"error": {"message": "slow"}}}, "error": None},
            (429, {"error": {"message": "slow"}}),
        ),
        ({"response": None, "error": {"code": "batch_expired", "message": "m"}}, None),
        (
            {"response": None, "error": {"code": "server_error", "message": "m"}},
            (500, {"error": {"code": "server_error", "message": "m"}}),
        ),
        (
            {"response": {"status_code": 400, "body": None}, "error": {"error": {"message": "too long"}}},
            (400, {"error": {"message": "too long"}}),
        ),
        ({"response": {"status_code": 400, "body": None}, "error": "plain"}, (400, {"error": {"message": "plain"}})),
    ],
    ids=["an answer", "a status", "expired", "never ran for another reason", "vLLM's error", "vLLM's error as text"],
)
def test_each_line_of_a_result_file_is_what_a_live_call_would_have_got(
    line: dict[str, object], expected: tuple[int, object] | None
) -> None:
    content = json.dumps({"custom_id": NAME, **line}).encode()
    [(name, answer)] = read_chat_results(BytesIO(b"\n" + content + b"\n"))
    assert name == NAME
    assert (answer and (answer.status, json.loads(answer.body))) == expected


def test_a_torn_line_is_an_answer_that_is_not_json_and_one_without_a_name_is_none() -> None:
    torn = json.dumps({"custom_id": NAME, "response": {"status_code": 200, "body": {}}})[:-9].encode()
    assert [(name, answer and answer.body) for name, answer in read_chat_results(BytesIO(torn))] == [(NAME, torn)]
    assert list(read_chat_results(BytesIO(b"nonsense\n{}\n[1]\n"))) == []


@pytest.mark.parametrize("odd", [-5, 0, 99, 600, 10**9, "200", 2.0, True, [200], None])
def test_a_status_that_http_lacks_is_that_of_an_answer_or_with_an_error_of_a_server_at_fault(odd: object) -> None:
    lines = [
        {"custom_id": NAME, "response": {"status_code": odd, "body": {"a": 1}}},
        {"custom_id": NAME, "response": {"status_code": odd, "body": None}, "error": {"message": "no"}},
    ]
    content = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    found = [answer for _, answer in read_chat_results(BytesIO(content))]
    assert [answer and answer.status for answer in found] == [200, 500]


def test_a_line_that_is_longer_than_any_answer_is_read_no_further_and_the_next_one_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("harness.http.batching.REPLY_LIMIT", 200)
    long = json.dumps({"custom_id": NAME, "response": {"status_code": 200, "body": "x" * 10_000}}).encode()
    short = json.dumps({"custom_id": NAME[::-1], "response": {"status_code": 200, "body": 1}}).encode()
    first, second = read_chat_results(BytesIO(long + b"\n" + short + b"\n"))
    assert first == (NAME, BatchAnswer(status=200, body=long[:200]))
    assert second == (NAME[::-1], BatchAnswer(status=200, body=b"1"))


def test_a_file_of_more_lines_than_any_batch_has_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.http.batching.MOST_LINES", 10)
    assert list(read_chat_results(BytesIO(b"{}\n" * 10))) == []
    with pytest.raises(CallFailed, match="its results have more than 10 lines"):
        list(read_chat_results(BytesIO(b"{}\n" * 11)))


async def test_a_list_of_batches_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.http.batching.MOST_LISTED", 10)

    async def list_batch() -> AsyncIterator[str]:
        while True:
            yield "batch_1"

    listed = list_found(list_batch())
    assert [await anext(listed) for _ in range(10)] == ["batch_1"] * 10
    with pytest.raises(CallFailed, match="lists more than 10 batches"):
        await anext(listed)


@pytest.mark.parametrize("odd", [None, "", 5, "a\nb", "\x1b[2J", "x" * 10_000, ["batch_1"], "\ud800"], ids=repr)
async def test_an_id_that_cannot_be_one_is_looked_up_and_else_refused(odd: Any, tmp_path: Path) -> None:
    world = World(tmp_path)
    submit = world.side.submit

    async def misname(file: Path, mark: str) -> Any:
        await submit(file, mark)
        return odd

    world.side.submit = misname  # type: ignore[method-assign]
    with pytest.raises(HarnessError, match="a batch cannot be submitted: wrong_shape: a batch has the id"):
        await world.walk(("s", [["a"]]))
    [part] = list_batches(tmp_path).parts.values()
    assert (part.stage, part.batch) == ("dropped", "")


async def test_what_a_side_raises_is_an_error_with_a_sentence(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.walk(("s", [["a"]]))

    async def poll(batch: str) -> BatchState:
        raise AttributeError(f"'list' object has no attribute 'status' of {batch}")

    world.side.poll = poll  # type: ignore[method-assign]
    with pytest.raises(HarnessError, match="an answer about batches cannot be read: AttributeError: 'list' object"):
        await world.walk(("s", [["a"]]))


async def test_a_provider_that_asks_to_wait_for_years_is_not_waited_for(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.walk(("s", [["a"]]))

    async def poll(batch: str) -> BatchState:
        failure = Failure(outcome="error", reason="http_429", message=batch, transient=True, retry_after=1e9)
        raise CallFailed(failure)

    world.side.poll = poll  # type: ignore[method-assign]
    with pytest.raises(HarnessError, match="batch 0 cannot be read: http_429: 0; it asks to wait 1000000000 s"):
        await world.walk(("s", [["a"]]))


@pytest.mark.parametrize("odd", [3, -7, 10**40, "9", None], ids=str)
async def test_a_batch_has_at_most_as_many_results_as_requests_whatever_its_provider_says(
    odd: Any, tmp_path: Path
) -> None:
    world = World(tmp_path)
    await world.walk(("s", [["a"]]), ("t", [["b"]]))

    async def poll(batch: str) -> BatchState:
        return BatchState(state="open", done=odd, message=f"{batch} \x1b[31m runs" * 500)

    world.side.poll = poll  # type: ignore[method-assign]
    await world.walk(("s", [["a"]]))
    [part] = list_batches(tmp_path).unfinished
    assert 0 <= part.done <= 2
    assert "\x1b" not in part.said
    assert len(part.said) <= 300


# ---- dollars ---------------------------------------------------------------------------------------------------------


ONE = Decimal(1)


def name_request(number: int) -> str:
    return f"{number:060x}"[::-1]


async def fill(folder: Path, side: Side, budget: Budget, *numbers: int, dollars: Decimal | None = ONE) -> None:
    """Put requests of one dollar at most into a batch."""
    queue = BatchQueue(folder, Policy(), tell=lambda _: None, budget=budget)
    try:
        channel = await queue.attach("c", "echo/echo", side)
        queue.begin_walk()
        for number in numbers:
            name = name_request(number)
            await queue.add(channel, name, json.dumps({"name": name, "body": "b"}).encode(), "", dollars)
        with suppress(BatchesPending, BudgetSpent):
            await queue.finish_walk()
    finally:
        queue.close()


async def test_a_request_counts_at_its_most_until_its_answer_is_read_whatever_command_submitted_it(
    tmp_path: Path,
) -> None:
    side = Side()
    side.ended = False
    await fill(tmp_path, side, Budget(), 1, 2, 3)
    await fill(tmp_path, side, Budget(Decimal(5)), 4, 5, 6)
    assert [len(batch) for batch in side.batches] == [3, 2]
    side.ended = True
    full = Budget(Decimal(5))
    await fill(tmp_path, side, full, 6)
    assert len(side.batches) == 2, "answers that are here and not read yet count too"
    log = BatchLog(tmp_path)
    assert log.held == 5
    assert log.note_cost(name_request(1)[:44], Decimal("0.25")) == Decimal("0.25")
    assert log.note_cost(name_request(2)[:44], None) == 1, "without a price it counts at its most"
    log.close()
    assert read_costs(tmp_path) == {name_request(1)[:44]: Decimal("0.25"), name_request(2)[:44]: 1}
    again = BatchLog(tmp_path)
    assert again.held == 3
    assert again.is_counted(name_request(1)[:44])
    again.close()


async def test_a_batch_that_had_no_price_holds_up_a_limit_until_it_is_collected(tmp_path: Path) -> None:
    side = Side()
    await fill(tmp_path, side, Budget(), 1, dollars=None)
    with pytest.raises(HarnessError, match="1 request of open batches had no price when they were submitted") as caught:
        await fill(tmp_path, side, Budget(Decimal(1)))
    assert caught.value.remedy == "leave --max-usd out until they are collected"
    await fill(tmp_path, side, Budget())
    await fill(tmp_path, side, Budget(Decimal(1)), 2)
    assert len(side.batches) == 2


async def test_requests_without_a_result_cost_nothing_and_a_batch_that_is_gone_costs_its_most(tmp_path: Path) -> None:
    side = Side()
    await fill(tmp_path, side, Budget(), 1, 2)
    side.batches[0].pop()
    await fill(tmp_path, side, Budget())
    log = BatchLog(tmp_path)
    assert log.held == 1
    log.close()
    side.ended = False
    budget = Budget(Decimal(10))
    await fill(tmp_path, side, budget, 3, 4)

    async def forbid(batch: str) -> BatchState:
        raise Forbidden(f"no batch {batch}")

    side.poll = forbid  # type: ignore[method-assign]
    await fill(tmp_path, side, budget)
    assert budget.spent == 2
    assert list_batches(tmp_path).lost == 2


class Unmarked(Side):
    """A provider that keeps no mark: a batch is known by its number of requests alone, and the newest comes first."""

    def __init__(self, *, arrives: bool) -> None:
        super().__init__()
        self.arrives = arrives
        self.lost = 0

    async def submit(self, file: Path, mark: str) -> str:
        if self.lost:
            self.lost -= 1
            if self.arrives:
                await super().submit(file, mark)
            # another run asks as much at the same time
            self.batches.append([{"name": "f" * 60, "body": "{}"}])
            raise CallFailed(Failure(outcome="error", reason="timeout", message="no answer", transient=True))
        return await super().submit(file, mark)

    async def find(self, mark: str, *, count: int, since: float, known: Collection[str]) -> str | None:
        del mark, since
        ids = [str(number) for number, batch in enumerate(self.batches) if len(batch) == count]
        return next((each for each in reversed(ids) if each not in known), None)


@pytest.mark.parametrize("arrives", [True, False])
async def test_a_batch_of_another_run_that_was_taken_for_ours_is_left_and_ours_is_searched_on(
    arrives: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "SETTLE_SECONDS", 0)
    world = World(tmp_path)
    world.side = side = Unmarked(arrives=arrives)
    side.lost = 1
    assert await world.walk(("a", [["one"]])) == {}
    if not arrives:
        assert await world.walk(("a", [["one"]])) == {}, "it is asked again"
    assert await world.walk(("a", [["one"]])) == {"a": [["ONE"]]}
    assert len([batch for batch in side.batches if batch[0]["name"] != "f" * 60]) == 1, "nothing is asked twice"
    log = [json.loads(line) for line in (tmp_path / "batches.jsonl").read_text().splitlines()]
    assert [event["answered"] for event in log if event["event"] == "collected"] == [1], "nor does it count as a try"
    assert not any(event.get("count") for event in log)
