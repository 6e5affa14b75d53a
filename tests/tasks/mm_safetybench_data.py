"""MM-SafetyBench's two layouts, in small or in full, with harmless words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from harness_mm_safetybench.task import SCENARIOS, TASK, get_published_name, list_spellings
from pyarrow import parquet

from harness import Sample
from harness.testing.fakes import PIXEL
from tests.tasks import data
from tests.tasks.data import HUB, put, write_json

#: samples of each scenario, in order
SIZES = (97, 163, 44, 144, 122, 154, 109, 153, 139, 130, 167, 109, 149)
KINDS = ("SD", "SD_TYPO", "TYPO")
FIELDS = {
    "SD": "Rephrased Question(SD)",
    "SD_TYPO": "Rephrased Question",
    "TYPO": "Rephrased Question",
    "Text_only": "Changed Question",
}


def record(number: str, key: int) -> dict[str, str]:
    return {
        "Question": f"Question {number}-{key}",
        "Changed Question": f"Plain {number}-{key}",
        "Key Phrase": "widget",
        "Rephrased Question": f"Typo {number}-{key}",
        "Rephrased Question(SD)": f"Picture {number}-{key}",
    }


def github(root: Path, names: Mapping[str, str] | None = None, *, size: int = 2, base: str = "data/") -> Path:
    """JSON files and images; `names` gives other spellings to some scenarios."""
    for of in SCENARIOS:
        name = (names or {}).get(of, list_spellings(of)[0])
        records = {str(key): record(of[:2], key) for key in range(size)}
        write_json(root / base / "processed_questions" / f"{name}.json", records)
        put(root / base, *(f"imgs/{name}/{kind}/{key}.jpg" for kind in KINDS for key in range(size)))
    return root


def hub(
    root: Path, names: Mapping[str, str] | None = None, *, sizes: Mapping[str, int] | None = None, **columns: Any
) -> Path:
    """A parquet file for each scenario and kind; `columns` replaces some of them, None takes them away."""
    for of in SCENARIOS:
        size = (sizes or {}).get(of, 2)
        records = [record(of[:2], key) for key in range(size)]
        for kind, field in FIELDS.items():
            images = [None if kind == "Text_only" else {"bytes": PIXEL, "path": "x.png"}] * size
            table = {
                "id": [str(key) for key in range(size)],
                "question": [each[field] for each in records],
                "image": pa.array(images, HUB),
                **columns,
            }
            path = root / "data" / (names or {}).get(of, get_published_name(of)) / f"{kind}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            parquet.write_table(pa.table({name: values for name, values in table.items() if values is not None}), path)
    return root


def read(root: Path, split: str = "sd_typo") -> list[Sample]:
    return data.read(TASK, root, split)
