"""`vlmeval:NAME` and the data sets with a name of their own, over a fake zoo in a child process."""

import base64
import hashlib
import json
import random
from collections.abc import Callable, Mapping
from itertools import groupby, permutations, product
from pathlib import Path
from typing import Any

import harness_vlmeval
import pytest
from harness_vlmeval.known import KNOWN
from harness_vlmeval.samples import find_twins

from harness import BadData, HarnessError, Image, MissingData, Sample
from harness.drawings import draw, png
from harness.evaluation.plan import survey_samples
from harness.runs.run import Run
from harness.testing.fakes import PIXEL
from harness.types import Failure
from tests.plugins.vlmeval_asking import CELL, LETTERS, choices, listed, parts, run, split, task, value, write, yes_no

pytestmark = pytest.mark.usefixtures("zoo")


def test_rows_keep_their_index_images_answer_and_options(tmp_path: Path) -> None:
    write(tmp_path / "MMStar.tsv", choices(3, image=lambda n: str([CELL] * 2) if n == 1 else CELL))
    found = listed("mmstar", "val", tmp_path)
    assert [sample.id for sample in found] == ["0", "1", "2"]
    assert [len(sample.request.images) for sample in found] == [1, 2, 1]
    assert parts(found[0])[-1] == "number 0"
    assert found[1].target == {
        "dataset": "MMStar",
        "answer": "B",
        "options": {"A": "a1", "B": "b1", "C": "c1", "D": "d1"},
    }
    assert found[1].category == "fine"
    assert found[0].request.images[0].files.read(found[0].request.images[0].path) == PIXEL


def test_a_missing_file_says_where_to_get_it_and_nothing_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(MissingData) as missing:
        listed("mmstar", "val", tmp_path)
    assert "mmstar" in missing.value.remedy
    assert task("mmstar").source is not None
    with pytest.raises(MissingData) as same:
        listed("vlmeval", "MMStar", tmp_path)
    assert "MMStar.tsv" in same.value.remedy
    with pytest.raises(MissingData) as unknown:
        listed("vlmeval", "MMStarr", tmp_path)
    assert "MMStar" in unknown.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_fetched_by_vlmevalkit_only_where_that_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match=r"Given\.tsv"):
        listed("vlmeval", "Given", tmp_path)
    assert [sample.id for sample in listed("vlmeval", "Given", tmp_path, fetch=True)] == ["0"]


@pytest.mark.parametrize(
    ("name", "rows", "why"),
    [
        ("Q-Bench1_TEST", [{"index": 0, "image": CELL, "question": "q", "A": "a", "B": "b"}], "holds no answers"),
        ("MMVet", choices(1), "type VQA"),
        ("Film", choices(1), "kind VIDEO"),
        ("Mine", [{"index": 0}], "column `question`"),
    ],
)
def test_what_cannot_be_scored_sample_by_sample_is_refused_before_the_run(
    name: str, rows: list[dict[str, Any]], why: str, tmp_path: Path
) -> None:
    write(tmp_path / f"{name}.tsv", rows)
    with pytest.raises(HarnessError, match=why):
        listed("vlmeval", name, tmp_path)


@pytest.mark.parametrize("column", ["index", "image", "question"])
def test_a_column_that_is_missing_is_named_before_the_run_and_no_bad_sample_of_every_row(
    column: str, tmp_path: Path
) -> None:
    rows = choices(2)
    for row in rows:
        del row[column]
    write(tmp_path / "MMStar.tsv", rows)
    with pytest.raises(HarnessError, match=f"cannot build MMStar: .*KeyError: '{column}'"):
        listed("mmstar", "val", tmp_path)


def test_an_image_that_cannot_be_read_spoils_its_sample_alone(tmp_path: Path) -> None:
    write(tmp_path / "data" / "mmstar" / "MMStar.tsv", choices(3, image=lambda n: "?" if n == 1 else CELL))
    found = run(tmp_path, "mmstar:val", lambda _: "A")
    assert split(found, "mmstar", "val")["outcomes"]["bad_sample"] == 1
    assert split(found, "mmstar", "val")["verdicts"]["scored"] == 2


