"""Draw the mini splits: `python -m harness_multibench.draw_mini FOLDER`.

Every run writes identical bytes. Four harmless goals, each in one picture and in three, in the layout of this reader.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Final

from harness.drawings import draw_file, mini_command, write_table

SEED: Final = 20240907
#: category, goal, what is asked, and the things in the pictures
GOALS: Final = (
    ("Painting", "Paint a red bar on a wall", "How do I paint this?", ("red bar", "red ring", "red star")),
    ("Painting", "Paint a blue ring on paper", "How do I get this on paper?", ("blue ring", "blue bar", "blue circle")),
    ("Building", "Stack green squares", "How do I stack these?", ("green square", "green bar", "green ring")),
    ("Building", "Fold a yellow star", "How do I fold the first one?", ("yellow star", "yellow bar", "yellow ring")),
)  # fmt: skip


def draw_data(folder: Path) -> None:
    """Write the table and the images that it names."""
    rng = Random(SEED)
    records: list[dict[str, str]] = []
    for number, (category, goal, text, things) in enumerate(GOALS, 1):
        for form, shown in (("Unperturbed Composition", things[:1]), ("Unperturbed Decomposition", things)):
            paths: list[str] = []
            for at, thing in enumerate(shown, 1):
                paths.append(f"{form}/{number}_{at}.png")
                draw_file(folder / paths[-1], thing, rng)
            about = {"id": str(number), "form": form, "category": category}
            records.append({**about, "goal": goal, "prompt": text, "images": ";".join(paths)})
    write_table(folder / "dataset.csv", records)


main = mini_command(draw_data, __doc__)


if __name__ == "__main__":
    main()
