"""Parquet files read as the other data files do, and their images only when they are asked for."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import PIL.Image
import pyarrow as pa
import pytest
from pyarrow import parquet

from harness.drawings import png
from harness.errors import BadData, BadImage, HarnessError, MissingData
from harness.images import open_image
from harness.readers import open_files, parquet_rows, parquet_tables, rows

HUB = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def write(path: Path, columns: dict[str, Any], **settings: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table(columns), path, **settings)
    return path


def hub(*images: bytes | None) -> Any:
    """A column as the hub's client writes images."""
    return pa.array([image if image is None else {"bytes": image, "path": "x.png"} for image in images], HUB)


def test_a_parquet_file_gives_the_records_a_json_file_gives(tmp_path: Path) -> None:
    write(tmp_path / "data.parquet", {"q": ["one", "two"], "n": [1, None], "many": [["a"], []], "o": [{"a": "b"}] * 2})
    first, second = rows(open_files(tmp_path), "data.json", "data.parquet")
    assert first.values == {"q": "one", "n": 1, "many": ["a"], "o": {"a": "b"}}
    assert (first.text("q"), first.key("n"), second.has("n")) == ("one", "1", False)
    assert (second.place, second.number) == ("data.parquet, record 2", 2)
    with pytest.raises(BadData) as caught:
        second.text("missing")
    assert caught.value.where == "data.parquet, record 2, field missing"


@pytest.mark.parametrize("statistics", [True, False])
@pytest.mark.parametrize("bare", [True, False])
def test_a_column_of_images_reads_as_places_that_open_as_the_images(
    tmp_path: Path, *, bare: bool, statistics: bool
) -> None:
    images = [png(PIL.Image.new("RGB", (side, side))) if side else None for side in (4, 0, 5)]
    column = pa.array(images, pa.binary()) if bare else hub(*images)
    write(tmp_path / "data" / "SD.parquet", {"image": column, "q": ["a", "b", "c"]}, write_statistics=statistics)
    files = open_files(tmp_path)
    found = rows(files, "data/SD.parquet")
    assert [row.values["image"] for row in found] == ["data/SD.parquet#image/1", None, "data/SD.parquet#image/3"]
    opened = open_image(files.image(found[2].text("image"))).opened
    assert (opened.data, opened.width) == (images[2], 5)


@pytest.mark.parametrize("bare", [True, False])
def test_a_list_of_images_reads_as_a_list_of_places(tmp_path: Path, *, bare: bool) -> None:
    images: list[Any] = [[b"1", b"2"], [], None, [b"3"]]
    if not bare:
        images = [some and [{"bytes": one, "path": None} for one in some] for some in images]
    kind = pa.list_(pa.binary() if bare else HUB)
    write(tmp_path / "a.parquet", {"images": pa.array(images, kind)})
    files = open_files(tmp_path)
    found = rows(files, "a.parquet")
    assert found[0].texts("images") == ("a.parquet#images/1/1", "a.parquet#images/1/2")
    assert [row.values["images"] for row in found[1:]] == [[], None, ["a.parquet#images/4/1"]]
    assert [files.read(place) for place in (*found[0].texts("images"), *found[3].texts("images"))] == [b"1", b"2", b"3"]


def test_a_struct_without_bytes_is_no_image_and_is_missing_where_it_is_asked_for(tmp_path: Path) -> None:
    column = pa.array([{"bytes": None, "path": "x.png"}, {"bytes": b"1", "path": None}], HUB)
    write(tmp_path / "a.parquet", {"image": column})
    files = open_files(tmp_path)
    assert [row.has("image") for row in rows(files, "a.parquet")] == [False, True]
    for place in ("image/1", "image/3", "image/0", "image/2/2", "other/1", "image", "image/x"):
        with pytest.raises(BadImage) as caught:
            files.read(f"a.parquet#{place}")
        assert caught.value.reason == "missing"


def test_columns_a_task_cannot_use_are_left_out(tmp_path: Path) -> None:
    from datetime import date

    write(tmp_path / "a.parquet", {"q": ["a"], "day": [date(2024, 1, 1)], "o": [{"raw": b"1"}]})
    assert rows(open_files(tmp_path), "a.parquet")[0].values == {"q": "a"}


