"""The leaderboard of twelve models and of strangers' plugins: what it explains, how it is read, what its filters do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness_html import render
from playwright.sync_api import Page

from harness.board import words
from harness.testing.results import Body, judged, results, split
from tests.browser.pages import INJECTIONS, Seen, browser, violations
from tests.reports.many_runs import MODELS, twelve

WIDTHS = (1440, 1280, 390)
JUDGE = "mis-openai-judge-1f3a9c2e"


def write(folder: Path, runs: list[Body]) -> Path:
    path = folder / "leaderboard.html"
    path.write_text(render(runs), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def page12(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("twelve"), twelve())


@pytest.fixture
def seen(page12: Path) -> Iterator[Seen]:
    """The page on a desktop."""
    with browser(viewport={"width": 1440, "height": 900}) as opened:
        opened.page.set_default_timeout(10_000)
        opened.page.goto(page12.as_uri())
        yield opened
        opened.clean()


def height(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollHeight"))


def tip(page: Page) -> str:
    return page.locator("#tip:visible").inner_text()


def columns(page: Page, table: str = "overview") -> list[str]:
    heads = page.locator(f"#{table} thead tr:last-child th:visible").all_inner_texts()
    return [" ".join(head.replace("⤵", "").split()) for head in heads]


def models(page: Page, table: str = "overview") -> list[str]:
    return list(page.locator(f"#{table} tbody tr:visible th > bdi").all_inner_texts())


def board(page: Page, name: str) -> str:
    """The id of a board's section."""
    sections = "[...document.querySelectorAll('section[data-task]')]"
    return str(
        page.evaluate(f"(name) => {sections}.find((s) => s.querySelector('h2 bdi').textContent === name).id", name)
    )


def cut(page: Page) -> list[str]:
    """What reaches over the right edge of the window and cannot be scrolled to."""
    found: list[str] = page.evaluate(
        """[...document.querySelectorAll("body *")].filter((each) => {
          const region = each.closest(".scroll:not(.fits), .drawing");
          const place = each.getBoundingClientRect();
          return place.width > 1 && !region && !each.closest(".hidden, .skip") && place.right > innerWidth + 1;
        }).map((each) => `${each.tagName} ${each.className} ${each.id}`)"""
    )
    return found


def test_twelve_runs_take_less_than_8000_pixels_on_a_desktop_before_anything_is_unfolded(seen: Seen) -> None:
    assert height(seen.page) < 8000


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_cut_and_the_page_never_scrolls_sideways(page12: Path, width: int) -> None:
    with browser(viewport={"width": width, "height": 900}) as opened:
        opened.page.goto(page12.as_uri())
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
        assert cut(opened.page) == []
        for details in opened.page.locator("details").all():
            details.evaluate("each => { each.open = true; }")
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
        assert cut(opened.page) == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_twelve_runs_stand_in_no_reader_s_way(page12: Path, scheme: str, width: int) -> None:
    with browser(color_scheme=scheme, viewport={"width": width, "height": 900}) as opened:
        opened.page.goto(page12.as_uri())
        assert violations(opened.page) == []


def test_a_row_is_one_line_high_on_a_desktop(seen: Seen) -> None:
    name = board(seen.page, "mis:easy")
    rows = seen.page.locator(f"#{name}-table tbody tr")
    assert rows.count() == 12
    assert max(row.bounding_box()["height"] for row in rows.all() if row.bounding_box()) < 30  # type: ignore[index]


def test_the_whole_overview_is_seen_at_once_on_a_desktop(seen: Seen) -> None:
    region = seen.page.locator(".scroll", has=seen.page.locator("#overview"))
    assert region.evaluate("each => each.classList.contains('fits')")
    assert not seen.page.locator(".frame.more-right", has=seen.page.locator("#overview")).count()


