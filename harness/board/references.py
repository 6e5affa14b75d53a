"""Moved to harness.board.published."""

from harness.board.published import find_references as references

__all__ = ["references"]
