"""The set in MIS's own layout: lists of records, and the images beside them.

Everything is written into a hidden folder first. Then what an earlier build put there gives way, the manifest and the
lists first; the images come next and the lists last: whoever reads finds no list, or one whose images are all there.
What no build put there stays, or is refused where it is in the way.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from harness import Json
from harness_builder.disk import write_error
from harness_builder.plan import Plan
from harness_builder.quality import Balance, select_balanced
from harness_builder.real.values import RealRecord
from harness_builder.records import BuiltRecord
from harness_builder.values import Subset

from .layout import IMAGES, LISTINGS, REFUSAL, Listing
from .owning import SCRATCH, check_own, note_writing, standing
from .pictures import place
from .records import tests, training
from .values import Entry, Written
from .withdrawing import take_away

_DRAWN: Final[tuple[Subset, ...]] = ("easy", "hard", "train")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Short:
    """What a record is chosen by, and its place among all."""

    at: int
    key: str
    category: str


def write_set(
    made: Sequence[BuiltRecord],
    plan: Plan,
    folder: Path,
    images: Callable[[str], Path],
    *,
    real: Iterable[RealRecord] = (),
) -> Written:
    """Write the records of a build; a file of no record is not there. The same records in the same order give the same
    bytes.

    With `plan.balance` each of train, easy and hard keeps so many of each category, chosen by a hash of the plan's seed
    and the key. A photographed record goes with its twin.

    Args:
        made: what came all the way, in order; their keys are unique.
        plan: of the build.
        folder: of the set; `work/` and `review/` in it stay as they are.
        images: sha256 of an image -> where the build keeps it.
        real: records of the split `real`, in order; their images are kept among the others.

    Raises:
        HarnessError: what no build made is in the way, or the folder cannot be written.
        BadData: an image is not there or cannot be read.
    """
    owned = standing(folder).files
    check_own(folder, owned)
    kept, balances = _balanced(made, plan)
    entries = _numbered(made, kept, real)
    scratch = folder / SCRATCH
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        scratch.mkdir(parents=True)
        _put_images(entries, scratch, images)
        records = _put_lists(entries, scratch)
        put = sorted(path.relative_to(scratch).as_posix() for path in scratch.rglob("*") if path.is_file())
        note_writing(folder, plan.name, {*owned, *put})
        _settle(scratch, folder, owned)
    except OSError as error:
        raise write_error(folder, error, "the set cannot be written") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Written(
        folder=folder,
        entries=tuple(entries),
        records=records,
        dropped=tuple(key for balance in balances.values() for key in balance.dropped),
        missing={LISTINGS[name].file: balance.missing for name, balance in balances.items() if balance.missing},
    )


def _balanced(made: Iterable[BuiltRecord], plan: Plan) -> tuple[dict[Subset, list[_Short]], dict[Subset, Balance]]:
    """The records of each subset that stay, and what its balance says."""
    subsets: dict[Subset, list[_Short]] = {name: [] for name in _DRAWN}
    for at, each in enumerate(made):
        subsets[each.sorted.subset].append(_Short(at=at, key=each.key, category=each.sorted.category))
    if plan.balance is None:
        return subsets, {}
    balances: dict[Subset, Balance] = {}
    for name, found in subsets.items():
        balances[name] = select_balanced(
            ((each.key, each.category) for each in found), plan.balance, plan.seed, categories=plan.categories
        )
        stay = set(balances[name].kept)
        subsets[name] = [each for each in found if each.key in stay]
    return subsets, {name: balance for name, balance in balances.items() if subsets[name] or balance.dropped}


def _numbered(
    made: Sequence[BuiltRecord], kept: Mapping[Subset, Sequence[_Short]], real: Iterable[RealRecord]
) -> list[Entry]:
    entries = [
        _entry(LISTINGS[name], number, made, each.at) for name in _DRAWN for number, each in enumerate(kept[name], 1)
    ]
    twins = {each.key: each.at for name in ("easy", "hard") for each in kept[name]}
    shown = [each for each in real if each.of in twins]
    photographed = (_entry(LISTINGS["real"], number, made, twins[each.of]) for number, each in enumerate(shown, 1))
    return entries + [replace(entry, real=each) for entry, each in zip(photographed, shown, strict=True)]


def _entry(listing: Listing, number: int, made: Sequence[BuiltRecord], at: int) -> Entry:
    first, second = (f"{listing.images}/{number}/object{which}.png" for which in (1, 2))
    return Entry(file=listing.file, number=number, walked=made, at=at, images=(first, second))


def _put_images(entries: Iterable[Entry], scratch: Path, images: Callable[[str], Path]) -> None:
    for entry in entries:
        shown = entry.real.images if entry.real else entry.made.pair.images
        for sha256, path in zip(shown, entry.images, strict=True):
            place(images(sha256), scratch / path)


def _put_lists(entries: Sequence[Entry], scratch: Path) -> dict[str, int]:
    records: dict[str, int] = {}
    for name, listing in LISTINGS.items():
        found = [entry for entry in entries if entry.file == listing.file]
        written = {listing.file: training(found) if name == "train" else tests(found)}
        if name == "train":
            declined = [entry for entry in found if (label := entry.made.label) and label.refusal]
            written[REFUSAL.file] = training(declined, refusal=True)
        for file, values in written.items():
            if number := _put_list(scratch / file, values):
                records[file] = number
    return records


def _put_list(path: Path, values: Iterable[Mapping[str, Json]]) -> int:
    """A JSON list with a record on each line, and how many they are; no file for none."""
    number = 0
    with path.open("w", encoding="utf-8") as file:
        for number, value in enumerate(values, 1):
            file.write(("[\n" if number == 1 else ",\n") + json.dumps(value, ensure_ascii=False))
        file.write("\n]\n")
    if not number:
        path.unlink()
    return number


def _settle(scratch: Path, folder: Path, owned: Collection[str]) -> None:
    """Put what was written into the place of what a build owns there; see the module for the order."""
    take_away(folder, owned)
    for name in IMAGES:
        if (scratch / name).exists():
            _move(scratch / name, folder / name)
    for path in sorted(scratch.glob("*.json")):
        path.replace(folder / path.name)


def _move(source: Path, target: Path) -> None:
    """Move a file or a folder; of a folder that is there already, what is in it."""
    if not target.is_dir():
        source.rename(target)
        return
    for each in sorted(source.iterdir()):
        _move(each, target / each.name)
