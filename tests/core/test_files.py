"""Files outlive a killed process, and a run that can have no more files open says so."""

import errno
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import platformdirs
import pytest

from harness import descriptors
from harness.cli.ending import exit_code
from harness.contracts import ModelInfo
from harness.errors import HarnessError, TooManyOpen
from harness.files import (
    AppendFile,
    atomic_write,
    find_user_folder,
    is_full,
    lock_file,
    lock_path,
    open_atomic,
    read_lines,
    report_write_errors,
)
from harness.http import Address, unreachable
from harness.images import open_image
from harness.limits import Endpoints, Metered, Policy
from harness.readers import open_files
from harness.testing.fakes import PIXEL, FakeModel, fake_sample, fake_task
from harness.types import Image, Message, Request, Sample, Text
from tests.core.carried import Server, go, lines
from tests.core.scripted import ASK


@pytest.mark.parametrize("content", [b"new\n", "new\n", ["n", "ew\n"]], ids=["bytes", "text", "pieces"])
def test_a_file_is_replaced_by_bytes_text_or_pieces_and_leaves_nothing_else(
    tmp_path: Path, content: bytes | str | list[str]
) -> None:
    file = tmp_path / "folder" / "file"
    atomic_write(file, "old\n")
    atomic_write(file, content)
    assert file.read_bytes() == b"new\n"
    assert list(file.parent.iterdir()) == [file]


def test_the_new_content_may_be_read_from_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("a\nb\n")
    with file.open() as old:
        atomic_write(file, (line.upper() for line in old))
    assert file.read_text() == "A\nB\n"


def test_a_write_that_fails_leaves_the_old_file_and_no_scratch_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")

    def pieces() -> Iterator[str]:
        yield "new"
        assert file.read_text() == "old"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        atomic_write(file, pieces())
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_what_utf_8_cannot_hold_is_written_as_its_escape(tmp_path: Path) -> None:
    atomic_write(tmp_path / "file", "a\ud800")
    assert (tmp_path / "file").read_bytes() == b"a\\ud800"


