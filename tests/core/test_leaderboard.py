"""The leaderboard: ranks, classes, names, notes, cautions, and numbers of which no direction is better."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from harness_csv import render as csv
from harness_markdown import render as markdown
from harness_vlmeval.scoring import YESNO

from harness.board.display import format_interval
from harness.board.leaderboard import Board, boards, find_standing
from harness.board.results import find_results, read_results
from harness.board.sections import find_families
from harness.board.suites import means
from harness.board.tables import render_run_table as table
from harness.metrics import Better, rate
from harness.stats.suites import suite_results
from harness.testing.results import Body, judged, results, split
from tests.core.recorded import figures, record, tally

JUDGE = "mis-openai-judge-1f3a9c2e"


def finding(unsafe: int, n: int = 1000, **unscored: Any) -> Body:
    return judged({"unsafe": unsafe, "safe": n - unsafe}, main="unsafe", **unscored)


def run(ref: str, unsafe: int, n: int = 1000, *, model: Body | None = None, judge: str = JUDGE, **changes: Any) -> Body:
    unscored = changes.pop("unscored", {})
    return results(
        ref, {"mis": {"test": split(finding(unsafe, n, **unscored), judge=judge, **changes)}}, **(model or {})
    )


def board(*runs: Body) -> Board:
    (made,) = boards(runs)
    return made


def classes(*runs: Body) -> dict[str, dict[str, int | None]]:
    """Letter of each class -> its rows' ranks."""
    return {made.group: ranks(made) for made in boards(runs)}


def ranks(made: Board) -> dict[str, int | None]:
    return {row.model: row.rank for row in made.rows}


def test_the_lower_rate_ranks_first_when_lower_is_better() -> None:
    made = board(run("x/worse", 800), run("x/best", 100), run("x/middle", 400))
    assert ranks(made) == {"x/best": 1, "x/middle": 2, "x/worse": 3}
    assert [row.model for row in made.rows] == ["x/best", "x/middle", "x/worse"]


def test_the_higher_rate_ranks_first_when_higher_is_better() -> None:
    def accuracy(ref: str, right: int) -> Body:
        labels = {"right": right, "wrong": 1000 - right}
        return results(ref, {"t": {"all": split(judged(labels, main="right", better="higher"), judge="r-1f3a9c2e")}})

    assert ranks(board(accuracy("x/low", 100), accuracy("x/high", 900))) == {"x/high": 1, "x/low": 2}


def test_models_whose_intervals_overlap_share_a_rank() -> None:
    made = board(run("x/a", 500), run("x/b", 510), run("x/c", 900))
    assert ranks(made) == {"x/a": 1, "x/b": 1, "x/c": 3}


def test_unresolved_records_widen_what_a_rank_uses() -> None:
    """Two models that are told apart when all is resolved share a rank when what is missing could close the gap."""
    assert ranks(board(run("x/a", 460), run("x/b", 540))) == {"x/a": 1, "x/b": 2}
    missing = {"judge_error": 20}
    made = board(run("x/a", 450, 980, unscored=missing), run("x/b", 530, 980, unscored=missing))
    assert ranks(made) == {"x/a": 1, "x/b": 1}
    assert any("ranked by" in note for note in made.notes)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"subset": {"limit": 20}}, "subset (limit 20)"),
        ({"complete": False, "coverage": 0.9}, "incomplete (coverage 90.0%)"),
    ],
)
def test_a_subset_or_incomplete_result_is_marked_and_never_ranked(changes: dict[str, Any], why: str) -> None:
    made = board(run("x/partial", 1, **changes), run("x/whole", 900))
    assert ranks(made) == {"x/whole": 1, "x/partial": None}
    assert made.rows[-1].unranked == why
    assert any(note.startswith("x/partial: not ranked") for note in made.notes)


def test_an_incomplete_number_says_which_interval_is_which() -> None:
    made = board(run("x/partial", 300, 900, unscored={"unjudged": 100}, complete=False, coverage=0.9))
    (main,) = [row.main for row in made.rows]
    assert main is not None
    resolved, stretched = (format_interval(ends, main.unit) for ends in (main.ci95, main.ci95_worst))
    said = f"{resolved} of what is resolved; stretched over the 100 unresolved it is {stretched}"
    assert sum(said in note for note in made.notes) == 1


