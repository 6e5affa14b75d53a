"""Helpers for judge authors: template and fields to a Verdict."""

from harness.rubric.classifiers import classifier
from harness.rubric.prompts import identity, judge
from harness.rubric.replies import Fields, Form, Kind, ReplySchema, repair_request, unparsable
from harness.rubric.sees import MEANT, PARTS, SEES, UserText, caption, intent, normalize_sees, question
from harness.rubric.templates import fill, harmless, headless, heads_of, looks_like_verdict
from harness.rubric.turns import each_turn

__all__ = [
    "MEANT",
    "PARTS",
    "SEES",
    "Fields",
    "Form",
    "Kind",
    "ReplySchema",
    "UserText",
    "caption",
    "classifier",
    "each_turn",
    "fill",
    "harmless",
    "headless",
    "heads_of",
    "identity",
    "intent",
    "judge",
    "looks_like_verdict",
    "normalize_sees",
    "question",
    "repair_request",
    "unparsable",
]
