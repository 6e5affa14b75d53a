"""Archives of repositories and files by address are fetched from stand-ins on this machine."""

import hashlib

import pytest

from harness.contracts import DataSource
from harness.data.fetching import DataUpdate
from harness.data.provenance import PendingDownload, find_origin, read
from tests.core.fetched import HUB, LARGE, Bench
from tests.core.published import COMMIT, Published, tar_gz

CODE = "someone/code"
TABLES = DataSource(archive=(CODE, COMMIT, ("data/*.csv",)))


def test_an_archives_files_lie_under_their_own_paths_with_the_commit_that_it_names(
    place: Published, bench: Bench
) -> None:
    place.archives[CODE] = tar_gz({"data/a.csv": b"a", "data/deep/b.csv": b"b", "data/c.txt": b"c", "run.py": b"x"})
    (part,) = bench.get(TABLES).parts
    assert bench.there() == {"data/a.csv": b"a", "data/deep/b.csv": b"b"}
    assert (part.kind, part.name, part.revision) == ("archive", CODE, COMMIT)
    assert place.asked[-1].path == f"/archives/{CODE}/{COMMIT}"


def test_an_archive_of_a_pinned_commit_is_fetched_once_and_again_when_its_files_were_touched(
    place: Published, bench: Bench
) -> None:
    place.archives[CODE] = tar_gz({"data/a.csv": b"a"})
    bench.get(TABLES)
    bench.get(TABLES)
    assert len(place.asked) == 1
    (bench.root / "data/a.csv").unlink()
    bench.get(TABLES)
    assert bench.there() == {"data/a.csv": b"a"}


def test_without_a_pin_the_newest_is_taken_and_its_commit_recorded(place: Published, bench: Bench) -> None:
    place.archives[CODE] = tar_gz({"data/a.csv": b"a"}, commit="9" * 40)
    assert bench.get(DataSource(archive=(CODE, "", ("*.csv",)))).parts[0].revision == "9" * 40
    assert place.asked[-1].path.endswith("/HEAD")


def test_members_that_lead_out_of_an_archive_are_never_written(place: Published, bench: Bench) -> None:
    place.archives[CODE] = tar_gz(
        {"data/a.csv": b"a", "README.md": b"r", "../../out.csv": b"o"},
        links={"data/l.csv": "/etc/passwd", "data/in.csv": "a.csv"},
        top="",
    )
    bench.get(DataSource(archive=(CODE, COMMIT, ("*.csv",))))
    assert bench.there() == {"data/a.csv": b"a", "data/in.csv": b"a"}
    assert not (bench.root / "data/in.csv").is_symlink()
    assert not list(bench.root.parent.parent.glob("*.csv"))


def test_members_that_are_refused_are_counted_and_the_first_are_named(place: Published, bench: Bench) -> None:
    out = {f"../{name}.csv": b"o" for name in "abc"}
    links = {"data/l.csv": "/etc/passwd", "docs/l.md": "../../elsewhere.md"}
    place.archives[CODE] = tar_gz({"data/a.csv": b"a", "/abs.txt": b"o", **out}, links=links, top="")
    bench.get(DataSource(archive=(CODE, COMMIT, ("data/*.csv",))))
    named = "/abs.txt (outside the archive), ../a.csv (outside the archive), ../b.csv (outside the archive) and 2 more"
    assert bench.said == f"warning: {CODE}: refused 5 of the archive's members: {named}\n"
    place.archives[CODE] = tar_gz({"data/a.csv": b"a"}, links=links, top="")
    bench.get(DataSource(archive=(CODE, "", ("data/*.csv",))))
    refused = "data/l.csv (a link to /etc/passwd, which is no file of its archive)"
    assert bench.said == f"warning: {CODE}: refused 1 of the archive's members: {refused}\n"


