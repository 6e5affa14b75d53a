"""The constants of a Python file, read with `ast` and never run.

Whoever needs the words of a published script needs its string literals, not its code: a file is parsed, every
assigned constant is collected under its name, and what is not literal (a call, a variable, an f-string with fields) or
is no JSON (bytes, a complex number) stands as `...` in the container it was found in.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Mapping
from typing import Final

from harness.types import Json

_STRIPS: Final = {"strip": str.strip, "lstrip": str.lstrip, "rstrip": str.rstrip}


def literals(source: str) -> Mapping[str, Json]:
    """Every assigned constant of a script.

    A constant of the module stands under its name; one inside a function or class under its dotted name
    (`function.NAME`) and, where the module has none of that name and the first is the only value, under the plain
    name too. Tuples and sets read as lists; a class field's `Literal["a", "b"]` reads as the list of its values.

    Raises:
        ValueError: the file is not Python, is nested too deep or holds a null byte.
    """
    found: dict[str, Json] = {}
    inner: dict[str, list[Json]] = {}
    try:
        assigned = list(_assignments(_parsed(source).body, ""))
    except RecursionError:
        raise ValueError("not a Python file: nested too deep") from None
    for scope, name, value in assigned:
        found[scope + name] = value
        if scope and value not in inner.setdefault(name, []):
            inner[name].append(value)
    return {name: values[0] for name, values in inner.items() if len(values) == 1} | found


def _parsed(source: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd escape in somebody else's script is not our user's concern
            return ast.parse(source)
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f"not a Python file: {error}") from None


def _assignments(body: list[ast.stmt], scope: str) -> Iterator[tuple[str, str, Json]]:
    """Scope with its final dot, name and value of each assignment whose value is at least partly literal."""
    for statement in body:
        for target, value in _assigned(statement):
            if value is not ...:
                yield scope, target, value
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            yield from _assignments(getattr(statement, field, []), scope + _opened(statement))


def _opened(statement: ast.stmt) -> str:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return f"{statement.name}."
    return ""


def _assigned(statement: ast.stmt) -> Iterator[tuple[str, Json]]:
    if isinstance(statement, ast.Assign):
        names = [target.id for target in statement.targets if isinstance(target, ast.Name)]
        yield from ((name, _value(statement.value)) for name in names)
    elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        yield statement.target.id, _value(statement.value) if statement.value else _choices(statement.annotation)


def _choices(annotation: ast.expr) -> Json:
    if not (isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value).split(".")[-1] == "Literal"):
        return ...
    choices = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
    return [_value(choice) for choice in choices]


def _value(node: ast.expr) -> Json:
    match node:
        case ast.Constant(value=None | str() | int() | float() as value):  # bytes and complex numbers are no JSON
            return value
        case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
            return [_value(item) for item in items]
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            named = ((_value(key), value) for key, value in pairs if isinstance(key, ast.Constant))
            return {key: _value(value) for key, value in named if key is not ...}
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return _joined(_value(left), _value(right))
        case ast.JoinedStr(values=parts) if not any(isinstance(part, ast.FormattedValue) for part in parts):
            return "".join(str(_value(part)) for part in parts)
        case ast.Call(func=ast.Attribute(value=base, attr=attr), args=arguments, keywords=[]) if attr in _STRIPS:
            return _stripped(_value(base), attr, [_value(argument) for argument in arguments])
        case _:
            return ...


def _joined(left: Json, right: Json) -> Json:
    return left + right if isinstance(left, str) and isinstance(right, str) else ...


def _stripped(text: Json, how: str, arguments: list[Json]) -> Json:
    literal = isinstance(text, str) and len(arguments) <= 1 and all(isinstance(one, str) for one in arguments)
    return _STRIPS[how](text, *arguments) if literal else ...