@pytest.mark.parametrize("width", [1280, 390])
def test_an_edge_shows_that_a_table_goes_on(page12: Path, width: int) -> None:
    with browser(viewport={"width": width, "height": 900}) as opened:
        opened.page.goto(page12.as_uri())
        if width == 1280:
            opened.page.set_viewport_size({"width": 900, "height": 900})
        frame = opened.page.locator(".frame", has=opened.page.locator("#overview"))
        region = frame.locator(".scroll")
        assert "more-right" in (frame.get_attribute("class") or "")
        region.evaluate("each => { each.scrollLeft = each.scrollWidth; }")
        opened.page.wait_for_function(
            "() => document.querySelector('.frame:has(#overview)').classList.contains('more-left')"
        )
        assert "more-right" not in (frame.get_attribute("class") or "")
        first = opened.page.locator("#overview tbody th").first.bounding_box()
        assert first is not None
        assert first["x"] >= 0  # the names stay


def test_names_break_after_a_mark_and_never_inside_a_word(page12: Path) -> None:
    with browser(viewport={"width": 390, "height": 900}) as opened:
        opened.page.goto(page12.as_uri())
        lines: list[list[str]] = opened.page.evaluate(
            """[...document.querySelectorAll("#overview tbody th > bdi")].map((each) => {
              const lines = []; let top = null; const range = document.createRange();
              const walk = document.createTreeWalker(each, NodeFilter.SHOW_TEXT);
              while (walk.nextNode()) for (let i = 0; i < walk.currentNode.length; i++) {
                range.setStart(walk.currentNode, i); range.setEnd(walk.currentNode, i + 1);
                const place = range.getBoundingClientRect();
                if (top === null || place.top > top + 4) { lines.push(""); top = place.top; }
                lines[lines.length - 1] += walk.currentNode.data[i];
              }
              return lines;
            })"""
        )
        assert ["".join(each) for each in lines] == models(opened.page)
        assert all(line[-1] in "/-_." for each in lines for line in each[:-1])
        assert any(len(each) > 1 for each in lines)


def test_the_head_of_a_table_stays_while_the_page_scrolls(seen: Seen) -> None:
    name = board(seen.page, "vlsbench")
    seen.page.locator(f"#{name}-table tbody tr").nth(6).evaluate("each => each.scrollIntoView({ block: 'start' })")
    seen.page.evaluate("scrollBy(0, -40)")
    head = seen.page.locator(f"#{name}-table thead th").first.bounding_box()
    assert head is not None
    assert -1 <= head["y"] <= 1


def test_the_contents_stay_beside_the_page_on_a_desktop_and_are_folded_on_a_phone(seen: Seen) -> None:
    seen.page.evaluate("scrollTo(0, 4000)")
    link = seen.page.locator("#contents").get_by_role("link", name="mmstar", exact=False)
    assert link.is_visible()
    link.click()
    place = seen.page.locator(f"#{board(seen.page, 'mmstar:val')}").bounding_box()
    assert place is not None
    assert 0 <= place["y"] < 100
    seen.page.set_viewport_size({"width": 390, "height": 900})
    assert not link.is_visible()
    seen.page.locator("#contents summary").focus()
    seen.page.keyboard.press("Enter")
    assert link.is_visible()


def test_the_overview_is_grouped_by_what_the_splits_ask(seen: Seen) -> None:
    groups = seen.page.locator("#overview .groups th")
    assert groups.all_inner_texts() == ["safety", "over-refusal", "ability"]
    assert [each.get_attribute("colspan") for each in groups.all()] == ["7", "2", "2"]
    assert [name.split()[0] for name in columns(seen.page)[-4:]] == [
        *("mossbench:oversensitivity", "xstest:safe", "mmstar:val", "mmmu:val")
    ]


