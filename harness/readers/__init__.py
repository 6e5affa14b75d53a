"""Safe readers of data files for task authors."""

from harness.readers.files import DataFiles, inside, open_files
from harness.readers.records import Row, distinct, document, prompt, rows, together

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
