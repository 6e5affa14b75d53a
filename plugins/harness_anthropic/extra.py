"""`-M extra`: more of the request's body, as the user writes it."""

from __future__ import annotations

import json

from harness import HarnessError, Json, Settings
from harness.http.status import as_mapping

_OWNED = frozenset({
    "model", "messages", "system", "stream", "max_tokens", "temperature", "top_p", "stop_sequences", "thinking",
    "output_config", "tools", "tool_choice",
})  # fmt: skip


def extra(settings: Settings) -> dict[str, Json]:
    """Parameters of the body that the settings fix.

    Raises HarnessError where `extra` is not a JSON object, or names what the harness itself sets and records.
    """
    try:
        parsed = json.loads(settings["extra"] or "{}")
    except ValueError:
        parsed = None
    given = as_mapping(parsed)
    if given != parsed:
        raise HarnessError("-M extra is not a JSON object", remedy="""such as -M extra='{"top_k": 20}'""")
    if owned := sorted(_OWNED.intersection(given)):
        raise HarnessError(f"-M extra must not hold {', '.join(owned)}", remedy="the harness sets and records these")
    return dict(given)