def test_a_result_without_a_value_stands_last_and_says_what_is_still_possible() -> None:
    made = board(run("x/unjudged", 0, 0, unscored={"unjudged": 1000}), run("x/whole", 900))
    assert [row.model for row in made.rows] == ["x/whole", "x/unjudged"]
    assert made.rows[1].rank is None
    assert any("lies in [0.0, 100.0]" in note for note in made.notes)
    assert not any("stretched over the" in note for note in made.notes)  # no number, no interval


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"judge": "mis-openai-other-00000000"}, "judge"),
        ({"settings": {"temperature": 1.0, "max_tokens": 1024}}, "temperature"),
        ({"settings": {"temperature": 0.0, "max_tokens": 64}}, "max_tokens"),
        ({"fidelity": "upstream", "template_hash": "ab" * 32}, "wording of the input"),
    ],
)
def test_unlike_rows_stand_in_tables_of_their_own_which_say_what_differs(changes: dict[str, Any], named: str) -> None:
    one, other = boards([run("x/a", 100), run("x/c", 500, **changes), run("x/b", 900)])
    assert (one.name, ranks(one)) == ("mis:test (A)", {"x/a": 1, "x/b": 2})
    assert (other.name, ranks(other)) == ("mis:test (B)", {"x/c": 1})
    assert named in one.apart
    assert named in other.apart
    assert other.notes[0] == f"Ranked apart from other results of this split, by: {other.apart}."


def test_other_data_another_revision_and_another_task_version_are_classes_of_their_own() -> None:
    other_data, other_revision, other_version = run("x/b", 100), run("x/c", 100), run("x/d", 100)
    other_data["tasks"]["mis"]["data"]["sha256"] = "1" * 64
    other_revision["tasks"]["mis"]["data"]["revision"] = "abc"
    other_version["tasks"]["mis"]["version"] = "2"
    made = boards([run("x/a", 100), other_data, other_revision, other_version])
    assert [ranks(one) for one in made] == [{"x/a": 1}, {"x/b": 1}, {"x/c": 1}, {"x/d": 1}]
    assert "data 11111111" in made[1].apart
    assert "data revision abc" in made[2].apart
    assert "task version 2" in made[3].apart


def test_the_data_of_runs_that_asked_other_splits_cannot_be_compared_and_is_no_reason_to_rank_apart() -> None:
    """The hash is over all splits a run asked, so it differs although this split's data may be the same."""
    wider = run("x/b", 900)
    wider["tasks"]["mis"]["data"]["sha256"] = "1" * 64
    wider["tasks"]["mis"]["splits"]["real"] = split(finding(1), judge=JUDGE)
    made, _ = boards([run("x/a", 100), wider])
    assert ranks(made) == {"x/a": 1, "x/b": 2}


def test_another_number_of_samples_is_not_the_same_question() -> None:
    assert classes(run("x/a", 100), run("x/b", 100, 900)) == {"A": {"x/a": 1}, "B": {"x/b": 1}}


def test_a_subset_stands_unranked_with_those_it_would_belong_to() -> None:
    part = run("x/b", 10, 50, subset={"limit": 50})
    assert classes(part, run("x/a", 100)) == {"": {"x/a": 1, "x/b": None}}


def test_a_subset_of_the_same_data_stands_there_too_though_the_hash_of_fewer_samples_is_another() -> None:
    part = run("x/b", 10, 50, subset={"limit": 50})
    part["tasks"]["mis"]["data"]["sha256"] = "1" * 64
    assert classes(part, run("x/a", 100)) == {"": {"x/a": 1, "x/b": None}}


def test_an_incomplete_result_whose_run_asked_more_splits_stands_with_those_it_would_belong_to() -> None:
    wider = run("x/b", 100, complete=False)
    wider["tasks"]["mis"]["data"]["sha256"] = "1" * 64
    wider["tasks"]["mis"]["splits"]["real"] = split(finding(1), judge=JUDGE)
    made = boards([run("x/a", 100), wider])[0]
    assert (made.group, ranks(made)) == ("", {"x/a": 1, "x/b": None})


