"""The rubric `vlmeval`: VLMEvalKit's own scoring of a split, by exact matching; and metrics over its hits."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, cast

from harness import Answered, Ask, HarnessError, Json, Judge, Metric, Record, Rubric, Settings, Unscored, Verdict, rate

from .papers import VLMEVALKIT

Decided = AsyncIterator[tuple[str, Verdict | Unscored]]
#: label -> meaning
MEANINGS: Final = {
    "right": "VLMEvalKit counts the answer as right.",
    "wrong": "VLMEvalKit counts the answer as wrong.",
    "none": "VLMEvalKit reads no answer in the text.",
    "partial": "VLMEvalKit counts the answer by a share.",
}
LABELS: Final = tuple(MEANINGS)
GROUP: Final = "group"
QUESTION: Final = "question"
FIGURE: Final = "figure"


def hit(record: Record) -> tuple[float, float]:
    """Right counts 1, partial its share; wrong, unreadable, blocked and empty count 0."""
    return float(record.axes.get("hit", record.label == "right")), 1.0


def _by(tag: str) -> Callable[[Record], str]:
    return lambda record: record.tags.get(tag, record.id)


def _hits(name: str, description: str, *, group: Callable[[Record], str] | None = None, main: bool = False) -> Metric:
    """The share of hits; with `group`, of groups with only hits."""
    return Metric(
        name=name,
        score=hit,
        group=group,
        combine="all" if group else "sum",
        better="higher",
        main=main,
        labels=("right",),
        description=description,
    )


ACCURACY: Final = _hits("accuracy", "Share of the questions that were answered right.", main=True)
UNPARSABLE: Final = rate(
    "unparsable", "none", better="lower", description="Share of the questions whose answer names none of the options."
)
ROTATED: Final = _hits(
    "accuracy",
    "Share of the questions that were answered right in every rotation of their options.",
    group=_by(GROUP),
    main=True,
)
EACH: Final = _hits("accuracy_each", "Share of right answers, each rotation of the options by itself.")

HALLUSION: Final = (
    _hits("aAcc", "Share of the questions that were answered right.", main=True),
    _hits("qAcc", "Share of the question groups in which every answer is right.", group=_by(QUESTION)),
    _hits("fAcc", "Share of the figures about which every answer is right.", group=_by(FIGURE)),
)


def _is_yes(record: Record) -> bool:
    target: Json = record.target
    return isinstance(target, dict) and cast("dict[str, Json]", target).get("answer") == "yes"


def _says_yes(record: Record) -> bool:
    return record.axes.get("said") == "yes"


def _f1(record: Record) -> tuple[float, float]:
    if _is_yes(record):
        return (2.0, 2.0) if _says_yes(record) else (0.0, 1.0)
    return (0.0, 1.0) if _says_yes(record) else (0.0, 0.0)


YESNO: Final = (
    ACCURACY,
    Metric(
        name="precision",
        score=lambda r: (float(_is_yes(r)), 1.0) if _says_yes(r) else (0.0, 0.0),
        possible=lambda r: ((float(_is_yes(r)), 1.0), (0.0, 0.0)),
        better="higher",
        labels=(),
        description="Share of right answers among those that say yes.",
    ),
    Metric(
        name="recall",
        score=lambda r: (float(_says_yes(r)), 1.0) if _is_yes(r) else (0.0, 0.0),
        possible=lambda r: ((0.0, 1.0), (1.0, 1.0)) if _is_yes(r) else ((0.0, 0.0),),
        better="higher",
        labels=(),
        description="Share of the questions with the answer yes that were answered yes.",
    ),
    Metric(
        name="F1",
        score=_f1,
        possible=lambda r: ((2.0, 2.0), (0.0, 1.0)) if _is_yes(r) else ((0.0, 0.0), (0.0, 1.0)),
        better="higher",
        labels=(),
        description="Harmonic mean of precision and recall, yes being the positive answer.",
    ),
    Metric(
        name="yes_rate",
        score=lambda r: (float(_says_yes(r)), 1.0),
        better="neither",
        labels=(),
        description="Share of the questions that were answered yes; half of them have that answer.",
    ),
    UNPARSABLE,
)


async def _score(rows: Sequence[Answered], folder: Path, _: Ask, *, root: Path) -> Decided:
    """Decide on each answer by VLMEvalKit's score."""
    import anyio

    from harness.http.status import as_mapping

    from .process import Refused, ask_kit

    by_dataset: dict[str, list[Answered]] = {}
    for row in rows:
        target: Json = row.sample.target
        name = as_mapping(target).get("dataset")
        if not name:
            raise HarnessError(
                f"sample {row.sample.id} belongs to no data set of VLMEvalKit",
                remedy="use this judge for tasks of vlmeval alone",
            )
        by_dataset.setdefault(str(name), []).append(row)
    for number, (dataset, answered) in enumerate(by_dataset.items()):
        # a data set lies next to its images; one without images, in the judge's root, the open set's
        images = (image for row in answered for image in row.sample.images)
        data = next((image.files.root for image in images), root)
        place = folder / f"scored{number}"
        file = place.with_suffix(".json")
        answers = {row.sample.id: row.response.text for row in answered}
        await anyio.Path(place).mkdir()
        await anyio.Path(file).write_text(json.dumps(answers), encoding="utf-8")
        try:
            found = await ask_kit(data, "evaluate", name=dataset, answers=str(file), folder=str(place))
        except Refused as refused:
            where = str(refused.facts.get("place", ""))
            what = f"VLMEvalKit cannot score {dataset}: {_format_raised(refused.facts)}"
            raise HarnessError(what, where=where) from refused
        hits, raised = as_mapping(found.get("hits")), as_mapping(found.get("raised"))
        for row in answered:
            yield row.item, _decide(as_mapping(hits.get(row.sample.id)), raised)


def _format_raised(raised: Mapping[str, Json]) -> str:
    """The exception of VLMEvalKit's code, in one line."""
    from .child.protocol import redact

    return " ".join(redact(": ".join(str(raised[name]) for name in ("type", "message") if raised.get(name))).split())


def _decide(found: Mapping[str, Json], raised: Mapping[str, Json]) -> Verdict | Unscored:
    """A verdict from VLMEvalKit's hit of one answer; `raised`, its code's exception, may explain a missing hit."""
    if found.get("hit") is None:
        what = "its hit is not a number" if found else "it gave no result for this answer"
        why = f"; it raised {_format_raised(raised)} ({raised.get('place', '')})" if raised else ""
        return Unscored(state="judge_error", message=f"VLMEvalKit: {what}{why}")
    hit = float(found["hit"])
    if not 0 <= hit <= 1:
        return Unscored(state="judge_error", message=f"VLMEvalKit's hit is {hit}, not between 0 and 1")
    label = "none" if found.get("unparsed") else {1.0: "right", 0.0: "wrong"}.get(hit, "partial")
    axes: dict[str, str | float | bool] = {"said": str(found["said"])} if "said" in found else {}
    if label == "partial":
        axes["hit"] = hit
    return Verdict(label=label, axes=axes, reason=str(found.get("log", "")))


def _open(_: Settings, root: Path) -> Rubric:
    from .process import find_package

    try:
        package = find_package()  # its version can change a score
    except HarnessError:
        package = ""  # it is not installed: scoring will say so

    def score(rows: Sequence[Answered], folder: Path, ask: Ask) -> Decided:
        return _score(rows, folder, ask, root=root)

    return Rubric(
        identity={"matching": "exact", "package": package},
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
    paper=VLMEVALKIT,
)
