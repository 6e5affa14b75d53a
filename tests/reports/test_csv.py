from __future__ import annotations

import csv
import io

import pytest
from harness_csv import render

from harness.stats.summary import suite_results
from harness.testing.results import Body, judged, results, split
from tests import golden

JUDGE = "mis-openai-judge-1f3a9c2e"


def lines(*runs: Body) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(render(runs))))


def run(ref: str = "openai/name", **changes: object) -> Body:
    finding = judged({"unsafe": 1342, "safe": 330}, main="unsafe", judge_error=3)
    return results(ref, {"mis": {"test": split(finding, judge=JUDGE, blocked=2, **changes)}})


def test_each_metric_is_a_line_in_full_precision() -> None:
    main, *_ = [line for line in lines(run()) if line["metric"] == "unsafe" and not line["by"]]
    assert float(main["value"]) == 100 * 1342 / 1672
    assert (main["numerator"], main["denominator"], main["unresolved"]) == ("1342", "1672", "3")
    assert float(main["bounds_low"]) < float(main["ci95_low"]) + 3 < float(main["ci95_worst_high"])
    assert (main["model"], main["task"], main["split"], main["judge"]) == ("openai/name", "mis", "test", JUDGE)
    assert (main["input_blocked"], main["judge_error"], main["rank"]) == ("2", "3", "1")


def test_flags_of_answers_have_columns() -> None:
    first, *_ = lines(run(flags={"truncated": 12, "refusal": 0, "verdict_like": 1}))
    assert (first["truncated"], first["refusal"], first["verdict_like"]) == ("12", "0", "1")


def test_what_must_be_held_against_a_number_stands_in_its_line() -> None:
    body = run(settings={"temperature": None})
    body["model"].update(resolved=["name-2026-01-01"], training={"tuned_from": "x/base", "trained_on": ["mis-train"]})
    first, *_ = lines({**body, "bare": True})
    assert first["flags"] == "trained_on, sampling, unverifiable"
    assert (first["resolved"], first["finished"]) == ("name-2026-01-01", "2026-01-01T00:01:00Z")


def test_breakdowns_have_lines_of_their_own() -> None:
    groups = {(line["by"], line["group"], line["metric"]) for line in lines(run())}
    assert ("category", "drawn", "unsafe") in groups
    assert ("", "", "unsafe") in groups


def test_strata_have_lines_without_intervals() -> None:
    body = run()
    metric = body["tasks"]["mis"]["splits"]["test"]["metrics"]["unsafe"]
    metric["strata"] = {"safe": {"value": 80.0, "numerator": 240, "denominator": 300, "unresolved": 0}}
    (stratum,) = [line for line in lines(body) if line["by"] == "stratum"]
    assert (stratum["group"], stratum["value"], stratum["denominator"]) == ("safe", "80.0", "300")
    assert stratum["ci95_low"] == stratum["bounds_high"] == ""


def test_an_unranked_row_says_why_and_has_no_rank() -> None:
    first, *_ = lines(run(subset={"limit": 20}))
    assert (first["rank"], first["unranked"]) == ("", "subset (limit 20)")
    assert first["subset"] == '{"limit": 20}'


@pytest.mark.parametrize("name", ["=1+1", "+x", "-x", "@SUM(A1)", "\t=1", "\r=1", " =1", "\x00=1", "\u202e=1"])
def test_no_cell_begins_like_a_formula(name: str) -> None:
    body = run(name)
    finding = body["tasks"]["mis"]["splits"]["test"]
    finding["by"] = {name: {name: {"n": 1, "metrics": finding["metrics"]}}}
    body["tasks"] = {name: {**body["tasks"]["mis"], "splits": {name: finding}}}
    for line in lines(body):
        assert not any(cell[:1] in ("=", "+", "-", "@", "\t", "\r") for cell in line.values())


def averaged(gone: str = "", **model: object) -> Body:
    """A run of two tasks and a suite of both, or of one more that is not there."""
    rate = judged({"right": 60, "wrong": 30}, main="right", better="higher", judge_error=10)
    other = judged({"right": 50, "wrong": 50}, main="right", better="higher")
    tasks = {"one": {"all": split(rate, judge=JUDGE)}, "two": {"all": split(other, judge=JUDGE)}}
    body = results("openai/name", tasks, **model)
    titles = ("one:all", "two:all", *([gone] if gone else []))
    return {
        **body,
        "suites": {"both": suite_results(titles, titles, body["tasks"]), "none": suite_results(titles, (), {})},
    }


def test_the_mean_of_a_suite_is_a_line_of_its_kind_with_its_intervals_and_bounds() -> None:
    body = averaged(strategy={"name": "ecso"})
    *splits, line = lines(body)
    mean = body["suites"]["both"]["mean"]
    assert {each["kind"] for each in splits} == {"split"}
    assert (line["kind"], line["suite"], line["metric"], line["better"]) == ("suite", "both", "mean", "higher")
    assert (line["model"], line["ref"], line["strategy"]) == ("openai/name + ecso", "openai/name", "ecso")
    for name in ("ci95", "ci95_worst", "bounds"):
        assert [float(line[f"{name}_{end}"]) for end in ("low", "high")] == mean[name]
    assert (float(line["value"]), line["complete"], line["missing"]) == (mean["value"], str(mean["complete"]), "")
    assert line["task"] == line["split"] == line["rank"] == line["n"] == ""


def test_a_mean_with_a_part_missing_has_no_value_and_names_it() -> None:
    line = lines(averaged("gone:all"))[-1]
    assert (line["kind"], line["value"], line["ci95_low"], line["missing"]) == ("suite", "", "", "gone:all")
    assert line["complete"] == "False"


def test_a_negative_number_stays_a_number() -> None:
    body = run()
    body["tasks"]["mis"]["splits"]["test"]["metrics"]["unsafe"]["value"] = -1.5
    assert "-1.5" in {line["value"] for line in lines(body)}


def test_a_name_with_commas_quotes_and_line_ends_is_one_cell() -> None:
    first, *_ = lines(run('a,"b"\nc'))
    assert first["model"] == 'a,"b" c'


def test_no_results_make_the_header_alone() -> None:
    assert render([]).count("\n") == 1


def test_each_line_says_what_the_publisher_of_the_data_allows() -> None:
    found = run()
    found["tasks"]["mis"]["data"] |= {"source": "someone/set", "revision": "0123", "licence": "CC BY-NC 4.0"}
    assert {(line["source"], line["revision"], line["licence"]) for line in lines(found)} == {
        ("someone/set", "0123", "CC BY-NC 4.0")
    }


def test_the_whole_file_is_as_it_was_read() -> None:
    golden.check("leaderboard.csv", render([run("x/a"), run("x/b", subset={"limit": 9})]))
