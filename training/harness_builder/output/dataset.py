"""Writes the records of a set in MIS's own layout: lists of records, their images, and the origin of each.

Everything is written into a hidden folder first. Then an earlier build's files are deleted, manifest and lists first.
Images are moved next and lists last: a reader finds no list, or one with all its images. Files that no build made stay;
if they are in the way, the write is refused. All records of one file have the same fields, so that every reader accepts
them.

`provenance.jsonl` gives the origin of each record, with every call and drawing. It holds no text of a source, and
nothing about dropped or stopped elements. A record of photographs has its own calls; those of its question belong to
its twin, which it names.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from harness import BadData, Json
from harness.files import atomic_write
from harness.keys import canonical
from harness_builder.calls.costs import model_of
from harness_builder.calls.results import StoredCall
from harness_builder.disk import is_full, write_error
from harness_builder.output.folder import (
    IMAGES,
    LISTINGS,
    PROVENANCE,
    REFUSAL,
    SCRATCH,
    check_target,
    delete_files,
    find_owned,
    record_writing,
)
from harness_builder.photos.collection import RealRecord, RejectedPhoto, UsedPhoto
from harness_builder.plan import Plan
from harness_builder.quality import Balance, select_balanced
from harness_builder.records import BuiltRecord
from harness_builder.values import Subset

#: mark of an image in the text of a turn: one for each, as LLaMA-Factory counts them, before the question, as models
#: are asked
MARK: Final = "<image>"
_DRAWN: Final[tuple[Subset, ...]] = ("easy", "hard", "train")
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_PNG_MODES: Final = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})


#: digest of a call -> the stored call, as `CallStore.find` gives it; None if it is not stored
Calls = Callable[[str], StoredCall | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetRecord:
    """A record of the set.

    Attributes:
        file: that holds it.
        number: its id there, from 1, and the name of its image folder.
        built: all records of the build, which need not be in memory.
        at: its place among them; for a photographed record, that of its twin.
        images: paths of its images under the set's folder, in order.
        real: the photographed record; None if the images were drawn.
    """

    file: str
    number: int
    built: Sequence[BuiltRecord] = field(repr=False, compare=False)
    at: int
    images: tuple[str, str]
    real: RealRecord | None = None

    @property
    def made(self) -> BuiltRecord:
        """The built record, read again each time; for a photographed one its twin."""
        return self.built[self.at]

    @property
    def key(self) -> str:
        """Of the record."""
        return self.real.key if self.real else self.made.key

    @property
    def reviewers(self) -> tuple[str, ...]:
        """Who reviewed it in this form."""
        return self.real.reviewers if self.real else self.made.sorted.reviewers

    @property
    def category(self) -> str:
        """As in the file; never empty, since readers of the layout need one."""
        return self.made.sorted.category.strip() or self.made.element.category.strip() or "Other"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenSet:
    """The records of a set in their folder.

    Attributes:
        folder: of the set.
        entries: its records, file by file, in order.
        records: file -> how many records it holds; without empty files.
        dropped: keys of records that the balance left out, in order.
        missing: file -> category -> how many records the balance lacks.
    """

    folder: Path
    entries: tuple[SetRecord, ...]
    records: Mapping[str, int]
    dropped: tuple[str, ...] = ()
    missing: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])


def write_set(
    made: Sequence[BuiltRecord],
    plan: Plan,
    folder: Path,
    images: Callable[[str], Path],
    *,
    real: Iterable[RealRecord] = (),
) -> WrittenSet:
    """Write the records of a build. The same records in the same order give the same bytes.

    With `plan.balance` each of train, easy and hard keeps that many of each category, chosen by a hash of the plan's
    seed and the key. A photographed record stays or goes with its twin.

    Args:
        made: records of the build, in order; their keys are unique.
        plan: of the build.
        folder: of the set; `work/` and `review/` in it stay unchanged.
        images: sha256 of an image -> where the build keeps it.
        real: records of the split `real`, in order; their images are kept among the others.

    Raises:
        HarnessError: files that no build made are in the way, or the folder cannot be written.
        BadData: an image is missing or cannot be read.
    """
    owned = find_owned(folder).files
    check_target(folder, owned)
    # of those that stay: place among all records, key and category
    subsets: dict[Subset, list[tuple[int, str, str]]] = {name: [] for name in _DRAWN}
    for at, each in enumerate(made):
        subsets[each.sorted.subset].append((at, each.key, each.sorted.category))
    balances: dict[Subset, Balance] = {}
    if plan.balance is not None:
        for name, found in subsets.items():
            pairs = ((key, category) for _, key, category in found)
            balance = select_balanced(pairs, plan.balance, plan.seed, categories=plan.categories)
            stay = set(balance.kept)
            subsets[name] = [each for each in found if each[1] in stay]
            if subsets[name] or balance.dropped:
                balances[name] = balance

    def number_record(name: Subset, number: int, at: int, shown: RealRecord | None = None) -> SetRecord:
        listing = LISTINGS[name]
        first, second = (f"{listing.images}/{number}/object{which}.png" for which in (1, 2))
        return SetRecord(file=listing.file, number=number, built=made, at=at, images=(first, second), real=shown)

    entries = [number_record(name, number, at) for name in _DRAWN for number, (at, _, _) in enumerate(subsets[name], 1)]
    twins = {key: at for name in ("easy", "hard") for at, key, _ in subsets[name]}
    shown = [each for each in real if each.of in twins]
    entries += [number_record("real", number, twins[each.of], each) for number, each in enumerate(shown, 1)]
    scratch = folder / SCRATCH
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        scratch.mkdir(parents=True)
        for entry in entries:
            for sha256, path in zip((entry.real or entry.made.pair).images, entry.images, strict=True):
                copy_image(images(sha256), scratch / path)
        records = _write_lists(entries, scratch)
        put = sorted(path.relative_to(scratch).as_posix() for path in scratch.rglob("*") if path.is_file())
        record_writing(folder, plan.name, {*owned, *put})
        delete_files(folder, owned)
        for images_of in IMAGES:
            if (scratch / images_of).exists():
                _move(scratch / images_of, folder / images_of)
        for file in sorted(scratch.glob("*.json")):
            file.replace(folder / file.name)
    except OSError as error:
        raise write_error(folder, error, "the set cannot be written") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return WrittenSet(
        folder=folder,
        entries=tuple(entries),
        records=records,
        dropped=tuple(key for balance in balances.values() for key in balance.dropped),
        missing={LISTINGS[name].file: balance.missing for name, balance in balances.items() if balance.missing},
    )


def _write_lists(entries: Sequence[SetRecord], scratch: Path) -> dict[str, int]:
    """Write JSON lists with a record on each line -> file and its number of records; no empty file."""
    records: dict[str, int] = {}
    for subset, listing in LISTINGS.items():
        found = [entry for entry in entries if entry.file == listing.file]
        lists: dict[str, Iterable[Mapping[str, Json]]]
        if subset != "train":
            lists = {listing.file: map(_test_json, found)}
        else:
            declined = [entry for entry in found if (label := entry.made.label) and label.refusal]
            lists = {
                listing.file: _format_training(found, refusal=False),
                REFUSAL.file: _format_training(declined, refusal=True),
            }
        for name, values in lists.items():
            number = 0
            with (scratch / name).open("w", encoding="utf-8") as file:
                for number, value in enumerate(values, 1):
                    file.write(("[\n" if number == 1 else ",\n") + json.dumps(value, ensure_ascii=False))
                file.write("\n]\n")
            if number:
                records[name] = number
            else:
                (scratch / name).unlink()
    return records


def _test_json(entry: SetRecord) -> dict[str, Json]:
    first, second = entry.images
    decided = entry.made.sorted
    return {
        "id": entry.number,
        "question": clean_text(decided.question),
        "category": clean_text(entry.category),
        "sub_category": clean_text(decided.sub_category),
        "image_path1": first,
        "image_path2": second,
    }


def _format_training(entries: Sequence[SetRecord], *, refusal: bool) -> Iterator[dict[str, Json]]:
    """Training records, each with the answer that gives reasons, or with the one that declines."""
    in_words = any(entry.made.label and entry.made.label.text_question for entry in entries)
    for entry in entries:
        decided, label = entry.made.sorted, entry.made.label
        assert label is not None, "a training record has no label"
        record: dict[str, Json] = {
            "id": entry.number,
            "image": list(entry.images),
            "conversations": [
                {"from": "human", "value": MARK * len(entry.images) + clean_text(decided.question)},
                {"from": "gpt", "value": clean_text(label.refusal if refusal else label.answer)},
            ],
            "category": clean_text(entry.category),
            "sub_category": clean_text(decided.sub_category),
        }
        if in_words:
            record |= {
                "text_question": clean_text(label.text_question),
                "text_answer": clean_text(label.text_answer),
            }
        yield record


def clean_text(text: str) -> str:
    """A text that every reader accepts: without lone surrogates, and without the mark of an image."""
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    while MARK in whole:  # removing one may form another
        whole = whole.replace(MARK, "")
    return whole.strip()


def copy_image(source: Path, target: Path) -> None:
    """Copy an image of the build: a PNG unchanged, as a hard link if the disk supports them; any other format is
    rewritten as PNG, with the same pixels and without a camera's metadata.

    Raises:
        BadData: it is not an image, or missing.
        OSError: the disk is full.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with source.open("rb") as file:
            drawn = file.read(len(_PNG)) == _PNG
        if drawn:
            try:
                os.link(source, target)
            except OSError:
                shutil.copyfile(source, target)
            return
        from PIL import Image, ImageOps

        with Image.open(source) as found:
            upright = ImageOps.exif_transpose(found)
            picture = upright if upright.mode in _PNG_MODES else upright.convert("RGB")
            picture.save(target, format="PNG", icc_profile=found.info.get("icc_profile"), exif=None)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and is_full(error):
            raise
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        what = f"an image of the build cannot be copied into the set: {why}"
        raise BadData(what, where=source.name, remedy="delete it, and build again: it is drawn again") from None


