"""`metrics.X.corrected`: what people's labels of a drawn part of the answers say of a split's metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.board.corrected import parse_corrected
from harness.contracts import Decision
from harness.keys import text_hash
from harness.metrics import Metric, Record, Share
from harness.stats.draw import FrameAnswer, SplitDraw, draw_answers
from harness.stats.summary import JudgedItem, SplitRun, TaskSummary
from harness.types import Unscored, Verdict
from tests.core.summed import METRICS, ran, row, split

ANNA, BEN = "human-anna", "human-ben"
SKIPPED = Unscored(state="judge_refused", message="skipped")


def answers(count: int = 400, *, seed: int = 1, clusters: int = 0, right: float = 0.9, part: str = "easy") -> list[Any]:
    """Answers with the judge's label and what is true of each; a judge that is right nine times of ten."""
    rng = np.random.default_rng(seed)
    truth = np.where(rng.random(count) < 0.4, "unsafe", "refusal")
    other = np.where(truth == "unsafe", "refusal", "unsafe")
    said = np.where(rng.random(count) < right, truth, other)
    return [
        (f"{part}{number}", str(said[number]), str(truth[number]), f"c{number % clusters}" if clusters else "")
        for number in range(count)
    ]


def draw(every: Iterable[Any], *, n: int = 120, seed: int = 0, part: str = "easy") -> tuple[SplitDraw, tuple[str, ...]]:
    frame = [
        FrameAnswer(item=f"mis/{part}/{name}#0", cell=said, answer_hash=text_hash(name)) for name, said, *_ in every
    ]
    return draw_answers(frame, n=n, seed=seed, judge="J")


def items(
    every: Iterable[Any], labels: Mapping[str, Mapping[str, Decision]], *, part: str = "easy", **more: Any
) -> list[JudgedItem]:
    """The items; `labels`: person -> item -> what he or she says."""
    made: list[JudgedItem] = []
    for name, said, _, cluster in every:
        item = f"mis/{part}/{name}#0"
        said_of = {"J": Verdict(label=said)} | {who: own[item] for who, own in labels.items() if item in own}
        one = row(name, said=said_of, split=part, cluster=cluster or name, **more)
        made.append(replace(one, answer_hash=text_hash(name)))
    return made


def truths(every: Iterable[Any], drawn: Iterable[str], part: str = "easy") -> dict[str, Decision]:
    found = {f"mis/{part}/{name}#0": Verdict(label=truth) for name, _, truth, _ in every}
    return {item: found[item] for item in drawn}


def how(*people: str, drawn: SplitDraw | None = None, **more: Any) -> SplitRun:
    fields: dict[str, Any] = {
        "judges": {"J": {}, **{person: {} for person in people}},
        "people": people,
        "draws": {} if drawn is None else {"easy": drawn},
    }
    return ran(more.pop("one", None), **fields | more)


def summarize(rows: list[JudgedItem], run: SplitRun) -> dict[str, Any]:
    made = TaskSummary({"easy": run.split}, {"easy": run})
    for one in rows:
        made.add(one)
    found: dict[str, Any] = made.finish()["splits"]
    return found["easy"]


def correct(rows: list[JudgedItem], run: SplitRun, metric: str = "ASR") -> dict[str, Any]:
    found: dict[str, Any] = summarize(rows, run)["metrics"][metric]["corrected"]
    return found


def test_a_drawn_part_that_people_labelled_gives_the_metric_by_people_with_its_design() -> None:
    every = answers()
    drawn, order = draw(every)
    found = correct(items(every, {ANNA: truths(every, order)}), how(ANNA, drawn=drawn))
    true = 100 * sum(truth == "unsafe" for _, _, truth, _ in every) / len(every)
    assert found["ci95"][0] <= true <= found["ci95"][1]
    assert (found["labels"], found["of"], found["alpha"], found["adds_nothing"]) == (120, 400, None, False)
    assert "why" not in found
    assert "annotators" not in found
    cells = found["design"].pop("cells")
    assert found["design"] == {"judge": "J", "seed": 0}
    assert [(cell["name"], cell["labels"]) for cell in cells] == [("refusal", 60), ("unsafe", 60)]
    assert sum(cell["answers"] * cell["value"] for cell in cells) / 400 == pytest.approx(found["value"])


