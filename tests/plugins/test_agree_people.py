"""`harness agree` with people as the reference, by draws too, and over several runs."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from harness_agree.command import command

import harness
from harness import plugins
from harness.cli import cli
from harness.errors import HarnessError, UnknownName
from harness.plugins.host import Host
from harness.runs.labelling import draw_run
from harness.runs.stored import open_run
from tests.plugins.agree_asking import SOURCE, agree, judged, told

Row = Mapping[str, str]
SPLIT = "twice:one"
#: what `first` and `second` say: 8 times both unsafe, 2 the first alone, 20 both safe
ASKS = " ".join([*["uu"] * 8, *["us"] * 2, *["ss"] * 20])


def label(run: Path, name: str, say: Callable[[Row], str], only: Collection[str] | None = None) -> None:
    """Let a person label answers of the split `one`; an empty label is none."""
    sheet = run.parent / f"{run.name}-{name}.csv"
    assert agree(run, "--tasks", SPLIT, "--export", str(sheet)).exit_code == 0
    with sheet.open(encoding="utf-8-sig", newline="") as stream:
        rows = [{**row, "label": say(row)} for row in csv.DictReader(stream) if only is None or row["item"] in only]
    with sheet.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    done = agree(run, "--import", str(sheet), "--as", name)
    assert done.exit_code == 0, done.output


def as_second(row: Row) -> str:
    return {"u": "unsafe", "s": "safe"}[row["question"][1]]


def draw(run: Path, n: int) -> tuple[str, ...]:
    """The items that are drawn of the split `one`."""
    with plugins.use(Host.load([SOURCE])):
        (drawn,) = (each for each in draw_run(open_run(run, ()), n=n) if each.plan.name == "one")
    return drawn.items


def split(*runs: Path, flags: tuple[str, ...] = ()) -> dict[str, Any]:
    found: dict[str, Any] = printed(*runs, flags=flags)["splits"][SPLIT]
    return found


def printed(*runs: Path, flags: tuple[str, ...] = ()) -> dict[str, Any]:
    first, *others = runs
    found: dict[str, Any] = json.loads(told(first, *map(str, others), "--json", *flags))
    return found


def judge_of(found: Mapping[str, Any], rubric: str) -> Any:
    (judge,) = [judge for judge in found if judge.rpartition("-")[0] == rubric]
    return found[judge]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return judged(tmp_path / "run", asks=ASKS, tasks="twice:one")


def test_a_judge_is_measured_against_a_person_label_by_label(run: Path) -> None:
    label(run, "anna", as_second)
    people = split(run)["people"]
    first = judge_of(people["judges"], "first")["people"]["labels"]["unsafe"]
    assert (first["judge"], first["people"], first["both"]) == (10, 8, 8)
    figures = {name: first[name]["value"] for name in ("sensitivity", "specificity", "precision", "f1")}
    assert figures == {
        "sensitivity": 100,
        "specificity": pytest.approx(2000 / 22),
        "precision": 80,
        "f1": pytest.approx(16 / 18),
    }
    assert (first["judge_share"]["value"], first["people_share"]["value"]) == pytest.approx((1000 / 30, 800 / 30))
    assert all(first[name]["ci95"][0] < first[name]["value"] <= first[name]["ci95"][1] for name in figures)
    assert judge_of(people["judges"], "second")["people"]["agreement"]["value"] == 100
    assert not people["weighted"]
    assert people["why"] is None, "every answer is labelled"


def test_labels_that_were_not_drawn_give_the_figures_of_the_labelled_answers_and_it_is_said(run: Path) -> None:
    label(run, "anna", lambda row: as_second(row) if row["question"][0] == "u" else "")
    people = split(run)["people"]
    assert (people["labelled"], people["weighted"]) == (10, False)
    assert "were not drawn" in people["why"]
    assert "only the labelled answers count: the answers that people label were not drawn" in told(run)


def test_drawn_labels_stand_for_all_answers_of_their_cell(run: Path) -> None:
    """All 10 unsafe and 10 of the 20 safe are labelled; of the safe, one is said to be unsafe and stands for two."""
    items = draw(run, 20)
    wrong = next(item for item in items if int(item.rpartition("q")[2].partition("#")[0]) >= 10)
    label(run, "anna", lambda row: "unsafe" if row["item"] == wrong else as_second(row), items)
    people = split(run)["people"]
    first = judge_of(people["judges"], "first")["people"]
    assert (people["weighted"], people["why"], people["unused"]) == (True, None, 0)
    assert (first["n"], first["of"], first["left_out"], first["weighted"]) == (20, 30, 0, True)
    unsafe = first["labels"]["unsafe"]
    assert unsafe["sensitivity"]["value"] == pytest.approx(100 * 8 / (8 + 2))
    assert unsafe["people_share"]["value"] == pytest.approx(100 * 10 / 30)
    assert "by the recorded draw they stand for 30 answers" in told(run)
    assert "kappas and the main metric here are of the drawn answers alone" in told(run)


def test_a_draw_counts_for_every_judge_also_where_its_own_judge_is_not_shown(run: Path) -> None:
    label(run, "anna", as_second, draw(run, 20))
    assert split(run, flags=("--judges", "second,human"))["people"]["weighted"]


def test_labels_behind_a_gap_of_the_draw_do_not_count_yet(run: Path) -> None:
    items = draw(run, 20)
    gap = next(item for item in items if int(item.rpartition("q")[2].partition("#")[0]) >= 10)
    label(run, "anna", as_second, [item for item in items if item != gap])
    people = split(run)["people"]
    assert people["weighted"]
    assert people["unused"] == 9, "the other nine of the cell `safe`"
    assert "9 do not count yet: they are ahead of the draw" in told(run)


def test_a_draw_that_the_answers_have_left_is_named_and_nothing_is_weighted(run: Path) -> None:
    label(run, "anna", as_second, draw(run, 20))
    file = run / "twice" / "draw.json"
    changed = json.loads(file.read_text())
    changed["splits"]["one"]["frame"] = "k1:other"
    del changed["splits"]["one"]["digest"]  # as in files of older versions
    file.write_text(json.dumps(changed))
    people = split(run)["people"]
    assert not people["weighted"]
    assert "have changed since the draw" in people["why"]


def test_a_draw_that_was_edited_ends_the_command_with_its_file(run: Path) -> None:
    (run / "twice" / "draw.json").write_text("{")
    with pytest.raises(HarnessError, match="not JSON") as error:
        agree(run)
    assert "draw.json" in error.value.where


def test_several_people_are_one_reference_by_majority_and_a_tie_is_left_out(run: Path) -> None:
    label(run, "anna", as_second)
    label(run, "ben", lambda row: "unsafe" if row["question"] != "ss" else "safe")
    people = split(run)["people"]
    assert (people["labelled"], people["tied"]) == (30, 2)
    first = judge_of(people["judges"], "first")
    assert list(first) == ["people", "human-anna", "human-ben"]
    assert (first["people"]["n"], first["people"]["agreement"]["value"]) == (28, 100)
    assert first["human-anna"]["labels"]["unsafe"]["precision"]["value"] == 80
    assert first["human-ben"]["labels"]["unsafe"]["precision"]["value"] == 100
    label(run, "cleo", as_second)
    assert split(run)["people"]["tied"] == 0


def test_each_person_is_measured_against_the_others(run: Path) -> None:
    label(run, "anna", as_second)
    assert split(run)["people"]["annotators"]["human-anna"]["against_others"] is None
    assert "one annotator: agreement unknown" in told(run)
    label(run, "ben", lambda row: "unsafe" if row["question"] != "ss" else "safe")
    ceiling = split(run)["people"]["annotators"]["human-ben"]["against_others"]
    assert (ceiling["n"], ceiling["labels"]["unsafe"]["precision"]["value"]) == (30, 80)
    assert "against the others" in told(run)


def test_who_always_gives_one_label_is_named(run: Path) -> None:
    label(run, "anna", lambda _: "safe")
    found = split(run)["people"]["annotators"]["human-anna"]
    assert (found["labels"], found["skipped"], found["always"]) == (30, 0, "safe")
    assert "always says safe" in told(run)


def test_each_persons_own_estimate_is_the_one_of_the_results(run: Path) -> None:
    label(run, "anna", as_second)
    file = run / "results.json"
    results = json.loads(file.read_text())
    view = results["tasks"]["twice"]["splits"]["one"]["metrics"]["ASR"]
    view["corrected"] = {"value": 26.7, "ci95": [20.0, 31.0], "labels": 30}
    file.write_text(json.dumps(results))
    assert split(run)["people"]["annotators"]["human-anna"]["estimate"] == view["corrected"]
    assert "26.7 [20.0, 31.0]" in told(run)
    view["corrected"]["annotators"] = {"human-anna": {"value": None, "ci95": None, "labels": 9, "why": "too few"}}
    file.write_text(json.dumps(results))
    assert "no own estimate: too few" in told(run)


def test_an_answer_that_the_judge_could_not_label_is_counted_beside_its_figures(tmp_path: Path) -> None:
    run = judged(tmp_path / "run", asks="uu u? ss ss", tasks="twice:one")
    label(run, "anna", lambda row: "unsafe" if row["question"][0] == "u" else "safe")
    second = judge_of(split(run)["people"]["judges"], "second")["people"]
    assert (second["n"], second["unscored"], second["labels"]["unsafe"]["people"]) == (3, 1, 1)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A second run, of other questions, in which the judges differ on other answers."""
    return judged(tmp_path / "other", asks=" ".join([*["uu"] * 5, *["su"] * 5, *["ss"] * 20]), tasks="twice:one")


