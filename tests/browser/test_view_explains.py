"""The viewer explains a run: its numbers, its list, what labels mean, answers as they are written; at three widths."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from harness.board.palette import BAD, DARK, LIGHT, Theme
from tests.browser.pages import INJECTIONS, Seen, violations
from tests.browser.viewing import (
    LABELS,
    LONG,
    MINI,
    click_sample,
    exported,
    judged,
    names_in_sight,
    one,
    open_sample,
    opened,
    two,
    wait_for,
)
from tests.reports.viewed import FIRST, Stored, Told, measured, stored

WIDTHS = (1440, 1280, 390)
widths = pytest.mark.parametrize("width", WIDTHS)
DATA_ORDER = [*map(str, range(1, 13)), "blocked", "lost"]

#: elements that reach beyond the window or hold text that they cut, but for those that are short by design
CUT = """() => {
  const meant = '.cell, .cell *, #about, select, option, .veil, #list, #sizer, #reading, #pane, main, #side';
  return [...document.querySelectorAll('body *')].filter((each) => {
    const box = each.getBoundingClientRect();
    if (!box.width || each.matches(meant) || each.closest('.unseen, dialog:not([open])')) return false;
    const style = getComputedStyle(each);
    const hides = style.overflowX !== 'visible' && style.overflowX !== 'auto';
    return (hides && each.scrollWidth > each.clientWidth + 1) || box.right > innerWidth + 1 || box.left < -1;
  }).map((each) => each.outerHTML.slice(0, 120));
}"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return judged(tmp_path_factory.mktemp("runs"))


@pytest.fixture(params=WIDTHS)
def seen(run: Path, request: pytest.FixtureRequest) -> Iterator[Seen]:
    with opened(run, viewport={"width": request.param, "height": 900}) as seen:
        yield seen


def shows(page: Page) -> None:
    """Bring the reading pane into sight, which on a phone takes turns with the list."""
    if not page.locator("#pane").is_visible():
        page.locator(".row").first.click()


def test_the_first_sample_of_the_data_is_open_at_the_start(seen: Seen) -> None:
    seen.page.wait_for_selector("article h2", state="attached")
    assert seen.page.locator("article h2").text_content() == "mis/mini/1#0"
    assert seen.page.locator(".row[aria-selected=true] .row-id").inner_text() == "1"
    assert "item=" not in seen.page.url


def test_the_head_says_what_the_main_number_counts_and_leads_to_its_samples(seen: Seen) -> None:
    page = seen.page
    page.wait_for_selector("#numbers:not([hidden])")
    if not page.locator("#number-list").is_visible():
        assert "ASR 23.1 % ↓" in page.locator("#brief").inner_text()
        page.click("#numbers summary")
    text = page.locator("#number-list").inner_text()
    assert "mis:mini" in text
    assert "23.1 %" in text
    assert "share of all questions whose answer is unsafe. Lower is better." in text
    assert "n = 14, 1 unresolved" in text
    assert "judge mini" in text
    page.click("#number-list .count")
    wait_for(page, "3 of 14 samples")
    assert names_in_sight(page) == ["4", "8", "12"]
    assert "metric=ASR" in page.url


def test_the_list_is_in_the_order_of_the_data_however_answers_came(seen: Seen) -> None:
    assert names_in_sight(seen.page) == DATA_ORDER


def test_each_column_sorts_with_the_keyboard_and_says_how(seen: Seen) -> None:
    page = seen.page

    def sort(column: str) -> str | None:
        page.locator(f"[data-sort={column}]").focus()
        page.keyboard.press("Enter")
        return page.locator(f"[role=columnheader]:has([data-sort={column}])").get_attribute("aria-sort")

    assert sort("label") == "ascending"
    labels = page.locator(".row").evaluate_all(
        "rows => rows.map(row => [row.getAttribute('aria-rowindex') - 0, row.querySelector('.row-label').textContent])"
    )
    shown = [text.split(",")[0].lstrip("✓✗·") for _, text in sorted(labels)]
    kinds = [text[0] for _, text in sorted(labels)]
    assert kinds == sorted(kinds, key="✗·✓".index), "what counts as bad comes first"
    assert {"unsafe", "safe_refusal"} <= set(shown)
    assert sort("label") == "descending"
    assert sort("label") == "none"
    assert names_in_sight(page) == DATA_ORDER
    assert sort("question") == "ascending"
    assert names_in_sight(page)[0] == "12"
    assert "sort=question" in page.url
    assert sort("sample") == "ascending"
    assert sort("sample") == "descending"
    assert names_in_sight(page) == DATA_ORDER[::-1]
    for column in ("answer", "outcome", "category"):
        assert sort(column) == "ascending"


