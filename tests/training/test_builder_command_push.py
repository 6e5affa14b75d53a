"""`--push`: the set goes to the hub, and what would keep it from there is told before the first call."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.training.built import there
from tests.training.taking_hub import TakingHub
from tests.training.test_builder_command_mis import in_the_mini_world
from tests.training.trained import called

REPO = "someone/new-set"


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """The command, whose set nobody looks at."""
    config = in_the_mini_world(tmp_path, sort={"review": "none"})
    return ["build", "mis", "--config", str(config), "--out", str(tmp_path / "out")]


def refused(words: list[str], out: Path) -> str:
    """What is said before anything is asked or written, with and without --dry-run."""
    code, shown, said = called(words)
    assert (code, shown) == (2, ""), said
    assert not out.exists()
    assert called([*words, "--dry-run"]) == (code, shown, said)
    return said


def test_a_set_that_is_whole_goes_there_and_its_address_is_the_last_line(
    words: list[str], hub: TakingHub, tmp_path: Path
) -> None:
    code, shown, said = called([*words, "--push", REPO])
    assert code == 0, said
    assert shown.splitlines()[0].startswith("FILE")
    assert shown.splitlines()[-1].startswith(f"pushed: {hub.url}/datasets/{REPO}/commit/")
    assert hub.repos[REPO].files == there(tmp_path / "out")
    assert (hub.repos[REPO].visibility, hub.repos[REPO].gated) == ("private", "manual")


def test_public_opens_the_page_and_json_holds_the_address(words: list[str], hub: TakingHub) -> None:
    code, shown, said = called([*words, "--push", REPO, "--public", "--json"])
    assert code == 0, said
    assert json.loads(shown)["pushed"].startswith(f"{hub.url}/datasets/{REPO}/commit/")
    assert "public: everybody sees the page of the set" in said
    assert hub.repos[REPO].visibility == "public"


def test_a_set_that_stands_is_pushed_by_its_own_command(words: list[str], hub: TakingHub, tmp_path: Path) -> None:
    assert called(words)[0] == 0
    code, shown, said = called(["build", "push", str(tmp_path / "out"), REPO])
    assert code == 0, said
    assert shown.startswith(f"{hub.url}/datasets/{REPO}/commit/")


def test_a_set_that_waits_for_people_does_not_go(hub: TakingHub, tmp_path: Path) -> None:
    config = in_the_mini_world(tmp_path)
    code, _, said = called(["build", "mis", "--config", str(config), "--out", str(tmp_path / "out"), "--push", REPO])
    assert code == 3
    assert "not pushed: the set is not complete" in said
    assert not hub.asked


def test_a_missing_token_is_told_before_the_first_call(
    words: list[str], hub: TakingHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    assert "HF_TOKEN" in refused([*words, "--push", REPO], tmp_path / "out")
    assert not hub.asked


def test_a_name_that_is_none_is_told_before_the_first_call(words: list[str], hub: TakingHub, tmp_path: Path) -> None:
    assert "'some one/set' is no name of a data set" in refused([*words, "--push", "some one/set"], tmp_path / "out")


def test_a_missing_extra_is_told_before_the_first_call(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert "pip install 'vlm-safety-harness[hub]'" in refused([*words, "--push", REPO], tmp_path / "out")
