"""Finding and reading results.json: by run folder, by file, or by a pattern that names several."""

from __future__ import annotations

import glob
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

from harness.contracts import Results
from harness.errors import BadData, HarnessError
from harness.types import Json

FILE = "results.json"
SCHEMA = "harness.results/1"


def find(places: Iterable[str]) -> list[Path]:
    """The results.json of each place, in order, each once.

    Args:
        places: run folders, results.json files, or patterns such as `runs/*`, of which the folders without a
            results.json are left out.

    Raises:
        HarnessError: a place holds no results, or a pattern matches none.
    """
    found = (path for place in places for path in _find(place))
    return list({path.resolve(): path for path in found}.values())


def read(path: Path) -> Results:
    """One results.json; with `bare` set where the run's lines do not lie beside it.

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
        raise BadData("results are not JSON", where=where, remedy=_anew(path, "get a whole copy of it")) from None
    _check(results, path)
    return results if _stored(path.parent) else {**results, "bare": True}


def _stored(folder: Path) -> bool:
    """Whether the run is there that results were made of, so that they can be made again."""
    return (folder / "run.json").is_file() and any(folder.glob("*/responses.jsonl"))


def _find(place: str) -> Iterator[Path]:
    path = Path(place)
    if path.is_file():
        yield path
    elif (path / FILE).is_file():
        yield path / FILE
    elif path.exists() or not glob.has_magic(place):
        raise HarnessError(f"there is no {FILE}", where=place, remedy=_remedy(path))
    else:
        yield from _matching(place)


def _matching(pattern: str) -> Iterator[Path]:
    matches = [Path(match) for match in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207 - a user's pattern
    files = [path if path.name == FILE else path / FILE for path in matches]
    if not any(file.is_file() for file in files):
        raise HarnessError("no run with results matches", where=pattern, remedy=f"a run's folder holds {FILE}")
    yield from (file for file in files if file.is_file())


def _remedy(path: Path) -> str:
    if not path.exists():
        return "give the folder of a run, as `harness run` printed it"
    if any(path.glob(f"*/{FILE}")):
        return f"its sub-folders hold runs: harness report {path}/*"
    if (path / "run.json").is_file():
        return (
            "the run has not written its results; the same `harness run` command goes on with it, and a pattern in"
            " quotes, such as 'runs/*', leaves it out"
        )
    return "give the folder of a run, as `harness run` printed it"


def _anew(path: Path, otherwise: str) -> str:
    """How results are made again: of the run's lines, where they are there."""
    if not _stored(path.parent):
        return otherwise
    return "move it away: the same `harness run` command makes it again from the run's lines, and asks nothing twice"


def _check(results: Json, path: Path) -> None:
    from harness.board.shape import fault  # pydantic: imported on use

    named = cast("dict[str, Json]", results) if isinstance(results, dict) else {}
    schema = named.get("schema")
    if schema is not None and schema != SCHEMA:
        writer = f"vlm-safety-harness {named.get('harness') or 'of its time'}"
        remedy = _anew(path, f"render it with the version that wrote it: {writer}")
        raise BadData(f"results of the schema {schema!r}, not {SCHEMA}", where=str(path), remedy=remedy)
    told = "the whole: no schema is named" if schema is None else fault(results)
    if told:
        remedy = _anew(path, "get the file as `harness run` wrote it")
        raise BadData(f"not results as {SCHEMA} has them", where=f"{path}: {told}", remedy=remedy)