def test_a_file_of_images_alone_has_records_too(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", {"image": hub(b"1", b"2")})
    assert [row.text("image") for row in rows(open_files(tmp_path), "a.parquet")] == [
        "a.parquet#image/1",
        "a.parquet#image/2",
    ]


def test_shards_are_read_in_order_as_one(tmp_path: Path) -> None:
    for number in (1, 0):
        write(tmp_path / "data" / f"harm-0000{number}-of-00002.parquet", {"q": [f"{number}a", f"{number}b"]})
    write(tmp_path / "data" / "help-00000-of-00001.parquet", {"q": ["other"]})
    found = rows(open_files(tmp_path), "data/harm-*.parquet", "harm.json")
    assert [row.text("q") for row in found] == ["0a", "0b", "1a", "1b"]
    assert found[2].place == "data/harm-00001-of-00002.parquet, record 1"


def test_tables_are_known_by_name_however_their_shards_are_called(tmp_path: Path) -> None:
    names = (
        "Fraud/SD.parquet",
        "Sex/SD-00001-of-00002.parquet",
        "Sex/SD-00000-of-00002.parquet",
        "Hate/SD/0000.parquet",
    )
    for name in names:
        write(tmp_path / "data" / name, {"q": ["a"]})
    assert parquet_tables(open_files(tmp_path)) == {
        "data/Fraud/SD": ("data/Fraud/SD.parquet",),
        "data/Hate/SD": ("data/Hate/SD/0000.parquet",),
        "data/Sex/SD": ("data/Sex/SD-00000-of-00002.parquet", "data/Sex/SD-00001-of-00002.parquet"),
    }


def test_records_come_without_waiting_for_the_last(tmp_path: Path) -> None:
    write(tmp_path / "a-0.parquet", {"q": ["a"]})
    (tmp_path / "a-1.parquet").write_bytes(b"broken")
    found = parquet_rows(open_files(tmp_path), "a-*.parquet")
    assert next(found).text("q") == "a"
    with pytest.raises(BadData, match="the parquet file cannot be read"):
        next(found)


def test_images_asked_for_in_any_order_and_from_many_threads_are_the_right_ones(tmp_path: Path) -> None:
    images = [f"image {number}".encode() * 100 for number in range(100)]
    write(tmp_path / "a.parquet", {"image": hub(*images)}, row_group_size=30)
    files = open_files(tmp_path)
    order = [*range(99, -1, -7), *range(0, 100, 3), *range(100)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: files.read(f"a.parquet#image/{number + 1}"), order))
    assert found == [images[number] for number in order]


def test_no_more_than_a_few_images_are_kept_however_many_are_read(tmp_path: Path, monkeypatch: Any) -> None:
    from harness.readers import cells

    monkeypatch.setattr(cells, "KEPT_LIMIT", 1000)
    write(tmp_path / "a.parquet", {"image": hub(*[bytes([number]) * 300 for number in range(50)])})
    files = open_files(tmp_path)
    assert [files.read(f"a.parquet#image/{number}")[0] for number in range(1, 51)] == list(range(50))
    kept = cells._cache
    assert kept._size == sum(len(image or b"") for images in kept._images.values() for image in images) <= 1000


def test_a_stamp_tells_the_image_from_all_others(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {"image": hub(b"1", b"22")})
    files = open_files(tmp_path)
    assert files.stamp("a.parquet#image/2") == (f"{path}#image/2", 2, path.stat().st_mtime_ns)


