"""Reading MM-SafetyBench in the hub's layout (a parquet file per scenario and kind) or in GitHub's (JSON and images).

Both give the same samples: the same ids, texts and categories.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from harness import BadData, Image, MissingData, Sample, distinct, document, open_files, prompt, rows
from harness.readers import DataFiles, Row, first_of, parquet_rows, parquet_tables

from .scenarios import SCENARIOS, published, scenario, spellings

TINY: Final = "_tiny"
TINY_LIST: Final = "TinyVersion_ID_List.json"
#: split -> how upstream calls the kind, and the field of its JSON that goes with it
KINDS: Final = {
    "sd": ("SD", "Rephrased Question(SD)"),
    "typo": ("TYPO", "Rephrased Question"),
    "sd_typo": ("SD_TYPO", "Rephrased Question"),
    "text_only": ("Text_only", "Changed Question"),
}
PLAIN: Final = "text_only"  #: the kind whose question says what is wanted
#: of the repository, of its data folder alone, of an unpacked archive
BASES: Final = ("data/", "", "MM-SafetyBench-main/data/")
IMAGES: Final = ("imgs/", "MM-SafetyBench(imgs)/", "MM-SafetyBench_imgs/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question of one scenario, whichever layout it comes from.

    Attributes:
        of: the scenario.
        key: its id in there; with the scenario's number it is the sample's.
        text: the question of this kind.
        image: None where the kind has none.
        intent: the same question in plain words; empty where the copy does not hold it.
    """

    of: str
    key: str
    text: str
    image: Image | None
    intent: str


def samples(root: Path, split: str) -> Iterator[Sample]:
    """The samples of one split, in the order of the scenarios.

    Raises:
        MissingData: the file of a scenario is not there, or the list that makes a tiny split.
        BadData: a record lacks a field, or a file belongs to no scenario.
    """
    kind = "sd_typo" if split == "mini" else split.removesuffix(TINY)
    files = open_files(root)
    tables = _tables(files)
    chosen = _tiny(files) if split.endswith(TINY) else None
    asked = _of_parquet(files, tables, kind) if any(table[1] == kind for table in tables) else _of_json(files, kind)
    kept = [each for each in asked if chosen is None or each.key in chosen.get(each.of, ())]
    names = distinct(f"{each.of[:2]}-{each.key}" for each in kept)
    return (_sample(each, split, name) for each, name in zip(kept, names, strict=True))


def _sample(asked: Asked, split: str, name: str) -> Sample:
    return Sample(
        id=name,
        split=split,
        request=prompt(*([asked.image] if asked.image else []), asked.text),
        category=asked.of,
        target={"intent": asked.intent} if asked.intent else None,
    )


def _tables(files: DataFiles) -> Mapping[tuple[str, str], tuple[str, ...]]:
    """Scenario and split -> the parquet files that hold them."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for table, shards in parquet_tables(files).items():
        *_, config, kind = ("", *table.split("/"))
        split = next((split for split, (name, _) in KINDS.items() if name.casefold() == kind.casefold()), "")
        if split and not scenario(config):
            raise BadData(f"no scenario of MM-SafetyBench is called {config!r}", where=f"{table}.parquet")
        found.setdefault((scenario(config), split), shards)
    return found


def _of_parquet(files: DataFiles, tables: Mapping[tuple[str, str], tuple[str, ...]], kind: str) -> Iterator[Asked]:
    for of in SCENARIOS:
        if (of, kind) not in tables:
            raise MissingData(f"data/{published(of)}/{KINDS[kind][0]}.parquet is not there", where=str(files.root))
        plain = {row.key("id"): row.text("question") for row in _rows(files, tables.get((of, PLAIN), ()))}
        for shard in tables[of, kind]:
            for row in parquet_rows(files, shard):
                key = row.key("id")
                image = None if kind == PLAIN else files.image(_place(row, shard))
                yield Asked(of=of, key=key, text=row.text("question"), image=image, intent=plain.get(key, ""))


def _rows(files: DataFiles, shards: Iterable[str]) -> Iterator[Row]:
    return (row for shard in shards for row in parquet_rows(files, shard))


def _place(row: Row, shard: str) -> str:
    """Where the image is. One that is null is a missing image of its sample; a missing column is the file's fault."""
    missing = f"{shard}#image/{row.number}" if "image" in row.values else None
    return row.text("image", default=missing)


def _of_json(files: DataFiles, kind: str) -> Iterator[Asked]:
    for of in SCENARIOS:
        records = _document(files, of, kind)
        # The images' folder is called as the file is, or as published.
        folders = tuple(dict.fromkeys((PurePosixPath(records.place).stem, spellings(of)[0])))
        for key in records.values:
            images = _images(files, folders, f"{KINDS[kind][0]}/{key}.jpg")
            image = None if kind == PLAIN else first_of(*images)
            yield _asked(of, key, records.part(key), KINDS[kind][1], image)


def _document(files: DataFiles, of: str, kind: str) -> Row:
    names = [f"{base}processed_questions/{name}.json" for name in spellings(of) for base in BASES]
    there = [name for name in names if files.has(name)] or [
        name
        for base in BASES
        for name in files.matching(f"{base}processed_questions/*.json")
        if scenario(PurePosixPath(name).stem) == of
    ]
    if not there:
        what = f"neither data/{published(of)}/{KINDS[kind][0]}.parquet nor {names[0]} is there"
        raise MissingData(what, where=str(files.root))
    return document(files, *there)


def _asked(of: str, key: str, record: Row, field: str, image: Image | None) -> Asked:
    intent = record.text(KINDS[PLAIN][1], default=record.text("Question", default=""))
    return Asked(of=of, key=key, text=record.text(field), image=image, intent=intent)


def _images(files: DataFiles, folders: tuple[str, ...], name: str) -> Iterator[Image]:
    for above in (*(base + images for base in BASES for images in IMAGES), *BASES):
        yield from (files.image(f"{above}{folder}/{name}") for folder in folders)


def _tiny(files: DataFiles) -> Mapping[str, frozenset[str]]:
    """The ids of upstream's small selection, by scenario."""
    found: dict[str, frozenset[str]] = {}
    for row in rows(files, TINY_LIST, *(base + TINY_LIST for base in BASES)):
        name = row.text("Scenario")
        if not scenario(name):
            raise BadData(f"no scenario of MM-SafetyBench is called {name!r}", where=f"{row.place}, field Scenario")
        found[scenario(name)] = frozenset(row.keys("Sampled_ID_List"))
    return found
