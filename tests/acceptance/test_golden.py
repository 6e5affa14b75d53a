"""What programs read of the harness stays what it is: flags, JSON, run folders, exit codes, page data.

The files of `golden/` hold it. After a change that is meant, run `HARNESS_GOLDEN=write pytest` on this file, read the
difference, and write it into CHANGELOG.md.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import click
import pytest

import harness
from harness import hookspecs
from harness.cli import CORE, cli
from tests.acceptance.commands import harness_here
from tests.acceptance.masking import mask

GOLDEN = Path(__file__).with_name("golden")
BEFORE = Path(__file__).with_name("made_before")
ROOT = Path(__file__).parents[2]
WRITE = os.environ.get("HARNESS_GOLDEN") == "write"  # read before the tests take such variables away


def check(name: str, value: object) -> None:
    """Whether a value is that of its file."""
    file = GOLDEN / f"{name}.json"
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if WRITE:
        GOLDEN.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert json.loads(text) == json.loads(file.read_text(encoding="utf-8"))


def flags(command: click.Command) -> dict[str, Any]:
    """What a command takes, and the commands below it."""
    found = {
        "/".join((*each.opts, *each.secondary_opts)): {
            "type": each.type.name,
            "choices": [str(one) for one in each.type.choices] if isinstance(each.type, click.Choice) else None,
            "is_flag": getattr(each, "is_flag", False),
            "multiple": getattr(each, "multiple", False),
            "nargs": each.nargs,
            "required": each.required,
            "envvar": each.envvar,
            "metavar": each.metavar,
        }
        for each in command.params
    }
    below = sorted(command.commands.items()) if isinstance(command, click.Group) and command is not cli else []
    return {"flags": found, "commands": {name: flags(each) for name, each in below}}


def test_each_command_takes_the_flags_it_took() -> None:
    with click.Context(cli) as ctx:
        commands = {name: cli.get_command(ctx, name) for name in cli.list_commands(ctx)}
    assert set(CORE) < set(commands)
    check("flags", {name: flags(each) for name, each in commands.items() if each} | {"harness": flags(cli)})


def list_defaults(command: click.Command, path: str) -> dict[str, str]:
    """`COMMAND FLAG` -> its default, of those that have a plain one."""
    context = click.Context(command)
    found = {}
    for each in command.params:
        default = each.get_default(context, call=False)
        if isinstance(default, int | float | str | Path | tuple) and default not in (False, "", ()):
            found[f"{path} {'/'.join(each.opts)}"] = str(default)
    for name, below in command.commands.items() if isinstance(command, click.Group) and command is not cli else ():
        found |= list_defaults(below, f"{path} {name}")
    return found


def test_each_flag_has_the_default_it_had() -> None:
    """A default is a contract too: docs/version-policy.md."""
    with click.Context(cli) as ctx:
        commands = {name: cli.get_command(ctx, name) for name in cli.list_commands(ctx)}
    check("defaults", {k: v for name, each in commands.items() if each for k, v in list_defaults(each, name).items()})


def test_each_hook_takes_the_arguments_it_took() -> None:
    hooks = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("harness_")}
    check("hooks", {name: list(inspect.signature(hook).parameters) for name, hook in hooks.items()})


def test_the_public_names_are_what_they_were() -> None:
    check("names", sorted(harness.__all__))


def resolves(path: str) -> bool:
    """Whether a dotted path is a module, or something in one."""
    module, _, name = path.rpartition(".")
    try:
        return bool(importlib.import_module(path))
    except ImportError:
        pass
    try:
        return hasattr(importlib.import_module(module), name)
    except ImportError:
        return False


def test_each_path_that_a_page_names_can_be_imported() -> None:
    """The paths are kept in a file, so that a page that no longer names one does not hide that it is gone."""
    pages = [*ROOT.glob("docs/**/*.md"), ROOT / "README.md", *ROOT.glob("examples/**/*.py")]
    found = {"harness.testing.server.ChatServer"}
    for text in (page.read_text("utf-8") for page in pages):
        for module, names in re.findall(r"from (harness[\w.]*) import (\([^)]*\)|[\w ,]+)", text):
            found |= {f"{module}.{name.split()[0]}" for name in names.strip("()").split(",") if name.strip()}
        found |= set(re.findall(r"`(harness\.[\w.]*\w)`", text))
    file = GOLDEN / "paths.json"
    kept = set(json.loads(file.read_text(encoding="utf-8")))
    if WRITE:
        file.write_text(json.dumps(sorted(kept | set(filter(resolves, found))), indent=1) + "\n", encoding="utf-8")
    assert [path for path in sorted(kept) if not resolves(path)] == []


@pytest.mark.parametrize(
    "words",
    [
        "tasks list --json",
        "models list --json",
        "judges list --json",
        "painters list --json",
        "data list --json",
        "plugins list --json",
        "train --list --json",
        "build --list --json",
        "tasks show mis mssbench figstep --json",
        "judges show mis keyword llamaguard --json",
        "models show openai hf vllm --json",
    ],
)
def test_a_list_in_json_is_what_it_was(words: str, tmp_path: Path) -> None:
    done = harness_here(*words.split())
    assert done.code == 0, done.err
    name = "-".join(word for word in words.split() if word != "--json").replace("--", "")
    check(name, mask(json.loads(done.out), tmp_path))


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("--version", 0),
        ("run --help", 0),
        ("run --model mini/base --tasks mis:mini --limit 1 --dry-run", 0),
        ("run --model mini/base", 2),
        ("run --model mini/base --tasks nothing", 2),
        ("run --model mini/base --tasks mis:nothing", 2),
        ("run --model nobody/base --tasks mis:mini", 2),
        ("run --model mini/base --tasks mis:mini --judge nobody", 2),
        ("run --model mini/base --tasks mis", 2),
        ("run --model mini/base --tasks mis:mini -M wrong=1", 2),
        ("run --model mini/base --tasks mis:mini --limit -1", 2),
        ("judge gone --judge keyword", 2),
        ("report gone", 2),
        ("report", 2),
        ("compare gone too", 2),
        ("verify gone", 2),
        ("show gone item", 2),
        ("agree gone", 2),
        ("export gone", 2),
        ("train nothing", 2),
        ("build nothing", 2),
        ("data verify mis", 2),
        ("data fetch nothing", 2),
        ("tasks show nothing", 2),
        ("nothing", 2),
    ],
)
def test_a_command_ends_with_the_code_it_ended_with(words: str, code: int) -> None:
    assert harness_here(*words.split()).code == code


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tasks asked of the mini model, and judged a second time by a rule."""
    folder = tmp_path_factory.mktemp("golden") / "run"
    done = harness_here(
        "run", "--model", "mini/base", "--tasks", "mis:mini,mssbench:mini", "--limit", "4", "--output", folder
    )
    assert done.code == 0, done.err
    done = harness_here("judge", folder, "--judge", "keyword")
    assert done.code == 0, done.err
    return folder