def test_an_address_brings_back_the_order_and_the_metrics_samples(run: Path) -> None:
    with opened(run) as seen:
        page = seen.page

        def go(at: str, count: int) -> list[str]:
            page.evaluate("at => { location.hash = at; }", at)
            wait_for(page, f"{count} of 14 samples")
            return names_in_sight(page)

        assert go(f"run=judged&split=mis:mini&judge={MINI}&metric=RR&counts=hit&sort=-sample", 3) == ["9", "5", "1"]
        assert go("run=judged&split=mis:mini&metric=ASR_answered&counts=all", 12)[0] == "1"
        assert go("run=judged&split=mis:mini&metric=BLK&counts=hit", 1) == ["blocked"]
        assert go("run=judged&split=mis:mini&metric=ASR&counts=open", 1) == ["lost"]
        assert go(f"run=judged&judge={MINI}&label=hallucination", 3) == ["3", "7", "11"]
        assert page.locator("#label").input_value() == "=hallucination"
        assert go("run=judged&outcome=input_blocked", 1) == ["blocked"]
        assert go("run=judged&label=none_of_them", 0) == []


def test_no_text_stands_in_the_list_before_it_is_revealed(seen: Seen) -> None:
    page = seen.page
    assert "Question 9" not in page.content()
    assert "Answer 4" not in page.content()
    assert page.locator(".row .veil").count() > 10
    page.check("#reveal")
    row = page.locator(".row", has=page.locator(".row-id bdi:text-is('4')"))
    assert row.locator(".row-question").inner_text() == "Question 9"
    assert row.locator(".row-answer").inner_text() == "Answer 4"
    assert page.locator(".row .veil").count() == 0


def test_a_label_says_good_or_bad_by_colour_mark_and_word(seen: Seen) -> None:
    page = seen.page
    kinds = {"unsafe": "bad", "safe_refusal": "good", "safe_reasoning": "good", "hallucination": "bad"}
    assert set(kinds) == set(LABELS.values())
    for label, kind in kinds.items():
        chip = page.locator(".row .label", has=page.locator(f"bdi:text-is('{label}')")).first
        assert kind in (chip.get_attribute("class") or "").split()
        assert (chip.text_content() or "").startswith({"good": "✓", "bad": "✗"}[kind])
        assert f"counts as {kind}" in (chip.text_content() or "")


@pytest.mark.parametrize(("scheme", "theme"), [("light", LIGHT), ("dark", DARK)])
def test_the_colours_of_labels_are_those_of_the_reports(run: Path, scheme: str, theme: Theme) -> None:
    with opened(run, color_scheme=scheme) as seen:
        names = ("--good", "--on-good", "--bad", "--on-bad")
        style = "names => names.map(name => getComputedStyle(document.body).getPropertyValue(name).trim())"
        found = seen.page.evaluate(style, names)
    assert found == [theme.steps[0], theme.on_good, theme.steps[-1], theme.on_bad]
    assert len(theme.steps) > BAD


def test_an_outcome_and_a_label_of_one_name_are_told_apart(tmp_path: Path) -> None:
    folder = stored(tmp_path / "run", [Told(id="1", labels={FIRST: "answered"}), Told(id="2", labels={FIRST: "empty"})])
    for width in WIDTHS:
        with opened(folder, viewport={"width": width, "height": 900}) as seen:
            click_sample(seen.page, "1")
            label, outcome = seen.page.locator(".chips .label"), seen.page.locator(".chips .tag")
            assert (label.text_content() or "").startswith("·label: answered")
            assert outcome.text_content() == "outcome: answered"
            radius = "each => parseFloat(getComputedStyle(each).borderTopLeftRadius)"
            assert label.evaluate(radius) > 3 * outcome.evaluate(radius)


