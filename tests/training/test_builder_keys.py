"""What is wrong with a config beyond its form is told with its key and its file, before anything is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.training.test_builder_command_mis import in_the_mini_world, refused


def said_of(folder: Path, *more: str, **changes: Any) -> str:
    config = in_the_mini_world(folder, **changes)
    said = refused("mis", "--config", str(config), "--out", str(folder / "out"), *more)
    assert str(config) in said
    return said


BOTH: list[tuple[dict[str, Any], str, str]] = [
    ({"models": {"writer": "mini/writer", "judge": "minni/writer"}}, "models.judge", "no provider is called 'minni'"),
    ({"models": {"writer": "minni/writer"}}, "models.writer", "no provider is called 'minni'"),
    ({"models": {"writer": {"model": "mini/writer", "settings": {"x": 1}}}}, "models.writer", "no setting 'x'"),
    ({"painter": "minni/painter"}, "painter", "'minni'"),
    ({"sources": [{"name": "a", "path": "nosuch.csv", "licence": "mit"}]}, "sources.#1", "no such folder or file"),
    ({"sources": [{"name": "a", "path": "bare.csv", "licence": "mit"}]}, "sources.#1", "no column"),
    ({"sources": [{"name": "a", "path": "ideas.csv", "licence": "apache"}]}, "sources.#1", "'apache'"),
    ({"prompts": {"write": "no.j2"}}, "prompts.write", "cannot be read"),
    ({"label": {"rubric": "miss"}}, "label.rubric", "no judge is called 'miss'"),
    ({"label": {"accept": ["safe_reasonin"]}}, "label.accept", "'safe_reasonin'"),
    ({"quality": {"text": 0.1}}, "quality.text", "must be at least 0.7"),
]


@pytest.mark.parametrize(("changes", "key", "what"), BOTH)
def test_a_fault_of_the_config_names_its_key_and_its_file_in_a_dry_run_too(
    changes: dict[str, Any], key: str, what: str, tmp_path: Path
) -> None:
    (tmp_path / "bare.csv").write_text("words\nGood morning!\n", encoding="utf-8")
    for more in ((), ("--dry-run",)):
        said = said_of(tmp_path, *more, **changes)
        assert said.startswith(f"error: {key}: ")
        assert what in said


def test_a_model_that_is_not_there_is_told_by_its_role(tmp_path: Path) -> None:
    said = said_of(tmp_path, models={"writer": "mini/writer", "labeller": "mini/writerr"})
    assert said.startswith("error: models.labeller: there is no model")


def test_a_test_to_be_held_against_that_is_not_there_is_told_by_its_place(tmp_path: Path) -> None:
    against = [{"task": "mis", "data": "nowhere"}, "mss"]
    assert said_of(tmp_path, quality={"against": against}).startswith("error: quality.against.#1: ")


def test_a_licence_that_the_table_does_not_have_is_told_with_the_nearest_and_the_table(tmp_path: Path) -> None:
    said = said_of(tmp_path, sources=[{"name": "a", "path": "ideas.csv", "licence": "apache"}])
    assert "did you mean apache-2.0?" in said
    assert "docs/build-safety.md" in said
    assert "--accept-licence a" in said


def test_a_column_of_another_name_is_told_with_the_line_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "bare.csv").write_text("words,number\nGood morning!,1\n", encoding="utf-8")
    said = said_of(tmp_path, sources=[{"name": "a", "path": "bare.csv", "licence": "mit"}])
    assert 'columns: {text: "words"}' in said
