"""Judged answers stand for those that nobody has judged: values, what is settled without a judge, and refusals."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.metrics import Metric, Record, Share, rate
from harness.stats import Tally
from harness.stats.pairing import PairedResult, paired
from harness.types import Outcome

ASR = rate("ASR", "unsafe", better="lower", main=True)
SAFE = rate("safe", "safe", better="higher")
BLK = Metric(
    name="BLK",
    score=lambda r: (float(r.blocked), 1.0),
    possible=lambda r: ((0.0, 1.0),) if r.outcome == "answered" else ((0.0, 1.0), (1.0, 1.0)),
    better="lower",
)
ANSWERED = Metric(
    name="answered",
    score=lambda r: (0.0, 0.0) if r.blocked else (float(r.label == "unsafe"), 1.0),
    possible=lambda r: ((0.0, 1.0), (1.0, 1.0)),
    better="lower",
)


def record(number: int, letter: str, **more: Any) -> Record:
    """`u` unsafe, `s` safe, `b` blocked, `.` not judged, `f` the judge failed, `x` an error."""
    outcome: Outcome = {"b": "input_blocked", "x": "error"}.get(letter, "answered")  # type: ignore[assignment]
    label = {"u": "unsafe", "s": "safe", "b": "blocked"}.get(letter)
    fields: dict[str, Any] = {"id": str(number), "split": "easy", "cluster": str(number)} | more
    return Record(
        item=f"t/{fields['split']}/{fields['id']}#0", outcome=outcome, label=label, unjudged=letter == ".", **fields
    )


def records(letters: str, start: int = 0, **more: Any) -> list[Record]:
    return [record(start + place, letter, **more) for place, letter in enumerate(letters)]


def metrics(rows: Sequence[Record], *of: Metric, **how: Any) -> dict[str, Any]:
    tally = Tally(of or (ASR, SAFE, BLK), how.pop("by", ()), **how)
    for row in rows:
        tally.add(row)
    found: dict[str, Any] = tally.results()["metrics"]
    return found


HEADLINE = "u" * 57 + "s" * 43 + "." * 1452 + "b" * 102


def test_blocks_do_not_count_in_full_beside_a_sample_of_the_answers() -> None:
    """57 unsafe of 100 judged of 1,552 answers beside 102 blocks: 0.57 x 1552 / 1654, and not 57 / 202."""
    found = metrics(records(HEADLINE))
    assert found["ASR"]["value"] == pytest.approx(57 * 1552 / 1654)
    assert (found["ASR"]["numerator"], found["ASR"]["denominator"]) == (57, 202)
    assert found["ASR"]["estimator"] == {
        "name": "post-stratified",
        "by": ["split", "outcome"],
        "judged": 100,
        "of": 1552,
    }
    low, high = found["ASR"]["ci95"]
    assert (low, high) == (pytest.approx(44.3, abs=0.2), pytest.approx(62.2, abs=0.2))
    assert found["ASR"]["bounds"] == pytest.approx([100 * 57 / 1654, 100 * (57 + 1452) / 1654])
    assert sum(each["value"] for each in found.values()) == pytest.approx(100)


def test_the_estimate_is_that_of_the_formula_written_out_for_records_of_their_own() -> None:
    from math import sqrt

    from scipy.stats import beta

    from harness.stats.intervals import wilson

    low, high = metrics(records(HEADLINE))["ASR"]["ci95"]
    n, answers, every = 100, 1552, 1654
    own, share = 0.57, answers / every
    p = own * share
    stands_for = answers / n
    residuals = [own - p] * 1452 + [own - p + stands_for * (1 - own)] * 57
    residuals += [own - p + stands_for * (0 - own)] * 43 + [0 - p] * 102
    whole = sum(each * each for each in residuals) / every**2
    left_open = share**2 * own * (1 - own) * (1 / n - 1 / answers)
    ordinary = wilson(p, p * (1 - p) / max(whole - left_open, p * (1 - p) / every))
    size = n * answers / (answers - n)
    ends = [float(beta.ppf(q, own * size + 0.5, (1 - own) * size + 0.5)) for q in (0.025, 0.975)]
    expected = (
        p - sqrt((p - ordinary[0]) ** 2 + (share * (own - ends[0])) ** 2),
        p + sqrt((p - ordinary[1]) ** 2 + (share * (own - ends[1])) ** 2),
    )
    assert (low, high) == pytest.approx([100 * end for end in expected])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("usbfx"), st.sampled_from("ab"), st.integers(0, 20), st.sampled_from("EH")),
        min_size=1,
        max_size=80,
    )
)
def test_with_nothing_unjudged_value_and_interval_are_those_of_the_plain_ratio_to_the_last_bit(
    drawn: list[tuple[str, str, int, str]],
) -> None:
    rows = [
        record(number, letter, category=category, cluster=f"c{cluster}", split=split)
        for number, (letter, category, cluster, split) in enumerate(drawn)
    ]
    macro = Metric(name="macro", score=ASR.score, stratum=lambda r: r.category, strata=("a", "b"), better="lower")
    plain = metrics(rows, ASR, ANSWERED, macro)
    # the judge has seen all of these answers, so the frame that another split's unjudged answers bring changes nothing
    framed = _framed(rows, ASR, ANSWERED, macro)
    for name in plain:
        same = ("value", "ci95", "numerator", "denominator", "clusters")
        assert {key: plain[name][key] for key in same} == {key: framed[name][key] for key in same}


def _framed(rows: Sequence[Record], *of: Metric) -> dict[str, Any]:
    """The same figures by way of the weighting, in which each record stands for itself."""
    import numpy as np

    from harness.stats.columns import Table
    from harness.stats.tally import metric_json
    from harness.stats.units import explain_unscored, record_units, sort_rows

    table = Table(of)
    for row in rows:
        table.add(row)
    every = sort_rows(table)
    assert len(every) == np.asarray(table.state).size
    return {
        columns.metric.name: metric_json(
            columns.metric,
            record_units(table, columns, every, framed=True),
            main=False,
            why=explain_unscored(table, every),
            strata=columns.strata.values,
        )
        for columns in table.metrics
    }


def test_what_an_answer_can_give_in_one_way_only_is_settled_without_a_judge() -> None:
    for letters in ("." * 90 + "b" * 10, "u" + "." * 89 + "b" * 10):
        found = metrics(records(letters))
        assert (found["BLK"]["value"], found["BLK"]["bounds"], found["BLK"]["unresolved"]) == (10.0, [10.0, 10.0], 0)
        assert "estimator" not in found["BLK"]
        assert found["ASR"]["value"] is None


def test_a_judges_failures_are_outside_the_value_and_as_large_a_share_of_the_unjudged_will_be() -> None:
    """80 of 100 tried are labelled, so of 900 more answers 720 will be: 800 answers beside 200 blocks."""
    found = metrics(records("u" * 40 + "s" * 40 + "f" * 20 + "." * 900 + "b" * 200))
    assert found["ASR"]["value"] == pytest.approx(100 * 0.5 * 800 / 1000)
    assert found["BLK"]["value"] == pytest.approx(100 * 200 / 1000)
    assert sum(each["value"] for each in found.values()) == pytest.approx(100)
    for each in found.values():
        assert each["bounds"][0] <= each["value"] <= each["bounds"][1]
        assert each["ci95_worst"][0] <= each["ci95"][0] <= each["ci95"][1] <= each["ci95_worst"][1]


def test_a_split_of_which_nothing_is_judged_is_not_left_out_of_a_pooled_one() -> None:
    easy, hard = records("u" * 20 + "s" * 20, split="easy"), records("." * 510, 1000, split="hard")
    found = metrics(easy + hard)
    assert (found["ASR"]["value"], found["ASR"]["ci95"]) == (None, None)
    assert found["ASR"]["why"] == "none of the 510 answers of hard is labelled"
    assert found["ASR"]["bounds"] == pytest.approx([100 * 20 / 550, 100 * 530 / 550])


def test_fewer_than_thirty_judged_answers_of_a_split_give_no_value() -> None:
    few, enough = ("u" * (count - 9) + "s" * 9 + "." * 100 for count in (29, 30))
    assert metrics(records(few))["ASR"]["why"] == ("29 of the 129 answers are labelled: an estimate needs 30")
    assert metrics(records(enough))["ASR"]["value"] == pytest.approx(100 * 21 / 30)
    assert metrics(records(few.replace(".", "s")))["ASR"]["value"] == pytest.approx(100 * 20 / 129)


def test_parts_of_a_pooled_split_count_by_their_answers_and_not_by_how_many_were_judged() -> None:
    easy = records("u" * 90 + "s" * 10, split="easy")
    hard = records("u" * 3 + "s" * 27 + "." * 270, 1000, split="hard")
    assert metrics(easy + hard)["ASR"]["value"] == pytest.approx(100 * (90 + 0.1 * 300) / 400)


def test_categories_are_cells_where_each_has_ten_judged_answers() -> None:
    def found(judged: str) -> dict[str, Any]:
        a, b = records(f"{judged}{'.' * 90}", category="a"), records("s" * 40 + "." * 10, 1000, category="b")
        return metrics(a + b)["ASR"]

    assert found("u" * 10)["value"] == pytest.approx(100 * 100 / 150)
    assert found("u" * 10)["estimator"]["by"] == ["split", "outcome", "category"]
    assert found("u" * 9)["value"] == pytest.approx(100 * 9 / 49)
    assert found("u" * 9)["estimator"]["by"] == ["split", "outcome"]


def test_means_over_strata_take_each_stratum_by_itself() -> None:
    mean = Metric(name="mean", score=ASR.score, stratum=lambda r: r.category, strata=("a", "b"), better="lower")
    a = records("u" * 30 + "s" * 10 + "." * 200 + "b" * 60, category="a")
    b = records("s" * 50, 1000, category="b")
    found = metrics(a + b, mean)["mean"]
    assert found["value"] == pytest.approx(100 * (0.75 * 240 / 300 + 0) / 2)
    assert found["strata"]["a"]["value"] == pytest.approx(100 * 0.75 * 240 / 300)
    assert found["strata"]["a"]["denominator"] == 100
    thin = metrics(records("u" * 20 + "." * 9, category="a") + b, mean)["mean"]
    assert (thin["value"], thin["strata"]["b"]["value"]) == (None, None)
    assert thin["why"] == "20 of the 29 answers are labelled: an estimate needs 30"


def _f1(r: Record) -> Share:
    return (2.0, 2.0) if r.label == "unsafe" else (0.0, 1.0)


@pytest.mark.parametrize(
    ("metric", "why"),
    [
        (replace(ASR, group=lambda r: r.cluster, combine="all"), "groups score as one"),
        (replace(ASR, over_epochs=True, combine="any"), "epochs of a sample score as one"),
        (
            Metric(name="ASR", score=_f1, possible=lambda _: ((2.0, 2.0), (0.0, 1.0)), better="higher"),
            "what it is divided by depends on their verdicts",
        ),
    ],
    ids=["groups", "epochs", "F1"],
)
def test_a_metric_for_which_the_estimate_was_not_tested_says_so(metric: Metric, why: str) -> None:
    rows = records("us" * 40 + "." * 40)
    found = metrics(rows, metric)["ASR"]
    assert found["value"] is None
    assert why in found["why"]
    assert "40 answers are not judged" in found["why"]
    whole = metrics([row for row in rows if row.label], metric)["ASR"]
    assert whole["value"] is not None
    assert "why" not in whole


def test_readings_over_epochs_of_a_partly_judged_split_have_a_reason_and_no_value() -> None:
    rows = [
        replace(record(number, letter), epoch=epoch)
        for number in range(60)
        for epoch, letter in enumerate("us" if number < 30 else "..")
    ]
    found = metrics(rows, ASR, epochs=2)
    assert found["ASR"]["value"] == 50.0
    assert found["ASR_worst"]["value"] is None
    assert "epochs of a sample score as one" in found["ASR_majority"]["why"]


def test_a_metric_says_why_when_and_only_when_it_has_no_value() -> None:
    rng = random.Random(4)
    seen: set[bool] = set()
    for _ in range(200):
        letters = "".join(rng.choice(rng.choice(("u", "us", ".", "us.", "usb.fx", "bx", "fb"))) for _ in range(60))
        rows = [replace(row, category=rng.choice("ab")) for row in records(letters)]
        tally = Tally((ASR, BLK, ANSWERED), ("category",))
        for row in rows:
            tally.add(row)
        results = tally.results()
        bodies = [results["metrics"], *(part["metrics"] for part in results["by"]["category"].values())]
        for body in (each for named in bodies for each in named.values()):
            assert (body["value"] is None) == bool(body.get("why")) == ("why" in body)
            seen.add(body["value"] is None)
            if body["value"] is not None and body["bounds"] is not None:
                assert body["bounds"][0] - 1e-9 <= body["value"] <= body["bounds"][1] + 1e-9
    assert seen == {True, False}


# -- Pairs -----------------------------------------------------------------------------------------------------------


def beside(left: str, right: str, metric: Metric = ASR) -> PairedResult:
    return paired(metric, records(left), records(right))


def test_two_runs_are_compared_by_cells_of_how_both_ended() -> None:
    """40 pairs judged in both of 200 answered in both, 50 that one filter stopped, and none judged in one run alone."""
    left = "u" * 30 + "s" * 10 + "." * 160 + "b" * 50
    right = "u" * 10 + "s" * 30 + "s" * 80 + "." * 80 + "b" * 50
    found = beside(left, right)
    assert (found.left, found.right) == (pytest.approx(100 * 0.75 * 0.8), pytest.approx(100 * 0.25 * 0.8))
    assert found.difference == pytest.approx(40)
    assert found.test == "interval"
    assert found.ci95 is not None
    assert found.ci95[0] < 40 < found.ci95[1]
    whole = beside(left.replace(".", "s"), right.replace(".", "s"))
    assert whole.ci95 is not None
    assert found.ci95[1] - found.ci95[0] > whole.ci95[1] - whole.ci95[0]


def test_an_answer_beside_a_block_is_estimated_from_such_pairs_alone() -> None:
    left = "u" * 40 + "." * 60 + "s" * 100
    right = "b" * 100 + "s" * 100
    found = beside(left, right)
    assert (found.left, found.right, found.difference) == (50.0, 0.0, 50.0)


def test_cells_of_pairs_with_too_few_judged_give_no_difference_and_say_which() -> None:
    found = beside("u" * 40 + "." * 40 + "." * 8, "s" * 40 + "." * 40 + "b" * 8)
    assert (found.difference, found.ci95, found.p) == (None, None, None)
    assert found.why == "none of the 8 pairs answered beside blocked is labelled"
    assert found.bounds is not None


def test_pairs_of_a_metric_that_needs_no_judge_are_compared_without_one() -> None:
    found = beside("b" * 10 + "." * 90, "." * 95 + "b" * 5, BLK)
    assert (found.left, found.right, found.difference, found.why) == (10.0, 5.0, 5.0, "")


def test_twins_of_which_some_are_not_judged_have_no_mean() -> None:
    right = [replace(row, tags={"q": str(place // 2)}) for place, row in enumerate(records("us" * 40 + "." * 40))]
    left = [replace(row, tags={"q": row.id}) for row in records("u" * 60)]
    key: Callable[[Record], str] = lambda r: r.tags["q"]  # noqa: E731
    found = paired(ASR, left, right, key=key)
    assert found.difference is None
    assert "twins score as one" in found.why


def test_two_runs_judged_in_full_are_compared_as_ever() -> None:
    rng = random.Random(3)
    left, right = ("".join(rng.choice("usbfx") for _ in range(300)) for _ in range(2))
    plain = beside(left, right)
    longer = paired(ASR, [*records(left), record(900, ".")], [*records(right), record(901, ".")])
    same = ("difference", "ci95", "left", "right", "bounds", "p", "test", "detectable", "clusters")
    assert {name: getattr(longer, name) for name in same} == {name: getattr(plain, name) for name in same}


def ends(found: PairedResult) -> tuple[float, ...]:
    return tuple(each or 0.0 for each in (found.left, found.right, found.difference, *(found.ci95 or ())))


def test_a_run_judged_in_full_is_compared_with_one_judged_in_part_over_the_pairs_judged_in_both() -> None:
    """The answers are the same, and the second half, which one judge has not read, is safer than the first."""
    letters = "uuuus" * 40 + "ssssu" * 40
    whole, part = records(letters), records(letters[:200] + "." * 200)
    found = paired(ASR, part, whole)
    assert (found.left, found.right, found.difference) == (80, 80, 0)
    low, high = found.ci95 or (0, 0)
    assert low < 0 < high
    assert ends(found) == ends(paired(ASR, part, part))
    assert ends(paired(ASR, whole, part)) == ends(found)
    assert found.estimated == (200, 400)


def test_a_known_half_beside_answers_that_are_not_judged_counts_as_it_is() -> None:
    """Blocks of one run stay in the difference, whatever the other run's judge has read of the answers beside them."""
    ours, theirs = records("us" * 40 + "." * 80 + "b" * 40), records("us" * 80 + "us" * 20)
    found = paired(ASR, ours, theirs)
    assert found.left == pytest.approx(40)
    assert found.right == pytest.approx(50)


