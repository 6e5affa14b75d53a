"""Helpers for judge authors: template and fields to a Verdict."""

from harness.rubric.classifiers import classifier
from harness.rubric.prompts import MEANT, UserText, identity, intent, judge, question
from harness.rubric.replies import Fields, Form, Kind, ReplySchema, repair_request, unparsable
from harness.rubric.templates import fill, harmless, headless, heads_of, looks_like_verdict

__all__ = [
    "MEANT",
    "Fields",
    "Form",
    "Kind",
    "ReplySchema",
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
