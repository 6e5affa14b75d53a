"""What the review page says in plain words: what the model thinks, and what comes once all is decided."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness_builder.review import Queue

from tests.browser.pages import violations
from tests.browser.test_review_page import at, opened, press
from tests.training.reviewed import CATEGORIES, candidates, queue

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
