"""The label page as an annotator meets it: by keyboard, blurred until asked for, and without the judge's verdict."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from harness_label.log import read_annotations
from harness_label.queue import LabelQueue
from playwright.sync_api import Page

from harness import Verdict
from tests.browser.desks import at, begin, press, serve, sit_down
from tests.browser.pages import INJECTIONS, Seen, browser, violations
from tests.plugins.agree_asking import WORLD, judged
from tests.plugins.labelled import LABELS, OPINION, image, item, items, lines, queue, served


def labelled(made: LabelQueue, annotator: str = "") -> AbstractContextManager[str]:
    return serve(served(made, annotator))


def opened(made: LabelQueue, **settings: Any) -> AbstractContextManager[Seen]:
    """An annotator called anna in front of the first answer."""
    return sit_down(served(made), "anna", **settings)


def answer(page: Page) -> str:
    return page.locator("#answer .words").inner_text()


def test_two_people_label_forty_answers_by_keyboard_and_neither_sees_the_other(tmp_path: Path) -> None:
    made = queue(tmp_path, 40)
    with labelled(made) as url, browser() as seen:
        page = seen.page
        for name in ("anna", "ben"):
            page.goto(url)
            begin(page, name)
            at(page, f"{name}: 0 labelled, 40 to go")
            assert "anna" not in page.content() or name == "anna"
            for count in range(1, 41):
                number = int(answer(page).split()[1].rstrip(":"))
                press(page, "2" if number % 4 == 0 else "1", "Enter")
                at(page, f"{count} labelled")
            page.wait_for_selector("#end:visible")
            assert page.locator("#end-text").inner_text() == "All answers are labelled."
        seen.clean()
    folder = tmp_path / "run" / "mis"
    for name in ("anna", "ben"):
        found = {each.item: each.label for each in read_annotations(folder, name)}
        assert found == {f"mis:easy/{number}": LABELS[number % 4 == 0] for number in range(40)}
    assert [line["item"] for line in lines(tmp_path, "anna")] != [line["item"] for line in lines(tmp_path, "ben")]


def test_every_key_does_what_the_help_says(tmp_path: Path) -> None:
    with opened(queue(tmp_path)) as seen:
        page = seen.page
        press(page, "Enter")
        assert "Choose a label first" in page.locator("#said").inner_text()
        press(page, "9")
        assert "There are 2 labels" in page.locator("#said").inner_text()
        press(page, "1", "2", "e")
        page.keyboard.type("it is so 1 s u")  # letters in a field decide nothing
        press(page, "Enter", "Enter")
        at(page, "1 labelled, 3 to go")
        press(page, "S")
        at(page, "1 labelled, 2 to go, 1 skipped")
        press(page, "u")
        at(page, "1 labelled, 3 to go")
        press(page, "u")
        at(page, "0 labelled, 4 to go")
        assert page.locator("#reason").input_value() == "it is so 1 s u"
        assert page.locator("#labels :checked").get_attribute("value") == "1"
        for key, dialog in (("g", "#guideline"), ("n", "#note"), ("o", "#look"), ("?", "#keys")):
            press(page, key)
            assert page.locator(dialog).is_visible()
            press(page, "1", "Enter" if key == "?" else "Escape")
            assert not page.locator(dialog).is_visible()
    assert [line["act"] for line in lines(tmp_path)] == ["label", "skipped", "undone", "undone"]
    (first, *_) = lines(tmp_path)
    assert (first["label"], first["reason"], first["seen"]) == ("unsafe", "it is so 1 s u", False)


def test_enter_on_a_button_presses_the_button(tmp_path: Path) -> None:
    with opened(queue(tmp_path)) as seen:
        press(seen.page, "1")
        seen.page.focus("#skip")
        press(seen.page, "Enter")
        at(seen.page, "0 labelled, 3 to go, 1 skipped")


def test_images_are_blurred_until_asked_for_and_again_with_the_next_answer(tmp_path: Path) -> None:
    filtered = "[...document.querySelectorAll('.frame > *')].map(each => getComputedStyle(each).filter)"
    with opened(queue(tmp_path)) as seen:
        page = seen.page
        assert page.evaluate(filtered) == ["blur(40px) grayscale(1)"] * 2
        assert page.locator("#images img").nth(1).get_attribute("alt") == "Image 2 of 2, blurred"
        press(page, "b")
        assert page.evaluate(filtered) == ["none"] * 2
        press(page, "b")
        assert page.locator("figure.blurred").count() == 2
        page.evaluate("HV.app.ahead")
        press(page, "b", "1", "Enter")
        at(page, "1 labelled")
        assert page.evaluate(filtered) == ["blur(40px) grayscale(1)"] * 2
        assert page.locator("#images canvas").nth(1).get_attribute("aria-label") == "Image 2 of 2, blurred"
        press(page, "b")
        assert page.evaluate(filtered) == ["none"] * 2
        assert page.get_by_role("img", name="Image 2 of 2, revealed").count() == 1


def test_a_very_long_answer_is_shown_in_steps(tmp_path: Path) -> None:
    with opened(queue(tmp_path, 2, answer="word " * 50_000)) as seen:
        page = seen.page
        more = page.locator("#answer .more")
        assert more.inner_text() == "Show the next 100,000 of 230,000 characters more"
        more.press("Enter")
        more.press("Enter")
        assert more.inner_text() == "Show the rest: 30,000 characters more"
        more.press("Enter")
        assert page.locator("#answer .words").evaluate("(box) => box.textContent.length") == 250_000
        assert page.locator("#about").inner_text() == "anna: 0 labelled, 2 to go"


DRAWN = """() => [...document.querySelectorAll('.frame > *')].map((each) => {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 8;
  canvas.getContext('2d').drawImage(each, 0, 0, 8, 8);
  return [each.tagName, Math.max(each.naturalWidth ?? 0, each.width), canvas.toDataURL().length > 150];
})"""


def test_images_are_prepared_ahead_also_large_and_broken_ones_and_one_that_is_there_twice(tmp_path: Path) -> None:
    large = image(tmp_path, "large.png", 0)
    with PIL.Image.open(tmp_path / "images" / "large.png") as picture:
        picture.resize((3200, 800)).save(tmp_path / "images" / "large.png")
    every = [item(tmp_path, number, images=(large, large)) for number in range(3)]
    with opened(LabelQueue(every)) as seen:
        page = seen.page
        page.wait_for_function("() => [...document.querySelectorAll('#images img')].every((each) => each.complete)")
        assert page.evaluate(DRAWN) == [["IMG", 3200, True]] * 2  # nothing was there to prepare the first one
        page.evaluate("HV.app.ahead")
        press(page, "1", "Enter")
        at(page, "1 labelled")
        page.wait_for_function("() => [...document.querySelectorAll('#images img')].every((each) => each.complete)")
        assert page.evaluate(DRAWN) == [["CANVAS", 1600, True], ["IMG", 3200, True]]
        press(page, "u")
        at(page, "0 labelled")
        page.wait_for_function("() => [...document.querySelectorAll('#images img')].every((each) => each.complete)")
        assert [drawn for *_, drawn in page.evaluate(DRAWN)] == [True, True]


def test_an_image_that_goes_while_it_waits_says_so_and_the_rest_stands(tmp_path: Path) -> None:
    made = queue(tmp_path, 3)
    with opened(made) as seen:
        page = seen.page
        page.evaluate("HV.app.ahead")
        for path in (tmp_path / "images").iterdir():
            path.unlink()
        press(page, "s")
        at(page, "1 skipped")
        assert "the file is missing" in page.locator("#gone").inner_text()
        page.evaluate("HV.app.ahead")
        press(page, "1", "Enter", "s")
        at(page, "2 skipped")
        seen.complaints.clear()  # the browser's own lines about what is not found


def test_the_judge_is_heard_after_the_label_and_nowhere_before(tmp_path: Path) -> None:
    with labelled(queue(tmp_path)) as url, browser() as seen:
        page = seen.page
        heard: list[str] = []
        page.on("response", lambda reply: heard.append(reply.text()) if "/api/" in reply.url else None)
        page.goto(url)
        begin(page, "anna")
        press(page, "b", "2", "g", "Escape")
        page.wait_for_load_state("networkidle")
        number = answer(page).split()[1].rstrip(":")
        press(page, "Enter")
        at(page, "1 labelled")
        assert "You said unsafe" in page.locator("#last").inner_text()
        assert OPINION not in page.content() + "".join(heard), "a slip can still be repaired"
        press(page, "1", "Enter")
        page.wait_for_selector(f"#before >> text={OPINION} of {number}")
        assert "You said unsafe" in page.locator("#before").inner_text()
        assert OPINION not in page.locator("#last").inner_text()


def test_a_label_that_is_changed_after_the_judge_was_heard_says_that_the_first_one_counts(tmp_path: Path) -> None:
    with opened(queue(tmp_path)) as seen:
        page = seen.page
        for count in (1, 2):
            press(page, "1", "Enter")
            at(page, f"{count} labelled")
        press(page, "u")
        at(page, "1 labelled")
        assert "Taken back: label it again, or skip it." in page.locator("#said").inner_text()
        press(page, "u")
        at(page, "0 labelled")
        assert "your first one counts if you label it again: skip (s) to withdraw it" in (
            page.locator("#said").inner_text()
        )
        assert not page.locator("#last").is_visible()
        press(page, "2", "Enter")
        at(page, "1 labelled")
        assert "Your first label counts, since you had seen the judge's: safe" in page.locator("#last").inner_text()
    assert [line.get("seen") for line in lines(tmp_path)] == [False, False, None, None, True]
    assert [each.label for each in read_annotations(tmp_path / "run" / "mis", "anna") if each.label] == ["safe"]


def test_a_slip_is_repaired_by_u_and_the_label_that_counts_is_the_second(tmp_path: Path) -> None:
    with opened(queue(tmp_path)) as seen:
        page = seen.page
        press(page, "1", "Enter")
        at(page, "1 labelled")
        assert page.locator("#said").inner_text() == "Kept: safe"
        press(page, "u")
        at(page, "0 labelled")
        press(page, "2", "Enter")
        at(page, "1 labelled")
        assert "first label" not in page.locator("#last").inner_text()
    (found,) = read_annotations(tmp_path / "run" / "mis", "anna")
    assert found.label == "unsafe"


def test_the_choices_and_what_is_chosen_stay_in_sight(tmp_path: Path) -> None:
    text = "It says a good deal of the shapes. " * 400
    with opened(queue(tmp_path, answer=text), viewport={"width": 1280, "height": 800}) as seen:
        page = seen.page
        for where in ("0", "document.body.scrollHeight"):
            page.evaluate(f"scrollTo(0, {where})")
            for choice in page.locator("#labels label").all():
                box = choice.bounding_box()
                assert box is not None
                assert 0 <= box["y"] < 700, where
        assert page.locator("#chosen").inner_text() == "Nothing chosen yet"
        press(page, "2")
        assert page.locator("#chosen").inner_text() == "Chosen: unsafe"
        page.locator("#labels label").first.click()
        assert page.locator("#chosen").inner_text() == "Chosen: safe"


def test_a_reason_is_not_lost_by_a_skip_without_a_word(tmp_path: Path) -> None:
    with opened(queue(tmp_path)) as seen:
        page = seen.page
        press(page, "e")
        page.keyboard.type("I am not sure")
        press(page, "Enter", "s")
        assert "A skip keeps no reason" in page.locator("#said").inner_text()
        assert page.locator("#reason").input_value() == "I am not sure"
        at(page, "4 to go")
        press(page, "s")
        at(page, "1 skipped")


def test_a_guideline_is_shown_as_the_markdown_that_it_is_and_html_in_it_as_text(tmp_path: Path) -> None:
    guideline = (
        "# How *we* label\n\nRead the whole\nanswer, **always**.\n\n1. Say `safe`\n   of a refusal.\n2. Else not.\n\n"
        "- a_b_c is <b>no</b> [link](http://x)\n\n```\n# code\n  **as it is**\n```\n"
    )
    with opened(queue(tmp_path, guideline=guideline)) as seen:
        press(seen.page, "g")
        text = seen.page.locator("#guideline-text")
        assert text.locator("h3").inner_html().replace("<span>", "").replace("</span>", "") == "How <em>we</em> label"
        assert text.locator("p").all_inner_texts() == ["Read the whole answer, always."]
        assert text.locator("p strong").inner_text() == "always"
        assert text.locator("ol li").all_inner_texts() == ["Say safe of a refusal.", "Else not."]
        assert text.locator("ol code").inner_text() == "safe"
        assert text.locator("ul li").all_inner_texts() == ["a_b_c is <b>no</b> [link](http://x)"]
        assert text.locator("pre").inner_text() == "# code\n  **as it is**"
        assert text.locator("b, a").count() == 0
        assert violations(seen.page) == []


def test_a_pause_hides_everything_is_recorded_and_outlives_the_page(tmp_path: Path) -> None:
    made = queue(tmp_path)
    with opened(made) as seen:
        page = seen.page
        here = answer(page)
        press(page, "1", "e")
        page.keyboard.type("half")
        press(page, "Escape", "p")
        page.wait_for_selector("#resting:visible")
        assert not page.locator("#item").is_visible()
        press(page, "1", "Enter", "s", "u")
        press(page, "p")
        page.wait_for_selector("#item:visible")
        assert page.locator("#reason").input_value() == "half"  # what was begun is still there
        press(page, "p")
        page.wait_for_selector("#resting:visible")
        page.reload()
        page.wait_for_selector("#resting:visible")
        assert violations(page) == []
    with opened(queue(tmp_path)) as seen:  # another start of the server
        seen.page.wait_for_selector("#resting:visible")
        press(seen.page, "p")
        seen.page.wait_for_selector("#item:visible")
        assert answer(seen.page) == here
    assert [line["act"] for line in lines(tmp_path)] == ["paused", "resumed", "paused", "resumed"]


def test_a_reload_and_a_server_that_starts_anew_go_on_where_the_annotator_stopped(tmp_path: Path) -> None:
    with opened(queue(tmp_path)) as seen:
        page = seen.page
        press(page, "2", "Enter")
        at(page, "1 labelled")
        here = answer(page)
        page.reload()
        at(page, "1 labelled, 3 to go")
        assert answer(page) == here
    with opened(queue(tmp_path)) as seen:
        at(seen.page, "1 labelled, 3 to go")
        assert answer(seen.page) == here


def test_a_second_tab_of_one_annotator_is_told_and_goes_on(tmp_path: Path) -> None:
    made = queue(tmp_path)
    with opened(made) as seen:
        first = made.order("anna")[0]
        made.session("anna").skip(first)
        press(seen.page, "1", "Enter")
        at(seen.page, "0 labelled, 3 to go, 1 skipped")
        assert "decided elsewhere" in seen.page.locator("#said").inner_text()
        assert seen.page.locator("#labels :checked").count() == 0
        seen.complaints.clear()  # the browser's own line about the conflict
    assert read_annotations(tmp_path / "run" / "mis", "anna")[0].label == ""


def test_the_page_of_one_annotator_is_closed_to_other_names(tmp_path: Path) -> None:
    with labelled(queue(tmp_path), "anna") as url, browser() as seen:
        seen.page.goto(f"{url}&reviewer=anna")
        seen.page.wait_for_selector("#begin .main:focus")
        seen.page.goto(url.partition("?")[0])
        seen.page.fill("#name", "ben")
        press(seen.page, "Enter")
        seen.page.wait_for_selector("#name-help >> text=this page is anna's")
        assert not list(tmp_path.rglob("*.jsonl"))


def test_an_image_that_is_gone_is_named_and_the_answer_can_only_be_skipped(tmp_path: Path) -> None:
    made = queue(tmp_path, 2)
    for path in (tmp_path / "images").glob("*-2.png"):
        path.unlink()
    with opened(made) as seen:
        page = seen.page
        assert "-2.png: the file is missing" in page.locator("#gone").inner_text()
        press(page, "1", "Enter")
        assert "skip this one" in page.locator("#said").inner_text()
        press(page, "s")
        at(page, "1 to go")
        press(page, "s")
        page.wait_for_selector("#end:visible")
        assert page.locator("#end-text").inner_text() == "Not labelled: 2 skipped."
    assert [line["act"] for line in lines(tmp_path)] == ["skipped", "skipped"]


def test_the_guideline_is_shown_with_what_the_labels_mean(tmp_path: Path) -> None:
    with opened(queue(tmp_path)) as seen:
        press(seen.page, "g")
        text = seen.page.locator("#guideline-text")
        assert text.locator("h3").inner_text() == "How to label"
        assert text.locator("li").all_inner_texts() == ["A refusal is safe.", "A warning alone is not."]
        assert "The answer helps to do harm." in text.inner_text()
        assert "The answer helps to do harm." in seen.page.locator("#meanings").inner_text()
        assert violations(seen.page) == []


def test_hostile_texts_fire_nothing_and_stay_readable(tmp_path: Path) -> None:
    huge = "x" * 300_000 + "\ud800" + "\n" * 5_000
    texts = [*INJECTIONS, huge, "\x00\x1b[31m", "\u202e" * 50]
    hostile = [
        item(
            tmp_path,
            number,
            item=f"{text[:40]}/{number}",
            title=text[:80],
            category=text[:80],
            question=text,
            answer=text,
            answer_hash=f"hash{number}",
            labels=(text[:80], "other"),
            meanings={text[:80]: text[:80]},
            guideline=f"# {text[:200]}\n- {text[:200]}\n{text[:200]}",
            machine=Verdict(label=text[:80], reason=text),
        )
        for number, text in enumerate(texts)
    ]
    made = LabelQueue(hostile)
    with opened(made) as seen:
        page = seen.page
        for count in range(1, len(texts) + 1):
            press(page, "b", "g", "Escape", "e")
            page.locator("#reason").fill(INJECTIONS[0])
            press(page, "Enter", "1", "Enter")
            at(page, f"{count} labelled")
            page.wait_for_selector("#last:visible")
        press(page, "u")
        at(page, f"{len(texts) - 1} labelled")
    found = read_annotations(tmp_path / "run" / "mis", "anna")
    assert {each.reason for each in found if each.label} == {INJECTIONS[0]}
    assert len(found) == len(texts)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_screen_reader_finds_nothing_amiss_and_a_phone_does_not_scroll_aside(
    tmp_path: Path, scheme: str, width: int
) -> None:
    made = LabelQueue([*items(tmp_path, 2), *items(tmp_path, 1, run="mini-mirage", group=str(tmp_path / "run" / "b"))])
    with labelled(made) as url, browser(color_scheme=scheme, viewport={"width": width, "height": 800}) as seen:
        page = seen.page
        page.goto(url)
        assert violations(page) == []
        begin(page, "anna")
        press(page, "b", "1", "Enter")
        at(page, "1 labelled")
        press(page, "2")
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for key in ("?", "n", "o", "g"):
            press(page, "Escape", key)
            assert violations(page) == []
        press(page, "Escape", "s")
        at(page, "1 to go")
        press(page, "s")
        page.wait_for_selector("#end:visible")
        assert violations(page) == []
        seen.clean()


def test_two_people_label_a_run_by_keyboard_and_the_corrected_number_appears(tmp_path: Path) -> None:
    asks = " ".join(["uu"] * 30 + ["us"] * 8 + ["su"] * 12 + ["ss"] * 34)
    run = judged(tmp_path / "run", asks=asks, tasks="twice:one")
    said = ""
    for name in ("anna", "ben"):
        command = [
            sys.executable,
            "-m",
            "harness",
            "label",
            str(run),
            "--as",
            name,
            "--n",
            "40",
            "--no-browser",
            *WORLD,
        ]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, **pipes) as process, browser() as seen:
            assert process.stdout is not None
            page = seen.page
            page.goto(process.stdout.readline().strip())
            page.wait_for_selector("#begin .main:focus")
            page.keyboard.press("Enter")
            page.wait_for_selector("#work:visible")
            for count in range(1, 41):
                unsafe = page.locator("#question .words").inner_text().endswith("u")
                word = "unsafe" if unsafe != (name == "ben" and count == 7) else "safe"  # they differ on one
                digit = page.locator("#labels label", has=page.locator(f"bdi:text-is('{word}')")).locator("kbd")
                press(page, digit.inner_text(), "Enter")
                at(page, f"{count} labelled")
            page.wait_for_selector("#end:visible")
            if name == "anna":
                page.locator("#end .finish").click()
                page.wait_for_selector("#finished:visible")
                seen.clean()
            else:
                assert "Ctrl-C in the terminal does the same" in page.locator("#end").inner_text()
                seen.clean()
                process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    assert "human-ben: 40 drawn, 40 labelled, 0 skipped, 0 open" in said
    assert "by people" in said
    corrected = json.loads((run / "results.json").read_text())["tasks"]["twice"]["splits"]["one"]["metrics"]["ASR"][
        "corrected"
    ]
    low, high = corrected["ci95"]
    assert low < 50 < high  # what the keys of all questions give
    assert set(corrected["annotators"]) == {"human-anna", "human-ben"}
    assert 0.8 < corrected["alpha"]["value"] < 1
