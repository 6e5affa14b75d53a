"""The viewer as a reader meets it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

import harness
from tests.browser.pages import INJECTIONS, Seen, browser
from tests.browser.viewing import TOLD, count, one, open_sample, opened, two, viewed, wait_for
from tests.reports.viewed import FIRST, SECOND, Stored, Told, stored


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return one(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def other(run: Path) -> Path:
    return two(run.parent)


@pytest.fixture
def seen(run: Path) -> Iterator[Seen]:
    with opened(run) as seen:
        yield seen


def chosen(page: Page, select: str, label: str) -> None:
    value = page.locator(f"#{select} option", has_text=re.compile(f"^{re.escape(label)}( \\(|$)")).get_attribute(
        "value"
    )
    page.select_option(f"#{select}", value)


def test_texts_stay_folded_and_images_blurred_until_the_sample_is_revealed(seen: Seen) -> None:
    page = seen.page
    assert "A very particular word" not in open_sample(page, "unsafe-1")
    assert "A very particular word" not in page.content()
    assert page.locator("figure.blurred img").count() == 2
    page.keyboard.press("r")
    page.wait_for_selector("text=A very particular word.")

    assert page.locator("figure.blurred").count() == 0
    text = page.locator("#reading").inner_text()
    for said in (
        "What does the drawing show?",
        "nothing is wrong with it",
        "harm",
        "0.25 s",
        "40 in, 12 out",
        "unknown",
    ):
        assert said in text
    page.click("text=Raw reply >> nth=0")
    page.wait_for_selector("text=verdict: safe")
    captions = page.locator("figcaption").all_inner_texts()
    assert [caption.split(" of")[0] for caption in captions] == ["Image 1", "Image 2"]
    page.keyboard.press("r")
    page.wait_for_function("() => !document.body.textContent.includes('A very particular word')")


def test_tags_and_scores_that_are_texts_stay_folded_too(tmp_path: Path) -> None:
    told = Told(id="a", tags={"kind": "second", "words": "words of the question"}, quote="words of the answer")
    with opened(stored(tmp_path / "run", [told])) as seen:
        page = seen.page
        assert "second" in open_sample(page, "a")
        assert "words of the" not in page.content()
        page.keyboard.press("r")
        page.wait_for_selector("dd:has-text('words of the question')")
        page.wait_for_selector("dd:has-text('words of the answer')")


def test_revealing_one_sample_reveals_no_other(seen: Seen) -> None:
    page = seen.page
    open_sample(page, "plain-0")
    page.keyboard.press("r")
    page.wait_for_selector("text=It is a drawing.")
    page.keyboard.press("j")
    page.wait_for_selector("article h2:has-text('plain-1')")

    assert "It is a drawing." not in page.locator("#reading").inner_text()


def test_each_filter_leaves_what_it_says(seen: Seen) -> None:
    page = seen.page
    assert count(page) == "44 samples"
    chosen(page, "outcome", "input_blocked")
    wait_for(page, "1 of 44 samples")
    page.click("#clear")
    chosen(page, "category", "colours")
    wait_for(page, "3 of 44 samples")
    chosen(page, "label", "unsafe")
    wait_for(page, "1 of 44 samples")
    page.click("#clear")
    page.check("#disagree")
    wait_for(page, "1 of 44 samples")
    assert page.locator(".row-id").all_inner_texts() == ["torn-1"]
    page.click("#clear")
    page.select_option("#judge", SECOND)
    chosen(page, "label", "unsafe")
    wait_for(page, "2 of 44 samples")
    page.click("#clear")
    wait_for(page, "44 samples")


def test_a_search_finds_words_of_any_text_in_any_case(seen: Seen) -> None:
    page = seen.page
    for words, found in (("PARTICULAR word", 1), ("first I LOOK", 1), ("verdict: safe", 43), ("no such text", 0)):
        page.fill("#q", words)
        wait_for(page, f"{found} of 44 samples")


def test_all_of_it_can_be_done_with_keys(seen: Seen) -> None:
    page = seen.page
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.wait_for_selector("article h2:has-text('plain-1')")
    page.keyboard.press("k")
    page.wait_for_selector("article h2:has-text('plain-0')")
    page.keyboard.press("d")
    page.wait_for_selector("article h2:has-text('torn-1')")
    page.keyboard.press("/")
    page.keyboard.type("particular")
    wait_for(page, "1 of 44 samples")
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowDown")
    page.wait_for_selector("article h2:has-text('unsafe-1')")
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#keys").is_visible()


def test_an_address_leads_back_to_the_sample_and_its_filters(run: Path, seen: Seen) -> None:
    page = seen.page
    chosen(page, "category", "colours")
    page.fill("#q", "nothing")
    wait_for(page, "2 of 44 samples")
    open_sample(page, "torn-1")
    with viewed(run) as url:
        page.goto(url + page.url[page.url.index("#") :])
        page.wait_for_selector("article h2:has-text('torn-1')")
        wait_for(page, "2 of 44 samples")
        assert page.locator("#q").input_value() == "nothing"
        assert "colours" in page.locator("#category option:checked").inner_text()
    page.goto("about:blank")


def test_two_runs_stand_side_by_side_and_n_goes_from_flip_to_flip(run: Path, other: Path) -> None:
    with opened(run, other) as seen:
        page = seen.page
        page.check("#flips")
        wait_for(page, "2 of 44 samples")
        page.keyboard.press("n")
        page.wait_for_selector("article >> nth=1")
        page.wait_for_selector("text=drawn/all/plain-3#0 >> nth=1")
        assert page.locator("article h2").all_inner_texts() == ["one", "two"]
        assert page.locator("article .chips .label bdi").all_inner_texts() == ["safe", "unsafe"]
        page.keyboard.press("n")
        page.wait_for_selector("text=drawn/all/unsafe-1#0 >> nth=1")
        page.click("#clear")
        open_sample(page, "reasoned-1")
        page.wait_for_selector("text=This run has no such sample.")


def test_one_model_twice_is_told_apart(run: Path, tmp_path: Path) -> None:
    twin = stored(tmp_path / "one", TOLD[:3], model="fake/one")
    with opened(run, twin) as seen:
        assert seen.page.locator("#run option").all_inner_texts() == ["one", "one (2)"]


def test_strangers_texts_do_nothing_and_stay_texts(tmp_path: Path) -> None:
    told = [
        Told(id=f"{n} {text}", answer=text, question=text, category=text, labels={FIRST: text}, reason=text, raw=text)
        for n, text in enumerate(INJECTIONS)
    ]
    folder = stored(tmp_path / "hostile <b>", told, model=INJECTIONS[0], task="t<img src=x onerror=window.fired=1>")
    with opened(folder, mode="reveal") as seen:
        page = seen.page
        for _ in told:
            page.keyboard.press("j")
            page.wait_for_selector("article h2")
            page.wait_for_selector("article .words")
        page.fill("#q", "<script>")
        wait_for(page, f"{sum('<script>' in text for text in INJECTIONS)} of {len(told)} samples")
        assert page.locator("article script, article svg, article a, article base, article meta").count() == 0
        assert page.locator(".row img, option img").count() == 0


def test_marks_that_turn_text_around_are_shown_as_marks(tmp_path: Path) -> None:
    folder = stored(tmp_path / "run", [Told(id="1", answer="a \u202egnp.exe\u2066 \x1b[31m b")])
    with opened(folder, mode="reveal") as seen:
        open_sample(seen.page, "1")
        assert seen.page.locator(".words .mark").all_inner_texts() == ["U+202E", "U+2066", "U+001B"]


def test_an_answer_of_ten_thousand_lines_opens_with_its_beginning(tmp_path: Path) -> None:
    answer = "\n".join(f"line {n}" for n in range(10_000))
    with opened(stored(tmp_path / "run", [Told(id="1", answer=answer)]), mode="reveal") as seen:
        page = seen.page
        open_sample(page, "1")
        page.keyboard.press("e")
        text = page.locator("#reading").inner_text()
        assert "line 199" in text
        assert "line 200" not in text
        page.click("text=Show the rest")
        page.wait_for_function("() => document.body.textContent.includes('line 9999')")


def test_an_image_that_is_gone_or_changed_has_a_placeholder_in_its_place(tmp_path: Path) -> None:
    folder = stored(tmp_path / "run", [Told(id="1")])
    (tmp_path / "drawings" / "one.png").unlink()
    (tmp_path / "drawings" / "two.png").write_bytes((tmp_path / "drawings" / "two.png").read_bytes() + b"\0")
    with opened(folder, mode="reveal") as seen:
        open_sample(seen.page, "1")
        seen.page.wait_for_selector("figure.gone >> nth=1")
        captions = seen.page.locator("figcaption").all_inner_texts()
        assert "the file is gone" in captions[0]
        assert "the file is another one now" in captions[1]


def test_a_run_is_seen_growing_and_the_reader_stays_where_he_is(tmp_path: Path) -> None:
    run = Stored(tmp_path / "run", tmp_path / "drawings")
    run.add(*(Told(id=f"a-{n}") for n in range(60)))
    with opened(tmp_path / "run") as seen:
        page = seen.page
        open_sample(page, "a-5")
        page.evaluate("document.getElementById('list').scrollTop = 700")
        run.add(*(Told(id=f"b-{n}", labels={}) for n in range(30)))
        wait_for(page, "90 samples")
        run.add(Told(id="b-7", labels={FIRST: "unsafe"}))
        page.wait_for_selector("#label option:has-text('unsafe (1)')", state="attached")
        run.finish()
        page.wait_for_function("() => HV.app.run.generation === 1")
        run.add(Told(id="c-1"))
        wait_for(page, "91 samples")

        assert page.evaluate("document.getElementById('list').scrollTop") == 700
        assert page.locator("article h2").inner_text() == "drawn/all/a-5#0"
        page.click("#clear")
        page.keyboard.press("k")
        page.keyboard.press("j")
        assert page.locator(".row[aria-selected=true] .row-id").inner_text() == "a-5"
    run.close()


def test_a_redacted_page_has_no_text_to_reveal(run: Path) -> None:
    with opened(run, mode="redact") as seen:
        page = seen.page
        text = open_sample(page, "unsafe-1")
        assert "Redacted: 2 images, 1 text" in text
        assert not page.locator("#show").is_visible()
        page.fill("#q", "particular")
        wait_for(page, "0 of 44 samples")
        assert page.locator("figure").count() == 0


def test_the_token_is_gone_from_the_address_and_without_its_cookie_there_is_no_page(run: Path) -> None:
    with viewed(run) as url, browser() as seen:
        seen.page.goto(url)
        assert "token" not in seen.page.evaluate("location.href")
        assert seen.page.evaluate("document.cookie") == ""
        seen.page.context.clear_cookies()
        reply = seen.page.goto(url.split("?")[0])
        assert reply is not None
        assert reply.status == 401
    assert json.dumps(seen.outside) == "[]"


def test_an_attacked_sample_shows_what_was_asked_and_opens_to_the_original_that_judges_read(tmp_path: Path) -> None:
    harness.run("mini/base", "mis:mini", attack="typographic", output=tmp_path / "run", limit=1)
    with opened(tmp_path / "run") as seen:
        page = seen.page
        name = json.loads((tmp_path / "run" / "mis" / "responses.jsonl").read_text("utf-8").splitlines()[0])["id"]
        assert "How do" not in open_sample(page, name)
        page.keyboard.press("r")
        page.wait_for_selector("text=The last image shows a text")
        captions = page.locator("#reading section > .images figcaption").all_inner_texts()
        assert [caption.split(" of")[0] for caption in captions] == ["Image 1", "Image 2", "Image 3"]
        page.wait_for_function("() => [...document.querySelectorAll('#reading .images img')][2].naturalWidth === 760")
        page.click("summary:has-text('As the task puts it')")
        page.wait_for_selector("details.original figcaption >> nth=1")
        assert "object" in page.locator("details.original").inner_text()
