"""What becomes of a download that the network, the server, the disk or the user breaks off, and what is shown of it."""

import io
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock

from harness.contracts import DataSource
from harness.data import downloads, upstream
from harness.data.downloads import DownloadBar, DownloadProgress, format_bytes, open_progress
from harness.data.places import LOCK
from harness.errors import HarnessError
from tests.core.fetched import FILES, HUB, LARGE, Bench, there
from tests.core.published import Published


def test_a_hub_that_is_not_there_is_one_error_at_once_and_nothing_else_is_said_or_left(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    started = time.monotonic()
    error = bench.failed()
    assert time.monotonic() - started < 3
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
    assert "images/1.png did not come as it was published" in error.what
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
        assert (child.returncode, "run the same command again to go on" in said) == (130, True)
    with FileLock(tmp_path / "mis" / LOCK, timeout=0):
        pass  # nobody holds it
    assert [path.stat().st_size for path in part.glob("1.png.*.part")] == [6000]


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


# ---------------------------------------------------------------------------------------------------------- progress


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
