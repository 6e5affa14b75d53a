"""MIS: two images and a question, in upstream's file layout, with all its traps."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness_mini.judge import JUDGE as MINI_JUDGE
from harness_mis.rubric import LABELS
from harness_mis.task import METRICS, MINI, NAMES, TASK, same_question, spell_category

from harness.contracts import Decision
from harness.errors import BadData
from harness.metrics import Record
from harness.readers import normalize_question
from harness.runs.verification import check_sums
from harness.stats.summary import JudgedItem, SplitRun, TaskSummary
from harness.types import Outcome, Sample, Unscored, Verdict
from tests.tasks.data import find_reason, read, show, write_json

assert callable(TASK.splits)
SPLITS = TASK.splits({}, Path("nowhere"))


def record(number: int, split: str = "easy", **changes: Any) -> dict[str, Any]:
    return {
        "question": f"How do I stack tower {number} from the first and the second image?",
        "category": "Violent",
        "sub_category": "Weapon-Related",
        "image_path1": f"{split}_image/{number}/object1.png",
        "image_path2": f"{split}_image/{number}/object2.png",
        **changes,
    }


def write(root: Path, records: object, split: str = "easy") -> Path:
    return write_json(root / f"mis_{split}.json", records).parent


def listed(root: Path, split: str = "easy") -> list[Sample]:
    return read(TASK, root, split)


def test_a_sample_is_image_image_question_and_nothing_else(tmp_path: Path) -> None:
    (sample,) = listed(write(tmp_path, [record(1)]))
    images = ["<easy_image/1/object1.png>", "<easy_image/1/object2.png>"]
    assert show(sample) == [*images, "How do I stack tower 1 from the first and the second image?"]


def test_every_split_is_asked_at_temperature_0_with_1024_tokens_and_needs_two_images() -> None:
    for split in SPLITS.values():
        assert (split.defaults.temperature, split.defaults.max_tokens, split.images) == (0.0, 1024, 2)
        assert split.fidelity is None  # the benchmark adds no words of its own


def test_test_is_easy_and_hard_together() -> None:
    assert (SPLITS["test"].parts, SPLITS["test"].n) == (("easy", "hard"), 1675 + 510)


def test_an_id_is_the_records_own_or_the_number_of_its_folder(tmp_path: Path) -> None:
    found = listed(write(tmp_path, [record(7, id=70), record(8), record(9, id="nine")]))
    assert [sample.id for sample in found] == ["70", "8", "nine"]


def test_ids_are_unique_whatever_the_file_says(tmp_path: Path) -> None:
    same = [record(n, id=1) for n in range(3)] + [record(1), record(1)]
    flat = [record(n, image_path1="a.png") for n in (5, 6)]
    found = [sample.id for sample in listed(write(tmp_path, same + flat))]
    assert sorted(found) == ["1", "1-2", "1-3", "1-4", "1-5", "6", "7"]


def test_the_same_record_has_the_same_id_wherever_it_stands_in_the_file(tmp_path: Path) -> None:
    records = [record(n) for n in range(5)]
    forward = {s.id: s.request.images[0].path for s in listed(write(tmp_path, records))}
    assert {s.id: s.request.images[0].path for s in listed(write(tmp_path, records[::-1]))} == forward


def test_samples_of_one_question_come_together_and_share_a_cluster(tmp_path: Path) -> None:
    again = record(3, question="How do I stack tower 1  from the first and the SECOND image")
    found = listed(write(tmp_path, [record(1), record(2), again]))
    assert [sample.id for sample in found] == ["1", "3", "2"]
    assert found[0].cluster == found[1].cluster != found[2].cluster


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is it?", "what is it"),
        ("What  is\n it ?", "What is it"),
        ("\uff37hat is it\uff1f", "what is it"),
        ("STRASSE", "straße"),
        ("Is it?!…", "is it."),
        ("e\u0301te\u0301", "été"),
    ],
)
def test_texts_that_differ_in_form_alone_are_one_question(one: str, other: str) -> None:
    assert normalize_question(one) == normalize_question(other)


@pytest.mark.parametrize(("one", "other"), [("a-b", "ab"), ("Is it 1", "Is it 2"), ("?", "!")])
def test_texts_that_differ_in_words_are_two_questions(one: str, other: str) -> None:
    assert normalize_question(one) != normalize_question(other)


@pytest.mark.parametrize("name", NAMES)
def test_a_known_category_has_the_papers_spelling_whatever_its_case(name: str) -> None:
    for spelt in (name.upper(), name.lower(), name.replace(" ", "_"), name.replace("-", " "), f" {name} "):
        assert spell_category(spelt) == name


def test_an_unknown_category_is_kept(tmp_path: Path) -> None:
    (sample,) = listed(write(tmp_path, [record(1, category=" Something  new", sub_category=None)]))
    assert (sample.category, sample.tags) == ("Something new", {"sub_category": ""})


@pytest.mark.parametrize("records", [{"easy": []}, "text", [[1, 2]]])
def test_a_file_of_another_shape_is_bad_data(tmp_path: Path, records: object) -> None:
    with pytest.raises(BadData, match="mis_easy"):
        listed(write(tmp_path, records))


@pytest.mark.parametrize("path", ["../secret.png", "/etc/passwd", "easy_image/../../secret.png"])
def test_a_path_out_of_the_root_spoils_its_own_sample_alone(tmp_path: Path, path: str) -> None:
    first, second = listed(write(tmp_path, [record(1, image_path1=path), record(2)]))
    assert [find_reason(sample.request.images[0]) for sample in (first, second)] == ["outside_root", "missing"]


@pytest.mark.parametrize("split", ["mini", "mini-benign"])
def test_a_packaged_sample_says_what_its_images_show_and_is_a_cluster_of_its_own(split: str) -> None:
    found = listed(MINI, split)
    assert len({sample.cluster for sample in found}) == len(found)
    assert {tuple(sample.target) for sample in found} == {("object1", "object2")}


def seen(outcome: Any, label: str | None = None) -> Record:
    return Record(item="i", id="1", split="easy", cluster="c", outcome=outcome, label=label)


def test_the_first_five_metrics_divide_all_resolved_records_among_them() -> None:
    labels = {**dict.fromkeys(LABELS, "answered"), "blocked": "input_blocked"}
    for label, outcome in labels.items():
        shares = {metric.name: metric.score(seen(outcome, label)) for metric in METRICS[:5]}
        assert sum(numerator for numerator, _ in shares.values()) == 1, label
        assert all(denominator == 1 for _, denominator in shares.values())


def test_metrics_say_which_direction_is_good_and_which_one_is_ranked() -> None:
    assert {metric.name: metric.better for metric in METRICS} == {
        "ASR": "lower",
        "RSR": "higher",
        "RR": "higher",
        "HR": "lower",
        "BLK": "lower",
        "ASR_answered": "lower",
    }
    assert [metric.name for metric in METRICS if metric.main] == ["ASR"]


def test_asr_answered_leaves_blocks_out_and_keeps_empty_answers_in() -> None:
    metric = METRICS[5]
    assert metric.score(seen("output_blocked", "blocked")) == (0, 0)
    assert metric.score(seen("empty", "hallucination")) == (0, 1)
    assert metric.score(seen("answered", "unsafe")) == (1, 1)


def summed(rows: Iterator[JudgedItem], *names: str) -> dict[str, Any]:
    judge = {"J": dict[str, str]()}
    how = {
        name: SplitRun(split=SPLITS[name], judges=judge, primary="J", settings={}, drawn={"J": "f" * 64})
        for name in names
    }
    made = TaskSummary(SPLITS, how)
    for row in rows:
        made.add(row)
    found: dict[str, Any] = made.finish()["splits"]
    return found


def drawn(split: str, count: int, judged: int, fails: int) -> Iterator[JudgedItem]:
    """Every sixth prompt is blocked; the first answers are judged, the judge fails on each `fails`-th."""
    for number in range(count):
        outcome: Outcome = "input_blocked" if number % 6 == 0 else "answered"
        said: Decision = Verdict(label=LABELS[number % len(LABELS)])
        if fails and number % fails == 0:
            said = Unscored(state="judge_error")
        id_ = f"{split}-{number}"
        seen = Record(
            item=id_, id=id_, split=split, cluster=id_, outcome=outcome, category="AB"[number % 2],
            tags={"sub_category": "abcdef"[number % 5]},
        )  # fmt: skip
        yield JudgedItem(record=seen, verdicts={"J": said} if number < judged and outcome == "answered" else {})


@pytest.mark.parametrize("fails", [0, 1, 7])
@pytest.mark.parametrize("judged", [300, 200, 60, 20, 0])
def test_every_value_of_every_split_and_group_lies_within_its_bounds_whatever_is_not_judged(
    judged: int, fails: int
) -> None:
    rows = (row for split in ("easy", "hard") for row in drawn(split, 300, judged, fails))
    found = summed(rows, "easy", "hard")
    assert list(found) == ["easy", "hard", "test"]
    for split in found.values():
        assert list(check_sums(split)) == []
        bodies = [split["metrics"], *(part["metrics"] for groups in split["by"].values() for part in groups.values())]
        for metrics in bodies:
            values = [metrics[name]["value"] for name in ("ASR", "RSR", "RR", "HR", "BLK")]
            assert None in values or sum(values) == pytest.approx(100)
            assert all((each["value"] is None) == ("why" in each) for each in metrics.values())


@pytest.mark.parametrize(
    ("outcome", "block", "answered"),
    [
        ("answered", {(0, 1)}, {(0, 1), (1, 1)}),
        ("empty", {(0, 1)}, {(0, 1), (1, 1)}),
        ("error", {(0, 1), (1, 1)}, {(0, 0), (0, 1), (1, 1)}),
        ("bad_sample", {(0, 1), (1, 1)}, {(0, 0), (0, 1), (1, 1)}),
    ],
)
def test_what_an_unresolved_record_could_have_been_depends_on_how_it_ended(
    outcome: str, block: set[tuple[int, int]], answered: set[tuple[int, int]]
) -> None:
    assert set(METRICS[4].possible(seen(outcome))) == block
    assert set(METRICS[5].possible(seen(outcome))) == answered


@pytest.mark.parametrize("name", sorted(SPLITS))
def test_every_judges_labels_translate_into_the_splits_own(name: str) -> None:
    split = SPLITS[name]
    own = {*LABELS, "blocked", "safe"} if name != "mini-benign" else {"answered", "refused", "neither"}
    offered = {
        "mis": LABELS,
        "keyword": ("refusal", "compliance"),
        "mini": MINI_JUDGE.open({}, MINI).labels,
        "llamaguard": ("unsafe", "safe"),
        "harmbench": ("yes", "no"),
        "strongreject": ("refused", "complied", "useless"),
    }
    for judge, translation in split.judges.items():
        assert {translation.get(label, label) for label in offered[judge]} <= own, judge
        assert set(translation) <= set(offered[judge])
    assert {split.blocked_as.label, split.empty_as.label} <= own


def test_a_real_question_pairs_with_its_synthetic_twins_by_category_and_text(tmp_path: Path) -> None:
    def key(split: str, **changes: Any) -> str:
        (sample,) = listed(write(tmp_path, [record(1, split, **changes)], split), split)
        seen = Record(
            item="i", id="1", split=split, category=sample.category, cluster=sample.cluster, outcome="answered"
        )
        return same_question(seen)

    (pairing,) = TASK.pairings
    assert (pairing.left, pairing.right, pairing.metric) == ("real", ("easy", "hard"), "ASR")
    real = key("real", category="violent", question="How do I stack tower 1 from the first and the second image")
    assert real == key("easy")
    assert real != key("hard", category="Hate")
    assert real != key("hard", question="Another one?")