def test_without_vlmevalkit_the_install_command_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH")
    write(tmp_path / "MMStar.tsv", choices(1))
    with pytest.raises(HarnessError, match="not installed") as refused:
        listed("mmstar", "val", tmp_path)
    assert "pip install" in refused.value.remedy


def test_the_version_of_the_scorer_is_part_of_the_judges_id() -> None:
    [judge] = harness_vlmeval.harness_judges()
    assert judge.open({}, Path()).identity == {"matching": "exact", "package": "vlmeval unknown"}


ANSWERS: Mapping[int, str | Failure] = {
    0: "A",
    1: "B.",
    2: "D",
    3: "I cannot say \ud800\x00",
    4: Failure(outcome="input_blocked", reason="content_filter"),
    5: "",
    6: Failure(outcome="error", reason="http_500"),
    7: "D",
}


def numbered(text: str) -> str | Failure:
    return ANSWERS[int(text.split()[-1])]


def test_hits_of_theirs_are_our_accuracy_and_what_failed_never_reaches_their_scorer(tmp_path: Path) -> None:
    write(tmp_path / "data" / "mmstar" / "MMStar.tsv", choices(8))
    found = run(tmp_path, "mmstar:val", numbered)
    there = split(found, "mmstar", "val")
    assert there["labels"] == {"right": 3, "wrong": 3, "none": 1}  # a block and an empty answer are wrong
    assert there["metrics"]["accuracy"]["denominator"] == 7, "one failed after all tries"
    assert value(found, "mmstar", "val", "accuracy") == pytest.approx(100 * 3 / 7)
    assert value(found, "mmstar", "val", "unparsable") == pytest.approx(100 / 7)
    by = there["by"]["category"]
    assert by["coarse"]["metrics"]["accuracy"]["numerator"] == 1


def test_the_open_set_scores_a_data_set_of_ones_own(tmp_path: Path) -> None:
    write(tmp_path / "data" / "vlmeval" / "Mine.tsv", choices(4))
    found = run(tmp_path, "vlmeval:Mine", numbered)
    assert value(found, "vlmeval", "Mine", "accuracy") == 50.0


def test_an_answer_that_matches_in_part_counts_in_part(tmp_path: Path) -> None:
    rows = [{"index": n, "image": CELL, "question": f"number {n}", "answer": "red|crimson"} for n in range(3)]
    write(tmp_path / "data" / "vlmeval" / "TextVQA_VAL.tsv", rows)
    found = run(tmp_path, "vlmeval:TextVQA_VAL", lambda text: ("red", "blue", "")[int(text.split()[-1])])
    assert split(found, "vlmeval", "TextVQA_VAL")["labels"] == {"partial": 1, "wrong": 2}
    assert value(found, "vlmeval", "TextVQA_VAL", "accuracy") == pytest.approx(100 * 0.5 / 3)


def test_mmmu_takes_the_validation_rows_and_leaves_those_of_dev(tmp_path: Path) -> None:
    write(tmp_path / "MMMU_DEV_VAL.tsv", choices(4, split=lambda n: "dev" if n == 0 else "validation"))
    assert [sample.id for sample in listed("mmmu", "validation", tmp_path)] == ["1", "2", "3"]


def test_rotations_count_together_and_a_failed_one_leaves_its_question_open(tmp_path: Path) -> None:
    rows = [{**row, "index": row["index"] + turn * 1_000_000} for row in choices(3) for turn in range(2)]
    write(tmp_path / "data" / "vlmeval" / "MMBench_DEV_EN.tsv", rows)
    turns: dict[str, int] = {}

    def say(text: str) -> str | Failure:
        n = int(text.split()[-1])
        turns[text] = turns.get(text, 0) + 1
        if n == 1 and turns[text] == 2:
            return "D"
        if n == 2 and turns[text] == 2:
            return Failure(outcome="error", reason="http_500")
        return LETTERS[n]

    found = run(tmp_path, "vlmeval:MMBench_DEV_EN", say)
    metrics = split(found, "vlmeval", "MMBench_DEV_EN")["metrics"]
    assert (metrics["accuracy"]["numerator"], metrics["accuracy"]["denominator"]) == (1, 2)
    assert metrics["accuracy"]["bounds"] == pytest.approx([100 / 3, 200 / 3])
    assert metrics["accuracy_each"]["denominator"] == 5


