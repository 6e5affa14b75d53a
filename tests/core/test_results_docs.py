from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness_csv import render

DOCS = Path(__file__).parents[2] / "docs"


def text(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def keys(schema: Any) -> Iterator[str]:
    """Every key that a JSON Schema names, at any depth."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for part in schema.values():
            yield from keys(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from keys(part)


@pytest.mark.parametrize("key", sorted(set(keys(json.loads(text("results.schema.json"))))))
def test_every_key_of_results_json_is_explained(key: str) -> None:
    assert f"`{key}`" in text("results.md") or f'"{key}"' in text("results.md")


@pytest.mark.parametrize("column", render([]).strip().split(","))
def test_every_column_of_csv_is_explained(column: str) -> None:
    assert f"`{column}`" in text("reports/csv.md")
