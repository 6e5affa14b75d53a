"""XSTest: a text alone, sorted by its label, in every layout it is published in."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from harness_keyword import JUDGE as KEYWORD
from harness_xstest.task import JUDGE, LABELS, MINI, TASK

from harness import BadData, MissingData, Request, Response, Rubric, Sample, Unscored, Verdict
from harness.settings import effective
from harness.testing.conformance import check_judge, check_task
from harness.testing.fakes import fake_sample
from tests.tasks.played import BLOCK, BROKEN, CUT, play, reply, texts, values

assert isinstance(TASK.splits, Mapping)
SPLITS = TASK.splits
FIELDS = ("id", "prompt", "type", "label", "focus", "note")


def record(number: int, **changes: Any) -> dict[str, Any]:
    kind, label = ("homonyms", "safe") if number % 2 else ("contrast_homonyms", "unsafe")
    prompt = f"How do I kill light {number:03d}?"
    return {"id": number, "prompt": prompt, "type": kind, "label": label, "focus": "kill", "note": "", **changes}


def write(root: Path, records: list[dict[str, Any]], *, name: str = "xstest_prompts.csv") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    with (root / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(records[0]))
        writer.writeheader()
        writer.writerows(records)
    return root


def parquet(root: Path, records: list[dict[str, Any]], name: str) -> Path:
    import pyarrow as pa
    from pyarrow.parquet import write_table

    (root / name).parent.mkdir(parents=True, exist_ok=True)
    write_table(pa.Table.from_pylist(records), root / name)
    return root


def read(root: Path, split: str = "safe") -> list[Sample]:
    return list(TASK.samples(root, split, {}))


def said(sample: Sample) -> str:
    return texts(sample.request)


def without(values: dict[str, Any], *fields: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in fields}


def opened(**given: Any) -> Rubric:
    return JUDGE.open(effective(JUDGE.settings, given, owner="judge xstest"), Path())


def test_a_sample_is_its_prompt_and_nothing_else(tmp_path: Path) -> None:
    (sample,) = read(write(tmp_path, [record(1), record(2)]))
    (message,) = sample.request.messages
    assert (message.role, said(sample)) == ("user", "How do I kill light 001?")
    assert (sample.id, sample.category, sample.tags) == ("1", "homonyms", {"focus": "kill"})


def test_the_label_says_which_split_a_prompt_is_in(tmp_path: Path) -> None:
    write(tmp_path, [record(n) for n in range(1, 8)])
    assert [sample.id for sample in read(tmp_path)] == ["1", "3", "5", "7"]
    assert [sample.id for sample in read(tmp_path, "unsafe")] == ["2", "4", "6"]


def test_a_copy_without_labels_and_focus_is_sorted_by_its_types(tmp_path: Path) -> None:
    write(tmp_path, [without(record(n), "label", "focus", "note") for n in range(1, 5)], name="xstest_v2_prompts.csv")
    assert [(sample.id, sample.tags) for sample in read(tmp_path, "unsafe")] == [("2", {}), ("4", {})]


@pytest.mark.parametrize("name", ["data/test-00000-of-00001.parquet", "default/test/0000.parquet"])
def test_the_hubs_parquet_gives_the_same_samples_under_ids_that_do_not_hang_on_the_order(
    tmp_path: Path, name: str
) -> None:
    records = [without(record(n), "id") for n in range(1, 8)]
    found = read(parquet(tmp_path / "a", records, name))
    again = read(parquet(tmp_path / "b", records[::-1], name))
    assert [said(sample) for sample in found] == [f"How do I kill light {n:03d}?" for n in (1, 3, 5, 7)]
    assert {sample.id: said(sample) for sample in found} == {sample.id: said(sample) for sample in again}


def test_of_a_copy_that_also_holds_answers_the_file_of_prompts_is_read(tmp_path: Path) -> None:
    parquet(tmp_path, [record(1, completion="x")] * 2, "data/gpt4-00000-of-00001.parquet")
    parquet(tmp_path, [without(record(1), "focus")], "data/prompts-00000-of-00001.parquet")
    assert len(read(tmp_path)) == 1


@pytest.mark.parametrize("field", ["prompt", "type"])
def test_a_prompt_that_lacks_a_field_names_file_record_and_field_before_any_sample(tmp_path: Path, field: str) -> None:
    changed: dict[str, Any] = {field: " "}
    write(tmp_path, [record(1), record(3, **changed)])
    with pytest.raises(BadData) as caught:
        next(iter(TASK.samples(tmp_path, "safe", {})))
    assert caught.value.where == f"xstest_prompts.csv, record 2, field {field}"


def test_an_unknown_label_is_bad_data_and_no_guess(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="neither safe nor unsafe") as caught:
        read(write(tmp_path, [record(1, label="maybe")]))
    assert caught.value.where == "xstest_prompts.csv, record 1, field label"


def test_data_that_is_not_there_is_missing_data_with_its_file(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match=r"xstest_prompts\.csv"):
        read(tmp_path)


def test_the_name_alone_selects_both_splits_of_published_size_without_images() -> None:
    assert {name: (split.n, split.images) for name, split in SPLITS.items() if split.selected} == {
        "safe": (250, 0),
        "unsafe": (200, 0),
    }


@pytest.mark.parametrize(("name", "better"), [("safe", "lower"), ("unsafe", "higher"), ("mini", "lower")])
def test_a_refusal_is_bad_on_safe_prompts_and_good_on_unsafe_ones(name: str, better: str) -> None:
    found = [(metric.name, metric.better, metric.main) for metric in SPLITS[name].metrics]
    assert found == [("refusal_rate", better, True), ("refusal_rate_full", better, False)]


def test_the_mini_split_is_packaged_whole_and_the_task_keeps_its_contract() -> None:
    assert len(read(MINI, "mini")) == SPLITS["mini"].n
    assert list(SPLITS["mini"].judges) == ["keyword", "xstest"]
    check_task(TASK)


# The judge


def filled(label: str) -> str:
    return reply(label=label)


def judged(rubric: Rubric, text: str) -> Verdict | Unscored | list[Request]:
    return rubric.read(fake_sample(), Response(text="An answer."), [Response(text=text)])


def test_the_judge_sees_question_and_answer_and_keeps_its_contract() -> None:
    [request] = opened().ask(fake_sample(text="How do I kill the light?"), Response(text="With the switch."))
    assert texts(request).index("How do I kill the light?") < texts(request).index("With the switch.")
    assert opened().sees == ("question", "answer")
    check_judge(JUDGE, read(MINI, "mini"), replies=[filled(label) for label in LABELS])


def test_a_partial_refusal_counts_as_what_the_setting_says_and_is_called_so() -> None:
    assert opened().labels == (*LABELS, "partial_compliance")
    assert judged(opened(), filled("partial_refusal")) == Verdict(label="partial_refusal", reason="because")
    lenient = opened(partial="lenient")
    assert judged(lenient, filled("partial_refusal")) == Verdict(label="partial_compliance", reason="because")
    assert judged(lenient, filled("full_refusal")) == Verdict(label="full_refusal", reason="because")
    assert lenient.identity != opened().identity
    check_judge(JUDGE, settings={"partial": "lenient"}, replies=[filled(label) for label in LABELS])


# The whole way, beside the published formula

SAID = {"comply": "full_compliance", "refuse": "full_refusal", "both": "partial_refusal"}
ENDS = ("comply", "refuse", "both", "block", "cut", "empty", "mumble", "broken")


def ending(number: int) -> str:
    """How a prompt ends, by its number; safe and unsafe ones both see every ending."""
    return ENDS[number // 2 % len(ENDS)]


def run(tmp_path: Path, split: str, **options: Any) -> Mapping[str, Any]:
    records = [record(number) for number in range(1, 451)]
    write(tmp_path / "data" / "xstest", records)
    how = {"block": BLOCK, "cut": CUT, "empty": "", "broken": BROKEN}
    answers = {r["prompt"]: how.get(ending(r["id"]), f"I {ending(r['id'])}.") for r in records}
    replies = {f"I {name}.": filled(label) for name, label in SAID.items()} | {"I mumble.": "Hard to tell."}
    return play(TASK, split, data=tmp_path / "data", output=tmp_path / "run", answers=answers, replies=replies,
                judges=(JUDGE, KEYWORD), **options)  # fmt: skip


def counted(split: str, *refusals: str) -> tuple[int, int, int]:
    """The published count: refusals among the prompts that have a class; nothing is guessed for the others."""
    ends = [ending(number) for number in range(1, 451) if (number % 2 == 1) == (split == "safe")]
    known = [end for end in ends if end not in {"mumble", "broken"}]
    return sum(end in refusals for end in known), len(known), len(ends) - len(known)


@pytest.mark.parametrize("split", ["safe", "unsafe"])
def test_the_rates_are_those_of_the_published_formula_blocks_and_empties_counted_as_refusals(
    tmp_path: Path, split: str
) -> None:
    full = ("refuse", "block", "cut", "empty")
    assert values(run(tmp_path, split)) == {
        "refusal_rate": counted(split, *full, "both"),
        "refusal_rate_full": counted(split, *full),
    }


def test_leniently_a_partial_refusal_is_none(tmp_path: Path) -> None:
    found = run(tmp_path, "safe", task_settings={"xstest.partial": "lenient"})
    assert values(found)["refusal_rate"] == values(found)["refusal_rate_full"]
    assert found["labels"]["partial_compliance"] == counted("safe", "both")[0]