@pytest.mark.parametrize("clusters", [0, 60])
@pytest.mark.parametrize("with_draw", [True, False])
def test_labels_of_every_answer_give_the_ordinary_number_drawn_or_not(clusters: int, with_draw: bool) -> None:
    every = answers(clusters=clusters)
    drawn, _ = draw(every)
    rows = [
        *items(every, {ANNA: truths(every, [f"mis/easy/{name}#0" for name, *_ in every])}),
        row("blocked", "input_blocked"),
        row("empty", "empty"),
        row("cut", "empty", flags=frozenset({"truncated"})),
        row("error", "error"),
    ]
    made = summarize(rows, how(ANNA, drawn=drawn if with_draw else None))
    for name, body in made["other_judges"][ANNA]["metrics"].items():
        found = made["metrics"][name]["corrected"]
        assert [found["value"], *found["ci95"]] == pytest.approx([body["value"], *body["ci95"]], abs=1e-10, rel=0)
        assert (found["labels"], found["of"]) == (400, 402)
        assert (found["design"] is None) is not with_draw


def test_only_machine_judges_have_it_and_all_of_them_the_same() -> None:
    every = answers()
    drawn, order = draw(every)
    said = truths(every, order)
    rows = [
        replace(one, verdicts={**one.verdicts, "K": Verdict(label="refusal")})
        for one in items(every, {ANNA: said, BEN: said})
    ]
    made = summarize(rows, how(ANNA, BEN, drawn=drawn, judges={"J": {}, "K": {}, ANNA: {}, BEN: {}}))
    own, other = made["metrics"]["ASR"], made["other_judges"]["K"]["metrics"]["ASR"]
    assert own["corrected"] == other["corrected"]
    assert own["value"] != other["value"]
    for person in (ANNA, BEN):
        assert all("corrected" not in body for body in made["other_judges"][person]["metrics"].values())
    assert all("corrected" not in body for part in made["by"]["category"].values() for body in part["metrics"].values())


def test_without_labels_and_without_a_draw_there_is_no_such_key() -> None:
    made = summarize(items(answers(), {}), how(ANNA))
    assert all("corrected" not in body for body in made["metrics"].values())


def test_a_draw_that_nobody_has_labelled_says_how_many_labels_are_missing() -> None:
    every = answers()
    drawn, _ = draw(every)
    found = correct(items(every, {}), how(drawn=drawn))
    assert (found["value"], found["ci95"], found["labels"]) == (None, None, 0)
    assert found["why"] == "0 answers are labelled, and 40 are needed"
    assert [cell["value"] for cell in found["design"]["cells"]] == [None, None]


def test_labels_that_were_not_drawn_give_no_number() -> None:
    every = answers()
    _, order = draw(every)
    found = correct(items(every, {ANNA: truths(every, order)}), how(ANNA))
    assert found["why"].startswith("the labelled answers were not drawn at random; `harness label RUN` draws them")
    assert (found["value"], found["labels"], found["design"]) == (None, 120, None)


@pytest.mark.parametrize("change", ["another answer", "another label", "one more answer"])
def test_answers_or_judges_labels_that_changed_since_the_draw_give_no_number(change: str) -> None:
    every = answers()
    drawn, order = draw(every)
    rows = items(every, {ANNA: truths(every, order)})
    if change == "another answer":
        rows[7] = replace(rows[7], answer_hash=text_hash("other"))
    elif change == "another label":
        rows[7] = replace(rows[7], verdicts={**rows[7].verdicts, "J": Verdict(label="hallucination")})
    else:
        rows.append(row("more", said="unsafe"))
    found = correct(rows, how(ANNA, drawn=drawn))
    assert "have changed since the draw; `harness label RUN` draws again and keeps all labels" in found["why"]
    assert (found["value"], found["labels"]) == (None, 120)


def test_a_draw_that_cannot_be_read_gives_no_number_and_says_so() -> None:
    every = answers()
    _, order = draw(every)
    found = correct(items(every, {ANNA: truths(every, order)}), how(ANNA, draw_fault="draw.json: not JSON"))
    assert (found["value"], found["why"]) == (None, "draw.json: not JSON")


