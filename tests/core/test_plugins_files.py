"""`--plugin`: a file, a file that imports its neighbour, and the folder of a package."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import HarnessError
from harness.plugins import Host
from tests.acceptance.commands import harness

TASK = """
from harness import hookimpl
from harness.testing.fakes import fake_task
{imports}

@hookimpl
def harness_tasks():
    return [fake_task(name={name})]
"""


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test adds to the path of imports goes with it."""
    import sys

    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    yield
    for name in set(sys.modules) - known:
        del sys.modules[name]


def written(place: Path, imports: str, name: str) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(TASK.format(imports=imports, name=name))
    return place


def names(place: Path) -> list[str]:
    host = Host.load([place], allow=[place.stem.removeprefix("harness_")])
    assert list(host.faults) == []
    return [task.name for task, _ in host.offers("tasks")]


def test_a_file_may_import_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "neighbour_words.py").write_text('NAME = "beside"\n')
    assert names(written(tmp_path / "mine.py", "from neighbour_words import NAME", "NAME")) == ["beside"]


def test_a_neighbour_never_hides_a_module_that_is_installed(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise SystemExit('hidden')\n")
    (tmp_path / "json.py").write_text("raise SystemExit('hidden')\n")
    assert names(written(tmp_path / "mine.py", "import click, json", '"whole"')) == ["whole"]


def test_a_package_is_loaded_by_its_folder_with_its_modules_and_files(tmp_path: Path) -> None:
    folder = tmp_path / "harness_packed"
    written(folder / "__init__.py", "from .words import NAME\nfrom harness_packed.words import NAME as SAME", "NAME")
    (folder / "words.py").write_text('NAME = "packed"\n')
    assert names(folder) == ["packed"]


def test_the_folder_of_a_project_stands_for_the_package_in_it(tmp_path: Path) -> None:
    written(tmp_path / "harness-inner" / "harness_inner" / "__init__.py", "", '"inner"')
    host = Host.load([tmp_path / "harness-inner"], allow=["inner"])
    assert [task.name for task, _ in host.offers("tasks")] == ["inner"]


def test_the_version_of_a_package_changes_with_any_of_its_modules(tmp_path: Path) -> None:
    folder = tmp_path / "harness_packed"
    written(folder / "__init__.py", "", '"packed"')
    (folder / "words.py").write_text("A = 1\n")
    first = Host.load([folder], allow=["packed"]).plugins[0].version
    (folder / "words.py").write_text("A = 2\n")
    assert Host.load([folder], allow=["packed"]).plugins[0].version != first


def test_a_folder_without_a_package_is_refused_with_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"no __init__\.py") as caught:
        Host.load([tmp_path])
    assert "give the folder that holds __init__.py" in str(caught.value)


def test_a_package_of_a_name_that_is_installed_is_that_plugins_fault(tmp_path: Path) -> None:
    folder = written(tmp_path / "harness_mis" / "__init__.py", "", '"other"').parent
    host = Host.load([folder], allow=["file"])
    [fault] = host.faults
    assert "the name harness_mis is taken by the module" in str(fault)


def test_the_command_takes_a_folder(tmp_path: Path) -> None:
    folder = written(tmp_path / "harness_packed" / "__init__.py", "", '"packed"').parent
    ended = harness("tasks", "list", "packed", "--plugin", folder)
    assert ended.code == 0, ended.err
    assert "packed" in ended.out
