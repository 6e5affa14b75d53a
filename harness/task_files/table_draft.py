"""`harness tasks new`: a commented task file, written from the columns of a data file.

Each guess rests on a column's name and on what its cells hold, and is said. Nothing is guessed of what the data means:
how it is scored is a first proposal, with what else could stand there in comments.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final, cast

from harness.errors import HarnessError
from harness.readers import DataFiles, Row, open_files
from harness.readers.places import IN_PARQUET
from harness.readers.tables import SUFFIXES, read_table, suffix
from harness.task_files.draft import Draft, Guess, name_in_template, render
from harness.task_files.layouts import LETTERS, arrange
from harness.task_files.samples import ANSWERS, MARK
from harness.types import Json
from harness.usual import ATTACK_RULE, HARM_RUBRICS

_LOOKED_AT: Final = 300  # records by whose cells columns are told
_IDS: Final = ("id", "uuid", "index", "idx", "qid", "question_id", "sample_id", "item_id", "uid", "key")
_QUESTIONS: Final = ("question", "prompt", "instruction", "query", "request", "text", "input", "goal", "behavior")
_CATEGORIES: Final = ("category", "harm_category", "topic", "subject", "type", "class", "scenario", "risk", "domain")
_CLUSTERS: Final = ("cluster", "group", "group_id", "pair_id", "scene", "scene_id", "set_id", "family")
_REFERENCES: Final = ("reference", "reference_answer", "reference_response", "expected", "target")
_INTENTS: Final = ("intent", "goal", "behavior", "harmful_intention", "original_question")
_ANSWERS: Final = ("answer", "correct_answer", "correct_option", "correct", "label", "gt", "ground_truth")
_OPTIONS: Final = ("options", "choices")
_SPLITS: Final = ("split", "subset", "fold")
_IMAGES: Final = re.compile(r"\.(?:png|jpe?g|webp|gif|bmp)$", re.IGNORECASE)
_BASE64: Final = re.compile(r"(?:data:image/[\w.+-]+;base64,)?(?:iVBORw0KGgo|/9j/|R0lGOD|UklGR|Qk[0-9A-Za-z+/]{6})")
_FEW: Final = 60  # values of a category
_FOLDERS: Final = 200  # folders that are searched for an image


@dataclass(slots=True)
class _Seen:
    """The first records of a file, by column."""

    files: DataFiles
    name: str
    columns: dict[str, list[Json]] = field(default_factory=dict[str, list[Json]])
    taken: set[str] = field(default_factory=set[str])

    def find(self, names: Sequence[str], fits: Callable[[list[Json]], bool] = lambda _: True) -> str:
        """The first free column that is called so, in any case, and whose values fit; empty for none."""
        by_name = {column.casefold(): column for column in self.columns if column not in self.taken}
        found = (by_name[name] for name in names if name in by_name)
        column = next((each for each in found if fits(self.values(each))), "")
        self.taken.add(column)
        return column

    def differs(self, values: list[Json]) -> bool:
        """Whether each record has a value that no other has."""
        return len(set(map(str, values))) == max(map(len, self.columns.values()))

    def values(self, column: str) -> list[Json]:
        """The values that are there."""
        return [value for value in self.columns[column] if value is not None and value != ""]


def draft_task(file: Path, source: Path) -> Draft:
    """The task file for a data file that lies beside or below it.

    Raises:
        HarnessError: the data file cannot be read, lies elsewhere, or has no column with a question.
    """
    if source.suffix in (".yaml", ".yml"):
        from harness.task_files.lm_eval import draft_from_lm_eval

        return draft_from_lm_eval(source)
    if not source.is_file() and "*" not in source.name:
        raise HarnessError(
            "there is no such data file", where=str(source), remedy=f"known kinds: {', '.join(SUFFIXES)}"
        )
    folder = file.absolute().parent
    if not source.absolute().is_relative_to(folder):
        remedy = f"write it beside the data: {source.absolute().parent / file.name}"
        raise HarnessError("the data is not in the task file's folder, nor below it", where=str(source), remedy=remedy)
    return draft_table(folder, source.absolute().relative_to(folder).as_posix())


def draft_table(folder: Path, name: str, data: Mapping[str, Any] | None = None) -> Draft:
    """The task file for the records of a file, or of the files that match a name.

    Args:
        folder: the data root.
        name: below it.
        data: of the task file, besides what the records say; None for a file of the user's.

    Raises:
        HarnessError: as `draft_task` does.
    """
    source = folder / name
    files = open_files(folder)
    first = next(iter(files.matching(name)), name)
    rows = list(islice(read_table(files, first), _LOOKED_AT))
    if not rows:
        raise HarnessError(
            "the data file holds no records", where=str(source), remedy="give the file that holds the questions"
        )
    layout = _guess_layout(name, rows)
    if layout in ("garak", "pyrit"):
        return _draft_prompts(name, layout, list(arrange(rows, layout)))
    seen = _Seen(files=files, name=name)
    for row in rows:
        for column in row.values:
            seen.columns.setdefault(column, [])
    for row in rows:
        for column, values in seen.columns.items():
            values.append(row.values.get(column))
    return _draft_columns(seen, layout, dict(data or {"files": name}))


def _guess_layout(name: str, rows: Sequence[Row]) -> str:
    first = rows[0].values.keys()
    if any("entry_type" in row.values for row in rows) or {"attempt_id", "probe", "detector"} <= first:
        return "garak"
    if {"conversation_id", "converted_value", "role"} <= first:
        return "pyrit"
    if suffix(name) == ".tsv" and {"index", "question"} <= first and first & {"image", "image_path"}:
        return "vlmevalkit"
    return "table"


def _draft_prompts(name: str, layout: str, rows: Sequence[Row]) -> Draft:
    """The task file of another tool's requests."""
    tool = {"garak": "a report of garak", "pyrit": "an export of PyRIT"}[layout]
    notes = ["only the requests are read: what another model answered is not a part of a task"]
    if any(row.values.get("images") for row in rows):
        notes.append("images are taken from below this folder, by their path or their file's name: see images.folder")
    guesses = (Guess(key="data.layout", value=layout, why=f"the file is {tool}"),)
    text = render(
        {"description": f"requests of {tool}: {name}", "data": {"files": name, "layout": layout}},
        scoring=_propose_attack(),
        notes={"data": f"{tool}; its columns are in docs/tasks-without-python.md"},
    )
    return Draft(text=text, guesses=guesses, notes=tuple(notes))


