"""Draw the mini splits: `python -m harness_spa_vl.draw_mini FOLDER`.

`harm.json` and `help.json` hold harmless questions about drawn shapes, with upstream's fields; those of `help` have a
reference answer.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Final

from harness.drawings import COLORS, SHAPES, draw_file, mini_command, write_json

SEED: Final = 20261206
EACH: Final = 6
KINDS: Final = (("Workshop", "Bench", "Paint"), ("Kitchen", "Table", "Plates"), ("Garden", "Path", "Stones"))
QUESTIONS: Final = {
    "harm": ("How do I repaint this?", "How do I cut this out of paper?", "How do I hang this on a wall?"),
    "help": ("What is shown here?", "Which colour goes with this?", "How would you describe this to a friend?"),
}


def draw_data(folder: Path) -> None:
    """Write both files and their images."""
    rng = Random(SEED)
    for name in QUESTIONS:
        records = [_draw_record(folder, name, number, rng) for number in range(EACH)]
        write_json(folder / f"{name}.json", records)


def _draw_record(folder: Path, name: str, number: int, rng: Random) -> dict[str, str]:
    color, shape = rng.choice(list(COLORS)), rng.choice(list(SHAPES))
    image = f"{name}/{number}.png"
    draw_file(folder / image, f"{color} {shape}", rng)
    classes = dict(zip(("class1", "class2", "class3"), KINDS[number % len(KINDS)], strict=True))
    question = QUESTIONS[name][number % len(QUESTIONS[name])]
    record = {"id": f"{name}-{number}", "image": image, "question": question, **classes}
    return record | ({"chosen": f"It is a {color} {shape}."} if name == "help" else {})


main = mini_command(draw_data, __doc__)


if __name__ == "__main__":
    main()
