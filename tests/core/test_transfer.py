"""A fetch follows redirects, and neither a token nor the memory of this machine goes along."""

from __future__ import annotations

import gzip
import io
import json
import threading
import tracemalloc
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from harness.contracts import DataSource
from harness.data import downloads as taking
from harness.data import hub, upstream
from harness.data.downloads import DownloadProgress, Downloads, RemoteFile
from harness.data.transfer import Waits, open_url, read_pieces, same_server
from harness.data.upstream import Pin
from harness.errors import HarnessError

MIB = 1 << 20
BLANKS = b" " * (64 * MIB)
Play = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers by what is played."""

    protocol_version = "HTTP/1.1"
    place: Place

    def do_GET(self) -> None:
        self.place.asked.append({"path": self.path, **{name.lower(): each for name, each in self.headers.items()}})
        self.close_connection = True
        try:
            self.place.play(self)
        except (BrokenPipeError, ConnectionResetError):
            return

    def give(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def go_on(self, status: int, piece: bytes, **headers: str) -> None:
        """A body without an end."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        while True:
            self.wfile.write(piece)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


class Place:
    """A server; `other` is the same one by another name."""

    def __init__(self, port: int, play: Play) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.other = f"http://localhost:{port}"
        self.play = play
        self.asked: list[dict[str, str]] = []