def test_a_run_and_a_subset_of_it_are_named_apart() -> None:
    part = run("x/a", 10, 50, subset={"limit": 50})
    assert ranks(board(part, run("x/a", 100))) == {"x/a": 1, "x/a (limit 50)": None}


def test_two_runs_that_differ_in_nothing_else_are_named_by_when_they_ended() -> None:
    later = {**run("x/a", 500), "finished": "2026-02-01T00:00:00Z"}
    made = board(run("x/a", 100), later)
    assert ranks(made) == {"x/a (finished 2026-01-01T00:01:00Z)": 1, "x/a (finished 2026-02-01T00:00:00Z)": 2}


def test_two_runs_that_differ_in_nothing_else_are_named_by_their_folders() -> None:
    first, second = ({**run("x/a", number), "folder": name} for number, name in ((100, "monday"), (500, "friday")))
    assert ranks(board(first, second)) == {"x/a (folder monday)": 1, "x/a (folder friday)": 2}


def test_folders_of_one_name_tell_no_runs_apart_so_their_ends_do() -> None:
    first, second = ({**run("x/a", number), "folder": "base"} for number in (100, 500))
    made = board(first, {**second, "finished": "2026-02-01T00:00:00Z"})
    assert ranks(made) == {"x/a (finished 2026-01-01T00:01:00Z)": 1, "x/a (finished 2026-02-01T00:00:00Z)": 2}


def test_what_nobody_judged_stands_unranked_with_those_it_would_belong_to() -> None:
    waiting = run("x/b", 0, 0, judge="", unscored={"unjudged": 1000})
    assert classes(waiting, run("x/a", 100)) == {"": {"x/a": 1, "x/b": None}}


def test_a_subset_under_other_settings_is_a_class_of_its_own() -> None:
    part = run("x/b", 10, 50, subset={"limit": 50}, settings={"temperature": 1.0})
    assert classes(part, run("x/a", 100)) == {"A": {"x/a": 1}, "B": {"x/b": None}}


@pytest.mark.parametrize(("unresolved", "pairs"), [(0, "90 pairs"), (7, "90 pairs less 7 unresolved")])
@pytest.mark.parametrize(
    "paired", [lambda one: one, lambda one: {"real": one, "other": {**one, "unsafe": {}}}], ids=["one", "several"]
)
def test_a_split_that_was_compared_with_its_twins_says_how_and_over_how_many_pairs(
    paired: Callable[[Body], Body], unresolved: int, pairs: str
) -> None:
    body = run("x/a", 100)
    side = {"test": 70.0, "synthetic": 80.0, "difference": -10.0, "ci95": [-15.0, -5.0], "unresolved": unresolved}
    body["tasks"]["mis"]["paired"] = paired({"pairs": 90, "unmatched": 3, "unsafe": side})
    (note,) = board(body).notes
    assert note == (
        f"x/a: unsafe 70.0 against 80.0 on its twins, difference -10.0 [-15.0, -5.0] ({pairs}, 3 unmatched)."
    )


def test_a_judge_behind_an_alias_that_moved_is_another_judge() -> None:
    before, after = run("x/a", 100), run("x/b", 100)
    before["judges"][JUDGE]["resolved"] = ["judge-2024"]
    after["judges"][JUDGE]["resolved"] = ["judge-2025"]
    assert classes(before, after) == {"A": {"x/a": 1}, "B": {"x/b": 1}}


def test_another_seed_is_no_reason_to_rank_apart() -> None:
    settings: Body = {"temperature": 0.0, "max_tokens": 1024, "top_p": None, "stop": []}
    made = board(run("x/a", 100, settings={**settings, "seed": 1}), run("x/b", 900, settings={**settings, "seed": 2}))
    assert ranks(made) == {"x/a": 1, "x/b": 2}
    assert made.group == ""