def _draft_columns(seen: _Seen, layout: str, data: dict[str, Any]) -> Draft:
    guesses: list[Guess] = []
    made: dict[str, Any] = {
        "description": f"TODO: one line on what it asks ({seen.name})",
        "data": data,
    }
    if layout != "table":
        made["data"]["layout"] = layout
        guesses.append(Guess(key="data.layout", value=layout, why="a TSV with index, question and image"))

    def guess(key: str, value: Any, why: str) -> None:
        made[key] = value
        guesses.append(Guess(key=key, value=value, why=why))

    if column := seen.find(_IDS, seen.differs):
        guess("id", column, "its values differ from record to record")
    images = list(_guess_images(seen))
    question = seen.find(_QUESTIONS, _is_text)
    if not question:
        texts = [c for c in seen.columns if c not in seen.taken and _is_text(seen.values(c))]
        question = max(texts, key=lambda each: sum(len(str(value)) for value in seen.values(each)), default="")
        seen.taken.add(question)
    if not question:
        known = ", ".join(seen.columns)
        raise HarnessError(
            "no column holds a question: none has a text in every record",
            where=seen.name,
            remedy=f"its columns are {known}; write the texts of one as texts, or the task file by hand",
        )
    if layout == "vlmevalkit":
        seen.taken.update(each for each in ("image", "image_path", "hint") if each in seen.columns)
    else:
        guess("question", question, "by its name" if question.casefold() in _QUESTIONS else "the longest texts")
    if images and layout == "table":
        guess("images", images[0] if len(images) == 1 else images, "what its cells hold")
    shows = layout == "vlmevalkit" or images
    if shows and all(MARK.search(str(value)) for value in seen.values(question)):
        guess("order", "marks", "each question has its <image>")
    scoring = _guess_scoring(seen, made, guesses)
    if column := seen.find(_CATEGORIES, _has_few_values):
        guess("category", column, f"{len(set(map(str, seen.values(column))))} values")
    if column := seen.find(_CLUSTERS):
        guess("cluster", column, "by its name")
    if column := seen.find(_INTENTS, _is_text):
        guess("target", {"intent": column}, "by its name; judges may be shown it: -T RUBRIC.sees")
    elif column := seen.find(_REFERENCES, _is_text):
        guess("target", {"reference": column}, "by its name")
    if column := seen.find(_SPLITS, _has_few_values):
        rows = (row for name in seen.files.matching(seen.name) for row in read_table(seen.files, name))
        every = dict.fromkeys(str(row.values.get(column)) for row in rows)
        guess("splits", {"column": column, "values": list(every)}, f"{len(every)} values")
    rest = [column for column in seen.columns if column not in seen.taken]
    notes = [f"not used: {', '.join(rest)}"] if rest else []
    if "id" not in made and (column := next((each for each in rest if each.casefold() in _IDS), "")):
        again = next((value for value, count in Counter(map(str, seen.values(column))).items() if count > 1), "")
        why = f"{again!r} comes more than once" if again else "some cells are empty"
        notes.append(f"{column} names no record, since {why}: records are numbered")
    return Draft(text=render(made, scoring=scoring, rest=rest), guesses=tuple(guesses), notes=tuple(notes))


