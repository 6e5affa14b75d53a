"""Finds, reads and checks results.json: by run folder, by file, or by a pattern that names several.

The models below are what of a results.json the boards rest on; any other file is refused before anything is drawn. The
whole schema is docs/results.schema.json; keys that no report reads may be missing or of another type here.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal, cast

import pydantic

from harness.contracts import Results
from harness.errors import BadData, HarnessError
from harness.remote import fetch_folders, is_remote
from harness.types import Json

FILE: Final = "results.json"
SCHEMA: Final = "harness.results/1"

_Number = Annotated[float, pydantic.Field(allow_inf_nan=False)]
_Count = Annotated[int, pydantic.Field(ge=0)]
_Figure = _Number | None
_Ends = Annotated[list[_Figure], pydantic.Field(min_length=2, max_length=2)] | None
_Texts = list[str] | str | None
_Words = dict[str, Any] | None  #: a mapping of what is shown as it is, or nothing


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True, frozen=True)


class _Stratum(_Strict):
    value: _Figure
    numerator: _Number
    denominator: _Number


class _Estimator(_Strict):
    name: str
    judged: _Count
    of: _Count


class _Labelled(_Strict):
    name: str
    answers: _Count
    labels: _Count
    value: _Figure = None
    known: bool = False


class _Design(_Strict):
    judge: str | None = None
    cells: list[_Labelled] | None = None


class _Alpha(_Strict):
    n: _Count = 0
    same: _Count | None = None
    value: _Figure = None
    ci95: _Ends = None


class _Person(_Strict):
    value: _Figure
    ci95: _Ends = None
    labels: _Count = 0
    why: str | None = None


class _Corrected(_Strict):
    value: _Figure
    ci95: _Ends = None
    why: str | None = None
    labels: _Count = 0
    of: _Count = 0
    design: _Design | None = None
    alpha: _Alpha | None = None
    annotators: dict[str, _Person] | None = None
    adds_nothing: bool = False
    notes: list[str] | None = None


class _Seeds(_Strict):
    values: list[_Number]
    sd: _Number


class _Metric(_Strict):
    value: _Figure
    why: str | None = None
    estimator: _Estimator | None = None
    unit: str
    better: Literal["lower", "higher", "neither"]
    main: bool = False
    ci95: _Ends = None
    ci95_worst: _Ends = None
    bounds: _Ends = None
    numerator: _Figure = None
    denominator: _Figure = None
    unresolved: _Figure = None
    clusters: _Count | None = None
    strata: dict[str, _Stratum] | None = None
    corrected: _Corrected | None = None
    seeds: _Seeds | None = None


class _Part(_Strict):
    n: _Count
    metrics: dict[str, _Metric]


class _Noise(_Strict):
    values: list[_Figure]
    sd: _Figure
    sd_by_answers: _Figure = None
    range: Annotated[list[_Number], pydantic.Field(min_length=2, max_length=2)] | None
    why: str | None = None


class _Repeats(_Strict):
    count: _Count
    answers: _Count
    agree: _Figure
    metrics: dict[str, _Noise]


class _Judged(_Strict):
    verdicts: dict[str, _Count]
    labels: dict[str, _Count]
    coverage: _Figure
    complete: bool
    drawn: bool | None = None
    repeats: _Repeats | None = None
    metrics: dict[str, _Metric]
    by: dict[str, dict[str, _Part]] | None = None


class _Outcomes(_Strict):
    answered: _Count
    input_blocked: _Count
    output_blocked: _Count
    empty: _Count
    bad_sample: _Count
    error: _Count
    unanswered: _Count = 0


class _SplitData(_Strict):
    source: str | None = None
    revision: str | None = None
    licence: str | None = None
    toy: bool | None = None
    checked: str | None = None


class _Split(_Judged):
    n: _Count
    n_expected: _Count | None = None
    subset: _Words = None
    epochs: _Count = 1
    records: _Count
    outcomes: _Outcomes
    flags: dict[str, _Count] | None = None
    settings: _Words = None
    template_hash: str | None = None
    fidelity: str | None = None
    parts: list[str] | None = None
    judge: str | None = None
    other_judges: dict[str, _Judged] | None = None
    data: _SplitData | None = None
    group: str | None = None
    definitions: dict[str, str] | None = None


class _Data(_Strict):
    source: str | None = None
    revision: str | None = None
    sha256: str | None = None
    licence: str | None = None
    checked: str | None = None


class _Task(_Strict):
    version: str | int | None = None
    data: _Data | None = None
    splits: dict[str, _Split]
    paired: _Words = None


class _Training(_Strict):
    tuned_from: str | None = None
    trained_on: _Texts = None
    held_out: _Texts = None
    base_files: str | None = None
    seed: str | None = None
    recipe: str | None = None


class _Member(_Strict):
    ref: str
    seed: str


class _Identity(_Strict):
    overrides: _Words = None
    fingerprint: str | dict[str, Any] | None = None


class _Model(_Strict):
    ref: str
    resolved: _Texts = None
    identity: str | _Identity | None = None
    settings: dict[str, Any] = {}
    strategy: str | dict[str, Any] | None = None
    attack: dict[str, Any] | None = None
    notes: _Texts = None
    training: _Training | None = None
    seeds: list[_Member] | None = None
    given: bool | None = None


class _Judge(_Strict):
    rubric: str
    version: str | int | None = None
    fidelity: str | None = None
    model: str | dict[str, Any] | None = None
    resolved: _Texts = None


class _Named(_Strict):
    metric: str
    value: _Number


class _Mean(_Strict):
    value: _Figure
    ci95: _Ends
    ci95_worst: _Ends
    bounds: _Ends = None
    unit: str | None
    better: Literal["lower", "higher", "neither"] | None
    of: dict[str, _Named]
    missing: list[str]
    complete: bool


class _Suite(_Strict):
    splits: list[str] | None = None
    mean: _Mean | None


class _Results(_Strict):
    harness: str
    started: str
    finished: str
    wall_s: _Number
    model: _Model
    judges: dict[str, _Judge] | None = None
    tasks: dict[str, _Task]
    suites: dict[str, _Suite] | None = None


def find_results(places: Iterable[str]) -> list[Path]:
    """The results.json of each place, in order, each once.

    Args:
        places: run folders here or at an address such as `s3://…`, results.json files, or patterns such as `runs/*`, of
            which the folders without a results.json are left out.

    Raises:
        HarnessError: a place holds no results, or a pattern matches none.
    """
    found = (path for place in places for path in _find_in_place(place))
    return list({path.resolve(): path for path in found}.values())


def read_results(path: Path) -> Results:
    """One results.json; with `bare` set where the lines of the run are not next to it.

    Raises:
        BadData: it is not JSON, of another schema, or lacks a key.
    """
    try:
        results: Results = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        remedy = "the same `harness run` command continues, and writes them" if _has_run(path.parent) else "give a run"
        raise BadData("there are no results yet", where=str(path), remedy=remedy) from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadData("cannot read results", where=f"{path}: {error}") from None
    except RecursionError:
        raise BadData("results are nested too deeply", where=str(path)) from None
    except json.JSONDecodeError as error:
        where = f"{path}: line {error.lineno}: {error.msg}"
        raise BadData("results are not JSON", where=where, remedy=_remedy(path, "get a whole copy of it")) from None
    except ValueError as error:  # a number of more digits than Python reads
        remedy = _remedy(path, "get the file as `harness run` wrote it")
        raise BadData("results are not JSON that can be read", where=f"{path}: {error}", remedy=remedy) from None
    named = cast("dict[str, Json]", results) if isinstance(cast("Json", results), dict) else {}
    schema = named.get("schema")
    if schema is not None and schema != SCHEMA:
        writer = f"vlm-safety-harness {named.get('harness') or 'of its time'}"
        remedy = _remedy(path, f"render it with the version that wrote it: {writer}")
        raise BadData(f"results of the schema {schema!r}, not {SCHEMA}", where=str(path), remedy=remedy)
    fault = "the whole: no schema is named" if schema is None else find_fault(results)
    if fault:
        remedy = _remedy(path, "get the file as `harness run` wrote it")
        raise BadData(f"not results as {SCHEMA} has them", where=f"{path}: {fault}", remedy=remedy)
    return results if _has_run(path.parent) else {**results, "bare": True}


def read_folders(paths: Iterable[Path]) -> list[Results]:
    """Several results.json as `read_results`, each with the name of its folder in `folder`, which tells rows apart."""
    return [{**read_results(path), "folder": path.absolute().parent.name} for path in paths]


def _has_run(folder: Path) -> bool:
    """Whether the lines of the run are there, so that its results can be computed again."""
    return (folder / "run.json").is_file() and any(folder.glob("*/responses.jsonl"))


def _find_in_place(place: str) -> Iterator[Path]:
    path = Path(place)
    if is_remote(place):
        yield from (folder / FILE for folder in fetch_folders(place))
    elif path.is_file():
        yield path
    elif (path / FILE).is_file():
        yield path / FILE
    elif path.exists() or not glob.has_magic(place):
        remedy = "give the folder of a run, as `harness run` printed it"
        if any(path.glob(f"*/{FILE}")):
            remedy = f"its sub-folders hold runs: harness report {path}/*"
        elif (path / "run.json").is_file():
            remedy = (
                "the run has not written its results; the same `harness run` command continues it, and a pattern in"
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
    """How to get results again: from the run's lines if they are there, else otherwise."""
    if not _has_run(path.parent):
        return otherwise
    return "move it away: the same `harness run` command makes it again from the run's lines, and asks nothing twice"


def find_fault(results: Json) -> str:
    """The first fault of some results and where it is: `tasks.mis.splits.easy.n: Field required`; empty for none."""
    try:
        _Results.model_validate(results)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(str(step) for step in first['loc']) or 'the whole'}: {first['msg']}"
    return ""