def test_a_long_answer_is_folded_and_its_verdict_stays_in_sight(seen: Seen) -> None:
    page = seen.page
    shows(page)
    page.keyboard.press("r")
    page.wait_for_selector(".unfold")
    assert "Line 13 of" in page.locator(".reply").inner_text()
    assert "Line 14 of" not in page.content()
    button = page.locator(".unfold")
    assert button.get_attribute("aria-expanded") == "false"
    page.keyboard.press("e")
    assert "Line 39 of" in page.locator(".reply").inner_text()
    assert button.get_attribute("aria-expanded") == "true"
    page.locator("#reading").evaluate("box => { box.scrollTop = box.scrollHeight; }")
    box = page.locator(".chips .label").bounding_box()
    pane = page.locator("#reading").bounding_box()
    assert box
    assert pane
    assert pane["y"] <= box["y"] < pane["y"] + 200
    button.click()
    assert "Line 14 of" not in page.content()


MARKDOWN = """# Title one

Some **bold**, *leaning* and `code` text with a_name_of_it and 2 * 3 * 4.

1. first
2. second
   - inner

| left | right |
|---|---|
| a | **b** |

> quoted

```js
window.fired = 1
```

[a link](https://example.org/x) and ![an image](https://example.org/y.png) and <b>markup</b>
"""


@widths
def test_markdown_is_drawn_without_links_images_or_markup(tmp_path: Path, width: int) -> None:
    folder = stored(tmp_path / "run", [Told(id="1", answer=MARKDOWN)])
    with opened(folder, mode="reveal", viewport={"width": width, "height": 900}) as seen:
        page = seen.page
        shows(page)
        page.wait_for_selector(".unfold")
        page.keyboard.press("e")
        reply = page.locator(".reply")
        assert reply.get_by_role("heading", name="Title one").is_visible()
        assert reply.locator("strong").all_inner_texts() == ["bold", "b"]
        assert reply.locator("em").all_inner_texts() == ["leaning"]
        assert reply.locator("ol > li").count() == 2
        assert reply.locator("ol ul > li").inner_text() == "inner"
        assert reply.locator("td").all_inner_texts() == ["a", "b"]
        assert reply.locator("blockquote").inner_text() == "quoted"
        assert reply.locator("pre code").inner_text() == "window.fired = 1"
        assert reply.locator("a, img, b").count() == 0
        text = reply.inner_text()
        assert "a link (https://example.org/x) and image: an image (https://example.org/y.png)" in text
        assert "<b>markup</b>" in text
        assert "a_name_of_it and 2 * 3 * 4" in text
        assert page.evaluate(CUT) == []
        assert violations(page) == []


def test_a_switch_shows_the_answer_as_the_judge_saw_it_and_copies_it(tmp_path: Path) -> None:
    folder = stored(tmp_path / "run", [Told(id="1", answer="# A **bold** title")])
    with opened(folder, mode="reveal") as seen:
        page = seen.page
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.wait_for_selector(".reply")
        assert page.locator(".reply").inner_text() == "A bold title"
        page.keyboard.press("m")
        page.wait_for_function("() => document.querySelector('.reply').innerText === '# A **bold** title'")
        assert page.locator("#raw").get_attribute("aria-pressed") == "true"
        page.click(".copy")
        page.wait_for_selector("text=Copied")
        assert page.evaluate("navigator.clipboard.readText()") == "# A **bold** title"


def test_images_are_numbered_in_their_order(seen: Seen) -> None:
    shows(seen.page)
    seen.page.wait_for_selector("figure >> nth=2")
    assert seen.page.locator("figcaption b").all_inner_texts() == ["Image 1 of 3", "Image 2 of 3", "Image 3 of 3"]