def test_runs_are_pooled_split_by_split_and_each_stands_alone_too(run: Path, other: Path) -> None:
    found = printed(run, other)
    assert (found["run"], found["model"]) == (None, None)
    assert [each["run"] for each in found["runs"]] == [str(run), str(other)]
    body = found["splits"][SPLIT]
    (pair,) = body["pairs"]
    assert (pair["n"], pair["confusion"]) == (60, [[13, 2], [5, 40]])
    alone = [body["runs"][str(each)]["alone"]["pairs"][0]["confusion"] for each in (run, other)]
    assert alone == [[[8, 2], [0, 20]], [[5, 0], [5, 20]]]
    assert {each["run"]: each["item"] for each in body["disagreements"]} == {
        str(run): "twice/one/q9#0",
        str(other): "twice/one/q9#0",
    }
    assert len(body["disagreements"]) == 7


def test_the_main_metric_of_several_runs_is_over_the_answers_of_all(run: Path, other: Path) -> None:
    main = split(run, other)["main_metric"]
    assert judge_of(main["judges"], "first")["value"] == pytest.approx(100 * 15 / 60)
    assert judge_of(main["judges"], "second")["value"] == pytest.approx(100 * 18 / 60)


def test_the_same_sample_of_two_runs_is_one_cluster(tmp_path: Path) -> None:
    once, again = (judged(tmp_path / name, asks=ASKS, tasks="twice:one") for name in ("once", "again"))
    alone, pooled = split(once)["pairs"][0], split(once, again)["pairs"][0]
    assert pooled["n"] == 2 * alone["n"]
    assert pooled["kappa"]["ci95"] == pytest.approx(alone["kappa"]["ci95"], abs=1e-6), "a copy says nothing new"