@contextmanager
def serving(play: Play) -> Generator[Place]:
    kind = type("Here", (Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        server.daemon_threads = True
        kind.place = Place(server.server_address[1], play)  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield kind.place  # type: ignore[attr-defined]
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def at_most(mebibytes: int) -> Generator[None]:
    """What is done holds no more memory than this at once."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < mebibytes * MIB


def quiet() -> DownloadProgress:
    return DownloadProgress(io.StringIO())


def fetched(wanted: RemoteFile, target: Path) -> str:
    with httpx.Client() as client:
        return Downloads(client, quiet()).get(wanted, target)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://a.example/x", "https://a.example/y?z", True),
        ("https://a.example", "https://a.example:443/y", True),
        ("http://a.example", "https://a.example/y", True),
        ("https://a.example", "http://a.example/y", False),
        ("http://a.example:8000", "https://a.example/y", False),
        ("https://a.example", "https://a.example:8443", False),
        ("https://a.example", "https://b.a.example", False),
        ("https://a.example", "https://a.example.evil", False),
        ("https://a.example", "file://a.example/etc", False),
    ],
)
def test_a_token_is_for_one_server_and_its_safer_address(one: str, other: str, same: bool) -> None:
    assert same_server(one, other) is same


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_host_is_followed_without_the_token(status: int) -> None:
    def play(handler: Handler) -> None:
        if handler.path == "/file":
            handler.give(status, location="/same")
        elif handler.path == "/same":
            handler.give(status, location=f"{handler.place.other}/else")
        elif handler.path == "/else":
            handler.give(status, location=f"{handler.place.url}/back")
        else:
            handler.give(200, b"content")

    headers = {"Authorization": "Bearer hf_mine", "X-Of-Mine": "1", "Range": "bytes=3-"}
    with serving(play) as place, httpx.Client() as client, open_url(client, f"{place.url}/file", headers) as reply:
        assert b"".join(read_pieces(reply)) == b"content"
    tokens = [each.get("authorization", "") for each in place.asked]
    assert tokens == ["Bearer hf_mine", "Bearer hf_mine", "", ""]
    assert [each.get("x-of-mine", "") for each in place.asked] == ["1", "1", "", ""]
    assert {each["range"] for each in place.asked} == {"bytes=3-"}


def test_who_is_sent_in_circles_is_told_by_whom(tmp_path: Path) -> None:
    play: Play = lambda handler: handler.give(302, location=f"{handler.place.other}/again")  # noqa: E731
    with serving(play) as place, pytest.raises(HarnessError, match="redirects more than 8 times") as refused:
        fetched(RemoteFile(path="a.csv", url=f"{place.url}/file"), tmp_path / "a.csv")
    assert place.url.removeprefix("http://") in str(refused.value)
    assert place.other.removeprefix("http://") in str(refused.value)
    assert len(place.asked) == 9


@pytest.mark.parametrize("location", ["file:///etc/passwd", "http://[", "ftp://127.0.0.1/x", "//127.0.0.1:99999"])
def test_a_redirect_to_what_is_no_web_server_is_refused(tmp_path: Path, location: str) -> None:
    play: Play = lambda handler: handler.give(302, location=location)  # noqa: E731
    with serving(play) as place, pytest.raises(HarnessError, match="no address of a server"):
        fetched(RemoteFile(path="a.csv", url=f"{place.url}/file"), tmp_path / "a.csv")


def test_the_words_beside_a_redirect_are_not_read(tmp_path: Path) -> None:
    def play(handler: Handler) -> None:
        if handler.path == "/file":
            handler.give(302, BLANKS, location=f"{handler.place.other}/else")
        else:
            handler.give(200, b"content")

    with serving(play) as place, at_most(16):
        fetched(RemoteFile(path="a.csv", url=f"{place.url}/file"), tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == b"content"


@pytest.mark.parametrize("size", [None, 1000])
def test_what_unpacks_to_far_more_than_was_sent_goes_to_the_file_piece_by_piece(
    tmp_path: Path, size: int | None
) -> None:
    packed = gzip.compress(b" " * (96 * MIB))
    with serving(lambda handler: handler.give(200, packed, content_encoding="gzip")) as place, at_most(16):
        url = f"{place.url}/file"
        wanted = RemoteFile(path="a.csv", url=url, size=size, kind="md5" if size else "", digest="0" * 32)
        if size is None:
            fetched(RemoteFile(path="a.csv", url=url), tmp_path / "a.csv")
        else:
            with pytest.raises(HarnessError, match="differs from the published file"):
                fetched(wanted, tmp_path / "a.csv")
    assert [path.stat().st_size for path in tmp_path.iterdir()] == ([96 * MIB] if size is None else [])


def test_a_file_of_an_unknown_size_does_not_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taking, "UNSIZED_LIMIT", 2 * MIB)
    play: Play = lambda handler: handler.go_on(200, b" " * 65536)  # noqa: E731
    with serving(play) as place, pytest.raises(HarnessError, match="does not give the file's size"):
        fetched(RemoteFile(path="a.csv", url=f"{place.url}/file"), tmp_path / "a.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_came_in_another_encoding_than_was_asked_for_says_so(tmp_path: Path) -> None:
    play: Play = lambda handler: handler.give(200, b"x", content_encoding="br")  # noqa: E731
    with serving(play) as place, pytest.raises(HarnessError, match="'br'"):
        fetched(RemoteFile(path="a.csv", url=f"{place.url}/file"), tmp_path / "a.csv")


def test_a_script_that_unpacks_to_far_too_much_is_refused_without_being_unpacked(tmp_path: Path) -> None:
    packed = gzip.compress(b"#" * (96 * MIB))
    pin = Pin(task="mis", repository="someone/code", commit="0" * 40, files={"a.py": "0" * 64})
    play: Play = lambda handler: handler.give(200, packed, content_encoding="gzip")  # noqa: E731
    with serving(play) as place, at_most(16), pytest.raises(HarnessError, match="larger than a script"):
        upstream.fetch(pin, tmp_path, url=f"{place.url}/{{repository}}/{{commit}}/{{path}}")


SET = DataSource(hub="someone/shapes", revision="0" * 40)


def listed() -> hub.Listing:
    return hub.list_files(SET, Waits(lambda _line: None))


def entry(path: str) -> dict[str, object]:
    return {"type": "file", "path": path, "size": 3, "oid": "0" * 40}


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("HF_TOKEN", "hf_mine")


def published(tree: Play) -> Play:
    def play(handler: Handler) -> None:
        if "/tree/" in handler.path:
            tree(handler)
        else:
            handler.give(200, json.dumps({"id": SET.hub, "sha": "0" * 40}).encode(), content_type="application/json")

    return play


@pytest.mark.usefixtures("token")
def test_a_list_that_goes_on_at_another_host_is_read_there_without_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    def tree(handler: Handler) -> None:
        first = "cursor" not in handler.path
        onward = {"link": f'<{handler.place.other}{handler.path}&cursor=1>; rel="next"'} if first else {}
        handler.give(200, json.dumps([entry(f"{first}.csv")]).encode(), content_type="application/json", **onward)

    with serving(published(tree)) as place:
        monkeypatch.setenv("HF_ENDPOINT", place.url)
        assert [wanted.path for wanted in listed().files] == ["True.csv", "False.csv"]
    tokens = {each["host"].partition(":")[0]: each.get("authorization", "") for each in place.asked}
    assert tokens == {"127.0.0.1": "Bearer hf_mine", "localhost": ""}


@pytest.mark.usefixtures("token")
def test_a_list_of_countless_files_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "LIST_LIMIT", 2 * MIB)
    packed = gzip.compress(b" " * (96 * MIB) + b"[]")
    play = published(
        lambda handler: handler.give(200, packed, content_encoding="gzip", content_type="application/json")
    )
    with serving(play) as place, at_most(32):
        monkeypatch.setenv("HF_ENDPOINT", place.url)
        with pytest.raises(HarnessError, match="larger than a list"):
            listed()


@pytest.mark.usefixtures("token")
def test_a_packed_list_is_read_and_the_client_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub.utils import get_session

    before = {name: list(hooks) for name, hooks in get_session().event_hooks.items()}
    body = gzip.compress(json.dumps([entry("a.csv")]).encode())
    with serving(published(lambda handler: handler.give(200, body, content_encoding="gzip"))) as place:
        monkeypatch.setenv("HF_ENDPOINT", place.url)
        assert [wanted.path for wanted in listed().files] == ["a.csv"]
    assert {name: list(hooks) for name, hooks in get_session().event_hooks.items()} == before
    assert {each["accept-encoding"] for each in place.asked} == {"gzip, deflate"}
