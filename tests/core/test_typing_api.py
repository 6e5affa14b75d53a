"""The public API is frozen: api.py uses it under mypy and pyright, signatures.json keeps what a caller may write.

The public API is `harness.__all__` and what the pages of docs/api show, as docs/version-policy.md promises.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import harness

ROOT = Path(__file__).parents[2]
API = ROOT / "tests" / "typing" / "api.py"
SIGNATURES = ROOT / "tests" / "typing" / "signatures.json"  #: HARNESS_GOLDEN=write writes it anew


def test_each_public_name_is_used_where_its_types_are_checked() -> None:
    used = {
        node.attr
        for node in ast.walk(ast.parse(API.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "harness"
    }
    assert set(harness.__all__) - used == set()


def list_public() -> list[str]:
    """The dotted path of each name of the public API."""
    pages = [page.read_text("utf-8") for page in sorted((ROOT / "docs" / "api").glob("*.md"))]
    shown = {path for page in pages for path in re.findall(r"^::: (harness\.\S+)$", page, re.MULTILINE)}
    return sorted(shown | {f"harness.{name}" for name in harness.__all__})


def describe_type(annotation: object) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def describe_value(kind: str, annotation: object, default: object) -> str:
    """`KIND: TYPE = DEFAULT`, where `...` stands for a default that is no plain value."""
    if default is inspect.Parameter.empty or default is dataclasses.MISSING:
        return f"{kind}: {describe_type(annotation)}"
    plain = (default is None or isinstance(default, bool | int | float | str | tuple)) and "<" not in repr(default)
    return f"{kind}: {describe_type(annotation)} = {repr(default) if plain else '...'}"


def describe_call(function: Any) -> dict[str, str]:
    """Parameter -> its kind, type and default; `return` -> its type. The keys of `**options` are parameters."""
    signature = inspect.signature(function)
    described = {"return": describe_type(signature.return_annotation)}
    for each in signature.parameters.values():
        options = re.fullmatch(r"Unpack\[(\w+)\]", str(each.annotation))
        if options:
            keys = getattr(inspect.getmodule(function), options[1])
            for key, annotation in keys.__annotations__.items():
                kind = getattr(annotation, "__forward_arg__", annotation)
                described[key] = describe_value(
                    "option", kind, inspect.Parameter.empty if key in keys.__required_keys__ else object()
                )
        elif each.name not in {"self", "cls"}:
            described[each.name] = describe_value(each.kind.name.lower(), each.annotation, each.default)
    return described


def describe_class(found: type) -> dict[str, Any]:
    """A class's bases, fields, methods, properties and how it is made, without what Python adds."""
    ours = [cls for cls in reversed(found.__mro__) if cls.__module__.startswith("harness")]
    bases = ", ".join(cls.__name__ for cls in found.__bases__ if cls is not object)
    described: dict[str, Any] = {"(bases)": bases} if bases else {}
    if dataclasses.is_dataclass(found):
        for field in dataclasses.fields(found):
            if field.init and not field.name.startswith("_"):
                default = field.default if field.default_factory is dataclasses.MISSING else object()
                kind = "field by keyword" if field.kw_only else "field"
                described[field.name] = describe_value(kind, field.type, default)
    elif any("__init__" in vars(cls) for cls in ours) and not getattr(found, "_is_protocol", False):
        described["__init__"] = describe_call(found)
    for cls in ours:
        for name, member in vars(cls).items():
            if name.startswith("_") or isinstance(described.get(name), str):
                continue
            if isinstance(member, property):
                described[name] = f"property: {describe_type(inspect.signature(member.fget).return_annotation)}"  # type: ignore[arg-type]
            elif inspect.isfunction(member) or isinstance(member, classmethod | staticmethod):
                described[name] = describe_call(getattr(found, name))
        if not dataclasses.is_dataclass(cls):
            for name, annotation in inspect.get_annotations(cls).items():
                if not name.startswith("_"):
                    described[name] = f"attribute: {describe_type(annotation)}"
    return described