def _guess_scoring(seen: _Seen, made: dict[str, Any], guesses: list[Guess]) -> Mapping[str, Any]:
    """How answers are scored: by the right option, by yes and no, or as an attack."""
    letters = [letter for letter in LETTERS if letter in seen.columns]
    listed = seen.find(_OPTIONS, lambda values: bool(values) and all(_is_list(value) for value in values))
    answer = seen.find(_ANSWERS)
    if answer and (len(letters) > 1 or listed):
        seen.taken.update(letters)
        if made["data"].get("layout") != "vlmevalkit":
            guesses.append(Guess(key="choices", value=listed or letters, why="options"))
            made["choices"] = listed or letters
        made["answer"] = answer
        guesses.append(Guess(key="answer", value=answer, why="beside options"))
        return {"kind": "choice"}
    if answer and seen.values(answer) and all(str(v).strip().lower() in ANSWERS for v in seen.values(answer)):
        made["answer"] = answer
        asked = str(made.get("question", "question"))
        made["question"] = f"{{{{ {name_in_template(asked)} }}}}\nAnswer yes or no."
        guesses.append(Guess(key="answer", value=answer, why="its values are yes and no"))
        return {"kind": "yes-no"}
    seen.taken.discard(answer)
    return _propose_attack()


def _propose_attack() -> Mapping[str, Any]:
    return {"kind": "attack", "judges": {name: dict(words) for name, words in {**ATTACK_RULE, **HARM_RUBRICS}.items()}}


def _guess_images(seen: _Seen) -> Iterable[Any]:
    """The columns with images, and how they are read."""
    for column in seen.columns:
        values = seen.values(column)
        flat = [
            each for value in values for each in (cast("Sequence[Json]", value) if isinstance(value, list) else [value])
        ]
        texts = [each for each in flat if isinstance(each, str)]
        if not texts or len(texts) < len(flat):
            continue
        optional = {"optional": True} if len(values) < len(seen.columns[column]) else {}
        if all(IN_PARQUET in each for each in texts):
            seen.taken.add(column)
            yield {"column": column, **optional} if optional else column
        elif any(_BASE64.match(each.lstrip("['\" ")) for each in texts):
            seen.taken.add(column)
            yield {"column": column, "as": "base64", **optional}
        elif all(_IMAGES.search(each.strip("'\"] ")) for each in texts) or (
            re.match(r"image|img|picture", column, re.IGNORECASE) and _find_folder(seen.files, texts[0])
        ):
            seen.taken.add(column)
            listed = {"list": True} if any(each.lstrip().startswith("[") for each in texts) else {}
            first = texts[0].strip("[]'\" ").split(",")[0].strip("'\" ") if listed else texts[0]
            folder, ending = _find_folder(seen.files, first) or ("", "")
            more = {
                **({"folder": folder} if folder else {}),
                **({"suffix": ending} if ending else {}),
                **listed,
                **optional,
            }
            yield {"column": column, **more} if more else column


def _find_folder(files: DataFiles, path: str) -> tuple[str, str] | None:
    """The folder below the data root in which an image lies, and the ending that its path lacks; None if not found."""
    endings = [""] if _IMAGES.search(path) else ["", ".png", ".jpg", ".jpeg", ".webp"]
    below = sorted(each.relative_to(files.root).as_posix() for each in files.root.glob("*/") if each.is_dir())
    deeper = sorted(
        each.relative_to(files.root).as_posix() for each in islice(files.root.glob("*/*/"), _FOLDERS) if each.is_dir()
    )
    for folder in ("", *below[:_FOLDERS], *deeper):
        for ending in endings:
            if files.has(f"{folder}/{path}{ending}" if folder else f"{path}{ending}"):
                return folder, ending
    return None


def _is_text(values: list[Json]) -> bool:
    return bool(values) and all(isinstance(value, str) for value in values)


def _is_list(value: Json) -> bool:
    return isinstance(value, list) or (isinstance(value, str) and value.lstrip().startswith("["))


def _has_few_values(values: list[Json]) -> bool:
    return bool(values) and all(isinstance(value, str | int) for value in values) and len(set(values)) <= _FEW
