"""1,000 elements to finished records, each role its own server that answers after 200 ms, 32 calls at once of each.

    python -m benchmarks.building [ELEMENTS [LATENCY]]

The whole build is timed from its first call to its finished files, and compared with its slowest step alone: the same
build again, with that step's stored calls deleted, so that it makes only those. Both include the processor time of the
other steps. The time that the slowest server needs by its latency is printed too. Target: 1.3.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

ELEMENTS, LATENCY, AT_ONCE = 1000, 0.2, 32
STEPS = ("elements", "write", "draw", "sort", "probe", "label")


@contextmanager
def servers(latency: float) -> Iterator[dict[str, str]]:
    command = [sys.executable, "-m", "benchmarks.mini_server", str(latency)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.communicate("")


def config(folder: Path, urls: dict[str, str], elements: int) -> Path:
    """Seeds that each give two elements whose questions nobody else has."""
    rows = ["id,text", *(f"{number},shelf {number:05d}" for number in range(elements // 2))]
    (folder / "seeds.csv").write_text("\n".join([*rows, ""]), encoding="utf-8")
    roles = {role: url for role, url in urls.items() if role != "painter"}
    models = {role: {"model": f"openai/{role}", "settings": {"base_url": url}} for role, url in roles.items()}
    said: dict[str, Any] = {
        "name": "measured",
        "sources": [{"name": "shelves", "path": "seeds.csv", "licence": "cc0-1.0"}],
        "models": models,
        "painter": {"painter": "openai/painter", "settings": {"base_url": urls["painter"]}},
        "sort": {"review": "none"},
        "label": {"rubric": "mini", "accept": ["declines_with_reason"]},
        "quality": {"text": 1.0, "image": 0},
        "limits": {"concurrency": AT_ONCE},
    }
    path = folder / "build.yaml"
    path.write_text(yaml.safe_dump(said), encoding="utf-8")
    return path


def build(config: Path, out: Path) -> float:
    began = time.perf_counter()
    command = [sys.executable, "-m", "harness", "build", "mis", "--config", str(config), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return time.perf_counter() - began


def calls(out: Path) -> dict[str, int]:
    with sqlite3.connect(out / "work" / "calls.db") as book:
        return dict(book.execute("SELECT step, count(*) FROM calls GROUP BY step"))


def without(out: Path, step: str) -> None:
    """Delete one step's stored calls."""
    with sqlite3.connect(out / "work" / "calls.db") as book:
        book.execute("PRAGMA foreign_keys=ON")
        for table in ("owners", "said"):
            book.execute(f"DELETE FROM {table} WHERE id IN (SELECT id FROM calls WHERE step = ?)", (step,))
        book.execute("DELETE FROM calls WHERE step = ?", (step,))


def main() -> None:
    elements = int(sys.argv[1]) if len(sys.argv) > 1 else ELEMENTS
    latency = float(sys.argv[2]) if len(sys.argv) > 2 else LATENCY
    with tempfile.TemporaryDirectory() as scratch, servers(latency) as urls:
        folder = Path(scratch)
        path, out = config(folder, urls, elements), folder / "set"
        whole = build(path, out)
        made = calls(out)
        replay = build(path, out)
        print(f"  {sum(made.values()):,} calls for {elements:,} elements: {made}", flush=True)
        print(
            f"  whole build {whole:7.1f} s; replay of what is kept, with start-up and files {replay:.1f} s", flush=True
        )
        alone: dict[str, float] = {}
        for step in STEPS:
            if made.get(step):
                without(out, step)
                alone[step] = build(path, out)
                print(f"  {step:9} alone {alone[step]:6.1f} s", flush=True)
    slowest = max(alone, key=lambda step: alone[step])
    ratio = whole / alone[slowest]
    print(f"  whole / slowest step alone ({slowest}): {ratio:.2f} (target: 1.3): {'ok' if ratio <= 1.3 else 'missed'}")


if __name__ == "__main__":
    main()
