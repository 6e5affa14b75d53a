"""A server that asks for a pause is waited for, and one that has another file by now is not gone on with."""

import time

import pytest

from harness.contracts import DataSource
from harness.data.transfer import Waits
from harness.errors import HarnessError
from tests.core.fetched import HUB, Bench
from tests.core.published import Published, tar_gz

# ------------------------------------------------------------------------------------------------------------- pauses


def test_a_busy_server_is_waited_for_as_long_as_it_asks_and_it_is_said(place: Published, bench: Bench) -> None:
    place.refuse["shapes.json"] = [429]
    place.pause = "1"
    started = time.monotonic()
    bench.get(DataSource(hub=HUB, files=("*.json",)))
    assert time.monotonic() - started >= 1
    assert bench.said == "127.0.0.1 asks for a pause: waiting 1 s\n"


def test_the_hubs_list_is_waited_for_too(place: Published, bench: Bench) -> None:
    place.refuse[HUB] = [429]
    place.pause = "1"
    bench.get(DataSource(hub=HUB, files=("*.json",)))
    assert bench.said == "127.0.0.1 asks for a pause: waiting 1 s\n"


@pytest.mark.parametrize("path", [HUB, "shapes.json"])
def test_a_pause_that_is_too_long_is_an_error_that_says_how_long(place: Published, bench: Bench, path: str) -> None:
    place.refuse[path] = [429]
    place.pause = "3600"
    error = bench.failed(DataSource(hub=HUB, files=("*.json",)))
    assert error.what == "127.0.0.1 asks for a pause of 60 minutes, and the limit is 10"
    assert "again after that" in error.remedy


def test_a_repositorys_archive_is_waited_for_also_where_the_answer_is_a_403(place: Published, bench: Bench) -> None:
    place.archives["someone/code"] = tar_gz({"data/a.csv": b"a"})
    place.refuse["someone/code"] = [403]
    place.pause = "1"
    bench.get(DataSource(archive=("someone/code", "", ("*.csv",))))
    assert "asks for a pause: waiting 1 s" in bench.said


def test_a_pause_is_read_from_each_of_the_headers_that_say_it() -> None:
    told: list[str] = []
    waits = Waits(told.append)
    assert waits.note("http://a.b/c", {"RateLimit": '"api";r=0;t=55'})
    assert not waits.note("http://a.b/c", {"RateLimit": '"api";r=7;t=55'})
    assert told == ["a.b asks for a pause: waiting 55 s"]
    with pytest.raises(HarnessError, match="the limit is 10"):
        waits.note("http://a.b/c", {"Retry-After": "Fri, 31 Dec 2999 23:59:59 GMT"})


def test_of_several_threads_one_says_that_they_wait() -> None:
    told: list[str] = []
    waits = Waits(told.append)
    for _ in range(8):
        waits.note("http://a.b/c", {"Retry-After": "60"})
    assert len(told) == 1


# --------------------------------------------------------------------------------------------------- another file since


OLD, NEW = b"a" * 900, b"b" * 900


def unknown(place: Published) -> DataSource:
    """A file whose hash nobody states, which is cut after 700 bytes and is another one from then on."""
    place.files["a.tsv"], place.turn["a.tsv"], place.cut["a.tsv"] = OLD, NEW, 700
    return DataSource(urls=(("a.tsv", f"{place.url}/files/a.tsv", ""),))


def test_a_file_without_a_known_hash_is_gone_on_with_where_the_server_says_it_is_the_same(
    place: Published, bench: Bench
) -> None:
    source = unknown(place)
    place.turn["a.tsv"], place.marks["a.tsv"] = OLD, '"one"'
    bench.get(source)
    assert bench.there() == {"a.tsv": OLD}
    assert [each.range for each in place.asked] == ["", "bytes=700-"]


def test_a_file_without_a_hash_or_a_mark_begins_anew(place: Published, bench: Bench) -> None:
    bench.get(unknown(place))
    assert bench.there() == {"a.tsv": NEW}
    assert [each.range for each in place.asked] == ["", ""]


def test_a_file_that_has_another_mark_by_now_begins_anew(place: Published, bench: Bench) -> None:
    source = unknown(place)
    place.marks["a.tsv"], place.remark["a.tsv"] = '"one"', '"two"'
    bench.get(source)
    assert bench.there() == {"a.tsv": NEW}


@pytest.mark.parametrize(("shift", "longer"), [(5, b""), (0, b"more")], ids=["another place", "another length"])
def test_a_rest_that_begins_elsewhere_or_is_of_another_length_is_never_stitched_on(
    place: Published, bench: Bench, shift: int, longer: bytes
) -> None:
    source = unknown(place)
    place.marks["a.tsv"], place.shift, place.turn["a.tsv"] = '"one"', shift, NEW + longer
    bench.get(source)
    assert bench.there() == {"a.tsv": NEW + longer}