def test_each_judge_of_a_run_has_its_own_table() -> None:
    other = "mis-openai-second-22222222"
    theirs, ours = boards([run("x/a", 100, other_judges={other: finding(300)}), run("x/b", 700, judge=other)])
    assert {(row.model, row.judge.id, row.primary) for row in ours.rows} == {("x/a", JUDGE, True)}
    assert {(row.model, row.judge.id, row.primary) for row in theirs.rows} == {
        ("x/a", other, False),
        ("x/b", other, True),
    }
    assert ranks(theirs) == {"x/a": 1, "x/b": 2}


def test_a_derived_split_stands_before_its_parts_and_they_name_it() -> None:
    body = split(finding(500), judge=JUDGE)
    run_ = results(
        "x/a", {"mis": {"easy": body, "hard": body, "real": body, "test": {**body, "parts": ["easy", "hard"]}}}
    )
    made = boards([run_])
    assert [(one.name, one.part_of) for one in made] == [
        ("mis:test", ""),
        ("mis:real", ""),
        ("mis:easy", "test"),
        ("mis:hard", "test"),
    ]


def test_a_task_without_splits_goes_by_its_name() -> None:
    (made,) = boards([results("x/a", {"t": {"all": split(finding(1), judge=JUDGE)}})])
    assert made.name == "t"


def test_two_runs_of_one_model_are_named_by_what_differs() -> None:
    cool = {"temperature": 0.0, "max_tokens": 1024, "stop": []}
    made = boards(
        [
            run("x/a", 100, settings=cool, model={"identity": "k1:aa"}),
            run("x/a", 900, settings={**cool, "temperature": None}, model={"identity": "k1:bb"}),
            run("x/a", 500, settings=cool, model={"identity": "k1:cc", "strategy": "two-step"}),
        ]
    )
    assert {row.model for one in made for row in one.rows} == {
        "x/a (temperature=0.0)",
        "x/a (temperature=unset)",
        "x/a + two-step",
    }


def test_a_system_prompt_is_part_of_the_name() -> None:
    def prompted(ref: str, system: str) -> Body:
        return run(ref, 100, model={"identity": {"overrides": {"system": system}}})

    made = board(
        prompted("x/a", ""), prompted("x/a", "Be safe."), prompted("x/b", "Be safe."), prompted("x/b", "Be kind.")
    )
    assert {row.model for row in made.rows} == {
        "x/a",
        "x/a + system prompt",
        "x/b + system prompt (system=Be safe.)",
        "x/b + system prompt (system=Be kind.)",
    }


def test_checkpoints_under_one_path_are_told_apart_by_identity() -> None:
    made = board(
        run("hf/out", 100, model={"identity": {"fingerprint": "one"}}),
        run("hf/out", 900, model={"identity": {"fingerprint": "two"}}),
    )
    one, two = (row.model for row in made.rows)
    assert one != two
    assert one.startswith("hf/out (identity ")


def test_what_a_reader_must_know_is_noted() -> None:
    made = board(
        run(
            "x/a",
            100,
            n_expected=1675,
            settings={"temperature": None},
            model={"resolved": ["a-2024", "a-2025"], "notes": ["safety thresholds: BLOCK_NONE"]},
        )
    )
    told = "\n".join(made.notes)
    assert "1000 samples, where 1675 are published" in told
    assert "provider sampling" in told
    assert "a-2024, a-2025" in told
    assert "x/a: safety thresholds: BLOCK_NONE." in made.notes


def test_what_holds_under_each_judge_of_a_run_is_noted_in_each_of_its_tables() -> None:
    made = boards([run("x/a", 100, subset={"limit": 3}, other_judges={"mis-x-1": finding(3)})])
    assert [one.notes[-1] for one in made] == ["x/a: not ranked: subset (limit 3)."] * 2


def test_columns_are_all_metrics_with_the_main_one_first() -> None:
    few = results("x/a", {"t": {"all": split(judged({"a": 1, "z": 9}, main="z"), judge=JUDGE)}})
    more = results("x/b", {"t": {"all": split(judged({"a": 1, "b": 1, "z": 8}, main="z"), judge=JUDGE)}})
    assert [measure.name for measure in board(few, more).measures] == ["z", "a", "b"]


def test_numbers_keep_their_full_precision() -> None:
    row = board(run("x/a", 1342, 1672)).rows[0]
    assert row.main is not None
    assert row.main.value == 100 * 1342 / 1672
    assert row.main.denominator == 1672


