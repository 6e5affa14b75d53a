"""The samples and the metrics of a run as pandas data frames: `Run.samples()` and `Run.metrics()`.

pandas is imported on use. Each frame has all its columns also without a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from harness.contracts import Results
from harness.errors import HarnessError, UnknownName
from harness.keys import is_redacted, redact_text
from harness.runs.following import RunFollower
from harness.runs.items import Item, LabelMap
from harness.runs.state import RunState, check_run_folder, find_state
from harness.runs.stored import UNJUDGED, open_run
from harness.settings import nearest

if TYPE_CHECKING:
    import pandas as pd

#: columns of `samples`
SAMPLES: Final = (
    *("task", "split", "sample", "epoch", "judge", "primary", "outcome", "flags", "state", "label", "counts_as"),
    *("axes", "category", "cluster", "tags"),
    *("input_tokens", "output_tokens", "reasoning_tokens", "calls", "seconds"),
)
TEXTS: Final = ("question", "target", "answer", "reason")  #: further columns of `samples(texts=True)`
#: columns of `metrics`
METRICS: Final = (
    *("model", "task", "split", "judge", "primary", "metric", "main", "value", "unit", "better"),
    *("ci95_low", "ci95_high", "ci95_worst_low", "ci95_worst_high", "bounds_low", "bounds_high"),
    *("n", "records", "numerator", "denominator", "unresolved", "coverage", "complete", "why"),
    *("corrected", "corrected_low", "corrected_high", "labels", "corrected_why"),
)
_BATCH: Final = 5000  #: items read at once from a run that is not settled

_JUDGE: Final = SAMPLES.index("judge")

_Row = tuple[object, ...]


def load_samples(folder: Path, *, texts: bool) -> pd.DataFrame:
    """One row for each asked item and judge.

    Args:
        folder: the run folder; the run may still be going.
        texts: whether to add question, target, answer and the judge's reason, which may be harmful.

    Raises:
        HarnessError: there is no run, or a line of it is damaged.
    """
    import pandas as pd

    check_run_folder(folder)
    state = find_state(folder)
    names = (*SAMPLES, *TEXTS) if texts else SAMPLES
    try:
        rows = list(_list_settled(folder, texts=texts) if state.settled else _list_growing(folder, texts=texts))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _explain_damage(folder, f"{type(error).__name__}: {error}") from error
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    frame = pd.DataFrame({name: list(column) for name, column in zip(names, columns, strict=True)})
    try:
        for name in ("epoch", "input_tokens", "output_tokens", "reasoning_tokens", "calls"):
            frame[name] = frame[name].astype("int64")
        frame["seconds"] = frame["seconds"].astype("float64")
    except (ValueError, TypeError, OverflowError) as error:
        raise _explain_damage(folder, f"one of its numbers is not valid: {error}") from error
    frame["primary"] = frame["primary"].astype(bool)
    return frame


def _explain_damage(folder: Path, fault: str) -> HarnessError:
    return HarnessError(
        f"a line of this run cannot be read: {fault}", where=str(folder), remedy=f"harness verify {folder} names it"
    )


def _list_settled(folder: Path, *, texts: bool) -> Iterator[_Row]:
    """The rows of the items that results.json counts."""
    run = open_run(folder)
    for title in run.splits:
        display, _, name = title.rpartition(":")
        yield from _list_rows((display, name), run.words(title), run.items(title), texts=texts)
        run.folder.task(display).forget_indexes()


def _list_growing(folder: Path, *, texts: bool) -> Iterator[_Row]:
    """The rows of a run that is going, or that ended early: also of answers that no listing names yet."""
    follower = RunFollower(folder)
    try:
        found: dict[int, Item] = {}
        generation = follower.generation
        while batch := follower.advance(_BATCH):
            if follower.generation != generation:  # a file was replaced: all items come again
                generation = follower.generation
                found.clear()
            found.update(batch)
        if follower.unreadable:
            raise _explain_damage(folder, f"{follower.unreadable} in all")
        splits: dict[str, list[Item]] = {}
        for number, item in found.items():
            splits.setdefault(follower.part(number).title, []).append(item)
        for part in follower.parts:
            place = (part.display, part.title.rpartition(":")[2])
            yield from _list_rows(place, part.words, splits.get(part.title, ()), texts=texts)
    finally:
        follower.close()


def _list_rows(place: tuple[str, str], words: LabelMap, items: Iterable[Item], *, texts: bool) -> Iterable[_Row]:
    """A row for each item and judge of a split, items first; a judge that has read none of the answers has no rows."""
    judges: tuple[str | None, ...] = (*words.judges, None)  # the last is the row of an item that no judge has
    seen = set[str | None]()
    rows: list[_Row] = []
    for item in items:
        seen.update(item.said)
        answer = item.answer
        asked = answer.asked
        response: Mapping[str, Any] = answer.response or {}
        usage: Mapping[str, int] = response.get("usage", {})
        answered = answer.outcome == "answered"
        own = tuple(response.get("flags", ()))
        cluster = str(asked.get("cluster", ""))
        if cluster != asked["id"] and not is_redacted(cluster):  # it may be made of the question
            cluster = redact_text(cluster)
        first = (*place, asked["id"], asked["epoch"])
        last = (
            asked["category"],
            cluster,
            asked.get("tags", {}),
            usage.get("input_tokens", 0),
            usage.get("output_tokens", 0),
            usage.get("reasoning_tokens", 0),
            response.get("calls", 1 if response else 0),
            response.get("seconds"),
        )
        shown = (answer.question, asked.get("target"), answer.text) if texts else ()
        for judge in judges:
            reply = None if judge is None else item.said.get(judge)
            state = label = counts_as = None
            axes: Mapping[str, object] = {}
            flags = own
            if not answered:
                counts_as = item.label or None  # of a block or an empty answer the split says what it counts as
            elif reply is None or judge is None:
                state = UNJUDGED
            else:
                state, label, counts_as = reply.state, answer.verdicts[judge]["label"], reply.label or None
                axes = reply.axes
                flags = (*own, *(flag for flag in reply.flags if flag not in own))
            head = (
                *first,
                judge,
                judge is not None and judge == words.primary,
                answer.outcome,
                flags,
                state,
                label,
                counts_as,
            )
            row = (*head, axes, *last, *shown)
            rows.append((*row, "" if reply is None else reply.reason) if texts else row)
    kept = seen or {None}
    return (row for row in rows if row[_JUDGE] in kept)


def build_metrics(results: Results, by: str = "") -> pd.DataFrame:
    """One row for each task, split, judge and metric, in the order of results.json.

    Args:
        results: the dict of results.json.
        by: the name of a breakdown, such as `category`; then each group has rows of its own, named in `group`.

    Raises:
        UnknownName: no split has this breakdown.
    """
    import pandas as pd

    rows: list[dict[str, object]] = []
    known = set[str]()
    tasks: Mapping[str, Any] = results.get("tasks", {})
    for task, about in tasks.items():
        for name, split in cast("Mapping[str, Any]", about["splits"]).items():
            for judge, view in {split["judge"]: split, **split["other_judges"]}.items():
                head: dict[str, object] = {"model": results["model"]["ref"], "task": task, "split": name}
                head |= {"judge": judge, "primary": view is split}
                tail: dict[str, object] = {"coverage": view["coverage"], "complete": view["complete"]}
                groups: Mapping[str, Mapping[str, Any]] = view.get("by") or {}
                known.update(groups)
                if by:
                    for group, part in groups.get(by, {}).items():
                        place = {**head, "group": group}
                        rows += _list_metrics(part["metrics"], place, {**tail, "n": part["n"], "records": None})
                else:
                    counts = {"n": split["n"], "records": split["records"]}
                    rows += _list_metrics(view["metrics"], head, tail | counts)
    if by and by not in known:
        raise UnknownName(f"no split of this run is broken down by {by!r}", remedy=nearest(by, known))
    columns = ("model", "task", "split", "group", *METRICS[3:]) if by else METRICS
    frame = pd.DataFrame(rows, columns=list(columns))
    numbers = [name for name in columns if name.endswith(("_low", "_high"))]
    numbers += ["value", "numerator", "denominator", "unresolved", "coverage", "corrected"]
    frame[numbers] = frame[numbers].astype("float64")
    return frame


def _list_metrics(
    metrics: Mapping[str, Mapping[str, Any]], head: Mapping[str, object], tail: Mapping[str, object]
) -> Iterator[dict[str, object]]:
    for metric, figures in metrics.items():
        people: Mapping[str, Any] = figures.get("corrected") or {}
        ends: dict[str, object] = {}
        for name, given in (
            ("ci95", figures.get("ci95")),
            ("ci95_worst", figures.get("ci95_worst")),
            ("bounds", figures.get("bounds")),
            ("corrected", people.get("ci95")),
        ):
            ends[f"{name}_low"], ends[f"{name}_high"] = given or (None, None)
        yield {
            **head,
            "metric": metric,
            "main": bool(figures.get("main")),
            **{name: figures.get(name) for name in ("value", "unit", "better", "numerator", "denominator")},
            "unresolved": figures.get("unresolved"),
            **ends,
            **tail,
            "why": figures.get("why", ""),
            "corrected": people.get("value"),
            "labels": people.get("labels"),
            "corrected_why": people.get("why", ""),
        }


def require_results(state: RunState, folder: Path) -> Results:
    """The results of a run. Raises HarnessError with the reason if there are none."""
    if state.results is None:
        raise HarnessError(
            f"this run has no results yet: it is {state.name}: {state.why}",
            where=str(folder),
            remedy="`samples()` has what was answered so far",
        )
    return state.results
