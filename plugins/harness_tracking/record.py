"""What a service is given of a run: configuration, numbers, a table of samples and two files.

Redaction is that of `harness export`. Only the table may hold texts, and only if asked to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.errors import HarnessError
from harness.runs.redaction import FileRedactor, LineRedactor, redact_word, remove_keys
from harness.runs.stored import StoredRun, open_run
from harness.types import Json

ROWS: Final = 10_000  #: most rows of the table of samples; the services refuse or cut longer ones
COLUMNS: Final = ("task", "split", "id", "epoch", "category", "outcome", "judge", "state", "label")
TEXTS: Final = ("question", "answer", "reason")  #: more columns, if texts are asked for
LONGEST: Final = 10_000  #: characters of a text in the table: services refuse large tables, and memory has to hold it
_MORE: Final = 1000  # characters behind these that are read too, so that no part of a key is left
_CONFIG: Final = ("started", "model", "identity", "identity_digest", "overrides", "judges", "tasks", "suites")
_METRIC: Final = ("value", "numerator", "denominator", "unresolved")

Raw = Mapping[str, Any]
Row = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedRun:
    """A run, as it is logged.

    Attributes:
        id: the same for each invocation of a run folder; another one after `--fresh`.
        name: model and folder, for people.
        config: of the redacted run.json what was asked, how and of whom.
        metrics: `TASK/SPLIT/JUDGE/METRIC/value` and the like -> number.
        tags: short facts that may change from one invocation to the next.
        columns: of the table of samples.
        rows: of the table; a row per sample, epoch and judge.
        files: name -> content of the redacted results.json and run.json.
    """

    id: str
    name: str
    config: Mapping[str, Json]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    files: Mapping[str, Json]


def load_tracked_run(folder: Path, *, texts: bool = False) -> TrackedRun:
    """Read a run folder with results.

    Args:
        folder: the run folder.
        texts: put questions, answers and judges' reasons into the table.

    Raises:
        HarnessError: there is no run, or it has no results.
    """
    run = open_run(folder)
    stored = run.folder.results
    if not stored:
        raise HarnessError("the run has written no results yet", where=str(folder))
    raw = run.file.as_json()
    redactor = FileRedactor.of(raw)
    results, file = redactor.redact_results(stored), redactor.redact_run(raw)
    metrics = dict(list_metrics(results))
    rows, left_out = list_rows(run, stored, redactor, texts=texts)
    metrics |= {"samples/rows": float(len(rows)), "samples/rows_left_out": float(left_out)}
    model: Any = results["model"]
    shard = f", shard {folder.resolve().name}" if run.file.shard else ""
    tasks: Any = results["tasks"]
    complete = all(split.get("complete") for task in tasks.values() for split in task["splits"].values())
    return TrackedRun(
        id=hashlib.sha256(f"{folder.resolve()}\n{run.file.started}".encode()).hexdigest()[:16],
        name=f"{model['ref']}{shard}",
        config={key: file[key] for key in _CONFIG},
        metrics=metrics,
        tags={
            "harness.version": str(results["harness"]),
            "harness.identity": str(file["identity_digest"]),
            "harness.tasks": ",".join(run.splits)[:500],
            "harness.complete": "yes" if complete else "no",
            "harness.texts": "yes" if texts else "no",
        },
        columns=COLUMNS + (TEXTS if texts else ()),
        rows=tuple(rows),
        files={"results.json": results, "run.json": file},
    )


def list_metrics(results: Raw) -> Iterator[tuple[str, float]]:
    """Each number of results.json that a service plots, under its name; a metric without a value is left out."""
    for display, task in results["tasks"].items():
        for name, split in task["splits"].items():
            title = f"{display}/{name}"
            yield from _list_counts(f"{title}/outcomes", split["outcomes"])
            for judge, view in ((split["judge"], split), *split["other_judges"].items()):
                place = f"{title}/{judge or 'no judge'}"
                yield from _list_counts(place, {"coverage": view.get("coverage")})
                yield from _list_counts(f"{place}/verdicts", view.get("verdicts") or {})
                yield from _list_counts(f"{place}/labels", view.get("labels") or {})
                for metric, body in view["metrics"].items():
                    yield from _list_counts(f"{place}/{metric}", {key: body.get(key) for key in _METRIC})
                    for key in ("ci95", "bounds", "ci95_worst"):
                        low, high = body.get(key) or (None, None)
                        yield from _list_counts(f"{place}/{metric}", {f"{key}_low": low, f"{key}_high": high})
    usage = results["usage"]
    yield from _list_counts("usage", {"cost_usd": usage.get("cost_usd"), "wall_s": results.get("wall_s")})
    yield from _list_counts("usage/model", usage["model"])
    for judge, each in usage["judges"].items():
        yield from _list_counts(f"usage/{judge}", each)


def list_rows(run: StoredRun, results: Raw, redactor: FileRedactor, *, texts: bool) -> tuple[list[Row], int]:
    """A row for each asked item and each judge that has seen it, and the number of rows that are too many.

    An item that no judge has seen has one row, with empty cells.
    """
    rows: list[Row] = []
    left_out = 0
    for title in run.splits:
        display, _, name = title.rpartition(":")
        lines = LineRedactor.of(results["tasks"].get(display) or {})
        for item in run.items(title):
            replies = tuple(item.said.values()) or (None,)
            if len(rows) >= ROWS:
                left_out += len(replies)
                continue
            asked = lines.redact_asked(item.answer.asked)
            who = (display, name, *(str(asked["id"]), int(str(asked["epoch"]))), str(asked["category"]), item.outcome)
            spoken = (show_text(item.answer.question), show_text(item.answer.text)) if texts else ()
            for reply in replies:
                judged = (
                    ("", "", "")
                    if reply is None
                    else (redactor.ids.get(reply.judge) or redact_word(reply.judge), reply.state, reply.label)
                )
                reason = ("" if reply is None else show_text(reply.reason),) if texts else ()
                rows.append((*who, *judged, *spoken, *reason))
    return rows[:ROWS], left_out + len(rows[ROWS:])


def show_text(text: str) -> str:
    """A text without keys, cut if it is long."""
    shown = str(remove_keys(text[: LONGEST + _MORE]))
    return shown if len(text) <= LONGEST else f"{shown[:LONGEST]}… ({len(text):,} characters)"


def _list_counts(place: str, numbers: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, number in numbers.items():
        if isinstance(number, int | float):
            yield f"{place}/{name}", float(number)
