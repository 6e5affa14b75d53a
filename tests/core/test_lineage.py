from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import BadData
from harness.lineage import find_held_out, read_lineage


def write(folder: Path, **body: object) -> Path:
    folder.mkdir()
    (folder / "training.json").write_text(json.dumps({"schema": "harness.training/1", **body}), encoding="utf-8")
    return folder


def test_a_model_of_which_nothing_is_declared_has_no_lineage(tmp_path: Path) -> None:
    assert read_lineage({"tuned_from": None, "trained_on": None}, [tmp_path]) == {}


def test_what_the_user_says_is_split_at_commas() -> None:
    given = {"tuned_from": "hf/base", "trained_on": "mis-train, vlguard,"}
    assert read_lineage(given, ()) == {"tuned_from": "hf/base", "trained_on": ["mis-train", "vlguard"]}


def test_the_training_file_beside_the_weights_speaks_where_the_user_does_not(tmp_path: Path) -> None:
    folder = write(tmp_path / "tuned", tuned_from="mini/base", trained_on=["mis-train"])
    assert read_lineage({}, [tmp_path / "gone", folder]) == {"tuned_from": "mini/base", "trained_on": ["mis-train"]}
    assert read_lineage({"trained_on": "own"}, [folder]) == {"tuned_from": "mini/base", "trained_on": ["own"]}


def test_the_training_file_says_what_was_held_out_and_which_files_the_base_had(tmp_path: Path) -> None:
    body = {"mixture": {"held_out": ["library"]}, "base": {"digest": "k1:b"}}
    folder = write(tmp_path / "tuned", tuned_from="hf/base", trained_on=["own"], **body)
    known = {"tuned_from": "hf/base", "trained_on": ["own"], "held_out": ["library"], "base_files": "k1:b"}
    assert read_lineage({}, [folder]) == known


def test_another_base_that_the_user_names_is_not_told_by_the_files_of_the_one_in_the_file(tmp_path: Path) -> None:
    body: dict[str, Any] = {"mixture": {"held_out": []}, "base": {"digest": "k1:b"}}
    folder = write(tmp_path / "tuned", tuned_from="hf/base", trained_on=["own"], **body)
    assert read_lineage({"tuned_from": "x/other"}, [folder]) == {"tuned_from": "x/other", "trained_on": ["own"]}


@pytest.mark.parametrize(
    ("category", "name"),
    [("Self-Harm", "self_harm"), ("self harm", "self_harm"), ("Garden; Self-Harm", "self_harm"), ("Garden", "")],
)
def test_a_category_is_held_out_however_its_name_is_spelled(category: str, name: str) -> None:
    assert find_held_out(["privacy", "self_harm", ""], category) == name
    assert find_held_out([""], "") == ""


@pytest.mark.parametrize(
    "text",
    [
        *("{", '{"trained_on": "mis"}', '{"trained_on": [1]}', '{"tuned_from": []}'),
        *('{"mixture": {"held_out": "mis"}}', '{"mixture": {"held_out": [1]}}', '{"base": {"digest": 1}}'),
    ],
)
def test_a_broken_training_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "training.json").write_text(text, encoding="utf-8")
    with pytest.raises(BadData, match=r"training\.json"):
        read_lineage({}, [tmp_path])
