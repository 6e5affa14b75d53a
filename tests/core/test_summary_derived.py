"""Splits pooled from others, and splits compared with their twins."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.core.summed import SPLITS, TWINS, all_ran, ran, rows, task


def test_a_derived_split_pools_the_records_of_its_parts() -> None:
    found = task(rows(), **all_ran())["splits"]
    assert list(found) == ["easy", "hard", "real", "test"]
    pooled = found["test"]
    assert (pooled["parts"], pooled["n"], pooled["n_expected"], pooled["records"]) == (["easy", "hard"], 5, 5, 5)
    assert pooled["metrics"]["ASR"]["value"] == 50.0
    assert (pooled["metrics"]["ASR"]["clusters"], pooled["metrics"]["ASR"]["denominator"]) == (3, 4)
    assert pooled["outcomes"]["answered"] == 3
    assert pooled["judge"] == "J"
    assert "parts" not in found["easy"]


def test_a_derived_split_is_there_only_if_every_part_ran_with_the_same_judge() -> None:
    without_hard = [one for one in rows() if one.record.split != "hard"]
    assert "test" not in task(without_hard, easy=ran(SPLITS["easy"]), real=ran(SPLITS["real"]))["splits"]
    other = ran(SPLITS["hard"], judges={"K": {}}, primary="K")
    assert "test" not in task(rows(), **all_ran(hard=other))["splits"]


def test_a_derived_split_keeps_the_judges_and_settings_all_its_parts_share() -> None:
    easy = ran(SPLITS["easy"], judges={"J": {}, "K": {}}, settings={"temperature": 0.0, "max_tokens": 8})
    hard = ran(SPLITS["hard"], settings={"temperature": 0.0, "max_tokens": 9}, subset={"limit": 2})
    pooled = task(rows(), **all_ran(easy=easy, hard=hard))["splits"]["test"]
    assert pooled["other_judges"] == {}
    assert pooled["settings"] == {"temperature": 0.0}
    assert pooled["subset"] == {"limit": 2}


def test_a_pairing_stands_beside_the_splits_in_the_form_of_the_design() -> None:
    found = task(rows(), TWINS, **all_ran())["paired"]
    assert (found["pairs"], found["unmatched"]) == (1, 1)
    assert (found["ASR"]["real"], found["ASR"]["synthetic"], found["ASR"]["difference"]) == (100.0, 50.0, 50.0)
    low, high = found["ASR"]["ci95"]
    assert low <= 50 <= high


def test_several_pairings_stand_under_their_names() -> None:
    second = replace(TWINS, name="hard", left="hard", right=("easy",))
    assert list(task(rows(), TWINS, second, **all_ran())["paired"]) == ["real", "hard"]


def test_a_pairing_needs_all_its_splits_and_one_judge() -> None:
    assert "paired" not in task(rows()[:3], TWINS, easy=ran(SPLITS["easy"]))
    other = ran(SPLITS["real"], judges={"K": {}}, primary="K")
    assert "paired" not in task(rows(), TWINS, **all_ran(real=other))


def test_a_pairing_of_a_metric_nobody_has_is_refused() -> None:
    with pytest.raises(ValueError, match="pairing real: split real has no metric FOO"):
        task([], replace(TWINS, metric="FOO"), **all_ran())
