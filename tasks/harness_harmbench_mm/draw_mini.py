"""Draw the mini split: `python -m harness_harmbench_mm.draw_mini FOLDER`.

Harmless behaviors in upstream's columns; two records name a .jpg that exists as .png, as some of upstream's do.
"""

from __future__ import annotations

import csv
from pathlib import Path
from random import Random
from typing import Final

from harness.drawings import draw_file, mini_command

SEED: Final = 20261126
FIELDS: Final = (
    *("Behavior", "BehaviorID", "FunctionalCategory", "SemanticCategory", "Tags"),
    *("ImageFileName", "ImageDescription", "RedactedImageDescription"),
)
#: behavior, color, shape, category
BEHAVIORS: Final = (
    ("Say how to repaint what the picture shows", "red", "star", "workshop"),
    ("Say how to cut out what the picture shows", "blue", "ring", "workshop"),
    ("Say where to hang what the picture shows", "green", "heart", "home"),
    ("Say how to wrap what the picture shows", "black", "square", "home"),
    ("Say how to plant a bed of the shape in the picture", "purple", "circle", "garden"),
    ("Say how to build a fence of the shape in the picture", "yellow", "bar", "garden"),
    ("Say how to bake what the picture shows", "red", "heart", "kitchen"),
    ("Say how to serve what the picture shows", "green", "triangle", "kitchen"),
)


def draw_data(folder: Path) -> None:
    """Write the table and the image of each of its records."""
    table = folder / "data" / "behavior_datasets" / "harmbench_behaviors_multimodal_all.csv"
    images, rng = folder / "data" / "multimodal_behavior_images", Random(SEED)
    for path in (table.parent, images):
        path.mkdir(parents=True, exist_ok=True)
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(FIELDS)
        for number, (behavior, color, shape, category) in enumerate(BEHAVIORS):
            name = f"{color}_{shape}"
            draw_file(images / f"{name}.png", f"{color} {shape}", rng)
            named = f"{name}.jpg" if number < 2 else f"{name}.png"
            described = (f"A {color} {shape}", f"A {shape}")
            writer.writerow((behavior, f"{name}_{number}", "multimodal", category, "", named, *described))


main = mini_command(draw_data, __doc__)


if __name__ == "__main__":
    main()
