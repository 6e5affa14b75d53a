"""How much code one sample's run crosses, and which modules import each other in a circle.

    python -m benchmarks.structure

Crossed: functions and files of our own that run in `harness run --model mini/base --tasks mis:mini --limit 1`, in each
thread. A circle: modules whose imports, also those in functions, lead back to themselves.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Final

ROOT: Final = Path(__file__).parents[1]
SOURCES: Final = (ROOT, *(ROOT / room for room in ("plugins", "tasks", "judges", "reports", "training")))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        codes = run_one_sample(Path(folder, "run"))
    files = {code.co_filename for code in codes}
    print(f"one sample's run crosses {len(codes)} functions in {len(files)} files (at most 480 in 75)")
    circles = list(find_circles(imports_of_all()))
    print(f"import circles: {len(circles)} (none)")
    for circle in circles:
        print(f"  {' '.join(sorted(circle))}")


def run_one_sample(output: Path) -> set[CodeType]:
    """The code of each function that runs; the bodies of modules and classes are no functions."""
    from harness.cli import main as command

    prefixes = tuple(f"{ROOT / room}/" for room in ("harness", "plugins", "tasks", "judges", "reports", "training"))
    codes: set[CodeType] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code not in codes and code.co_filename.startswith(prefixes) and is_function(code):
            codes.add(code)

    words = ["run", "--model", "mini/base", "--tasks", "mis:mini", "--limit", "1", "--output", str(output)]
    threading.setprofile(note)
    sys.setprofile(note)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            command(words)
        except SystemExit as ended:
            if ended.code != 0:
                raise
        finally:
            sys.setprofile(None)
            threading.setprofile(None)  # type: ignore[arg-type] # typeshed does not know that None ends it
    return codes


def is_function(code: CodeType) -> bool:
    """Whether a code object is a function with a name: no module, class body, lambda or comprehension."""
    return not code.co_name.startswith("<") and bool(code.co_flags & inspect.CO_NEWLOCALS)


def imports_of_all() -> dict[str, set[str]]:
    """Module -> the modules of ours that it imports."""
    modules = {name_of(file): file for source in SOURCES for file in own_files(source)}
    return {name: set(imports(file, name, modules)) - {name} for name, file in modules.items()}


def own_files(source: Path) -> Iterator[Path]:
    pattern = "harness/**/*.py" if source == ROOT else "harness_*/**/*.py"
    return source.glob(pattern)


def name_of(file: Path) -> str:
    source = next(source for source in reversed(SOURCES) if file.is_relative_to(source))
    parts = file.relative_to(source).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(file: Path, name: str, modules: dict[str, Path]) -> Iterator[str]:
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in imports_in(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        else:
            above = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (above, node.module)))
            for alias in node.names:
                found = f"{module}.{alias.name}"
                if found in modules or module in modules:
                    yield found if found in modules else module


def imports_in(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """The imports of a module, also those in functions; those for the type checker alone make no circle."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            yield from imports_in(node)


def find_circles(graph: dict[str, set[str]]) -> Iterator[set[str]]:
    """Sets of modules of which each reaches each other."""
    reached = {name: reach(graph, name) for name in graph}
    seen: set[str] = set()
    for name in graph:
        circle = {other for other in reached[name] if name in reached[other]}
        if name not in seen and circle:
            seen |= circle
            yield circle


def reach(graph: dict[str, set[str]], name: str) -> set[str]:
    found: set[str] = set()
    waiting = list(graph[name])
    while waiting:
        if (each := waiting.pop()) not in found:
            found.add(each)
            waiting += graph[each]
    return found


if __name__ == "__main__":
    main()