def test_a_run_folder_holds_what_it_held(run_folder: Path) -> None:
    found: dict[str, object] = {}
    for file in sorted(run_folder.rglob("*")):
        name = file.relative_to(run_folder).as_posix()
        if file.suffix == ".jsonl":
            lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
            found[name] = [
                mask(line, run_folder.parents[1])
                for line in sorted(lines, key=lambda each: (each["split"], each["id"]))
            ]
        elif file.suffix == ".json":
            found[name] = mask(json.loads(file.read_text("utf-8")), run_folder.parents[1])
        elif file.is_file():
            found[name] = "<file>"
    check("run-folder", found)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("report-json", "report RUN --format json"),
        ("verify", "verify RUN --json"),
        ("agree", "agree RUN --json"),
        ("compare", "compare RUN OTHER --format json"),
        ("show", "show RUN mis/mini/22#0 --json"),
    ],
)
def test_what_is_made_of_a_run_is_what_it_was(run_folder: Path, name: str, words: str) -> None:
    other = run_folder.with_name("other")
    if not other.exists():
        shutil.copytree(run_folder, other)
    places = {"RUN": run_folder, "OTHER": other}
    done = harness_here(*(places.get(word, word) for word in words.split()))
    assert done.code == 0, done.err
    check(name, mask(json.loads(done.out), run_folder.parents[1]))


def test_a_page_holds_the_data_it_held(run_folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert harness_here("report", run_folder, "--output", page).code == 0
    text = page.read_text("utf-8")
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    check("page", mask(json.loads(data), run_folder.parents[1]))


def test_a_run_folder_made_before_is_read_to_the_same_numbers(tmp_path: Path) -> None:
    """Each version's folder is kept: whoever has runs of it can go on with them."""
    for before in sorted(BEFORE.iterdir()):
        folder = tmp_path / before.name
        shutil.copytree(before, folder)
        done = harness_here("verify", folder, "--json")
        assert done.code == 0, done.out + done.err
        again = harness_here(
            "run", "--model", "mini/base", "--tasks", "mis:mini,mssbench:mini", "--limit", "4", "--output", folder
        )
        assert again.code == 0, again.err
        lines = (folder / "mis" / "responses.jsonl").read_text("utf-8").splitlines()
        assert lines == (before / "mis" / "responses.jsonl").read_text("utf-8").splitlines()
        assert harness_here("judge", folder, "--judge", "keyword").code == 0
