"""The review page's server: what it tells whom and when, what it refuses, and what outlives it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from harness_builder.review import Queue, from_csv, to_csv

from tests.browser.pages import INJECTIONS
from tests.training.reviewed import OPINION, lines, queue, served


async def _client(made: Queue, act: Any) -> Any:
    async with served(made) as url, httpx.AsyncClient(base_url=url.partition("/?")[0]) as http:
        assert (await http.get(url)).status_code == 303
        return await act(http)


def asked(made: Queue, act: Any) -> Any:
    return anyio.run(_client, made, act)


def post(made: Queue, path: str, body: Any, **headers: str) -> httpx.Response:
    async def act(http: httpx.AsyncClient) -> httpx.Response:
        sent = {"origin": str(http.base_url).rstrip("/"), "content-type": "application/json", **headers}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await http.post(path, content=content, headers={name: value for name, value in sent.items() if value})

    reply: httpx.Response = asked(made, act)
    return reply


def test_the_model_is_not_heard_before_the_answer(tmp_path: Path) -> None:
    made = queue(tmp_path)

    async def act(http: httpx.AsyncClient) -> tuple[str, str]:
        before = await http.get("/api/desk", params={"reviewer": "ann"})
        key = before.json()["candidate"]["key"]
        after = await http.post(
            "/api/answer",
            json={"key": key, "reviewer": "ann", "decision": "drop"},
            headers={"origin": str(http.base_url).rstrip("/")},
        )
        assert (await http.get("/api/desk", params={"reviewer": "ben"})).json()["last"] is None
        return before.text, after.text

    before, after = asked(made, act)
    assert OPINION not in before
    assert after.count(OPINION) == 1


GOOD = {"key": "drawings/0#0", "reviewer": "ann", "decision": "drop"}


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (GOOD, {"origin": ""}, 403),
        (GOOD, {"origin": "http://127.0.0.1:1"}, 403),
        (GOOD, {"host": "example.org"}, 403),
        (GOOD, {"cookie": "harness-0=x"}, 401),
        (GOOD, {"content-type": "text/plain"}, 400),
        (b"{", {}, 400),
        ([GOOD], {}, 400),
        ({**GOOD, "reviewer": "../../up"}, {}, 400),
        ({**GOOD, "reviewer": 3}, {}, 400),
        ({**GOOD, "decision": "burn"}, {}, 400),
        ({**GOOD, "key": "nobody"}, {}, 400),
        ({**GOOD, "text_unsafe": "yes"}, {}, 400),
        ({**GOOD, "seconds": -1}, {}, 400),
        ({**GOOD, "seconds": True}, {}, 400),
        ({**GOOD, "at": "2001-01-01"}, {}, 400),
        ({**GOOD, "opinion": {}}, {}, 400),
        ({**GOOD, "reason": "x" * 20_001}, {}, 400),
        (b" " * (1 << 18) + b"{}", {}, 400),
    ],
)
def test_a_tampered_answer_is_refused_with_what_helps_and_leaves_no_file(
    tmp_path: Path, body: Any, headers: dict[str, str], status: int
) -> None:
    reply = post(queue(tmp_path), "/api/answer", body, **headers)
    assert reply.status_code == status
    if status == 400:
        assert all(reply.json()["error"].split("; ", 1))
        assert "; " in reply.json()["error"]
    assert not list(tmp_path.rglob("*.jsonl"))


@pytest.mark.parametrize(
    ("question", "why"),
    [("May thing 0 lie in the second image?", "names 'thing 0'"), ("How do I do this?", "must speak of both")],
)
def test_a_question_that_cannot_stand_is_told_at_its_field_and_not_taken(
    tmp_path: Path, question: str, why: str
) -> None:
    reply = post(queue(tmp_path), "/api/answer", {**GOOD, "decision": "fix", "question": question})
    assert (reply.status_code, reply.json()["field"]) == (400, "question")
    assert why in reply.json()["error"]
    assert not list(tmp_path.rglob("*.jsonl"))


def test_an_answer_that_another_page_gave_already_is_a_conflict(tmp_path: Path) -> None:
    assert post(queue(tmp_path), "/api/answer", GOOD).status_code == 200
    assert post(queue(tmp_path), "/api/answer", {**GOOD, "decision": "keep"}).status_code == 409
    assert post(queue(tmp_path), "/api/undo", {"key": "drawings/1#0", "reviewer": "ann"}).status_code == 409
    assert [line["decision"] for line in lines(tmp_path)] == ["drop"]


def test_no_other_file_than_the_images_shown_can_be_had(tmp_path: Path) -> None:
    made = queue(tmp_path)

    async def act(http: httpx.AsyncClient) -> list[int]:
        shown = (await http.get("/api/desk", params={"reviewer": "ann"})).json()["candidate"]["images"][0]["sha256"]
        paths = [f"/image/{shown}", f"/image/{'0' * 64}", "/image/..%2F..%2Fetc%2Fpasswd", "/assets/index.py"]
        return [(await http.get(path)).status_code for path in paths]

    assert asked(made, act) == [200, 404, 404, 404]


def test_hostile_texts_are_kept_as_they_are(tmp_path: Path) -> None:
    made = queue(tmp_path, len(INJECTIONS))
    for key, text in zip(made.candidates, INJECTIONS, strict=True):
        assert post(made, "/api/answer", {**GOOD, "key": key, "reason": text}).status_code == 200
    assert [each["reason"] for each in lines(tmp_path)] == list(INJECTIONS)
    back = from_csv(to_csv(made, made.reviews()), made)
    assert len(back) == len(INJECTIONS)


SERVING = """
import sys, pathlib
from harness_builder.review import serve_review
from tests.training.reviewed import queue
serve_review(queue(pathlib.Path(sys.argv[1])), reviewer="Ann", ready=lambda url: print(url, flush=True))
"""


def test_the_address_names_the_reviewer_and_what_was_answered_outlives_a_server_that_is_killed(tmp_path: Path) -> None:
    for stop in (signal.SIGKILL, signal.SIGTERM):
        child = subprocess.Popen([sys.executable, "-c", SERVING, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        url = child.stdout.readline().strip()
        with httpx.Client(follow_redirects=True) as http:
            assert http.get(url).url.query == b"reviewer=ann"
            base = url.partition("/?")[0]
            session = http.get(f"{base}/api/desk?reviewer=ann").json()
            assert session["decided"] == (0 if stop is signal.SIGKILL else 1)
            said = {"key": session["candidate"]["key"], "reviewer": "ann", "decision": "drop"}
            assert http.post(f"{base}/api/answer", json=said, headers={"origin": base}).status_code == 200
            child.send_signal(stop)
        child.communicate(timeout=30)
        assert child.returncode == (-signal.SIGKILL if stop is signal.SIGKILL else 0)
    assert len(queue(tmp_path).reviews()) == 2
