"""One call of a model: what it said, and what can be known of how it came about."""

from __future__ import annotations

import sys
import time
from typing import Any, cast

from .faults import told
from .opening import Opened, no_grad


def ask(opened: Opened, message: list[dict[str, Any]], settings: dict[str, Any]) -> dict[str, Any]:
    """The reply to `generate`: `text`, `seconds`, whether it `failed`, and `seen` or `raised` where there is more."""
    model = opened.variant(settings)
    if hasattr(model, "harness_seen"):
        model.harness_seen.facts = {}
    started = time.perf_counter()
    try:
        with no_grad():
            said = model.generate(message)
    except BaseException as error:  # noqa: BLE001 - classes of the zoo even call sys.exit
        return {"raised": _raised(error), "seconds": time.perf_counter() - started}
    text = cast("dict[str, Any]", said).get("prediction") if isinstance(said, dict) else said
    seen = _seen(model)
    if seen.get("empty") and not seen.get("code"):
        text = ""  # VLMEvalKit makes its fail string of an empty answer
    return {
        "text": text if isinstance(text, str) else None,
        "type": type(text).__name__,
        "failed": _failed(model, text, seen),
        "seconds": time.perf_counter() - started,
        "seen": seen,
    }


def _seen(model: Any) -> dict[str, Any]:
    return model.harness_seen.facts if hasattr(model, "harness_seen") else {}


def _failed(model: Any, text: Any, seen: dict[str, Any]) -> bool:
    """Whether a text stands for no answer: the fail string, a code that is not 0, or an inner call that raised."""
    said = str(getattr(model, "fail_msg", "")).strip()
    return bool(said and isinstance(text, str) and said in text) or "raised" in seen or bool(seen.get("code"))


def _raised(error: BaseException) -> dict[str, Any]:
    torch = sys.modules.get("torch")
    memory = torch is not None and isinstance(error, torch.cuda.OutOfMemoryError)
    return {**told(error), **({"type": "out_of_memory"} if memory else {})}
