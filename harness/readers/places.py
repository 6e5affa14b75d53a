"""How the place of an image inside a table is written: in the name of an image, behind the table's file and a `#`."""

from __future__ import annotations

from typing import Final

#: the place of an image in a cell of a table: file, column, where the record begins, number in the cell
CELL: Final = r"(?i)(.+\.(?:csv|tsv|jsonl|ndjson|json))#(.+?)/(\d{1,18})(?:/(\d{1,4}))?"
IN_PARQUET: Final = ".parquet#"  #: between a parquet file and the place of an image in it
#: the place of an image in its parquet file: column, record, number in the record
PARQUET_CELL: Final = r"(.+?)/(\d{1,18})(?:/(\d{1,18}))?"