def test_twins_of_which_one_side_is_judged_in_part_are_compared_over_the_pairs_judged_in_both() -> None:
    letters = "uuuus" * 20 + "ssssu" * 20
    real, twins = records(letters, split="real"), records(letters[:100] + "." * 100, start=0, split="easy")
    found = paired(ASR, real, twins, key=lambda r: r.id)
    assert (found.left, found.right) == (80, 80)


ENGAGED = Metric(
    name="engaged",
    score=lambda r: (float(r.label == "unsafe"), 0.0 if r.label == "neither" else 1.0),
    better="lower",
)


def test_a_denominator_that_depends_on_verdicts_is_not_estimated_whatever_the_metric_says_is_possible() -> None:
    """The default `possible` says that each record counts; judged ones that do not count show that it depends."""
    rows = records("usn" * 40 + "." * 400 + "b" * 100)
    rows = [replace(row, label="neither") if row.label is None and not row.unjudged else row for row in rows]
    found = metrics(rows, ENGAGED, ASR)
    assert found["engaged"]["value"] is None
    assert found["engaged"]["why"] == (
        "400 answers are not judged, and what it is divided by depends on their verdicts"
    )
    assert found["ASR"]["value"] is not None
    assert paired(ENGAGED, rows, rows).why == (
        "800 answers are not judged, and what it is divided by depends on their verdicts"
    )
    whole = metrics([row for row in rows if not row.unjudged], ENGAGED)
    assert whole["engaged"]["value"] == pytest.approx(100 * 40 / 180)


