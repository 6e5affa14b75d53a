"""Safe readers of data files, for task authors."""

from harness.readers.files import DataFiles, first_of, inside, open_files
from harness.readers.records import (
    Row,
    distinct,
    document,
    image_mark,
    normalize_question,
    parquet_rows,
    parquet_tables,
    prompt,
    read_text,
    rows,
    together,
)

__all__ = [
    "DataFiles",
    "Row",
    "distinct",
    "document",
    "first_of",
    "image_mark",
    "inside",
    "normalize_question",
    "open_files",
    "parquet_rows",
    "parquet_tables",
    "prompt",
    "read_text",
    "rows",
    "together",
]
