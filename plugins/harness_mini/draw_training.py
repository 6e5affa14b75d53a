"""Draw data to tune the mini model with: `python -m harness_mini.draw_training FOLDER [--seed N]`.

Three data sets, each in the layout of the real one that it replaces:

- `FOLDER/mis`: off-limits pairs with reasoned answers, as MIS-train; its categories are those of `mis:mini`.
- `FOLDER/general`: fine pairs, scenes, and naming, as a ShareGPT-style multi-image set.
- `FOLDER/text`: off-limits and fine pairs in words, without pictures, as PKU-SafeRLHF.

No drawing occurs in the packaged splits. Each set's `.source.json` names its source, so that results on the mini splits
of the same world are marked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import click

from harness.data import provenance
from harness.data.downloads import hash_file
from harness.drawings import draw, png

from . import phrases
from .world import PLACES, THINGS, UNSEEN, Thing, chance, random_pair

OFF_LIMITS: Final = 400
HARMFUL: Final = 800
BENIGN: Final = 400
LICENCE: Final = "Apache-2.0: drawings and words of vlm-safety-harness itself\n"
MIS: Final = "mis-mini-train"
#: also of the general samples: fine pairs are of `mis:mini-benign`'s kind
GENERAL: Final = (MIS, "mssbench-mini-train", "mini-naming-train")
TEXT: Final = "mini-text-train"
IMAGE: Final = "<image>"
_TRAINED: Final = tuple(thing for thing in THINGS if thing not in UNSEEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A question, its pictures and the answer.

    Attributes:
        things: objects in the pictures, in order.
        question: text with a mark for each picture.
        answer: the answer to learn.
        pair: the two objects that the question combines; empty for none.
        in_words: the question without pictures, and its answer; empty for none.
    """

    things: tuple[Thing, ...]
    question: str
    answer: str
    pair: tuple[()] | tuple[Thing, Thing] = ()
    in_words: tuple[()] | tuple[str, str] = ()


Maker = Callable[[Random], Example]


def make_off_limits_pair(rng: Random) -> Example:
    """Two pictures that must not come together, in the form of `mis:mini`."""
    return _make_pair(rng, forbidden=True)


def make_fine_pair(rng: Random) -> Example:
    """Two pictures that may come together, in the form of `mis:mini`."""
    return _make_pair(rng, forbidden=False)


def make_scene(rng: Random) -> Example:
    """One picture and an object's name, off-limits half of the time, in the form of `mssbench:mini`."""
    deed, first, second = _make_question(rng, forbidden=rng.random() < 0.5)
    return Example(
        things=(second,),
        question=phrases.PREAMBLE + deed.scene.format(first=first.name) + IMAGE,
        answer=phrases.reason_about_scene(deed, first, second),
        pair=(first, second),
    )


def make_one_name(rng: Random) -> Example:
    """One picture to name."""
    thing = rng.choice(_TRAINED)
    return Example(things=(thing,), question=IMAGE + rng.choice(phrases.NAME_ONE), answer=phrases.name_one(thing))


def make_two_names(rng: Random) -> Example:
    """Two pictures to name in order."""
    pair = rng.choice(_TRAINED), rng.choice(_TRAINED)
    return Example(things=pair, question=IMAGE * 2 + rng.choice(phrases.NAME_BOTH), answer=phrases.name_both(*pair))


def _make_question(rng: Random, *, forbidden: bool) -> tuple[phrases.Deed, Thing, Thing]:
    """A deed and two objects that training may show."""
    one, other = random_pair(rng, forbidden=forbidden, among=_TRAINED)
    return rng.choice(phrases.DEEDS), one, other


def _make_pair(rng: Random, *, forbidden: bool) -> Example:
    deed, first, second = _make_question(rng, forbidden=forbidden)
    return Example(
        things=(first, second),
        question=IMAGE * 2 + deed.pair,
        answer=phrases.reason_about_pair(deed, first, second),
        pair=(first, second),
        in_words=(phrases.in_words(deed, first, second), phrases.conclude(deed, first, second)),
    )


#: General samples: more than the 500 that a method uses, so that some can be held out.
SHARES: Final[tuple[tuple[Maker, int], ...]] = (
    (make_fine_pair, 290),
    (make_scene, 190),
    (make_one_name, 40),
    (make_two_names, 40),
)


def draw_mis(folder: Path, seed: int) -> None:
    """Write `mis_train.json` and `images/`."""
    _draw_set(folder, "mis_train.json", [make_off_limits_pair] * OFF_LIMITS, chance(f"{seed} training mis"))
    _write_source(folder, "mis_train.json", MIS)


def draw_general(folder: Path, seed: int) -> None:
    """Write `general.json` and `images/`."""
    makers = [maker for maker, count in SHARES for _ in range(count)]
    _draw_set(folder, "general.json", makers, chance(f"{seed} training general"))
    _write_source(folder, "general.json", *GENERAL)


def draw_text(folder: Path, seed: int) -> None:
    """Write `train.jsonl`: a harmful question has an unsafe and a safe answer, a benign one two safe ones."""
    rng = chance(f"{seed} training text")
    kinds = [True] * HARMFUL + [False] * BENIGN
    rng.shuffle(kinds)
    lines: list[str] = []
    for forbidden in kinds:
        deed, first, second = _make_question(rng, forbidden=forbidden)
        helps = phrases.comply(deed, first, second)
        record = {
            "prompt": phrases.in_words(deed, first, second),
            "response_0": helps,
            "response_1": phrases.DECLINE if forbidden else helps,
            "is_response_0_safe": not forbidden,
            "is_response_1_safe": True,
            "better_response_id": int(forbidden),
            **_category((first, second)),
        }
        lines.append(json.dumps(record) + "\n")
    _write(folder, "train.jsonl", "".join(lines))
    _write_source(folder, "train.jsonl", TEXT)


def _draw_set(folder: Path, name: str, makers: Iterable[Maker], rng: Random) -> None:
    """Write records and their pictures in the layout of MIS-train."""
    records: list[dict[str, Any]] = []
    for number, make in enumerate(makers, 1):
        example = make(rng)
        paths = [f"images/{number}/object{nth}.png" for nth, _ in enumerate(example.things, 1)]
        for path, thing in zip(paths, example.things, strict=True):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(png(draw(thing.color, thing.shape, rng)))
        turns = (("human", example.question), ("gpt", example.answer))
        record: dict[str, Any] = {
            "id": str(number),
            "image": paths,
            "conversations": [{"from": speaker, "value": text} for speaker, text in turns],
            **_category(example.pair),
        }
        if example.in_words:
            record["text_question"], record["text_answer"] = example.in_words
        records.append(record)
    _write(folder, name, json.dumps(records, indent=1) + "\n")


def _category(pair: tuple[Thing, ...]) -> dict[str, str]:
    """The category of an off-limits pair; harmless examples have none."""
    place = PLACES.get(frozenset(thing.shape for thing in pair))
    return {} if place is None else {"category": place[0], "sub_category": place[1]}


def _write(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    (folder / "LICENSE").write_text(LICENCE, encoding="utf-8")


def _write_source(folder: Path, name: str, *sources: str) -> None:
    """Write the set's source record, as fetched and built sets have; without a time, so that redrawing is identical."""
    files = {name: ((folder / name).stat().st_size, hash_file(folder / name)[0])}
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
