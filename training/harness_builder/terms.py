"""The licence of a set, and whether its sources may be used.

Before a build the licence comes from all sources of the plan; after it, from the sources of its records. A source is
recognised as a test by its name, and by the `.source.json` that `harness data fetch` and builds write next to their
files: it names the owner of each file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, Final

from harness import BadImage, HarnessError, open_files
from harness.data.provenance import FILE
from harness.http.status import as_list, as_mapping
from harness.readers.archives import suffix
from harness_builder.licences import OutputLicence, Source, check_licences, check_names, check_source, is_test_set
from harness_builder.output import SetRecord
from harness_builder.output.folder import FILES, TRAINING
from harness_builder.photos.collection import RealRecord, photo_source
from harness_builder.plan import Plan, config_key

_BUILT: Final = "build"
_TESTS: Final = frozenset(name for each in FILES.values() if each.split == "test" for name in (each.file, each.images))


def licence_of(plan: Plan, accepted: Iterable[str] = (), used: Iterable[RealRecord] = ()) -> OutputLicence:
    """The licence of a plan's set, from all its sources.

    Args:
        plan: of the build.
        accepted: sources that the user allows in spite of their licence.
        used: records that show photographs; without them the collection has the licence that the user states.

    Raises:
        HarnessError: like `licences.check_licences`.
    """
    return check_licences(_sources_by_key(plan, used).values(), accepted)


def licence_in(plan: Plan, accepted: Collection[str], entries: Iterable[SetRecord]) -> OutputLicence:
    """The licence of a written set: a source without a record in it does not count. An empty set has the plan's
    licence.

    Raises:
        HarnessError: like `licences.check_licences`.
    """
    found = list(entries)
    if not found:
        return licence_of(plan, accepted)
    used = [entry.real for entry in found if entry.real]
    names = {entry.made.source for entry in found}
    sources = tuple(source for source in plan.sources if source.name in names)
    left = replace(plan, sources=sources, photos=plan.photos if used else None)
    names |= {left.photos.name} if left.photos else set[str]()
    return licence_of(left, [name for name in accepted if name in names], used)


def tell_needless(accepted: Iterable[str], licence: OutputLicence, tell: Callable[[str], None]) -> None:
    """Print which sources were accepted without need."""
    for name in sorted(set(accepted) - set(licence.accepted)):
        tell(f"--accept-licence {name} is not needed, and changes nothing: its terms allow what is built")


def check_sources(plan: Plan, accepted: Collection[str] = ()) -> None:
    """Check that each source of a plan may be used, by itself; searches its folder for records of its files' origin.

    Raises:
        HarnessError: like `licences.check_source`, or files of a source are a test; with the source's key.
    """
    sources = _sources_by_key(plan)
    check_names(sources.values(), accepted)
    for key, source in sources.items():
        with config_key(plan, key):
            check_source(source, accepted)
            # training data of builds are allowed, and so is the user's own file next to fetched ones
            try:
                name, built = next(_find_tests(source.path.absolute()), ("", False))
            except OSError:
                continue  # the source's reader reports a wrong path
            if name:
                said = f"{FILE} says that it {'holds the tests of' if built else 'is'} {name}"
                what = f"{source.name!r} is a test set ({said}), so no training set may be built from it"
                remedy = (
                    f"name only its {TRAINING[0]}, or leave it out" if built else "leave it out; no option lifts this"
                )
                raise HarnessError(what, where=str(source.path), remedy=remedy)


def _sources_by_key(plan: Plan, used: Iterable[RealRecord] = ()) -> dict[str, Source]:
    photos: dict[str, Source] = {} if plan.photos is None else {"real": photo_source(plan.photos, used)}
    return {f"sources.#{number}": source for number, source in enumerate(plan.sources, start=1)} | photos


def _find_tests(path: Path) -> Iterator[tuple[str, bool]]:
    """The tests at a path, by name, and whether a build made them."""
    below = [each.parent for each in path.rglob(FILE)] if path.is_dir() else []
    for root in dict.fromkeys((path, *path.parents, *below)):
        inside = path.relative_to(root).as_posix() if path.is_relative_to(root) else "."
        record: Any = None  # of a folder or an archive, if there is one that can be read
        with suppress(OSError, ValueError, BadImage):
            if root.is_dir():
                record = json.loads((root / FILE).read_bytes())
            elif suffix(root):
                record = json.loads(open_files(root).read(FILE))
        for part in map(as_mapping, as_list(as_mapping(record).get("parts"))):
            name, built = str(part.get("name")), part.get("kind") == _BUILT
            whole = is_test_set(str(as_mapping(record).get("task"))) or is_test_set(name.rpartition("/")[2])
            for file in as_mapping(part.get("files")):
                of_test = PurePosixPath(file).parts[0] in _TESTS if built else whole
                if of_test and (inside in (".", file) or file.startswith(f"{inside}/")):
                    yield name, built
                    break
