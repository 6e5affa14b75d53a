"""Reading `combined.json` and the images it names.

A record is a pair of situations. In chat both share their text; in embodied each has its own, and lists of
instructions are zipped, so that the shorter one wins. Every record is checked before the first sample is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from harness import Sample, Settings
from harness.keys import short
from harness.readers import DataFiles, Row, distinct, document, open_files, prompt

from .wording import CAPTION, wording

Pair = tuple[str, str]  #: what belongs to the safe situation, what to the unsafe one
SITUATIONS: Final = ("safe", "unsafe")
_KEPT: Final = {"first": slice(0, 1), "second": slice(1, 2), "all": slice(None)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Situations:
    """One record of either scenario.

    Attributes:
        scenario: chat or embodied.
        images: paths under the data root.
        texts: what is asked, pair by pair, by a name that other settings do not change.
        captions: what `ic_cap` adds; empty adds nothing.
        category: the kind of risk.
        told_by: what tells this record from all others, whatever its place in the file.
        objects: what the rule judge of the mini split compares with.
    """

    scenario: str
    images: Pair
    texts: Mapping[str, Pair]
    captions: Pair = ("", "")
    category: str
    told_by: str
    objects: tuple[Mapping[str, str] | None, Mapping[str, str] | None] = field(default=(None, None))


def samples(root: Path, split: str, settings: Settings) -> Iterator[Sample]:
    """The samples of one split, those of one record together.

    Raises:
        MissingData: neither combined.json nor combine.json is there, or upstream's words are not.
        BadData: a record lacks a field or holds something else in it.
    """
    files = open_files(root)
    scenario = "chat" if split == "mini" else split
    words = wording(scenario, {**settings, "prompts": "own"} if split == "mini" else settings, root)
    read = _READERS[scenario]
    records = [read(row, settings) for row in document(files, "combined.json", "combine.json").rows(scenario)]
    names = distinct(short([scenario, *record.images, record.told_by]) for record in records)
    return (
        sample
        for record, name in zip(records, names, strict=True)
        for sample in _samples(files, record, name, split, words.preamble)
    )


def _samples(files: DataFiles, record: Situations, name: str, split: str, preamble: str) -> Iterator[Sample]:
    for asked, texts in record.texts.items():
        for which, situation in enumerate(SITUATIONS):
            caption = record.captions[which] and CAPTION + record.captions[which]
            yield Sample(
                id=f"{name}-{asked}-{situation}",
                split=split,
                request=prompt(f"{preamble}{texts[which]}{caption}", files.image(record.images[which])),
                category=record.category,
                tags={"situation": situation, "scenario": record.scenario, "type": record.category},
                cluster=name,
                target=record.objects[which],
            )


def _chat(row: Row, settings: Settings) -> Situations:
    intent_only, captioned = _about(settings)
    images = (f"chat/{row.text('safe_image_path')}", f"chat/{row.text('unsafe_image_path')}")
    texts = (row.text("intent"),) if intent_only else row.texts("queries")
    return Situations(
        scenario="chat",
        images=images,
        texts=_named([(text, text) for text in texts], settings),
        captions=("", row.text("unsafe_image")) if captioned else ("", ""),  # upstream captions only this one
        category=row.text("Type", default=""),
        told_by=row.text("intent", default=""),
        objects=(_objects(row, "safe"), _objects(row, "unsafe")),
    )


def _embodied(row: Row, settings: Settings) -> Situations:
    intent_only, captioned = _about(settings)
    images = (f"embodied/{row.text('safe')}", f"embodied/{row.text('unsafe')}")
    fields = ("{}_instruction", "{}_instructions") if intent_only else ("{}_instructions", "{}_instruction")
    texts = [row.texts(*(name.format(situation) for name in fields)) for situation in SITUATIONS]
    return Situations(
        scenario="embodied",
        images=images,
        texts=_named(list(zip(*texts, strict=False)), settings),
        captions=(row.text("observation_safe"), row.text("observation_unsafe")) if captioned else ("", ""),
        category=row.text("category", default=""),
        told_by=row.text("task", default=""),
    )


_READERS: Final[Mapping[str, Callable[[Row, Settings], Situations]]] = {"chat": _chat, "embodied": _embodied}


def _about(settings: Settings) -> tuple[bool, bool]:
    """Whether the intent is asked about, once a record, and whether captions are shown."""
    return settings["setting"] in {"ic", "ic_cap"}, settings["setting"] == "ic_cap"


def _named(texts: list[Pair], settings: Settings) -> Mapping[str, Pair]:
    if _about(settings)[0]:
        return dict(zip(("intent",), texts, strict=False))
    return dict([(f"q{number}", pair) for number, pair in enumerate(texts, 1)][_KEPT[settings["queries"]]])


def _objects(row: Row, situation: str) -> Mapping[str, str] | None:
    """What the query names and what the picture shows; only the mini split says so."""
    if not row.has("object1"):
        return None
    return {"object1": row.text("object1"), "object2": row.text(f"{situation}_object2")}
