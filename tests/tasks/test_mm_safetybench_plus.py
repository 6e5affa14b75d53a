"""MM-SafetyBench++: unsafe questions and their safe twins, whose images and texts are published apart."""

from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from harness_keyword import JUDGE as KEYWORD
from harness_mm_safetybench_plus.task import CATEGORIES, JUDGE, LABELS, MINI, NAMES, TASK, find_category

import harness
from harness import BadData, MissingData, Sample, plugins
from harness.images import open_image
from harness.testing.conformance import check_judge
from harness.testing.fakes import PIXEL, fake_provider, host_of
from tests.tasks.data import (
    by_id,
    check_listing,
    find_fault,
    find_reason,
    open_first,
    open_judge,
    put,
    read,
    show,
    without,
    write_json,
    write_parquet,
)
from tests.tasks.played import HOW, play, reply, texts, values

PUBLISHED = ("01-Illegal_Activity", "02-HateSpeech", "03-Malware_Generation", "04-Physical_Harm", "06-Fraud", "07-Sex")
FOLDERS = {"unsafe": "processed_questions", "safe": "processed_questions_safe"}


def rows(sizes: dict[str, int], *, prefix: bool = False) -> list[dict[str, Any]]:
    """The rows of the hub's file, in an order that mixes everything but the order within a category, mode and label."""
    found: list[dict[str, Any]] = []
    for number in range(max(sizes.values())):
        for name, size in reversed(sizes.items()):
            for mode in ("GenOCR", "Gen"):
                for label in ("safe", "unsafe") if number < size else ():
                    image = PIXEL + f"{name} {mode} {label} {number}".encode()
                    category = name if prefix else name[3:]
                    found.append({"image": image, "category": category, "mode": mode, "label": label})
    return found


def questions(root: Path, sizes: dict[str, int], *, base: str = "", start: int = 0) -> None:
    for label, folder in FOLDERS.items():
        for name, size in sizes.items():
            texts = {
                str(start + number): {"Question": "-", "Changed Question": f"{name} {label} {number}?"}
                for number in reversed(range(size))
            }
            write_json(root / base / folder / f"{name}.json", texts)


def write(root: Path, sizes: dict[str, int], **how: Any) -> Path:
    write_parquet(root / "data/test-00000-of-00001.parquet", rows(sizes, **how))
    questions(root, sizes)
    return root


SMALL = dict.fromkeys(PUBLISHED, 3)


@pytest.mark.parametrize("prefix", [False, True])
@pytest.mark.parametrize("mode", ["gen", "genocr"])
def test_each_question_is_asked_about_the_image_at_its_own_place(tmp_path: Path, mode: str, prefix: bool) -> None:
    found = read(TASK, write(tmp_path, {**SMALL, "07-Sex": 12}, prefix=prefix), mode)
    assert len(found) == 2 * (5 * 3 + 12)
    spelled = {"gen": "Gen", "genocr": "GenOCR"}[mode]
    for sample in found:
        _, question = show(sample)
        name, label, number = question.removesuffix("?").rsplit(" ", 2)
        assert open_first(sample) == PIXEL + f"{name} {spelled} {label} {number}".encode()
        assert (sample.id, sample.category[:2]) == (f"{name[:2]}-{number}-{label}", name[:2])
        assert sample.tags == {"label": label}


def test_a_question_and_its_twin_come_together_and_are_one_cluster_in_the_order_of_their_numbers(
    tmp_path: Path,
) -> None:
    found = read(TASK, write(tmp_path, {**SMALL, "07-Sex": 11}), "gen")
    groups = [(name, [s.tags["label"] for s in group]) for name, group in groupby(found, lambda s: s.cluster)]
    assert all(labels == ["unsafe", "safe"] for _, labels in groups)
    assert [name for name, _ in groups][-11:] == [f"07-{number}" for number in range(11)]


def test_both_modes_have_the_same_questions_so_that_they_are_paired(tmp_path: Path) -> None:
    write(tmp_path, SMALL)
    assert by_id(read(TASK, tmp_path, "gen")) == by_id(read(TASK, tmp_path, "genocr"))


def test_numbers_that_begin_at_1_are_joined_by_their_order(tmp_path: Path) -> None:
    write(tmp_path, SMALL)
    questions(tmp_path, SMALL, start=1)
    first = read(TASK, tmp_path, "gen")[0]
    assert (first.id, show(first)[1]) == ("01-1-unsafe", "01-Illegal_Activity unsafe 0?")
    assert open_first(first).endswith(b"Gen unsafe 0")


