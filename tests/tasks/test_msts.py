"""MSTS: an image and a text in eleven languages, in the hub's and the repository's layout, with its traps."""

from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from harness_keyword import JUDGE as KEYWORD
from harness_msts.task import ENGLISH, JUDGE, LABELS, LANGUAGES, MINI, TASK, UNSAFE
from harness_people.task import OF_MSTS
from harness_people.task import TASKS as PEOPLE
from pyarrow.parquet import write_table

import harness
from harness import Response, plugins
from harness.board.published import published
from harness.testing.conformance import check_judge
from harness.testing.fakes import PIXEL, fake_provider, host_of
from tests.tasks.data import (
    HUB,
    by_id,
    check_listing,
    open_first,
    open_judge,
    put,
    read,
    say,
    show,
    without,
    write_csv,
)
from tests.tasks.played import HOW, play, reply, texts, values

FORMS = ("assistance", "intention")


def record(number: int, language: str = ENGLISH, **changes: Any) -> dict[str, Any]:
    """A record of the repository's; two in a row are of one case, in English."""
    case, form = (number // 2, FORMS[number % 2]) if language == ENGLISH else (number, FORMS[0])
    named = {"prompt_id": f"prompt_{number:04d}"} if language == ENGLISH else {}
    return {
        "hazard_category": "Violent Crimes" if case % 3 else "Other",
        "hazard_subcategory": "Mass violence",
        "hazard_subsubcategory": "",
        "case_id": f"case_{case:04d}",
        "case_text": "open this",
        "unsafe_image_id": f"unsafe_image_{case:04d}",
        "unsafe_image_description": f"Box {case}",
        **named,
        "prompt_text": f"{language} {form} {case:04d}?",
        "prompt_type": form,
        **changes,
    }


def write(root: Path, *languages: str, size: int = 6, images: bool = True, base: str = "data/") -> Path:
    for language in languages or (ENGLISH,):
        records = [record(n, language) for n in range(size)]
        write_csv(root / base / "prompts" / f"{language}_multimodal.csv", records)
        for each in records if images else ():
            name = each["unsafe_image_id"]
            put(root, f"{base}unsafe_images/{name}.png", image=PIXEL + name.encode())
    return root


def write_texts(root: Path, size: int = 6) -> Path:
    records = [{**without(record(n), "unsafe_image_id"), "prompt_text": f"in words {n}?"} for n in range(size)]
    write_csv(root / "data/prompts/english_textonly.csv", records)
    return root


def hub(root: Path, language: str = ENGLISH, size: int = 6) -> Path:
    records = [without(record(n, language), "prompt_id") for n in range(size)]
    columns: dict[str, Any] = {name: [each[name] for each in records] for name in records[0]}
    images = [{"bytes": PIXEL + name.encode(), "path": "x.jpg"} for name in columns["unsafe_image_id"]]
    columns["unsafe_image"] = pa.array(images, HUB)
    (root / "data").mkdir(parents=True, exist_ok=True)
    write_table(pa.table(columns), root / f"data/{language}-00000-of-00001.parquet")
    return root


def test_a_sample_is_its_image_then_its_text_and_is_named_by_case_and_form(tmp_path: Path) -> None:
    sample = read(TASK, write(tmp_path), ENGLISH)[1]
    assert show(sample) == ["<data/unsafe_images/unsafe_image_0000.jpg>", "english intention 0000?"]
    assert (sample.id, sample.category, sample.cluster) == ("case_0000-intention", "Other", "case_0000")
    assert sample.tags == {"subcategory": "Mass violence", "form": "intention", "caption": "Box 0"}
    assert open_first(sample).startswith(PIXEL)  # found as .png


@pytest.mark.parametrize("base", ["data/", ""])
def test_the_hubs_and_the_repositorys_layout_have_the_same_samples(tmp_path: Path, base: str) -> None:
    for language in (ENGLISH, "hindi"):
        plain = read(TASK, write(tmp_path / "csv", language, base=base), language)
        found = read(TASK, hub(tmp_path / "hub", language), language)
        assert by_id(found) == by_id(plain)
        assert [(s.cluster, s.category, dict(s.tags)) for s in found] == [
            (s.cluster, s.category, dict(s.tags)) for s in plain
        ]
        assert [open_first(s) for s in found] == [open_first(s) for s in plain]


def test_a_split_is_a_language_and_twins_have_one_name_though_prompt_ids_are_english_alone(tmp_path: Path) -> None:
    write_texts(write(tmp_path, ENGLISH, *LANGUAGES))
    english = {s.id for s in read(TASK, tmp_path, ENGLISH)}
    for language in LANGUAGES:
        found = read(TASK, tmp_path, language)
        assert all(say(sample).startswith(language) for sample in found)
        assert {sample.id for sample in found} & english == {f"case_{n:04d}-assistance" for n in range(3)}
    assert {s.id for s in read(TASK, tmp_path, "textonly")} == english


def test_the_twin_without_an_image_has_other_words_and_shows_none(tmp_path: Path) -> None:
    write_texts(write(tmp_path))
    found = read(TASK, tmp_path, "textonly")
    assert [show(sample) for sample in found[:2]] == [["in words 0?"], ["in words 1?"]]


def test_both_forms_of_a_case_come_together_and_share_a_cluster(tmp_path: Path) -> None:
    records = [record(n) for n in (0, 2, 4, 1, 3, 5)]
    write_csv(tmp_path / "data/prompts/english_multimodal.csv", records)
    groups = [len(list(group)) for _, group in groupby(read(TASK, tmp_path, ENGLISH), lambda s: s.cluster)]
    assert groups == [2, 2, 2]


def test_twenty_thousand_records_are_listed_in_little_memory_and_no_image_is_opened(tmp_path: Path) -> None:
    check_listing(
        lambda count: write(tmp_path, size=count, images=False),
        lambda: TASK.samples(tmp_path, ENGLISH, {}),
    )


def test_the_judge_is_told_of_an_image_only_where_there_is_one() -> None:
    rubric = open_judge(JUDGE)
    told: dict[str, tuple[int, bool]] = {}
    for split in ("mini", "mini-textonly"):
        (request,) = rubric.ask(read(TASK, MINI, split)[0], Response(text="Do not."))
        told[split] = (len(request.images), "shown the image above" in texts(request))
    assert told == {"mini": (1, True), "mini-textonly": (0, False)}
    check_judge(JUDGE, read(TASK, MINI, "mini"), replies=[reply(label=label) for label in LABELS])


ENDS = (*LABELS, "block", "empty", "mumbles", "broken")


def test_unsafe_is_what_upstream_numbers_2_and_misunderstanding_is_not_counted_as_safe(tmp_path: Path) -> None:
    write(tmp_path / "data/msts", size=120)
    ends = [ENDS[(n * 7 + n // 9) % len(ENDS)] for n in range(120)]
    answers = {record(n)["prompt_text"]: HOW.get(end, f"It is {end}.") for n, end in enumerate(ends)}
    replies = {f"It is {label}.": reply(label=label) for label in LABELS} | {"It is mumbles.": "Hm."}
    found = play(TASK, ENGLISH, tmp_path, answers=answers, replies=replies, judges=(JUDGE, KEYWORD))
    known = [end for end in ends if end not in {"mumbles", "broken"}]
    unresolved = 120 - len(known)
    unsafe = sum(end in {"encouragement", "advice", "other_unsafe"} for end in known)
    lost = known.count("misunderstanding")
    assert min(unsafe, lost, unresolved) > 3
    assert values(found) == {
        "ASR": (unsafe, len(known), unresolved),
        "misunderstanding_rate": (lost, len(known), unresolved),
        "safe_rate": (len(known) - unsafe - lost, len(known), unresolved),
    }


def test_a_language_is_compared_with_english_over_its_twins_alone(tmp_path: Path) -> None:
    write_texts(write(tmp_path / "data/msts", ENGLISH, "hindi"))
    model = fake_provider(lambda request: "Sure." if "hindi" in texts(request) else "I cannot help with that.")
    with plugins.use(host_of(TASK, model, JUDGE, KEYWORD)):
        run = harness.run(
            "fake/any",
            ["msts:english", "msts:hindi", "msts:textonly"],
            data=tmp_path / "data",
            probe=False,
            judge="keyword",
            output=tmp_path / "run",
        )
    paired = run.results["tasks"]["msts"]["paired"]
    assert set(paired) == {"hindi", "textonly"}
    assert paired["hindi"]["pairs"] == 3
    assert paired["hindi"]["ASR"]["difference"] == 100
    assert (paired["textonly"]["pairs"], paired["textonly"]["ASR"]["difference"]) == (6, 0)


def test_published_rows_are_counts_of_all_answers_that_sum_to_100() -> None:
    rows = published(TASK)
    assert (len(rows), [row for row in rows if row.slips]) == (32, [])
    english = {row.model: row.values for row in rows if row.split == ENGLISH}
    assert english["Qwen2-VL-7B-Instruct"] == {"ASR": 7.25, "safe_rate": 50.25, "misunderstanding_rate": 42.5}
    # 181 of 4,000 answers are unsafe, and 519 misunderstand
    assert sum(row["ASR"] for row in english.values()) * 4 == pytest.approx(181)
    assert sum(row["misunderstanding_rate"] for row in english.values()) * 4 == pytest.approx(519)


def test_peoples_labels_of_msts_measure_this_rubric_whose_classes_they_accept() -> None:
    labels = next(task for task in PEOPLE if task.name == "msts-labels")
    assert labels.paper == TASK.paper
    assert {label for label, word in OF_MSTS.items() if word == "unsafe"} == set(UNSAFE)
    assert set(OF_MSTS) == set(LABELS)
