"""What becomes of a download that the network, the server, the disk or the user breaks off, and what is shown of it.

A server that asks for a pause is waited for; a file that is another one by now is begun anew.
"""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import FileLock

from harness.contracts import DataSource
from harness.data import downloads, fetching, upstream
from harness.data.downloads import DownloadBar, DownloadProgress, format_bytes, open_progress
from harness.data.places import LOCK
from harness.data.transfer import Waits
from harness.errors import HarnessError
from tests.core.fetched import FILES, HUB, LARGE, Bench, there
from tests.core.published import Published, tar_gz


def test_a_hub_that_is_not_there_is_one_error_at_once_and_nothing_else_is_said_or_left(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    error = bench.failed()
    assert waits == []
    assert error.what.startswith("127.0.0.1 cannot be reached: ")
    assert "\n" not in error.what
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
    assert [path.name for path in bench.root.iterdir()] == [LOCK]


def test_a_hub_that_is_switched_off_is_named(bench: Bench, place: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.utils._http._GLOBAL_CLIENT", None)
    assert "HF_HUB_OFFLINE" in bench.failed().what
    monkeypatch.setattr("huggingface_hub.utils._http._GLOBAL_CLIENT", None)


def test_a_connection_that_breaks_is_gone_on_with_where_it_broke(place: Published, bench: Bench) -> None:
    place.cut["images/1.png"] = 5000
    bench.get()
    assert (bench.root / "images/1.png").read_bytes() == LARGE
    assert [each.range for each in place.asked if each.path.startswith("/large")] == ["", "bytes=5000-"]


def test_a_server_that_cannot_go_on_is_asked_for_all_of_it(place: Published, bench: Bench) -> None:
    place.cut["images/1.png"] = 5000
    place.ranges = False
    bench.get()
    assert (bench.root / "images/1.png").read_bytes() == LARGE


def test_a_busy_server_is_asked_again_and_a_lasting_fault_ends_the_command(place: Published, bench: Bench) -> None:
    place.refuse["shapes.json"] = [503, 429]
    bench.get(DataSource(hub=HUB, files=("*.json",)))
    assert [line.rpartition("answered ")[2] for line in bench.said.splitlines()] == [
        "503; trying again",
        "429; trying again",
    ]
    place.refuse["images/2.png"] = [500] * 99
    assert "500" in bench.failed(DataSource(hub=HUB, files=("images/2.png",))).what
    assert len(place.refuse["images/2.png"]) == 99 - downloads.TRIES


def test_a_file_that_comes_changed_is_refused_and_not_kept(place: Published, bench: Bench) -> None:
    place.sets[HUB].listed["images/1.png"] = LARGE[::-1]
    error = bench.failed()
    assert "images/1.png differs from the published file" in error.what
    assert not [path for path in bench.there() if "1.png" in path]


COMMAND = "from harness.cli import main; main(['data', 'fetch', 'mis', '--data', {data!r}])"


def test_after_a_kill_the_next_command_goes_on_where_it_was_and_leaves_no_part(
    place: Published, tmp_path: Path
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


def test_an_interrupt_ends_the_command_at_once_however_silent_the_server_is(place: Published, tmp_path: Path) -> None:
    place.sets["Tuwhy/MIS_Test"] = place.sets.pop(HUB)
    place.hold["images/1.png"] = 6000
    command = [sys.executable, "-c", COMMAND.format(data=str(tmp_path))]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as child:
        assert place.held.wait(60)
        part = tmp_path / "mis" / "images"
        while sum(path.stat().st_size for path in part.glob("*.part")) < 6000:
            time.sleep(0.01)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=downloads.PATIENCE / 2)
        assert (child.returncode, "run the same command again to continue" in said) == (130, True)
    with FileLock(tmp_path / "mis" / LOCK, timeout=0):
        pass  # nobody holds it
    assert [path.stat().st_size for path in part.glob("1.png.*.part")] == [6000]


def test_an_interrupt_while_files_are_still_handed_out_ends_those_that_have_begun(
    place: Published, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.hold["images/1.png"] = 6000
    submit = fetching.ThreadPoolExecutor.submit

    def interrupt_after_the_held_one(pool: Any, call: Any, file: downloads.RemoteFile, target: Path) -> Any:
        begun = submit(pool, call, file, target)
        if file.path == "images/1.png":
            assert place.held.wait(60)
            raise KeyboardInterrupt
        return begun

    monkeypatch.setattr(fetching.ThreadPoolExecutor, "submit", interrupt_after_the_held_one)
    with pytest.raises(KeyboardInterrupt):
        bench.get()
    assert sum(each.path.startswith("/large") for each in place.asked) == 1


def test_a_disk_that_is_too_small_is_told_before_anything_comes(
    place: Published, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10))
    assert bench.failed().what == "10.3 kB are needed and 10 B are free"
    assert not place.downloads()


def test_two_commands_do_not_fetch_into_one_folder(place: Published, bench: Bench) -> None:
    bench.root.mkdir(parents=True)
    with FileLock(bench.root / LOCK):
        assert "another command is fetching" in bench.failed().what


def test_the_lock_that_a_command_leaves_is_the_one_that_the_next_takes(place: Published, bench: Bench) -> None:
    """A lock file that is deleted can be held by one command while another holds the new one of the same name."""
    bench.root.mkdir(parents=True)
    lock = bench.root / LOCK
    lock.touch()
    before = lock.stat().st_ino
    bench.get()
    assert lock.stat().st_ino == before


HOLDER = """
import sys, threading
from pathlib import Path
from harness.data.places import lock_folder
from harness.data.upstream import FOLDER
with lock_folder(Path(sys.argv[1]) / FOLDER):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_two_commands_do_not_write_one_wording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "_PATIENCE", 0.0)
    (tmp_path / "words.py").write_text("A = 'a'")
    pin = upstream.Pin(task="shapes", repository="someone/shapes", commit="0" * 40, files={"words.py": ""})
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "root")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(HarnessError, match="another command is fetching"):
            upstream.copy(pin, tmp_path / "root", tmp_path)
        child.stdin.write("go\n")
        child.stdin.close()
    assert upstream.copy(pin, tmp_path / "root", tmp_path).text("words.py", "A") == "a"


def test_a_folder_that_cannot_be_written_is_an_error_of_the_users(place: Published, bench: Bench) -> None:
    bench.root.parent.mkdir(parents=True)
    bench.root.write_text("a file")
    assert "cannot be written" in bench.failed().what


def test_progress_is_a_line_every_few_seconds_that_counts_what_was_here_but_not_as_speed() -> None:
    now = [0.0]
    said = io.StringIO()
    shown = DownloadProgress(said, clock=lambda: now[0])
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
    shown = open_progress(said)
    with shown.of("shapes"):
        shown.expect(3000)
        shown.add(3000)
        shown.tell("example.org asks for a pause: waiting 9 s")
    shown.tell("warning: [x] refused")
    assert "waiting 9 s" in said.getvalue()
    assert said.getvalue().endswith("warning: [x] refused\n")
    assert "shapes" in said.getvalue()
    assert "3.0/3.0 kB" in said.getvalue()
    assert not isinstance(open_progress(io.StringIO()), DownloadBar)


def test_sizes_are_spelled_as_people_read_them() -> None:
    assert [format_bytes(size) for size in (0, 999, 1000, 5.9e9)] == ["0 B", "999 B", "1.0 kB", "5.9 GB"]


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