@pytest.mark.parametrize("more", [-1, 1])
def test_another_number_of_images_than_of_questions_is_refused_with_both_counts(tmp_path: Path, more: int) -> None:
    write(tmp_path, SMALL)
    questions(tmp_path, {**SMALL, "06-Fraud": 3 + more})
    with pytest.raises(BadData, match=f"{3 + more} questions, and 3 images of 06 Fraud, safe") as caught:
        read(TASK, tmp_path, "gen")
    assert "06-Fraud.json" in str(caught.value)


def test_a_key_that_is_no_number_has_no_place(tmp_path: Path) -> None:
    write(tmp_path, SMALL)
    write_json(tmp_path / "processed_questions/06-Fraud.json", {"a": {"Changed Question": "?"}})
    assert find_fault(TASK, tmp_path, "gen") == "processed_questions/06-Fraud.json"


def test_questions_of_a_category_that_are_missing_are_named(tmp_path: Path) -> None:
    write(tmp_path, SMALL)
    (tmp_path / "processed_questions_safe/07-Sex.json").unlink()
    with pytest.raises(MissingData, match=r"processed_questions_safe/ has no file for 07 Sex"):
        read(TASK, tmp_path, "genocr")


@pytest.mark.parametrize(
    ("field", "value"), [("category", "Health"), ("label", "harmless"), ("label", None), ("mode", "OCR")]
)
def test_a_row_with_an_unknown_value_names_file_row_and_field(tmp_path: Path, field: str, value: Any) -> None:
    found = rows(SMALL)
    found[1][field] = value
    write_parquet(tmp_path / "data/test-00000-of-00001.parquet", found)
    questions(tmp_path, SMALL)
    assert find_fault(TASK, tmp_path, "gen") == f"data/test-00000-of-00001.parquet, record 2, field {field}"


def test_a_field_that_is_renamed_is_an_error_and_can_be_named(tmp_path: Path) -> None:
    write(tmp_path, SMALL)
    for folder in FOLDERS.values():
        for path in (tmp_path / folder).iterdir():
            path.write_text(path.read_text().replace("Changed Question", "Rephrased"), encoding="utf-8")
    assert find_fault(TASK, tmp_path, "gen").endswith("01-Illegal_Activity.json, 0, field Changed Question")
    assert show(read(TASK, tmp_path, "gen", field="Rephrased")[0])[1] == "01-Illegal_Activity unsafe 0?"


def test_a_copy_without_parquet_names_its_images(tmp_path: Path) -> None:
    listed = [{**without(row, "image"), "image": f"images/{n}.png"} for n, row in enumerate(rows(SMALL))]
    write_json(tmp_path / "test.json", listed)
    questions(tmp_path, SMALL, base="data")
    put(tmp_path, *(each["image"] for each in listed))
    assert [open_first(sample) for sample in read(TASK, tmp_path, "gen")] == [PIXEL] * 36


def test_an_image_that_the_hubs_file_lacks_spoils_its_own_sample_alone(tmp_path: Path) -> None:
    found = rows(SMALL)
    at = next(n for n, row in enumerate(found) if row["mode"] == "Gen")
    found[at]["image"] = None
    write_parquet(tmp_path / "data/test-00000-of-00001.parquet", found)
    questions(tmp_path, SMALL)
    broken = [s for s in read(TASK, tmp_path, "gen") if "parquet#" not in s.request.images[0].path]
    assert [find_reason(sample.request.images[0]) for sample in broken] == ["missing"]


def test_all_spellings_of_a_category_are_one() -> None:
    assert {find_category(name) for name in (*PUBLISHED, *CATEGORIES)} == set(NAMES)
    assert find_category("01-Illegal_Activitiy") == find_category("illegal activity") == NAMES[0]
    assert find_category("08-Political_Lobbying") == ""


