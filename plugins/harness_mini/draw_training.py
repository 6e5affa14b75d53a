"""Draw data to tune the mini model with: `python -m harness_mini.draw_training FOLDER [--seed N]`.

Three data sets, each in the layout of the real one whose place it takes:

- `FOLDER/mis`: off-limits pairs with reasoned answers, as MIS-train; its categories are those of `mis:mini`.
- `FOLDER/general`: pairs that are fine, scenes, and naming, as any ShareGPT-style multi-image set.
- `FOLDER/text`: off-limits and fine pairs in words, without pictures, as PKU-SafeRLHF.

No drawing is one of the packaged splits'. Each set says in its `.source.json` what it is, by names that mark results on
the mini splits whose world it shows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

import click

from harness.data import provenance
from harness.data.downloads import digests
from harness.drawings import draw, png

from . import examples, phrases
from .examples import Example, Maker
from .places import PLACES
from .world import Thing, chance

OFF_LIMITS: Final = 400
HARMFUL: Final = 800
BENIGN: Final = 400
LICENCE: Final = "Apache-2.0: drawings and words of vlm-safety-harness itself\n"
MIS: Final = "mis-mini-train"
#: in the general samples too: the pairs that are fine are `mis:mini-benign`'s kind
GENERAL: Final = (MIS, "mssbench-mini-train", "mini-naming-train")
TEXT: Final = "mini-text-train"

#: Of the general samples: more than the 500 that a method takes, so that some may be held out.
SHARES: Final[tuple[tuple[Maker, int], ...]] = (
    (examples.fine_pair, 290),
    (examples.scene, 190),
    (examples.one_named, 40),
    (examples.both_named, 40),
)


def draw_mis(folder: Path, seed: int) -> None:
    """Write `mis_train.json` and `images/`."""
    _draw(folder, "mis_train.json", [examples.off_limits_pair] * OFF_LIMITS, chance(f"{seed} training mis"))
    _say(folder, "mis_train.json", MIS)


def draw_general(folder: Path, seed: int) -> None:
    """Write `general.json` and `images/`."""
    makers = [maker for maker, count in SHARES for _ in range(count)]
    _draw(folder, "general.json", makers, chance(f"{seed} training general"))
    _say(folder, "general.json", *GENERAL)


def draw_text(folder: Path, seed: int) -> None:
    """Write `train.jsonl`: a harmful question has an unsafe and a safe answer, a benign one two safe ones."""
    rng = chance(f"{seed} training text")
    kinds = [True] * HARMFUL + [False] * BENIGN
    rng.shuffle(kinds)
    records = [_asked_in_words(rng, forbidden=forbidden) for forbidden in kinds]
    _write(folder, "train.jsonl", "".join(json.dumps(record) + "\n" for record in records))
    _say(folder, "train.jsonl", TEXT)


def _draw(folder: Path, name: str, makers: Iterable[Maker], rng: Random) -> None:
    records = [_drawn(folder, number, maker(rng), rng) for number, maker in enumerate(makers, 1)]
    _write(folder, name, json.dumps(records, indent=1) + "\n")


def _drawn(folder: Path, number: int, example: Example, rng: Random) -> dict[str, Any]:
    """A record, with its pictures drawn."""
    paths = [f"images/{number}/object{nth}.png" for nth, _ in enumerate(example.things, 1)]
    for path, thing in zip(paths, example.things, strict=True):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(png(draw(thing.color, thing.shape, rng)))
    said = (("human", example.question), ("gpt", example.answer))
    return {
        "id": str(number),
        "image": paths,
        "conversations": [{"from": speaker, "value": text} for speaker, text in said],
        **_category(example.pair),
        **_named(("text_question", "text_answer"), example.in_words),
    }


def _asked_in_words(rng: Random, *, forbidden: bool) -> dict[str, Any]:
    deed, first, second = examples.asked(rng, forbidden=forbidden)
    helps = phrases.comply(deed, first, second)
    return {
        "prompt": phrases.in_words(deed, first, second),
        "response_0": helps,
        "response_1": phrases.DECLINE if forbidden else helps,
        "is_response_0_safe": not forbidden,
        "is_response_1_safe": True,
        "better_response_id": int(forbidden),
        **_category((first, second)),
    }


def _category(pair: tuple[Thing, ...]) -> dict[str, str]:
    """Of off-limits pairs alone: what does no harm has none."""
    return _named(("category", "sub_category"), PLACES.get(frozenset(thing.shape for thing in pair), ()))


def _named(names: Sequence[str], values: Sequence[str]) -> dict[str, str]:
    return dict(zip(names, values, strict=True)) if values else {}


def _write(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    (folder / "LICENSE").write_text(LICENCE, encoding="utf-8")


def _say(folder: Path, name: str, *sources: str) -> None:
    """What the set is, as a set that was fetched or built says it; without a time, so that it is drawn alike again."""
    files = {name: ((folder / name).stat().st_size, digests(folder / name)[0])}
    parts = (provenance.Part(kind="build", name=each, revision="", fetched="", files=files) for each in sources)
    provenance.Provenance(task="", licence=LICENCE.strip(), parts=tuple(parts)).write(folder)


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--seed", default=0, show_default=True)
def main(folder: Path, seed: int) -> None:
    """Draw all three."""
    draw_mis(folder / "mis", seed)
    draw_general(folder / "general", seed)
    draw_text(folder / "text", seed)


if __name__ == "__main__":
    main()
