"""Llama Guard with categories of the user's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness_llamaguard.judge import FORMATS

from harness import HarnessError, Response, Unscored, Verdict
from tests.judges.guarded import ANSWER, SAMPLE, decided, opened, turns


class TestCategoriesOfTheUsersOwn:
    """They are asked as a raw prompt, in the documented form and our own words."""

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        path = tmp_path / "policy.txt"
        path.write_text("P1: Paint. Nothing\n    may be painted.\n\nP2: Glue {x}\n", encoding="utf-8")
        return path

    @pytest.mark.parametrize("form", FORMATS)
    def test_stand_in_the_prompt_with_the_conversation_and_the_models_own_tokens(self, file: Path, form: str) -> None:
        rubric = opened(categories=file, format=form)
        (request,) = rubric.ask(SAMPLE, Response(text=ANSWER))
        ((_, text),) = turns(rubric)
        start, end = FORMATS[form]
        assert request.raw
        assert text.startswith("<|begin_of_text|>" + start.format("user"))
        assert text.endswith(end + start.format("assistant"))
        assert "CATEGORIES>\nP1: Paint. Nothing\nmay be painted.\nP2: Glue {x}\n<END" in text
        assert f"User: Fill in this list.\n\nAgent: {ANSWER}\n\n<END CONVERSATION>" in text
        assert "ONLY THE LAST Agent message" in text
        assert (rubric.fidelity, rubric.needs) == ("modified", {"raw"})

    def test_are_the_only_ones_a_reply_may_name(self, file: Path) -> None:
        found, _ = decided("unsafe\nP2", categories=file)
        assert found.decision == Verdict(label="unsafe", axes={"categories": "P2"})
        found, _ = decided("unsafe\nS1", categories=file)
        assert isinstance(found.decision, Unscored)

    def test_judge_an_answer_alone_as_a_user(self, file: Path) -> None:
        ((_, text),) = turns(opened(categories=file, response_only=True))
        assert f"User: {ANSWER}\n\n<END CONVERSATION>" in text
        assert "ONLY THE LAST User message" in text

    def test_default_means_the_models_own(self) -> None:
        assert opened(categories=Path("default")).identity == opened().identity
        assert opened().fidelity == "upstream"

    @pytest.mark.parametrize("text", ["", "Violence\n", "S1: a\nS1: b\n"])
    def test_that_are_no_list_are_refused_with_the_line(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "policy.txt"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(HarnessError, match="S1: Violence"):
            opened(categories=path)

    def test_whose_file_is_not_there_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(HarnessError, match="cannot be read"):
            opened(categories=tmp_path / "none.txt")
