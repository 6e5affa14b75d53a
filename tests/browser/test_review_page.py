"""The review page as a reviewer meets it: by keyboard, blurred until revealed, and without the model's opinion."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from harness_builder.review import Queue
from playwright.sync_api import Page

from tests.browser.desks import at, begin, press, serve, sit_down
from tests.browser.pages import INJECTIONS, Seen, browser, violations
from tests.training.reviewed import CATEGORIES, OPINION, candidates, queue, served


def reviewed(made: Queue) -> AbstractContextManager[str]:
    return serve(served(made))


def opened(made: Queue, **settings: Any) -> AbstractContextManager[Seen]:
    """A reviewer called ann in front of the first candidate."""
    return sit_down(served(made), "ann", **settings)


def question(page: Page) -> str:
    return page.locator("#question .words").inner_text()


def test_the_page_says_what_to_keep_and_asks_about_the_combination(tmp_path: Path) -> None:
    made = queue(tmp_path)
    with opened(made) as seen:
        page = seen.page
        criteria = page.locator("#criteria")
        assert "danger comes from both images and the question together" in criteria.inner_text()
        assert "Question and images together show no risk." in criteria.inner_text()
        press(page, "c")
        assert criteria.get_attribute("open") is None
        press(page, "r", "b", "b", "y")
        at(page, "0 decided, 4 to go")
        assert "drop this one, or change that answer" in page.locator("#said").inner_text()
        press(page, "b", "b", "y")
        at(page, "1 decided, 3 to go")
    (kept,) = made.reviews()
    assert (kept.decision, kept.combination_risky) == ("keep", True)


def test_a_queue_is_reviewed_from_first_to_last_by_keyboard_alone(tmp_path: Path) -> None:
    made = queue(tmp_path)
    with opened(made) as seen:
        page = seen.page
        press(page, "r", "t", "i", "i", "e")
        page.keyboard.type("it is keen")  # letters in a field decide nothing
        press(page, "Enter", "y")
        at(page, "1 decided, 3 to go")
        press(page, "d")
        at(page, "2 decided, 2 to go")
        press(page, "r", "f", "End")
        page.keyboard.type(" Really?")
        press(page, "Control+Enter")
        at(page, "3 decided, 1 to go")
        press(page, "r", "3", "y")
        at(page, "4 decided, 0 to go")
        page.wait_for_selector("#end:visible")
    kept, dropped, fixed, moved = made.reviews()
    assert (kept.decision, kept.text_unsafe, kept.image_harmful, kept.reason) == ("keep", True, False, "it is keen")
    assert kept.seconds > 0
    assert dropped.decision == "drop"
    assert (fixed.decision, fixed.question, fixed.category) == (
        "fix",
        made.candidates[fixed.key].question + " Really?",
        "",
    )
    assert (moved.decision, moved.question, moved.category) == ("fix", "", "places")
    assert [each.key for each in made.reviews()] == made.order("ann")


def test_the_note_comes_before_anything_else_and_stays_within_reach(tmp_path: Path) -> None:
    with reviewed(queue(tmp_path)) as url, browser() as seen:
        page = seen.page
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(url)
        page.wait_for_selector("text=Your own wellbeing comes first")
        begin(page, "ann")
        assert next(n for n, one in enumerate(asked) if "/image/" in one) > next(
            n for n, one in enumerate(asked) if "/api/desk" in one
        )
        assert not page.locator("text=Your own wellbeing").is_visible()
        press(page, "n")
        assert page.locator("#note >> text=Your own wellbeing").is_visible()
        press(page, "y")
        assert page.locator("#about").inner_text().startswith("ann: 0 decided")
        seen.clean()


def test_images_are_blurred_until_revealed_and_again_with_the_next_candidate(tmp_path: Path) -> None:
    filtered = "[...document.querySelectorAll('#images img')].map(each => getComputedStyle(each).filter)"
    with opened(queue(tmp_path)) as seen:
        page = seen.page
        assert page.evaluate(filtered) == ["blur(40px) grayscale(1)"] * 2
        assert page.locator("#images img").first.get_attribute("alt") == "Image 1 of 2, blurred"
        press(page, "y")
        assert "Reveal the images first" in page.locator("#said").inner_text()
        press(page, "r")
        assert page.evaluate(filtered) == ["none"] * 2
        press(page, "r")
        assert page.locator("figure.blurred").count() == 2
        press(page, "r", "y")
        at(page, "1 decided")
        assert page.locator("figure.blurred").count() == 2


def test_blur_and_greyscale_are_kept_in_the_browser(tmp_path: Path) -> None:
    filtered = "getComputedStyle(document.querySelector('#images img')).filter"
    with opened(queue(tmp_path)) as seen:
        page = seen.page
        press(page, "s")
        page.select_option("#blur", "light")
        page.select_option("#stays", "medium")
        page.check("#grey")
        press(page, "Escape")
        page.reload()
        page.wait_for_selector("#images img")
        assert page.evaluate(filtered) == "blur(14px) grayscale(1)"
        press(page, "r")
        assert page.evaluate(filtered) == "blur(8px) grayscale(1)"


def test_the_model_is_heard_after_the_answer_and_nowhere_before(tmp_path: Path) -> None:
    with reviewed(queue(tmp_path)) as url, browser() as seen:
        page = seen.page
        heard: list[str] = []
        page.on("response", lambda reply: heard.append(reply.text()) if "/api/" in reply.url else None)
        page.goto(url)
        begin(page, "ann")
        press(page, "r", "t", "s", "Escape")
        assert OPINION not in page.content() + "".join(heard)
        number = question(page).split()[1].rstrip(":")
        press(page, "y")
        page.wait_for_selector(f"#last >> text={OPINION} of {number}")
        press(page, "x")
        page.wait_for_selector("#last >> text=You skipped")
        assert OPINION not in page.content()


def test_a_reload_and_a_server_that_starts_anew_go_on_where_the_reviewer_stopped(tmp_path: Path) -> None:
    with opened(queue(tmp_path)) as seen:
        page = seen.page
        press(page, "d")
        at(page, "1 decided")
        here = question(page)
        page.reload()
        at(page, "1 decided, 3 to go")
        assert question(page) == here
    with opened(queue(tmp_path)) as seen:
        at(seen.page, "1 decided, 3 to go")
        assert question(seen.page) == here


def test_the_last_answer_is_taken_back_with_what_was_said(tmp_path: Path) -> None:
    made = queue(tmp_path)
    with opened(made) as seen:
        page = seen.page
        first = question(page)
        press(page, "r", "t", "2", "y")
        at(page, "1 decided")
        press(page, "u")
        at(page, "0 decided")
        assert question(page) == first
        assert page.locator("#text-unsafe :checked").get_attribute("value") == "true"
        assert not page.locator("#last").is_visible()
        press(page, "d")
        at(page, "1 decided")
    assert [each.decision for each in made.reviews()] == ["drop"]


def test_categories_left_out_and_skipped_ones_are_counted_apart(tmp_path: Path) -> None:
    with opened(queue(tmp_path)) as seen:
        page = seen.page
        press(page, "s")
        page.locator("#out label", has_text="colours").click()
        at(page, "0 decided, 2 to go, 2 left out")
        press(page, "Escape", "x")
        at(page, "1 to go, 1 skipped, 2 left out")
        press(page, "d")
        page.wait_for_selector("#end:visible")
        assert page.locator("#end-text").inner_text() == "Not decided: 1 skipped, 2 left out by category."
        page.reload()
        at(page, "1 decided, 0 to go, 1 skipped, 2 left out")
        press(page, "u")
        at(page, "0 decided, 1 to go")


def test_two_reviewers_know_nothing_of_each_other(tmp_path: Path) -> None:
    made = queue(tmp_path)
    with reviewed(made) as url, browser() as seen:
        for name, key in (("ann", "d"), ("ben", "x")):
            seen.page.goto(url)
            begin(seen.page, name)
            at(seen.page, f"{name}: 0 decided, 4 to go")
            assert "ann" not in seen.page.content() or name == "ann"
            press(seen.page, key)
            at(seen.page, "3 to go")
        seen.clean()
    assert [each.reviewer for each in made.reviews()] == ["ann"]


def test_a_second_page_of_one_reviewer_is_told_and_goes_on(tmp_path: Path) -> None:
    made = queue(tmp_path)
    with opened(made) as seen:
        first = made.order("ann")[0]
        made.session("ann").skip(first)
        press(seen.page, "d")
        at(seen.page, "0 decided, 3 to go, 1 skipped")
        assert "decided elsewhere" in seen.page.locator("#said").inner_text()
        seen.complaints.clear()  # the browser's own line about the conflict
    assert made.reviews() == ()


def test_a_name_that_cannot_be_is_refused_where_it_was_typed(tmp_path: Path) -> None:
    with reviewed(queue(tmp_path)) as url, browser() as seen:
        seen.page.goto(url)
        seen.page.fill("#name", "../up")
        press(seen.page, "Enter")
        seen.page.wait_for_selector("#name-help >> text=cannot be a reviewer's name")
        assert not list(tmp_path.rglob("*.jsonl"))


def test_hostile_texts_fire_nothing_and_stay_readable(tmp_path: Path) -> None:
    hostile = [
        each
        for text in INJECTIONS
        for each in candidates(
            tmp_path,
            1,
            key=f"{text}#0",
            question=text,
            category=text,
            source=text,
            objects=(text, text),
            opinion={text: text},
        )
    ]
    made = Queue(tmp_path / "review", hostile)
    with opened(made) as seen:
        page = seen.page
        for count in range(1, len(hostile) + 1):
            press(page, "r", "e")
            page.locator("#reason").fill(INJECTIONS[0])
            press(page, "Enter", "y")
            at(page, f"{count} decided")
        press(page, "u")
        at(page, f"{len(hostile) - 1} decided")
        assert page.locator("#category label", has_text="<img src=x onerror=window.fired=1>").count() == 1
    assert {each.reason for each in made.reviews()} == {INJECTIONS[0]}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_screen_reader_finds_nothing_amiss_and_a_phone_does_not_scroll_aside(
    tmp_path: Path, scheme: str, width: int
) -> None:
    with (
        reviewed(queue(tmp_path, 2)) as url,
        browser(color_scheme=scheme, viewport={"width": width, "height": 800}) as seen,
    ):
        page = seen.page
        page.goto(url)
        assert violations(page) == []
        begin(page, "ann")
        press(page, "r", "y")
        at(page, "1 decided")
        press(page, "f")
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for key in ("?", "n", "s"):
            press(page, "Escape", key)
            assert violations(page) == []
        press(page, "Escape", "d")
        page.wait_for_selector("#end:visible")
        assert violations(page) == []
        seen.clean()


# ---- a question that a reviewer rewrites


def test_a_question_that_cannot_stand_says_why_at_its_field_until_it_is_mended(tmp_path: Path) -> None:
    made = queue(tmp_path)
    with opened(made) as seen:
        page = seen.page
        press(page, "r", "f")
        page.fill("#rewrite", "How do I do this?")
        press(page, "Control+Enter")
        page.wait_for_selector("#rewrite-wrong:visible >> text=must speak of both")
        assert page.locator("#rewrite[aria-invalid=true]:focus").count() == 1
        seen.complaints.clear()  # the browser's own line about what was refused
        assert not list(tmp_path.rglob("*.jsonl"))
        page.fill("#rewrite", "May the one in the first image lie on the one in the second image?")
        assert not page.locator("#rewrite-wrong").is_visible()
        press(page, "Control+Enter")
        at(page, "1 decided, 3 to go")
    assert [each.decision for each in made.reviews()] == ["fix"]


# ---- what the page says in plain words: what the model thinks, and what comes once all is decided

NEXT = "harness build mis --config FILE --out 'my sets/shapes'"
SORTED = {"category": "shapes", "image_harmful": "yes", "sub_category": "round ones", "text_unsafe": "no"}


def test_what_the_model_thinks_is_said_in_the_words_of_the_form(tmp_path: Path) -> None:
    made = Queue(tmp_path / "review", candidates(tmp_path, 2, opinion=SORTED), CATEGORIES)
    with opened(made) as seen:
        press(seen.page, "d")
        at(seen.page, "1 decided")
        asked, said = (seen.page.locator(f"#last {tag}").all_inner_texts() for tag in ("dt", "dd"))
    assert list(zip(asked, said, strict=True)) == [
        ("the question alone is unsafe", "no"),
        ("an image alone shows something harmful", "yes"),
        ("category", "shapes"),
        ("sub-category", "round ones"),
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_end_names_the_command_that_comes_next(tmp_path: Path, scheme: str) -> None:
    made = Queue(tmp_path / "review", candidates(tmp_path, 1), CATEGORIES, then=NEXT)
    with opened(made, color_scheme=scheme) as seen:
        assert not seen.page.locator("#then").is_visible()
        press(seen.page, "d")
        seen.page.wait_for_selector("#end:visible")
        assert seen.page.locator("#then-command").inner_text() == NEXT
        assert violations(seen.page) == []


def test_the_end_names_no_command_where_there_is_none(tmp_path: Path) -> None:
    with opened(queue(tmp_path, 1)) as seen:
        press(seen.page, "d")
        seen.page.wait_for_selector("#end:visible")
        assert not seen.page.locator("#then").is_visible()
