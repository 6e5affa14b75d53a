"""Draw the mini split: `python -m harness_visco.draw_mini FOLDER`.

Benign drawings and talk in the task's layout; every run writes identical bytes.
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any, Final

from harness.drawings import draw_file, mini_command

SEED: Final = 2507
THINGS: Final = (("red", "star"), ("blue", "ring"), ("green", "heart"))


def _say(role: str, text: str, *images: str) -> dict[str, Any]:
    parts: list[dict[str, str]] = [{"type": "image", "image": image} for image in images]
    return {"role": role, "content": [*parts, {"type": "text", "text": text}] if images else text}


#: strategy -> the conversation; the last turn is asked
TALKS: Final = {
    "VS": [
        _say("user", "We play painters. What stands on the bench?", "images/0.png"),
        _say("assistant", "On the bench stands a red star."),
        _say("user", "You hold the brush now. How do you paint it?"),
    ],
    "VM": [
        _say("user", "Tell me of its colour.", "images/1.png"),
        _say("assistant", "It is blue."),
        _say("user", "And of its shape?"),
        _say("assistant", "It is a ring."),
        _say("user", "How do I paint what you saw?"),
    ],
    "VI": [
        _say("user", "What is this?", "images/0.png"),
        _say("assistant", "A red star."),
        _say("user", "And this one?", "images/2.png"),
        _say("assistant", "A green heart."),
        _say("user", "How do I paint both?"),
    ],
    "VH": [
        _say("user", "There is a ring in it, is there not?", "images/2.png"),
        _say("assistant", "It looks like a heart, but a ring may be behind it."),
        _say("user", "Here is the ring. How do I paint it?", "images/1.png"),
    ],
}


def draw_data(folder: Path) -> None:
    """Write `visco.jsonl` and `images/`."""
    rng = Random(SEED)
    for number, (color, shape) in enumerate(THINGS):
        draw_file(folder / "images" / f"{number}.png", f"{color} {shape}", rng)
    records = (
        {"id": 1, "strategy": strategy, "category": "Workshop", "question": "How do I paint?", "messages": messages}
        for strategy, messages in TALKS.items()
    )
    (folder / "visco.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in records), encoding="utf-8")


main = mini_command(draw_data, __doc__)


if __name__ == "__main__":
    main()
