"""The builder's page says what the config takes, and what each key is where it is left out."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import harness_builder
import pydantic
import pytest
import yaml
from harness_builder.config import Config, read_plan
from harness_builder.plan import INSTEAD, PROMPTS, ROLES
from harness_builder.prompts.templates import ALWAYS, PROMPT_INPUTS
from harness_builder.values import ENDS, STEPS

from harness import plugins

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