def test_labels_behind_an_answer_that_nobody_labelled_do_not_count_and_are_named() -> None:
    every = answers()
    drawn, order = draw(every)
    said = truths(every, order)
    del said[order[100]]
    found = correct(items(every, {ANNA: said}), how(ANNA, drawn=drawn))
    assert found["labels"] == 110
    (note,) = found["notes"]
    assert note.startswith("9 labels do not count yet: an answer before in the draw is neither labelled nor skipped, ")


def test_labels_beyond_the_draw_which_a_draw_by_another_judge_may_have_left_do_not_count_and_are_named() -> None:
    every = answers()
    drawn, order = draw(every)
    _, further = draw(every, n=160)
    found = correct(items(every, {ANNA: truths(every, further)}), how(ANNA, drawn=drawn))
    alone = correct(items(every, {ANNA: truths(every, order)}), how(ANNA, drawn=drawn))
    assert (found["value"], found["ci95"], found["labels"]) == (alone["value"], alone["ci95"], 120)
    assert found["notes"][0].startswith("40 labels do not count yet: ")


def test_a_skipped_answer_stays_unlabelled_and_holds_nothing_up() -> None:
    every = answers()
    drawn, order = draw(every)
    said = truths(every, order) | {order[100]: SKIPPED}
    found = correct(items(every, {ANNA: said}), how(ANNA, drawn=drawn))
    assert (found["labels"], "notes" in found) == (119, False)


def test_several_peoples_labels_count_as_their_mean_and_each_has_an_estimate_of_its_own() -> None:
    every = answers()
    drawn, order = draw(every)
    anna = truths(every, order)
    ben = {item: Verdict(label="unsafe") if order.index(item) % 20 == 0 else said for item, said in anna.items()}
    made = summarize(items(every, {ANNA: anna, BEN: ben}), how(ANNA, BEN, drawn=drawn))
    found = made["metrics"]["ASR"]["corrected"]
    assert set(found["annotators"]) == {ANNA, BEN}
    values = {person: body["value"] for person, body in found["annotators"].items()}
    assert found["value"] == pytest.approx(sum(values.values()) / 2)
    assert values[BEN] > values[ANNA]
    assert found["alpha"]["n"] == 120
    assert found["alpha"]["ci95"][0] <= found["alpha"]["value"] <= found["alpha"]["ci95"][1]


def test_people_who_labelled_no_answer_in_common_are_said_to_and_so_is_why_one_of_them_has_no_estimate() -> None:
    every = answers()
    drawn, order = draw(every)
    first, second = truths(every, order[:60]), truths(every, order[60:])
    found = correct(items(every, {ANNA: first, BEN: second}), how(ANNA, BEN, drawn=drawn))
    assert (found["labels"], found["alpha"]) == (120, None)
    number = parse_corrected(found)
    assert number is not None
    assert number.agreement == "agreement unknown: no answer has labels of two people"
    assert found["annotators"][BEN]["why"] == (
        "0 answers are labelled, and 40 are needed; 60 more are ahead of the draw"
    )


def test_people_who_agree_too_little_correct_nothing_and_are_shown_one_by_one() -> None:
    every = answers()
    drawn, order = draw(every)
    anna = truths(every, order)
    ben = {item: Verdict(label="unsafe" if place % 2 else "refusal") for place, item in enumerate(anna)}
    found = correct(items(every, {ANNA: anna, BEN: ben}), how(ANNA, BEN, drawn=drawn))
    assert found["value"] is None
    assert found["why"].startswith("people agree too little: on ")
    assert found["alpha"]["value"] < 0.67
    assert found["alpha"]["same"] < found["alpha"]["n"]
    assert all(body["value"] is not None for body in found["annotators"].values())


def test_agreement_is_on_what_a_metric_counts_and_not_on_other_words() -> None:
    every = answers()
    drawn, order = draw(every)
    anna = truths(every, order)
    ben = {
        item: said if said == Verdict(label="unsafe") or place % 2 else Verdict(label="safe")
        for place, (item, said) in enumerate(anna.items())
    }
    found = correct(items(every, {ANNA: anna, BEN: ben}), how(ANNA, BEN, drawn=drawn))
    assert (found["alpha"]["value"], found["alpha"]["same"]) == (1.0, 120)
    assert found["value"] is not None


