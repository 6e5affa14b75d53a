"""What the command line imports before it is asked to do anything; how long that takes is in benchmarks/startup.py."""

import json
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from harness.testing.installed import install

HEAVY = {
    "torch", "pandas", "numpy", "scipy", "pydantic", "rich", "transformers", "openai", "anthropic", "jinja2", "PIL",
    "httpx", "aiohttp", "anyio", "yaml", "filelock", "tarfile",
}  # fmt: skip
PLUGINS = sorted(entry.value for entry in entry_points(group="harness") if entry.dist.name == "vlm-safety-harness")
PROGRAM = """
import json, sys
from harness.cli import main
try:
    main(sys.argv[1:])
except SystemExit as done:
    json.dump({"code": done.code, "modules": sorted(sys.modules)}, sys.stderr)
"""
#: each module is imported by a process that has imported nothing else of plugins; a fork costs less than a start
IMPORTS = """
import importlib, json, os, sys
import harness.plugins
before, found = set(sys.modules), {}
for module in sys.argv[1:]:
    ours, theirs = os.pipe()
    if os.fork() == 0:
        with os.fdopen(theirs, "w") as out:
            importlib.import_module(module)
            json.dump(sorted(set(sys.modules) - before), out)
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as told:
        found[module] = told.read()
    os.wait()
json.dump({module: json.loads(text or "null") for module, text in found.items()}, sys.stderr)
"""


def said(program: str, *arguments: str, path: Path | None = None) -> object:
    """The JSON that a program leaves at the end of stderr."""
    environment = None if path is None else {"PYTHONPATH": str(path)}
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    return json.loads(done.stderr.splitlines()[-1])


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("tasks", "list"),
        ("models",),
        ("judges", "list"),
        ("painters",),
        ("strategies",),
        ("plugins", "list"),
        ("build", "--help"),
        ("build", "--list"),
    ],
)
def test_nothing_heavy_is_imported_before_it_is_used(arguments: tuple[str, ...]) -> None:
    found = said(PROGRAM, *arguments)
    assert isinstance(found, dict)
    assert found["code"] == 0
    assert HEAVY & {name.partition(".")[0] for name in found["modules"]} == set()


def test_tasks_are_listed_without_what_talks_to_servers_downloads_makes_things_or_reads_images_and_yaml() -> None:
    found = said(PROGRAM, "tasks", "list")
    assert isinstance(found, dict)
    unused = ("harness.http", "harness.data.downloads", "harness.images", "harness.makers", "harness.yaml_files")
    assert [name for name in found["modules"] if name.startswith(unused)] == []


@pytest.mark.parametrize("arguments", [("--help",), ("tasks", "list")])
def test_start_up_does_without_slow_parts_of_the_standard_library_and_prices(arguments: tuple[str, ...]) -> None:
    found = said(PROGRAM, *arguments)
    assert isinstance(found, dict)
    slow = {"importlib.metadata", "email", "zipfile", "tempfile", "socket", "csv", "decimal", "platformdirs"}
    assert slow & set(found["modules"]) == set()
    assert [name for name in found["modules"] if name.startswith("harness.prices")] == []


def test_garbage_is_collected_while_a_command_works(tmp_path: Path) -> None:
    plugin = tmp_path / "shows.py"
    source = "import gc\nimport click\nfrom harness import hookimpl\n@hookimpl\ndef harness_commands(cli):\n"
    plugin.write_text(source + "    cli.command('collects')(lambda: click.echo(gc.isenabled()))\n", "utf-8")
    command = [sys.executable, "-m", "harness", "--plugin", str(plugin), "collects"]
    assert subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout == "True\n"


def test_garbage_is_collected_while_a_task_is_written_from_data(tmp_path: Path) -> None:
    program = (
        "import gc, sys, harness.cli.task_draft as draft\n"
        "draft.write_draft = lambda *_: print(gc.isenabled(), file=sys.stderr)\n"
        "from harness.cli import main\nmain()\n"
    )
    command = [sys.executable, "-c", program, "tasks", "new", "a.yaml", "--from", "a.csv"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path)
    assert done.stderr == "True\n"


@pytest.mark.parametrize("switch", ["enable", "disable"])
@pytest.mark.parametrize("arguments", [None, ["attacks", "--help"], ["run", "--help"]])
def test_a_program_that_calls_main_keeps_its_garbage_collector(switch: str, arguments: list[str] | None) -> None:
    program = f"import gc\nfrom harness.cli import main\ngc.{switch}()\n"
    program += f"try: main({arguments})\nexcept SystemExit: print(gc.isenabled())\n"
    command = [sys.executable, "-c", program, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.endswith(f"{switch == 'enable'}\n")


def test_help_of_a_core_command_loads_no_plugin() -> None:
    found = said(PROGRAM, "tasks", "--help")
    assert isinstance(found, dict)
    assert [name for name in found["modules"] if name.startswith("harness_")] == []


@pytest.fixture(scope="module")
def imported() -> dict[str, list[str] | None]:
    """By module of a plugin: the modules that its import adds, or None where it fails."""
    found = said(IMPORTS, *(plugin.partition(":")[0] for plugin in PLUGINS))
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_plugin_imports_only_the_harness_and_the_standard_library(
    plugin: str, imported: dict[str, list[str] | None]
) -> None:
    new = imported[plugin.partition(":")[0]]
    assert new is not None
    allowed = {*sys.stdlib_module_names, "harness", plugin.partition(".")[0]}
    assert {name.partition(".")[0] for name in new} - allowed == set()  # and so nothing heavy, by any detour


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("plugins", "list")])
def test_with_every_kind_of_broken_plugin_these_commands_still_work(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    mark = "from harness import hookimpl\n@hookimpl\n"
    tasks = "from harness.testing.fakes import fake_task\n" + mark + "def harness_tasks():\n    "
    broken = {
        "bad-import": "import a_module_nobody_has",
        "bad-exit": "raise SystemExit(7)",
        "bad-claim": tasks + "return [fake_task(name='mis')]",
        "bad-hook": mark + "def harness_task():\n    return []",
        "bad-generator": tasks + "yield fake_task(name='half')\n    raise RuntimeError('midway')",
        "bad-observer": mark + "def harness_response_added(run):\n    raise RuntimeError",
        "slow-observer": mark + "def harness_response_added(run):\n    import time; time.sleep(9)",
        "bad-command": mark + "def harness_commands(cli):\n    raise SystemExit(7)",
        "bad-print": "print('{')",
    }
    for name, source in broken.items():
        module = name.replace("-", "_") + "_plugin"
        install(tmp_path, name, entries={name: module}, modules={module: source})
    for number in range(45):
        install(tmp_path, f"trivial-{number}", entries={f"trivial{number}": f"trivial_{number}"},
                modules={f"trivial_{number}": mark + "def harness_tasks():\n    return ()"})  # fmt: skip
    found = said(PROGRAM, *arguments, path=tmp_path)
    assert isinstance(found, dict)
    assert found["code"] == 0