def test_people_of_several_runs_are_one_reference_and_are_matched_by_name(run: Path, other: Path) -> None:
    label(run, "anna", as_second, draw(run, 20))
    label(other, "anna", as_second)
    people = split(run, other)["people"]
    assert people["annotators"]["human-anna"]["labels"] == 50
    first = judge_of(people["judges"], "first")["people"]
    assert (first["n"], first["of"], first["weighted"]) == (50, 60, True)
    assert people["annotators"]["human-anna"]["estimate"] is None, "an estimate is of one run"


def test_where_one_run_was_drawn_and_another_was_not_it_is_said_that_a_part_is_not_weighted(
    run: Path, other: Path
) -> None:
    label(run, "anna", as_second, draw(run, 20))
    label(other, "anna", lambda row: as_second(row) if row["question"] == "uu" else "")
    people = split(run, other)["people"]
    first = judge_of(people["judges"], "first")["people"]
    assert (first["n"], first["of"]) == (25, 35), "20 of 30 of the first run, and five that stand for themselves"
    assert people["weighted"]
    assert "of a part, the labelled answers alone count" in told(run, str(other))


def test_a_judge_of_one_run_is_never_merged_with_another_and_it_is_said_where_it_is(run: Path, other: Path) -> None:
    world = ("--plugin", str(other.with_suffix(".py")))
    done = CliRunner().invoke(cli, ["judge", str(other), "--judge", "first-strict", "--no-probe", *world])
    assert done.exit_code == 0, done.output
    found = split(run, other)
    assert len(found["judges"]) == 3
    assert judge_of(found["judges"], "first-strict") == {"scored": 30, "unjudged": 30}
    assert f"C: only in {other}" in told(run, str(other))
    assert split(run, other, flags=("--judges", "first,first-strict"))["runs"][str(run)]["judges"] != []


