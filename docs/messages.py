"""`make messages`: print each text of the code that a user can meet, with its place.

The list is read from the syntax trees, so nothing runs. It holds four kinds of text:

- `error`: what, where and remedy of each HarnessError and of its subclasses, also those that a helper builds;
- `line`: what `say`, `tell`, `note` or `echo` prints;
- `help`: the help of flags, arguments, commands and settings;
- `reason`: why a sample has no answer, with the message beside it.

A value that is known only when the code runs stands in braces, as in the code: `{path}`.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("harness", "plugins", "tasks", "judges", "reports", "training")
NEEDLESS = ("/draw_mini.py", "/make_", "/harness_bridge/vlmeval/")  #: tools of the project, and code of other programs
LINES = {"say", "tell", "note", "echo", "secho"}
HELPED = {"option", "argument", "command", "group", "Setting", "Option", "version_option"}
REASONS = {"Failure", "BadImage"}

Scope = Mapping[str, ast.expr]


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One text a user can meet.

    Attributes:
        path: of the module, from the root of the repository.
        line: where the call begins.
        kind: `error`, `line`, `help` or `reason`.
        name: the class or function that gets the text.
        what: the text itself.
        where: what an error gives as its place; empty if nothing.
        remedy: what an error says to do; empty if nothing.
    """

    path: str
    line: int
    kind: str
    name: str
    what: str
    where: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        rest = "".join(f"\n    {key}: {each}" for key, each in (("where", self.where), ("remedy", self.remedy)) if each)
        return f"{self.path}:{self.line} [{self.kind}] {self.name}\n    {self.what}{rest}"


