"""A task's data is fetched from a stand-in of the hub: which files, from which revision, with whose access."""

import hashlib
import json
import sys
from pathlib import Path

import pytest

from harness.contracts import DataSource
from harness.data.provenance import FILE, find_origin, read
from harness.errors import BadData, UnknownName
from tests.core.fetched import FILES, HUB, LARGE, Bench
from tests.core.published import COMMIT, DataSet, Published


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


# ---------------------------------------------------------------------------------------------------------- revisions


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


# ------------------------------------------------------------------------------------------------------------ access


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


# -------------------------------------------------------------------------------------------------------- the record


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
