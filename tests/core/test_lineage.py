from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import BadData
from harness.lineage import lineage


def write(folder: Path, **body: object) -> Path:
    folder.mkdir()
    (folder / "training.json").write_text(json.dumps({"schema": "harness.training/1", **body}), encoding="utf-8")
    return folder


def test_a_model_of_which_nothing_is_declared_has_no_lineage(tmp_path: Path) -> None:
    assert lineage({"tuned_from": None, "trained_on": None}, [tmp_path]) == {}


def test_what_the_user_says_is_split_at_commas() -> None:
    given = {"tuned_from": "hf/base", "trained_on": "mis-train, vlguard,"}
    assert lineage(given, ()) == {"tuned_from": "hf/base", "trained_on": ["mis-train", "vlguard"]}


def test_the_training_file_beside_the_weights_speaks_where_the_user_does_not(tmp_path: Path) -> None:
    folder = write(tmp_path / "tuned", tuned_from="mini/base", trained_on=["mis-train"])
    assert lineage({}, [tmp_path / "gone", folder]) == {"tuned_from": "mini/base", "trained_on": ["mis-train"]}
    assert lineage({"trained_on": "own"}, [folder]) == {"tuned_from": "mini/base", "trained_on": ["own"]}


@pytest.mark.parametrize("text", ["{", '{"trained_on": "mis"}', '{"trained_on": [1]}', '{"tuned_from": []}'])
def test_a_broken_training_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "training.json").write_text(text, encoding="utf-8")
    with pytest.raises(BadData, match=r"training\.json"):
        lineage({}, [tmp_path])