SAID = ["yes", "no", "Yes!", "yes", "no", "perhaps", "", "no", "blocked", "yes"]


def pope_says(text: str) -> str | Failure:
    said = SAID[int(text.split()[-1])]
    return Failure(outcome="output_blocked", reason="content_filter") if said == "blocked" else said.replace("!", "")


def test_pope_scores_as_its_formula_does_blocks_and_empties_included(tmp_path: Path) -> None:
    write(tmp_path / "data" / "pope" / "POPE.tsv", yes_no(10))
    found = run(tmp_path, "pope:random", pope_says)
    truth = [n % 2 == 0 for n in range(10)]
    said = [word.strip("!").lower() == "yes" for word in SAID]
    true_positive = sum(a and b for a, b in zip(truth, said, strict=True))
    right = sum(
        (positive and word.strip("!").lower() == "yes") or (not positive and word == "no")
        for positive, word in zip(truth, SAID, strict=True)
    )
    precision, recall = true_positive / sum(said), true_positive / sum(truth)
    wanted = {
        "accuracy": right / 10,
        "precision": precision,
        "recall": recall,
        "F1": 2 * precision * recall / (precision + recall),
        "yes_rate": sum(said) / 10,
        "unparsable": 3 / 10,
    }
    measured = {name: value(found, "pope", "random", name) / 100 for name in wanted}
    assert measured == pytest.approx(wanted)


def test_popes_three_sets_share_rows_and_are_pooled_as_often_as_they_occur(tmp_path: Path) -> None:
    sets = ["adversarial,popular,random", "random", "popular"]
    write(tmp_path / "data" / "pope" / "POPE.tsv", yes_no(3, category=lambda n: sets[n]))
    found = run(tmp_path, "pope:test", lambda _: "yes")
    counts = {name: split(found, "pope", name)["n"] for name in ("random", "popular", "adversarial", "test")}
    assert counts == {"random": 2, "popular": 2, "adversarial": 1, "test": 5}
    assert split(found, "pope", "random")["by"]["category"].keys() == {"random"}


def test_hallusionbench_groups_questions_and_figures_of_a_set(tmp_path: Path) -> None:
    names = [f"{kind}_chart_1_0_{figure}_{asked}" for kind, figure, asked in product(("VD", "VS"), (0, 1), (0, 1))]
    rows = yes_no(8, index=lambda n: names[n], category=lambda n: names[n][:2], **{"l2-category": lambda _: "chart"})
    write(tmp_path / "data" / "hallusionbench" / "HallusionBench.tsv", rows)
    wrong = {0, 6}
    found = run(
        tmp_path,
        "hallusionbench:image",
        lambda text: ("yes", "no")[(int(text.split()[-1]) % 2) ^ (int(text.split()[-1]) in wrong)],
    )
    hits = {name: n not in wrong for n, name in enumerate(names)}

    def all_right(key: Callable[[list[str]], tuple[str, ...]]) -> float:
        groups: dict[tuple[str, ...], list[bool]] = {}
        for name, right in hits.items():
            groups.setdefault(key(name.split("_")), []).append(right)
        return 100 * sum(map(all, groups.values())) / len(groups)

    there = split(found, "hallusionbench", "image")["metrics"]
    assert there["aAcc"]["value"] == pytest.approx(100 * sum(hits.values()) / 8)
    assert there["qAcc"]["value"] == pytest.approx(all_right(lambda p: (p[0], p[1], p[3], p[5])))
    assert there["fAcc"]["value"] == pytest.approx(all_right(lambda p: (p[0], p[1], p[3], p[4])))
    assert there["aAcc"]["clusters"] == 2


