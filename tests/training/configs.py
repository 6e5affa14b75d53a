"""Configs of builds: the least that is one, and one with every key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from harness_builder.config import read_plan
from harness_builder.plan import Plan

from harness import HarnessError
from tests.training.trained import called

LEAST = {
    "name": "shapes",
    "sources": [{"name": "own", "path": "seeds.csv", "licence": "mit"}],
    "models": {"writer": "mini/writer"},
    "painter": "mini/painter",
}
WHOLE = """
name: Kitchen risks
language: German
seed: 7
sources:
  - {name: own, path: seeds/mine.csv, licence: mit, limit: 50, seed: 3, columns: {text: what, key: number}}
  - {name: vls, path: ../VLSBench, layout: vlsbench}
categories:
  Fire: [Candles, Stoves]
  Water:
models:
  writer: openai/big
  viewer: {model: openai/eyes, settings: {timeout: 5}, price: {input: 1, output: 2.5}}
  judge: openai/judge
painter: {painter: diffusers/small, settings: {steps: 4}, width: 512, height: 768, price: {image: 0.04}}
prompts: {write: prompts/write.j2, label: /etc/label.j2}
elements: {per_text: 3, per_image: 1}
draw: {rounds: 3, best_of: 2}
sort: {review: none, reviewers: 2}
probe: {ask: true, keep: together}
label: {rubric: mini, accept: [a, b], tries: 4, refusal: true, text_only: true}
quality:
  text: 0.7
  image: 4
  against: [mssbench, {task: "mis:easy", data: tests/MIS}]
  balance: {Fire: 3, Water: 4}
real: {name: photos, path: photos, licence: cc0-1.0, count: 9, by: caption, least: 0.5, faces: yunet.onnx}
limits: {concurrency: 8, calls: 1000, usd: 2}
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "build.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def read(folder: Path, **changes: Any) -> Plan:
    return read_plan(written(folder, yaml.safe_dump({**LEAST, **changes})))


def refused(folder: Path, **changes: Any) -> HarnessError:
    with pytest.raises(HarnessError) as caught:
        read(folder, **changes)
    assert caught.value.where == str(folder / "build.yaml")
    return caught.value


def in_the_mini_world(folder: Path, **changes: Any) -> Path:
    """The config of a build by `mis` that needs no model, with people who decide."""
    (folder / "ideas.csv").write_text("id,text\n1,A red star lies near a blue ring\n2,a purple heart\n", "utf-8")
    said = {
        "name": "shapes",
        "sources": [{"name": "ideas", "path": "ideas.csv", "licence": "cc0-1.0"}],
        "models": {"writer": "mini/writer"},
        "painter": "mini/painter",
    }
    path = folder / "build.yaml"
    path.write_text(yaml.safe_dump({**said, **changes}), encoding="utf-8")
    return path


def error_of(*words: str) -> str:
    """What a command says that fails for a reason the user can fix."""
    code, _, said = called(["build", *words])
    assert code == 2, said
    assert "Traceback" not in said
    return said
