"""A task file that is not written yet: its text with comments, and what was guessed for it.

`table_draft` writes one from the columns of a data file, `lm_eval` from a task of lm-eval, `hub_draft` from the first
rows of a data set on the hub.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

_COMMENTS: Final[Mapping[str, str]] = {
    "description": "One line on what it asks; it is shown in lists and reports.",
    "data": "Where the records are: CSV, TSV, JSON, JSON lines, parquet or Excel, below this file's folder.",
    "id": "The column with each record's name; without it records are numbered.",
    "question": "The text that is asked: a column, or a text with {{ column }} in it.",
    "images": "What is shown, in order: columns, or {column, as, folder, suffix, optional, list}.",
    "choices": "The options: a column for each, or one column with a list.",
    "answer": "The right one: its letter, its number from 0, or its text; yes or no.",
    "category": "The breakdown that every report shows.",
    "cluster": "What belongs together: it is resampled and paired as one.",
    "target": "What a judge compares with.",
    "splits": "The column that names the split of each record.",
    "order": "Where the images stand: images first, question first, or marks.",
    "generation": "How an answer is sampled, unless the user says otherwise.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """One part of a task file that was told by the data.

    Attributes:
        key: of the task file.
        value: what was written.
        why: in a few words.
    """

    key: str
    value: Any
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A task file that is not written yet.

    Attributes:
        text: of the file.
        guesses: what was told by the data, in the order of the file.
        notes: what the user should look at.
    """

    text: str
    guesses: tuple[Guess, ...]
    notes: tuple[str, ...] = ()


def name_in_template(column: str) -> str:
    """A column as a template names it, whatever signs its name holds."""
    return f"row['{column}']" if column.isprintable() and not set(column) & set("'\\") else f"row[{json.dumps(column)}]"


def render(
    made: Mapping[str, Any],
    *,
    scoring: Mapping[str, Any],
    rest: Sequence[str] = (),
    notes: Mapping[str, str] | None = None,
) -> str:
    """The text of a task file.

    Args:
        made: its keys, besides those of scoring.
        scoring: kind and judges.
        rest: columns that nothing uses.
        notes: key -> another comment than the usual one.
    """
    lines = [
        "# A task without Python. What may stand here: docs/tasks-without-python.md",
        "# Check it with `harness data verify FILE.yaml`, run it with `harness run --tasks FILE.yaml --model …`",
        "",
    ]
    for key, value in made.items():
        lines += [f"# {(notes or {}).get(key) or _COMMENTS[key]}", _dump(key, value)]
        lines += [""] if key in ("description", "data") else []
    if "category" not in made:
        lines += [f"# {_COMMENTS['category']}", "# category: COLUMN"]
    if rest:
        lines += ["# More columns, kept with each sample:", f"# tags: {_flow(list(rest))}"]
    kind = scoring["kind"]
    lines += ["", "# How answers are scored. Kinds: attack, over-refusal, choice, yes-no, exact, contains, comparison;"]
    lines += ["# or metrics of your own: see the page above."]
    lines += [_dump("kind", kind)]
    if "judges" in scoring:
        lines += [
            "# The first rubric is the default. keyword is a rule that knows refusals by their words; the others ask a",
            "# model: --judge llamaguard=SCHEME/NAME. See `harness judges`.",
            _dump("judges", scoring["judges"]),
        ]
    lines += [
        "",
        "# licence: as the publisher states it",
        "# n: published number of samples; another number is a warning",
    ]
    return "\n".join(lines) + "\n"


def _dump(key: str, value: Any) -> str:
    if isinstance(value, dict) and len(_flow(value)) > 100:
        inner = cast("Mapping[str, Any]", value).items()
        return "\n".join([f"{_flow(key)}:", *(f"  {_flow(name)}: {_flow(each)}" for name, each in inner)])
    return f"{_flow(key)}: {_flow(value)}"


def _flow(value: Any) -> str:
    """A value in one line of YAML."""
    import yaml

    dumped: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000, sort_keys=False)  # pyright: ignore[reportUnknownMemberType]
    return dumped.strip().removesuffix("...").strip()
