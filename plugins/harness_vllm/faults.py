"""What goes wrong in vLLM, as what it means: a sample that failed, or an engine that answers nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from harness import Failure, HarnessError

_MEMORY: Final = re.compile(
    r"out of memory|free memory|allocate memory|kv cache|memory utilization|available memory", re.IGNORECASE
)
_CONTEXT: Final = re.compile(r"maximum (context|model) length", re.IGNORECASE)
_RAISED: Final = re.compile(
    r"^(?:\(.*?\) )?(?:\w+ [\d-]+ [\d:]+ \[.*?\] )?((?:\w+\.)*\w*(?:Error|Exception): .+)$", re.MULTILINE
)
_CAUGHT: Final = re.compile(r"initialization failed|engine core proc|cancelled", re.IGNORECASE)
_TAKEN: Final = re.compile(r"less than desired", re.IGNORECASE)
_ROOMIER: Final = (
    "-M gpu_memory_utilization=0.95, a smaller -M max_model_len or -M max_num_seqs, "
    "or more GPUs by -M tensor_parallel=N"
)
_MODEST: Final = "others hold a part of it: end them, or take a smaller share by -M gpu_memory_utilization=0.5"


def not_started(ref: str, error: Exception, log: Path | None = None) -> HarnessError:
    """Why a model cannot be run, from what was raised here and what the engine's processes wrote."""
    cause = _first_raised(log) or _line(error)
    written = f"; the engine's own words are in {log}" if log else ""
    if _MEMORY.search(cause):
        advice = _MODEST if _TAKEN.search(cause) else _ROOMIER
        return HarnessError(f"there is too little memory for this model: {cause}", where=ref, remedy=advice + written)
    other = f"--model hf/{ref.partition('/')[2]} runs it with transformers, if they know it"
    return HarnessError(f"vLLM cannot run this model: {cause}", where=ref, remedy=other + written)


def died(ref: str, log: Path) -> HarnessError:
    """The engine ended while it was needed."""
    cause = _first_raised(log)
    return HarnessError(
        f"vLLM's engine has died{f': {cause}' if cause else ''}",
        where=ref,
        remedy=f"give the same command again: it goes on from here; the engine's own words are in {log}",
    )


def failure(error: BaseException) -> Failure:
    """What a sample gets for what vLLM raised at it alone."""
    cause = error.__cause__ if type(error).__name__ == "EngineGenerateError" and error.__cause__ else error
    message = str(cause)
    reason = "context_length" if _CONTEXT.search(message) else type(cause).__name__
    return Failure(outcome="error", reason=reason, message=message[:300])


def _first_raised(log: Path | None) -> str:
    """The first exception in a log that is not about another one; empty where there is none."""
    text = log.read_text(encoding="utf-8", errors="replace") if log and log.is_file() else ""
    return next((found[:300] for found in _RAISED.findall(text) if not _CAUGHT.search(found)), "")


def _line(error: Exception) -> str:
    """An exception in one line; pydantic writes its own above and below what was raised."""
    text = str(error).strip()
    inner = re.search(r"Value error, (.+?)(?: \[type=|$)", text, re.DOTALL)
    lines = (inner[1] if inner else text).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines and not inner else (lines or [type(error).__name__])[0]