def test_a_file_that_is_written_anew_is_read_anew(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", {"image": hub(b"1")})
    files = open_files(tmp_path)
    assert files.read("a.parquet#image/1") == b"1"
    write(tmp_path / "a.parquet", {"image": hub(b"22")})
    assert files.read("a.parquet#image/1") == b"22"


def test_a_path_in_front_of_an_image_stays_under_the_root(tmp_path: Path) -> None:
    write(tmp_path / "out.parquet", {"image": hub(b"1")})
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link.parquet").symlink_to(tmp_path / "out.parquet")
    files = open_files(tmp_path / "root")
    for path in ("../out.parquet#image/1", "link.parquet#image/1"):
        with pytest.raises(BadImage) as caught:
            files.read(path)
        assert caught.value.reason == "outside_root"


@pytest.mark.parametrize("cut", [0, 4, 50, -1])
def test_a_file_that_is_not_whole_is_named(tmp_path: Path, cut: int) -> None:
    path = write(tmp_path / "a.parquet", {"q": ["a"] * 100})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(BadData, match="the parquet file cannot be read") as caught:
        rows(open_files(tmp_path), "a.parquet")
    assert caught.value.where == "a.parquet"


def spoilt(path: Path, column: str) -> None:
    """Overwrite one column's pages."""
    file = parquet.ParquetFile(path)
    chunk = file.metadata.row_group(0).column(file.schema.names.index(column))
    data = bytearray(path.read_bytes())
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    data[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    file.close()
    path.write_bytes(data)


def test_a_column_that_cannot_be_read_is_named_with_its_file(tmp_path: Path) -> None:
    spoilt(write(tmp_path / "a.parquet", {"q": ["a"] * 100, "other": [f"{n}" for n in range(100)]}), "other")
    with pytest.raises(BadData, match="column 'other' cannot be read") as caught:
        rows(open_files(tmp_path), "a.parquet")
    assert caught.value.where == "a.parquet, column other"


def test_a_text_that_is_not_utf8_names_its_column(tmp_path: Path) -> None:
    text = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")])
    write(tmp_path / "a.parquet", {"q": text})
    with pytest.raises(BadData, match="column 'q' cannot be read"):
        rows(open_files(tmp_path), "a.parquet")


def test_images_that_cannot_be_read_are_the_fault_of_their_samples_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {"image": pa.array([b"1" * 99, b"2" * 99], pa.binary()), "q": ["a", "b"]})
    spoilt(path, "image")
    files = open_files(tmp_path)
    places = [row.text("image") for row in rows(files, "a.parquet")]
    for place in places:
        with pytest.raises(BadImage) as caught:
            files.read(place)
        assert (caught.value.path, caught.value.reason) == (place, "unreadable")


def test_files_that_are_not_there_are_all_named(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match=r"a\.parquet or a-\*\.parquet is not there"):
        rows(open_files(tmp_path), "a.parquet", "a-*.parquet")


def test_a_parquet_file_in_an_archive_asks_to_be_unpacked(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("a.parquet", b"")
    with pytest.raises(BadData, match="inside an archive") as caught:
        rows(open_files(tmp_path), "a.parquet")
    assert caught.value.remedy == "unpack the archive"


def test_without_pyarrow_the_install_command_is_said(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", {"q": ["a"]})
    script = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from pathlib import Path; from harness.readers import open_files, rows\n"
        f"rows(open_files(Path({str(tmp_path)!r})), 'a.parquet')"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False).stderr
    assert "a parquet file needs the extra `hub`" in said
    assert "pip install 'vlm-safety-harness[hub]'" in said
    assert HarnessError.__name__ in said


MEASURED = """
import re
from pathlib import Path
from harness.readers import open_files, rows
files = open_files(Path(ROOT))
images = [files.image(row.text("image")) for row in rows(files, "a.parquet")]
sizes = {len(image.files.read(image.path)) for image in images[::1000]}
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
print(len(images), peak, *sizes)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of another process is read from /proc")
def test_twenty_thousand_records_with_images_are_listed_in_little_memory(tmp_path: Path) -> None:
    table = pa.table({"q": ["what is this? " * 20] * 1000, "image": hub(*[os.urandom(20_000)] * 1000)})
    with parquet.ParquetWriter(tmp_path / "a.parquet", table.schema, use_dictionary=False, compression="none") as file:
        for _ in range(20):
            file.write_table(table)
    script = MEASURED.replace("ROOT", repr(str(tmp_path)))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    count, mib, size = map(float, done.split())
    print(f"at most {mib:.0f} MiB")
    assert (count, size) == (20_000, 20_000)
    assert mib < 300
