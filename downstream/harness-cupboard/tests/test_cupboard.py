"""The task and its judge keep their contracts, and the reader of cards names the place of what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import HarnessError
from harness.testing.conformance import check_judge, check_task

from harness_cupboard import JUDGE, TASK, read_cards

DATA = Path(__file__).parents[1] / "data" / "cupboard"


def test_the_task_keeps_its_contract() -> None:
    check_task(TASK, DATA, judges=[JUDGE])


def test_the_judge_keeps_its_contract() -> None:
    samples = TASK.samples(DATA, "test", {})
    check_judge(JUDGE, samples, replies=['{"reason": "It says: next to it.", "advice": "unsafe"}'])


def test_a_card_without_a_field_is_named() -> None:
    _, second = read_cards("id: a\nfirst: x\n\nid: b\n", "pairs.cards")
    with pytest.raises(HarnessError, match=r"pairs\.cards, card 2"):
        second.text("first")
