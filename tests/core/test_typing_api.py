"""The file that mypy and pyright check uses all of the public API; `make check` runs them on it."""

from __future__ import annotations

import ast
from pathlib import Path

import harness

API = Path(__file__).parents[1] / "typing" / "api.py"


def test_each_public_name_is_used_where_its_types_are_checked() -> None:
    used = {
        node.attr
        for node in ast.walk(ast.parse(API.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "harness"
    }
    assert set(harness.__all__) - used == set()
