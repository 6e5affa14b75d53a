"""`harness show`: one sample on the terminal, its texts only where they were asked for."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from harness_view.show import find_item, print_item
from rich.cells import cell_len
from rich.console import Console

from harness.cli import cli
from harness.errors import HarnessError, UnknownName
from harness.types import Failure
from tests.reports.viewed import FIRST, SECOND, Stored, Told, stored

TEXT = "a text to be kept back"
EVERY = (
    Told(
        id="one",
        question=TEXT,
        answer=TEXT,
        reasoning=TEXT,
        reason=TEXT,
        raw=TEXT,
        labels={FIRST: "safe", SECOND: "judge_unparsable"},
    ),
    Told(id="two", answer="It is \x1b[2J\u202ea drawing\x07.", category="\x1b[31m[bold]red\u202e"),
    Told(id="twelve", answer=Failure(outcome="input_blocked", reason="content_filter", message=TEXT), labels={}),
    Told(id="down", answer=Failure(outcome="error", reason="http_500", message=TEXT), labels={}),
    Told(id="mute", answer="", labels={}),
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return stored(tmp_path / "m", EVERY)


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["show", *map(str, arguments)])


def show(*arguments: str | Path) -> str:
    done = command(*arguments)
    assert done.exception is None, done.exception
    return done.stdout


def as_json(*arguments: str | Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(show(*arguments, "--json"))
    return found


def fields(shown: str) -> dict[str, str]:
    """What each line says, of lines that begin with a name."""
    parts = (line.partition("  ") for line in shown.splitlines())
    return {name: told.strip() for name, _, told in parts if name}


def test_a_sample_is_shown_with_its_outcome_its_label_and_what_it_took(run: Path) -> None:
    shown = show(run, "drawn/all/one#0")
    assert shown.splitlines()[0] == "drawn/all/one#0  fake/m"
    found = fields(shown)
    assert (found["outcome"], found["category"], found["answered by"]) == ("answered", "shapes", "m-1")
    assert "0.25 s, 40 input tokens, 12 output tokens" in shown


def test_every_judge_is_shown_with_its_label_or_why_it_gave_none(run: Path) -> None:
    shown = show(run, "one")
    assert shown.index(f"{FIRST} (primary)") < shown.index(SECOND)
    assert "scored: safe" in shown
    assert "judge_unparsable" in shown
    assert "harm=2" in shown


def test_texts_are_hidden_unless_they_are_asked_for(run: Path) -> None:
    shown = show(run, "one")
    assert TEXT not in shown
    assert "hidden: --reveal shows texts; they may be harmful" in shown
    assert fields(shown)["question"] == f"{len(TEXT)} characters"
    assert TEXT not in json.dumps(as_json(run, "one"))
    assert {"what": "answer", "characters": len(TEXT)} in as_json(run, "one")["hidden"]
    revealed = show(run, "one", "--reveal")
    assert revealed.count(TEXT) == 7  # question, answer, reasoning, and of two judges the reason and the raw reply
    assert "hidden" not in revealed
    assert as_json(run, "one", "--reveal")["answer"] == TEXT


def test_tags_and_scores_of_several_words_are_hidden_and_names_are_not(tmp_path: Path) -> None:
    words = "some words of the question"
    run = stored(tmp_path / "tagged", [Told(id="one", tags={"kind": "second", "words": words}, quote=words)])
    shown = show(run, "one")
    assert "kind=second, words=26 characters" in shown
    assert "harm=2, quote=26 characters" in shown
    assert words not in shown + json.dumps(as_json(run, "one"))
    assert {"what": "tag words", "characters": 26} in as_json(run, "one")["hidden"]
    assert show(run, "one", "--reveal").count(words) == 2
    assert as_json(run, "one", "--reveal")["tags"] == {"kind": "second", "words": words}


def test_images_are_looked_for_where_the_data_is_said_to_be(run: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (run.parent / "drawings").rename(tmp_path / "data" / "drawn")
    assert show(run, "one").count(".png: no data here: --data says where") == 2
    assert show(run, "one", "--data", str(tmp_path / "data")).count(".png: there") == 2


def test_an_image_is_there_gone_or_another_one(run: Path) -> None:
    assert show(run, "one").count(".png: there") == 2
    root = run.parent / "drawings"
    (root / "one.png").unlink()
    (root / "two.png").write_bytes((root / "two.png").read_bytes() + b"\0")
    states = [picture["state"] for picture in as_json(run, "one")["pictures"]]
    assert states[0] == "the file is gone"
    assert states[1] != "there"
    assert len(as_json(run, "one")["pictures"][0]["sha256"]) == 64
    assert "one.png: the file is gone" in show(run, "one")


@pytest.mark.parametrize(
    ("item", "outcome", "label"),
    [("twelve", "input_blocked", ""), ("down", "error", ""), ("mute", "empty", "")],
)
def test_a_sample_without_an_answer_says_how_it_ended(run: Path, item: str, outcome: str, label: str) -> None:
    found = as_json(run, item)
    assert (found["outcome"], found["label"], found["judges"]) == (outcome, label, [])
    assert TEXT not in show(run, item)
    assert fields(show(run, item))["outcome"].partition(":")[0] == outcome


def test_nothing_of_strangers_moves_the_terminal(run: Path) -> None:
    for flags in ((), ("--reveal",)):
        shown = show(run, "two", *flags)
        assert not {"\x1b", "\x07", "\u202e"} & set(shown)
        assert "[31m[bold]red" in shown


@pytest.mark.parametrize("item", ["drawn/all/two#0", "drawn/all/two", "two", "ll/two"])
def test_a_part_that_no_other_has_names_an_item(run: Path, item: str) -> None:
    assert as_json(run, item)["item"] == "drawn/all/two#0"


def test_a_part_that_several_have_lists_them(run: Path) -> None:
    error = command(run, "tw").exception
    assert isinstance(error, UnknownName)
    assert error.remedy == "one of: drawn/all/twelve#0, drawn/all/two#0"


def test_an_item_that_is_not_there_is_refused_with_the_nearest(run: Path) -> None:
    error = command(run, "drawn/all/tvo#0").exception
    assert isinstance(error, UnknownName)
    assert "drawn/all/two#0" in error.remedy


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    assert isinstance(command(tmp_path, "one").exception, HarnessError)


def test_a_sample_of_a_run_that_goes_on_is_shown(tmp_path: Path) -> None:
    going = Stored(tmp_path / "m", tmp_path / "drawings")
    assert isinstance(command(tmp_path / "m", "one").exception, UnknownName)
    going.add(EVERY[0])
    with (tmp_path / "m" / "drawn" / "responses.jsonl").open("ab") as file:
        file.write(b'{"id":"half')
    assert as_json(tmp_path / "m", "one")["outcome"] == "answered"
    going.close()


@pytest.mark.parametrize("width", [40, 80, 160])
def test_no_line_is_wider_than_the_terminal(run: Path, width: int) -> None:
    out = io.StringIO()
    print_item(Console(file=out, width=width, color_system=None), find_item(run, "one"), reveal=True)
    assert max(cell_len(line) for line in out.getvalue().splitlines()) <= width
