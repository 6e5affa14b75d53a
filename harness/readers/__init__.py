"""Safe readers of data files for task authors."""

from harness.readers.files import DataFiles, inside, open_files
from harness.readers.likeness import image_mark, normalised
from harness.readers.parquet import parquet_rows, parquet_tables
from harness.readers.places import first_of
from harness.readers.records import Row, distinct, document, prompt, rows, together

__all__ = [
    "DataFiles",
    "Row",
    "distinct",
    "document",
    "first_of",
    "image_mark",
    "inside",
    "normalised",
    "open_files",
    "parquet_rows",
    "parquet_tables",
    "prompt",
    "rows",
    "together",
]
