"""A question that a reviewer rewrites on the page."""

from __future__ import annotations

from pathlib import Path

from tests.browser.test_review_page import at, opened, press
from tests.training.reviewed import queue


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
