"""The run folder: journals, records, what was asked."""

from harness.store.folder import (
    RunFolder,
    TaskFolder,
    file_name,
)

__all__ = [
    "RunFolder",
    "TaskFolder",
    "file_name",
]