def test_a_group_has_a_mean_only_where_a_suite_defines_one(tmp_path: Path) -> None:
    runs = twelve(MODELS[:3])
    number = {"value": 12.5, "unit": "%", "better": "lower", "ci95": [11.0, 14.0], "ci95_worst": [11.0, 14.0]}
    of = {f"mis:{name}": {"metric": "ASR", "value": 12.5} for name in ("easy", "hard")}
    across = {**of, "mmmu:val": {"metric": "accuracy", "value": 50.0}}
    for place, body in enumerate(runs[:2]):
        missing: dict[str, Any] = {"value": None, "ci95": None, "ci95_worst": None} if place else {}
        mean = {**number, "of": of, "missing": ["mis:real"] if place else [], "complete": not place, **missing}
        body["suites"] = {
            "harm": {"mean": mean},
            "all": {"mean": {**number, "of": across, "missing": [], "complete": True}},
        }
    with browser() as opened:
        opened.page.goto(write(tmp_path, runs).as_uri())
        heads = columns(opened.page)
        assert "harm mean % ↓" in heads
        assert not any(head.startswith("all ") for head in heads)
        cells = opened.page.locator(f"#overview tbody tr td:nth-child({heads.index('harm mean % ↓') + 1})")
        texts = {
            model: " ".join(cell.split())
            for model, cell in zip(models(opened.page), cells.all_inner_texts(), strict=True)
        }
        assert texts[MODELS[0]] == "12.5 [11.0, 14.0]"
        assert texts[MODELS[1]] == "— no value: missing: mis:real"
        assert texts[MODELS[2]] == "—"
        opened.clean()


def test_a_reader_chooses_a_suite_and_has_all_its_tables_in_its_order(tmp_path: Path) -> None:
    runs = twelve(MODELS[:3])
    odd = 'odd "name" of one\'s own'
    for body in runs:
        body["suites"] = {
            "harm": {"splits": ["figstep:full", "mis:easy", "mssbench:chat", "vlsbench:all"], "mean": None},
            odd: {"splits": ["xstest:safe", "mssbench:chat", "mis:easy"], "mean": None},
        }
    titles = ["figstep:full", "mis:easy", "mssbench:chat", "vlsbench"]
    with browser(viewport={"width": 1440, "height": 900}) as opened:
        page = opened.page
        page.goto(write(tmp_path, runs).as_uri())

        def tables() -> list[str]:
            return page.locator("main h2 > bdi:visible").all_inner_texts()

        def overview() -> list[str]:
            return [name.split()[0] for name in columns(page)[1:]]

        whole, heads = tables(), overview()
        assert whole[:5] == [*titles, "xstest:safe"]
        assert heads[:7] == [*titles, "xstest:safe", "mssbench:chat", "mis:easy"]
        groups = page.locator("#overview .groups th:visible")
        assert groups.all_inner_texts() == ["harm", odd, "safety", "over-refusal", "ability"]
        assert "Also of this suite: mssbench:chat, mis:easy (under harm)." in page.locator("main").inner_text()
        page.locator("#suite").select_option(odd)
        assert tables() == overview() == ["xstest:safe", "mssbench:chat", "mis:easy"]
        assert groups.all_inner_texts() == [odd]
        assert page.locator(".suite-name:visible").all_inner_texts() == [f"Suite {odd}"]
        assert page.locator("#contents li li:visible").all_inner_texts() == tables()
        page.reload()
        assert tables() == ["xstest:safe", "mssbench:chat", "mis:easy"], "the address remembers it"
        page.locator("#suite").select_option("harm")
        assert tables() == overview() == titles
        page.locator("#suite").select_option("")
        assert (tables(), overview()) == (whole, heads)
        opened.clean()


def test_every_explained_word_shows_its_definition_at_the_pointer_and_at_the_keyboard_s_focus(seen: Seen) -> None:
    name = board(seen.page, "mis:easy")
    head = seen.page.locator(f"#{name}-table thead").get_by_role("button", name="ASR")
    head.hover()
    assert "share of all questions whose answer is unsafe. In percent. Lower is better." in tip(seen.page)
    seen.page.keyboard.press("Escape")
    assert not seen.page.locator("#tip").is_visible()
    seen.page.mouse.move(1, 1)
    seen.page.locator(f"#{name}-table").evaluate("each => each.parentElement.focus()")
    seen.page.keyboard.press("Tab")
    seen.page.keyboard.press("Tab")
    assert tip(seen.page) == words.RANK_RULE
    seen.page.keyboard.press("Tab")
    assert tip(seen.page).startswith("Attack success rate")
    seen.page.keyboard.press("Tab")
    assert "not described by its plugin" in tip(seen.page)  # `rest` has no description


