"""What VLMEvalKit's scorers leave in their folder: a result for each sample, under names of their own."""

from __future__ import annotations

import ast
import importlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_UNPARSED = ("Failed in Prefetch", "Failed to predict")  # their words for an answer that names no option
_UNKNOWN = "Unknown"  # their word for an answer that is neither yes nor no
_LONGEST = 500


def plain(answer: str) -> str:
    """An answer that every table of theirs takes: no lone surrogate, no control character but tab and new line."""
    whole = answer.encode("utf-8", "replace").decode("utf-8")
    return "".join(letter if letter >= " " or letter in "\n\t" else " " for letter in whole)


def hits(folder: Path, answers: Path, name: str) -> dict[str, dict[str, Any]]:
    """Index -> `hit`, and where it is known `said`, `unparsed` and `log`; empty where they left none.

    A hit that is no number (NaN, infinity, a text) is None: it says neither right nor wrong.

    Args:
        folder: of their results.
        answers: the file that was scored.
        name: of the data set, which says how several matches of one answer become a hit.
    """
    load = importlib.import_module("vlmeval.smp").load
    for file in sorted(folder.iterdir(), key=lambda path: (path.suffix != ".pkl", path.name)):
        if file == answers or file.suffix not in (".pkl", ".tsv"):
            continue
        found = dict(_of(load(str(file)), name))
        if found:
            return found
    return {}


def _of(loaded: Any, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if hasattr(loaded, "columns"):
        for row in loaded.to_dict("records") if "index" in loaded else ():
            if "eval_match" in row:
                yield str(row["index"]), {"hit": _matched(row["eval_match"], name), "log": str(row.get("eval_pred"))}
            elif "hit" in row or "score" in row:
                yield str(row["index"]), _result({"hit": row.get("hit", row.get("score")), **row})
    elif hasattr(loaded, "items"):  # index -> hit and log
        for index, result in loaded.items():
            if hasattr(result, "items") and "hit" in result:
                yield str(index), _result(result)


def _matched(matches: str, name: str) -> float | None:
    """Their hit of one answer, from how it matches each right one."""
    their: Any = importlib.import_module("vlmeval.dataset.utils.vqa_eval")
    return _number(their.hit_calculate([{"match": ast.literal_eval(matches)}], name)[0])


def _number(hit: Any) -> float | None:
    try:
        found = float(hit)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def _result(found: dict[str, Any]) -> dict[str, Any]:
    log = str(found.get("log", ""))[:_LONGEST]
    result: dict[str, Any] = {"hit": _number(found["hit"]), "log": log}
    if "extracted" in found:
        said = str(found["extracted"])
        return {**result, "said": "" if said == _UNKNOWN else said.lower(), "unparsed": said == _UNKNOWN}
    return {**result, "unparsed": any(words in log for words in _UNPARSED)}
