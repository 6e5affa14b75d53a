"""The run folder: journals, records and listings."""

from harness.store.folder import RunFolder, TaskFolder, file_name

__all__ = [
    "RunFolder",
    "TaskFolder",
    "file_name",
]
