"""Helpers for judge authors: template and fields to a Verdict."""

from harness.rubric.classifying import classifier
from harness.rubric.defusing import harmless, headless, heads_of
from harness.rubric.making import judge, repair_request
from harness.rubric.planted import looks_like_verdict
from harness.rubric.replies import Fields, Form, Kind, unparsable
from harness.rubric.sheet import identity, intent, question
from harness.rubric.templates import fill
from harness.rubric.user_text import MEANT, UserText

__all__ = [
    "MEANT",
    "Fields",
    "Form",
    "Kind",
    "UserText",
    "classifier",
    "fill",
    "harmless",
    "headless",
    "heads_of",
    "identity",
    "intent",
    "judge",
    "looks_like_verdict",
    "question",
    "repair_request",
    "unparsable",
]
