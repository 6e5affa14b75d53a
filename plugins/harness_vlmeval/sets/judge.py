"""The rubric `vlmeval`: VLMEvalKit's own scoring of a whole split, by exact matching, in its process."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Final, cast

from harness import Answered, Ask, HarnessError, Json, Judge, Rubric, Settings, Unscored, Verdict
from harness.http.status import as_mapping
from harness_vlmeval.child.secrets import redact

from .metrics import LABELS, MEANINGS

Decided = AsyncIterator[tuple[str, Verdict | Unscored]]


async def _score(rows: Sequence[Answered], folder: Path, _: Ask, *, root: Path) -> Decided:
    """Decide on each answer by what VLMEvalKit's scorer made of it."""
    of: dict[str, list[Answered]] = {}
    for row in rows:
        of.setdefault(_dataset(row), []).append(row)
    for number, (dataset, answered) in enumerate(of.items()):
        place = folder / f"scored{number}"
        answers = {row.sample.id: row.response.text for row in answered}
        found = await _evaluated(_root(answered, root), dataset, answers, place)
        hits, raised = as_mapping(found.get("hits")), as_mapping(found.get("raised"))
        for row in answered:
            yield row.item, _decision(as_mapping(hits.get(row.sample.id)), raised)


async def _evaluated(root: Path, dataset: str, answers: Mapping[str, str], place: Path) -> Mapping[str, Json]:
    import anyio.to_thread

    from .process import Refused, asked

    file = place.with_suffix(".json")
    await anyio.to_thread.run_sync(_write, place, file, answers)
    try:
        return await asked(root, "evaluate", name=dataset, answers=str(file), folder=str(place))
    except Refused as refused:
        where = str(refused.facts.get("place", ""))
        raise HarnessError(f"VLMEvalKit cannot score {dataset}: {_said(refused.facts)}", where=where) from refused


def _write(place: Path, file: Path, answers: Mapping[str, str]) -> None:
    place.mkdir()
    file.write_text(json.dumps(answers), encoding="utf-8")


def _said(raised: Mapping[str, Json]) -> str:
    """What their code raised, in one line."""
    return " ".join(redact(": ".join(str(raised[name]) for name in ("type", "message") if raised.get(name))).split())


def _decision(found: Mapping[str, Json], raised: Mapping[str, Json]) -> Verdict | Unscored:
    """A verdict by their hit of one answer; `raised` is what their code raised, which may be why there is none."""
    if found.get("hit") is None:
        what = "its hit is no number" if found else "it gave no result for this answer"
        why = f"; it raised {_said(raised)} ({raised.get('place', '')})" if raised else ""
        return Unscored(state="judge_error", message=f"VLMEvalKit: {what}{why}")
    hit = float(found["hit"])
    if not 0 <= hit <= 1:
        return Unscored(state="judge_error", message=f"VLMEvalKit's hit is {hit}, which is no share of 1")
    label = "none" if found.get("unparsed") else {1.0: "right", 0.0: "wrong"}.get(hit, "partial")
    axes: dict[str, str | float | bool] = {"said": str(found["said"])} if "said" in found else {}
    if label == "partial":
        axes["hit"] = hit
    return Verdict(label=label, axes=axes, reason=str(found.get("log", "")))


def _dataset(row: Answered) -> str:
    target: Json = row.sample.target
    name = cast("dict[str, Json]", target).get("dataset") if isinstance(target, dict) else None
    if not name:
        raise HarnessError(f"sample {row.sample.id} is of none of VLMEvalKit's data sets")
    return str(name)


def _root(rows: Sequence[Answered], default: Path) -> Path:
    """Where the data set lies: where its images do; of one of texts, the judge's own root, which is the open set's."""
    images = (image for row in rows for image in row.sample.request.images)
    return next((image.files.root for image in images), default)


def _package() -> str:
    """What scores, which can change a score; empty where it is not installed: scoring will say so."""
    from .process import package

    try:
        return package()
    except HarnessError:
        return ""


def _open(_: Settings, root: Path) -> Rubric:
    def score(rows: Sequence[Answered], folder: Path, ask: Ask) -> Decided:
        return _score(rows, folder, ask, root=root)

    return Rubric(
        identity={"matching": "exact", "package": _package()},
        labels=LABELS,
        score=score,
        fidelity="upstream",
        meanings=MEANINGS,
    )


JUDGE: Final = Judge(
    name="vlmeval",
    version="1",
    description="a rule: VLMEvalKit's own scoring of a split, by exact matching",
    open=_open,
)