def _move(source: Path, target: Path) -> None:
    """Move a file or a folder; if a folder's target exists, move its content."""
    if not target.is_dir():
        source.rename(target)
        return
    for each in sorted(source.iterdir()):
        _move(each, target / each.name)


def write_provenance(written: WrittenSet, plan: Plan, calls: Calls) -> None:
    """Write a line for each record, in the order of the files.

    Args:
        written: the records of the set.
        plan: names the model of each role.
        calls: finds a stored call; a missing one is named by its digest alone.
    """

    def call(digest: str) -> dict[str, Json]:
        kept = calls(digest)
        if kept is None:
            return {"call": digest}
        spent = kept.spent
        value = {"call": digest, "step": spent.step, "role": spent.role, "model": model_of(plan, spent.role).ref}
        return value | ({"reported": spent.model} if spent.model else {})

    def lines() -> Iterator[str]:
        for entry in written.entries:
            made = entry.made
            value: dict[str, Json] = {
                "file": entry.file,
                "id": entry.number,
                "key": entry.key,
                "source": made.source,
                "seed": made.element.seed,
                "category": entry.category,
                "sub_category": made.sorted.sub_category,
                "objects": list(made.element.objects),
                "text_unsafe": made.sorted.text_unsafe,
                "reviewers": list(entry.reviewers),
                "images": list(entry.images),
            }
            value |= _describe_photographed(entry.real, call) if entry.real else _describe_drawn(made, call)
            yield canonical(value) + "\n"

    atomic_write(written.folder / PROVENANCE, lines())


