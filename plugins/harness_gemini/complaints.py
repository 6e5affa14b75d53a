"""What an error of Google's services becomes: a Failure of one sample, or a HarnessError that ends the run.

The body is `{"error": {"code", "message", "status", "details": [{"@type": …ErrorInfo, …RetryInfo, …QuotaFailure}]}}`:
https://ai.google.dev/gemini-api/docs/troubleshooting, https://cloud.google.com/apis/design/errors.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from harness import Failure, HarnessError, Json
from harness.errors import Forbidden
from harness.http.status import Complaint, as_list, as_mapping, failure

from .wire import LOGIN, Rejected

_KEY_WORDS = re.compile(r"api key (not valid|expired|not found)|pass a valid api key", re.IGNORECASE)
_KEY_REASONS = frozenset({"API_KEY_INVALID", "API_KEY_EXPIRED", "ACCESS_TOKEN_EXPIRED", "CREDENTIALS_MISSING"})
_GONE = re.compile(r"limit: 0\b|credits are depleted|spending cap", re.IGNORECASE)
_PLACE = re.compile(r"location is not supported|not available in your country|enable billing", re.IGNORECASE)
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """An error body, read.

    Attributes:
        message: its words, without keys.
        status: name of the code, such as RESOURCE_EXHAUSTED.
        reasons: of its ErrorInfo, such as API_KEY_INVALID.
        quotas: ids of the quotas that ran out, such as GenerateRequestsPerDayPerProjectPerModel-FreeTier.
        wait: seconds to wait, where it says so.
    """

    message: str
    status: str = ""
    reasons: frozenset[str] = frozenset()
    quotas: tuple[str, ...] = ()
    wait: float | None = None

    @staticmethod
    def of(rejected: Rejected) -> Trouble:
        """Read a body; one of another shape is its own message."""
        error = _error(rejected.content)
        details = [as_mapping(detail) for detail in as_list(error.get("details"))]
        violations = [as_mapping(one) for detail in details for one in as_list(detail.get("violations"))]
        delays = [_SECONDS.fullmatch(str(detail.get("retryDelay"))) for detail in details]
        return Trouble(
            message=rejected.where.redact(Complaint.of(rejected.content).message),
            status=str(error.get("status") or ""),
            reasons=frozenset(str(detail["reason"]) for detail in details if "reason" in detail),
            quotas=tuple(str(one.get("quotaId") or "") for one in violations),
            wait=next((float(delay[1]) for delay in delays if delay), None),
        )


def _error(content: bytes) -> Mapping[str, Json]:
    try:
        payload = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return as_mapping(as_mapping(next(iter(as_list(payload)), payload)).get("error"))


def outcome(rejected: Rejected, trouble: Trouble) -> Failure:
    """The Failure for an error that teaches nothing about parameters.

    Raises:
        Forbidden: key, credentials, permission, no such model.
        HarnessError: no request will work: place, billing, quota.
    """
    _stop(rejected, trouble)
    found = failure(rejected.status, rejected.headers, Complaint.of(rejected.content), rejected.where)
    return found if trouble.wait is None else replace(found, retry_after=trouble.wait)


def _stop(rejected: Rejected, trouble: Trouble) -> None:
    status, said, where = rejected.status, trouble.message, rejected.where
    if status == 401 or trouble.reasons & _KEY_REASONS or (status == 400 and _KEY_WORDS.search(said)):
        what = f"the key in {where.key_env} is" if where.key_env else "the credentials are"
        remedy = f"export {where.key_env}=…" if where.key_env else LOGIN
        raise Forbidden(f"{what} not accepted: {said}", where=where.url, remedy=remedy)
    if trouble.status == "FAILED_PRECONDITION" or (status == 400 and _PLACE.search(said)):
        remedy = "the place you ask from, or the account's billing, must change"
        raise HarnessError(f"the service cannot be asked: {said}", where=where.url, remedy=remedy)
    if status == 402 or (status == 429 and _gone(trouble)):
        remedy = "wait for the quota to be renewed or add credit, then run again"
        raise HarnessError(f"the quota is gone: {said}", where=where.url, remedy=remedy)
    if status == 403:
        remedy = "enable the API for the project, and allow the key or the account to use it"
        raise Forbidden(f"asking is not permitted: {said}", where=where.url, remedy=remedy)
    if status == 404:
        remedy = "check the model's name, the location and the address; `-M api_version` may matter too"
        raise Forbidden(f"no such model or address: {said}", where=where.url, remedy=remedy)


def _gone(trouble: Trouble) -> bool:
    """Whether waiting a minute does not help: a quota of the day, one of zero, or credit that is spent."""
    return any("PerDay" in quota for quota in trouble.quotas) or _GONE.search(trouble.message) is not None
