"""Which file the rows of a data set were made of: checked each time, and told in the results."""

import base64
import hashlib
from pathlib import Path

import pytest

from harness import BadData
from harness.testing.fakes import PIXEL
from tests.plugins.vlmeval_asking import zoo
from tests.plugins.vlmeval_sets import choices, listed, run, write

__all__ = ["zoo"]
pytestmark = pytest.mark.usefixtures("zoo")

KNOWN = "e1ecd2140806c1b1bbf54b43372efb9e"


def md5(file: Path) -> str:
    return hashlib.md5(file.read_bytes()).hexdigest()


def test_the_process_is_asked_once_for_each_revision_of_the_file_and_old_images_are_not_taken(tmp_path: Path) -> None:
    write(tmp_path / "MMStar.tsv", choices(2))
    first = listed("mmstar", "val", tmp_path)
    [rows] = tmp_path.glob("built/*/rows.jsonl")
    stamp = rows.stat().st_mtime_ns
    assert listed("mmstar", "val", tmp_path) == first
    assert rows.stat().st_mtime_ns == stamp
    other = PIXEL[:-12] + b"\0\0\0\2teXtab" + b"\xc9\x87\x7f\x1e" + PIXEL[-12:]
    write(tmp_path / "MMStar.tsv", choices(2, image=lambda _: base64.b64encode(other).decode()))
    image = listed("mmstar", "val", tmp_path)[0].request.images[0]
    assert image.files.read(image.path) == other


def test_a_file_of_another_revision_is_refused_and_never_written_over(tmp_path: Path) -> None:
    write(tmp_path / "MMStar.tsv", choices(2))
    before = hashlib.sha256((tmp_path / "MMStar.tsv").read_bytes()).hexdigest()
    with pytest.raises(BadData, match="e1ecd2140806c1b1bbf54b43372efb9e") as refused:
        listed("mmstar", "val", tmp_path, any_revision=False)
    assert "-T mmstar.any_revision=true" in refused.value.remedy
    assert hashlib.sha256((tmp_path / "MMStar.tsv").read_bytes()).hexdigest() == before
    assert len(listed("mmstar", "val", tmp_path)) == 2


def test_a_file_that_was_taken_as_it_is_once_is_refused_by_whoever_does_not_take_it_so(tmp_path: Path) -> None:
    write(tmp_path / "MMStar.tsv", choices(2))
    assert len(listed("mmstar", "val", tmp_path)) == 2
    with pytest.raises(BadData, match=KNOWN):
        listed("mmstar", "val", tmp_path, any_revision=False)
    with pytest.raises(BadData, match=KNOWN):
        listed("vlmeval", "MMStar", tmp_path, any_revision=False)


def test_rows_that_do_not_say_what_they_were_made_of_are_made_again(tmp_path: Path) -> None:
    write(tmp_path / "MMStar.tsv", choices(2))
    listed("mmstar", "val", tmp_path)
    [known] = tmp_path.glob("built/*/known.json")
    known.unlink()
    with pytest.raises(BadData, match=md5(tmp_path / "MMStar.tsv")):
        listed("mmstar", "val", tmp_path, any_revision=False)
    assert known.is_file()


def test_the_results_say_by_md5_which_file_was_asked_and_that_it_is_not_the_known_one(tmp_path: Path) -> None:
    file = tmp_path / "data" / "mmstar" / "MMStar.tsv"
    write(file, choices(2))
    found = run(tmp_path, "mmstar:val", lambda _: "A")
    revision = found.results["tasks"]["mmstar"]["data"]["revision"]
    assert revision == f"md5 {md5(file)}, not VLMEvalKit's {KNOWN} (any_revision)"


def test_of_the_open_set_each_data_set_says_its_own_revision(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "vlmeval"
    write(folder / "Mine.tsv", choices(2))
    write(folder / "Yours.tsv", choices(3))
    write(folder / "Other.tsv", choices(3))
    found = run(tmp_path, "vlmeval:Mine,vlmeval:Yours", lambda _: "A", any_revision=False)
    revision = found.results["tasks"]["vlmeval"]["data"]["revision"]
    assert revision == "; ".join(f"{name}: md5 {md5(folder / f'{name}.tsv')}" for name in ("Mine", "Yours"))


def test_a_packaged_split_says_nothing_of_a_file_that_it_does_not_read(tmp_path: Path) -> None:
    root = tmp_path / "data" / "mmstar"
    write(root / "MMStar.tsv", choices(2))
    listed("mmstar", "val", root)
    found = run(tmp_path, "mmstar:mini", lambda _: "A")
    assert found.results["tasks"]["mmstar"]["data"]["revision"] == ""