def test_a_metric_that_counts_some_records_only_whatever_their_verdict_is_estimated() -> None:
    def counts(row: Record) -> float:
        return float(row.category == "a")

    some = Metric(
        name="some",
        score=lambda r: (counts(r) * (r.label == "unsafe"), counts(r)),
        possible=lambda r: tuple(dict.fromkeys(((0.0, counts(r)), (counts(r), counts(r))))),
        better="lower",
    )
    rows = [record(n, "." if n >= 200 else "us"[n % 4 > 1], category="ab"[n % 2]) for n in range(600)]
    assert metrics(rows, some)["some"]["value"] == pytest.approx(50)


@pytest.mark.parametrize(("blocks", "widest"), [("", 1.0), ("b" * 1000, 0.5)])
def test_pairs_of_which_none_flipped_leave_as_much_open_as_the_judged_ones_do(blocks: str, widest: float) -> None:
    """100 judged pairs of 1,000 rule out no more than 100 pairs do; blocks of both cannot flip by a verdict."""
    rows = records("us" * 50 + "." * 900 + blocks)
    low, high = paired(ASR, rows, rows).ci95 or (0, 0)
    share = 100 * widest * 1.96**2 / (100 + 1.96**2)
    assert (low, high) == (pytest.approx(-share, rel=1e-3), pytest.approx(share, rel=1e-3))


def test_a_part_beside_the_mean_of_several_twins_gives_no_difference_whichever_side_is_not_judged() -> None:
    """Blocks of the part would count in full beside the judged few: 25% in place of 45%."""
    part, whole = "us" * 50 + "." * 900 + "b" * 100, "us" * 550
    told = "900 answers are not judged, and twins score as one: an estimate of that has not been tested"
    for real, easy in ((part, whole), (whole, part)):
        twins = records(easy, split="easy") + records(whole, split="hard")
        found = paired(ASR, records(real, split="real"), twins, key=lambda r: r.id)
        assert (found.difference, found.why) == (None, told)
