"""Suites: tasks that are run together under one name."""
