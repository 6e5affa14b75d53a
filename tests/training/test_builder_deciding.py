"""What people decided is looked up while calls are under way, and holds up none of them."""

from __future__ import annotations

import threading

import pytest
from harness_builder.review import Agreed
from harness_builder.steps.sorting import WAITING, decide
from harness_builder.values import Assessment, Candidate

from tests.training.played import PlayedCalls, build_context, candidate

pytestmark = pytest.mark.anyio


class Nobody:
    """People who decided nothing, and where they were asked."""

    def __init__(self) -> None:
        self.asked_in: list[int] = []

    def decided(self, candidate: Candidate) -> None:
        self.asked_in.append(threading.get_ident())

    def agreement(self) -> tuple[Agreed, ...]:
        return ()


async def test_images_of_what_was_reviewed_are_read_beside_the_calls() -> None:
    people, opinion = Nobody(), Assessment(text_unsafe=False, image_harmful=False, category="a", sub_category="")
    assert await decide(build_context(PlayedCalls()), people, candidate(), opinion) == WAITING
    assert len(people.asked_in) == 1
    assert threading.get_ident() not in people.asked_in
