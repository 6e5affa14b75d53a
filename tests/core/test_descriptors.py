"""What becomes of a run when this process can have no more files open, and how calls keep below that."""

import errno
import os
import resource
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from harness import descriptors
from harness.cli.crash import exit_code
from harness.contracts import ModelInfo
from harness.errors import TooManyOpen
from harness.http import Address, unreachable
from harness.images import open_image
from harness.limits import Endpoints, Metered, Policy
from harness.readers import open_files
from harness.testing.fakes import PIXEL, FakeModel, fake_sample, fake_task
from harness.types import Image, Message, Request, Sample, Text
from tests.core.carried import Server, go, lines
from tests.core.scripted import ASK


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
        most = descriptors.room()
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
        f"{first.endpoint.slots} calls at once are made to a, not 500: this process may have 256 files"
    )