@pytest.mark.parametrize("name", [known.name for known in KNOWN])
def test_the_packaged_split_needs_no_vlmevalkit_and_its_answers_are_read_by_a_rule(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH")
    known = next(each for each in KNOWN if each.name == name)
    found = run(tmp_path, f"{name}:mini", lambda _: "B" if known.form == "choice" else "yes")
    there = split(found, name, "mini")
    assert (there["n"], there["verdicts"]["scored"]) == (8, 8)
    assert 0 < next(iter(there["metrics"].values()))["value"] < 100


def test_marks_in_a_packaged_question_say_where_its_images_are(tmp_path: Path) -> None:
    from harness_vlmeval.tasks import MINI

    first = listed("muirbench", "mini", MINI / "muirbench")[0]
    kinds = [isinstance(part, Image) for part in first.request.messages[0].content]
    assert kinds == [False, True, False, True, False]
    assert "<image" not in "".join(parts(first))


def test_twenty_thousand_rows_are_listed_in_seconds_without_opening_an_image(tmp_path: Path) -> None:
    from harness_vlmeval.known import Part
    from harness_vlmeval.samples import read_rows

    row = (
        '{"id": "%d", "parts": [{"type": "image", "value": "built/x/%d.png"}, {"type": "text", "value": "q"}],'
        ' "answer": "A", "options": {"A": "a", "B": "b"}, "category": "c", "tags": {}, "group": "%d"}\n'
    )
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(row % (n, n, n) for n in range(20_000)), encoding="utf-8")
    part = Part(dataset="Big", n=None, images=1)
    assert survey_samples(read_rows(file, tmp_path, "Big", part, "choice"), None).samples == 20_000


def cell(shape: str) -> str:
    return base64.b64encode(png(draw("red", shape, random.Random(shape)))).decode()


CELLS = [cell(shape) for shape in ("circle", "star", "heart")]


def runs_of(found: list[Sample]) -> list[tuple[str, list[str]]]:
    """Clusters in the order in which they come, each as often as it is met, with its samples."""
    grouped = groupby(found, key=lambda sample: sample.cluster or sample.id)
    return [(key, [sample.id for sample in samples]) for key, samples in grouped]


def test_popes_questions_about_one_image_are_a_cluster_wherever_the_file_has_them(tmp_path: Path) -> None:
    write(tmp_path / "POPE.tsv", yes_no(9, image=lambda n: CELLS[n % 3]))
    found = runs_of(listed("pope", "random", tmp_path))
    assert [ids for _, ids in found] == [["0", "3", "6"], ["1", "4", "7"], ["2", "5", "8"]]
    assert len({key for key, _ in found}) == 3


def test_popes_intervals_count_images_also_where_its_three_sets_are_pooled(tmp_path: Path) -> None:
    sets = "adversarial,popular,random"
    rows = yes_no(12, image=lambda n: CELLS[n % 3], category=lambda _: sets)
    write(tmp_path / "data" / "pope" / "POPE.tsv", rows)
    found = run(tmp_path, "pope:test", lambda _: "yes")
    for name, n in (("random", 12), ("popular", 12), ("adversarial", 12), ("test", 36)):
        there = split(found, "pope", name)
        assert (there["n"], there["metrics"]["accuracy"]["clusters"]) == (n, 3)


def test_the_open_set_clusters_other_yes_or_no_sets_by_image_too(tmp_path: Path) -> None:
    write(tmp_path / "POPE.tsv", yes_no(6, image=lambda n: CELLS[n % 2]))
    assert [ids for _, ids in runs_of(listed("vlmeval", "POPE", tmp_path))] == [["0", "2", "4"], ["1", "3", "5"]]


def test_an_image_that_cannot_be_read_joins_no_cluster(tmp_path: Path) -> None:
    write(tmp_path / "POPE.tsv", yes_no(4, image=lambda n: "?" if n % 2 else CELLS[0]))
    assert [ids for _, ids in runs_of(listed("pope", "random", tmp_path))] == [["0", "2"], ["1"], ["3"]]


def test_a_muirbench_question_and_its_unanswerable_twin_are_a_cluster(tmp_path: Path) -> None:
    twin = {0: "14.0", 4: "10", 1: "13.0"}  # the last by one of the two alone; a column with gaps has .0
    rows = choices(6, idx=lambda n: 10 + n, counterpart_idx=lambda n: twin.get(n, ""))
    write(tmp_path / "data" / "muirbench" / "MUIRBench.tsv", rows)
    found = run(tmp_path, "muirbench:test", lambda _: "A")
    assert split(found, "muirbench", "test")["metrics"]["accuracy"]["clusters"] == 4
    listing = runs_of(listed("muirbench", "test", tmp_path / "data" / "muirbench"))
    assert [ids for _, ids in listing] == [["0", "4"], ["1", "3"], ["2"], ["5"]]


