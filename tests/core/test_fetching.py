"""A task's data is fetched from stand-ins of the hub, of GitHub's archives and of plain files, on this machine."""

import hashlib
import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock

from harness.contracts import DataSource
from harness.data import downloads, github
from harness.data.fetching import LOCK, fetch
from harness.data.meter import LiveMeter, Meter, meter, spelled
from harness.data.provenance import FILE, Provenance, origin, read
from harness.errors import BadData, HarnessError, UnknownName
from tests.core.published import COMMIT, DataSet, Published, tar_gz

HUB = "someone/shapes"
SMALL = {"shapes.json": b"[1, 2]", "empty.txt": b""}
LARGE = bytes(range(256)) * 40  # above the size from which the hub keeps a file apart
FILES = {**SMALL, "images/1.png": LARGE, "images/2.png": b"second", "README.md": b"read me"}
Fetch = Callable[..., Provenance]


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Published]:
    """The stand-ins; nobody's token, no waiting."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no token"))
    monkeypatch.setattr(downloads, "PAUSES", (0.0,) * len(downloads.PAUSES))
    with Published() as place:
        monkeypatch.setenv("HF_ENDPOINT", place.url)
        monkeypatch.setattr(github, "ARCHIVE_URL", place.archive_url)
        place.sets[HUB] = DataSet(dict(FILES))
        yield place


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data" / "shapes"


@pytest.fixture
def get(root: Path) -> Fetch:
    """Fetch a source into the root."""

    def get(source: DataSource = DataSource(hub=HUB), revision: str = "") -> Provenance:  # noqa: B008
        return fetch("shapes", source, root, Meter(io.StringIO()), revision=revision)

    return get


def there(root: Path) -> dict[str, bytes]:
    """What lies in a root, but for what says where it came from."""
    files = (path for path in root.rglob("*") if path.is_file() and path.name != FILE)
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def failed(get: Fetch, source: DataSource = DataSource(hub=HUB), revision: str = "") -> HarnessError:  # noqa: B008
    with pytest.raises(HarnessError) as caught:
        get(source, revision)
    return caught.value


# ----------------------------------------------------------------------------------------------------------- the hub


def test_a_hub_set_comes_whole_with_its_commit_and_the_hash_of_each_file(
    place: Published, get: Fetch, root: Path
) -> None:
    fetched = get()
    wanted = {path: data for path, data in FILES.items() if path != "README.md"}
    assert there(root) == wanted
    assert read(root) == fetched
    (part,) = fetched.parts
    assert (part.kind, part.name, part.revision) == ("hub", HUB, COMMIT)
    assert part.files == {path: (len(data), hashlib.sha256(data).hexdigest()) for path, data in wanted.items()}


def test_only_the_files_that_the_task_reads_are_fetched(place: Published, get: Fetch, root: Path) -> None:
    get(DataSource(hub=HUB, files=("*.json", "images/2*")))
    assert set(there(root)) == {"shapes.json", "images/2.png"}


def test_a_set_without_any_of_them_says_what_it_holds(place: Published, get: Fetch) -> None:
    error = failed(get, DataSource(hub=HUB, files=("old.json",)))
    assert "no old.json" in error.what
    assert "shapes.json" in error.where


def test_the_pinned_revision_is_asked_for_unless_another_is_given(place: Published, get: Fetch) -> None:
    get(DataSource(hub=HUB, revision=COMMIT))
    get(DataSource(hub=HUB, revision=COMMIT), "main")
    asked = [each.path for each in place.asked if "/revision/" in each.path]
    assert asked == [f"/api/datasets/{HUB}/revision/{COMMIT}", f"/api/datasets/{HUB}/revision/main"]
    assert f"no revision '{'0' * 40}'" in failed(get, DataSource(hub=HUB, revision="0" * 40)).what


def test_what_is_there_already_is_not_downloaded_again_whoever_put_it_there(
    place: Published, get: Fetch, root: Path
) -> None:
    (root / "images").mkdir(parents=True)
    (root / "images/1.png").write_bytes(LARGE)
    get()
    assert not [each for each in place.downloads() if each.path.endswith("1.png")]
    before = len(place.downloads())
    get()
    assert len(place.downloads()) == before


def test_a_file_that_was_changed_here_is_fetched_again(place: Published, get: Fetch, root: Path) -> None:
    get()
    (root / "images/1.png").write_bytes(LARGE[::-1])
    get()
    assert (root / "images/1.png").read_bytes() == LARGE


def test_a_mirror_of_another_name_is_taken_where_the_first_is_gone(place: Published, get: Fetch) -> None:
    place.sets["elsewhere/shapes"] = place.sets.pop(HUB)
    source = DataSource(hub=HUB, mirrors=("nowhere/shapes", "elsewhere/shapes"), revision="f" * 40)
    assert get(source).parts[0].name == "elsewhere/shapes"
    place.sets.clear()
    assert f"there is no data set {HUB}" in failed(get, source).what


def test_a_file_that_the_hub_lists_outside_its_set_is_refused(place: Published, get: Fetch, root: Path) -> None:
    place.sets[HUB].listed["../../over.txt"] = b"over"
    assert "outside its data set" in failed(get).what
    assert not (root.parent.parent / "over.txt").exists()


# ------------------------------------------------------------------------------------------------------------ access


GATED = DataSource(hub=HUB, url=f"https://example.org/{HUB}", gated=True)


def test_a_gated_set_is_explained_with_its_page_and_the_token_and_no_token_is_ever_shown(
    place: Published, get: Fetch, monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    place.sets[HUB].gate = "hf_right"
    assert "is gated" in failed(get, GATED).what
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    error = failed(get, GATED)
    assert f"accept the terms on https://example.org/{HUB}" in error.remedy
    assert "HF_TOKEN" in error.remedy
    assert "hf_wrong" not in str(error)
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    get(GATED)
    assert "hf_right" not in (root / FILE).read_text()


def test_the_token_goes_to_the_hub_and_to_no_other_host(
    place: Published, get: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    get()
    assert {each.token for each in place.asked if each.host.startswith("127.")} == {"hf_mine"}
    elsewhere = [each for each in place.asked if each.host.startswith("localhost")]
    assert [each.token for each in elsewhere] == [""]


def test_a_private_set_says_that_it_may_need_a_token(place: Published, get: Fetch) -> None:
    place.sets[HUB].private = True
    error = failed(get)
    assert isinstance(error, UnknownName)
    assert "HF_TOKEN" in error.remedy


def test_without_the_extra_it_says_what_to_install(get: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert failed(get).remedy == "pip install 'vlm-safety-harness[hub]'"


# ----------------------------------------------------------------------------------------------------------- network


def test_a_hub_that_is_not_there_is_one_error_at_once_and_nothing_else_is_said_or_left(
    get: Fetch,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    started = time.monotonic()
    error = failed(get)
    assert time.monotonic() - started < 3
    assert error.what.startswith("127.0.0.1 cannot be reached: ")
    assert "\n" not in error.what
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
    assert not root.exists()


def test_a_hub_that_is_switched_off_is_named(get: Fetch, place: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.utils._http._GLOBAL_CLIENT", None)
    assert "HF_HUB_OFFLINE" in failed(get).what
    monkeypatch.setattr("huggingface_hub.utils._http._GLOBAL_CLIENT", None)


def test_a_connection_that_breaks_is_gone_on_with_where_it_broke(place: Published, get: Fetch, root: Path) -> None:
    place.cut["images/1.png"] = 5000
    get()
    assert (root / "images/1.png").read_bytes() == LARGE
    assert [each.range for each in place.asked if each.path.startswith("/large")] == ["", "bytes=5000-"]


def test_a_server_that_cannot_go_on_is_asked_for_all_of_it(place: Published, get: Fetch, root: Path) -> None:
    place.cut["images/1.png"] = 5000
    place.ranges = False
    get()
    assert (root / "images/1.png").read_bytes() == LARGE


def test_a_busy_server_is_asked_again_and_a_lasting_fault_ends_the_command(place: Published, get: Fetch) -> None:
    place.refuse["shapes.json"] = [503, 429]
    get(DataSource(hub=HUB, files=("*.json",)))
    place.refuse["images/2.png"] = [500] * 99
    assert "500" in failed(get, DataSource(hub=HUB, files=("images/2.png",))).what
    assert len(place.refuse["images/2.png"]) == 99 - downloads.TRIES


def test_a_file_that_comes_changed_is_refused_and_not_kept(place: Published, get: Fetch, root: Path) -> None:
    place.sets[HUB].listed["images/1.png"] = LARGE[::-1]
    error = failed(get)
    assert "images/1.png did not come as it was published" in error.what
    assert not [path for path in there(root) if "1.png" in path]


COMMAND = "from harness.cli import main; main(['data', 'fetch', 'mis', '--data', {data!r}])"


def test_after_a_kill_the_next_command_goes_on_where_it_was_and_leaves_no_part(
    place: Published, root: Path, tmp_path: Path
) -> None:
    place.sets["Tuwhy/MIS_Test"] = place.sets.pop(HUB)
    place.hold["images/1.png"] = 6000
    command = [sys.executable, "-c", COMMAND.format(data=str(tmp_path))]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        assert place.held.wait(60)
        part = tmp_path / "mis" / "images"
        while sum(path.stat().st_size for path in part.glob("*.part")) < 6000:
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
    place.hold.clear()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [each.range for each in place.asked if each.path.startswith("/large")] == ["", "bytes=6000-"]
    assert there(tmp_path / "mis") == {path: data for path, data in FILES.items() if path != "README.md"}


def test_a_disk_that_is_too_small_is_told_before_anything_comes(
    place: Published, get: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10))
    assert failed(get).what == "10.3 kB are needed and 10 B are free"
    assert not place.downloads()


def test_two_commands_do_not_fetch_into_one_folder(place: Published, get: Fetch, root: Path) -> None:
    root.mkdir(parents=True)
    with FileLock(root / LOCK):
        assert "another command is fetching" in failed(get).what


def test_a_folder_that_cannot_be_written_is_an_error_of_the_users(place: Published, get: Fetch, root: Path) -> None:
    root.parent.mkdir(parents=True)
    root.write_text("a file")
    assert "cannot be written" in failed(get).what


# ---------------------------------------------------------------------------------------------------------- archives


CODE = "someone/code"
TABLES = DataSource(archive=(CODE, COMMIT, ("data/*.csv",)))


def test_an_archives_files_lie_under_their_own_paths_with_the_commit_that_it_names(
    place: Published, get: Fetch, root: Path
) -> None:
    place.archives[CODE] = tar_gz({"data/a.csv": b"a", "data/deep/b.csv": b"b", "data/c.txt": b"c", "run.py": b"x"})
    (part,) = get(TABLES).parts
    assert there(root) == {"data/a.csv": b"a", "data/deep/b.csv": b"b"}
    assert (part.kind, part.name, part.revision) == ("archive", CODE, COMMIT)
    assert place.asked[-1].path == f"/archives/{CODE}/{COMMIT}"


def test_an_archive_of_a_pinned_commit_is_fetched_once_and_again_when_its_files_were_touched(
    place: Published, get: Fetch, root: Path
) -> None:
    place.archives[CODE] = tar_gz({"data/a.csv": b"a"})
    get(TABLES)
    get(TABLES)
    assert len(place.asked) == 1
    (root / "data/a.csv").unlink()
    get(TABLES)
    assert there(root) == {"data/a.csv": b"a"}


def test_without_a_pin_the_newest_is_taken_and_its_commit_recorded(place: Published, get: Fetch) -> None:
    place.archives[CODE] = tar_gz({"data/a.csv": b"a"}, commit="9" * 40)
    assert get(DataSource(archive=(CODE, "", ("*.csv",)))).parts[0].revision == "9" * 40
    assert place.asked[-1].path.endswith("/HEAD")


def test_members_that_lead_out_of_an_archive_are_never_written(place: Published, get: Fetch, root: Path) -> None:
    place.archives[CODE] = tar_gz(
        {"data/a.csv": b"a", "README.md": b"r", "../../out.csv": b"o"},
        links={"data/l.csv": "/etc/passwd", "data/in.csv": "a.csv"},
        top="",
    )
    get(DataSource(archive=(CODE, COMMIT, ("*.csv",))))
    assert there(root) == {"data/a.csv": b"a", "data/in.csv": b"a"}
    assert not (root / "data/in.csv").is_symlink()
    assert not list(root.parent.parent.glob("*.csv"))


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
    place: Published, get: Fetch, root: Path, content: bytes | None, told: str
) -> None:
    if content is not None:
        place.archives[CODE] = content
    assert told in failed(get, TABLES).what
    assert there(root) == {}


def test_one_part_that_does_not_come_keeps_the_others_from_nothing(place: Published, get: Fetch, root: Path) -> None:
    place.archives[CODE] = tar_gz({"data/a.csv": b"a"})
    place.sets[HUB].gate = "hf_right"
    source = DataSource(hub=HUB, files=("shapes.json",), archive=TABLES.archive)
    assert "is gated" in failed(get, source).what
    assert there(root) == {"data/a.csv": b"a"}
    assert [part.name for part in read(root).parts] == [CODE]
    place.sets[HUB].gate = ""
    assert origin(root) == (CODE, COMMIT)
    get(source)
    assert origin(root) == (HUB, COMMIT)
    assert len(read(root).files) == 2


# ------------------------------------------------------------------------------------------------------ single files


def table(place: Published, md5: str = "") -> DataSource:
    return DataSource(urls=(("tables/a.tsv", f"{place.url}/files/a.tsv", md5),))


def test_a_file_by_address_is_checked_by_its_md5_and_fetched_once(place: Published, get: Fetch, root: Path) -> None:
    place.files["a.tsv"] = LARGE
    md5 = hashlib.md5(LARGE).hexdigest()
    place.cut["a.tsv"] = 700
    get(table(place, md5))
    get(table(place, md5))
    assert there(root) == {"tables/a.tsv": LARGE}
    assert [each.range for each in place.asked] == ["", "bytes=700-"]
    assert "md5" in failed(get, table(place, "0" * 32)).what


def test_a_file_whose_hash_nobody_states_is_kept_as_it_first_came(place: Published, get: Fetch, root: Path) -> None:
    place.files["a.tsv"] = b"first"
    get(table(place))
    place.files["a.tsv"] = b"later"
    get(table(place))
    assert there(root) == {"tables/a.tsv": b"first"}
    (root / "tables/a.tsv").unlink()
    get(table(place))
    assert there(root) == {"tables/a.tsv": b"later"}
    place.files.clear()
    (root / "tables/a.tsv").unlink()
    assert "404" in failed(get, table(place)).what


# -------------------------------------------------------------------------------------------------------- the record


def test_the_hub_clients_own_cache_says_its_set_and_commit(tmp_path: Path) -> None:
    root = tmp_path / "datasets--someone--shapes" / "snapshots" / COMMIT
    root.mkdir(parents=True)
    assert origin(root) == ("someone/shapes", COMMIT)
    assert origin(tmp_path) == ("", "")


@pytest.mark.parametrize("text", ["{", "[]", '{"parts": [{"kind": "moon"}], "task": "", "licence": ""}'])
def test_a_record_that_cannot_be_read_is_named_and_says_nothing_of_the_origin(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(BadData) as caught:
        read(tmp_path)
    assert caught.value.where.endswith(FILE)
    assert origin(tmp_path) == ("", "")


def test_the_record_is_json_that_names_its_schema(place: Published, get: Fetch, root: Path) -> None:
    get(DataSource(hub=HUB, licence="CC BY-NC 4.0: not for commercial use"))
    raw = json.loads((root / FILE).read_text())
    assert raw["schema"] == "harness.source/1"
    assert raw["licence"] == "CC BY-NC 4.0: not for commercial use"


# ---------------------------------------------------------------------------------------------------------- progress


def test_progress_is_a_line_every_few_seconds_that_counts_what_was_here_but_not_as_speed() -> None:
    now = [0.0]
    said = io.StringIO()
    shown = Meter(said, clock=lambda: now[0])
    with shown.of("shapes", 3000):
        shown.add(1000, here=True)
        now[0] = 4.0
        shown.add(500)
        assert said.getvalue() == ""
        now[0] = 10.0
        shown.add(500)
    assert said.getvalue() == "shapes: 2.0 kB of 3.0 kB, 100 B/s\n"


def test_on_a_terminal_progress_is_a_bar() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    said = Terminal()
    shown = meter(said)
    with shown.of("shapes"):
        shown.expect(3000)
        shown.add(3000)
    assert "shapes" in said.getvalue()
    assert "3.0/3.0 kB" in said.getvalue()
    assert not isinstance(meter(io.StringIO()), LiveMeter)


def test_sizes_are_spelled_as_people_read_them() -> None:
    assert [spelled(size) for size in (0, 999, 1000, 5.9e9)] == ["0 B", "999 B", "1.0 kB", "5.9 GB"]