def test_links_in_the_place_of_the_file_and_of_its_scratch_file_are_not_followed(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("mine")
    file, scratch = tmp_path / "file", tmp_path / ".scratch"
    for link in (file, scratch):
        link.symlink_to(mine)
    atomic_write(file, "new", scratch=scratch)
    assert (mine.read_text(), file.read_text(), file.is_symlink()) == ("mine", "new", False)


def test_a_named_scratch_file_that_somebody_deletes_takes_the_write_with_it(tmp_path: Path) -> None:
    file, scratch = tmp_path / "file", tmp_path / ".scratch"

    def write() -> None:
        with open_atomic(file, scratch=scratch) as new:
            new.write(b"gone")
            scratch.unlink()

    with pytest.raises(FileNotFoundError):
        write()
    assert not list(tmp_path.iterdir())


def test_threads_that_replace_one_file_each_write_it_whole(tmp_path: Path) -> None:
    file = tmp_path / "file"
    texts = [letter * 50_000 for letter in "abcd"]
    threads = [threading.Thread(target=atomic_write, args=(file, text), kwargs={"sync": False}) for text in texts * 5]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert file.read_text() in texts
    assert list(tmp_path.iterdir()) == [file]


def test_a_lock_is_refused_while_somebody_holds_it_and_its_file_stays(tmp_path: Path) -> None:
    path = lock_path(tmp_path / "new" / "journal")
    assert path.name == ".journal.lock"
    with lock_file(path), pytest.raises(HarnessError, match="held"):
        lock_file(path, busy=HarnessError("held"), wait=0.05)
    assert path.exists()
    lock_file(path, busy=HarnessError("held")).release()


def test_a_lock_that_another_process_holds_is_refused_and_free_when_that_ends(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    code = f"from pathlib import Path; from harness.files import lock_file; a = lock_file(Path({str(path)!r})); input()"
    code = code.replace("input()", "print(1, flush=True); input()")
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(HarnessError, match="held"):
            lock_file(path, busy=HarnessError("held"))
        other.kill()
    lock_file(path).release()


def test_a_lock_can_be_released_by_another_thread(tmp_path: Path) -> None:
    lock = lock_file(tmp_path / ".lock")
    thread = threading.Thread(target=lock.release)
    thread.start()
    thread.join()
    lock_file(tmp_path / ".lock", busy=HarnessError("held")).release()


@pytest.mark.parametrize(
    ("before", "row", "after"),
    [
        (b"", 0, b""),
        (b"a\nb\n", 0, b"a\nb\n"),
        (b"a\nb\nto", 0, b"a\nb\n"),
        (b"torn", 0, b""),
        (b"a\n" + b"t" * 200_000, 0, b"a\n"),
        (b"aaabbbcc", 3, b"aaabbb"),
    ],
)
def test_a_torn_end_is_cut_when_the_file_is_opened(tmp_path: Path, before: bytes, row: int, after: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(before)
    with AppendFile(path, row=row) as file:
        assert file.end == len(after)
        file.append(b"new\n", sync=True)
        assert file.read(3, len(after)) == b"new"
    assert path.read_bytes() == after + b"new\n"


def test_a_write_that_does_not_fit_is_refused_and_the_file_ends_as_before(tmp_path: Path) -> None:
    """The limit on a file's size stands for a full disk: a part of the write fits, and the rest does not."""
    path = tmp_path / "file"
    code = (
        "import resource, signal; from pathlib import Path; from harness.files import AppendFile\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
        f"file = AppendFile(Path({str(path)!r})); file.append(b'12345\\n')\n"
        "try: file.append(b'67890\\n')\n"
        "except OSError as error: print(error.errno, file.end)\n"
        "file.append(b'abc\\n')\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == [str(errno.ENOSPC), "6"]
    assert path.read_bytes() == b"12345\nabc\n"
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 10


def test_whole_lines_are_read_from_an_offset_on_and_a_missing_file_has_none(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert not list(read_lines(path))
    path.write_bytes(b"one\ntwo\nthr")
    assert list(read_lines(path)) == [b"one\n", b"two\n"]
    assert list(read_lines(path, 4)) == [b"two\n"]


def test_a_write_error_names_the_file_that_it_is_about_else_the_path(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with pytest.raises(HarnessError, match="cannot write: No such file") as caught, report_write_errors(folder):
        (folder / "file").write_text("x")
    assert caught.value.where == str(folder / "file")
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    report = report_write_errors(folder, what="not saved", remedy="free some space")
    with pytest.raises(HarnessError, match="not saved: No space") as full_disk, report:
        raise full
    assert (full_disk.value.where, full_disk.value.remedy) == (str(folder), "free some space")
    assert is_full(full)
    assert not is_full(OSError(errno.EACCES, "no"))


@contextmanager
def limited(most: int) -> Generator[None]:
    """At most so many files open, of which those that are open now are a part."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def take_all(taken: list[int]) -> None:
    """Open files until no more can be."""

    def take() -> None:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))

    with pytest.raises(OSError, match="Too many open files"):
        take()


@contextmanager
def none_left() -> Generator[None]:
    taken: list[int] = []
    with limited(256):
        try:
            take_all(taken)
            yield
        finally:
            for each in taken:
                os.close(each)


@pytest.mark.parametrize("packed", [False, True], ids=["a file", "in an archive"])
def test_an_image_that_no_file_can_be_opened_for_is_not_broken(tmp_path: Path, packed: bool) -> None:
    (tmp_path / "a.png").write_bytes(PIXEL)
    image = open_files(tmp_path).image("b.png" if packed else "a.png")
    with none_left(), pytest.raises(TooManyOpen, match="its limit is 256"):
        open_image(image)


def test_a_connection_that_no_file_can_be_opened_for_is_no_servers_fault() -> None:
    outer = ConnectionError("cannot connect")
    outer.__cause__ = OSError(errno.EMFILE, "Too many open files")
    with pytest.raises(TooManyOpen, match="its limit is") as raised:
        unreachable(outer, Address(url="http://127.0.0.1:1"))
    assert "ulimit -n" in raised.value.remedy


def test_a_run_stops_and_names_the_limit_and_marks_no_sample(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PIXEL)
    files, taken = open_files(tmp_path), list[int]()

    def samples() -> Iterator[Sample]:
        for number in range(50):
            parts = (Image(path="a.png", files=files), Text(text=f"question {number}"))
            request = Request(messages=(Message(role="user", content=parts),))
            yield Sample(id=f"q{number}", split="all", request=request)

    def script(text: str) -> str:
        if text == "question 9":
            take_all(taken)
        return "no"

    try:
        with limited(256), pytest.raises(TooManyOpen, match="its limit is 256"):
            go(Server(script), tmp_path / "run", task=fake_task(samples))
    finally:
        for each in taken:
            os.close(each)
    assert {line["outcome"] for line in lines(tmp_path / "run")} == {"answered"}
    run = go(Server(), tmp_path / "run", task=fake_task(samples))
    assert run.exit_code == 0


def test_a_task_that_can_open_no_file_stops_the_run_and_is_no_broken_task(tmp_path: Path) -> None:
    passes: list[int] = []

    def samples() -> Iterator[Sample]:
        passes.append(1)
        for number in range(20):
            if len(passes) == 2 and number == 5:
                raise OSError(errno.EMFILE, "Too many open files")
            yield fake_sample(f"q{number}", text=f"question {number}")

    with pytest.raises(TooManyOpen):
        go(Server(), tmp_path, task=fake_task(samples))
    assert 0 < len(lines(tmp_path)) <= 5


def test_a_command_that_can_open_no_file_says_so_and_is_no_bug(capsys: pytest.CaptureFixture[str]) -> None:
    def run() -> None:
        raise OSError(errno.EMFILE, "Too many open files", "run.json")

    assert exit_code(run, []) == 2
    assert "no more files open: its limit is" in capsys.readouterr().err


def asked(model: str, *, local: bool = False) -> FakeModel:
    info = ModelInfo(ref=f"fake/{model}", endpoint=model, local=local, concurrency=500 if local else None)
    return FakeModel("ok", info)


def test_all_clients_together_keep_no_more_connections_than_files_may_be_open() -> None:
    said: list[str] = []
    with limited(256):
        most = descriptors.call_limit()
        assert most is not None
        endpoints = Endpoints(Policy(start=500, cap=500), tell=said.append)
        models = [asked("a"), asked("b"), asked("c", local=True)]
        for model in models:
            endpoints.watch(model)
        first, second, local = (Metered(model, endpoints) for model in models)
        assert most // 4 < first.endpoint.slots == second.endpoint.slots <= most // 2 < (256 - descriptors.RESERVED) / 2
        assert local.endpoint.slots == 500, "its calls open nothing"
        for _ in range(3):
            anyio.run(first.generate, ASK)
    [note] = said
    assert note.startswith(
        f"a gets {first.endpoint.slots} calls at once, not 500: this process may open only 256 files"
    )


@pytest.mark.parametrize("given", ["/tmp/own", "relative", "", None])
def test_the_users_folders_are_those_of_platformdirs(monkeypatch: pytest.MonkeyPatch, given: str | None) -> None:
    for variable in ("XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(variable, raising=False)
        if given is not None:
            monkeypatch.setenv(variable, given)
    assert find_user_folder("config") == platformdirs.user_config_path("harness")
    assert find_user_folder("data") == platformdirs.user_data_path("harness")