def test_another_commit_takes_the_place_of_the_former_and_leaves_nothing_of_it(place: Published, bench: Bench) -> None:
    place.archives[CODE] = tar_gz({"data/a.csv": b"a", "data/deep/b.csv": b"b"})
    bench.get(TABLES)
    place.archives[CODE] = tar_gz({"data/a.csv": b"later", "data/c.csv": b"c"}, commit="9" * 40)
    bench.get(TABLES, "9" * 40)
    assert bench.there() == {"data/a.csv": b"later", "data/c.csv": b"c"}
    assert [part.revision for part in read(bench.root).parts] == ["9" * 40]
    assert not (bench.root / "data/deep").exists()


def test_an_archive_that_lost_its_files_to_a_fetch_that_did_not_end_is_whole_again(
    place: Published, bench: Bench
) -> None:
    place.archives[CODE] = tar_gz({"data/a.csv": b"a"})
    bench.get(TABLES)
    renewal = DataUpdate(bench.root, read(bench.root))
    renewal.begin(
        PendingDownload(kind="archive", name=CODE, revision="9" * 40, files={"data/a.csv": 1, "data/b.csv": 1})
    )
    (bench.root / "data/b.csv").write_bytes(b"b")
    bench.get(TABLES)
    assert bench.there() == {"data/a.csv": b"a"}
    assert read(bench.root).coming == ()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (tar_gz({"data/a.csv": b"a"}, commit="9" * 40), f"is of commit {'9' * 40}, not {COMMIT}"),
        (tar_gz({"data/a.csv": bytes(9000)})[:-60], "came damaged"),
        (b"<html>busy</html>", "came damaged"),
        (tar_gz({"other.txt": b"a"}), "no data/*.csv"),
        (None, "404"),
    ],
    ids=["another commit", "cut off", "a page", "laid out anew", "gone"],
)
def test_an_archive_that_is_not_what_it_should_be_is_refused_and_nothing_is_left(
    place: Published, bench: Bench, content: bytes | None, told: str
) -> None:
    if content is not None:
        place.archives[CODE] = content
    assert told in bench.failed(TABLES).what
    assert bench.there() == {}


def test_one_part_that_does_not_come_keeps_the_others_from_nothing(place: Published, bench: Bench) -> None:
    place.archives[CODE] = tar_gz({"data/a.csv": b"a"})
    place.sets[HUB].gate = "hf_right"
    source = DataSource(hub=HUB, files=("shapes.json",), archive=TABLES.archive)
    assert "is gated" in bench.failed(source).what
    assert bench.there() == {"data/a.csv": b"a"}
    assert [part.name for part in read(bench.root).parts] == [CODE]
    place.sets[HUB].gate = ""
    assert find_origin(bench.root) == (CODE, COMMIT)
    bench.get(source)
    assert find_origin(bench.root) == (HUB, COMMIT)
    assert len(read(bench.root).files) == 2


# ------------------------------------------------------------------------------------------------------ single files


def table(place: Published, md5: str = "") -> DataSource:
    return DataSource(urls=(("tables/a.tsv", f"{place.url}/files/a.tsv", md5),))


def test_a_file_by_address_is_checked_by_its_md5_and_fetched_once(place: Published, bench: Bench) -> None:
    place.files["a.tsv"] = LARGE
    md5 = hashlib.md5(LARGE).hexdigest()
    place.cut["a.tsv"] = 700
    bench.get(table(place, md5))
    bench.get(table(place, md5))
    assert bench.there() == {"tables/a.tsv": LARGE}
    assert [each.range for each in place.asked] == ["", "bytes=700-"]
    assert "md5" in bench.failed(table(place, "0" * 32)).what


def test_a_file_whose_hash_nobody_states_is_kept_as_it_first_came(place: Published, bench: Bench) -> None:
    place.files["a.tsv"] = b"first"
    bench.get(table(place))
    place.files["a.tsv"] = b"later"
    bench.get(table(place))
    assert bench.there() == {"tables/a.tsv": b"first"}
    (bench.root / "tables/a.tsv").unlink()
    bench.get(table(place))
    assert bench.there() == {"tables/a.tsv": b"later"}
    place.files.clear()
    (bench.root / "tables/a.tsv").unlink()
    assert "404" in bench.failed(table(place)).what
