"""Helpers for judge authors: template and fields to a Verdict."""

from harness.rubric.making import (
    Fields,
    Form,
    Kind,
    fill,
    identity,
    judge,
    looks_like_verdict,
    question,
    repair_request,
    unparsable,
)

__all__ = [
    "Fields",
    "Form",
    "Kind",
    "fill",
    "identity",
    "judge",
    "looks_like_verdict",
    "question",
    "repair_request",
    "unparsable",
]
