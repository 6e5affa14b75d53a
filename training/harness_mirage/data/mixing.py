"""The mixture of a method: every ingredient read, checked and sampled, then all of them in one order.

Samples are drawn by hashes: each record gets a number from the seed and what it says, and the lowest numbers are taken.
So a sample does not depend on the order of the files, and no more records are held than are taken.

Names of data go into `trained_on` of training.json, where leaderboards look for the siblings of a test. So a set that
is the published one always gets the same name, and no other set takes that name for its place in a method. Data are
called as they say themselves, else by the published set's name if they show that they are it, else by the folder or the
file they lie in.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final

from harness import HarnessError, Training, UnknownName, distinct
from harness.data import provenance
from harness.settings import nearest
from harness_mirage.methods import Ingredient, Method, get_setting
from harness_mirage.mixture import BadRecord, ImageLocator, Mixture, Part, Record

from .layouts import open_source
from .reader import HoldOut, IngredientReader, open_bytes

M4: Final = "lmms-lab/M4-Instruct-Data"
#: id on the hub -> the licence that its card states
LICENCES: Final[Mapping[str, str]] = {
    "Tuwhy/MIS_Train": "apache-2.0",
    M4: "cc-by-4.0, and the terms of use of OpenAI",
    "PKU-Alignment/PKU-SafeRLHF": "cc-by-nc-4.0: no commercial use",
    "ys-zong/VLGuard": "MIT; access must be asked for",
    "liuhaotian/LLaVA-Instruct-150K": "cc-by-4.0, and the terms of use of OpenAI",
}
#: id on the hub -> the file of records by whose name the set is known
_FILES: Final[Mapping[str, str]] = {
    "Tuwhy/MIS_Train": "mis_train.json",
    M4: "m4_instruct_annotations.json",
    "ys-zong/VLGuard": "train.json",
    "liuhaotian/LLaVA-Instruct-150K": "llava_instruct_150k.json",
}
_LONGEST: Final = 200  #: characters of a LICENSE's first line
GENERAL: Final = "general"
_FETCHED: Final = (
    "; python -m harness_mirage.data.general PATH fetches 500 records of this one, with their images alone"
)
_THREADS: Final = 8  #: that open images at once
_PIECE: Final = 256  #: records whose images are opened together; what waits for a thread costs memory


def mix(method: Method, training: Training) -> Mixture:
    """All that a training of this method learns from; nothing is written, and no image is decoded.

    Raises:
        HarnessError: data are missing, bad, or named wrongly; bad records are counted and the first ones named.
    """
    ingredients = _select_ingredients(method, training)
    hold_out, skip_bad = HoldOut(training.hold_out), bool(get_setting(training, "skip_bad"))

    def sample(ingredient: Ingredient) -> tuple[Part, tuple[Record, ...]]:
        path = training.data.get(ingredient.name)
        if path is None:
            left_out = {f"not given: --data {ingredient.name}=PATH": 0}
            return Part(ingredient=ingredient, found=0, taken=0, left_out=left_out), ()
        return sample_ingredient(ingredient, path, hold_out, training.seed, skip_bad=skip_bad)

    samples = {number: sample(each) for number, each in enumerate(ingredients) if each.share is None}
    fixed = sum(len(records) for _, records in samples.values())
    shares = {number: each.share for number, each in enumerate(ingredients) if each.share is not None}
    rest = 1.0 - sum(shares.values())
    if shares and not 0.0 < rest <= 1.0:
        raise HarnessError("shares of a mixture must be 0 or more, and together less than 1", remedy="lower the shares")
    for number, share in shares.items():  # the count that makes it this share of the whole mixture
        samples[number] = sample(replace(ingredients[number], count=round(fixed * share / rest)))
    hold_out.check()

    records: list[Record] = []
    parts: list[Part] = []
    names: set[str] = set()
    for number, its in enumerate(ingredients):
        part, taken = samples[number]
        own: list[str] = []
        for record in taken:
            name = record.id
            while name in names:  # of a record of an earlier ingredient
                name = f"{its.name or its.source or its.layout}/{name}"
            own.append(name)
            records.append(record if name == record.id else replace(record, id=name))
        names.update(own)
        parts.append(replace(part, names=tuple(own), ids=_digest([name] for name in own)))
    if not records:
        raise HarnessError("no record is left to train on", remedy="hold out less, or give more data")
    seed = training.seed
    records.sort(key=lambda record: (draw_number(seed, record.id.encode(errors="surrogatepass")), record.id))
    said = ([record.id, *([turn.speaker, turn.text] for turn in record.turns)] for record in records)
    return Mixture(records=tuple(records), parts=tuple(parts), digest=_digest(said), seed=seed)


def _select_ingredients(method: Method, training: Training) -> tuple[Ingredient, ...]:
    """A method's ingredients, the general one in the amount that the user wants; one of amount 0 is left out.

    Raises:
        UnknownName: data were given under a name the method does not have.
        HarnessError: an amount makes no sense, or data are missing: the error says where they are published, under
            which licence, and how they are given.
    """
    names = [*dict.fromkeys(each.name for each in method.ingredients)]
    if unknown := [name for name in training.data if name not in names]:
        name, named = unknown[0], [each for each in names if each]
        ways = ["--data PATH"] * ("" in names) + [f"--data {each}=PATH" for each in named]
        close = nearest(name, named)
        remedy = close if name and close.startswith("did you mean") else f"it takes {' and '.join(ways)}"
        shown = f"--data {name}=…" if name else "--data PATH without a name"
        raise UnknownName(f"{method.name} has no ingredient of this name: {shown}", remedy=remedy)
    count, share = get_setting(training, "general_count"), get_setting(training, "general_share")
    if GENERAL not in names and (count is not None or share is not None):
        remedy = "leave out general_count and general_share"
        raise HarnessError(f"{method.name} mixes in no general data", remedy=remedy)
    if count is not None and share is not None:
        raise HarnessError("give general_count or general_share, and not both")
    ingredients = method.ingredients
    if count is not None or share is not None:
        ingredients = tuple(
            replace(each, count=count, share=share) if each.name == GENERAL else each for each in ingredients
        )
    if GENERAL in names:
        ingredients = tuple(each for each in ingredients if each.count != 0 and each.share != 0)
    for each in ingredients:
        if not each.needed or each.name in training.data:
            continue
        what = f"its ingredient {each.name!r}" if each.name else each.source or f"data of the layout {each.layout}"
        remedy = f"--data {each.name}=PATH" if each.name else "--data PATH"
        if each.name == GENERAL:
            remedy += " of any multi-image set in ShareGPT's layout" + (_FETCHED if each.hub == M4 else "")
        elif each.name:
            remedy += f", in the layout {each.layout}: see docs/train-data.md"
        where = _format_terms(each.hub) or (f"on the hub: {each.hub}" if each.hub else "")
        if each.name and any(not other.name and other.hub == each.hub for other in ingredients):
            where = ""  # the user makes it of a set that is another ingredient as well
        raise HarnessError(f"the method needs {what}, which was not given", where=where, remedy=remedy)
    return ingredients


def _digest(values: Iterable[object]) -> str:
    digest = hashlib.sha256()
    for value in values:
        digest.update(json.dumps(value).encode() + b"\n")
    return digest.hexdigest()


def draw_number(seed: int, content: bytes) -> int:
    """The number that a content draws."""
    return int.from_bytes(hashlib.sha256(f"{seed}:".encode() + content).digest()[:16], "big")


class HashSample:
    """The records of the lowest numbers, or all of them.

    Args:
        count: most that are taken; None for all.
        seed: of the numbers.
        check: is called with a record that would be taken, and raises if it cannot be.
    """

    def __init__(self, count: int | None, seed: int, check: Callable[[Record], object] | None = None) -> None:
        self._count = count
        self._seed = seed
        self._check = check
        self._heap: list[tuple[int, int, bytes, Record]] = []  # the highest number first
        self._offered = 0

    def offer(self, record: Record) -> None:
        """Take a record if its number is low enough. Raises what `check` raises; the record is not taken then."""
        turns = [[turn.speaker, turn.text] for turn in record.turns]
        said = [record.id, turns, [each.path for each in record.pictures]]
        content = hashlib.sha256(json.dumps(said).encode()).digest()
        number = draw_number(self._seed, content)
        self._offered += 1
        full = self._count is not None and len(self._heap) >= self._count
        if full and (not self._heap or -self._heap[0][0] <= number):
            return
        if self._check is not None:
            self._check(record)
        entry = (-number, self._offered, content, record)
        if full:
            heapq.heapreplace(self._heap, entry)
        else:
            heapq.heappush(self._heap, entry)

    def finish(self) -> list[tuple[bytes, Record]]:
        """What was taken, each with the hash of its content, by id and content; the sample is empty after that."""
        heap, self._heap = self._heap, []
        return sorted(((entry[2], entry[3]) for entry in heap), key=lambda each: (each[1].id, each[0]))


def sample_ingredient(
    ingredient: Ingredient, path: Path, hold_out: HoldOut, seed: int, *, skip_bad: bool = False
) -> tuple[Part, tuple[Record, ...]]:
    """Read, check and sample one ingredient. Only the images of what is taken are looked at, and none is decoded.

    Args:
        ingredient: with its count; a share must have been made one.
        path: of its data.
        hold_out: what is left out; sees every category.
        seed: of the sample.
        skip_bad: leave bad records out and count them.

    Raises:
        MissingData, BadData: the data are not there or not of this layout, or hold bad records.
    """
    source = open_source(ingredient, path)
    locator = ImageLocator(source.files, source.folders)
    reader = IngredientReader(source, ingredient, hold_out)

    def check(record: Record) -> None:
        locator.check(locator.locate(record)[0])

    sample = HashSample(ingredient.count, seed, check if skip_bad else None)
    for record in reader.records():
        try:
            sample.offer(record)
        except BadRecord as fault:
            reader.faults.add(fault, record.place)
    taken = sample.finish()
    ids = distinct(record.id or content.hex()[:16] for content, record in taken)
    records = [
        record if record.id == id_ else replace(record, id=id_) for id_, (_, record) in zip(ids, taken, strict=True)
    ]
    del taken

    # Find the images of all records, in the list itself so that no record is held twice; those that lack one leave it.
    digest, has_images, kept = hashlib.sha256(), False, 0
    for record, located in zip(records, _locate_images(records, locator), strict=True):
        if isinstance(located, BadRecord):
            reader.faults.add(located, record.place)
            continue
        records[kept], sizes = located
        for picture, size in zip(records[kept].pictures, sizes, strict=False):  # a black square has no size
            digest.update(f"{picture.path}\0{size}\n".encode(errors="surrogatepass"))
            has_images = True
        kept += 1
    del records[kept:]
    if reader.faults.counts and not skip_bad:
        raise reader.faults.build_error(reader.found, source.looks)

    files: dict[str, str] = {}
    for name in source.names:
        with open_bytes(source.files, name) as file:
            files[name] = hashlib.file_digest(file, "sha256").hexdigest()
    names = name_data(ingredient, path, source.names)
    part = Part(
        ingredient=ingredient,
        sources=names,
        found=reader.found,
        taken=len(records),
        left_out={**reader.left_out, **reader.faults.counts},
        files=files,
        images=digest.hexdigest() if has_images else "",
        licence=find_licence(ingredient, path, names),
    )
    return part, tuple(records)


def _locate_images(
    records: list[Record], locator: ImageLocator
) -> Iterator[tuple[Record, tuple[int, ...]] | BadRecord]:
    """Each record with its images where they are and their sizes, or what is wrong with one of them."""

    def locate(record: Record) -> tuple[Record, tuple[int, ...]] | BadRecord:
        try:
            return locator.locate(record)
        except BadRecord as fault:
            return fault

    def check(located: tuple[Record, tuple[int, ...]] | BadRecord) -> tuple[Record, tuple[int, ...]] | BadRecord:
        try:
            if not isinstance(located, BadRecord):
                locator.check(located[0])
        except BadRecord as fault:
            return fault
        return located

    with ThreadPoolExecutor(_THREADS) as pool:
        for start in range(0, len(records), _PIECE):
            yield from pool.map(check, [locate(record) for record in records[start : start + _PIECE]])


def name_data(ingredient: Ingredient, path: Path, files: Iterable[str]) -> tuple[str, ...]:
    """The names of an ingredient's data.

    Args:
        ingredient: whose `source` is the published name of the set at `hub`, or without one the user's own word.
        path: of the data.
        files: of them, that hold the records.

    Raises:
        BadData: the record of where they come from cannot be read.
    """
    held = set(files)
    # What the data say they are: all that a fetch put into them, of a build the parts that the records are from; or
    # their place in the hub client's cache.
    root = path if path.is_dir() else path.parent
    parts = provenance.read(root).parts
    here = held if root == path else {path.name}
    named = [part.name for part in parts if here & part.files.keys() or (root == path and part.kind != "build")]
    cached = () if parts else provenance.find_origin(root)[:1]
    if stated := [name for name in (*named, *cached) if name]:
        return tuple(dict.fromkeys(_use_published_name(ingredient, name) for name in stated))
    known = _FILES.get(ingredient.hub) in {PurePosixPath(file).name for file in held}
    if ingredient.source and (known or not ingredient.hub):
        return (ingredient.source,)
    return (_use_published_name(ingredient, path.stem if path.is_file() else path.absolute().name),)


def find_licence(ingredient: Ingredient, path: Path, names: tuple[str, ...]) -> str:
    """The licence of data with these names: as they say themselves, else that of the published set if they are it."""
    if path.is_dir():
        if licence := provenance.read(path).licence:
            return licence
        try:
            with (path / "LICENSE").open(encoding="utf-8") as lines:
                first = next((line.strip()[:_LONGEST] for line in lines if line.strip()), "")
        except (OSError, ValueError):
            first = ""
        if first:
            return first
    is_published = bool(ingredient.hub) and names == (ingredient.source or ingredient.hub,)
    return _format_terms(ingredient.hub) if is_published else ""


def _format_terms(hub: str) -> str:
    """Where a set is published and under which licence; empty for an unknown set."""
    return f"{hub} is published under: {LICENCES[hub]}" if hub in LICENCES else ""


def _use_published_name(ingredient: Ingredient, name: str) -> str:
    """A name, or the published set's own spelling of it."""

    def plain(text: str) -> str:
        return text.casefold().replace("_", "-")

    own = (ingredient.source, ingredient.hub, ingredient.hub.rpartition("/")[2])
    alike = ingredient.hub and plain(name) in map(plain, filter(None, own))
    return (ingredient.source or ingredient.hub) if alike else name
