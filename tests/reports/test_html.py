from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from harness_html import render, space_files
from harness_html.page import to_csv
from harness_html.tables import Scale

from harness import plugins
from harness.board.leaderboard import boards
from harness.plugins.host import Host, use
from harness.testing.results import Body, judged, metric, results, split
from tests.golden import check
from tests.reports.figure_runs import everything

JUDGE = "mis-openai-judge-1f3a9c2e"
DRAWING = r'(?<=<div class="drawing")[^>]*>.*?(?=</div>)'


def run(ref: str = "x/a", unsafe: int = 800, task: str = "mis", judge: str = JUDGE, **changes: Any) -> Body:
    finding = judged({"ASR": unsafe, "RSR": 1000 - unsafe}, main="ASR")
    return results(ref, {task: {"test": split(finding, judge=judge, **changes)}})


class Parsed(HTMLParser):
    """What a browser would load, run or style, and the text it would show."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.inline: list[str] = []
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href", "srcset", "data", "action", "poster") and value:
                self.loads.append(value)
            if name == "style" or name.startswith("on"):
                self.inline.append(f"{tag} {name}")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def shown(html: str) -> str:
    """The text; a place where a name may break is none between words."""
    return " ".join(" ".join(Parsed(html.replace("<wbr>", "")).text).split())


def test_the_page_loads_nothing_and_styles_nothing_in_line() -> None:
    parsed = Parsed(render([run(), run("x/b", 100)]))
    assert all(url.startswith("#") for url in parsed.loads)
    assert parsed.inline == []


def test_the_policy_allows_the_pages_own_style_and_script_and_nothing_else() -> None:
    html = render([run()])
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy.startswith("default-src &#39;none&#39;; style-src &#39;sha256-")
    assert "unsafe" not in policy
    assert "http" not in policy


def test_the_page_of_some_runs_stays_as_it_is_but_for_its_style_its_script_and_its_drawings() -> None:
    html = render(everything())
    for left_out in (r"(?<=<style>).*?(?=</style>)", r"(?<=<script>).*?(?=</script>)", r"(?<=sha256-)[^&]+", DRAWING):
        html = re.sub(left_out, "…", html, flags=re.DOTALL)
    check("leaderboard.html", html)


def test_the_same_results_make_the_same_page() -> None:
    assert render([run(), run("x/b", 100)]) == render([run(), run("x/b", 100)])


def test_data_of_which_no_revision_could_be_checked_say_so_on_the_page() -> None:
    body = run("x/a")
    body["tasks"]["mis"]["data"] |= {"source": "owner/set", "revision": "abc123", "checked": "none"}
    assert "owner/set abc123 (no revision could be checked)" in shown(render([body]))


def test_a_number_stands_with_its_interval_n_coverage_blocks_judge_date_and_data() -> None:
    body = run("x/a", 803, blocked=4)
    body["tasks"]["mis"]["data"] |= {"source": "owner/set", "revision": "abc123"}
    text = shown(render([body]))
    for told in (
        "80.3",
        "[77.7, 82.6]",
        "ASR % ↓",
        "1000",
        "100%",
        " 4 ",
        "2026-01-01",
        "owner/set abc123",
        "the rubric mis (this harness's own words, version 1), applied by openai-judge",
    ):
        assert told in text


def test_a_row_has_its_rank_and_the_revision_of_its_model() -> None:
    tuned = run("hf/a", 100)
    tuned["model"]["identity"] = {"fingerprint": {"hub": "hf/a", "commit": "0123456789abcdef", "adapter": {"x": 1}}}
    asked, folder = run("x/b", 500), run("hf/c", 900)
    asked["model"]["resolved"] = ["b-2026-01-01"]
    folder["model"]["identity"] = {"fingerprint": {"config.json": {"size": 1}}}
    text = shown(render([tuned, asked, folder, run("x/part", 1, subset={"limit": 3})]))
    text = text[text.index("mis:test") :]
    for told in ("local weights, 0123456789ab + adapter ", "API, b-2026-01-01", "local weights, files "):
        assert told in text
    cells = re.findall(r'<td class="rank" data-sort="(\d*)">(.*?)</td>', render([asked, folder, tuned]))
    assert cells == [("1", "1"), ("2", "2"), ("3", "3")]


def test_answers_that_are_cut_off_are_noted() -> None:
    text = shown(render([run(flags={"truncated": 12, "refusal": 0, "verdict_like": 0})]))
    assert "x/a: of 1000 answers, 12 cut off at the token limit." in text


def test_the_methods_paragraph_says_what_was_really_run() -> None:
    html = render([run("x/a", settings={"temperature": 0.7, "max_tokens": 64}), run("x/b", 3, subset={"limit": 5})])
    text = shown(html)
    assert "2 models ran under vlm-safety-harness 0.1.0 on 2026-01-01." in text
    assert "The splits asked were those of mis (test)." in text
    assert "at temperature 0.0 and 0.7, with at most 1024 and 64 tokens" in text
    assert "judged by the rubric mis (this harness's own words, version 1), applied by openai-judge" in text
    assert "1 of 2 results is shown unranked" in text


def test_licences_of_the_data_are_listed_once() -> None:
    html = render([run("x/a"), run("x/b", 100)])
    assert html.count("<li>mis, example: CC0-1.0</li>") == 1


def test_published_rows_stand_apart_with_their_slips_and_are_never_best() -> None:
    with use(Host.load()):
        offered = [task for task, _ in plugins.current().offers("tasks")]
        html = render([results("x/a", {"mis": {"easy": split(judged({"ASR": 1, "RSR": 9}, main="ASR"), judge=JUDGE)}})])
    assert any(task.name == "mis" for task in offered)
    inside = html[html.index("Published, not measured here") :]
    assert "not 100" in inside[: inside.index("</details>")]
    assert "best" not in inside[: inside.index("</details>")]


def test_classes_of_one_split_are_tables_of_their_own() -> None:
    text = shown(render([run("x/a"), run("x/b", 100, judge="mis-openai-other-00000000")]))
    assert "mis:test (A)" in text
    assert "mis:test (B)" in text


def test_no_runs_task_or_number_is_too_odd_for_a_page() -> None:
    nothing = run("x/a", 0)
    nothing["tasks"]["mis"]["splits"]["test"]["metrics"] = {"ASR": metric(0, 0, better="lower", main=True)}
    assert "—" in shown(render([nothing]))
    assert "0 runs" in shown(render([]))


def test_the_data_ends_no_script() -> None:
    html = render([run("x/</script><b>")])
    (block,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    held = json.loads(block)
    assert held["rows"][0][held["names"].index("model")] == "x/</script><b>"


def test_a_cell_that_begins_like_a_formula_is_none() -> None:
    made = boards([run("=1+1", task="@x")])
    assert "\n'=1+1," in to_csv(made)


def test_a_space_holds_the_page_its_numbers_and_the_card_the_hub_reads() -> None:
    files = space_files([run()])
    assert {"README.md", "index.html", "leaderboard.csv", "leaderboard.json"} <= set(files)
    assert files["README.md"].startswith(b"---\ntitle: Safety leaderboard\n")
    assert b"sdk: static" in files["README.md"]
    assert files["index.html"].decode() == render([run()])


@pytest.mark.parametrize(("value", "at"), [(0.0, 0.0), (50.0, 50.0), (100.0, 100.0)])
def test_a_percent_is_drawn_on_the_whole_range(value: float, at: float) -> None:
    (board,) = boards([run("x/a", int(value * 10))])
    main = board.rows[0].main
    assert main is not None
    drawn = Scale.of([main]).draw(main.value, main.ci95_worst)
    assert drawn is not None
    assert (drawn.value, drawn.low <= drawn.value <= drawn.high) == (at, True)


def test_a_kind_of_caution_stands_once_beside_a_model_in_the_overview() -> None:
    body = results(
        "x/a",
        {name: {"all": split(judged({"ASR": 1, "safe": 9}, main="ASR"), judge=JUDGE)} for name in ("mis", "vlguard")},
        training={"tuned_from": "", "trained_on": ["mis-train", "vlguard-train"]},
    )
    html = render([body])
    overview = html[html.index('id="overview"') : html.index("</table>")]
    assert overview.count('class="flag"') == 1
    assert "mis-train" in overview
    assert "vlguard-train" in overview


def test_a_model_says_which_categories_its_training_left_out_and_the_table_its_number_there() -> None:
    found = judged({"ASR": 1, "safe": 9}, main="ASR")
    by: Body = {"category": {"Self-Harm": {"n": 10, "metrics": found["metrics"]}, "Other": {"n": 10, "metrics": {}}}}
    body = results(
        "x/a",
        {"mis": {"all": split({**found, "by": by}, judge=JUDGE)}, "vlguard": {"all": split(found, judge=JUDGE)}},
        training={"tuned_from": "x/base", "trained_on": [], "held_out": ["self_harm"]},
    )
    html = render([body])
    assert html.count("held out: <bdi>self_harm</bdi>") == 3  # in the overview and in both tables
    assert html.count("x/a: Self-Harm was held out of its training; ASR there is 10.0") == 1
    assert "held out" not in render([run()])