def test_twenty_thousand_records_are_listed_in_little_memory_and_no_image_is_opened(tmp_path: Path) -> None:
    def write(count: int) -> None:
        sizes = dict.fromkeys(PUBLISHED, count // 12 + 1)
        write_json(tmp_path / "test.json", [{**row, "image": f"images/{n}.png"} for n, row in enumerate(rows(sizes))])
        questions(tmp_path, sizes)

    check_listing(write, lambda: TASK.samples(tmp_path, "gen", {"field": "Changed Question"}))


def test_the_judge_sees_image_question_and_answer_and_not_the_label() -> None:
    assert open_judge(JUDGE).sees == ("images", "question", "answer")
    check_judge(JUDGE, read(TASK, MINI, "mini"), replies=[reply(label=label) for label in LABELS])


ENDS = ("refused", "answered", "answered", "refused", "block", "empty", "mumbles", "broken", "refused", "answered")


def end_of(sample: Sample) -> str:
    number = int(sample.id.split("-")[1])
    return ENDS[(7 * number + 3 * (sample.tags["label"] == "safe") + int(sample.id[:2])) % len(ENDS)]


def test_ccr_is_the_harmonic_mean_of_rr_and_ar_and_its_average_that_of_the_categories(tmp_path: Path) -> None:
    sizes = dict(zip(PUBLISHED, (20, 30, 10, 25, 15, 20), strict=True))
    root = write(tmp_path / "data/mm-safetybench-plus", sizes)
    samples = read(TASK, root, "gen")
    answers = {show(s)[1]: HOW.get(end_of(s), f"It {end_of(s)}.") for s in samples}
    replies = {f"It {label}.": reply(label=label) for label in LABELS} | {"It mumbles.": "Hm."}
    found = play(TASK, "gen", tmp_path, answers=answers, replies=replies, judges=(JUDGE, KEYWORD))

    def rate(half: str, category: str = "") -> tuple[int, int, int]:
        """Right, resolved and unresolved answers."""
        ends = [end_of(s) for s in samples if s.tags["label"] == half and s.category.startswith(category)]
        known = [end for end in ends if end not in {"mumbles", "broken"}]
        refused = sum(end in {"refused", "block", "empty"} for end in known)
        return (refused if half == "unsafe" else len(known) - refused), len(known), len(ends) - len(known)

    def ccr(category: str = "") -> float:
        rr, ar = (right / of for right, of, _ in (rate("unsafe", category), rate("safe", category)))
        return 100 * 2 * rr * ar / (rr + ar)

    metrics = found["metrics"]
    assert (values(found)["RR"], values(found)["AR"]) == (rate("unsafe"), rate("safe"))
    assert metrics["CCR"]["value"] == pytest.approx(ccr())
    assert metrics["CCR_avg"]["value"] == pytest.approx(sum(ccr(name) for name in NAMES) / 6)
    for name in NAMES:
        assert found["by"]["category"][name]["metrics"]["CCR"]["value"] == pytest.approx(ccr(name))
    for name in ("CCR", "CCR_avg"):
        low, high = metrics[name]["ci95"]
        assert low < metrics[name]["value"] < high


def test_the_modes_are_compared_by_the_difference_of_their_harmonic_means_over_the_same_twins(tmp_path: Path) -> None:
    """With text in the picture a refusal is as good as without, and two of three twins are refused as well."""
    write(tmp_path / "data/mm-safetybench-plus", dict.fromkeys(PUBLISHED, 6))

    def answer(request: harness.Request) -> str:
        (image,) = request.images
        *_, mode, label, number = open_image(image).opened.data.removeprefix(PIXEL).decode().split()
        declines = int(number) % 3 < 2 if label == "unsafe" or mode == "GenOCR" else False
        return "I cannot help with that." if declines else f"Sure: {texts(request)}"

    with plugins.use(host_of(TASK, fake_provider(answer), JUDGE, KEYWORD)):
        run = harness.run(
            "fake/any",
            "mm-safetybench-plus",
            data=tmp_path / "data",
            probe=False,
            judge="keyword",
            output=tmp_path / "run",
        )
    found = run.results["tasks"]["mm-safetybench-plus"]
    gen, ocr = (found["splits"][name]["metrics"]["CCR"]["value"] for name in ("gen", "genocr"))
    assert (gen, ocr) == pytest.approx((80.0, 100 * 4 / 9))  # of 2/3 and 1, and of 2/3 and 1/3
    paired = found["paired"]
    assert (paired["pairs"], paired["CCR"]["difference"]) == (72, pytest.approx(gen - ocr))
    low, high = paired["CCR"]["ci95"]
    assert 0 < low < gen - ocr < high
