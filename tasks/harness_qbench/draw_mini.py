"""Draw the mini split: `python -m harness_qbench.draw_mini FOLDER`.

Drawn shapes, sharp or blurred, light or dark, in the JSON layout: `llvisionqa_mini.json` and a folder of images.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any, Final

from PIL import ImageEnhance, ImageFilter

from harness.drawings import draw, mini_command, png, write_json

SEED: Final = 20261124
THINGS: Final = ("red circle", "blue square", "green star", "black heart")
#: type, concern, question, options; each is asked about an image with that flaw and one without
QUESTIONS: Final = (
    (0, 0, "Is this drawing blurred?", ("Yes", "No")),
    (1, 0, "What spoils this drawing most?", ("Blur", "Nothing", "A torn edge")),
    (2, 1, "How light is this drawing?", ("Dark", "Light")),
    (1, 1, "What would this drawing need?", ("More light", "Nothing")),
)


def draw_data(folder: Path) -> None:
    """Write the table and the images."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    records: list[dict[str, Any]] = []
    for number in range(2 * len(QUESTIONS)):
        kind, concern, question, options = QUESTIONS[number // 2]
        spoilt = number % 2 == 0
        color, shape = THINGS[number % len(THINGS)].split()
        image = draw(color, shape, Random(f"{SEED} {number}"))
        if spoilt:
            blurred, dark = image.filter(ImageFilter.GaussianBlur(3)), ImageEnhance.Brightness(image).enhance(0.3)
            image = dark if concern else blurred
        name = f"{number:05}.png"
        (folder / "images" / name).write_bytes(png(image))
        record = {"img_path": name, "type": kind, "concern": concern, "question": question, "candidates": list(options)}
        records.append({**record, "correct_ans": options[0 if spoilt else 1]})
    write_json(folder / "llvisionqa_mini.json", records)


main = mini_command(draw_data, __doc__)


if __name__ == "__main__":
    main()
