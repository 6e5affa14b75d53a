"""Each notebook in docs/ runs, and what it stores is what it gives."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

pytest.importorskip("nbclient")
ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
STALE = "it is stale: make docs"


def load(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def list_texts(cell: dict[str, Any]) -> list[str]:
    """The texts of a cell's outputs; a drawing is text of the machine's fonts, so it counts by its kind alone."""
    texts: list[str] = []
    for output in cell.get("outputs", ()):
        data = output.get("data", {"text/plain": output.get("text", "")})
        texts.append("".join(data.get("text/plain", "")))
        texts += sorted(kind for kind in data if kind != "text/plain")
    return texts


@pytest.fixture(scope="module")
def anew(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The notebooks as they would be stored now; the kernel's warnings stay in its own process."""
    folder = tmp_path_factory.mktemp("notebooks")
    command = [sys.executable, str(ROOT / "docs" / "notebooks.py"), "--to", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_gives_what_it_stores(path: Path, anew: Path) -> None:
    stored, now = load(path), load(anew / path.name)
    assert stored["metadata"] == now["metadata"], STALE
    assert len(stored["cells"]) == len(now["cells"])
    for one, other in zip(stored["cells"], now["cells"], strict=True):
        assert list_texts(one) == list_texts(other), f"{''.join(one['source'])}\n{STALE}"
        assert one.get("execution_count") == other.get("execution_count"), STALE


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_draws_and_stores_nothing_of_a_machine(path: Path) -> None:
    cells = load(path)["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    assert sum("image/svg+xml" in output.get("data", {}) for output in outputs) >= 2
    assert not any(output["output_type"] == "error" or output.get("name") == "stderr" for output in outputs)
    text = json.dumps(outputs)
    for place in ("/home/", "/root/", "/tmp/", "/Users/", "site-packages", str(ROOT)):
        assert place not in text
