"""The leaderboard as a reader meets it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness_html import render

from harness.plugins.host import Host, use
from harness.testing.results import Body, judged, results, split
from tests.browser.pages import INJECTIONS, Seen, browser, violations
from tests.reports.labelled_runs import ALPHA, ANNOTATORS, corrected

JUDGE = "mis-openai-judge-1f3a9c2e"


def run(ref: str, unsafe: int, right: int = 500, **changes: Any) -> Body:
    local = {"identity": {"fingerprint": {"files": ref}}} if ref.startswith("hf/") else {}
    tasks = {
        "mis": {"test": split(judged({"ASR": unsafe, "RSR": 1000 - unsafe}, main="ASR"), judge=JUDGE, **changes)},
        "mmmu": {
            "all": split(
                judged({"accuracy": right, "wrong": 1000 - right}, main="accuracy", better="higher"), judge="choice-2"
            )
        },
    }
    return results(ref, tasks, **local)


def labelled(body: Body) -> Body:
    """The run with labels of people for its first main number, and too few for the other metric."""
    metrics = body["tasks"]["mis"]["splits"]["test"]["metrics"]
    metrics["ASR"]["corrected"] = corrected(38.0, alpha=ALPHA, annotators=ANNOTATORS, adds_nothing=True)
    metrics["RSR"]["corrected"] = corrected(None)
    return body


@pytest.fixture(scope="module")
def leaderboard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four models, one of which is a subset, as a file."""
    runs = [
        run("openai/worst", 900),
        run("hf/best", 100, 300),
        labelled(run("openai/middle", 400, 800)),
        run("hf/part", 5, subset={"limit": 10}),
    ]
    path = tmp_path_factory.mktemp("page") / "leaderboard.html"
    with use(Host.load()):
        path.write_text(render(runs), encoding="utf-8")
    return path


@pytest.fixture
def opened(leaderboard: Path) -> Iterator[Seen]:
    with browser() as seen:
        seen.page.goto(leaderboard.as_uri())
        yield seen
        seen.clean()


def models(seen: Seen, table: str = "overview") -> list[str]:
    """The rows a reader sees, from top to bottom."""
    return list(seen.page.locator(f"#{table} tbody tr:visible th bdi").all_inner_texts())


def test_a_head_sorts_down_up_and_back(opened: Seen) -> None:
    head = opened.page.get_by_role("button", name="mmmu")
    original = models(opened)
    head.click()
    assert models(opened)[0] == "hf/best"
    head.click()
    assert models(opened)[0] == "openai/middle"
    assert opened.page.locator("#overview th[aria-sort=descending]").count() == 1
    head.click()
    assert models(opened) == original


def test_filters_leave_the_rows_that_fit_and_say_how_many(opened: Seen) -> None:
    opened.page.get_by_role("combobox", name="Models").select_option("API")
    assert set(models(opened)) == {"openai/worst", "openai/middle"}
    opened.page.get_by_label("Find").fill("middle")
    assert models(opened) == ["openai/middle"]
    assert "shown" in opened.page.get_by_role("status").inner_text()


def test_ranked_only_leaves_out_the_models_that_have_no_rank_anywhere(tmp_path: Path) -> None:
    part = run("hf/part", 5, subset={"limit": 10})
    part["tasks"]["mmmu"]["splits"]["all"]["subset"] = {"limit": 10}
    path = tmp_path / "page.html"
    path.write_text(render([run("x/a", 100), run("x/b", 900), part]), encoding="utf-8")
    with browser() as seen:
        seen.page.goto(path.as_uri())
        seen.page.get_by_label("ranked only").check()
        assert models(seen) == ["x/a", "x/b"]


def test_a_task_is_shown_alone(opened: Seen) -> None:
    opened.page.get_by_role("combobox", name="Task").select_option("mmmu")
    assert opened.page.locator("section[data-task]:visible").count() == 1


def test_the_page_is_worked_by_keyboard_alone(opened: Seen) -> None:
    page = opened.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    while page.evaluate("document.activeElement.innerText").split("\n")[0] != "mmmu":
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert models(opened)[0] == "hf/best"


def test_best_is_marked_in_words_and_a_subset_is_not_ranked(opened: Seen) -> None:
    marked = opened.page.locator("#overview td.best")
    assert "best" in marked.first.inner_text().lower()
    part = opened.page.locator("#overview tr", has_text="hf/part").locator(".dagger").first
    assert "not ranked: subset (limit 10)" in part.inner_text()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_stands_in_the_way_of_a_screen_reader_in_light_and_dark(
    leaderboard: Path, scheme: str, width: int
) -> None:
    with browser(color_scheme=scheme, viewport={"width": width, "height": 800}) as seen:
        seen.page.goto(leaderboard.as_uri())
        for details in seen.page.locator("details").all():
            details.evaluate("each => { each.open = true; }")
        assert violations(seen.page) == []