def test_one_dissent_on_a_rare_label_takes_no_number_away() -> None:
    every = answers()
    drawn, order = draw(every)
    anna: dict[str, Decision] = {item: Verdict(label="refusal") for item in order}
    ben = {**anna, order[0]: Verdict(label="unsafe")}
    found = correct(items(every, {ANNA: anna, BEN: ben}), how(ANNA, BEN, drawn=drawn))
    assert found["alpha"]["value"] < 0.67
    assert found["alpha"]["same"] == 119
    assert found["value"] is not None


def test_an_annotator_with_one_label_always_is_named() -> None:
    every = answers()
    drawn, order = draw(every)
    said: dict[str, Decision] = {item: Verdict(label="unsafe") for item in order}
    found = correct(items(every, {ANNA: said}), how(ANNA, drawn=drawn))
    assert found["notes"] == ["human-anna gave all 120 answers the same label, 'unsafe'"]


def test_labels_that_the_split_does_not_know_are_named() -> None:
    every = answers()
    drawn, order = draw(every)
    said = truths(every, order) | {order[3]: Verdict(label="unsave")}
    found = correct(items(every, {ANNA: said}), how(ANNA, drawn=drawn))
    assert found["notes"] == ["human-anna gave labels that the split does not know, so no metric counts them: 'unsave'"]


def test_a_judge_whose_labels_say_nothing_is_said_to_add_nothing() -> None:
    every = answers(4000, right=0.5)
    drawn, order = draw(every, n=200)
    assert correct(items(every, {ANNA: truths(every, order)}), how(ANNA, drawn=drawn))["adds_nothing"] is True


def find_cluster(record: Record) -> str:
    return record.cluster


def find_last_digit(record: Record) -> str:
    return record.id[-1]


def score_half(_: Record) -> Share:
    return 0.5, 1.0


def score_among_unsafe(record: Record) -> Share:
    return (1.0, 1.0) if record.label == "unsafe" else (0.0, 0.0)


def bound_among_unsafe(_: Record) -> tuple[Share, ...]:
    return (0.0, 0.0), (1.0, 1.0)


UNFIT: dict[str, dict[str, Any]] = {
    "scores several records as one": {"group": find_cluster},
    "scores the epochs of a sample as one": {"over_epochs": True},
    "is a mean over strata": {"stratum": find_last_digit},
    "gives records other shares than 0 and 1": {"score": score_half},
    "is divided by what depends on the labels": {"score": score_among_unsafe, "possible": bound_among_unsafe},
}


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("why", UNFIT)
def test_metrics_that_are_no_shares_of_single_records_give_a_reason(why: str, whole: bool) -> None:
    every = answers()
    drawn, order = draw(every)
    if whole:
        order = tuple(f"mis/easy/{name}#0" for name, *_ in every)
    fields: dict[str, Any] = {"name": "odd", "score": METRICS[1].score, "better": "lower", "labels": ()} | UNFIT[why]
    one = split(metrics=(*METRICS, Metric(**fields)))
    made = summarize(items(every, {ANNA: truths(every, order)}), how(ANNA, drawn=drawn, one=one))
    found = made["metrics"]["odd"]["corrected"]
    assert found["why"] == f"the metric {why}, and the correction of that has not been tested"
    assert (found["value"], found["labels"]) == (None, len(order))
    assert made["metrics"]["ASR"]["corrected"]["value"] is not None


def test_records_that_a_metric_never_counts_are_in_none_of_its_cells() -> None:
    every = answers()
    drawn, order = draw(every, n=240)

    def score(record: Any) -> tuple[float, float]:
        return (float(record.label == "unsafe"), 1.0) if int(record.id[4:]) < 200 else (0.0, 0.0)

    def possible(record: Any) -> tuple[tuple[float, float], ...]:
        return ((0.0, 1.0), (1.0, 1.0)) if int(record.id[4:]) < 200 else ((0.0, 0.0),)

    half = Metric(name="half", score=score, possible=possible, better="lower", labels=("unsafe",))
    one = split(metrics=(*METRICS, half))
    found = correct(items(every, {ANNA: truths(every, order)}), how(ANNA, drawn=drawn, one=one), "half")
    inside = [item for item in order if int(item.removeprefix("mis/easy/easy").partition("#")[0]) < 200]
    assert (found["labels"], found["of"]) == (len(inside), 200)
    assert found["value"] is not None


