"""The constants of a Python file, read with `ast` and never run.

The words of a published script are its string literals; its code is not needed. The file is parsed, and every assigned
constant is collected under its name. What is not literal (a call, a variable, an f-string with fields) or is no JSON
(bytes, a complex number) becomes `...` in the container it was found in.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Mapping
from typing import Final

from harness.types import Json

_STRIPS: Final = {"strip": str.strip, "lstrip": str.lstrip, "rstrip": str.rstrip}


def read_literals(source: str) -> Mapping[str, Json]:
    """Every assigned constant of a script.

    A constant of the module is found by its name; one inside a function or class by its dotted name (`function.NAME`,
    also where it is assigned to `self.NAME`) and, if the module has none of that name and all inner ones are equal, by
    the plain name too. Tuples and sets become lists; a class field's `Literal["a", "b"]` becomes the list of its
    values.

    Raises:
        ValueError: the file is not Python, is nested too deep or holds a null byte.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd escape in somebody else's script is no concern of the user
            body = ast.parse(source).body
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f"not a Python file: {error}") from None
    found: dict[str, Json] = {}
    inner: dict[str, list[Json]] = {}
    try:
        assignments = list(_find_assignments(body, ""))
    except RecursionError:
        raise ValueError("not a Python file: nested too deep") from None
    for scope, name, value in assignments:
        found[scope + name] = value
        if scope and value not in inner.setdefault(name, []):
            inner[name].append(value)
    return {name: values[0] for name, values in inner.items() if len(values) == 1} | found


def _find_assignments(body: list[ast.stmt], scope: str) -> Iterator[tuple[str, str, Json]]:
    """Scope with its final dot, name and value of each assignment whose value is at least partly literal."""
    for statement in body:
        names: list[str] = []
        value: Json = ...
        match statement:
            case ast.Assign(targets=targets, value=node):
                names, value = [name for target in targets if (name := _find_name(target))], _read_value(node)
            case ast.AnnAssign(
                target=ast.Name(id=name), value=None, annotation=ast.Subscript(value=kind, slice=choices)
            ) if ast.unparse(kind).split(".")[-1] == "Literal":
                listed = choices.elts if isinstance(choices, ast.Tuple) else [choices]
                names, value = [name], [_read_value(choice) for choice in listed]
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as node):
                names, value = [name], _read_value(node)
            case _:
                pass
        if value is not ...:
            yield from ((scope, name, value) for name in names)
        inside = scope
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inside = f"{scope}{statement.name}."
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            yield from _find_assignments(getattr(statement, field, []), inside)


def _find_name(target: ast.expr) -> str:
    """The name that is assigned to: `NAME`, or the NAME of `self.NAME`; empty for another target."""
    match target:
        case ast.Name(id=name) | ast.Attribute(value=ast.Name(id="self"), attr=name):
            return name
        case _:
            return ""


def _read_value(node: ast.expr) -> Json:
    match node:
        case ast.Constant(value=None | str() | int() | float() as value):  # bytes and complex numbers are no JSON
            return value
        case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
            return [_read_value(item) for item in items]
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            named = ((_read_value(key), value) for key, value in pairs if isinstance(key, ast.Constant))
            return {key: _read_value(value) for key, value in named if key is not ...}
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            texts = [_read_value(left), _read_value(right)]
            return "".join(texts) if all(isinstance(text, str) for text in texts) else ...
        case ast.JoinedStr(values=parts) if not any(isinstance(part, ast.FormattedValue) for part in parts):
            return "".join(str(_read_value(part)) for part in parts)
        case ast.Call(func=ast.Attribute(value=base, attr=attr), args=arguments, keywords=[]) if attr in _STRIPS:
            texts = [_read_value(base), *map(_read_value, arguments)]
            is_literal = len(texts) <= 2 and all(isinstance(text, str) for text in texts)
            return _STRIPS[attr](*texts) if is_literal else ...
        case _:
            return ...
