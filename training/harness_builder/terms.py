"""Under which licence a set is: before it is built that of all its plan's sources, then that of what is in it.

Whether a source is a test by what is recorded of where its files came from.

`harness data fetch`, and builds, write `.source.json` beside what they fetch or make; it says of each file whose it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, Final

from harness import BadImage, HarnessError, Json, open_files
from harness.data.provenance import FILE
from harness.http.status import as_list, as_mapping
from harness.readers.archives import suffix
from harness_builder.licences import OutputLicence, check, check_names, check_source
from harness_builder.output import SetRecord
from harness_builder.output.folder import FILES, TRAINING
from harness_builder.plan import Plan, config_key
from harness_builder.public import Source, is_test_set
from harness_builder.real.licensing import photo_source
from harness_builder.real.values import RealRecord


def licence_of(plan: Plan, accepted: Iterable[str] = (), used: Iterable[RealRecord] = ()) -> OutputLicence:
    """The licence of what a plan builds, whatever of its sources comes to be in the set.

    Args:
        plan: of the build.
        accepted: sources that the user allows in spite of their licence.
        used: records that show photographs; without them the collection is under what the user states of it.

    Raises:
        HarnessError: as `licences.check`.
    """
    return check(_keyed(plan, used).values(), accepted)


def check_sources(plan: Plan, accepted: Collection[str] = ()) -> None:
    """Whether each source of a plan may be used, whatever stands beside it; folders are looked through for records.

    Raises:
        HarnessError: as `licences.check_source` and `recorded.check_recorded`, with the key of the source.
    """
    keyed = _keyed(plan)
    check_names(keyed.values(), accepted)
    for key, source in keyed.items():
        with config_key(plan, key):
            check_source(source, accepted)
            check_recorded(source)


def licence_in(plan: Plan, accepted: Collection[str], entries: Iterable[SetRecord]) -> OutputLicence:
    """The licence of a set that stands: a source of which nothing is in it does not bind it. Without any record it is
    the plan's.

    Raises:
        HarnessError: as `licences.check`.
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


def _keyed(plan: Plan, used: Iterable[RealRecord] = ()) -> dict[str, Source]:
    """Key of the config -> source."""
    photos: dict[str, Source] = {} if plan.photos is None else {"real": photo_source(plan.photos, used)}
    return {f"sources.#{number}": source for number, source in enumerate(plan.sources, start=1)} | photos


def tell_needless(accepted: Iterable[str], licence: OutputLicence, tell: Callable[[str], None]) -> None:
    """Say which sources were accepted without need: they are used as if they had not been."""
    for name in sorted(set(accepted) - set(licence.accepted)):
        tell(f"--accept-licence {name} is not needed, and changes nothing: its terms allow what is built")


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
    whole = is_test_set(task) or is_test_set(str(part.get("name")).rpartition("/")[2])
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