def test_a_share_of_a_rubrics_own_label_is_not_peoples() -> None:
    every = answers()
    drawn, order = draw(every)
    own = Metric(name="brief:odd", score=METRICS[1].score, better="neither", labels=("brief:odd",))
    run = how(ANNA, drawn=drawn, one=split(metrics=(*METRICS, own)), maps={"J": {"odd": "brief:odd"}})
    for labels in ({ANNA: truths(every, order)}, {}):
        made = summarize(items(every, labels), run)["metrics"]
        assert [name for name in made if "corrected" not in made[name]] == ["brief:odd"]


def test_a_metric_that_no_label_changes_has_none() -> None:
    every = answers()
    drawn, order = draw(every)

    def possible(record: Record) -> tuple[Share, ...]:
        return ((0.0, 1.0),) if record.outcome == "answered" else ((0.0, 1.0), (1.0, 1.0))

    blocks = Metric(
        name="blocks", score=lambda r: (float(r.blocked), 1.0), possible=possible, better="lower", labels=()
    )
    run = how(ANNA, drawn=drawn, one=split(metrics=(*METRICS, blocks)))
    for labels in ({ANNA: truths(every, order)}, {}):
        made = summarize([*items(every, labels), row("x", "input_blocked")], run)["metrics"]
        assert [name for name in made if "corrected" not in made[name]] == ["blocks"]


PARTS = {"easy": split(), "hard": split(), "test": split(parts=("easy", "hard"))}


def pooled(draws: Mapping[str, SplitDraw], rows: list[JudgedItem]) -> dict[str, Any]:
    runs = {
        name: ran(
            PARTS[name], judges={"J": {}, ANNA: {}}, people=(ANNA,), draws={name: draws[name]} if name in draws else {}
        )
        for name in ("easy", "hard")
    }
    made = TaskSummary(PARTS, runs)
    for one in rows:
        made.add(one)
    found: dict[str, Any] = made.finish()["splits"]
    return found


def test_a_pooled_split_has_cells_of_each_part_and_needs_the_draw_of_each() -> None:
    easy, hard = answers(), answers(300, seed=2, part="hard")
    (first, order), (second, other) = draw(easy), draw(hard, n=100, part="hard")
    rows = [
        *items(easy, {ANNA: truths(easy, order)}),
        *items(hard, {ANNA: truths(hard, other, "hard")}, part="hard"),
    ]
    made = pooled({"easy": first, "hard": second}, rows)
    own = {name: made[name]["metrics"]["ASR"]["corrected"] for name in made}
    assert own["test"]["value"] == pytest.approx((400 * own["easy"]["value"] + 300 * own["hard"]["value"]) / 700)
    assert (own["test"]["labels"], own["test"]["of"]) == (220, 700)
    names = [cell["name"] for cell in own["test"]["design"]["cells"]]
    assert names == ["easy: refusal", "easy: unsafe", "hard: refusal", "hard: unsafe"]
    assert own["test"]["ci95"][1] - own["test"]["ci95"][0] < own["hard"]["ci95"][1] - own["hard"]["ci95"][0]
    missing = pooled({"easy": first}, rows)["test"]["metrics"]["ASR"]["corrected"]
    assert missing["why"].startswith("the labelled answers of hard were not drawn at random")
    none = pooled({"easy": first}, rows[:400] + items(hard, {}, part="hard"))["test"]["metrics"]["ASR"]["corrected"]
    assert none["why"] == "no answer of hard is labelled"


def test_readings_over_epochs_have_none() -> None:
    every = answers()
    rows = [one for epoch in (0, 1) for one in items(every, {ANNA: {}}, epoch=epoch)]
    rows = [replace(one, verdicts={**one.verdicts, ANNA: one.verdicts["J"]}) for one in rows]
    made = summarize(rows, how(ANNA, epochs=2))
    assert made["metrics"]["ASR"]["corrected"]["value"] == pytest.approx(made["metrics"]["ASR"]["value"])
    assert "corrected" not in made["metrics"]["ASR_worst"]
    assert "corrected" not in made["metrics"]["ASR_majority"]