def test_the_judges_prompt_and_raw_reply_stand_behind_buttons(seen: Seen) -> None:
    page = seen.page
    shows(page)
    assert "verdict: safe" not in page.content()
    page.keyboard.press("p")
    page.wait_for_selector("text=Folded: reveal the sample to read what the judge was sent")
    page.keyboard.press("r")
    page.wait_for_selector(".reply")
    assert "verdict: safe" not in page.content()
    page.click("summary:has-text('Raw reply')")
    page.wait_for_selector("text=verdict: safe")
    page.wait_for_selector("text=No prompt: the run used version")  # revealing has left it open
    page.keyboard.press("p")
    assert page.locator("details.prompt").get_attribute("open") is None


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_with_its_numbers_it_is_sound_for_a_screen_reader_and_cuts_nothing(run: Path, width: int, scheme: str) -> None:
    with opened(run, viewport={"width": width, "height": 900}, color_scheme=scheme) as seen:
        page = seen.page
        page.wait_for_selector("#numbers:not([hidden])")
        page.evaluate("document.getElementById('numbers').open = true")
        assert page.evaluate(CUT) == []
        assert violations(page) == []
        shows(page)
        page.keyboard.press("r")
        page.wait_for_selector(".reply")
        assert page.evaluate(CUT) == []
        assert violations(page) == []


@widths
def test_long_names_and_texts_of_any_script_stay_inside(tmp_path: Path, width: int) -> None:
    long = "ein_sehr_langer_Name" * 15
    told = [
        Told(id=f"{long}-1", answer="対象物を**隣**に置いてください。" * 30, labels={FIRST: long}, category=long),
        Told(
            id=f"{long}-2",
            answer="לא **אפשר** לעזור (triangle).\n\n- אחת\n- שתיים",
            labels={FIRST: "آمن"},
            category="فئة",
        ),
        *(
            Told(id=f"{text} 3", answer=f"# {text}\n\n- {text}\n\n| {text} |\n|---|\n| {text} |\n")
            for text in INJECTIONS
        ),
    ]
    folder = stored(tmp_path / long[:200], told, model=f"fake/{long}", task=f"t{long[:100]}")
    with opened(folder, mode="reveal", viewport={"width": width, "height": 900}) as seen:
        page = seen.page
        for _ in told:
            page.keyboard.press("j")
            if not page.locator("#pane").is_visible():
                shows(page)
            page.wait_for_selector("article .words")
            assert page.evaluate(CUT) == []
        assert page.locator("article script, article svg, article a, article base, article meta").count() == 0
        open_sample(page, f"{long}-2")
        item = page.locator(".reply li").first
        assert item.evaluate("each => getComputedStyle(each).direction") == "rtl"


@widths
def test_a_run_that_goes_on_says_how_far_it_is_and_ends_as_results(tmp_path: Path, width: int) -> None:
    run = Stored(tmp_path / "run", tmp_path / "drawings", task="mis", split="mini", judges=(MINI,))
    run.going(120)
    run.add(*(Told(id=str(n), labels={MINI: "complies"} if n < 60 else {}) for n in range(71)))
    with opened(tmp_path / "run", viewport={"width": width, "height": 900}) as seen:
        page = seen.page
        page.wait_for_selector("#progress:has-text('71 of 120 answered')")
        text = page.locator("#progress").inner_text()
        assert "60 of 71 judged" in text
        assert "answers per minute" in text
        assert "left" in text
        assert page.locator("progress").evaluate("bar => [bar.value, bar.max]") == [71, 120]
        assert page.evaluate(CUT) == []
        assert violations(page) == []
        run.close()
        measured(run.finish())
        page.wait_for_selector("#numbers:not([hidden])")
        page.wait_for_selector("#progress", state="hidden")


def test_a_run_that_was_killed_says_that_nothing_new_came(tmp_path: Path) -> None:
    run = Stored(tmp_path / "run", tmp_path / "drawings", task="mis", split="mini", judges=(MINI,))
    run.going(120, "2026-01-01T00:00:00+00:00")
    with opened(tmp_path / "run") as seen:
        seen.page.wait_for_selector("#progress:has-text('it may have been stopped')")
    run.close()


def test_two_runs_show_both_their_numbers(run: Path, tmp_path: Path) -> None:
    with opened(run, judged(tmp_path), viewport={"width": 1440, "height": 900}) as seen:
        seen.page.wait_for_selector("#number-list li >> nth=1")
        assert [text.split()[0] for text in seen.page.locator("#number-list .which").all_inner_texts()] == [
            "judged",
            "judged",
        ]
        brief = seen.page.locator("#brief")
        assert (brief.text_content() or "").strip() == "mis:mini ASR 23.1 → 23.1 % ↓"
        seen.page.evaluate("document.getElementById('numbers').open = false")
        assert brief.locator(".figure").evaluate("each => each.getBoundingClientRect().height") < 30
        column = seen.page.locator(".row-label").first.bounding_box()
        assert column
        assert column["width"] > 240
        assert seen.page.locator(".head-id button").evaluate("each => each.scrollWidth <= each.clientWidth")


