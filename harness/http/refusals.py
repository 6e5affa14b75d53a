"""Parameters that a server says it does not support, in the several ways servers say it.

A provider hears such a refusal once, leaves the parameter out from then on, and tells it by `ModelInfo.dropped`. A bad
value is no refusal: it is the user's to mend.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from harness.http.status import Complaint

#: Statuses with which a request is refused for what it holds.
REFUSALS = frozenset({400, 422})
_CODES = frozenset({"unsupported_parameter", "unsupported_value", "unknown_parameter"})
_WORDS = re.compile(
    r"not supported|unsupported|not support|not permitted|extra_forbidden|unrecogni[sz]ed|unknown (parameter|argument)"
    r"|deprecated for this model",
    re.IGNORECASE,
)


def unsupported(complaint: Complaint, sent: Collection[str]) -> str | None:
    """The parameter of those sent that a server says it does not support, if it says so.

    `param` counts where the code says unsupported; else the message must say so, and name it in quotes, after
    "parameter" or "argument", at its own start, or in one of the fixed sentences of validators.
    """
    named = complaint.param.partition(".")[0]
    says_so = _WORDS.search(complaint.message) is not None
    if named in sent and (complaint.codes & _CODES or says_so):
        return named
    if not says_so:
        return None
    return next((name for name in sorted(sent, key=len, reverse=True) if _names(complaint.message, name)), None)


def _names(message: str, name: str) -> bool:
    name = re.escape(name)
    quoted = rf"""['"`]{name}['"`]"""
    plain = rf"(?:^|\b(?i:parameter|argument)s?\b[^:]{{0,30}}:?\s*){name}\b"
    fixed = rf"\b{name}(?:\.\w+)*(?:: Extra inputs are not permitted| is deprecated for this model)"
    return re.search(f"{quoted}|{plain}|{fixed}", message) is not None
