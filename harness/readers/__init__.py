"""Safe readers of data files for task authors."""

from harness.readers.records import (
    DataFiles,
    Row,
    distinct,
    document,
    inside,
    open_files,
    prompt,
    rows,
    together,
)

__all__ = [
    "DataFiles",
    "Row",
    "distinct",
    "document",
    "inside",
    "open_files",
    "prompt",
    "rows",
    "together",
]