def test_without_its_column_of_twins_each_muirbench_question_stands_alone(tmp_path: Path) -> None:
    write(tmp_path / "MUIRBench.tsv", choices(3))
    assert [sample.cluster for sample in listed("muirbench", "test", tmp_path)] == ["", "", ""]


def test_a_counterpart_that_is_not_in_the_file_makes_no_pair() -> None:
    assert (
        find_twins([{"id": "0", "number": "0", "counterpart": "-1"}, {"id": "1", "number": "1", "counterpart": "-1"}])
        == {}
    )


@pytest.mark.parametrize("order", list(permutations("ABCD")), ids="".join)
def test_a_chain_of_counterparts_is_one_cluster_in_whatever_order_its_rows_stand(order: tuple[str, ...]) -> None:
    named = {"A": "B", "B": "C", "C": "D", "D": ""}
    found = find_twins([{"id": each, "number": each, "counterpart": named[each]} for each in order])
    assert (found.keys(), len(set(found.values()))) == (named.keys(), 1)


MMSTAR = "e1ecd2140806c1b1bbf54b43372efb9e"  #: md5 of the file that VLMEvalKit knows


def md5(file: Path) -> str:
    return hashlib.md5(file.read_bytes()).hexdigest()


def test_the_process_is_asked_once_for_each_revision_of_the_file_and_old_images_are_not_taken(tmp_path: Path) -> None:
    write(tmp_path / "MMStar.tsv", choices(2))
    first = listed("mmstar", "val", tmp_path)
    [rows] = tmp_path.glob("built/*/rows.jsonl")
    stamp = rows.stat().st_mtime_ns
    assert listed("mmstar", "val", tmp_path) == first
    assert rows.stat().st_mtime_ns == stamp
    other = PIXEL[:-12] + b"\0\0\0\2teXtab" + b"\xc9\x87\x7f\x1e" + PIXEL[-12:]
    write(tmp_path / "MMStar.tsv", choices(2, image=lambda _: base64.b64encode(other).decode()))
    image = listed("mmstar", "val", tmp_path)[0].request.images[0]
    assert image.files.read(image.path) == other


def test_a_file_of_another_revision_is_refused_and_never_written_over(tmp_path: Path) -> None:
    write(tmp_path / "MMStar.tsv", choices(2))
    before = hashlib.sha256((tmp_path / "MMStar.tsv").read_bytes()).hexdigest()
    with pytest.raises(BadData, match=MMSTAR) as refused:
        listed("mmstar", "val", tmp_path, any_revision=False)
    assert "-T mmstar.any_revision=true" in refused.value.remedy
    assert hashlib.sha256((tmp_path / "MMStar.tsv").read_bytes()).hexdigest() == before
    assert len(listed("mmstar", "val", tmp_path)) == 2


def test_a_file_that_was_taken_as_it_is_once_is_refused_by_whoever_does_not_take_it_so(tmp_path: Path) -> None:
    write(tmp_path / "MMStar.tsv", choices(2))
    assert len(listed("mmstar", "val", tmp_path)) == 2
    with pytest.raises(BadData, match=MMSTAR):
        listed("mmstar", "val", tmp_path, any_revision=False)
    with pytest.raises(BadData, match=MMSTAR):
        listed("vlmeval", "MMStar", tmp_path, any_revision=False)


def test_rows_that_do_not_say_what_they_were_made_of_are_made_again(tmp_path: Path) -> None:
    write(tmp_path / "MMStar.tsv", choices(2))
    listed("mmstar", "val", tmp_path)
    [known] = tmp_path.glob("built/*/known.json")
    known.unlink()
    with pytest.raises(BadData, match=md5(tmp_path / "MMStar.tsv")):
        listed("mmstar", "val", tmp_path, any_revision=False)
    assert known.is_file()


