"""The page of the design names what is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = (ROOT, ROOT / "harness", ROOT / "training" / "harness_builder")


def test_each_module_that_the_design_names_is_there() -> None:
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z_]+(?:/[a-z_]+)*\.py)(?:`|: )", text))
    assert len(named) > 15
    assert sorted(name for name in named if not any((room / name).exists() for room in ROOMS)) == []