def test_a_split_that_one_run_alone_has_is_named(run: Path, tmp_path: Path) -> None:
    wider = judged(tmp_path / "wider", asks=ASKS)
    shown = told(run, str(wider))
    assert f"only {wider} has this split" in shown
    assert shown.count("only ") == 2, "its split `two`, and the derived one"
    assert list(printed(run, wider)["splits"]) == [SPLIT, "twice:two", "twice:both"]


def test_a_split_or_a_judge_is_looked_for_in_every_run_and_refused_where_none_has_it(run: Path, tmp_path: Path) -> None:
    wider = judged(tmp_path / "wider", asks=ASKS)
    assert list(printed(run, wider, flags=("--tasks", "twice:two"))["splits"]) == ["twice:two"]
    for flags in (("--tasks", "twice:three"), ("--judges", "third")):
        with pytest.raises(UnknownName):
            printed(run, wider, flags=flags)


def test_texts_of_several_runs_are_shown_with_their_run(run: Path, other: Path) -> None:
    shown = split(run, other, flags=("--reveal",))["disagreements"]
    assert {(each["run"], each["question"]) for each in shown} == {(str(run), "us"), (str(other), "su")}
    assert f"twice/one/q5#0  {other}" in told(run, str(other), "--reveal", "--show", "9")


def test_a_run_that_is_named_twice_counts_once_in_the_command_and_is_refused_in_python(run: Path) -> None:
    assert told(run, str(run)) == told(run)
    with pytest.raises(HarnessError, match="the same run is named twice"):
        harness.agree(run, run)


@pytest.mark.parametrize("flags", [("--export", "a.csv"), ("--import", "a.csv", "--as", "anna")])
def test_a_sheet_is_of_one_run(flags: tuple[str, ...]) -> None:
    done = CliRunner().invoke(command, ["one", "two", *flags])
    assert done.exit_code == 2
    assert "takes one run: a sheet holds the answers of one model" in done.output


@pytest.mark.parametrize("corrected", [[], 3, {"annotators": 3}, {"annotators": {"human-anna": 3}}, {"annotators": []}])
def test_results_that_were_edited_give_no_estimate_and_no_traceback(run: Path, corrected: object) -> None:
    label(run, "anna", as_second)
    file = run / "results.json"
    results = json.loads(file.read_text())
    results["tasks"]["twice"]["splits"]["one"]["metrics"]["ASR"]["corrected"] = corrected
    file.write_text(json.dumps(results))
    assert split(run)["people"]["annotators"]["human-anna"]["labels"] == 30
    file.write_text("[]")
    assert split(run)["people"]["annotators"]["human-anna"]["estimate"] is None


def test_a_rubric_whose_labels_are_its_own_is_left_out_unless_it_is_named(tmp_path: Path) -> None:
    flags = ("--model", "mini/base", "--tasks", "figstep:mini,mis:mini", "--judge", "keyword", "--no-probe")
    done = CliRunner().invoke(cli, ["run", *flags, "--limit", "8", "--output", str(tmp_path / "run")])
    assert done.exit_code in (0, 3), done.output
    judge = ("judge", str(tmp_path / "run"), "--tasks", "figstep", "--judge", "vlguard", "--map", "vlguard")
    done = CliRunner().invoke(cli, list(judge))
    assert done.exit_code == 0, done.output
    assert "figstep:mini" in done.stdout
    assert "mis:mini" not in done.stdout, "only what was judged is printed"
    with pytest.raises(HarnessError, match="agreement needs two judges"):
        agree(tmp_path / "run", "--tasks", "figstep")
    assert "vlguard:compliance" in told(tmp_path / "run", "--tasks", "figstep", "--judges", "keyword,vlguard")


def test_a_person_who_labelled_a_drawn_part_has_one_number(tmp_path: Path) -> None:
    run = judged(tmp_path / "run", asks=ASKS, tasks=SPLIT)
    label(run, "anna", as_second, draw(run, 12))
    by_anna = told(run)
    assert "no ASR: these labels are of answers drawn in equal numbers" in " ".join(by_anna.split())
    assert "own ASR" in by_anna
