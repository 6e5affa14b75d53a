"""What of a results.json the boards rest on, as types: any other file is refused before anything is drawn.

The whole schema is docs/results.schema.json; keys that no report reads may be missing or strange here.
A module of its own since it imports pydantic, which only reading a file needs.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic

from harness.types import Json

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


class _Part(_Strict):
    n: _Count
    metrics: dict[str, _Metric]


class _Judged(_Strict):
    verdicts: dict[str, _Count]
    labels: dict[str, _Count]
    coverage: _Figure
    complete: bool
    drawn: bool | None = None
    metrics: dict[str, _Metric]
    by: dict[str, dict[str, _Part]] | None = None


class _Outcomes(_Strict):
    answered: _Count
    input_blocked: _Count
    output_blocked: _Count
    empty: _Count
    bad_sample: _Count
    error: _Count


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


class _Identity(_Strict):
    overrides: _Words = None
    fingerprint: str | dict[str, Any] | None = None


class _Model(_Strict):
    ref: str
    resolved: _Texts = None
    identity: str | _Identity | None = None
    settings: dict[str, Any] = {}
    strategy: str | dict[str, Any] | None = None
    notes: _Texts = None
    training: _Training | None = None


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


def find_fault(results: Json) -> str:
    """Where these are not as they must be, and how: `tasks.mis.splits.easy.n: Field required`; empty for nothing."""
    try:
        _Results.model_validate(results)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(str(step) for step in first['loc']) or 'the whole'}: {first['msg']}"
    return ""
