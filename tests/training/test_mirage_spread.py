"""One training on several devices: each of them runs the same parts of the model in each step."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from harness_mirage.mixture import Record

from tests.plugins.tiny.folders import Folders
from tests.training.spread_training import RECIPE, RECORDS
from tests.training.tiny_training import METHOD, fitted, mixture, recipe, record, training, weights


class TestWeightsThatAreSpreadOverDevices:
    def test_learn_what_one_device_would_where_a_device_is_dealt_records_without_images(
        self, folders: Folders, tmp_path: Path
    ) -> None:
        spread = tmp_path / "spread.partial"
        ran = subprocess.run(
            [sys.executable, "-m", "tests.training.spread_training", folders["qwen2_vl"], tmp_path / "spread"],
            check=False,
            capture_output=True,
            timeout=300,
        )
        assert ran.returncode == 0, ran.stderr.decode()[-3000:]
        whole = fitted(training(folders["qwen2_vl"], tmp_path / "whole"), RECORDS, RECIPE)
        losses = [json.loads(line)["loss"] for line in (spread / "history.jsonl").read_text().splitlines()]

        assert losses == pytest.approx([row["loss"] for row in whole.history], rel=1e-4)
        alone, together = weights(whole.folder), weights(spread / "model")
        assert alone.keys() == together.keys()
        assert all((alone[name] - together[name]).abs().max() < 1e-4 for name in alone)


class TestThePlanOfSeveralDevices:
    def test_counts_the_blank_images_of_records_without_one(self, folders: Folders, tmp_path: Path) -> None:
        from harness_mirage.estimate import forecast_training

        two = tmp_path / "two.yaml"
        two.write_text("distributed_type: MULTI_CPU\nnum_processes: 2\n", encoding="utf-8")
        alone = training(folders["qwen2_vl"], tmp_path / "out")
        together = replace(alone, launch=str(two))
        words, pictures = [record(1, "Only words?", "Yes.")], [each for each in RECORDS if each.pictures]

        def tokens(records: Sequence[Record]) -> list[float]:
            seen = mixture(records)
            return [forecast_training(METHOD, each, recipe(), seen).size.tokens for each in (alone, together)]

        assert tokens(words)[0] < tokens(words)[1]
        assert tokens(pictures)[0] == tokens(pictures)[1]
