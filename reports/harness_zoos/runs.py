"""What both formats need of results: runs by names that differ, and what belongs to a number."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence

from harness.board.rows import Row, Section, list_sections, read_rows
from harness.contracts import Results
from harness.keys import short
from harness.text import one_line
from harness.types import Json

Number = int | float


def name_runs(results: Sequence[Results], make_folder: Callable[[str], str]) -> Iterator[tuple[str, str, Results]]:
    """Each run with its model's name and its folder; runs of one model are told apart by a piece of the identity.

    Args:
        results: of the runs.
        make_folder: makes a folder's name of a model's.
    """
    refs = [one_line(run["model"]["ref"]) for run in results]
    taken: set[str] = set()
    for ref, run in zip(refs, results, strict=True):
        whole = ref if refs.count(ref) == 1 else f"{ref}-{short(run['model'].get('identity'), 6)}"
        tries = (whole if number == 1 else f"{whole}-{number}" for number in range(1, len(refs) + 1))
        name = next(each for each in tries if make_folder(each).casefold() not in taken)
        taken.add(make_folder(name).casefold())
        yield name, make_folder(name), run


def list_splits(run: Results) -> Iterator[tuple[Section, tuple[Row, ...]]]:
    """Each split of a run, and its rows: the run's own judge first."""
    for section in list_sections(run):
        yield section, tuple(read_rows(section))


def format_title(section: Section) -> str:
    """`task:split`, or the task's name where it has no splits."""
    return one_line(section.task if section.split == "all" else f"{section.task}:{section.split}")


def count_records(row: Row) -> dict[str, Number]:
    """The counts that must not be lost from a number: what it is of, and all that it is not of."""
    main = row.main
    return {
        "n": row.n,
        "records": row.records,
        **({} if row.coverage is None else {"coverage": row.coverage}),
        "blocked": row.blocked,
        "errors": row.outcomes.get("error", 0) + row.outcomes.get("bad_sample", 0),
        "unresolved": 0 if main is None else main.unresolved,
    }


def encode_json(value: Json) -> bytes:
    """A JSON file; plain ASCII, without NaN."""
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()