def describe(path: str) -> Any:
    """What a caller may write of a public name."""
    module, _, name = path.rpartition(".")
    found = getattr(importlib.import_module(module), name)
    found = inspect.unwrap(getattr(found, "_fixture_function", found))  # a fixture of pytest
    if inspect.isclass(found) and found.__module__.startswith("harness"):
        return describe_class(found)
    if inspect.isfunction(found):
        return describe_call(found)
    of_ours = type(found).__module__.partition(".")[0] in {"builtins", "harness", "pluggy"} and not inspect.isclass(
        found
    )
    return f"a value: {type(found).__name__}" if of_ours and not inspect.ismodule(found) else "an alias or a module"


def list_breaks(kept: Any, today: Any, path: str = "") -> Iterator[str]:
    """What was written against `kept` and does not work with `today`; an addition with a default is none."""
    if not isinstance(kept, dict) or not isinstance(today, dict):
        if kept != today:
            yield f"{path} was {kept!r} and is {today!r}"
        return
    for name in kept:
        if name not in today:
            yield f"{path} {name} is gone".lstrip()
        else:
            yield from list_breaks(kept[name], today[name], f"{path} {name}".lstrip())
    for name in sorted(today.keys() - kept.keys()):
        kind, _, rest = today[name].partition(": ") if isinstance(today[name], str) else ("method", "", "")
        if kind in {"method", "property", "attribute", "var_keyword", "var_positional"}:
            continue
        if " = " not in rest:
            yield f"{path} {name} is new and has no default".lstrip()
        elif kind not in {"field by keyword", "keyword_only", "option"}:
            yield f"{path} {name} is new and can be given by its place".lstrip()


def test_what_was_written_against_the_public_api_still_works() -> None:
    """A field that goes, a type that changes and a new argument without a default break a caller."""
    today = {path: describe(path) for path in list_public()}
    if os.environ.get("HARNESS_GOLDEN") == "write":
        SIGNATURES.write_text(json.dumps(today, indent=1, sort_keys=True) + "\n", "utf-8")
    kept = json.loads(SIGNATURES.read_text("utf-8"))
    assert list(list_breaks(kept, today)) == []
    assert kept == today, "there is something new: write it down with HARNESS_GOLDEN=write"


KEPT = {"harness.R": {"a": "field: int", "b": "field: int = 0"}}
PLACED = "harness.R c is new and can be given by its place"


@pytest.mark.parametrize(
    ("today", "found"),
    [
        ({}, ["harness.R is gone"]),
        ({"a": "field: int"}, ["harness.R b is gone"]),
        ({"a": "field: str", "b": "field: int = 0"}, ["harness.R a was 'field: int' and is 'field: str'"]),
        ({"a": "field: int", "b": "field: int = 1"}, ["harness.R b was 'field: int = 0' and is 'field: int = 1'"]),
        ({"a": "field: int", "b": "field: int"}, ["harness.R b was 'field: int = 0' and is 'field: int'"]),
        ({"a": "field: int", "b": "field: int = 0", "c": "field: int"}, ["harness.R c is new and has no default"]),
        ({"a": "field: int", "b": "field: int = 0", "c": "field: int = 0"}, [PLACED]),
        ({"a": "field: int", "b": "field: int = 0", "c": "field by keyword: int = 0", "d": {"return": "int"}}, []),
    ],
)
def test_a_break_is_told_from_an_addition(today: dict[str, Any], found: list[str]) -> None:
    assert list(list_breaks(KEPT, {"harness.R": today} if today else {})) == found


def test_an_example_of_each_kind_is_described_whole() -> None:
    assert describe("harness.Text") == {"text": "field by keyword: str"}
    assert describe("harness.BadImage")["(bases)"] == "Exception"
    assert describe("harness.run")["limit"] == "option: int | None = ..."
    assert describe("harness.Files")["read"] == {"path": "positional_or_keyword: str", "return": "bytes"}
    assert describe("harness.Run")["state"] == "property: StateName"
    assert describe("harness.http.MIB") == "a value: int"
