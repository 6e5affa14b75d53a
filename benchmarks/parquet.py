"""Listing 20,000 records that hold their images, beside pyarrow reading the same file.

python -m benchmarks.parquet
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from harness.readers import open_files, rows

GROUPS, RECORDS, BYTES = 20, 1000, 20_000
MOST = 3.0
HUB = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "a.parquet")
        write(file)
        reference = measure(lambda: parquet.read_table(file))
        ours = measure(lambda: list_images(file.parent))
    print(f"listed in {ours:.2f} s, {ours / reference:.1f} of reading it by pyarrow (at most {MOST:g})")


def write(file: Path) -> None:
    images = pa.array([{"bytes": os.urandom(BYTES), "path": f"{n}.png"} for n in range(RECORDS)], HUB)
    table = pa.table({"q": ["what is this? " * 20] * RECORDS, "image": images})
    with parquet.ParquetWriter(file, table.schema, use_dictionary=False, compression="none") as writer:
        for _ in range(GROUPS):
            writer.write_table(table)


def list_images(folder: Path) -> None:
    """As a task lists its samples: each image is found, and none is opened."""
    files = open_files(folder)
    assert len([files.image(row.text("image")) for row in rows(files, "a.parquet")]) == GROUPS * RECORDS


def measure(act: Callable[[], object]) -> float:
    """Seconds of the processor, the best of three."""
    taken: list[float] = []
    for _ in range(3):
        start = time.process_time()
        act()
        taken.append(time.process_time() - start)
    return min(taken)


if __name__ == "__main__":
    main()
