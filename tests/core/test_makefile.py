"""`make mini` draws everything that is packaged as drawn; the commands are read, not run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BY_HAND = {"harness_people", "harness_strongreject", "harness_xstest"}  #: texts without images, written by hand


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_mini_draws_every_packaged_split_into_its_own_folder_and_trains_the_mini_model() -> None:
    said = subprocess.run(["make", "-n", "mini"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    drawn = {line.split()[-1] for line in said.splitlines() if ".draw_" in line}
    packaged = {path.relative_to(ROOT) for room in ("tasks", "plugins") for path in (ROOT / room).glob("*/mini")}
    assert drawn == {str(path) for path in packaged if path.parent.name not in BY_HAND}
    assert "harness_mini.make_base" in said
