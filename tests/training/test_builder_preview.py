"""What a dry run says of a config: what would be read and asked, and how often at most."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from harness_builder.licences import check_licences
from harness_builder.photos.selection import TRIED
from harness_builder.plan import ModelChoice, Plan
from harness_builder.preview import count_calls, render_plan

from harness import HarnessError
from tests.training.configs import read


def showing(folder: Path, seeds: str = "text\nOne.\nTwo.\n", **changes: Any) -> str:
    (folder / "seeds.csv").write_text(seeds, encoding="utf-8")
    plan = read(folder, **{"label": {"rubric": "mini", "accept": ["declines_with_reason"]}, **changes})
    return render_plan(plan, check_licences(plan.sources))


def test_a_plan_is_shown_with_its_sources_models_templates_and_licence(tmp_path: Path) -> None:
    text = showing(tmp_path, models={"writer": "a/words", "viewer": "b/eyes"}, prompts={"write": "mine.j2"})
    assert text.startswith("shapes: questions in English, licence mit")
    assert "own  plain  2 texts  mit" in text
    assert "writer    a/words" in text
    assert "checker   b/eyes, as the viewer" in text
    assert f"write: {tmp_path / 'mine.j2'}" in text
    assert "the package's own, all of them" in showing(tmp_path)


def test_a_judge_is_shown_where_one_is_asked(tmp_path: Path) -> None:
    assert "\n  judge " not in showing(tmp_path), "a rule judges"
    asked = showing(tmp_path, label={"rubric": "mis"})
    assert asked.count("\n  judge ") == 2, "as a model, and with its calls"


def test_who_decides_is_shown(tmp_path: Path) -> None:
    people = showing(tmp_path, sort={"reviewers": 2})
    assert "2 people must review each candidate" in people
    assert "no person looks at it" in showing(tmp_path, sort={"review": "none"})


def test_every_option_that_is_on_is_shown(tmp_path: Path) -> None:
    text = showing(
        tmp_path,
        categories=["Fire"],
        quality={"against": ["mis", {"task": "siuo", "data": "there"}], "balance": 5},
        label={"rubric": "mini", "accept": ["a"], "refusal": True, "text_only": True, "tries": 1},
        draw={"rounds": 1, "best_of": 4},
        probe={"keep": "together"},
        real={"name": "photos", "path": "here", "by": "caption", "count": 8},
        limits={"calls": 90, "usd": 1.5},
    )
    for said in (
        "Fire",
        "mis\n",
        f"siuo in {tmp_path / 'there'}",
        "5 of each category",
        "also refusals and answers in words alone",
        "in 1 try;",
        "1 round, the best of 4",
        "what is risky together alone",
        "at most 8 from",
        "8 of each object are looked at",
        "90 calls or 1.5 US dollars",
    ):
        assert said in text, said


def test_names_with_control_characters_do_not_reach_the_terminal(tmp_path: Path) -> None:
    assert "\x1b" not in showing(tmp_path, quality={"against": [{"task": "mis", "data": "a\u202eb\u200fc"}]})
    assert "\u202e" not in showing(tmp_path, quality={"against": [{"task": "mis", "data": "a\u202eb"}]})


def test_a_source_without_a_seed_is_an_error_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="is empty"):
        showing(tmp_path, seeds="")


def test_the_calls_that_are_shown_are_those_of_the_seeds(tmp_path: Path) -> None:
    text = showing(tmp_path, elements={"per_text": 1})
    table = text.partition("\ncalls at most\n")[2].partition("\n  if each seed")[0].splitlines()[1:]
    numbers = {who: counts for who, *counts in map(str.split, table)}
    assert numbers["writer"] == ["3", "6", "6"]  # elements of a text alone; per element written and made neutral
    assert numbers["painter"] == ["4", "12", "8"]
    assert numbers["all"][2] == str(sum(int(row[2]) for who, row in numbers.items() if who != "all"))


def test_no_line_of_prose_is_wider_than_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for terminal, most in ((50, 50), (300, 120)):
        monkeypatch.setenv("COLUMNS", str(terminal))
        note = showing(tmp_path).partition("\n  if each seed")[2].splitlines()
        assert len(note) > 1
        assert max(map(len, note)) <= most


def test_photographs_that_are_looked_at_are_among_the_calls(tmp_path: Path) -> None:
    bare = read(tmp_path, real=None)
    asked = read(tmp_path, real={"name": "photos", "path": "here", "by": "caption"})
    more = count_calls(asked, texts=3, images=2) - count_calls(bare, texts=3, images=2)
    assert more == {"checker": 12 * 2 * TRIED, "viewer": 12 * 2 * TRIED}, "of both objects of twelve elements"


def test_what_is_not_asked_for_takes_no_call() -> None:
    bare = Plan(
        name="x",
        sources=(),
        models={},
        painter=ModelChoice(ref="a/b"),
        per_text=1,
        probe=False,
        rounds=1,
        tries=1,
        rubric="mini",
    )
    found = count_calls(bare, texts=10, images=0)
    assert found == {"writer": 30, "checker": 20, "painter": 20, "viewer": 10, "labeller": 10, "prober": 0, "judge": 0}
    assert count_calls(bare, texts=0, images=0).total() == 0
