"""Finding and reading results.json: by run folder, by file, or by a pattern that names several."""

from __future__ import annotations

import glob
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, cast

from harness.contracts import Results
from harness.errors import BadData, HarnessError
from harness.types import Json

FILE: Final = "results.json"
SCHEMA: Final = "harness.results/1"


def find_results(places: Iterable[str]) -> list[Path]:
    """The results.json of each place, in order, each once.

    Args:
        places: run folders, results.json files, or patterns such as `runs/*`, of which the folders without a
            results.json are left out.

    Raises:
        HarnessError: a place holds no results, or a pattern matches none.
    """
    found = (path for place in places for path in _find_in_place(place))
    return list({path.resolve(): path for path in found}.values())


def read_results(path: Path) -> Results:
    """One results.json; with `bare` set where the run's lines do not lie next to it.

    Raises:
        BadData: it is not JSON, of another schema, or lacks a key.
    """
    try:
        results: Results = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadData("cannot read results", where=f"{path}: {error}") from None
    except RecursionError:
        raise BadData("results are nested too deeply", where=str(path)) from None
    except json.JSONDecodeError as error:
        where = f"{path}: line {error.lineno}: {error.msg}"
        raise BadData("results are not JSON", where=where, remedy=_remedy(path, "get a whole copy of it")) from None
    _check_schema(results, path)
    return results if _has_run(path.parent) else {**results, "bare": True}


def _has_run(folder: Path) -> bool:
    """Whether the run that the results were made of is there, so that they can be made again."""
    return (folder / "run.json").is_file() and any(folder.glob("*/responses.jsonl"))


def _find_in_place(place: str) -> Iterator[Path]:
    path = Path(place)
    if path.is_file():
        yield path
    elif (path / FILE).is_file():
        yield path / FILE
    elif path.exists() or not glob.has_magic(place):
        remedy = "give the folder of a run, as `harness run` printed it"
        if any(path.glob(f"*/{FILE}")):
            remedy = f"its sub-folders hold runs: harness report {path}/*"
        elif (path / "run.json").is_file():
            remedy = (
                "the run has not written its results; the same `harness run` command goes on with it, and a pattern in"
                " quotes, such as 'runs/*', leaves it out"
            )
        raise HarnessError(f"there is no {FILE}", where=place, remedy=remedy)
    else:
        matches = [Path(match) for match in sorted(glob.glob(place, recursive=True))]  # noqa: PTH207 - a user's pattern
        files = [match if match.name == FILE else match / FILE for match in matches]
        if not any(file.is_file() for file in files):
            raise HarnessError("no run with results matches", where=place, remedy=f"a run's folder holds {FILE}")
        yield from (file for file in files if file.is_file())


def _remedy(path: Path, otherwise: str) -> str:
    """How to make results again: from the run's lines, where they are there."""
    if not _has_run(path.parent):
        return otherwise
    return "move it away: the same `harness run` command makes it again from the run's lines, and asks nothing twice"


def _check_schema(results: Json, path: Path) -> None:
    from harness.board.schema import find_fault  # pydantic: imported on use

    named = cast("dict[str, Json]", results) if isinstance(results, dict) else {}
    schema = named.get("schema")
    if schema is not None and schema != SCHEMA:
        writer = f"vlm-safety-harness {named.get('harness') or 'of its time'}"
        remedy = _remedy(path, f"render it with the version that wrote it: {writer}")
        raise BadData(f"results of the schema {schema!r}, not {SCHEMA}", where=str(path), remedy=remedy)
    fault = "the whole: no schema is named" if schema is None else find_fault(results)
    if fault:
        remedy = _remedy(path, "get the file as `harness run` wrote it")
        raise BadData(f"not results as {SCHEMA} has them", where=f"{path}: {fault}", remedy=remedy)
