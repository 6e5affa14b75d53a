"""What the wheel and the sdist hold. `make dist` also installs the wheel and uses it, which needs the network."""

from __future__ import annotations

import io
import shutil
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement

from release import check_dist
from release.check_sbom import check_sbom
from release.readme import render_readme

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(next(WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("wheel")))))


def list_files() -> set[str]:
    """The files of a commit of all that is here."""
    tracked = check_dist.list_tracked(new=True)
    if tracked is None:
        pytest.skip("this is no git checkout")
    return {name for name in tracked if (ROOT / name).exists()}


def test_the_wheel_holds_the_core_and_the_plugins_whole_and_nothing_else(wheel: Path) -> None:
    assert list(check_dist.check_wheel(wheel, list_files())) == []


def test_the_sdist_holds_what_builds_and_tests_need_and_nothing_else(tmp_path: Path) -> None:
    sdist = Path(next(SdistBuilder(str(ROOT)).build(directory=str(tmp_path))))
    assert list(check_dist.check_sdist(sdist, list_files())) == []


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("harness/tests/test_x.py", "", "is a test"),
        ("harness_mis/conftest.py", "", "is a test"),
        ("harness/__pycache__/x.cpython-311.pyc", "", "is no source"),
        ("harness/.env", "", "is no source"),
        ("harness_mis/logo.png", "", "is a picture of no mini split"),
        ("docs/index.md", "", "holds other packages"),
        ("harness/place.py", f"PLACE = '{ROOT}/x'", "names the folder it was built in"),
        ("harness/notes.txt", "", "is not in the repository"),
    ],
)
def test_what_a_wheel_must_not_hold_is_found(wheel: Path, tmp_path: Path, name: str, text: str, problem: str) -> None:
    bad = tmp_path / wheel.name
    shutil.copy(wheel, bad)
    with zipfile.ZipFile(bad, "a") as archive:
        archive.writestr(name, text)
    found = list(check_dist.check_wheel(bad, list_files()))
    assert any(problem in each for each in found), found


@pytest.mark.parametrize("lost", ["harness/py.typed", "harness_mis/__init__.py", "harness_mis/mini/mis_mini.json"])
def test_what_a_wheel_must_hold_is_missed(wheel: Path, tmp_path: Path, lost: str) -> None:
    bad = tmp_path / wheel.name
    with zipfile.ZipFile(wheel) as whole, zipfile.ZipFile(bad, "w") as archive:
        for name in whole.namelist():
            if name != lost:
                archive.writestr(name, whole.read(name))
    assert f"{lost} is missing" in list(check_dist.check_wheel(bad, list_files()))


def test_a_page_for_pypi_with_a_relative_link_or_without_its_facts_is_found() -> None:
    fields = "".join(f"{each}: x\n" for each in check_dist.FIELDS if each != "Project-URL")
    page = 'see [here](docs/a.md), [there](https://example.org) and <img src="docs/a.png">'
    assert list(check_dist.check_page(f"{fields}\n{page}")) == [
        "the metadata has no Project-URL",
        "the readme has the relative link ](docs/a.md)",
        'the readme has the relative link src="docs/a.png"',
    ]
    assert "the metadata has no readme" in list(check_dist.check_page(fields))


README = """# h
- **[a](docs/a.md)** and [b](https://example.org/b)

<picture><source media="(dark)" srcset="docs/d.png"><img alt="x" src="docs/l.png"></picture>

```python
x = 1


y = 2
```
[c](docs/c.md) · [d](docs/d.md) ·
[e](docs/e.md#f)

End.
"""


def test_the_readme_on_pypi_has_no_link_to_a_file_and_is_else_the_same() -> None:
    assert render_readme(README) == (
        "# h\n- **a** and [b](https://example.org/b)\n\n```python\nx = 1\n\n\ny = 2\n```\nEnd.\n"
    )


