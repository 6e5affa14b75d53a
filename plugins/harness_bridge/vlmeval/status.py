"""What VLMEvalKit wrote about its run: its exit code is 0 even where every data set failed."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from harness import HarnessError, Json
from harness.http.status import as_mapping

_OURS = ("--model", "--config", "--base-url")
JUDGE = ("--judge", "exact_matching")


def with_judge(flags: Sequence[str]) -> tuple[str, ...]:
    """The flags, with a judge that needs no model where none is named.

    Raises:
        HarnessError: a flag names the model, which is the bridge's, or none names the data.
    """
    if named := [flag for flag in _OURS if _value(flags, flag) is not None]:
        raise HarnessError(f"{named[0]} is among VLMEvalKit's flags", remedy="the bridge's own --model names the model")
    if _value(flags, "--data") is None and not {"-h", "--help"}.intersection(flags):
        raise HarnessError(
            "--data is not among VLMEvalKit's flags", remedy="add it after the --, such as --data MMStar"
        )
    return tuple(flags) if _value(flags, "--judge") is not None else (*flags, *JUDGE)


def folder(flags: Sequence[str], model: str) -> Path:
    """Where VLMEvalKit puts the model's results."""
    return Path(os.environ.get("MMEVAL_ROOT") or _value(flags, "--work-dir") or "outputs") / model


def failures(place: Path, since: float) -> dict[str, str]:
    """The data sets without a result, and why.

    Args:
        place: of the model.
        since: start of the run; older files are another's.

    Raises:
        HarnessError: no data set has one, or nothing was written.
    """
    found = [path for path in place.glob("**/status.json") if path.stat().st_mtime >= since - 1]
    if not found:
        raise HarnessError("VLMEvalKit wrote no status.json", where=str(place), remedy="its log says why")
    newest = max(found, key=lambda path: path.stat().st_mtime)
    sets = as_mapping(as_mapping(json.loads(newest.read_text("utf-8"))).get("datasets"))
    failed = {name: why for name, entry in sets.items() if (why := _why(entry))}
    if len(failed) == len(sets):
        told = "; ".join(f"{name}: {why}" for name, why in failed.items())
        raise HarnessError(f"VLMEvalKit failed on every data set: {told}", where=str(newest))
    return failed


def _why(entry: Json) -> str:
    """Why a data set has no result; empty where it has one, or where none was to be had."""
    inside = as_mapping(entry)
    if error := inside.get("error_message"):
        return str(error)
    if inside.get("skip_reason") == "invalid_dataset":
        return "VLMEvalKit knows no such data set"
    return "" if inside.get("status") == "done" else f"it ended at the step {inside.get('status')!r}"


def _value(flags: Sequence[str], name: str) -> str | None:
    """What a flag is given; None where it is not there."""
    for at, flag in enumerate(flags):
        if flag == name:
            return flags[at + 1] if at + 1 < len(flags) else ""
        if flag.startswith(f"{name}="):
            return flag.partition("=")[2]
    return None
