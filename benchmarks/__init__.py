"""Targets as commands: each prints a figure as a ratio to a reference measured in the same run. Never a timed test."""
