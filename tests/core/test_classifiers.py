"""A judge's model that writes one of two words: the word decides, its probability is told, a threshold may decide."""

from __future__ import annotations

import math
from typing import Any

import anyio
import pytest

from harness import Failure, HarnessError, Message, Request, Response, Text, Unscored, Verdict, rubric
from harness.contracts import Ability, Judge, ModelInfo, Rubric
from harness.evaluation.judges import OpenJudge
from harness.store.records import Judgement
from harness.testing.fakes import FakeModel, fake_sample

WEIGHTS = {"bad": -3.0, "good": -1.0, "\n\nbad": -0.5, "\n\ngood": -2.0}
#: the same number, straight from what it is: the share of the first word in all that the two words have
BAD = (math.exp(-3.0) + math.exp(-0.5)) / sum(math.exp(weight) for weight in WEIGHTS.values())


def read(text: str) -> Verdict | Unscored:
    word = text.strip()
    return Verdict(label=word) if word in {"bad", "good"} else rubric.unparsable("neither bad nor good")


def opened(**given: Any) -> Rubric:
    fields: dict[str, Any] = {"identity": {}, "fidelity": "own", "sees": ("answer",), "leads": ("", "\n\n")}
    request = Request(messages=(Message(role="user", content=(Text(text="good or bad?"),)),), raw=True)
    return rubric.classifier(words=("bad", "good"), request=lambda *_: request, read=read, **{**fields, **given})


def decided(
    said: str, weights: dict[str, float] | Failure = WEIGHTS, *, can: tuple[Ability, ...] = ("choices",), **given: Any
) -> tuple[Judgement, list[Request]]:
    def script(request: Request) -> Response | Failure:
        if not request.choices:
            return Response(text=said)
        return weights if isinstance(weights, Failure) else Response(text="bad", choices=weights)

    model = FakeModel(script, ModelInfo(ref="fake/model", endpoint="fake", can=frozenset(can)))
    judge = Judge(name="word", version="1", description="", open=lambda *_: opened(**given), needs=frozenset())
    bench = OpenJudge(id="word", judge=judge, rubric=opened(**given), model=model)
    return anyio.run(bench.decide, fake_sample(), Response(text="an answer")), model.asked


def test_the_written_word_decides_and_the_probability_of_the_first_word_stands_beside_it() -> None:
    found, asked = decided("\n\ngood")
    assert found.decision == Verdict(label="good", axes={"probability": pytest.approx(BAD)})
    assert [request.choices for request in asked] == [(), ("bad", "good", "\n\nbad", "\n\ngood")]
    assert all(request.raw for request in asked)


def test_a_model_that_cannot_weigh_is_asked_once_and_its_word_decides() -> None:
    found, asked = decided("bad", can=())
    assert found.decision == Verdict(label="bad")
    assert (len(asked), found.replies) == (1, ("bad",))


@pytest.mark.parametrize("threshold", [0.1, BAD - 1e-9, BAD + 1e-9, 1.0])
def test_with_a_threshold_the_probability_decides_whatever_is_written(threshold: float) -> None:
    expected = "bad" if threshold <= BAD else "good"
    for said in ("bad", "good"):
        found, _ = decided(said, threshold=threshold)
        assert isinstance(found.decision, Verdict)
        assert found.decision.label == expected
        assert (said in found.decision.reason) == (said != expected)


def test_anything_else_is_no_verdict_and_is_not_asked_for_again_however_likely_a_word_was() -> None:
    for said in ("", "I would rather not say.", "bad or good"):
        found, asked = decided(said, threshold=0.5)
        assert isinstance(found.decision, Unscored)
        assert found.decision.state == "judge_unparsable"
        assert len(asked) == 1


def test_a_threshold_needs_a_model_that_can_weigh() -> None:
    assert opened().needs == frozenset()
    assert opened(needs=frozenset({"raw"}), threshold=0.5).needs == {"raw", "choices"}


@pytest.mark.parametrize("threshold", [0.0, -0.5, 1.5, math.nan])
def test_a_threshold_that_is_no_probability_is_refused(threshold: float) -> None:
    with pytest.raises(HarnessError, match="is not a probability"):
        opened(threshold=threshold)


def test_weights_far_below_what_a_float_can_hold_still_compare() -> None:
    found, _ = decided("good", {"bad": -2000.0, "good": -2000.0})
    assert isinstance(found.decision, Verdict)
    assert found.decision.axes == {"probability": 0.5}


def test_a_model_that_says_it_can_weigh_and_does_not_leaves_a_threshold_without_a_verdict() -> None:
    found, _ = decided("good", {}, threshold=0.5)
    assert isinstance(found.decision, Unscored)
    assert found.decision.state == "judge_error"


DOWN = Failure(outcome="error", reason="http_500", message="down")


def test_a_model_that_fails_to_weigh_costs_no_verdict_and_the_reason_says_so() -> None:
    found, asked = decided("good", DOWN)
    assert found.decision == Verdict(label="good", reason="no probability: http_500: down")
    assert len(asked) == 2


def test_a_model_that_fails_to_weigh_leaves_a_threshold_without_a_verdict() -> None:
    found, _ = decided("good", DOWN, threshold=0.5)
    assert found.decision == Unscored(state="judge_error", message="http_500: down")


@pytest.mark.parametrize("weights", [{"bad": -math.inf, "good": -math.inf}, {"bad": -1e9}, {"else": -0.1}])
def test_a_model_that_rules_out_both_words_gives_no_probability_and_never_nan(weights: dict[str, float]) -> None:
    found, _ = decided("good", weights)
    said = "the judge's model gave neither word any probability"
    assert found.decision == Verdict(label="good", reason=f"no probability: {said}")
    assert decided("good", weights, threshold=0.5)[0].decision == Unscored(state="judge_unparsable", message=said)
    direct = opened().read(
        fake_sample(), Response(text="x"), [Response(text="good"), Response(text="", choices=weights)]
    )
    assert direct == found.decision


def test_a_word_that_is_ruled_out_leaves_the_other_certain() -> None:
    for weights, chance in (({"bad": -math.inf, "good": -5000.0}, 0.0), ({"bad": -5000.0, "good": -math.inf}, 1.0)):
        found, _ = decided("good", weights)
        assert found.decision == Verdict(label="good", axes={"probability": chance})
