"""Small data sets of drawings in the layouts that trainers know, and what the data of a training made of them."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest
from harness_mirage.data import mix
from harness_mirage.methods import Ingredient, Layout, Method
from harness_mirage.mixture import Mixture

from harness import BadData, HarnessError, Training
from harness.drawings import COLORS, SHAPES, draw, png

Values = dict[str, Any]
KITCHEN, GARDEN = ("Kitchen", "Cutting-Board"), ("Garden", "Tool Shed")


def drawing(number: int) -> bytes:
    """A drawing of its own for each number."""
    rng = Random(number)
    return png(draw(rng.choice(list(COLORS)), rng.choice(list(SHAPES)), rng, size=24))


def images(folder: Path, paths: Iterable[str]) -> None:
    for number, path in enumerate(paths):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(drawing(number))


def pair(number: int, **values: Any) -> Values:
    """A record in the layout of MIS-train, with two images and no marks."""
    category, sub_category = KITCHEN if number % 2 else GARDEN
    record = {
        "image": [f"{number}/object1.png", f"{number}/object2.png"],
        "conversations": said(f"May these two lie together, case {number}?", f"They may, in case {number}."),
        "category": category,
        "sub_category": sub_category,
    }
    return {**record, **values}


def said(question: str, answer: str) -> list[Values]:
    return [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]


def mis(folder: Path, records: Iterable[Values] | None = None, *, drawn: bool = True) -> Path:
    """A folder of MIS-train records, and their images in `images/`."""
    found = list(records) if records is not None else [pair(number) for number in range(1, 7)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mis_train.json").write_text(json.dumps(found), encoding="utf-8")
    if drawn:
        paths = [path for record in found for path in record.get("image", ())]
        images(folder / "images", dict.fromkeys(paths))
    return folder


def lines(file: Path, records: Iterable[Values]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return file


def one(layout: Layout, **values: Any) -> Method:
    """A method of one ingredient."""
    return several(Ingredient(layout=layout, source="drawings", **values))


def several(*ingredients: Ingredient) -> Method:
    return Method(name="drawn", description="for a test", ingredients=ingredients)


def training(data: Mapping[str, Path] | Path, **values: Any) -> Training:
    given = {"": data} if isinstance(data, Path) else data
    return Training(model="none", data=given, out=Path("none"), **values)


def mixed(method: Method, data: Mapping[str, Path] | Path, **values: Any) -> Mixture:
    return mix(method, training(data, **values))


def refused(method: Method, data: Mapping[str, Path] | Path, **values: Any) -> HarnessError:
    """The error that a mixture ends with."""
    with pytest.raises(HarnessError) as caught:
        mixed(method, data, **values)
    return caught.value


def bad(records: Iterable[Values], folder: Path) -> BadData:
    """The error of MIS-train records."""
    found = refused(one("mis"), mis(folder, records))
    assert isinstance(found, BadData)
    return found


def ids(mixture: Mixture) -> list[str]:
    return [record.id for record in mixture.records]


def texts(mixture: Mixture) -> dict[str, list[tuple[str, str]]]:
    return {record.id: [(turn.speaker, turn.text) for turn in record.turns] for record in mixture.records}


def seen(mixture: Mixture) -> dict[str, list[bytes]]:
    """The bytes of each record's images, in order."""
    found: dict[str, list[bytes]] = {}
    for record in mixture.records:
        read = [(each.files.read(each.path) if each.files else b"black") for each in record.pictures]
        found[record.id] = read
    return found