def test_dark_is_what_the_system_says_until_the_reader_says_otherwise(leaderboard: Path) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    with browser(color_scheme="dark") as seen:
        seen.page.goto(leaderboard.as_uri())
        dark = seen.page.evaluate(ground)
        seen.page.get_by_role("button", name="Light").click()
        assert seen.page.evaluate(ground) == "rgb(255, 255, 255)" != dark


def test_on_paper_the_page_is_light_and_no_wider_whatever_the_reader_chose(leaderboard: Path) -> None:
    with browser(color_scheme="dark", viewport={"width": 718, "height": 1000}) as seen:
        seen.page.goto(leaderboard.as_uri())
        seen.page.evaluate("document.documentElement.dataset.theme = 'dark'")
        seen.page.emulate_media(media="print")
        assert seen.page.evaluate("getComputedStyle(document.body).color") == "rgb(22, 25, 29)"
        assert seen.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= 718


def test_a_phone_scrolls_tables_and_never_the_page(leaderboard: Path) -> None:
    with browser(viewport={"width": 390, "height": 800}) as seen:
        seen.page.goto(leaderboard.as_uri())
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= 390
        for details in seen.page.locator("details").all():
            details.evaluate("each => { each.open = true; }")
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= 390
        drawing = seen.page.locator(".drawing svg:visible").first
        shown = drawing.evaluate("each => each.getBoundingClientRect().width")
        assert shown == float(drawing.get_attribute("width") or 0)


def test_no_name_and_no_mark_makes_the_page_wider_than_its_window(tmp_path: Path) -> None:
    long = "x" * 3000
    body = run(long, 5, subset={"limit": 9})
    columns = judged({f"metric_{place}": 10 for place in range(9)}, main="metric_8")
    body["tasks"][long] = {**body["tasks"]["mis"], "splits": {long: split(columns, judge=JUDGE, subset={"limit": 9})}}
    body["tasks"][long]["data"] = {"source": long, "revision": long, "sha256": long, "licence": long}
    path = tmp_path / "page.html"
    path.write_text(render([body, run("x/b", 900)]), encoding="utf-8")
    for width in (1280, 390):
        with browser(viewport={"width": width, "height": 800}) as seen:
            seen.page.goto(path.as_uri())
            assert seen.page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_data_is_downloaded_as_csv_and_json_alike(opened: Seen) -> None:
    texts = {}
    for name in ("CSV", "JSON"):
        with opened.page.expect_download() as waiting:
            opened.page.get_by_role("button", name=f"Download {name}").click()
        texts[name] = Path(waiting.value.path()).read_text(encoding="utf-8")
    rows, lines = json.loads(texts["JSON"]), list(csv.DictReader(io.StringIO(texts["CSV"])))
    assert len(rows) == len(lines) == 16
    assert [row["model"] for row in rows] == [line["model"] for line in lines]
    assert [row["value"] for row in rows] == [float(line["value"]) for line in lines]


def test_people_stand_below_the_judges_number_and_their_labels_unfold_by_keyboard(opened: Seen) -> None:
    cell = opened.page.locator("#board-1-table tr", has_text="openai/middle").locator("td.number").first
    shown = " ".join(cell.locator(".people").inner_text().split())
    assert shown == "by people 38.0 [34.0, 42.2] 120 labels"
    assert cell.get_attribute("data-sort") == "40.0"
    details = opened.page.locator("details.labelled")
    assert not details.get_by_role("table").is_visible()
    details.locator("summary").focus()
    opened.page.keyboard.press("Enter")
    row = details.locator("tbody tr").first
    assert "anna 71.5 [66.0, 77.0] (80 labels)" in row.inner_text()
    assert "the judge adds nothing" in row.inner_text()
    assert "none: 12 answers are labelled, and 40 are needed" in details.locator("tbody tr").last.inner_text()


def test_hostile_names_fire_nothing_and_stay_readable(tmp_path: Path) -> None:
    finding = {**judged({"ASR": 5, "RSR": 5}, main="ASR")}
    runs = []
    for place, text in enumerate(INJECTIONS):
        body = results(f"x/{text}", {text: {text: split(finding, judge=f"{text}-{place}")}}, notes=[text])
        body["tasks"][text]["data"] |= {"source": text, "licence": text, "revision": text}
        runs.append(body)
    path = tmp_path / "page.html"
    path.write_text(render(runs), encoding="utf-8")
    with browser() as seen:
        seen.page.goto(path.as_uri())
        seen.page.get_by_label("Find").fill("<script>")
        seen.page.get_by_role("button", name="Dark").click()
        seen.clean()
        assert seen.page.locator("tbody th", has_text="<img src=x onerror=window.fired=1>").count() > 0


def test_without_scripts_every_number_is_there(leaderboard: Path) -> None:
    with browser(java_script_enabled=False) as seen:
        seen.page.goto(leaderboard.as_uri())
        assert seen.page.locator("#overview tbody tr").count() == 4
        assert not seen.page.get_by_label("Find").is_visible()
