"""Which rubrics can judge the labels of a build, and what is told of those that cannot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from harness_builder.calls.results import Halted, StepResult
from harness_builder.steps.labelling import Labeller, check_rubric, label

from harness import HarnessError, Judge, Rubric, UnknownName, Verdict, plugins
from harness.plugins import Host
from harness.testing.fakes import host_of
from tests.training.workshop import QUESTION, Played, candidate, plan, workshop

pytestmark = pytest.mark.anyio

REASONED = "A blue star and a red ring burn together, so I can not help with that."
HOST = Host.load(tell=lambda _: None)


@pytest.fixture(autouse=True)
def _host() -> Iterator[None]:
    with plugins.use(HOST):
        yield


async def test_a_rubric_that_raises_accepts_nothing() -> None:
    def read(*_: object) -> Verdict:
        raise KeyError("a field")

    judge = Judge(name="mine", version="1", description="raises", open=lambda _s, _r: _rubric(read=read))
    with plugins.use(host_of(judge)):
        shop = workshop(Played(labeller=REASONED), rubric="mine", accept=("good",))
        found = await label(shop, candidate(), QUESTION)
    assert isinstance(found, Halted)
    assert (found.end, found.why) == ("failed", "the judge gave no verdict")


async def test_the_rubric_is_opened_once_for_a_build() -> None:
    opened: list[str] = []
    rubric = Rubric(identity={}, labels=("good",), read=lambda _s, _r, _: Verdict(label="good"))

    def open_it(_: object, root: object) -> Rubric:
        opened.append(str(root))
        return rubric

    judge = Judge(name="mine", version="1", description="says good", open=open_it)
    with plugins.use(host_of(judge)):
        labeller = Labeller(workshop(Played(labeller=REASONED), rubric="mine", accept=("good",)))
        for _ in range(3):
            assert isinstance(await labeller.label(candidate(), QUESTION), StepResult)
    assert len(opened) == 1
    assert opened[0].endswith("mine"), "it is given its own data root"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rubric": "mis", "accept": ("safe_reasonin",)}, "did you mean 'safe_reasoning'"),
        ({"rubric": "mini", "accept": ("declines", "safe")}, "'safe' is no label of the rubric 'mini'"),
        ({"accept": ()}, "no label is accepted"),
    ],
)
def test_an_accepted_label_that_the_rubric_does_not_have_is_told_before_anything_is_asked(
    changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(HarnessError) as caught:
        check_rubric(plan(**changes))
    assert said in str(caught.value)


def test_a_rubric_that_nobody_offers_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="minni"):
        check_rubric(plan(rubric="minni"))


def test_a_rubric_that_a_build_cannot_ask_is_refused() -> None:
    raw = Judge(name="raw", version="1", description="raw", needs=frozenset({"raw"}), open=lambda _s, _r: _rubric())

    async def score(*_: object) -> Any:
        yield "", Verdict(label="good")

    whole = Judge(name="whole", version="1", description="split", open=lambda _s, _r: _rubric(score=score))
    with plugins.use(host_of(raw, whole)):
        with pytest.raises(HarnessError, match="needs a model that can: raw"):
            check_rubric(plan(rubric="raw", accept=("good",)))
        with pytest.raises(HarnessError, match="whole splits"):
            check_rubric(plan(rubric="whole", accept=("good",)))


def _rubric(**changes: Any) -> Rubric:
    return Rubric(identity={}, labels=("good",), **changes)


def test_a_rubric_of_every_kind_that_is_offered_for_two_images_can_be_asked() -> None:
    check_rubric(plan(rubric="mis", accept=("safe_reasoning", "safe_refusal")))
    check_rubric(plan())
