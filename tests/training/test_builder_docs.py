"""The builder's page says what the config takes, and the tutorials are played as they stand."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import harness_builder
import pydantic
import pytest
import yaml
from harness_builder.config import Config, read_plan
from harness_builder.plan import INSTEAD, PROMPTS, ROLES
from harness_builder.prompts import ALWAYS, PROMPT_INPUTS
from harness_builder.values import ENDS, STEPS

from harness import plugins
from tests.training.kinds import present

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[2] / "docs" / "training" / "builder.md").read_text(encoding="utf-8")
KEYS: dict[str, str] = dict(re.findall(r"^\| `([a-z_.]+)` \| (?:`([^`]*)`)? ?\| .+ \|$", PAGE, re.MULTILINE))


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def keys(model: type[pydantic.BaseModel], above: str = "") -> Iterator[tuple[str, Any]]:
    """Every key of the config, with a dot for each section, and its default."""
    for name, field in model.model_fields.items():
        below = sections(field.annotation)
        if not isinstance(field.default, pydantic.BaseModel):
            yield f"{above}{name}", None if field.is_required() else field.get_default(call_default_factory=True)
        for each in below:
            if not (above and each.__name__ == "TestSection"):
                yield from keys(each, f"{above}{name}.")


def sections(annotation: Any) -> list[type[pydantic.BaseModel]]:
    """The sections that a key may hold, in whatever list or mapping."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return [] if annotation.__name__.endswith("Price") else [annotation]
    return [each for inner in get_args(annotation) for each in sections(inner)]


def test_every_key_of_the_config_is_in_the_table_and_no_other() -> None:
    assert set(KEYS) >= {name for name, _ in keys(Config)}
    table = re.findall(r"^\| `([a-z_.]+)` \|", section("The config"), re.MULTILINE)
    assert table == [name for name, _ in keys(Config)]


@pytest.mark.parametrize(("name", "default"), list(keys(Config)), ids=[name for name, _ in keys(Config)])
def test_the_table_says_what_a_key_is_where_it_is_left_out(name: str, default: Any) -> None:
    shown = yaml.safe_load(KEYS[name]) if KEYS[name] else None
    assert shown == (None if default in ("", [], {}) else default)