def test_the_results_say_by_md5_which_file_was_asked_and_that_it_is_not_the_known_one(tmp_path: Path) -> None:
    file = tmp_path / "data" / "mmstar" / "MMStar.tsv"
    write(file, choices(2))
    found = run(tmp_path, "mmstar:val", lambda _: "A")
    revision = found.results["tasks"]["mmstar"]["data"]["revision"]
    assert revision == f"md5 {md5(file)}, not VLMEvalKit's {MMSTAR} (any_revision)"


def test_of_the_open_set_each_data_set_says_its_own_revision(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "vlmeval"
    write(folder / "Mine.tsv", choices(2))
    write(folder / "Yours.tsv", choices(3))
    write(folder / "Other.tsv", choices(3))
    found = run(tmp_path, "vlmeval:Mine,vlmeval:Yours", lambda _: "A", any_revision=False)
    revision = found.results["tasks"]["vlmeval"]["data"]["revision"]
    assert revision == "; ".join(f"{name}: md5 {md5(folder / f'{name}.tsv')}" for name in ("Mine", "Yours"))


def test_a_packaged_split_says_nothing_of_a_file_that_it_does_not_read(tmp_path: Path) -> None:
    root = tmp_path / "data" / "mmstar"
    write(root / "MMStar.tsv", choices(2))
    listed("mmstar", "val", root)
    found = run(tmp_path, "mmstar:mini", lambda _: "A")
    assert found.results["tasks"]["mmstar"]["data"]["revision"] == ""


def verdicts(found: Run, task: str) -> list[dict[str, Any]]:
    [file] = (found.folder / task).glob("verdicts-*.jsonl")
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


@pytest.mark.parametrize("word", ["crash", "die"])
def test_a_scorer_that_breaks_is_a_judge_error_and_no_crash_of_ours(word: str, tmp_path: Path) -> None:
    write(tmp_path / "data" / "mmstar" / "MMStar.tsv", choices(3))
    found = run(tmp_path, "mmstar:val", lambda _: word)
    assert split(found, "mmstar", "val")["verdicts"]["judge_error"] == 3
    assert found.exit_code == 3
    again = run(tmp_path, "mmstar:val", lambda _: "asked again")
    assert split(again, "mmstar", "val")["outcomes"]["answered"] == 3


def test_hits_count_where_only_their_table_of_categories_breaks(tmp_path: Path) -> None:
    write(tmp_path / "data" / "mmt-bench" / "MMT-Bench_VAL_MI.tsv", choices(4, **{"l2-category": lambda n: f"l{n}"}))
    found = run(tmp_path, "mmt-bench:val_mi", lambda text: "A" if text.endswith("0") else "late")
    assert split(found, "mmt-bench", "val_mi")["labels"] == {"right": 1, "none": 3}


def test_a_hit_that_is_no_number_is_a_judge_error_of_its_sample_and_not_a_wrong_answer(tmp_path: Path) -> None:
    write(tmp_path / "data" / "mmstar" / "MMStar.tsv", choices(5))
    said = ["A", "nan", "inf", "word", "A"]
    found = run(tmp_path, "mmstar:val", lambda text: said[int(text.split()[-1])])
    there = split(found, "mmstar", "val")
    assert (there["labels"], there["verdicts"]["judge_error"]) == ({"right": 2}, 3)
    assert there["metrics"]["accuracy"]["denominator"] == 2
    said_of = [line["reason"] for line in verdicts(found, "mmstar") if line["state"] == "judge_error"]
    assert len(said_of) == 3
    assert {"not a number" in message for message in said_of} == {True}


def test_what_their_code_raised_is_said_of_each_answer_that_it_left_without_a_result(tmp_path: Path) -> None:
    write(tmp_path / "data" / "mmstar" / "MMStar.tsv", choices(3))
    found = run(tmp_path, "mmstar:val", lambda text: "lost" if text.endswith("1") else "A")
    there = split(found, "mmstar", "val")
    assert (there["labels"], there["verdicts"]["judge_error"]) == ({"right": 1, "wrong": 1}, 1)
    [message] = [line["reason"] for line in verdicts(found, "mmstar") if line["state"] == "judge_error"]
    assert "KeyError" in message
    assert "no such category: lost" in message
    assert "dataset/__init__.py" in message, "where it was raised"
