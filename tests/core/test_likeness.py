"""Records of one image are known as such without opening it where it has a path, and by its bytes where it has none."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from harness.readers import cells, image_mark, open_files, parquet_rows

HUB = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def write(path: Path, *images: Any, kind: Any = HUB, **settings: Any) -> Path:
    parquet.write_table(pa.table({"image": pa.array(images, kind)}), path, **settings)
    return path


def hub(*images: bytes | None) -> list[Any]:
    return [None if image is None else {"bytes": image, "path": "x.png"} for image in images]


def marks(root: Path, name: str = "a.parquet") -> list[str]:
    files = open_files(root)
    return [image_mark(files, row.text("image")) for row in parquet_rows(files, name) if row.has("image")]


def test_a_path_is_its_own_mark_and_nothing_is_opened(tmp_path: Path) -> None:
    assert image_mark(open_files(tmp_path), "imgs/not there.png") == "imgs/not there.png"


def test_equal_bytes_have_one_mark_across_files_and_others_have_others(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", *hub(b"1", b"2", None, b"1"), row_group_size=2)
    write(tmp_path / "b.parquet", *hub(b"2"))
    one, two, again = marks(tmp_path)
    assert one == again != two
    assert marks(tmp_path, "b.parquet") == [two]


def test_each_image_of_a_list_has_a_mark_of_its_own(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", hub(b"1", b"2"), hub(b"2"), kind=pa.list_(HUB))
    files = open_files(tmp_path)
    found = [image_mark(files, f"a.parquet#image/{place}") for place in ("1/1", "1/2", "2/1")]
    assert found[0] != found[1] == found[2]


def test_a_column_with_a_slash_in_its_name_has_marks_too(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"before/after": pa.array(hub(b"1", b"1", b"2"), HUB)}), tmp_path / "a.parquet")
    files = open_files(tmp_path)
    one, same, other = (image_mark(files, row.text("before/after")) for row in parquet_rows(files, "a.parquet"))
    assert one == same != other


@pytest.mark.parametrize("place", ["image/0", "image/9", "image/1/2", "image/x", "image", "other/1", "image/-1"])
def test_an_image_that_is_not_there_is_like_no_other(tmp_path: Path, place: str) -> None:
    write(tmp_path / "a.parquet", *hub(b"1"))
    assert image_mark(open_files(tmp_path), f"a.parquet#{place}") == f"a.parquet#{place}"
    assert image_mark(open_files(tmp_path), f"../b.parquet#{place}") == f"../b.parquet#{place}"


def test_a_second_listing_reads_no_image_again_and_a_file_that_is_written_anew_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.parquet", *hub(b"1", b"2"))
    first = marks(tmp_path)
    with monkeypatch.context() as patch:
        patch.delattr(cells.Table, "column")
        assert marks(tmp_path) == first
    write(tmp_path / "a.parquet", *hub(b"33", b"2"))
    assert marks(tmp_path)[0] != first[0]
    assert marks(tmp_path)[1] == first[1]


def test_marks_go_as_far_as_a_broken_column_can_be_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", *hub(*(bytes([n]) * 99 for n in range(20))), row_group_size=10)
    chunk = parquet.ParquetFile(path).metadata.row_group(1).column(0)
    data, start = bytearray(path.read_bytes()), chunk.dictionary_page_offset or chunk.data_page_offset
    data[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    path.write_bytes(data)
    found = marks(tmp_path)
    assert all(mark.startswith("sha256:") for mark in found[:8])  # eight are read at once
    assert found[10:] == [f"a.parquet#image/{n}" for n in range(11, 21)]


MEASURED = """
import re
from pathlib import Path
from harness_vlsbench.task import TASK
for _ in range(2):
    found = list(TASK.samples(Path(ROOT), "all", {}))
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
print(len(found), len({sample.cluster for sample in found}), peak)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of another process is read from /proc")
def test_twenty_thousand_images_are_told_apart_by_their_bytes_in_little_memory(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    images = hub(*(os.urandom(20_000) for _ in range(1000)))
    table = pa.table({"instruction": ["Why?"] * 1000, "category": ["Box"] * 1000, "image": pa.array(images, HUB)})
    path = tmp_path / "data/train-0.parquet"
    with parquet.ParquetWriter(path, table.schema, use_dictionary=False, compression="none") as file:
        for _ in range(20):
            file.write_table(table)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED.replace("ROOT", repr(str(tmp_path)))],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    count, clusters, mib = map(float, done.split())
    print(f"at most {mib:.0f} MiB")
    assert (count, clusters) == (20_000, 1000)
    assert mib < 300