def test_every_description_that_a_word_points_to_is_there_and_says_something(seen: Seen) -> None:
    missing: list[str] = seen.page.evaluate(
        """[...document.querySelectorAll("[aria-describedby]")].map((each) => each.getAttribute("aria-describedby"))
          .filter((id) => !document.getElementById(id)?.textContent.trim())"""
    )
    assert missing == []
    used: int = seen.page.evaluate("document.querySelectorAll('thead .number [aria-describedby]').length")
    assert (
        used == seen.page.locator("thead .number button").count() - seen.page.locator(".labelled thead button").count()
    )


def test_the_glossary_is_at_the_end_and_is_printed(seen: Seen) -> None:
    entry = seen.page.locator("#glossary dt", has_text="safe_rate").first
    assert not entry.is_visible()
    seen.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    seen.page.emulate_media(media="print")
    assert entry.is_visible()
    assert seen.page.locator("#glossary").inner_text().count("Paper: ") >= 9
    seen.page.emulate_media(media="screen")


def test_a_link_to_a_word_opens_the_fold_that_holds_it(seen: Seen) -> None:
    seen.page.locator("header .term", has_text="Rank").click()
    assert seen.page.locator("#glossary dd", has_text="share a rank").is_visible()


def test_a_judge_and_a_task_are_said_in_words(seen: Seen) -> None:
    about = seen.page.locator(f"#{board(seen.page, 'mis:easy')} .about").inner_text()
    assert (
        "Judged by the rubric mis (this harness's own words, version 1), applied by openai-gpt-4o-2024-11-20." in about
    )
    assert "two images and a question that is harmful only across both" in about
    assert "Rethinking Bottlenecks in Safety Fine-Tuning" in about
    assert "Licence: CC0-1.0." in about
    rule = seen.page.locator(f"#{board(seen.page, 'mmmu:val')} .about").inner_text()
    assert "the rule choice (this harness's own words, version 1), which asks no model" in rule


def test_the_words_of_a_flag_stand_at_the_flag(seen: Seen) -> None:
    flag = seen.page.locator(f"#{board(seen.page, 'mis:easy')}-table .flag", has_text="own family")
    flag.hover()
    assert tip(seen.page).startswith("Judged by a model of its own family (OpenAI).")
    assert words.FLAGS["own_family"] in tip(seen.page)


def test_a_filter_reaches_tables_overview_columns_contents_and_figures(seen: Seen) -> None:
    page = seen.page
    page.get_by_role("combobox", name="Task").select_option("mssbench")
    assert [name.split()[0] for name in columns(page)] == ["Model", "mssbench:chat"]
    assert page.locator("#overview .groups th:visible").all_inner_texts() == ["safety"]
    assert page.locator("section[data-task]:visible").count() == 1
    assert page.locator("#contents li li:visible").all_inner_texts() == ["mssbench:chat"]
    page.get_by_role("combobox", name="Task").select_option("")
    page.get_by_role("combobox", name="About").select_option("over-refusal")
    assert [name.split()[0] for name in columns(page)] == ["Model", "mossbench:oversensitivity", "xstest:safe"]
    page.get_by_role("combobox", name="About").select_option("")
    page.get_by_label("Find").fill("qwen2-vl siuo")
    assert models(page) == [*(name for name in models(page) if "Qwen2-VL" in name)]
    assert len(models(page)) == 2
    assert [name.split()[0] for name in columns(page)] == ["Model", "siuo:gen"]


def test_a_filter_of_models_fades_the_others_in_every_figure(seen: Seen) -> None:
    page = seen.page
    shown = "each => [...new Set([...each.querySelectorAll('[data-model]:not(.faded)')].map((g) => g.dataset.model))]"
    headline = page.locator(".headline figure")
    assert len(headline.evaluate(shown)) == 12
    page.get_by_label("Find").fill("pixtral")
    number = page.locator("#overview tbody tr:visible").get_attribute("data-model")
    assert headline.evaluate(shown) == [number]
    for figure in page.locator("section[data-task] figure").all():
        assert figure.evaluate(shown) == [number] or "unfiltered" in (figure.get_attribute("class") or "")
    page.get_by_label("Find").fill("")
    assert len(headline.evaluate(shown)) == 12
    assert page.locator(".faded").count() == 0


