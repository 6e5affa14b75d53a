"""One name in folder, package, entry point and docs page; each package has tests, and what is installed agrees."""

import ast
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("plugins", "tasks", "judges", "training", "reports")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
DECLARED: dict[str, str] = PROJECT["project"]["entry-points"]["harness"]
DOCS = {
    "plugins": ("providers", "commands", "strategies", "observers"),
    "reports": ("reports", "commands"),
    "training": ("training", "commands"),
}  #: rooms whose pages lie in folders of other names
SUBCOMMANDS = {"judging": "judges"}  #: plugins that add to a core command, and stand on its page


def packages() -> dict[str, str]:
    """Package -> room, of every folder `harness_*` in a room."""
    found = {}
    for room in ROOMS:
        for folder in (ROOT / room).glob("harness_*") if (ROOT / room).is_dir() else ():
            if any(folder.glob("*.py")):
                found[folder.name] = room
    return found


PACKAGES = packages()


def of(package: str) -> str:
    """A plugin's name: its package without `harness_`."""
    return package.removeprefix("harness_")


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_no_name_of_a_package_is_taken_away_by_a_module_of_that_name(package: str) -> None:
    """Importing `package.name` puts the module in the place of the function `package.name`."""
    folder = ROOT / PACKAGES[package] / package
    modules = {path.stem for path in (*folder.glob("*.py"), *folder.glob("*/"))} - {"__init__"}
    tree = ast.parse((folder / "__init__.py").read_text("utf-8"))
    made = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert not made & modules


def test_each_package_has_its_entry_point_and_each_entry_point_its_package() -> None:
    assert {of(package): package for package in sorted(PACKAGES)} == DECLARED


def test_every_declared_entry_point_is_installed() -> None:
    installed = {
        entry.name: entry.value
        for entry in entry_points(group="harness")
        if entry.dist is not None and entry.dist.name == PROJECT["project"]["name"]
    }
    assert installed == DECLARED, "what is installed is older than pyproject.toml: run make setup"


def test_every_room_with_a_plugin_is_on_the_path() -> None:
    missing = [room for room in sorted(set(PACKAGES.values())) if str(ROOT / room) not in sys.path]
    assert missing == [], f"the installation does not know the rooms {missing}: run make setup"


def test_import_linter_watches_every_package() -> None:
    assert PROJECT["tool"]["importlinter"]["root_packages"] == ["harness", *sorted(PACKAGES)]
    for contract in PROJECT["tool"]["importlinter"]["contracts"]:
        watched = contract.get("forbidden_modules") if contract["type"] == "forbidden" else contract.get("modules")
        if contract["type"] in ("forbidden", "independence"):
            assert watched == sorted(PACKAGES), contract["name"]


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_each_package_has_types_a_test_file_and_a_page(package: str) -> None:
    room, name = PACKAGES[package], of(package)
    folder = ROOT / room / package
    assert (folder / "py.typed").is_file()
    assert (folder / "__init__.py").is_file()
    tests = (ROOT / "tests" / room).glob("test_*.py")
    own = any(file.name.startswith(f"test_{name}") or f" {package}" in file.read_text("utf-8") for file in tests)
    assert own, f"there is no tests/{room}/test_{name}.py, and no other test file there imports {package}"
    pages = [ROOT / "docs" / folder / f"{SUBCOMMANDS.get(name, name)}.md" for folder in DOCS.get(room, (room,))]
    assert any(page.is_file() for page in pages), f"there is none of {[str(page.relative_to(ROOT)) for page in pages]}"


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_each_package_imports_from_its_own_folder(package: str) -> None:
    module = __import__(package)
    assert Path(module.__file__).parent == ROOT / PACKAGES[package] / package  # type: ignore[arg-type]


def test_rooms_are_source_roots_and_hold_nothing_else() -> None:
    strays = [
        path.relative_to(ROOT)
        for room in ROOMS
        if (ROOT / room).is_dir()
        for path in (ROOT / room).iterdir()
        if not path.name.startswith("harness_") and path.name != "__pycache__"
    ]
    assert strays == []


def test_no_two_test_files_share_a_name() -> None:
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
