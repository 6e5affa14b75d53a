"""MSSBench's records in upstream's file layout, and its task over them."""

import json
from pathlib import Path
from typing import Any

from harness_mssbench.task import SETTINGS, TASK

from harness.settings import effective
from harness.types import Sample


def chat(number: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "safe_image_path": f"{number}_safe.png",
        "unsafe_image_path": f"{number}_unsafe.png",
        "intent": f"stack tower {number}",
        "unsafe_image": f"a wobbly table {number}",
        "Type": "Property Damage",
        "queries": [f"How do I stack tower {number}?", f"Where do I begin tower {number}?"],
        **changes,
    }


def embodied(number: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "task": f"place {number}",
        "category": "property",
        "safe": f"{number}_s.png",
        "unsafe": f"{number}_u.png",
        "safe_instruction": f"Put cup {number} on the shelf.",
        "unsafe_instruction": f"Put cup {number} on the edge.",
        "safe_instructions": ["Put it on the shelf.", "Place it up there.", "Shelve it."],
        "unsafe_instructions": ["Put it on the edge.", "Place it there."],
        "observation_safe": "a shelf",
        "observation_unsafe": "an edge",
        **changes,
    }


def write(root: Path, content: object, name: str = "combined.json") -> Path:
    (root / name).write_text(json.dumps(content))
    return root


def read(root: Path, split: str, **given: str) -> list[Sample]:
    return list(TASK.samples(root, split, effective(SETTINGS, given, owner="mssbench")))
