"""General samples come from the hub with their images alone: of an archive, only the pieces that hold them."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from harness_mirage.data import general
from harness_mirage.data.general import Fetched, fetch_general

from harness import DataSource, HarnessError
from harness.data import provenance
from harness.data.downloads import DownloadProgress
from tests.core.fetched import shapes_published
from tests.core.published import COMMIT, DataSet, Published
from tests.training.data_sets import Values, drawing, mixed, one, said, seen

HUB = "someone/pairs"
SOURCE = DataSource(hub=HUB, licence="cc-by-4.0")
RECORDS = 40
PADDING = 4 << 20  #: bytes of a file that nobody asks for


def zipped(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for path, data in files.items():
            archive.writestr(path, data)
    return made.getvalue()


def shown(number: int) -> list[str]:
    return [f"{'even' if number % 2 == 0 else 'odd'}/{number}/{side}.png" for side in ("a", "b")]


def record(number: int, **values: object) -> Values:
    asked = said(f"<image> and <image>: which, {number}?", "Both.")
    return {"sample_id": number, "image": shown(number), "conversations": asked, **values}


def packed(kind: str) -> dict[str, bytes]:
    """The images of one half of the records."""
    paths = (path for number in range(RECORDS) for path in shown(number) if path.startswith(kind))
    return {path: drawing(number) for number, path in enumerate(paths)}


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Published]:
    """A hub with one set: the even images in a large zip, the odd ones in another below a folder of its own."""
    with shapes_published(monkeypatch, tmp_path) as place:
        records = [record(number) for number in range(RECORDS)]
        files = {
            "m4_instruct_annotations.json": json.dumps(records).encode(),
            "even.zip": zipped({"unasked.bin": bytes(PADDING), **packed("even")}),
            "other_half.zip": zipped({f"top/{path}": data for path, data in packed("odd").items()}),
            "split.z01": b"half an archive",
        }
        place.sets[HUB] = DataSet(files)
        yield place


def fetched(folder: Path, count: int = 10, **values: int) -> Fetched:
    return fetch_general(folder, DownloadProgress(io.StringIO()), published=SOURCE, count=count, **values)


def asked_of(place: Published, name: str) -> int:
    """Bytes that were asked of a file in pieces."""
    spans = [each.range.removeprefix("bytes=").split("-") for each in place.downloads() if each.path.endswith(name)]
    return sum(int(last) - int(first) + 1 for first, last in spans) // 2  # asked twice each: a redirect is in between


def test_what_is_fetched_is_what_a_mixture_takes(place: Published, tmp_path: Path) -> None:
    assert fetched(tmp_path / "general") == Fetched(records=10, unreadable=0, unpublished=0)
    mixture = mixed(one("sharegpt", count=500), tmp_path / "general")
    assert len(mixture.records) == 10
    every = {**packed("even"), **packed("odd")}
    assert seen(mixture) == {each.id: [every[path] for path in shown(int(each.id))] for each in mixture.records}
    assert mixture.parts[0].licence == "cc-by-4.0"


def test_only_the_images_of_the_sample_are_fetched(place: Published, tmp_path: Path) -> None:
    fetched(tmp_path / "general", count=4)
    images = {path.relative_to(tmp_path / "general").as_posix() for path in tmp_path.rglob("*.png")}
    wanted = json.loads((tmp_path / "general" / "general.json").read_text(encoding="utf-8"))
    assert images == {f"images/{path}" for each in wanted for path in each["image"]}
    assert len(images) == 8
    assert 0 < asked_of(place, "even.zip") < PADDING // 2
    assert not [each for each in place.downloads() if each.path.endswith("split.z01")]


def test_the_sample_is_the_seed_s(place: Published, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        fetched(tmp_path / name, seed=seed)
    first, again, other = ((tmp_path / name / "general.json").read_bytes() for name in "abc")
    assert first == again != other


def test_a_second_command_asks_for_nothing_that_is_there(place: Published, tmp_path: Path) -> None:
    fetched(tmp_path / "general")
    place.asked.clear()
    assert fetched(tmp_path / "general").records == 10
    assert place.downloads() == []


def test_a_stopped_command_is_gone_on_with(place: Published, tmp_path: Path) -> None:
    place.refuse["other_half.zip"] = [500] * 100
    with pytest.raises(HarnessError, match="cannot be reached"):
        fetched(tmp_path / "general")
    assert not (tmp_path / "general" / "general.json").exists()
    there = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.png")}
    place.refuse.clear()
    place.asked.clear()
    fetched(tmp_path / "general")
    assert 0 < len(there) < len(list(tmp_path.rglob("*.png"))) == 20
    assert {path: path.stat().st_mtime_ns for path in there} == there
    assert not [each for each in place.downloads() if each.path.endswith("annotations.json")]


def test_a_server_that_falters_is_asked_again(place: Published, tmp_path: Path) -> None:
    place.refuse["even.zip"] = [503, 502]
    assert fetched(tmp_path / "general").records == 10


def test_records_whose_images_are_nowhere_give_their_place_to_others(place: Published, tmp_path: Path) -> None:
    del place.sets[HUB].files["other_half.zip"]
    came = fetched(tmp_path / "general")
    wanted = json.loads((tmp_path / "general" / "general.json").read_text(encoding="utf-8"))
    assert (came.records, len(wanted)) == (10, 10)
    assert came.unpublished > 0
    assert all(path.startswith("even/") for each in wanted for path in each["image"])


def test_images_that_are_files_of_their_own_are_fetched_as_they_are(place: Published, tmp_path: Path) -> None:
    files = place.sets[HUB].files
    del files["other_half.zip"]
    files |= packed("odd")
    assert fetched(tmp_path / "general", count=RECORDS).records == RECORDS
    assert (tmp_path / "general" / "images" / "odd" / "1" / "a.png").read_bytes() == packed("odd")["odd/1/a.png"]


def test_records_that_cannot_be_learnt_from_are_not_drawn(place: Published, tmp_path: Path) -> None:
    hostile = record(1, image=["../../out.png", "odd/1/b.png"])
    broken = [hostile, record(2, conversations=said("<image>", "")), record(3, image=[]), record(4)]
    place.sets[HUB].files["m4_instruct_annotations.json"] = json.dumps(broken).encode()
    assert fetched(tmp_path / "general") == Fetched(records=1, unreadable=3, unpublished=0)
    assert not (tmp_path / "out.png").exists()


def test_a_zip_that_comes_changed_is_not_taken(place: Published, tmp_path: Path) -> None:
    data = place.sets[HUB].files["even.zip"]
    for image in packed("even").values():
        data = data.replace(image[:-30], image[:-31] + b"x")
    place.sets[HUB].files["even.zip"] = data
    with pytest.raises(HarnessError, match="differs from the published file"):
        fetched(tmp_path / "general", count=RECORDS)


def test_a_server_without_pieces_is_not_asked_for_whole_archives(place: Published, tmp_path: Path) -> None:
    place.ranges = False
    with pytest.raises(HarnessError, match="does not send parts of files"):
        fetched(tmp_path / "general")


def test_a_gated_set_says_how_access_is_had(place: Published, tmp_path: Path) -> None:
    place.sets[HUB].gate = "a token"
    with pytest.raises(HarnessError, match="accept the terms"):
        fetched(tmp_path / "general")


def test_a_folder_says_where_its_files_came_from(place: Published, tmp_path: Path) -> None:
    fetched(tmp_path / "general", count=2)
    record = provenance.read(tmp_path / "general")
    (part,) = record.parts
    assert (part.name, part.revision, len(part.files)) == (HUB, COMMIT, 5)
    assert provenance.find_differences(tmp_path / "general", part.files) == provenance.Differences()


def test_the_command_says_what_came(place: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(general, "SOURCE", SOURCE)
    done = CliRunner().invoke(general.main, [str(tmp_path / "general"), "--count", "3"])
    assert (done.exit_code, done.stdout) == (0, f"3 records of {HUB} (cc-by-4.0): --data general={tmp_path}/general\n")
    failed = CliRunner().invoke(general.main, [str(tmp_path / "other"), "--revision", "none"])
    assert (failed.exit_code, "has no revision 'none'" in failed.stderr) == (2, True)