def test_the_readmes_links_lead_to_the_releases_tag_once_the_repository_has_an_address() -> None:
    shown = render_readme(README, source="https://example.org/h/", version="1.2.3")
    assert "**[a](https://example.org/h/blob/v1.2.3/docs/a.md)** and [b](https://example.org/b)" in shown
    assert '\n\n<img alt="x" src="https://example.org/h/raw/v1.2.3/docs/l.png">\n\n' in shown
    assert "[e](https://example.org/h/blob/v1.2.3/docs/e.md#f)" in shown
    assert "<picture>" not in shown


def test_a_tracked_file_that_the_sdist_lacks_is_found(tmp_path: Path) -> None:
    sdist = Path(next(SdistBuilder(str(ROOT)).build(directory=str(tmp_path))))
    assert "tox.ini is missing" in list(check_dist.check_sdist(sdist, {*list_files(), "tox.ini"}))


def test_a_link_in_an_sdist_and_a_file_that_it_lacks_are_found(tmp_path: Path) -> None:
    sdist = tmp_path / "vlm_safety_harness-0.1.0.tar.gz"
    with tarfile.open(sdist, "w:gz") as archive:
        link = tarfile.TarInfo("vlm_safety_harness-0.1.0/README.md")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("vlm_safety_harness-0.1.0/secret.txt"), io.BytesIO())
    found = list(check_dist.check_sdist(sdist, {"README.md"}))
    assert "vlm_safety_harness-0.1.0/README.md is a link or a device" in found
    assert {"README.md is missing", "secret.txt is not in the repository"} <= set(found)


def test_the_locked_versions_are_those_of_todays_dependencies_of_the_core() -> None:
    """`make lock` writes release/core.txt; a dependency that is new in pyproject.toml must be in it."""
    lines = (ROOT / "release" / "core.txt").read_text("utf-8").splitlines()
    pins = (line.split()[0].split("==") for line in lines if "==" in line and line[0] not in "# ")
    locked = dict(pins)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for each in map(Requirement, project["dependencies"]):
        assert each.name in locked, "run `make lock`"
        assert locked[each.name] in each.specifier, "run `make lock`"


def make_sbom(*parts: str, needed: tuple[str, ...] | None = None) -> dict[str, Any]:
    """An SBOM of parts `NAME==VERSION`, all of which the core needs unless `needed` says which."""
    components = [
        {
            "bom-ref": part,
            "name": part.split("==")[0],
            "version": part.split("==")[1],
            "purl": "pkg:x",
            "licenses": [{}],
        }
        for part in parts
    ]
    root = {"ref": "root", "dependsOn": list(parts if needed is None else needed)}
    return {"metadata": {"component": {"bom-ref": "root"}}, "components": components, "dependencies": [root]}


LOCK = "click==8.5.1 \\\n    --hash=sha256:00\nrich==15.0.0 \\\ncolorama==0.4.6 ; sys_platform == 'win32' \\\n"


def test_an_sbom_of_what_the_lock_installs_is_right() -> None:
    assert list(check_sbom(make_sbom("Click==8.5.1", "rich==15.0.0"), LOCK)) == []


@pytest.mark.parametrize(
    ("sbom", "problem"),
    [
        (make_sbom("click==8.5.0", "rich==15.0.0"), "click 8.5.0 is not in release/core.txt"),
        (make_sbom("click==8.5.1", "rich==15.0.0", "pip==26.0"), "pip 26.0 is not in release/core.txt"),
        (make_sbom("click==8.5.1"), "rich is missing"),
        (make_sbom("click==8.5.1", "rich==15.0.0", needed=("rich==15.0.0",)), "click is needed by nothing"),
    ],
)
def test_an_sbom_that_differs_from_the_lock_stops_the_release(sbom: dict[str, Any], problem: str) -> None:
    assert list(check_sbom(sbom, LOCK)) == [problem]


def test_a_part_of_an_sbom_without_its_licence_is_found() -> None:
    sbom = make_sbom("click==8.5.1", "rich==15.0.0")
    sbom["components"][0]["licenses"] = []
    assert list(check_sbom(sbom, LOCK)) == ["click has no licenses"]
