"""The docs say what the code does: a rule that nobody enforces is a wish."""

import importlib.util
import json
import pkgutil
import re
from pathlib import Path
from types import ModuleType

import click
import pytest
from click.testing import CliRunner

from harness.cli import cli
from harness.types import OUTCOMES, UNSCORED

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
NAME = re.compile(r"\bharness(?:\.[A-Za-z_]+)+\b(?!/)(?<!\.yaml)")
COMMANDS = cli.list_commands(click.Context(cli))  # those of plugins too
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_page_with_its_current_help(name: str) -> None:
    page = (DOCS / "commands" / f"{name}.md").read_text(encoding="utf-8")
    assert generator().filled(page, name) == page, "run `make docs`"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_of_a_command_says_what_it_does(name: str) -> None:
    ctx = click.Context(cli, info_name="harness")
    command = cli.get_command(ctx, name)
    assert command is not None
    commands = [command, *(command.commands.values() if isinstance(command, click.Group) else ())]
    for each in commands:
        for option in each.params:
            if isinstance(option, click.Option):
                assert option.help, f"{name}: {option.opts}"


PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_module_and_name_of_the_harness_that_a_page_mentions_exists(page: Path) -> None:
    for name in NAME.findall(page.read_text(encoding="utf-8")):
        pkgutil.resolve_name(name)


def test_the_design_names_every_outcome_and_every_judge_state() -> None:
    design = (DOCS / "design.md").read_text(encoding="utf-8")
    for name in (*OUTCOMES, *UNSCORED, "scored", "unjudged"):
        assert f"`{name}`" in design


def test_the_example_plugin_of_the_readme_runs_as_the_readme_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    (line,) = re.findall(r"`harness (run --plugin never\.py [^`]+)`", readme)
    monkeypatch.chdir(tmp_path)
    Path("never.py").write_text(code, encoding="utf-8")
    done = CliRunner().invoke(cli, [*line.split(), "--strict-plugins", "--json", "--limit", "2"])
    assert done.exit_code == 0, done.output
    (split,) = json.loads(done.stdout)["tasks"]["mis"]["splits"].values()
    assert split["metrics"]["RR"]["value"] == 100


def test_every_make_verb_of_the_readme_and_the_rules_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for name in ("README.md", "CONTRIBUTING.md"):
        for verb in re.findall(r"^ +make (\w+)", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE):
            assert re.search(rf"^{verb}:", makefile, re.MULTILINE), verb