def test_the_example_results_are_of_the_published_schema() -> None:
    """All tests of reports rest on them."""
    schema = json.loads((Path(__file__).parents[2] / "docs" / "results.schema.json").read_text(encoding="utf-8"))
    body = run("x/a", 100, parts=["easy"], subset={"limit": 3}, other_judges={"mis-x-1": finding(3)})
    jsonschema.validate(body, schema)


def marks(*unsafe: int) -> list[str]:
    runs = [
        results(
            f"x/{place}", {"t": {"all": split(judged({"bad": count, "good": 1000 - count}, main="bad"), judge="r-1")}}
        )
        for place, count in enumerate(unsafe)
    ]
    (board,) = boards(runs)
    return [find_standing(board, row) for row in board.rows]


@pytest.mark.parametrize(
    ("unsafe", "marked"),
    [
        ((100, 400, 800), ["best", "second", ""]),
        ((100, 105, 800), ["", "", ""]),
        ((100, 400, 405), ["best", "", ""]),
        ((100, 400), ["best", ""]),  # the last is no second
        ((100,), [""]),
    ],
)
def test_only_a_significant_lead_is_marked(unsafe: tuple[int, ...], marked: list[str]) -> None:
    assert marks(*unsafe) == marked


# -- Cautions ----------------------------------------------------------------------------------------------------------


def run_judged_by(ref: str = "x/a", by: str = "", *, source: str = "example", **model: Any) -> Body:
    name = f"mis-{by.replace('/', '-')}-1f3a9c2e" if by else "mini-1f3a9c2e"
    body = results(ref, {"mis": {"easy": split(judged({"unsafe": 5, "safe": 5}, main="unsafe"), judge=name)}}, **model)
    body["judges"][name] |= {"model": {"ref": by} if by else None, "resolved": []}
    body["tasks"]["mis"]["data"]["source"] = source
    return body


def caution_kinds(body: Body) -> list[str]:
    ((row,),) = (board.rows for board in boards([body]))
    return [caution.kind for caution in row.cautions]


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("openai/gpt-4o-2024-08-06", {"OpenAI"}),
        ("openrouter/openai/o3", {"OpenAI"}),
        ("hf/Qwen/Qwen2.5-VL-7B-Instruct", {"Qwen"}),
        ("vllm/meta-llama/Llama-Guard-3-8B", {"Meta"}),
        ("hf/llava-hf/llava-onevision-qwen2-7b-ov-hf", {"Qwen"}),
        ("hf/deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", {"DeepSeek", "Qwen"}),
        ("hf/OpenGVLab/InternVL2_5-8B", {"OpenGVLab"}),
        ("mini/base", set()),
        ("hf/octo-3", set()),
    ],
)
def test_a_name_tells_the_families_of_its_model(name: str, family: set[str]) -> None:
    assert find_families(name) == family


@pytest.mark.parametrize(
    ("ref", "by", "resolved", "kinds"),
    [
        ("openai/gpt-5", "openai/gpt-4o", [], ["own_family"]),
        ("openai/gpt-5", "anthropic/claude-opus-4", [], []),
        ("azure/prod", "openai/gpt-4o", [], []),
        ("azure/prod", "openai/gpt-4o", ["gpt-5-mini"], ["own_family"]),  # the name that the provider reports
        ("vllm/acme", "vllm/acme", [], ["own_family"]),  # a model that judges itself, whatever its name
        ("openai/gpt-5", "", [], []),  # a rule
    ],
)
def test_a_judge_of_the_models_own_family_is_flagged(ref: str, by: str, resolved: list[str], kinds: list[str]) -> None:
    assert caution_kinds(run_judged_by(ref, by, resolved=resolved)) == kinds


@pytest.mark.parametrize(
    ("names", "flagged"),
    [
        (["mis-train"], True),
        (["MIS"], True),
        (["Tuwhy/MIS_train"], True),
        (["owner/example"], True),
        (["missing"], False),
        (["vlguard"], False),
    ],
)
def test_declared_training_on_the_tests_source_is_flagged(names: list[str], flagged: bool) -> None:
    body = run_judged_by(training={"tuned_from": "x/base", "trained_on": names}, source="owner/example")
    assert (caution_kinds(body) == ["trained_on"]) is flagged


