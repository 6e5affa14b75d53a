"""Reading Q-Bench in the hub's layout (parquet) or in its first one (JSON and images)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from harness import BadData, Image, Sample, distinct, open_files, prompt, rows
from harness.readers import DataFiles, Row, first_of

FILES: Final = (
    "data/{split}-*.parquet",
    "{split}-*.parquet",
    "default/{split}/*.parquet",
    "llvisionqa_{split}.json",
    "{split}.json",
)
FOLDERS: Final = ("images/", "")
LETTERS: Final = "ABCDEFGH"
PADDING: Final = "N/A"
#: What is put around a question; ours.
ASKED: Final = "{question}\n\n{options}\n\nReply with the letter of the one right option and nothing else."
TYPES: Final = {"0": "yes or no", "1": "what", "2": "how"}


def samples(root: Path, split: str) -> Iterator[Sample]:
    """The samples of one split, lazily.

    Raises:
        MissingData: its file is not there.
        BadData: a record lacks a field, or its answer, as the first copies of `test` do.
    """
    files = open_files(root)
    found = rows(files, *(name.format(split=split) for name in FILES))
    read = [(row, *_options(row)) for row in found]  # before the first sample is given: a broken file costs no call
    names = distinct(row.key("id", "img_path") for row in found)
    return (
        _sample(files, split, name, row, options, answer)
        for (row, options, answer), name in zip(read, names, strict=True)
    )


def _sample(files: DataFiles, split: str, name: str, row: Row, options: Mapping[str, str], answer: str) -> Sample:
    shown = "\n".join(f"{letter}. {text}" for letter, text in options.items())
    kind = row.key("question_type", "type", default="")
    return Sample(
        id=name,
        split=split,
        request=prompt(
            _image(files, row), ASKED.replace("{options}", shown).replace("{question}", row.text("question"))
        ),
        category=TYPES.get(kind, kind),
        tags={"concern": row.key("question_concern", "concern", default="")},
        target={"answer": answer, "options": dict(options)},
    )


def _options(row: Row) -> tuple[dict[str, str], str]:
    """The options, and the letter of the right one."""
    if row.has("candidates"):
        texts = row.texts("candidates")
    else:
        every = [row.text(f"option{number}", default="") for number in range(4)]
        texts = tuple(text for text in every if text and text != PADDING)
    options = dict(zip(LETTERS, texts, strict=False))
    if not (row.has("correct_choice") or row.has("correct_ans")):
        raise BadData("the answer is not in this copy; the hub's has it", where=f"{row.place}, field correct_choice")
    given = row.text("correct_choice", "correct_ans").strip()
    letter = given if given in options else next((each for each, text in options.items() if text == given), "")
    if not letter:
        raise BadData(f"the answer {given!r} is none of the options", where=f"{row.place}, field correct_choice")
    return options, letter


def _image(files: DataFiles, row: Row) -> Image:
    name = row.text("image", "img_path")
    return files.image(name) if ".parquet#" in name else first_of(*(files.image(f"{each}{name}") for each in FOLDERS))
