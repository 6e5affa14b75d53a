"""The pages on hooks and plugins keep up with the code: every hook is a heading, every example works."""

import inspect
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from harness import hookspecs
from harness.plugins import Host
from harness.plugins.registry import HOOKS
from harness.testing.conformance import check_task
from harness.testing.fakes import PIXEL, source_of

DOCS = Path(__file__).parents[2] / "docs"
HOOKS_PAGE = (DOCS / "hooks.md").read_text("utf-8")
PLUGIN_PAGE = (DOCS / "write-a-plugin.md").read_text("utf-8")
EXAMPLES = re.findall(r"^### (\w+).*?```python\n(.*?)```", HOOKS_PAGE, re.DOTALL | re.MULTILINE)


def test_every_hook_with_its_exact_arguments_is_a_heading_in_the_order_of_the_code() -> None:
    signatures = [
        f"{name}({', '.join(inspect.signature(getattr(hookspecs, name)).parameters)})"
        for name in vars(hookspecs)
        if name in HOOKS
    ]
    assert re.findall(r"^### (.+)$", HOOKS_PAGE, re.MULTILINE) == signatures


def test_there_are_as_many_hooks_as_the_page_says() -> None:
    assert len(HOOKS) == 14
    assert "There are fourteen" in HOOKS_PAGE


@pytest.mark.parametrize(("hook", "source"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_each_example_of_a_hook_is_that_hook(hook: str, source: str) -> None:
    module = ModuleType("example")
    exec(f"from harness import *\nfrom harness import hookimpl\n{source}", vars(module))
    lines: list[str] = []
    host = Host([source_of(module)], tell=lines.append)
    assert lines == []
    assert [name for name, _ in host._registry.calls(hook)]


def test_every_hook_has_an_example() -> None:
    assert {name for name, _ in EXAMPLES} == HOOKS


def test_no_hook_wraps_or_stops_at_the_first_result() -> None:
    for name in HOOKS:
        options = getattr(hookspecs, name).harness_spec
        assert not options["firstresult"], name


def test_the_task_of_the_page_keeps_its_contract(tmp_path: Path) -> None:
    (source,) = re.findall(r"## A task\n.*?```python\n(.*?)```", PLUGIN_PAGE, re.DOTALL)
    assert sum(bool(line.strip()) for line in source.splitlines()) <= 40
    module = ModuleType("stairs")
    exec(source.replace("n=400", "n=1"), vars(module))
    record = {"id": 1, "images": ["a.png", "b.png"], "question": "Where do these go?", "category": "up"}
    (tmp_path / "stairs.json").write_text(json.dumps([record]), "utf-8")
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(PIXEL)
    (task,) = module.harness_tasks()
    check_task(task, tmp_path, host=Host.load(tell=lambda _: None))