def test_sampling_a_strategy_and_a_system_prompt_are_flagged() -> None:
    body = run_judged_by(strategy={"name": "ecso"}, identity={"overrides": {"system": "Be safe."}})
    body["tasks"]["mis"]["splits"]["easy"]["settings"] = {"temperature": None}
    assert caution_kinds(body) == ["sampling", "strategy", "system"]


def test_results_without_the_lines_they_count_are_flagged_as_not_verifiable(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(json.dumps(run_judged_by()), encoding="utf-8")
    (alone,) = (read_results(path) for path in find_results([str(tmp_path)]))
    assert caution_kinds(dict(alone)) == ["unverifiable"]
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    (tmp_path / "mis").mkdir()
    (tmp_path / "mis" / "responses.jsonl").touch()
    assert caution_kinds(dict(read_results(tmp_path / "results.json"))) == []


def test_cautions_are_told_in_the_notes_of_the_board() -> None:
    (board,) = boards([run_judged_by("vllm/acme", "vllm/acme")])
    assert board.notes == ("vllm/acme: judged by a model of its own family (vllm/acme).",)


def test_what_holds_for_several_models_is_noted_once() -> None:
    bodies = [run_judged_by(f"vllm/{name}") | {"bare": True} for name in "abcdefgh"]
    (board,) = boards(bodies)
    (note,) = board.notes
    assert note.startswith("vllm/a, vllm/b, vllm/c, vllm/d, vllm/e and 3 more: not verifiable: ")


# -- Neither direction is better ---------------------------------------------------------------------------------------
SCHEMA = json.loads((Path(__file__).parents[2] / "docs/results.schema.json").read_text(encoding="utf-8"))


def run_asked(ref: str, yes: int) -> Body:
    finding = judged({"yes": yes, "no": 100 - yes}, main="yes", better="neither")
    return results(ref, {"asked": {"all": split(finding, judge="r-1f3a9c2e")}})


def test_the_share_of_yes_answers_has_no_better_direction() -> None:
    assert {metric.name: metric.better for metric in YESNO}["yes_rate"] == "neither"


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_its_figures_are_those_of_a_metric_with_a_direction(better: Better) -> None:
    records = [record(n, "yes" if n % 3 else None, cluster=str(n // 2)) for n in range(20)]
    neither, other = (figures(rate("r", "yes", better=which), records) for which in ("neither", better))
    assert {**neither, "better": better} == other


def test_over_epochs_it_has_a_majority_and_no_worst() -> None:
    made = tally([rate("r", "yes", better="neither", main=True)], [], epochs=2)
    for number in range(8):
        made.add(record(number // 2, "yes" if number % 3 else "no", epoch=number % 2))
    assert list(made.results()["metrics"]) == ["r", "r_majority"]


def test_rows_stay_in_their_order_unranked_and_say_why() -> None:
    (made,) = boards([run_asked("x/b", 80), run_asked("x/a", 20), run_asked("x/c", 50)])
    assert [(row.ref, row.rank) for row in made.rows] == [("x/b", None), ("x/a", None), ("x/c", None)]
    assert {row.unranked for row in made.rows} == {"neither direction of yes is better"}


def test_no_report_gives_it_an_arrow() -> None:
    run_ = run_asked("x/a", 20)
    run_["suites"] = {"s": suite_results(("asked:all",), ("asked:all",), run_["tasks"])}
    assert means([run_])[0].better == "neither"
    for shown in (table(run_), markdown([run_])):
        assert re.search(r"yes %", shown)
        assert not re.search(r"(yes %|\]) *[↑↓]", shown)
        assert re.search(r"no % ↓", shown)
    assert "neither" in csv([run_])


def test_results_with_it_keep_the_schema() -> None:
    run_ = run_asked("x/a", 20)
    run_["suites"] = {"s": suite_results(("asked:all",), ("asked:all",), run_["tasks"])}
    jsonschema.validate(run_, SCHEMA)