def test_a_filter_without_a_match_says_so(seen: Seen) -> None:
    seen.page.get_by_label("Find").fill("nobody")
    assert seen.page.locator("#nothing").inner_text() == "No number fits the filter: the text “nobody”."
    assert seen.page.get_by_role("status").inner_text() == "0 rows shown."
    seen.page.get_by_label("Find").fill("")
    assert not seen.page.locator("#nothing").is_visible()
    assert len(models(seen.page)) == 12


def test_columns_are_chosen_by_keyboard_and_the_address_remembers_them_with_the_filters(seen: Seen) -> None:
    page = seen.page
    name = board(page, "mis:easy")
    page.locator(".menu summary").focus()
    page.keyboard.press("Enter")
    page.get_by_role("checkbox", name="rest").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Escape")
    assert not page.get_by_role("checkbox", name="rest").is_visible()
    assert not any(head.startswith("rest") for head in columns(page, f"{name}-table"))
    page.get_by_role("combobox", name="Task").select_option("mis")
    address = page.url
    assert "task=mis" in address
    assert "hide=rest" in address
    page.goto("about:blank")
    page.goto(address)
    assert not any(head.startswith("rest") for head in columns(page, f"{name}-table"))
    assert page.locator("section[data-task]:visible").count() == 3
    page.locator("#contents").get_by_role("link", name="mis:real").click()
    page.wait_for_function("() => location.hash.includes('?')")
    assert page.url.endswith(f"#{board(page, 'mis:real')}?task=mis&hide=rest")


def test_an_old_address_of_a_table_leads_to_it(page12: Path) -> None:
    with browser(viewport={"width": 1440, "height": 900}) as opened:
        opened.page.goto(f"{page12.as_uri()}#board-5")
        place = opened.page.locator("#board-5").bounding_box()
        assert place is not None
        assert -5 <= place["y"] < 200


def test_figures_are_folded_beside_their_table(seen: Seen) -> None:
    section = seen.page.locator(f"#{board(seen.page, 'mis:easy')}")
    folded = section.locator("details.figure")
    assert folded.count() >= 1
    assert not folded.first.locator("svg").first.is_visible()
    folded.first.locator("summary").first.click()
    assert folded.first.locator("svg").first.is_visible()


def seeded(values: list[float]) -> Body:
    """A mean over seeds."""
    unsafe = round(10 * sum(values) / len(values))
    found = judged({"ASR": unsafe, "RSR": 1000 - unsafe}, main="ASR")
    found["metrics"]["ASR"]["seeds"] = {"values": values, "sd": 1.5}
    seeds = [{"ref": f"hf/lab/a-{place}", "seed": str(place)} for place in range(len(values))]
    return results("hf/lab/a", {"mis": {"easy": split(found, judge=JUDGE)}}, seeds=seeds)


def test_a_mean_over_seeds_unfolds_to_its_runs_which_follow_it_when_sorted(tmp_path: Path) -> None:
    other = results("hf/lab/b", {"mis": {"easy": split(judged({"ASR": 900, "RSR": 100}, main="ASR"), judge=JUDGE)}})
    with browser() as opened:
        opened.page.goto(write(tmp_path, [seeded([10.0, 12.5, 14.0]), other]).as_uri())
        page, table = opened.page, "board-1-table"
        assert models(page, table) == ["hf/lab/a (3 seeds)", "hf/lab/b"]
        button = page.get_by_role("button", name="3 runs of hf/lab/a")
        button.focus()
        page.keyboard.press("Enter")
        assert button.get_attribute("aria-expanded") == "true"
        assert models(page, table) == ["hf/lab/a (3 seeds)", "hf/lab/a-0", "hf/lab/a-1", "hf/lab/a-2", "hf/lab/b"]
        assert "seed 1" in page.locator("tr.member").nth(1).inner_text()
        assert "12.5" in page.locator("tr.member").nth(1).inner_text()
        page.locator(f"#{table} thead").get_by_role("button", name="RSR").click()
        assert models(page, table) == ["hf/lab/b", "hf/lab/a (3 seeds)", "hf/lab/a-0", "hf/lab/a-1", "hf/lab/a-2"]
        page.get_by_label("Find").fill("hf/lab/b")
        assert models(page, table) == ["hf/lab/b"]
        assert violations(page) == []
        opened.clean()


