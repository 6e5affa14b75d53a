"""Draw the packaged splits: `python -m harness_vlmeval.draw_mini FOLDER`.

Benign questions about drawn shapes, in VLMEvalKit's table format: base64 images, as a list if there are several.
"""

from __future__ import annotations

import base64
import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Final

from harness.drawings import COLORS, draw, mini_command, png

SEED: Final = 20261124
COUNT: Final = 8
SHAPES: Final = ("circle", "square", "star", "ring", "heart", "cross")
PLACES: Final = ("Kitchen", "Workshop", "Garden", "Library")
Row = dict[str, str | int]


def _thing(rng: Random) -> tuple[str, str]:
    return rng.choice(list(COLORS)), rng.choice(SHAPES)


def _image(thing: tuple[str, str]) -> str:
    return base64.b64encode(png(draw(*thing, Random(f"{SEED} {thing}")))).decode()


def _options(number: int, right: str, others: list[str], rng: Random) -> Row:
    """Options by letter, and the right letter, which rotates with `number`."""
    texts = rng.sample([each for each in others if each != right], 3)
    texts.insert(number % 4, right)
    return {**dict(zip("ABCD", texts, strict=True)), "answer": "ABCD"[number % 4]}


def _make_single(number: int, rng: Random) -> Row:
    color, shape = _thing(rng)
    return {
        "image": _image((color, shape)),
        "question": f"Which colour has the {shape}?",
        **_options(number, color, list(COLORS), rng),
        "l2-category": ("shape", "colour")[number % 2],
    }


def _make_pair(number: int, rng: Random) -> Row:
    things = [_thing(rng) for _ in range(2)]
    nth = number % 2
    return {
        "image": str([_image(thing) for thing in things]),
        "question": f"One drawing: <image> Another: <image> Which shape has the {('first', 'second')[nth]}?",
        **_options(number, things[nth][1], list(SHAPES), rng),
        "l2-category": "shape",
    }


def _make_numbered(number: int, rng: Random) -> Row:
    row = _make_pair(number, rng)
    question = str(row["question"]).replace("<image>", "<image 1>", 1).replace("<image>", "<image 2>", 1)
    return {**row, "question": question, "split": "validation"}


def _make_yes_no(number: int, rng: Random) -> Row:
    color, shape = _thing(rng)
    asked = shape if number % 2 else rng.choice([each for each in SHAPES if each != shape])
    answer = "Yes" if asked == shape else "No"
    return {"image": _image((color, shape)), "question": f"Is there a {asked} in the image?", "answer": answer}


def _make_deceiving(number: int, rng: Random) -> Row:
    """Two sets of two figures with two questions each; the index names set, figure and question."""
    group, figure, question = number // 4, number // 2 % 2, number % 2
    row = _make_yes_no(question + figure, rng)
    return {**row, "index": f"VD_figure_1_{group}_{figure}_{question}", "category": "VD", "l2-category": "figure"}


SETS: Final[Mapping[str, tuple[str, Callable[[int, Random], Row]]]] = {
    "mmstar": ("MMStar", _make_single),
    "mmmu": ("MMMU_DEV_VAL", _make_numbered),
    "muirbench": ("MUIRBench", _make_pair),
    "mmt-bench": ("MMT-Bench_VAL_MI", _make_pair),
    "hallusionbench": ("HallusionBench", _make_deceiving),
    "pope": ("POPE", _make_yes_no),
}


def draw_all(folder: Path) -> None:
    """Write `<task>/<data set>.tsv` for each task."""
    for task, (dataset, make) in SETS.items():
        rng = Random(f"{SEED} {task}")
        rows: list[Row] = []
        for number in range(COUNT):
            category = "random,popular" if task == "pope" else PLACES[number % len(PLACES)]
            rows.append({"index": number, "category": category, **make(number, rng)})
        (folder / task).mkdir(parents=True, exist_ok=True)
        with (folder / task / f"{dataset}.tsv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


main = mini_command(draw_all, __doc__)

if __name__ == "__main__":
    main()