def _describe_drawn(made: BuiltRecord, call: Callable[[str], dict[str, Json]]) -> dict[str, Json]:
    steps = ["elements", "write", "draw", "sort"]
    steps += [step for step, there in (("probe", made.probed), ("label", made.label)) if there]
    return {
        "image_harmful": made.sorted.image_harmful,
        "by": made.sorted.by,
        "ends": dict.fromkeys(steps, "kept"),
        "calls": [call(digest) for digest in made.calls],
        "accepted": made.pair.accepted,
        "drawings": [{**asdict(shot), "object": shot.object + 1} for shot in made.pair.shots],
        "probes": {probed.part: probed.risk for probed in made.probed},
        "verdict": made.label.verdict if made.label else None,
    }


def _describe_photographed(real: RealRecord, call: Callable[[str], dict[str, Json]]) -> dict[str, Json]:
    """All photographs examined for the record, taken or not."""
    photographs: list[Json] = []
    looked_at: tuple[UsedPhoto | RejectedPhoto, ...] = (*real.photos, *real.untaken)
    for photo in looked_at:
        value: dict[str, Json] = asdict(photo)
        value |= {"taken": isinstance(photo, UsedPhoto), "calls": [call(digest) for digest in photo.calls]}
        value.pop("caption", None)
        if not photo.sha256:  # a hard stop leaves only its kind
            value.pop("faces")
        photographs.append({name: each for name, each in value.items() if each != ""})
    return {"of": real.of, "by": "people" if real.reviewers else "model", "photographs": photographs}