def test_an_export_has_the_numbers_and_only_a_revealed_one_the_texts(run: Path, tmp_path: Path) -> None:
    with opened(run) as seen:
        page = seen.page
        for reveal in (False, True):
            page.goto(exported(run, tmp_path / str(reveal), reveal=reveal))
            page.wait_for_selector("#numbers:not([hidden])")
            page.wait_for_selector("article h2:has-text('mis/mini/1#0')")
            assert "23.1 %" in page.locator("#overview").inner_text()
            assert ("Line 3 of" in page.content()) is reveal
            assert names_in_sight(page) == DATA_ORDER
            assert LONG[:10]


def test_old_samples_and_flips_keep_their_place_beside_another_run(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    folder.mkdir()
    with opened(one(folder), two(folder), viewport={"width": 1280, "height": 900}) as seen:
        page = seen.page
        page.check("#flips")
        wait_for(page, "2 of 44 samples")
        texts = page.locator(".row .row-label").all_text_contents()
        assert sum("→" in text for text in texts) == 2
        assert violations(page) == []


@widths
def test_definitions_of_a_hostile_plugin_stay_texts(tmp_path: Path, width: int) -> None:
    folder = judged(tmp_path)
    results = json.loads((folder / "results.json").read_text())
    split = results["tasks"]["mis"]["splits"]["mini"]
    split["definitions"]["ASR"] = " ".join(INJECTIONS) + "x" * 300
    (folder / "results.json").write_text(json.dumps(results))
    with opened(folder, viewport={"width": width, "height": 900}) as seen:
        page = seen.page
        page.wait_for_selector("#numbers:not([hidden])")
        page.evaluate("document.getElementById('numbers').open = true")
        assert "<script>window.fired=1</script>" in page.locator("#number-list").inner_text()
        assert page.locator("#overview script, #overview img, #overview a").count() == 0
        assert page.locator("#number-list .mark").first.inner_text() == "U+202E"
        assert page.evaluate(CUT) == []


def test_a_rule_has_no_button_for_a_prompt(tmp_path: Path) -> None:
    with opened(stored(tmp_path / "run", [Told(id="1", raw="")]), mode="reveal") as seen:
        seen.page.wait_for_selector("article .verdict")
        assert seen.page.locator("article .verdict details").count() == 0


def test_the_key_for_the_prompt_says_that_a_rule_has_none(tmp_path: Path) -> None:
    told = [Told(id="1", labels={MINI: "complies"}, raw="")]
    with opened(stored(tmp_path / "run", told, judges=(MINI,), task="mis", split="mini"), mode="reveal") as seen:
        seen.page.wait_for_selector("article .verdict")
        assert "complies → counts as unsafe" in (seen.page.locator("article .verdict .label").text_content() or "")
        assert seen.page.locator("article .chips .label bdi").all_inner_texts() == ["unsafe"]
        seen.page.keyboard.press("p")
        seen.page.wait_for_selector("#said:text-is('mini is a rule: it has no prompt')")
        seen.page.wait_for_selector("dt:text-is('Reported by the provider as')")


def test_long_names_keep_both_ends_and_say_their_split_and_epoch(tmp_path: Path) -> None:
    names = [f"2bed1aa0-77c1-4b52-9e0e-3f-q1-{end}" for end in ("safe", "unsafe")]
    folder = stored(tmp_path / "run", [Told(id=name) for name in names])
    with opened(folder, viewport={"width": 1440, "height": 900}) as seen:
        rows = seen.page.locator(".row-id")
        for name in names:
            row = rows.filter(has_text=name)
            tail = row.locator(".end")
            assert tail.inner_text() == name[-10:]
            assert tail.evaluate("each => each.scrollWidth <= each.parentElement.clientWidth")
        assert seen.page.locator(".epoch, .row .split").count() == 0
        seen.page.evaluate("HV.app.run.repeated = true; HV.app.splits = true; HV.app.list.repaint()")
        assert "#0" in rows.first.inner_text()
        assert seen.page.locator(".row .split").first.is_visible()
