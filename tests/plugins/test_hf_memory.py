"""What the `hf` provider does when memory runs out, what it keeps of images, and what it gives back."""

from __future__ import annotations

import contextlib
import functools
import gc
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import PIL.Image
import pytest

from harness import Failure, HarnessError, Response
from tests.plugins.hf_asking import answer, answers, asked, opened, picture, questions

pytestmark = pytest.mark.anyio
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
            assert f"-M {way}" in caught.value.remedy or way in caught.value.remedy

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
