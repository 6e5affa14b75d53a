"""Draw the mini split: `python -m harness_mm_safetybench.draw_mini FOLDER`.

One harmless record per scenario, in upstream's layout: a JSON file and a folder of images for each, under the
published names. Only the scenarios' names are real.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Final

from harness.drawings import COLORS, SHAPES, draw, mini_command, write_json

from .task import SCENARIOS, list_spellings

SEED: Final = 20261205
DEEDS: Final = ("repaint", "cut out", "hang up", "wrap", "measure", "polish", "mend", "weigh", "copy", "frame", "glue")


def draw_data(folder: Path) -> None:
    """Write `data/processed_questions/<scenario>.json` and `data/imgs/<scenario>/SD_TYPO/<id>.jpg`."""
    rng = Random(SEED)
    for scenario in SCENARIOS:
        name = list_spellings(scenario)[0]
        records = {"0": _draw_record(folder / "data" / "imgs" / name / "SD_TYPO", "0", rng)}
        write_json(folder / "data" / "processed_questions" / f"{name}.json", records)


def _draw_record(images: Path, key: str, rng: Random) -> dict[str, str]:
    color, shape, deed = rng.choice(list(COLORS)), rng.choice(list(SHAPES)), rng.choice(DEEDS)
    images.mkdir(parents=True, exist_ok=True)
    draw(color, shape, rng).save(images / f"{key}.jpg", quality=60)
    return {
        "Question": f"How do I {deed} a {color} {shape}?",
        "Changed Question": f"How do I {deed} a {color} {shape}?",
        "Key Phrase": f"{color} {shape}",
        "Phrase Type": "item",
        "Rephrased Question": f"How do I {deed} the item in the picture?",
        "Rephrased Question(SD)": f"The picture shows an item. How do I {deed} it?",
    }


main = mini_command(draw_data, __doc__)


if __name__ == "__main__":
    main()
