"""Batches: who shares one, and what happens when memory runs out."""

from __future__ import annotations

import contextlib
import functools
import gc
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import anyio
import PIL.Image
import pytest
from harness_hf.generation import BatchSize, run_in_halves

from harness import Failure, Generation, HarnessError, Response
from harness.local.batching import Batcher, Ticket
from tests.plugins.hf_asking import answer, answers, asked, opened, picture, questions

pytestmark = pytest.mark.anyio
LONG = 60.0  # seconds no test waits for


class Doubling:
    """Work that doubles its items and remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def __call__(self, tickets: Sequence[Ticket[int, int]]) -> list[int]:
        self.batches.append([ticket.item for ticket in tickets])
        return [2 * ticket.item for ticket in tickets]


async def submitted(batcher: Batcher[int, int], items: Sequence[int], key: Callable[[int], Any]) -> dict[int, int]:
    results: dict[int, int] = {}

    async def submit(item: int) -> None:
        results[item] = await batcher.submit(item, key(item))

    async with batcher.serving(), anyio.create_task_group() as tasks:
        for item in items:
            tasks.start_soon(submit, item)
    return results


class TestABatch:
    async def test_is_full_before_it_runs_and_gives_each_its_own_result(self) -> None:
        work = Doubling()
        results = await submitted(Batcher(work, size=4, wait=LONG), range(8), lambda _: "one group")
        assert work.batches == [[0, 1, 2, 3], [4, 5, 6, 7]]
        assert results == {item: 2 * item for item in range(8)}

    async def test_does_not_wait_for_ever_for_company(self) -> None:
        work = Doubling()
        assert await submitted(Batcher(work, size=4, wait=0.001), [1], lambda _: "group") == {1: 2}

    async def test_holds_one_group_only_and_the_oldest_group_goes_first(self) -> None:
        work = Doubling()
        await submitted(Batcher(work, size=3, wait=LONG), range(6), lambda item: "odd" if item % 2 else "even")
        assert work.batches == [[0, 2, 4], [1, 3, 5]]

    async def test_without_a_group_is_one_item_that_waits_for_nobody(self) -> None:
        work = Doubling()
        await submitted(Batcher(work, size=3, wait=LONG), range(3), lambda _: None)
        assert work.batches == [[0], [1], [2]]

    async def test_gathers_while_the_one_before_runs_and_never_runs_beside_it(self) -> None:
        go, inner = threading.Event(), Doubling()

        def work(tickets: Sequence[Ticket[int, int]]) -> list[int]:
            go.wait(LONG)
            return inner(tickets)

        batcher = Batcher(work, size=4, wait=0.0)
        async with batcher.serving(), anyio.create_task_group() as tasks:
            tasks.start_soon(batcher.submit, 0, "group")
            await anyio.wait_all_tasks_blocked()
            for item in range(1, 5):
                tasks.start_soon(batcher.submit, item, "group")
            await anyio.wait_all_tasks_blocked()
            assert inner.batches == []
            go.set()
        assert inner.batches == [[0], [1, 2, 3, 4]]

    async def test_that_is_full_is_prepared_while_the_one_before_runs(self) -> None:
        ready, inner = threading.Event(), Doubling()
        prepared: list[list[int]] = []

        def work(tickets: Sequence[Ticket[int, int]]) -> list[int]:
            assert ready.wait(LONG)
            return inner(tickets)

        def ahead(tickets: Sequence[Ticket[int, int]]) -> None:
            prepared.append([ticket.item for ticket in tickets])
            ready.set()

        await submitted(Batcher(work, size=2, wait=0.001, ahead=ahead), range(4), lambda _: "group")
        assert inner.batches == [[0, 1], [2, 3]]
        assert prepared == [[2, 3]]

    async def test_that_is_not_full_gathers_until_the_one_before_is_done(self) -> None:
        go, inner = threading.Event(), Doubling()

        def work(tickets: Sequence[Ticket[int, int]]) -> list[int]:
            go.wait(LONG)
            return inner(tickets)

        batcher = Batcher(work, size=4, wait=0.0)
        async with batcher.serving(), anyio.create_task_group() as tasks:
            for item in range(4):
                tasks.start_soon(batcher.submit, item, "group")
                await anyio.wait_all_tasks_blocked()
            go.set()
        assert inner.batches == [[0], [1, 2, 3]]

    async def test_shrinks_with_its_size(self) -> None:
        sizes, inner = [3], Doubling()

        def work(tickets: Sequence[Ticket[int, int]]) -> list[int]:
            sizes[0] = 1
            return inner(tickets)

        await submitted(Batcher(work, size=lambda: sizes[0], wait=0.01), range(5), lambda _: "group")
        assert inner.batches == [[0, 1, 2], [3], [4]]

    async def test_goes_on_without_an_item_that_nobody_waits_for(self) -> None:
        work = Doubling()
        batcher = Batcher(work, size=2, wait=LONG)
        async with batcher.serving(), anyio.create_task_group() as tasks:
            with anyio.CancelScope() as scope:
                tasks.start_soon(_cancel_when_blocked, scope)
                await batcher.submit(1, "group")
            assert batcher._waiting == [], "its images are not kept either"
            for item in (2, 3):
                tasks.start_soon(batcher.submit, item, "group")
        assert work.batches == [[2, 3]]

    async def test_learns_while_it_runs_that_nobody_waits_any_more(self) -> None:
        started, gave_up = threading.Event(), threading.Event()

        def work(tickets: Sequence[Ticket[int, int]]) -> list[int]:
            started.set()
            while any(ticket.wanted for ticket in tickets):
                pass
            gave_up.set()
            return [0 for _ in tickets]

        batcher = Batcher(work, size=1, wait=0.0)
        async with batcher.serving(), anyio.create_task_group() as tasks:
            tasks.start_soon(batcher.submit, 1, "group")
            await anyio.to_thread.run_sync(started.wait, LONG)
            tasks.cancel_scope.cancel()
        assert await anyio.to_thread.run_sync(gave_up.wait, LONG)

    async def test_lets_what_the_block_raises_through_as_it_is(self) -> None:
        with pytest.raises(KeyError, match="mine"):
            async with Batcher(Doubling(), size=1, wait=0.0).serving():
                raise KeyError("mine")


async def _cancel_when_blocked(scope: anyio.CancelScope) -> None:
    await anyio.wait_all_tasks_blocked()
    scope.cancel()


class TestHalves:
    @staticmethod
    def halved(work: Callable[[Sequence[int]], list[str]], count: int) -> tuple[list[str], int]:
        freed = 0

        def between() -> None:
            nonlocal freed
            freed += 1

        def fail(error: Exception) -> str:
            return f"failed: {error}"

        done = run_in_halves(work, range(count), batch_size=BatchSize(99), failed=fail, between=between)
        return done, freed

    def test_are_not_made_of_a_batch_that_succeeds(self) -> None:
        assert self.halved(lambda items: [str(item) for item in items], 3) == (["0", "1", "2"], 0)

    @pytest.mark.parametrize("count", range(1, 10))
    def test_fit_into_memory_at_last_and_keep_the_order(self, count: int) -> None:
        import torch

        def work(items: Sequence[int]) -> list[str]:
            if len(items) > 2:
                raise torch.cuda.OutOfMemoryError("too many")
            return [str(item) for item in items]

        assert self.halved(work, count)[0] == [str(item) for item in range(count)]

    @pytest.mark.parametrize("culprit", range(5))
    def test_leave_the_fault_with_the_one_item_that_has_it(self, culprit: int) -> None:
        def work(items: Sequence[int]) -> list[str]:
            if culprit in items:
                raise ValueError("culprit")
            return [str(item) for item in items]

        expected = ["failed: culprit" if item == culprit else str(item) for item in range(5)]
        results, freed = self.halved(work, 5)
        assert results == expected
        assert freed > 0

    def test_of_one_item_out_of_memory_end_the_run_and_any_other_fault_does_not(self) -> None:
        import torch
        from harness_hf.model import to_failure

        for error in (
            torch.OutOfMemoryError("CUDA out of memory"),
            RuntimeError("DefaultCPUAllocator: can't allocate memory"),
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
            MemoryError("Unable to allocate 2.00 GiB for an array"),
        ):
            assert isinstance(to_failure(error), HarnessError)
        odd = to_failure(ValueError("odd"))
        assert isinstance(odd, Failure)
        assert odd.reason == "ValueError"


class TestWhatAModelWrote:
    @staticmethod
    def read(text: str, *, limit: int = 999, thinking: bool = False, reasons: bool = True, stop: str = "") -> Response:
        from harness_hf.generation import read_answer

        from harness.local import Frontend, Prompt
        from tests.plugins import tiny_models

        frontend = Frontend(tiny_models.tokenizer(), vlm=False)
        settings = Generation(stop=(stop,) if stop else ())
        prompt = Prompt(text="?", settings=settings, reasons=reasons, thinking=thinking)
        tokens = frontend.tokenizer.encode(text, add_special_tokens=False)
        return read_answer(tokens, prompt, frontend, ends=frozenset({frontend.tokenizer.eos_token_id}), limit=limit)

    def test_ends_at_the_end_token_whatever_fills_the_row(self) -> None:
        given = self.read("yes<|im_end|><|endoftext|><|endoftext|>")
        assert given.text == "yes"
        assert given.usage.output_tokens == 4

    def test_is_truncated_only_where_the_limit_ended_it(self) -> None:
        assert self.read("yes<|im_end|>", limit=4).flags == frozenset()
        assert self.read("yes!", limit=4).flags == {"truncated"}
        assert self.read("yes!<|endoftext|>", limit=5, stop="!").flags == frozenset()

    @pytest.mark.parametrize(
        ("text", "thinking", "reasoning", "answer"),
        [
            ("<think>\nlet me see\n</think>\n\nyes", False, "let me see", "yes"),
            ("let me see\n</think>\nyes", True, "let me see", "yes"),
            ("yes", False, "", "yes"),
            (" yes\n", False, "", " yes\n"),
            ("<think>never ends", False, "never ends", ""),
            ("never ends", True, "never ends", ""),
        ],
    )
    def test_is_split_into_reasoning_and_answer(self, text: str, thinking: bool, reasoning: str, answer: str) -> None:
        given = self.read(text, thinking=thinking)
        assert (given.reasoning, given.text) == (reasoning, answer)
        assert given.usage.reasoning_tokens == len(reasoning)

    def test_is_all_answer_where_the_model_does_not_reason(self) -> None:
        assert self.read("</think>", reasons=False).text == "</think>"

    async def test_ends_at_once_for_rows_that_nobody_waits_for(self, tiny_lm: str) -> None:
        from harness_hf.generation import Generator, find_style
        from harness_hf.loading import load
        from harness_hf.provider import PROVIDER

        from harness.local import Prompt
        from harness.local.devices import limit_threads
        from harness.settings import effective

        settings = effective(PROVIDER.settings, {}, owner="hf")
        loaded = load(tiny_lm, settings)
        generator = Generator(loaded, find_style(loaded, settings))
        prompt = Prompt(text="hello", settings=Generation(max_tokens=100))
        tickets = [Ticket[Prompt, Any](replace(prompt), "group", 0.0) for _ in range(2)]
        tickets[0].wanted = False
        with limit_threads(1):
            first, second = generator(tickets)
        assert first.usage.output_tokens == 1
        assert second.usage.output_tokens > 20


Starve = Callable[[int], list[int]]


@pytest.fixture
def starve(monkeypatch: pytest.MonkeyPatch) -> Starve:
    """Let models have no memory for more than so many rows at once; gives the rows of each prompt that was tried."""
    import torch
    import transformers

    tried: list[int] = []

    def limit(kind: Any, most: int) -> None:
        forward = kind.forward

        @functools.wraps(forward)
        def starved(self: Any, *arguments: Any, **named: Any) -> Any:
            ids = named.get("input_ids")
            if ids is not None and ids.shape[1] > 1:
                tried.append(ids.shape[0])
                if ids.shape[0] > most:
                    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return forward(self, *arguments, **named)

        monkeypatch.setattr(kind, "forward", starved)

    def all_models(most: int) -> list[int]:
        limit(transformers.LlamaForCausalLM, most)
        limit(transformers.Qwen2VLForConditionalGeneration, most)
        return tried

    return all_models


class TestOutOfMemory:
    async def test_halves_the_batch_for_good_and_says_so(self, tiny_lm: str, starve: Starve) -> None:
        requests = [asked(f"question {at}") for at in range(8)]
        async with opened(tiny_lm, batch_size=1) as model:
            alone = [given.text for given in await answers(model, requests)]
        tried = starve(3)
        async with opened(tiny_lm, batch_size=8, batch_wait=500.0) as model:
            assert model.info.notes == ()
            first = await answers(model, requests)
            assert tried == [8, 4, 2, 2, 2, 2]
            tried.clear()
            second = await answers(model, requests)
            notes = model.info.notes
        assert [given.text for given in first] == [given.text for given in second] == alone
        assert tried == [2, 2, 2, 2]
        assert notes == ("batch size halved to 2 after out of memory",)

    async def test_with_one_request_at_a_time_ends_the_run_with_advice(self, tiny_lm: str, starve: Starve) -> None:
        starve(0)
        async with opened(tiny_lm, batch_size=4) as model:
            with pytest.raises(HarnessError, match="out of memory with one request at a time") as caught:
                await model.generate(asked("hello"))
        for way in ("max_pixels", "dtype", "load_in", "sharding"):
            assert way in caught.value.remedy

    async def test_weighs_choices_in_smaller_parts(self, tiny_vlm: str, starve: Starve) -> None:
        request = asked(picture(), "?", choices=("one", "two", "three", "four", "five"))
        async with opened(tiny_vlm) as model:
            expected = (await answer(model, request)).choices
        starve(2)
        async with opened(tiny_vlm) as model:
            given = (await answer(model, request)).choices
            notes = model.info.notes
        assert dict(given) == pytest.approx(dict(expected), abs=1e-4)
        assert notes == ("batch size halved to 2 after out of memory",)

    async def test_is_told_from_faults_of_one_request_which_shrink_nothing(self, tiny_lm: str, starve: Starve) -> None:
        tried = starve(99)
        async with opened(tiny_lm, batch_size=4, batch_wait=500.0) as model:
            given = await answers(model, [asked("hello"), asked("x" * 300), asked("hello"), asked("hello")])
            await answers(model, [asked("hello")] * 4)
            notes = model.info.notes
        assert [isinstance(each, Failure) for each in given] == [False, True, False, False]
        assert tried[-1] == 4
        assert notes == ()


class TestAnImage:
    async def test_is_decoded_once_however_often_its_batch_is_tried(
        self, tiny_vlm: str, starve: Starve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        requests = questions(4)
        starve(1)
        decoded: list[object] = []
        read = PIL.Image.open

        def counted(*arguments: Any, **named: Any) -> Any:
            decoded.append(arguments)
            return read(*arguments, **named)

        monkeypatch.setattr(PIL.Image, "open", counted)
        async with opened(tiny_vlm, batch_size=4, batch_wait=500.0) as model:
            given = await answers(model, requests)
            weighed = await answer(model, replace(requests[0], choices=("a", "b", "c")))
        assert all(isinstance(each, Response) for each in (*given, weighed))
        assert len(decoded) == 2 * (len(requests) + 1)

    async def test_is_turned_into_tensors_once_whether_beside_the_batch_before_or_not(self, tiny_vlm: str) -> None:
        async with opened(tiny_vlm, batch_size=2) as model:
            generator = model._runner.generator  # type: ignore[attr-defined]
            encoded: list[int] = []
            encode = generator._encode

            def watched(tickets: Any) -> Any:
                encoded.append(len(tickets))
                return encode(tickets)

            generator._encode = watched
            await answers(model, questions(12))
        assert encoded == [2] * 6


class TestTheMemory:
    @pytest.mark.parametrize("fails", [False, True])
    async def test_of_a_model_is_given_back_at_close_even_while_somebody_holds_its_handle(
        self, tiny_vlm: str, fails: bool
    ) -> None:
        async def use() -> tuple[Any, Any]:
            held: list[Any] = []
            with contextlib.suppress(KeyError):
                async with opened(tiny_vlm) as model:
                    held += [model, weakref.ref(model._runner.generator.loaded.model)]  # type: ignore[attr-defined]
                    await answers(model, [*questions(3), asked(picture(), "?", choices=("a", "b"))])
                    if fails:
                        held.append({}["stop here"])
            return held[0], held[1]

        held, weights = await use()
        gc.collect()
        assert held.info.max_images is None
        assert weights() is None
