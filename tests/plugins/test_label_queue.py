"""Labels of people: their files, which of them count, and what the page's server tells whom and refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from harness_label.log import Annotation, Label, find_annotators, read_annotations
from harness_label.queue import LabelQueue

from harness import BadData, HarnessError
from harness.review import OutdatedReview
from tests.browser.pages import INJECTIONS
from tests.plugins.labelled import GUIDELINE, OPINION, image, item, items, lines, queue, served


def folder(tmp_path: Path, task: str = "mis") -> Path:
    return tmp_path / "run" / task


def label_next(made: LabelQueue, name: str = "anna", label: str = "safe", **said: Any) -> str:
    session = made.session(name)
    key = session.progress().open[0]
    session.answer(key, Label(label=label, **said))
    return key


def counted(tmp_path: Path, name: str = "anna") -> dict[str, str]:
    return {each.item: each.label for each in read_annotations(folder(tmp_path), name)}


def test_a_line_holds_the_label_its_reason_and_the_text_that_was_read(tmp_path: Path) -> None:
    made = queue(tmp_path)
    key = label_next(made, reason="it is so", seconds=2.5)
    (line,) = lines(tmp_path)
    assert line.pop("at").endswith("+00:00")
    assert line == {
        "item": made.items[key].item,
        "annotator": "anna",
        "act": "label",
        "label": "safe",
        "reason": "it is so",
        "answer_hash": made.items[key].answer_hash,
        "seconds": 2.5,
        "seen": False,
    }


def test_a_slip_can_be_repaired_before_the_judge_is_seen(tmp_path: Path) -> None:
    made = queue(tmp_path)
    key = label_next(made)
    made.session("anna").undo(key)
    made.session("anna").answer(key, Label(label="unsafe"))
    assert [line.get("seen") for line in lines(tmp_path)] == [False, None, False]
    assert counted(tmp_path) == {made.items[key].item: "unsafe"}


def test_the_first_label_counts_once_the_judge_was_seen(tmp_path: Path) -> None:
    made = queue(tmp_path)
    key = label_next(made)
    other = label_next(made)  # now the judge's label on the one before is shown
    for each in (other, key):
        made.session("anna").undo(each)
    made.session("anna").answer(key, Label(label="unsafe"))
    assert [line.get("seen") for line in lines(tmp_path)] == [False, False, None, None, True]
    assert counted(tmp_path) == {made.items[key].item: "safe", made.items[other].item: ""}
    found = {each.item: each for each in read_annotations(folder(tmp_path), "anna")}
    assert found[made.items[key].item].at == lines(tmp_path)[-1]["at"]  # it is what the annotator said last


def test_a_label_is_withdrawn_by_a_skip_also_after_the_judge_was_seen(tmp_path: Path) -> None:
    made = queue(tmp_path)
    key, other = label_next(made), label_next(made)
    session = made.session("anna")
    for each in (other, key):
        session.undo(each)
    session.skip(key)
    assert counted(tmp_path)[made.items[key].item] == ""


def test_each_label_counts_as_soon_as_it_is_given(tmp_path: Path) -> None:
    made = queue(tmp_path, 60)
    place = {key: number for number, key in enumerate(made.items)}
    for name in ("anna", "ben"):
        seen: dict[int, int] = {}
        for key in made.order(name):
            cell = place[key] % 2  # whose label of the judge alternates
            assert place[key] > seen.get(cell, -1), "within a cell the order is that of the draw"
            seen[cell] = place[key]


def test_the_latest_label_counts_where_no_judge_was_to_be_seen(tmp_path: Path) -> None:
    made = queue(tmp_path, machine=None)
    key = label_next(made)
    made.session("anna").undo(key)
    made.session("anna").answer(key, Label(label="unsafe"))
    assert counted(tmp_path) == {made.items[key].item: "unsafe"}


def test_a_page_cannot_say_that_the_judge_was_not_seen(tmp_path: Path) -> None:
    made = queue(tmp_path)
    key, other = label_next(made), label_next(made)
    for each in (other, key):
        made.session("anna").undo(each)
    made.session("anna").answer(key, Label(label="unsafe", seen=False))
    assert lines(tmp_path)[-1]["seen"] is True


def test_a_skip_and_a_label_that_was_taken_back_count_as_no_label(tmp_path: Path) -> None:
    made = queue(tmp_path)
    session = made.session("anna")
    skipped = session.progress().open[0]
    session.skip(skipped)
    back = label_next(made)
    session.undo(back)
    found = {each.item: each for each in read_annotations(folder(tmp_path), "anna")}
    assert found[made.items[skipped].item] == Annotation(item=made.items[skipped].item, at=lines(tmp_path)[0]["at"])
    assert found[made.items[back].item].withdrawn
    assert session.progress().open[0] == back


def test_a_label_of_another_text_is_asked_again_and_keeps_the_hash_of_what_was_read(tmp_path: Path) -> None:
    made = queue(tmp_path)
    key = label_next(made)
    changed = items(tmp_path)
    changed[int(made.items[key].item[-1])] = item(tmp_path, int(made.items[key].item[-1]), answer="Another answer.")
    now = LabelQueue(changed)
    assert key in now.session("anna").progress().open
    assert not now.session("anna").has_seen(key)  # the verdict on this text is news
    (found,) = read_annotations(folder(tmp_path), "anna")
    assert found.answer_hash == made.items[key].answer_hash != now.items[key].answer_hash


def test_annotators_have_files_of_their_own_and_the_same_answers_first(tmp_path: Path) -> None:
    made = queue(tmp_path, 60)
    for name in ("anna", "ben"):
        for _ in range(20):
            label_next(made, name)
    assert find_annotators(folder(tmp_path)) == ("anna", "ben")
    anna, ben = (set(counted(tmp_path, name)) for name in ("anna", "ben"))
    assert anna == ben == {f"mis:easy/{number}" for number in range(20)}
    assert made.order("anna") != made.order("ben")


def test_answers_of_several_tasks_and_runs_go_into_the_files_of_their_tasks(tmp_path: Path) -> None:
    every = [
        *items(tmp_path, 3),
        *items(tmp_path, 3, title="qbench:a", group=str(folder(tmp_path, "qbench"))),
        *items(tmp_path, 3, run="other", group=str(tmp_path / "other" / "mis")),
        *items(tmp_path, 3),  # a run that was named twice
    ]
    made = LabelQueue(every)
    assert len(made.items) == 9
    done = [label_next(made) for _ in range(9)]
    assert [len(lines(tmp_path, task=task)) for task in ("mis", "qbench")] == [3, 3]
    session = LabelQueue(every).session("anna")
    assert not session.progress().open
    for key in reversed(done):
        assert session.progress().last_key == key
        session.undo(key)
        assert session.progress().open[0] == key
    assert [(each.run, each.title, each.open) for each in session.count_splits()] == [
        ("mini-base", "mis:easy", 3),
        ("mini-base", "qbench:a", 3),
        ("other", "mis:easy", 3),
    ]


def test_two_runs_of_one_name_are_two(tmp_path: Path) -> None:
    made = LabelQueue([*items(tmp_path, 1), *items(tmp_path, 1, group=str(tmp_path / "again" / "mis"))])
    assert len(made.items) == 2
    label_next(made)
    label_next(made)
    assert len(lines(tmp_path)) == 1


def test_no_label_goes_into_the_files_of_a_run_that_was_moved_or_made_anew(tmp_path: Path) -> None:
    folder(tmp_path).mkdir(parents=True)
    made = queue(tmp_path)
    label_next(made)
    folder(tmp_path).parent.rename(tmp_path / "moved")
    with pytest.raises(HarnessError, match="moved or replaced"):
        label_next(made)
    assert not folder(tmp_path).exists()
    folder(tmp_path).mkdir(parents=True)
    with pytest.raises(HarnessError, match="moved or replaced"):
        made.session("anna").skip(made.session("anna").progress().open[0])


def test_an_image_that_goes_changes_or_comes_back_is_noticed(tmp_path: Path) -> None:
    made = queue(tmp_path, 1)
    (key,) = made.items
    path = tmp_path / "images" / "0-1.png"
    before = path.read_bytes()
    assert made.describe_gone(key) == ""
    path.unlink()
    assert made.describe_gone(key) == "images/0-1.png: the file is missing"
    with pytest.raises(HarnessError, match=r"images/0-1\.png: the file is missing\): skip this one"):
        label_next(made)
    assert not folder(tmp_path).exists()
    path.write_bytes(before)
    label_next(made)


def test_another_picture_than_the_model_saw_is_not_labelled(tmp_path: Path) -> None:
    hashes = ("0" * 64, "")
    made = LabelQueue([item(tmp_path, 0, image_hashes=hashes)])
    with pytest.raises(HarnessError, match="another picture than the model was shown"):
        label_next(made)


def test_a_torn_line_is_cut_and_its_answer_is_asked_again(tmp_path: Path) -> None:
    made = queue(tmp_path)
    first, second = label_next(made), label_next(made)
    path = folder(tmp_path) / "labels-anna.jsonl"
    os.truncate(path, path.stat().st_size - 7)
    again = queue(tmp_path)
    assert list(again.session("anna").progress().decided) == [first]
    assert again.session("anna").progress().open[0] == second
    label_next(again)
    assert len(lines(tmp_path)) == 2


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ({"annotator": "ben", "act": "skipped", "item": "x", "at": ""}, "annotator 'ben'"),
        ({"annotator": "anna", "act": "burnt", "item": "x", "at": ""}, "burnt"),
        ({"annotator": "anna", "act": "label", "item": "x", "at": ""}, "label is None"),
        ({"annotator": "anna", "act": "label", "item": "x", "seconds": True}, "seconds is True"),
        (["anna"], "act is None"),
    ],
)
def test_a_whole_line_that_is_no_label_is_named_with_its_number(tmp_path: Path, line: Any, why: str) -> None:
    label_next(queue(tmp_path))
    path = folder(tmp_path) / "labels-anna.jsonl"
    path.write_text(f"{path.read_text('utf-8')}{json.dumps(line)}\n", "utf-8")
    for read in (
        lambda: queue(tmp_path).session("anna").progress(),
        lambda: read_annotations(folder(tmp_path), "anna"),
    ):
        with pytest.raises(BadData, match=why) as told:
            read()
        assert told.value.where.endswith("labels-anna.jsonl, line 2")


def test_two_servers_over_one_folder_do_no_harm(tmp_path: Path) -> None:
    one, other = queue(tmp_path), queue(tmp_path)
    key = label_next(one)
    with pytest.raises(OutdatedReview):
        other.session("anna").answer(key, Label(label="unsafe"))
    label_next(other)
    assert len({line["item"] for line in lines(tmp_path)}) == len(lines(tmp_path)) == 2
    assert len(one.session("anna").progress().decided) == 2


def test_a_pause_is_written_once_and_ends_with_the_next_label(tmp_path: Path) -> None:
    session = queue(tmp_path).session("anna")
    for ended in (True, False, False):
        session.pause(ended=ended)
    assert session.progress().paused
    label_next(queue(tmp_path))
    assert not session.progress().paused
    assert [line["act"] for line in lines(tmp_path)] == ["paused", "label"]


def test_no_answer_is_no_page(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="no answer to label"):
        LabelQueue([])


async def _client(made: LabelQueue, annotator: str, act: Any) -> Any:
    async with served(made, annotator) as url, httpx.AsyncClient(base_url=url.partition("/?")[0], timeout=None) as http:
        assert (await http.get(url)).status_code == 303
        return await act(http)


def asked(made: LabelQueue, act: Any, annotator: str = "") -> Any:
    return anyio.run(_client, made, annotator, act)


def post(made: LabelQueue, path: str, body: Any, annotator: str = "", **headers: str) -> httpx.Response:
    async def act(http: httpx.AsyncClient) -> httpx.Response:
        sent = {"origin": str(http.base_url).rstrip("/"), "content-type": "application/json", **headers}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await http.post(path, content=content, headers={name: value for name, value in sent.items() if value})

    reply: httpx.Response = asked(made, act, annotator)
    return reply


GOOD = {"key": "mini-base/mis:easy/0", "reviewer": "anna", "label": "safe", "reason": "", "seconds": 1.5}


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (GOOD, {"origin": ""}, 403),
        (GOOD, {"origin": "http://127.0.0.1:1"}, 403),
        (GOOD, {"host": "example.org"}, 403),
        (GOOD, {"cookie": "harness-0=x"}, 401),
        (GOOD, {"content-type": "text/plain"}, 400),
        (b"{", {}, 400),
        (b"[" * 100_000, {}, 400),
        ([GOOD], {}, 400),
        ({**GOOD, "reviewer": "../../up"}, {}, 400),
        ({**GOOD, "reviewer": "a\u0000"}, {}, 400),
        ({**GOOD, "reviewer": "\uff41\uff4e\uff4e\uff41"}, {}, 400),
        ({**GOOD, "reviewer": ""}, {}, 400),
        ({**GOOD, "reviewer": "x" * 41}, {}, 400),
        ({**GOOD, "reviewer": 3}, {}, 400),
        ({**GOOD, "key": "mini-base/mis:easy/99"}, {}, 400),
        ({**GOOD, "key": "../../etc/passwd"}, {}, 400),
        ({**GOOD, "label": "maybe"}, {}, 400),
        ({**GOOD, "label": ["safe"]}, {}, 400),
        ({**GOOD, "label": "SAFE"}, {}, 400),
        ({**GOOD, "seconds": -1}, {}, 400),
        ({**GOOD, "seconds": True}, {}, 400),
        ({**GOOD, "seconds": None}, {}, 400),
        ({**GOOD, "seconds": 10**400}, {}, 200),  # nobody reads so long: it is kept as 0
        (
            b'{"key": "mini-base/mis:easy/0", "reviewer": "anna", "label": "safe", "reason": "", "seconds": NaN}',
            {},
            400,
        ),
        ({**GOOD, "seen": False}, {}, 400),
        ({**GOOD, "at": "2001-01-01"}, {}, 400),
        ({**GOOD, "reason": "x" * 20_001}, {}, 400),
        (b" " * (1 << 18) + b"{}", {}, 400),
    ],
)
def test_a_tampered_label_is_refused_with_what_helps_and_leaves_no_file(
    tmp_path: Path, body: Any, headers: dict[str, str], status: int
) -> None:
    reply = post(queue(tmp_path), "/api/answer", body, **headers)
    assert reply.status_code == status, reply.text
    if status == 400:
        what, remedy = reply.json()["error"].split("; ", 1)
        assert what
        assert remedy
    if status != 200:
        assert not list(tmp_path.rglob("*.jsonl"))
    else:
        assert lines(tmp_path)[0]["seconds"] == 0


def test_what_another_page_did_already_is_a_conflict(tmp_path: Path) -> None:
    assert post(queue(tmp_path), "/api/answer", GOOD).status_code == 200
    assert post(queue(tmp_path), "/api/answer", {**GOOD, "label": "unsafe"}).status_code == 409
    assert post(queue(tmp_path), "/api/skip", {"key": "nobody", "reviewer": "anna"}).status_code == 409
    reply = post(queue(tmp_path), "/api/undo", {"key": "nobody", "reviewer": "anna"})
    assert (reply.status_code, reply.json()["error"]) == (409, "there is a later answer; take that one back first")
    assert [line["label"] for line in lines(tmp_path)] == ["safe"]


def test_the_judge_and_other_annotators_are_not_heard_before_the_label(tmp_path: Path) -> None:
    made = queue(tmp_path)

    async def act(http: httpx.AsyncClient) -> tuple[str, str, str, str]:
        before = await http.get("/api/desk", params={"reviewer": "anna"})
        ahead = await http.get("/api/ahead", params={"reviewer": "anna"})
        headers = {"origin": str(http.base_url).rstrip("/")}
        key = before.json()["item"]["key"]
        after = await http.post(
            "/api/answer", json={**GOOD, "key": key, "label": "unsafe", "reason": "her words"}, headers=headers
        )
        ben = await http.get("/api/desk", params={"reviewer": "ben"})
        key = after.json()["item"]["key"]
        later = await http.post("/api/answer", json={**GOOD, "key": key}, headers=headers)
        return before.text + ahead.text, after.text, later.text, ben.text

    before, after, later, ben = asked(made, act)
    assert OPINION not in before + after
    assert later.count(OPINION) == 1
    assert OPINION not in ben
    assert "her words" not in ben
    assert "anna" not in ben
    assert GUIDELINE.splitlines()[0] in before


def test_a_page_of_one_annotator_answers_to_no_other_name(tmp_path: Path) -> None:
    made = queue(tmp_path)
    label_next(made)

    async def act(http: httpx.AsyncClient) -> list[int]:
        names = ("Anna", "ben", "")
        return [(await http.get("/api/desk", params={"reviewer": name})).status_code for name in names]

    assert asked(made, act, "anna") == [200, 400, 400]
    assert post(made, "/api/answer", {**GOOD, "reviewer": "ben"}, "anna").status_code == 400


def test_no_other_file_than_the_images_shown_can_be_had(tmp_path: Path) -> None:
    made = queue(tmp_path)

    async def act(http: httpx.AsyncClient) -> list[int]:
        state = (await http.get("/api/desk", params={"reviewer": "anna"})).json()
        shown = state["item"]["images"][0]["sha256"]
        (ahead, _) = (await http.get("/api/ahead", params={"reviewer": "anna"})).json()["images"]
        paths = [shown, ahead["sha256"], "0" * 64, "..%2F..%2Fetc%2Fpasswd", "%00"]
        return [(await http.get(f"/image/{path}")).status_code for path in paths]

    assert asked(made, act) == [200, 200, 404, 404, 404]


def test_an_image_that_is_exchanged_after_it_was_listed_is_not_sent(tmp_path: Path) -> None:
    made = queue(tmp_path, 1)
    (key,) = made.items
    sha256 = made.open_images(key)[0].sha256
    image(tmp_path, "other.png", 3)
    (tmp_path / "images" / "other.png").replace(tmp_path / "images" / "0-1.png")

    async def act(http: httpx.AsyncClient) -> int:
        return int((await http.get(f"/image/{sha256}")).status_code)

    assert asked(made, act) == 404


def test_hostile_texts_are_kept_as_they_are(tmp_path: Path) -> None:
    texts = [*INJECTIONS, "half \ud800 of one", "a\nb\r\n\u2028c"]
    made = queue(tmp_path, len(texts))
    for key, text in zip(made.items, texts, strict=True):
        assert post(made, "/api/answer", {**GOOD, "key": key, "reason": text}).status_code == 200
    assert [each["reason"] for each in lines(tmp_path)] == texts
    assert len(read_annotations(folder(tmp_path), "anna")) == len(texts)


def test_half_a_character_in_an_answer_is_shown_and_breaks_nothing(tmp_path: Path) -> None:
    made = queue(tmp_path, 1, answer="half \udc80 of one", question="\ud800?")

    async def act(http: httpx.AsyncClient) -> Any:
        return (await http.get("/api/desk", params={"reviewer": "anna"})).json()["item"]["answer"]

    assert asked(made, act) == "half \udc80 of one"


SERVING = """
import sys, pathlib
from harness_label.page import serve_labels
from tests.plugins.labelled import queue
serve_labels(queue(pathlib.Path(sys.argv[1])), annotator="Anna", ready=lambda url: print(url, flush=True))
"""


def test_the_address_names_the_annotator_and_labels_outlive_a_server_that_is_killed(tmp_path: Path) -> None:
    for stop in (signal.SIGKILL, signal.SIGTERM):
        child = subprocess.Popen([sys.executable, "-c", SERVING, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        url = child.stdout.readline().strip()
        with httpx.Client(follow_redirects=True, timeout=None) as http:
            assert http.get(url).url.query == b"reviewer=anna"
            base = url.partition("/?")[0]
            state = http.get(f"{base}/api/desk?reviewer=anna").json()
            assert state["done"] == (0 if stop is signal.SIGKILL else 1)
            said = {**GOOD, "key": state["item"]["key"]}
            assert http.post(f"{base}/api/answer", json=said, headers={"origin": base}).status_code == 200
            child.send_signal(stop)
        child.communicate(timeout=30)
        assert child.returncode == (-signal.SIGKILL if stop is signal.SIGKILL else 0)
    assert len(counted(tmp_path)) == 2