def find_errors(trees: Mapping[Path, ast.Module]) -> frozenset[str]:
    """Names of HarnessError and of all classes that descend from it."""
    bases = {
        node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    names = {"HarnessError"}
    while more := {name for name, above in bases.items() if above & names} - names:
        names |= more
    return frozenset(names)


def render(node: ast.expr | None, scope: Scope, depth: int = 0) -> str:
    """An expression as the text it gives; values that are not known stand in braces."""
    match node:
        case None:
            return ""
        case ast.Constant(value=str(text)):
            return text
        case ast.Constant(value=None):
            return ""
        case ast.JoinedStr(values=values):
            return "".join(render(each, scope, depth) for each in values)
        case ast.FormattedValue(value=ast.Name(id=name)):
            return f"{{{name}}}"
        case ast.FormattedValue(value=ast.IfExp() as value):
            return render(value, scope, depth)
        case ast.FormattedValue(value=value):
            return f"{{{ast.unparse(value)}}}"
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return render(left, scope, depth) + render(right, scope, depth)
        case ast.IfExp(body=body, orelse=orelse):
            return f"<{render(body, scope, depth)}|{render(orelse, scope, depth)}>"
        case ast.Name(id=name) if name in scope and depth < 4:
            return render(scope[name], scope, depth + 1)
        case _:
            return f"{{{ast.unparse(node)}}}"


def read_scope(tree: ast.AST) -> dict[str, ast.expr]:
    """Names of a module or function that are set once, with what they are set to."""
    seen: dict[str, ast.expr] = {}
    twice: set[str] = set()
    for node in walk_inside(tree):
        pairs: list[tuple[ast.expr, ast.expr]] = []
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs += zip(target.elts, node.value.elts, strict=False)
                else:
                    pairs.append((target, node.value))
        elif (isinstance(node, ast.AnnAssign) and node.value is not None) or isinstance(node, ast.AugAssign):
            pairs.append((node.target, node.value))
        for target, value in pairs:
            if isinstance(target, ast.Name):
                twice |= {target.id} & seen.keys()
                seen[target.id] = value
    texts = (ast.Constant, ast.JoinedStr, ast.BinOp, ast.IfExp)
    return {name: value for name, value in seen.items() if name not in twice and isinstance(value, texts)}


def walk_inside(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes below one, without those of functions and classes inside it."""
    for child in ast.iter_child_nodes(tree):
        yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            yield from walk_inside(child)


def walk_calls(tree: ast.AST, scope: Scope) -> Iterator[tuple[ast.Call, Scope]]:
    """Each call below a node, with the names that are known there."""
    known = {**scope, **read_scope(tree)}
    for child in ast.iter_child_nodes(tree):
        yield from _walk_calls(child, known)


def _walk_calls(node: ast.AST, known: Scope) -> Iterator[tuple[ast.Call, Scope]]:
    if isinstance(node, ast.Call):
        yield node, known
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        arguments = {each.arg for each in (*node.args.args, *node.args.kwonlyargs, *node.args.posonlyargs)}
        yield from walk_calls(node, {name: value for name, value in known.items() if name not in arguments})
    else:
        for child in ast.iter_child_nodes(node):
            yield from _walk_calls(child, known)


def get_name(call: ast.Call) -> str:
    """The last part of the name that is called, or an empty text."""
    function = call.func
    return (
        function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
    )


def find_makers(trees: Mapping[Path, ast.Module], errors: frozenset[str]) -> frozenset[str]:
    """Names of functions that return an error of ours."""
    return frozenset(
        node.name
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.returns is not None and ast.unparse(node.returns) in errors
    )


def read_call(
    path: str, call: ast.Call, known: Scope, errors: frozenset[str], makers: frozenset[str]
) -> Iterator[Text]:
    """The texts that one call gives to a user."""
    name = get_name(call)
    if name not in errors | makers | LINES | HELPED | REASONS:
        return
    given = {each.arg: each.value for each in call.keywords if each.arg}
    first = render(call.args[0], known) if call.args else ""
    if name in errors:
        what = first or render(given.get("what"), known)
        where, remedy = (render(given.get(key), known) for key in ("where", "remedy"))
        yield Text(path=path, line=call.lineno, kind="error", name=name, what=what, where=where, remedy=remedy)
    elif name in makers and any(_is_text(each, known) for each in (*call.args, *given.values())):
        parts = (render(each, known) for each in (*call.args, *given.values()) if _is_text(each, known))
        yield Text(path=path, line=call.lineno, kind="error", name=f"{name}()", what=" … ".join(parts))
    elif name in LINES and call.args:
        yield Text(path=path, line=call.lineno, kind="line", name=name, what=first)
    elif name in HELPED and "help" in given:
        yield Text(path=path, line=call.lineno, kind="help", name=first or name, what=render(given["help"], known))
    elif name in REASONS and ("reason" in given or call.args):
        reason = render(given.get("reason") or (call.args[1] if len(call.args) > 1 else None), known)
        said = given.get("message") or given.get("detail") or (call.args[2] if len(call.args) > 2 else None)
        message = render(said, known)
        yield Text(
            path=path, line=call.lineno, kind="reason", name=name, what=f"{reason}: {message}".removesuffix(": ")
        )


def _is_text(node: ast.expr, known: Scope) -> bool:
    if isinstance(node, ast.Name):
        return node.id in known
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


@cache
def list_messages(root: Path = ROOT) -> list[Text]:
    """All texts of the code, in the order of their places."""
    paths = sorted(path for room in ROOMS for path in (root / room).rglob("*.py"))
    trees = {path: ast.parse(path.read_text("utf-8")) for path in paths}
    errors = find_errors(trees)
    makers = find_makers(trees, errors)
    found: list[Text] = []
    for path, tree in trees.items():
        place = path.relative_to(root).as_posix()
        if not any(each in f"/{place}" for each in NEEDLESS):
            for call, known in walk_calls(tree, {}):
                found += read_call(place, call, known, errors, makers)
    return sorted(found, key=lambda each: (ROOMS.index(each.path.split("/")[0]), each.path, each.line))


def main() -> int:
    """Print the list, and how many texts of each kind it has."""
    texts = list_messages()
    kinds = sorted({each.kind for each in texts})
    sys.stdout.write("\n".join(map(str, texts)) + "\n")
    sys.stderr.write(", ".join(f"{sum(each.kind == kind for each in texts)} {kind}" for kind in kinds) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
