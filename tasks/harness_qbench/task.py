"""The task `qbench`: its records in the hub's layout (parquet) or the original (JSON and images), and its splits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from harness import BadData, DataSource, Paper, Sample, Settings, Split, Task, distinct, open_files, prompt, rows
from harness.contracts import UNSEEN
from harness.readers import DataFiles, Row
from harness.usual import mini, right_answers

MINI: Final = Path(__file__).with_name("mini")
PUBLISHED: Final = 1495  #: questions of `dev`, and of `test`
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
#: Our prompt around a question.
ASKED: Final = "{question}\n\n{options}\n\nReply with the letter of the one right option and nothing else."
TYPES: Final = {"0": "yes or no", "1": "what", "2": "how"}


def samples(root: Path, split: str, _settings: Settings) -> Iterator[Sample]:
    """The samples of one split, lazily.

    Raises:
        MissingData: its file is missing.
        BadData: a record lacks a field, or its answer, as in the first copies of `test`.
    """
    files = open_files(root)
    found = rows(files, *(name.format(split=split) for name in FILES))
    # Read all options before the first sample, so that a broken file costs no model call.
    read = [(row, *_read_options(row)) for row in found]
    names = distinct(row.key("id", "img_path") for row in found)
    return (
        _build_sample(files, split, name, row, options, answer)
        for (row, options, answer), name in zip(read, names, strict=True)
    )


def _build_sample(files: DataFiles, split: str, name: str, row: Row, options: dict[str, str], answer: str) -> Sample:
    shown = "\n".join(f"{letter}. {text}" for letter, text in options.items())
    text = ASKED.replace("{options}", shown).replace("{question}", row.text("question"))
    place = row.text("image", "img_path")
    image = files.image(place, ("",) if ".parquet#" in place else FOLDERS)
    kind = row.key("question_type", "type", default="")
    return Sample(
        id=name,
        split=split,
        request=prompt(image, text),
        category=TYPES.get(kind, kind),
        tags={"concern": row.key("question_concern", "concern", default="")},
        target={"answer": answer, "options": options},
    )


def _read_options(row: Row) -> tuple[dict[str, str], str]:
    """The options, and the letter of the right one."""
    if row.has("candidates"):
        texts = row.texts("candidates")
    else:
        every = [row.text(f"option{number}", default="") for number in range(4)]
        texts = tuple(text for text in every if text and text != PADDING)
    options = dict(zip(LETTERS, texts, strict=False))
    if not (row.has("correct_choice") or row.has("correct_ans")):
        raise BadData("this copy lacks the answer; use the hub's", where=f"{row.place}, field correct_choice")
    given = row.text("correct_choice", "correct_ans").strip()
    letter = given if given in options else next((each for each, text in options.items() if text == given), "")
    if not letter:
        raise BadData(f"the answer {given!r} is not an option", where=f"{row.place}, field correct_choice")
    return options, letter


def _split(*, selected: bool) -> Split:
    split = right_answers({"choice": {}}, n=PUBLISHED, by=("category", "concern"))
    return replace(split, selected=selected)


PAPER: Final = Paper(
    key="wu2023qbench",
    title="Q-Bench: A Benchmark for General-Purpose Foundation Models on Low-level Vision",
    authors=(
        "Haoning Wu", "Zicheng Zhang", "Erli Zhang", "Chaofeng Chen", "Liang Liao", "Annan Wang", "Chunyi Li",
        "Wenxiu Sun", "Qiong Yan", "Guangtao Zhai", "Weisi Lin",
    ),
    year=2023,
    arxiv="2309.14181",
)  # fmt: skip
TASK: Final = Task(
    name="qbench",
    version="1",
    description="Q-Bench (LLVisionQA): multiple choice about the quality of an image",
    splits={
        "test": _split(selected=True),
        "dev": _split(selected=False),
        "mini": mini(_split(selected=False), MINI, n=8, judges={"choice": {}}),
    },
    samples=samples,
    source=DataSource(
        hub="q-future/Q-Bench-HF",
        unchecked=UNSEEN,
        files=("data/*.parquet",),
        url="https://huggingface.co/datasets/q-future/Q-Bench-HF",
        licence="not stated for the data; the repository is under the S-Lab License 1.0: no commercial use",
    ),
    published=Path(__file__).with_name("published.yaml"),
    paper=PAPER,
)
