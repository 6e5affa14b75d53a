"""Whether a source is a test by what is recorded of where its files came from.

`harness data fetch`, and builds, write `.source.json` beside what they fetch or make; it says of each file whose it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

from harness import BadImage, HarnessError, Json, open_files
from harness.data.provenance import FILE
from harness.http.status import as_list, as_mapping
from harness.readers.archives import suffix

from .output.layout import FILES, TRAINING
from .public import Source, tests

_BUILT: Final = "build"
_TESTS: Final = frozenset(name for each in FILES.values() if each.split == "test" for name in (each.file, each.images))


def check_recorded(source: Source) -> None:
    """Raise HarnessError where a record says that files of a source are there to test models.

    What builds made to train on is welcome, and so is a file of the user's own beside what was fetched.
    """
    try:
        found = next(_found(source.path.absolute()), None)
    except OSError:
        return  # whoever reads the source says what is wrong with its path
    if found is not None:
        name, built = found
        said = f"{FILE} says that it {'holds the tests of' if built else 'is'} {name}"
        what = f"{source.name!r} is there to test models ({said}), and no set to train on is built from it"
        remedy = f"name its {TRAINING[0]} alone, or leave it out" if built else "leave it out; no option lifts this"
        raise HarnessError(what, where=str(source.path), remedy=remedy)


def _found(path: Path) -> Iterator[tuple[str, bool]]:
    """The tests that lie at a path, by name, and whether a build made them."""
    below = [each.parent for each in path.rglob(FILE)] if path.is_dir() else []
    for root in dict.fromkeys((path, *path.parents, *below)):
        inside = path.relative_to(root).as_posix() if path.is_relative_to(root) else "."
        record = as_mapping(_record(root))
        for part in map(as_mapping, as_list(record.get("parts"))):
            if any(_below(file, inside) for file in _of_test(part, str(record.get("task")))):
                yield str(part.get("name")), part.get("kind") == _BUILT


def _of_test(part: Mapping[str, Json], task: str) -> Iterator[str]:
    """The files of a part that are there to test models."""
    whole = tests(task) or tests(str(part.get("name")).rpartition("/")[2])
    for file in as_mapping(part.get("files")):
        if PurePosixPath(file).parts[0] in _TESTS if part.get("kind") == _BUILT else whole:
            yield file


def _below(file: str, folder: str) -> bool:
    return folder in (".", file) or file.startswith(f"{folder}/")


def _record(root: Path) -> Any:
    """As it stands in a folder or an archive; None where there is none that can be read."""
    try:
        if root.is_dir():
            return json.loads((root / FILE).read_bytes())
        return json.loads(open_files(root).read(FILE)) if suffix(root) else None
    except (OSError, ValueError, BadImage):
        return None
