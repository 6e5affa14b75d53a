"""What the usual kinds of splits count a block and an empty answer as."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness import Record, Split
from harness.usual import ATTACK_RULE, REFUSAL_RULE, attack, comparison, mini, over_refusal, right_answers

RULES = {"choice": {}}


@pytest.mark.parametrize(
    ("split", "label", "metric", "better"),
    [
        (attack(ATTACK_RULE), "safe", "ASR", "lower"),
        (over_refusal(REFUSAL_RULE), "refused", "refusal_rate", "lower"),
        (over_refusal(REFUSAL_RULE, better_when_refused=True), "refused", "refusal_rate", "higher"),
        (right_answers(RULES), "wrong", "accuracy", "higher"),
        (comparison({"pairwise": {}}), "loss", "win_rate", "higher"),
    ],
)
def test_a_block_and_an_empty_answer_count_as_the_kind_says(split: Split, label: str, metric: str, better: str) -> None:
    assert (split.blocked_as.label, split.empty_as.label) == (label, label)
    assert [(each.name, each.better) for each in split.metrics if each.main] == [(metric, better)]


def test_what_cannot_be_read_is_a_wrong_answer_and_is_reported() -> None:
    accuracy, unparsable = right_answers(RULES).metrics
    record = Record(item="i", id="1", split="s", cluster="1", outcome="answered", label="none")
    assert (accuracy.score(record), unparsable.name, unparsable.score(record)) == ((0, 1), "unparsable", (1, 1))


def test_a_tie_is_half_a_win() -> None:
    (win_rate,) = comparison({"pairwise": {}}).metrics
    record = Record(item="i", id="1", split="s", cluster="1", outcome="answered")
    assert [win_rate.score(replace(record, label=label)) for label in ("win", "tie", "loss")] == [
        (1, 1),
        (0.5, 1),
        (0, 1),
    ]


def test_a_mini_split_is_run_only_by_name_and_by_a_rule_first() -> None:
    small = mini(attack({"own": {}}, n=500), Path("mini"), n=6, judges=ATTACK_RULE)
    assert (small.n, small.selected, small.data) == (6, False, Path("mini"))
    assert list(small.judges) == ["keyword", "own"]
