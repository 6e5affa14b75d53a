"""Opening a painter's brush: by its reference, with slots and retries, and nothing but whole images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest

from harness import Drawing, Drawn, Failure, HarnessError, Setting, UnknownName, plugins
from harness.brushes import find_painter, open_brush
from harness.contracts import ModelInfo
from harness.errors import EndpointDown
from harness.limits import Endpoints, Policy
from harness.testing.conformance import NotConforming, check_painter
from harness.testing.fakes import PIXEL, FakeBrush, fake_painter, host_of

STAR = Drawing(prompt="a red star")
LATER = Failure(outcome="error", reason="http_500", transient=True)
FAST = Policy(base=0, longest=0)
STEPS = Setting(name="steps", type=int, default=4, identity=True, least=1)
PAUSE = Setting(name="pause", type=float, default=1.0, identity=False)


@contextmanager
def offered(brush: FakeBrush | None = None) -> Iterator[FakeBrush]:
    brush = brush or FakeBrush()
    with plugins.use(host_of(fake_painter(brush, settings=(STEPS, PAUSE)))):
        yield brush


def in_turn(*results: Drawn | Failure) -> Callable[[Drawing], Drawn | Failure]:
    waiting = list(results)
    return lambda _: waiting.pop(0) if len(waiting) > 1 else waiting[0]


def drawn(brush: FakeBrush, policy: Policy = FAST, times: int = 1, endpoints: Endpoints | None = None) -> Any:
    async def draw() -> Any:
        async with open_brush(find_painter("fake/one"), endpoints or Endpoints(policy)) as opened:
            return [await opened.draw(STAR) for _ in range(times)][-1]

    with offered(brush):
        return anyio.run(draw)


def test_a_painter_is_found_by_its_scheme_with_all_its_settings() -> None:
    with offered():
        found = find_painter("fake/folder/with/slashes", {"steps": "9"})
    assert (found.painter.scheme, found.name) == ("fake", "folder/with/slashes")
    assert found.settings == {"steps": 9, "pause": 1.0}


@pytest.mark.parametrize(
    ("ref", "given", "told"),
    [
        ("fake", {}, "not a painter"),
        ("fake/", {}, "not a painter"),
        ("fakes/one", {}, "fake"),
        ("fake/one", {"step": 1}, "steps"),
        ("fake/one", {"steps": 0}, "less than 1"),
    ],
)
def test_what_no_one_offers_or_takes_is_refused_with_what_there_is(ref: str, given: dict[str, Any], told: str) -> None:
    with offered(), pytest.raises(HarnessError) as caught:
        find_painter(ref, given)
    assert told in str(caught.value)


def test_what_was_requested_is_told_apart_by_what_changes_an_image_and_nothing_else() -> None:
    with offered() as brush:
        some, same, other = (find_painter("fake/one", given) for given in ({}, {"pause": 2.0}, {"steps": 5}))
    assert some.identity(brush) == same.identity(brush)
    assert some.identity(brush) != other.identity(brush)
    local = FakeBrush(info=ModelInfo(ref="", endpoint="x", can=frozenset({"draw"}), fingerprint={"a": 1}))
    assert some.identity(local) == {"scheme": "fake", "name": "", "settings": {"steps": 4}, "fingerprint": {"a": 1}}


def test_a_passing_failure_is_tried_again_until_an_image_comes() -> None:
    brush = FakeBrush(in_turn(LATER, LATER, Drawn(data=PIXEL)))
    assert drawn(brush) == Drawn(data=PIXEL)
    assert brush.asked == [STAR] * 3


def test_a_block_is_final_and_no_error() -> None:
    block = Failure(outcome="input_blocked", reason="content_filter")
    brush = FakeBrush(in_turn(block))
    assert drawn(brush, Policy(breaker=2), times=3) == block
    assert len(brush.asked) == 3


def test_a_painter_that_only_fails_is_stopped() -> None:
    brush = FakeBrush(in_turn(Failure(outcome="error", reason="http_400")))
    with pytest.raises(EndpointDown, match="3 errors in a row"):
        drawn(brush, Policy(breaker=3), times=5)
    assert len(brush.asked) == 3


@pytest.mark.parametrize("data", [b"", b"no image", PIXEL[:40]])
def test_what_is_no_whole_image_is_drawn_again_and_then_an_error(data: bytes) -> None:
    assert drawn(FakeBrush(in_turn(Drawn(data=data), Drawn(data=PIXEL)))) == Drawn(data=PIXEL)
    found = drawn(FakeBrush(in_turn(Drawn(data=data))), Policy(base=0, longest=0, tries=2))
    assert (found.outcome, found.reason) == ("error", "broken_image")


def test_what_a_painter_raises_fails_the_drawing_unless_nothing_will_work() -> None:
    def broken(_: Drawing) -> Drawn:
        raise ZeroDivisionError("by nothing")

    def hopeless(_: Drawing) -> Drawn:
        raise HarnessError("no key")

    found = drawn(FakeBrush(broken))
    assert (found.outcome, found.reason, found.message) == ("error", "ZeroDivisionError", "by nothing")
    with pytest.raises(HarnessError, match="no key"):
        drawn(FakeBrush(hopeless))


def test_what_is_neither_an_image_nor_a_failure_is_an_error() -> None:
    found = drawn(FakeBrush(lambda _: None))  # type: ignore[arg-type,return-value]
    assert (found.reason, found.message) == ("no_answer", "the painter: it gave None, not Drawn or Failure")


def test_a_brush_and_a_model_at_one_endpoint_share_its_slots() -> None:
    endpoints = Endpoints(FAST)
    shared = endpoints.of(ModelInfo(ref="fake/model", endpoint="fake"))
    before = shared.slots
    drawn(FakeBrush(), endpoints=endpoints)
    assert shared.slots == before + 1


def test_what_a_brush_has_to_say_is_told() -> None:
    lines: list[str] = []
    info = ModelInfo(ref="", endpoint="x", can=frozenset({"draw"}), notes=("it is slow",))
    drawn(FakeBrush(info=info), endpoints=Endpoints(FAST, tell=lines.append))
    assert lines == ["it is slow"]


def test_a_scheme_nobody_offers_is_an_unknown_name() -> None:
    with offered(), pytest.raises(UnknownName):
        find_painter("nobody/one")


@pytest.mark.parametrize(
    ("brush", "told"),
    [
        (FakeBrush(lambda _: Drawn(data=b"no image")), "not an image"),
        (FakeBrush(lambda _: Drawn(data=PIXEL, seconds=-1)), "less than no time"),
        (FakeBrush(lambda _: LATER), "cannot draw"),
        (FakeBrush(lambda _: PIXEL), "gives a"),  # type: ignore[arg-type,return-value]
        (FakeBrush(info=ModelInfo(ref="", endpoint="", can=frozenset({"draw"}))), "endpoint is empty"),
        (FakeBrush(info=ModelInfo(ref="", endpoint="x")), "does not hold 'draw'"),
        (FakeBrush(info=ModelInfo(ref="", endpoint="x", can=frozenset({"draw"}), local=True)), "local differ"),
    ],
)
def test_the_suite_finds_what_breaks_a_painters_contract(brush: FakeBrush, told: str) -> None:
    with pytest.raises(NotConforming, match=told):
        check_painter(fake_painter(brush), "one")


def test_the_suite_finds_a_seed_that_is_not_heard() -> None:
    more = iter(range(100))

    def another(_: Drawing) -> Drawn:
        import io

        import PIL.Image

        file = io.BytesIO()
        PIL.Image.new("L", (1, 1), next(more)).save(file, "PNG")
        return Drawn(data=file.getvalue())

    with pytest.raises(NotConforming, match="two images"):
        check_painter(fake_painter(FakeBrush(another)), "one")


def test_a_painter_that_keeps_its_contract_passes() -> None:
    check_painter(fake_painter(), "one")
