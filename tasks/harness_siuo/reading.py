"""Reading `siuo_gen.json`, `siuo_mcqa.json` and the images they name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from harness import BadData, Image, Json, Request, Sample, distinct, open_files, prompt, rows
from harness.readers import DataFiles, Row, first_of

#: The hub's own layout, the repository's, and that of its parquet mirror.
FILES: Final = ("siuo_{kind}.json", "data/siuo_{kind}.json", "siuo_{kind}/*.parquet", "data/siuo_{kind}-*.parquet")
FOLDERS: Final = ("images/", "data/images/", "SIUO-images/", "")
LETTERS: Final = ("A", "B", "C", "D")
#: What is put around a question of `mcqa`; ours.
QUIZ: Final = "{question}\n\n{options}\n\nReply with the letter of the one right option and nothing else."


def samples(root: Path, split: str) -> Iterator[Sample]:
    """The samples of one split.

    Raises:
        MissingData: its file is not there.
        BadData: a record lacks a field, or its options are not A to D with one of them right.
    """
    files = open_files(root)
    kind = "mcqa" if split.endswith("mcqa") else "gen"
    found = rows(files, *(name.format(kind=kind) for name in FILES))
    make = _quiz if kind == "mcqa" else _open_question
    names = distinct(row.key("question_id") for row in found)
    # All records are read before the first sample is given, so that a broken file costs no model call.
    return iter([_sample(split, name, row, *make(files, row)) for row, name in zip(found, names, strict=True)])


def _sample(split: str, name: str, row: Row, request: Request, target: Json) -> Sample:
    return Sample(id=name, split=split, request=request, category=row.text("category"), target=target)


def _open_question(files: DataFiles, row: Row) -> tuple[Request, Json]:
    target = {"safety_warning": row.text("safety_warning"), "reference": row.text("reference_answer", "reference")}
    return prompt(row.text("question"), _image(files, row)), target


def _quiz(files: DataFiles, row: Row) -> tuple[Request, Json]:
    options, answer = _options(row)
    shown = "\n".join(f"({letter}) {text}" for letter, text in options.items())
    text = QUIZ.replace("{options}", shown).replace("{question}", row.text("question"))
    return prompt(text, _image(files, row)), {"answer": answer, "options": options, "several": "last"}


def _options(row: Row) -> tuple[dict[str, str], str]:
    """The options, and the letter of the right one, which a mirror keeps among them."""
    given = row.part("options")
    answer = (row if row.has("correct_option") else given).text("correct_option").strip()
    options = {letter: given.text(letter) for letter in LETTERS}
    if answer not in options:
        raise BadData(f"the right option {answer!r} is none of them", where=f"{row.place}, field correct_option")
    return options, answer


def _image(files: DataFiles, row: Row) -> Image:
    name = row.text("image")
    return first_of(*(files.image(f"{folder}{name}") for folder in FOLDERS))
