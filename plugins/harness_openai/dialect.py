"""What a server takes, learnt from what it refuses.

Servers of one form differ in small things: some know `max_tokens`, some `max_completion_tokens`; some models refuse a
temperature, a seed or structured output. Each refusal is heard once, remembered for all later calls, and told to the
run by `ModelInfo`. Only an answer that says a parameter is not supported counts; a bad value is the user's to mend.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

from harness import Json, Request
from harness.http.chat import response_format, sampling
from harness.http.refusals import unsupported
from harness.http.status import Complaint

_LIMITS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_SCHEMA = "response_format"
_SCHEMA_WORDS = re.compile(r"response_format|json.?schema|grammar|guided", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """The parameters one model takes.

    Attributes:
        limit: name of the token limit on the wire.
        settled: the name was given or found; another refusal drops the limit.
        seed: name of the seed on the wire.
        dropped: sampling settings that are left out.
        schema: structured output is asked for.
    """

    limit: str
    settled: bool = False
    seed: str = "seed"
    dropped: frozenset[str] = frozenset()
    schema: bool = True

    def parameters(self, request: Request) -> dict[str, Json]:
        """What is sent of a request's settings."""
        wanted = {name: value for name, value in sampling(request.settings).items() if name not in self.dropped}
        if "max_tokens" in wanted:
            wanted[self.limit] = wanted.pop("max_tokens")
        if "seed" in wanted:
            wanted[self.seed] = wanted.pop("seed")
        if request.schema is not None and self.schema:
            wanted[_SCHEMA] = response_format(request.schema)
        return wanted

    def without(self, name: str) -> Dialect:
        """The dialect after a parameter was refused; the same where that was known."""
        if name == _SCHEMA:
            return replace(self, schema=False)
        if name == self.seed:
            return replace(self, dropped=self.dropped | {"seed"})
        if name not in _LIMITS:
            return replace(self, dropped=self.dropped | {name})
        if name != self.limit:
            return self
        if self.settled:
            return replace(self, dropped=self.dropped | {"max_tokens"})
        return replace(self, limit=_LIMITS[name], settled=True)


def refused(complaint: Complaint, sent: Collection[str]) -> str | None:
    """The parameter of those sent that a server says it does not support, if it says so.

    Any complaint about structured output counts: answers are parsed strictly without it.
    """
    named = complaint.param.partition(".")[0]
    if _SCHEMA in sent and (named == _SCHEMA or _SCHEMA_WORDS.search(complaint.message)):
        return _SCHEMA
    return unsupported(complaint, sent)