def test_every_key_that_an_error_names_is_one_of_the_config() -> None:
    house = Path(harness_builder.__file__).parent
    nodes = [each for path in house.rglob("*.py") for each in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    calls = [each for each in nodes if isinstance(each, ast.Call)]
    given = [word.value for each in calls for word in each.keywords if word.arg == "where"]
    given += [each.args[1] for each in calls if isinstance(each.func, ast.Name) and each.func.id == "config_key"]
    named = {each.value for each in given if isinstance(each, ast.Constant) and each.value}
    assert named >= {"real.model", "label.accept"}
    assert named <= {name for name, _ in keys(Config)}


def test_the_config_of_the_page_is_one(tmp_path: Path) -> None:
    text, *_ = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "build.yaml"
    path.write_text(text, encoding="utf-8")
    plan = read_plan(path)
    assert plan.reviewers == 2
    assert plan.balance == 200


def test_every_role_step_end_and_template_is_named() -> None:
    roles = re.findall(r"^\| `(\w+)` \|", section("Models"), re.MULTILINE)
    assert roles == list(ROLES)
    for role, other in INSTEAD.items():
        assert re.search(rf"^\| `{role}` \| .+ \| the {other} \|$", PAGE, re.MULTILINE)
    assert re.findall(r"^\| `(\w+)` \| [^`]", section("How things end"), re.MULTILINE) == list(ENDS)
    steps = re.findall(r"^\| (\w+) \| .+ \| .+ \| .+ \|$", section("From a seed to a record"), re.MULTILINE)
    assert steps == ["step", *STEPS]


def test_the_table_of_templates_says_what_each_must_and_may_show() -> None:
    table = re.findall(r"^\| `(\w+)` \| .+ \| (.*) \| (.*) ?\|$", section("Prompts"), re.MULTILINE)
    assert [name for name, _, _ in table] == list(PROMPTS)
    for name, must, may in table:
        sheet = PROMPT_INPUTS[name]
        assert re.findall(r"`(\w+)`", must) == list(sheet.must)
        assert re.findall(r"`(\w+)`", may) == list(sheet.may)
    assert all(f"`{name}`" in section("Prompts").partition("Each may show")[2] for name in ALWAYS)


def test_every_setting_of_the_builder_is_told_with_its_default() -> None:
    table = re.findall(r"^\| `(\w+)` \| `(\w+)` \| .+ \|$", section("How things end"), re.MULTILINE)
    assert dict(table) == {
        each.name: str(each.default).casefold() for each in plugins.current().builder("mis").settings
    }


DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted((DOCS / "tutorials").glob("*.md"))


def player() -> ModuleType:
    spec = present(importlib.util.spec_from_file_location("tutorials", DOCS / "tutorials.py"))
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_a_tutorial_prints_what_its_page_shows(page: Path, tmp_path: Path) -> None:
    text = page.read_text(encoding="utf-8")
    made = player()
    found = made.played(text, tmp_path)
    assert made.alike(found, text), f"run `make docs`\n{found}"
    if page.stem == "build-a-set":
        trained(tmp_path / "runs")


def trained(runs: Path) -> None:
    """What the page says of the model that it trains, as far as it holds on any machine."""
    before, after = measured(runs / "before"), measured(runs / "after")
    assert (before["ASR"], before["RSR"], before["answered_rate"]) == (100.0, 0.0, 100.0)
    assert after["ASR"] <= 50.0, "it has learnt to decline"
    assert after["RSR"] >= 25.0, "and says why"
    assert after["answered_rate"] <= 50.0, "and declines what is harmless too"


def measured(run: Path) -> dict[str, float]:
    """Metric -> its value, of all that tests and of what is harmless."""
    tasks = json.loads((run / "results.json").read_text(encoding="utf-8"))["tasks"].values()
    splits = {name: split for task in tasks for name, split in task["splits"].items()}
    metrics = (splits[name]["metrics"] for name in ("test", "mini-benign"))
    return {name: each["value"] for found in metrics for name, each in found.items()}


def test_a_command_that_ends_otherwise_than_its_page_says_is_no_tutorial(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="exit 2: \\$ harness build mist"):
        player().played("```console\n$ harness build mist\n```\n", tmp_path)
    assert player().played("```console\n$ harness build mist # exit 2\n```\n", tmp_path).count("exit 2") == 1


def test_what_a_page_shows_is_renewed_and_what_shows_nothing_stays_so(tmp_path: Path) -> None:
    page = "<!-- file: a.txt -->\n```text\none\n```\n\n```console\n$ cat a.txt\nold\n$ wc -l < a.txt\n```\n"
    assert player().played(page, tmp_path) == page.replace("old", "one").replace("a.txt\n```\n", "a.txt\n1\n```\n")
    quiet = "```console\n$ touch b.txt\n$ cat a.txt\n```\n"
    assert player().played(quiet, tmp_path) == quiet
    assert (tmp_path / "b.txt").exists()


def test_a_block_of_one_machine_is_run_and_keeps_what_it_shows(tmp_path: Path) -> None:
    page = "<!-- on one machine -->\n```console\n$ echo new | tee a.txt\nold\n```\n"
    assert player().played(page, tmp_path) == page
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "new\n"
    with pytest.raises(RuntimeError, match="exit 1"):
        player().played(page.replace("echo new | tee a.txt", "false"), tmp_path)


def test_two_pages_are_alike_whatever_the_clock_and_the_drawing_library() -> None:
    page = "call k1:43d40fe17180…: writer mini/writer, 0.0 s\n  drew 7345f9c3c31d…\n"
    other = "call k1:aaaaaaaaaaaa…: writer mini/writer, 1.3 s\n  drew bbbbbbbbbbbb…\n"
    assert player().alike(page, other)
    assert not player().alike(page, other.replace("writer", "viewer"))
