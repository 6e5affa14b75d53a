"""`python release/check_dist.py DIST`: check the wheel and the sdist, then use the wheel in an environment of its own.

Two rules hold for both archives. Nothing is in them that the repository does not track, so no file of the machine that
built them. And all is in them that a user needs: each plugin's code, prompts, data of its mini splits and `py.typed`.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
ROOMS: Final = ("plugins", "tasks", "judges", "training", "reports")  #: folders that hold plugins' packages
PICTURES: Final = {".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp"}
MOST_BYTES: Final = 8 << 20  #: of the wheel; most of it is the mini model
SDIST: Final = (
    *("PKG-INFO", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "SECURITY.md"),
    *("mkdocs.yml", "pyproject.toml", "docs/index.md", "release/core.txt"),
    *("examples/", "downstream/", "benchmarks/", "tests/core/"),
)  #: what the sdist holds beside the code; what ends in "/" is a folder
#: a link or a picture that leads nowhere on PyPI's page
RELATIVE: Final = re.compile(r"""\]\((?!https?://|#|mailto:)[^)\s]+\)|(?:src|srcset|href)="(?!https?://|#)[^"]*\"""")
FIELDS: Final = ("Summary", "License-Expression", "License-File", "Project-URL", "Classifier", "Requires-Python")
COMMANDS: Final = ("--version", "doctor", "tasks list")  #: what must work without any extra


def list_plugins() -> set[str]:
    """List the packages that pyproject.toml declares as plugins."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]["harness"]
    return set(declared.values())


def list_tracked(*, new: bool = False) -> set[str] | None:
    """List the files that git tracks, by their paths in the repository; None outside a repository.

    Args:
        new: list also the files that `git add --all` would add.
    """
    command = ["git", "ls-files", "-z", *(("--cached", "--others", "--exclude-standard") if new else ())]
    try:
        said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return {name for name in said.split("\0") if name}


def wheel_path(name: str) -> str:
    """Turn a path of the repository into the path in the wheel: a room's folder is left out."""
    room, _, rest = name.partition("/")
    return rest if room in ROOMS else name


def check_page(metadata: str) -> Iterator[str]:
    """Yield what is wrong with a METADATA or PKG-INFO as PyPI shows it."""
    head, _, page = metadata.partition("\n\n")
    fields = {line.partition(":")[0] for line in head.splitlines()}
    yield from (f"the metadata has no {each}" for each in FIELDS if each not in fields)
    if not page.strip():
        yield "the metadata has no readme"
    yield from (f"the readme has the relative link {found[0]}" for found in RELATIVE.finditer(page))


def check_wheel(path: Path, tracked: Collection[str] | None) -> Iterator[str]:
    """Yield what is wrong with a wheel."""
    if path.stat().st_size > MOST_BYTES:
        yield f"has {path.stat().st_size:,} bytes, more than {MOST_BYTES:,}"
    with zipfile.ZipFile(path) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        yield from check_page(archive.read(metadata).decode())
        here = str(ROOT).encode()
        for name in sorted(names):
            if here in archive.read(name):
                yield f"{name} names the folder it was built in"
    packages = {name.split("/", 1)[0] for name in names}
    plugins = list_plugins()
    if packages != {"harness", *plugins}:
        yield f"holds other packages than harness and its plugins: {sorted(packages ^ {'harness', *plugins})}"
    for package in sorted(packages):
        for needed in ("__init__.py", "py.typed"):
            if f"{package}/{needed}" not in names:
                yield f"{package}/{needed} is missing"
    for name in sorted(names):
        parts = PurePosixPath(name).parts
        file = parts[-1]
        if "tests" in parts or file == "conftest.py" or (file.startswith("test_") and file.endswith(".py")):
            yield f"{name} is a test"
        elif any(part.startswith(".") or part == "__pycache__" for part in parts) or file.endswith((".pyc", ".ipynb")):
            yield f"{name} is no source"
        elif PurePosixPath(name).suffix in PICTURES and "mini" not in parts[1:-1]:
            yield f"{name} is a picture of no mini split"
    if tracked is not None:
        rooms = {wheel_path(name) for name in tracked if name.startswith(("harness/", *(f"{r}/" for r in ROOMS)))}
        rooms = {name for name in rooms if "/" in name}
        yield from (f"{name} is not in the repository" for name in sorted(names - rooms))
        yield from (f"{name} is missing" for name in sorted(rooms - names))


def check_sdist(path: Path, tracked: Collection[str] | None) -> Iterator[str]:
    """Yield what is wrong with an sdist."""
    with tarfile.open(path) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
        links = [member.name for member in archive if not member.isfile() and not member.isdir()]
        infos = [
            archive.extractfile(member)
            for member in archive
            if member.name.count("/") == 1 and "PKG-INFO" in member.name
        ]
        for info in infos:
            yield from check_page(info.read().decode() if info else "")
    yield from (f"{name} is a link or a device" for name in links)
    for needed in SDIST:
        if not any(name == needed or (needed.endswith("/") and name.startswith(needed)) for name in names):
            yield f"{needed} is missing"
    if tracked is not None:
        yield from (f"{name} is not in the repository" for name in sorted(names - {"PKG-INFO"} - set(tracked)))
        yield from (f"{name} is missing" for name in sorted(set(tracked) - names))


def use_wheel(path: Path) -> None:
    """Install a wheel into an environment of its own, without extras, and run what must work there.

    Raises CalledProcessError if a command fails.
    """
    with tempfile.TemporaryDirectory() as place:
        subprocess.run([sys.executable, "-m", "venv", f"{place}/venv"], check=True)
        python, harness = f"{place}/venv/bin/python", f"{place}/venv/bin/harness"
        subprocess.run([python, "-m", "pip", "install", "--quiet", str(path)], check=True)
        subprocess.run([python, "-m", "pip", "check"], check=True)
        absent = "from importlib.util import find_spec; assert find_spec('torch') is None, 'torch came with the core'"
        subprocess.run([python, "-c", absent], cwd=place, check=True)
        for command in COMMANDS:
            print(f"$ harness {command}", flush=True)
            subprocess.run([harness, *command.split()], cwd=place, check=True)


def main() -> int:
    """Check the one wheel and the one sdist of a folder; returns the exit code."""
    folder = Path(sys.argv[1])
    wheels, sdists = sorted(folder.glob("*.whl")), sorted(folder.glob("*.tar.gz"))
    if len(wheels) != 1 or len(sdists) != 1:
        print(f"{folder} holds {len(wheels)} wheels and {len(sdists)} sdists, not one of each: empty it first")
        return 1
    tracked = list_tracked()
    problems = [f"{wheels[0].name}: {each}" for each in check_wheel(wheels[0], tracked)]
    problems += [f"{sdists[0].name}: {each}" for each in check_sdist(sdists[0], tracked)]
    if problems:
        print("\n".join(problems))
        return 1
    use_wheel(wheels[0])
    print(f"{wheels[0].name}: {wheels[0].stat().st_size:,} bytes; {sdists[0].name}: {sdists[0].stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
