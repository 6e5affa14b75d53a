"""The table of all tasks says what the code does."""

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

from harness.cli import cli
from harness.plugins import Host

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "tasks" / "README.md").read_text("utf-8")
ROWS = re.findall(
    r"^\| \[([\w-]+)\]\((\w+\.md)\) \| `([^`]+)` \| (\S+) \| (\d+|1 to N) \| `([\w-]+)`.*? \| (\w+) ",
    PAGE,
    re.MULTILINE,
)


def overview() -> ModuleType:
    spec = importlib.util.spec_from_file_location("overview", DOCS / "overview.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_is_that_of_the_code() -> None:
    assert overview().filled(PAGE, Host.load(tell=lambda _: None)) == PAGE, "run `make docs`"


def test_the_table_has_every_split_that_the_list_for_programs_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    listed = json.loads(CliRunner().invoke(cli, ["tasks", "list", "--json"]).stdout)
    tasks = [task for task in listed if task["kind"] == "task" and task["name"] not in overview().OPEN]
    expected = {
        (task["name"], split, "?" if about["n"] is None else str(about["n"]), about["judges"][0], about["main"])
        for task in tasks
        for split, about in task["splits"].items()
    }
    assert {(name, split, n, judge, main) for name, _, split, n, _, judge, main in ROWS} == expected


def test_each_task_of_the_table_has_its_page_and_a_line_on_its_fidelity() -> None:
    told = PAGE.partition("## Fidelity")[2]
    for name, page, *_ in ROWS:
        assert (DOCS / "tasks" / page).exists()
        assert f"`{name}`" in told, name