def test_chinese_and_arabic_names_keep_their_order_and_their_place(tmp_path: Path) -> None:
    names = ("本地/通义千问视觉语言模型旗舰版二零二六年一月", "محلي/نموذج-الرؤية-واللغة (3)", "hf/plain")
    runs = [
        results(
            name,
            {"多图安全": {"难": split(judged({"成功率": 50 + place, "拒绝": 50 - place}, main="成功率"), judge=JUDGE)}},
        )
        for place, name in enumerate(names)
    ]
    for width in WIDTHS:
        with browser(viewport={"width": width, "height": 900}) as opened:
            opened.page.goto(write(tmp_path, runs).as_uri())
            assert set(models(opened.page, "board-1-table")) == set(names)
            assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
            assert cut(opened.page) == []
            assert violations(opened.page) == []
            opened.clean()


def test_names_of_300_characters_stay_inside_at_every_width(tmp_path: Path) -> None:
    whole, marked = "n" * 300, "lab/" + "-".join(["name"] * 59)
    runs: list[Body] = []
    for name in (whole, marked):
        found = judged({f"m{whole}": 5, f"s{whole}": 5}, main=f"m{whole}")
        body = split(found, judge=JUDGE, definitions={f"m{whole}": f"d{whole}" * 9}, group="safety")
        runs.append(results(name, {whole: {"all": body}, marked: {whole: body}}))
    path = write(tmp_path, runs)
    for width in WIDTHS:
        with browser(viewport={"width": width, "height": 900}) as opened:
            opened.page.goto(path.as_uri())
            for details in opened.page.locator("details").all():
                details.evaluate("each => { each.open = true; }")
            assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
            assert cut(opened.page) == []
            opened.page.locator("#board-1-table thead button").nth(2).focus()
            opened.clean()


def test_descriptions_that_hold_markup_are_shown_and_do_nothing(tmp_path: Path) -> None:
    runs: list[Body] = []
    for place, text in enumerate(INJECTIONS):
        found = judged({text or "m": 5, f"other {place}": 5}, main=text or "m")
        found["metrics"][text or "m"]["seeds"] = {"values": [10.0, 20.0], "sd": 7.0}
        body = split(
            found, judge=f"j-openai-x-{place}", group=text, fidelity=text, definitions={text: text, "other": text}
        )
        run = results(f"x/{text}", {text: {text: body}}, notes=[text], seeds=[{"ref": text, "seed": text}] * 2)
        card = run["judges"][f"j-openai-x-{place}"]
        card |= {
            "rubric": text,
            "version": text,
            "fidelity": text,
            "model": text,
            "labels": {text: text, "other": text},
        }
        run["tasks"][text]["data"] |= {"source": text, "licence": text, "revision": text}
        run["model"]["training"] = {"tuned_from": text, "trained_on": [text, "x"], "held_out": [text]}
        runs.append(run)
    path = write(tmp_path, runs)
    with browser(viewport={"width": 1440, "height": 900}) as opened:
        page = opened.page
        page.goto(
            f"{path.as_uri()}#<img src=x onerror=window.fired=1>?task=<b>&find=<script>window.fired=1</script>&hide=<i>"
        )
        page.goto(path.as_uri())
        page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
        for each in page.locator("[aria-describedby]:visible").all()[:60]:
            each.focus()
        page.get_by_label("Find").fill("<script>")
        page.get_by_label("Find").fill("")
        assert page.locator("#glossary dd", has_text="<img src=x onerror=window.fired=1>").count() > 0
        assert page.locator("script").count() == 2
        opened.clean()
