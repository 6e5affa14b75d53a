"""The docs say what the code does: a rule that nobody enforces is a wish."""

from __future__ import annotations

import importlib.util
import inspect
import json
import pkgutil
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner
from harness_csv import render

import harness.http
import harness.readers
import harness.rubric
from harness import hookspecs, plugins
from harness.cli import cli, run
from harness.cli.flags import parse_models
from harness.cli.run import build_options, build_specs
from harness.evaluation.judges import check_judges
from harness.evaluation.plan import make_plan
from harness.local.profiles import PROFILES
from harness.models import resolve
from harness.plugins import Host
from harness.plugins.registry import HOOKS
from harness.testing import conformance
from harness.testing.conformance import check_task
from harness.testing.fakes import PIXEL, source_of
from harness.types import OUTCOMES, UNSCORED

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
NAME = re.compile(r"\bharness(?:\.[A-Za-z_]+)+\b(?!/)(?<!\.yaml)")
COMMANDS = cli.list_commands(click.Context(cli))  # those of plugins too
OFFERING: tuple[ModuleType, ...] = (harness.http, harness.readers, harness.rubric, conformance)
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


ROOMS = (ROOT, ROOT / "harness", ROOT / "training" / "harness_builder")


def test_each_module_that_the_design_names_is_there() -> None:
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z_]+(?:/[a-z_]+)*\.py)(?:`|: )", text))
    assert len(named) > 15
    assert sorted(name for name in named if not any((room / name).exists() for room in ROOMS)) == []


def text(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def keys(schema: Any) -> Iterator[str]:
    """Every key that a JSON Schema names, at any depth."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for part in schema.values():
            yield from keys(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from keys(part)


@pytest.mark.parametrize("key", sorted(set(keys(json.loads(text("results.schema.json"))))))
def test_every_key_of_results_json_is_explained(key: str) -> None:
    assert f"`{key}`" in text("results.md") or f'"{key}"' in text("results.md")


@pytest.mark.parametrize("column", render([]).strip().split(","))
def test_every_column_of_csv_is_explained(column: str) -> None:
    assert f"`{column}`" in text("reports/csv.md")


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
    assert len(HOOKS) == 15
    assert "There are fifteen" in HOOKS_PAGE


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


MODELS_PAGE = (DOCS / "models.md").read_text(encoding="utf-8")
CODE = re.compile(r"`(harness run [^`]+)`|^ {4}(harness run .+)$", re.MULTILINE)
RUNS = sorted({first or second for first, second in CODE.findall(MODELS_PAGE)})
ROWS = re.findall(r"^\| ([^|]+) \| `harness run --model ([^ `]+)", MODELS_PAGE, re.MULTILINE)
FILES = [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", MODELS_PAGE, re.MULTILINE | re.DOTALL)]
HOST = Host.load(tell=lambda _: None)

#: a name in the leaderboard of MIS -> what the page calls it
LEADERBOARD = (
    "Mantis-SIGLIP", "MiniCPM-V 2.6", "Phi-3.5-Vision", "Idefics3-8B", "DeepSeek-VL2", "LLaVA-NeXT-Interleave",
    "LLaVA-OneVision-7B", "LLaVA-OneVision-72B-Chat", "Qwen2-VL-7B", "Qwen2-VL-72B", "InternVL2.5-8B",
    "InternVL2.5-78B", "GPT-4o", "Gemini 1.5 Pro", "Qwen2-VL-7B + MIRage", "InternVL2.5-8B + MIRage",
)  # fmt: skip


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory of a reader: the file of the page, and nothing of this machine's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("HARNESS_JUDGE", "HARNESS_DATA"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "leaderboard.yaml").write_text(yaml.safe_dump(FILES[0]), encoding="utf-8")


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize("command", RUNS)
def test_a_command_of_the_page_would_be_accepted(command: str) -> None:
    words = shlex.split(command)[2:]
    with plugins.use(HOST), run.command.make_context("run", words, **cli.context_settings) as ctx:
        specs = build_specs(ctx.params)
        for spec in specs:
            resolve(spec)
            options = build_options(spec, ctx.params, several=len(specs) > 1)
            options.check()
            plans = make_plan(options).splits
            assert plans
            check_judges((choice for each in plans for choice in each.judges), options)


@pytest.mark.usefixtures("nowhere")
def test_every_entry_of_the_pages_file_of_models_would_be_accepted() -> None:
    (entries,) = FILES
    with plugins.use(HOST):
        for spec in parse_models(entries, "docs/models.md"):
            resolve(spec)


def test_each_model_of_the_leaderboard_has_a_command() -> None:
    assert [name for name, _ in ROWS][: len(LEADERBOARD)] == list(LEADERBOARD)


def test_each_model_with_a_profile_is_of_a_family_that_has_one() -> None:
    named = re.findall(r"^\| ([^|]+) \| `[^`]*-M profile=mis-paper[^`]*`", MODELS_PAGE, re.MULTILINE)
    assert named
    families = tuple(profile.family for profile in PROFILES["mis-paper"])
    assert [name for name in named if not name.startswith(families)] == []


def test_every_provider_of_a_real_model_is_on_the_page() -> None:
    shown = {ref.partition("/")[0] for _, ref in ROWS} | {"deepseek"}
    assert "--judge deepseek/" in MODELS_PAGE
    assert {provider.scheme for provider, _ in HOST.offers("models")} - {"mini", "given"} == shown


def test_the_page_shows_the_smoke_test() -> None:
    assert any("--limit 20 --dry-run" in command for command in RUNS)
    assert len(RUNS) == MODELS_PAGE.count("harness run --")


PYTHON_PAGE = (DOCS / "python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PYTHON_PAGE, re.MULTILINE | re.DOTALL)


def test_every_block_of_the_page_runs_in_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_DATA", raising=False)
    names: dict[str, object] = {}
    for number, block in enumerate(BLOCKS, 1):
        exec(compile(block, f"docs/python.md, block {number}", "exec"), names)
    told = capsys.readouterr().out
    assert "runs/mini-base" in told
    assert "ASR 100.0%" in told
    assert "did you mean" in told
    (run, careful) = (names["run"], names["careful"])
    assert isinstance(run, harness.Run)
    assert isinstance(careful, harness.Run)
    assert run.exit_code == careful.exit_code == 0


def test_the_page_shows_what_it_promises() -> None:
    assert len(BLOCKS) == PYTHON_PAGE.count("```python") >= 6
    for name in ("harness.run(", "harness.run_async(", "run.to_frame()", "harness.HarnessError"):
        assert name in PYTHON_PAGE


def test_every_public_name_stands_in_the_reference_once() -> None:
    pages = "\n".join(page.read_text(encoding="utf-8") for page in sorted((DOCS / "api").glob("*.md")))
    shown = re.findall(r"^::: (harness[.\w]*)$", pages, re.MULTILINE)
    assert len(shown) == len(set(shown))
    flat = {name: f"harness.{name}" for name in harness.__all__}
    offered = {flat.get(name, f"{room.__name__}.{name}") for room in OFFERING for name in room.__all__}
    assert {*flat.values(), *offered} <= set(shown)
