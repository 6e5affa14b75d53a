"""The set in MIS's own layout: lists of records, and the images beside them.

Everything is written into a hidden folder first. Then what an earlier build put there gives way, the manifest and the
lists first; the images come next and the lists last: whoever reads finds no list, or one whose images are all there.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from harness import HarnessError, Json
from harness_builder.config.plan import Plan
from harness_builder.quality import Balance, balanced
from harness_builder.real.values import RealRecord
from harness_builder.values import Subset
from harness_builder.walk.values import Made

from .layout import IMAGES, LISTINGS, MANIFEST, REFUSAL, SINGLE, Listing
from .pictures import place
from .records import tests, training
from .values import Entry, Written

_SCRATCH: Final = ".being-written"
_DRAWN: Final[tuple[Subset, ...]] = ("easy", "hard", "train")


def write_set(
    made: Iterable[Made],
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
        HarnessError: the folder holds what no build made, or cannot be written.
        BadData: an image is not there or cannot be read.
    """
    check_free(folder)
    kept, balances = _balanced(list(made), plan)
    entries = _numbered(kept, real)
    scratch = folder / _SCRATCH
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        scratch.mkdir(parents=True)
        _put_images(entries, scratch, images)
        records = _put_lists(entries, scratch)
        _settle(scratch, folder)
    except OSError as error:
        raise HarnessError(f"the set cannot be written: {error.strerror or error}", where=str(folder)) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Written(
        folder=folder,
        entries=tuple(entries),
        records=records,
        dropped=tuple(key for balance in balances.values() for key in balance.dropped),
        missing={LISTINGS[name].file: balance.missing for name, balance in balances.items() if balance.missing},
    )


def check_free(folder: Path) -> None:
    """Whether a build may write there, and replace what an earlier one wrote; asked before `work/` is made.

    Raises:
        HarnessError: it holds files under the set's names, and no sign of a build.
    """
    if any((folder / sign).exists() for sign in (MANIFEST, "work", _SCRATCH)):
        return
    if strangers := [name for name in (*SINGLE, *IMAGES) if (folder / name).exists()]:
        raise HarnessError(
            f"the folder holds {', '.join(strangers[:3])}, which no build made and this one would replace",
            where=str(folder),
            remedy="give another folder: --out DIR",
        )


def _balanced(made: Sequence[Made], plan: Plan) -> tuple[dict[Subset, list[Made]], dict[Subset, Balance]]:
    """The records of each subset that stay, and what its balance says."""
    subsets: dict[Subset, list[Made]] = {name: [each for each in made if each.sorted.subset == name] for name in _DRAWN}
    if plan.balance is None:
        return subsets, {}
    balances: dict[Subset, Balance] = {}
    for name, found in subsets.items():
        balances[name] = balanced(((each.key, each.sorted.category) for each in found), plan.balance, plan.seed)
        stay = set(balances[name].kept)
        subsets[name] = [each for each in found if each.key in stay]
    return subsets, {name: balance for name, balance in balances.items() if subsets[name] or balance.dropped}


def _numbered(kept: Mapping[Subset, Sequence[Made]], real: Iterable[RealRecord]) -> list[Entry]:
    entries = [_entry(LISTINGS[name], at, made) for name in _DRAWN for at, made in enumerate(kept[name], 1)]
    twins = {each.key: each for name in ("easy", "hard") for each in kept[name]}
    shown = [each for each in real if each.of in twins]
    photographed = (_entry(LISTINGS["real"], at, twins[each.of]) for at, each in enumerate(shown, 1))
    return entries + [replace(entry, real=each) for entry, each in zip(photographed, shown, strict=True)]


def _entry(listing: Listing, number: int, made: Made) -> Entry:
    first, second = (f"{listing.images}/{number}/object{which}.png" for which in (1, 2))
    return Entry(file=listing.file, number=number, made=made, images=(first, second))


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
            declined = [entry for entry in found if entry.made.label and entry.made.label.refusal]
            written[REFUSAL.file] = training(declined, refusal=True)
        for file, values in written.items():
            if values:
                records[file] = len(values)
                _put_list(scratch / file, values)
    return records


def _put_list(path: Path, values: Sequence[Mapping[str, Json]]) -> None:
    """A JSON list with a record on each line."""
    lines = ",\n".join(json.dumps(value, ensure_ascii=False) for value in values)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def _settle(scratch: Path, folder: Path) -> None:
    """Put what was written into its place; see the module for the order."""
    for name in SINGLE:
        (folder / name).unlink(missing_ok=True)
    old = scratch / "old"
    old.mkdir()
    for name in IMAGES:
        if (folder / name).exists():
            (folder / name).rename(old / name)
        if (scratch / name).exists():
            (scratch / name).rename(folder / name)
    for path in sorted(scratch.glob("*.json")):
        path.replace(folder / path.name)
