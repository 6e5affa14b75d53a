"""The judge `pairwise` asks in both orders, and a contradiction is a tie."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from harness_pairwise.judge import JUDGE

from harness import HarnessError, MissingData, Response, Rubric, Sample, Text, Unscored, Verdict
from harness.evaluation.judges import OpenJudge
from harness.settings import effective
from harness.testing.conformance import check_judge
from harness.testing.fakes import FakeModel, fake_sample

ANSWER = "Paint the ring, then let it dry."


def opened(**given: Any) -> Rubric:
    return JUDGE.open(effective(JUDGE.settings, given, owner="judge pairwise"), Path())


def sample(**given: Any) -> Sample:
    return fake_sample("1", **{"images": 1, "target": {"reference": "Rings cannot be painted."}, **given})


def choice(better: str, reason: str = "so") -> str:
    return json.dumps({"reason": reason, "better": better})


def text(request: Any) -> str:
    (found,) = [part.text for part in request.messages[-1].content if isinstance(part, Text)]
    return str(found)


async def decided(*replies: str, asked: Sample | None = None, **given: Any) -> tuple[Any, FakeModel]:
    model = FakeModel(list(replies))
    bench = OpenJudge(id="pairwise", judge=JUDGE, rubric=opened(**given), model=model)
    judgement = await bench.decide(asked or sample(), Response(text=ANSWER, reasoning="a secret thought"))
    return judgement.decision, model


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answer_first", "reference_first", "label", "agreed"),
    [
        ("first", "second", "win", True),
        ("second", "first", "loss", True),
        ("same", "same", "tie", True),
        ("first", "first", "tie", False),
        ("second", "second", "tie", False),
        ("first", "same", "tie", False),
        ("same", "first", "tie", False),
    ],
)
async def test_only_what_both_orders_say_counts(
    answer_first: str, reference_first: str, label: str, *, agreed: bool
) -> None:
    found, _ = await decided(choice(answer_first), choice(reference_first))
    assert (found.label, found.axes["agreed"]) == (label, agreed)


@pytest.mark.anyio
async def test_the_axes_say_what_each_order_found_about_the_answer() -> None:
    found, _ = await decided(choice("first", "it paints"), choice("first", "it is honest"))
    assert found.axes == {"answer_first": "win", "reference_first": "loss", "agreed": False}
    assert found.reason == "answer first: it paints\nreference first: it is honest"


@pytest.mark.anyio
async def test_both_answers_stand_in_both_places_and_nothing_tells_which_is_which() -> None:
    _, model = await decided(choice("first"), choice("second"))
    one, two = (text(request) for request in model.asked)
    assert one.index(ANSWER) < one.index("Rings cannot be painted.")
    assert two.index("Rings cannot be painted.") < two.index(ANSWER)
    for asked in (one, two):
        assert "reference" not in asked.lower()
        assert "secret" not in asked


@pytest.mark.anyio
async def test_a_reply_that_cannot_be_read_is_asked_for_once_more_in_either_order() -> None:
    found, model = await decided("The first.", choice("first"), choice("second"))
    assert (found.label, len(model.asked)) == ("win", 3)
    found, model = await decided(choice("first"), "The second.", choice("second"))
    assert (found.label, len(model.asked)) == ("win", 3)
    found, model = await decided("The first.", choice("first"), "The second.", choice("second"))
    assert (found.label, len(model.asked)) == ("win", 4)


@pytest.mark.anyio
async def test_one_order_alone_is_no_verdict() -> None:
    found, _ = await decided(choice("first"), "?", "??")
    assert isinstance(found, Unscored)
    assert found.state == "judge_unparsable"


@pytest.mark.anyio
async def test_a_blank_reference_loses_without_a_call() -> None:
    found, model = await decided(asked=sample(target={"reference": " "}))
    assert (found.label, model.asked) == ("win", [])


@pytest.mark.anyio
async def test_without_any_reference_the_setting_that_gives_one_is_named() -> None:
    found, model = await decided(asked=sample(target=None))
    assert (found.state, model.asked) == ("judge_error", [])
    assert "-T pairwise.reference=FILE.jsonl" in found.message


def test_images_are_shown_unless_they_are_hidden() -> None:
    for given, count in (({}, 1), ({"images": "hidden"}, 0)):
        rubric = opened(**given)
        (request,) = rubric.ask(sample(), Response(text=ANSWER))
        assert len(request.images) == count
        assert ("images" in rubric.sees) == bool(count)
    assert {"question", "answer", "reference"} <= set(opened().sees)


def references(tmp_path: Path, *lines: dict[str, Any]) -> Path:
    path = tmp_path / "responses.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def reference_shown(path: Path, asked: Sample) -> str:
    (request,) = opened(reference=path).ask(asked, Response(text=ANSWER))
    return text(request)


def test_another_runs_answers_are_references_and_the_last_one_counts(tmp_path: Path) -> None:
    line = {"split": "a", "id": "1", "epoch": 0, "outcome": "answered"}
    path = references(
        tmp_path,
        {**line, "outcome": "error", "reason": "timeout", "text": ""},
        {**line, "text": "An early one."},
        {**line, "text": "A later one."},
        {**line, "text": "Of another epoch.", "epoch": 1},
        {**line, "text": "Of another split.", "split": "b"},
    )
    shown = reference_shown(path, sample(split="a"))
    assert "A later one." in shown
    assert "Rings" not in shown


def test_a_plain_file_of_ids_and_answers_is_enough(tmp_path: Path) -> None:
    path = references(tmp_path, {"id": 1, "reference": "Of the file."})
    assert "Of the file." in reference_shown(path, sample())


def test_where_the_file_has_no_answer_the_tasks_own_is_taken(tmp_path: Path) -> None:
    path = references(tmp_path, {"id": "2", "text": "Of another sample."})
    assert "Rings" in reference_shown(path, sample())


def test_a_run_that_was_blocked_has_a_blank_answer_and_one_that_failed_has_none(tmp_path: Path) -> None:
    path = references(
        tmp_path,
        {"id": "1", "outcome": "output_blocked", "text": "partial"},
        {"id": "2", "outcome": "error", "text": ""},
    )
    rubric = opened(reference=path)
    assert rubric.ask(sample(), Response(text=ANSWER)) == []
    assert rubric.read(sample(), Response(text=ANSWER), []) == Verdict(
        label="win", reason="there is no text in the reference"
    )
    for target in (None, {"intent": "paint"}, "a text", ["a list"]):
        with pytest.raises(HarnessError, match="sample 2 of a has no reference answer"):
            rubric.ask(Sample(id="2", split="a", request=sample().request, target=target), Response(text=ANSWER))


def test_a_reference_that_was_cut_off_before_any_text_wins_and_loses_nothing(tmp_path: Path) -> None:
    path = references(
        tmp_path,
        {"id": "1", "outcome": "empty", "flags": ["truncated"], "text": " "},
        {"id": "2", "outcome": "answered", "flags": ["truncated"], "text": "An unfinished"},
        {"id": "3", "outcome": "empty", "flags": [], "text": ""},
        {"id": "4", "outcome": "output_blocked", "flags": ["truncated"], "text": ""},
    )
    model = FakeModel(choice("first"))
    bench = OpenJudge(id="pairwise", judge=JUDGE, rubric=opened(reference=path), model=model)
    found = anyio.run(bench.decide, sample(), Response(text=ANSWER)).decision
    assert isinstance(found, Unscored)
    assert found.state == "judge_error"
    assert "cut off before any text" in found.message
    assert model.asked == []
    assert "An unfinished" in reference_shown(path, replace(sample(), id="2"))
    for blank in ("3", "4"):
        assert bench.rubric.ask(replace(sample(), id=blank), Response(text=ANSWER)) == []


def test_a_reference_that_was_cut_off_is_another_one_than_a_blank_one(tmp_path: Path) -> None:
    line = {"id": "1", "outcome": "empty", "text": ""}
    blank, cut = ({**line, "flags": flags} for flags in ([], ["truncated"]))
    digests = {opened(reference=references(tmp_path, each)).identity["reference"] for each in (blank, cut)}
    assert len(digests) == 2


def test_other_references_are_another_judge_wherever_they_lie(tmp_path: Path) -> None:
    def identity(folder: str, answer: str) -> Any:
        (tmp_path / folder).mkdir(exist_ok=True)
        return opened(reference=references(tmp_path / folder, {"id": "1", "text": answer})).identity

    assert identity("a", "one") == identity("b", "one") != identity("b", "two")
    assert opened().identity["reference"] == ""


def test_a_file_without_answers_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match="no such file"):
        opened(reference=tmp_path / "nowhere.jsonl")
    with pytest.raises(HarnessError, match="holds no answer"):
        opened(reference=references(tmp_path, {"id": "1", "outcome": "error", "text": ""}))
    with pytest.raises(HarnessError, match="field 'text' is missing"):
        opened(reference=references(tmp_path, {"id": "1"}))


def test_a_template_that_shows_one_answer_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.j2"
    path.write_text("{{ question }} {{ answer }} {{ form }}")
    with pytest.raises(HarnessError, match="never shows the second answer"):
        opened(prompt=path)


def test_it_keeps_the_contract() -> None:
    check_judge(JUDGE, [sample()], replies=[choice(better) for better in ("first", "second", "same")])
