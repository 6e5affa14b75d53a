"""A task's data is fetched from stand-ins: of the hub, of archives of repositories, of files by address."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest

from harness.contracts import DataSource
from harness.data.fetching import DataUpdate
from harness.data.provenance import FILE, PendingDownload, find_origin, read
from harness.errors import BadData, UnknownName
from tests.core.fetched import FILES, HUB, LARGE, Bench
from tests.core.published import COMMIT, DataSet, Published, tar_gz


def test_a_hub_set_comes_whole_with_its_commit_and_the_hash_of_each_file(place: Published, bench: Bench) -> None:
    fetched = bench.get()
    wanted = {path: data for path, data in FILES.items() if path != "README.md"}
    assert bench.there() == wanted
    assert read(bench.root) == fetched
    (part,) = fetched.parts
    assert (part.kind, part.name, part.revision) == ("hub", HUB, COMMIT)
    assert part.files == {path: (len(data), hashlib.sha256(data).hexdigest()) for path, data in wanted.items()}


def test_only_the_files_that_the_task_reads_are_fetched(place: Published, bench: Bench) -> None:
    bench.get(DataSource(hub=HUB, files=("*.json", "images/2*")))
    assert set(bench.there()) == {"shapes.json", "images/2.png"}


def test_a_set_without_any_of_them_says_what_it_holds(place: Published, bench: Bench) -> None:
    error = bench.failed(DataSource(hub=HUB, files=("old.json",)))
    assert "no old.json" in error.what
    assert "shapes.json" in error.where


def test_the_pinned_revision_is_asked_for_unless_another_is_given(place: Published, bench: Bench) -> None:
    bench.get(DataSource(hub=HUB, revision=COMMIT))
    bench.get(DataSource(hub=HUB, revision=COMMIT), "main")
    asked = [each.path for each in place.asked if "/revision/" in each.path]
    assert asked == [f"/api/datasets/{HUB}/revision/{COMMIT}", f"/api/datasets/{HUB}/revision/main"]
    assert f"no revision '{'0' * 40}'" in bench.failed(DataSource(hub=HUB, revision="0" * 40)).what


def test_what_is_there_already_is_not_downloaded_again_whoever_put_it_there(place: Published, bench: Bench) -> None:
    (bench.root / "images").mkdir(parents=True)
    (bench.root / "images/1.png").write_bytes(LARGE)
    bench.get()
    assert not [each for each in place.downloads() if each.path.endswith("1.png")]
    before = len(place.downloads())
    bench.get()
    assert len(place.downloads()) == before


def test_a_file_that_was_changed_here_is_fetched_again(place: Published, bench: Bench) -> None:
    bench.get()
    (bench.root / "images/1.png").write_bytes(LARGE[::-1])
    bench.get()
    assert (bench.root / "images/1.png").read_bytes() == LARGE


def test_without_an_endpoint_in_the_environment_the_clients_own_is_asked(
    place: Published, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_ENDPOINT")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", place.url)
    template = place.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    assert bench.get().parts[0].name == HUB


def test_a_mirror_of_another_name_is_taken_where_the_first_is_gone(place: Published, bench: Bench) -> None:
    place.sets["elsewhere/shapes"] = place.sets.pop(HUB)
    source = DataSource(hub=HUB, mirrors=("nowhere/shapes", "elsewhere/shapes"), revision="f" * 40)
    assert bench.get(source).parts[0].name == "elsewhere/shapes"
    place.sets.clear()
    assert f"there is no data set {HUB}" in bench.failed(source).what


def test_a_file_that_the_hub_lists_outside_its_set_is_refused(place: Published, bench: Bench) -> None:
    place.sets[HUB].listed["../../over.txt"] = b"over"
    assert "outside its data set" in bench.failed().what
    assert not (bench.root.parent.parent / "over.txt").exists()


def test_a_file_that_the_hub_lists_with_a_nul_in_its_name_is_refused(place: Published, bench: Bench) -> None:
    place.sets[HUB].listed["images/a\0b.png"] = b"over"
    assert "a file that no disk can hold: 'images/a\\x00b.png' has a NUL in its name" in bench.failed().what


LATER = "9" * 40
NEXT = {"shapes.json": b"[3]", "images/1.png": LARGE, "images/new/3.png": b"third"}


def publish(place: Published, files: dict[str, bytes], commit: str = LATER) -> None:
    place.sets[HUB] = DataSet(dict(files), commit=commit)


def test_another_revision_takes_the_place_of_the_former_and_leaves_nothing_of_it(
    place: Published, bench: Bench
) -> None:
    bench.get()
    (bench.root / "notes.txt").write_bytes(b"mine")
    publish(place, NEXT)
    fetched = bench.get(revision=LATER)
    assert bench.there() == {**NEXT, "notes.txt": b"mine"}
    assert (set(fetched.files), fetched.coming) == (set(NEXT), ())
    publish(place, {path: data for path, data in FILES.items() if path != "README.md"}, COMMIT)
    bench.get(revision=COMMIT)
    assert not (bench.root / "images/new").exists()


def test_a_set_that_comes_from_a_mirror_takes_the_place_of_the_first(place: Published, bench: Bench) -> None:
    source = DataSource(hub=HUB, mirrors=("elsewhere/shapes",))
    bench.get(source)
    place.sets.pop(HUB)
    place.sets["elsewhere/shapes"] = DataSet(dict(NEXT), commit=LATER)
    assert [part.name for part in bench.get(source).parts] == ["elsewhere/shapes"]
    assert bench.there() == NEXT


@pytest.mark.parametrize("by_hand", [True, False], ids=["put there by hand", "changed since"])
def test_a_file_that_no_fetch_wrote_is_never_taken_away_and_keeps_another_revision_from_coming(
    place: Published, bench: Bench, by_hand: bool
) -> None:
    second = bench.root / "images/2.png"
    if by_hand:
        second.parent.mkdir(parents=True)
        second.write_bytes(FILES["images/2.png"])
    bench.get()
    second.write_bytes(FILES["images/2.png"] if by_hand else b"mine")
    before = bench.there()
    publish(place, NEXT)
    error = bench.failed(revision=LATER)
    assert "put here by hand or changed since: images/2.png" in error.what
    assert "--data DIR" in error.remedy
    assert bench.there() == before
    second.unlink()
    bench.get(revision=LATER)
    assert bench.there() == NEXT


def test_a_fetch_that_does_not_end_is_noted_and_a_third_revision_leaves_nothing_of_it(
    place: Published, bench: Bench
) -> None:
    bench.get()
    publish(place, {**NEXT, "extra.txt": b"extra"})
    place.refuse["shapes.json"] = [404]
    bench.failed(DataSource(hub=HUB))
    assert [(note.name, note.revision) for note in read(bench.root).coming] == [(HUB, LATER)]
    assert find_origin(bench.root) == (HUB, "")
    (bench.root / "extra.txt").write_bytes(b"extra")  # it had come before the other broke off
    (bench.root / "shapes.json.12345678.part").write_bytes(b"[")
    place.refuse.clear()
    publish(place, {"shapes.json": b"[4]"}, "8" * 40)
    assert bench.get().coming == ()
    assert bench.there() == {"shapes.json": b"[4]"}
    assert find_origin(bench.root) == (HUB, "8" * 40)


def test_a_first_fetch_that_does_not_end_leaves_nothing_to_the_next_revision(place: Published, bench: Bench) -> None:
    place.refuse["shapes.json"] = [404]
    place.hold.clear()
    bench.failed()
    publish(place, NEXT)
    place.refuse.clear()
    bench.get()
    assert bench.there() == NEXT


def test_a_record_of_a_stranger_takes_nothing_away_outside_the_root(place: Published, bench: Bench) -> None:
    bench.get()
    outside = bench.root.parent / "mine.txt"
    outside.write_bytes(b"mine")
    raw = json.loads((bench.root / FILE).read_text())
    mine = {"bytes": 4, "sha256": hashlib.sha256(b"mine").hexdigest()}
    raw["parts"][0]["files"] |= {"../mine.txt": mine, str(outside): mine}
    (bench.root / FILE).write_text(json.dumps(raw))
    publish(place, NEXT)
    bench.get()
    assert outside.read_bytes() == b"mine"


GATED = DataSource(hub=HUB, url=f"https://example.org/{HUB}", gated=True)


def test_a_gated_set_is_explained_with_its_page_and_the_token_and_no_token_is_ever_shown(
    place: Published, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.sets[HUB].gate = "hf_right"
    assert "is gated" in bench.failed(GATED).what
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    error = bench.failed(GATED)
    assert f"accept the terms on https://example.org/{HUB}" in error.remedy
    assert "HF_TOKEN" in error.remedy
    assert "hf_wrong" not in str(error)
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    bench.get(GATED)
    assert "hf_right" not in (bench.root / FILE).read_text()


def test_the_token_goes_to_the_hub_and_to_no_other_host(
    place: Published, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    bench.get()
    assert {each.token for each in place.asked if each.host.startswith("127.")} == {"hf_mine"}
    elsewhere = [each for each in place.asked if each.host.startswith("localhost")]
    assert [each.token for each in elsewhere] == [""]


def test_a_private_set_says_that_it_may_need_a_token(place: Published, bench: Bench) -> None:
    place.sets[HUB].private = True
    error = bench.failed()
    assert isinstance(error, UnknownName)
    assert "HF_TOKEN" in error.remedy


def test_without_the_extra_it_says_what_to_install(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert bench.failed().remedy == "pip install 'vlm-safety-harness[hub]'"


def test_the_hub_clients_own_cache_says_its_set_and_commit(tmp_path: Path) -> None:
    root = tmp_path / "datasets--someone--shapes" / "snapshots" / COMMIT
    root.mkdir(parents=True)
    assert find_origin(root) == ("someone/shapes", COMMIT)
    assert find_origin(tmp_path) == ("", "")


@pytest.mark.parametrize("text", ["{", "[]", '{"parts": [{"kind": "moon"}], "task": "", "licence": ""}'])
def test_a_record_that_cannot_be_read_is_named_and_says_nothing_of_the_origin(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(BadData) as caught:
        read(tmp_path)
    assert caught.value.where.endswith(FILE)
    assert find_origin(tmp_path) == ("", "")


def test_the_record_is_json_that_names_its_schema(place: Published, bench: Bench) -> None:
    bench.get(DataSource(hub=HUB, licence="CC BY-NC 4.0: not for commercial use"))
    raw = json.loads((bench.root / FILE).read_text())
    assert raw["schema"] == "harness.source/1"
    assert raw["licence"] == "CC BY-NC 4.0: not for commercial use"


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
    refused = "data/l.csv (a link to /etc/passwd, which is not a file of its archive)"
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
        (tar_gz({"data/a.csv": bytes(9000)})[:-60], "arrived damaged"),
        (b"<html>busy</html>", "arrived damaged"),
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
