"""Moved to harness.contracts."""

from harness.contracts import Answered, Ask, Decision, Judge, Read, Rubric, Score

__all__ = ["Answered", "Ask", "Decision", "Judge", "Read", "Rubric", "Score"]
