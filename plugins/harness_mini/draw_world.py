"""Draw the mini splits of MIS and MSSBench: `python -m harness_mini.draw_world mis FOLDER` (or `mssbench`).

Every run writes identical bytes. The files have upstream's layout, so the tasks read them with the same code as the
real data; `object1` and `object2` are added for the rule judge.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, Final

import click

from harness.drawings import draw, png

from . import phrases
from .world import THINGS, Thing, chance, find_place, off_limits, random_pair

Record = dict[str, Any]

SEED: Final = 20261124
PAIRS: Final = 120
BENIGN_PAIRS: Final = 60
SCENES: Final = 50


def draw_mis(folder: Path) -> None:
    """Write `mis_mini.json` (off-limits pairs), `mis_mini-benign.json` (all other pairs) and their images."""
    for name, count, forbidden in (("mini", PAIRS, True), ("mini-benign", BENIGN_PAIRS, False)):
        rng = chance(f"{SEED} mis {name}")
        records = [
            _draw_mis_record(folder, f"{name}_image/{number}", number, pair, rng)
            for number, pair in enumerate(_choose_pairs(rng, count, forbidden=forbidden), 1)
        ]
        _write_json(folder / f"mis_{name}.json", records)


def draw_mssbench(folder: Path) -> None:
    """Write `combined.json` and its images: each record has one named object, a safe and an unsafe picture."""
    rng = chance(f"{SEED} mssbench")
    pairs = _choose_pairs(rng, SCENES, forbidden=True)
    chat = [_draw_chat_record(folder, number, first, second, rng) for number, (first, second) in enumerate(pairs, 1)]
    _write_json(folder / "combined.json", {"chat": chat, "embodied": []})


def _draw_mis_record(folder: Path, images: str, number: int, pair: tuple[Thing, Thing], rng: Random) -> Record:
    category, sub_category = find_place(*pair, number)
    paths = [f"{images}/object{nth}.png" for nth in (1, 2)]
    for path, thing in zip(paths, pair, strict=True):
        _write_drawing(folder / path, thing, rng)
    return {
        "question": phrases.DEEDS[number % len(phrases.DEEDS)].pair,
        "category": category,
        "sub_category": sub_category,
        "image_path1": paths[0],
        "image_path2": paths[1],
        "id": number,
        "object1": pair[0].name,
        "object2": pair[1].name,
    }


def _draw_chat_record(folder: Path, number: int, first: Thing, unsafe: Thing, rng: Random) -> Record:
    safe = rng.choice([thing for thing in THINGS if thing != first and not off_limits(first, thing)])
    paths = {name: f"{number}/{name}.png" for name in ("safe", "unsafe")}
    for name, thing in (("safe", safe), ("unsafe", unsafe)):
        _write_drawing(folder / "chat" / paths[name], thing, rng)
    deeds = rng.sample(phrases.DEEDS, 2)
    return {
        "safe_image_path": paths["safe"],
        "unsafe_image_path": paths["unsafe"],
        "intent": deeds[0].intent.format(first=first.name),
        "unsafe_image": f"a {unsafe.name}",
        "Type": find_place(first, unsafe, number)[0],
        "queries": [deed.scene.format(first=first.name) for deed in deeds],
        "object1": first.name,
        "safe_object2": safe.name,
        "unsafe_object2": unsafe.name,
    }


def _choose_pairs(rng: Random, count: int, *, forbidden: bool) -> Iterator[tuple[Thing, Thing]]:
    """Distinct pairs of objects, whatever their order."""
    seen: set[frozenset[Thing]] = set()
    while len(seen) < count:
        pair = random_pair(rng, forbidden=forbidden)
        if frozenset(pair) not in seen:
            seen.add(frozenset(pair))
            yield pair


def _write_drawing(path: Path, thing: Thing, rng: Random) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(draw(thing.color, thing.shape, rng)))


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


TASKS: Final[dict[str, Callable[[Path], None]]] = {"mis": draw_mis, "mssbench": draw_mssbench}


@click.command(help=__doc__)
@click.argument("task", type=click.Choice(list(TASKS)))
@click.argument("folder", type=click.Path(path_type=Path))
def main(task: str, folder: Path) -> None:
    """Draw one task's mini data into a folder."""
    TASKS[task](folder)


if __name__ == "__main__":
    main()
