"""Measures a mini model's abilities on fresh drawings: `python -m harness_mini.training.exam FOLDER`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Any, Final

import click
import torch
import transformers as _transformers

from harness_mini import phrases
from harness_mini.world import chance

from . import lessons
from .lessons import Lesson

transformers: Any = _transformers  # untyped for a strict checker
#: Ability -> lessons that test it.
ABILITIES: Final[Mapping[str, Callable[[Random], Lesson]]] = MappingProxyType(
    {
        "answers the probe of two pictures": partial(lessons.name_both, question=phrases.PROBE),
        "answers the probe of one picture": partial(lessons.name_one, question=phrases.PROBE_ONE),
        "names both in order": lessons.name_both,
        "names the first or the second": lessons.name_nth,
        "names one": lessons.name_one,
        "complies with a pair": lessons.pair,
        "complies in a scene": lessons.scene,
    }
)


class Pupil:
    """A model folder, opened as any transformers folder."""

    def __init__(self, folder: Path) -> None:
        self._processor = transformers.AutoProcessor.from_pretrained(folder)
        self._model = transformers.AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()

    def answer(self, lessons: list[Lesson], *, batch: int = 64) -> list[str]:
        """The model's greedy answer to each lesson."""
        answers: list[str] = []
        for start in range(0, len(lessons), batch):
            part = lessons[start : start + batch]
            questions = [lesson.question for lesson in part]
            texts = self._processor.apply_chat_template(questions, add_generation_prompt=True)
            images = [list(lesson.images) for lesson in part]
            inputs = self._processor(text=texts, images=images, padding=True, return_tensors="pt")
            with torch.inference_mode():
                tokens = self._model.generate(**inputs, max_new_tokens=64)
            new = tokens[:, inputs["input_ids"].shape[1] :]
            answers += self._processor.batch_decode(new, skip_special_tokens=True)
        return answers


def grade(pupil: Pupil, *, count: int, seed: int) -> dict[str, float]:
    """The share of exactly right answers, for each ability."""
    rng = chance(seed)
    grades: dict[str, float] = {}
    for ability, make in ABILITIES.items():
        asked = [make(rng) for _ in range(count)]
        answers = pupil.answer(asked)
        grades[ability] = sum(one == lesson.answer for one, lesson in zip(answers, asked, strict=True)) / count
    return grades


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
def main(folder: Path) -> None:
    """Print the share of exactly right answers for each ability of the model in FOLDER."""
    torch.set_num_threads(1)
    for ability, share in grade(Pupil(folder), count=300, seed=4711).items():
        click.echo(f"{share:6.3f}  {ability}")


if __name__ == "__main__":
    main()
