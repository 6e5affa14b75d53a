"""What reviewers decide: kept line by line, resumed, taken back; what the review page's server refuses."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from harness_builder.review import Overtaken, Queue, from_csv, to_csv

from harness import BadData, HarnessError
from tests.browser.pages import INJECTIONS
from tests.training.reviewed import (
    CATEGORIES,
    OPINION,
    answer_all,
    candidate,
    candidates,
    image,
    keys,
    lines,
    queue,
    review,
    served,
)


def test_each_decision_is_a_line_of_its_own_with_what_was_shown(tmp_path: Path) -> None:
    (key,) = answer_all(queue(tmp_path), "ann", 1, text_unsafe=False, reason="clear", seconds=2.5)
    (line,) = lines(tmp_path)
    assert (line["key"], line["decision"], line["text_unsafe"], line["seconds"]) == (key, "keep", False, 2.5)
    assert len(line["shown"]) == 16
    assert line["at"].endswith("+00:00")


def test_a_reviewer_goes_on_where_they_stopped(tmp_path: Path) -> None:
    done = answer_all(queue(tmp_path, 10), "ann", 3)
    again = queue(tmp_path, 10).desk("ann").standing()
    assert list(again.decided) == done
    assert set(again.open) == set(queue(tmp_path, 10).candidates) - set(done)
    assert [*done, *again.open] == queue(tmp_path, 10).order("ann")


def test_a_torn_line_is_cut_and_the_candidate_is_asked_again(tmp_path: Path) -> None:
    first, second = answer_all(queue(tmp_path), "ann", 2)
    path = tmp_path / "review" / "reviews-ann.jsonl"
    os.truncate(path, path.stat().st_size - 7)

    desk = queue(tmp_path).desk("ann")
    assert list(desk.standing().decided) == [first]
    desk.answer(review(second))
    assert [line["key"] for line in lines(tmp_path)] == [first, second]


def test_a_whole_line_that_is_none_of_ours_is_named_with_its_number(tmp_path: Path) -> None:
    answer_all(queue(tmp_path), "ann", 1)
    with (tmp_path / "review" / "reviews-ann.jsonl").open("a") as file:
        file.write('{"decision": "perhaps", "reviewer": "ann"}\n')
    with pytest.raises(BadData, match=r"perhaps.*\n?") as told:
        queue(tmp_path).desk("ann").standing()
    assert told.value.where.endswith("reviews-ann.jsonl, line 2")


def test_what_is_taken_back_is_asked_next_and_its_lines_stay(tmp_path: Path) -> None:
    desk = queue(tmp_path).desk("ann")
    first, second = answer_all(queue(tmp_path), "ann", 2, reason="so")
    before = desk.undo(second)
    assert before is not None
    assert before.reason == "so"
    assert queue(tmp_path).desk("ann").standing().open[0] == second
    desk.answer(review(second, decision="drop"))
    assert [line["decision"] for line in lines(tmp_path)] == ["keep", "keep", "undone", "drop"]
    assert {each.key: each.decision for each in queue(tmp_path).reviews()} == {first: "keep", second: "drop"}


def test_first_answers_are_kept_apart_from_those_given_after_the_model_was_heard(tmp_path: Path) -> None:
    (key,) = answer_all(queue(tmp_path), "ann", 1)
    desk = queue(tmp_path).desk("ann")
    desk.undo(key)
    desk.answer(review(key, decision="drop"))
    assert [each.decision for each in queue(tmp_path).reviews()] == ["drop"]
    assert [each.decision for each in queue(tmp_path).reviews(first=True)] == ["keep"]


def test_only_the_last_answer_can_be_taken_back_one_after_the_other(tmp_path: Path) -> None:
    first, second = answer_all(queue(tmp_path), "ann", 2)
    desk = queue(tmp_path).desk("ann")
    with pytest.raises(Overtaken):
        desk.undo(first)
    desk.undo(second)
    desk.undo(first)
    assert not desk.standing().decided


def test_an_answer_to_what_is_decided_already_is_refused(tmp_path: Path) -> None:
    (key,) = answer_all(queue(tmp_path), "ann", 1)
    other = queue(tmp_path).desk("ann")  # as of another server over the same folder
    with pytest.raises(Overtaken):
        other.answer(review(key, decision="drop"))
    assert len(lines(tmp_path)) == 1


def test_categories_left_out_and_skipped_candidates_are_told_from_decided_ones(tmp_path: Path) -> None:
    desk = queue(tmp_path, 6).desk("ann")
    desk.leave_out(["colours"])
    key = desk.standing().open[0]
    desk.skip(key)
    desk.answer(review(desk.standing().open[0]))

    again = queue(tmp_path, 6).desk("ann").standing()
    assert (len(again.decided), again.skipped, len(again.left_out), len(again.open)) == (1, (key,), 3, 1)
    desk.leave_out([])
    assert len(desk.standing().open) == 4


@pytest.mark.parametrize("change", ["question", "category", "image"])
def test_a_candidate_that_has_changed_is_asked_again(tmp_path: Path, change: str) -> None:
    done = answer_all(queue(tmp_path), "ann")
    changes: dict[str, Any] = {
        "question": {"question": "Another question?"},
        "category": {"category": "places"},
        "image": {"images": (image(tmp_path, "new.png", 3), image(tmp_path, "0-2.png", 1))},
    }[change]
    now = Queue(tmp_path / "review", [candidate(tmp_path, 0, **changes), *candidates(tmp_path)[1:]], CATEGORIES)
    assert now.desk("ann").standing().open == ("drawings/0#0",)
    assert set(keys(now.reviews())) == set(done) - {"drawings/0#0"}


def test_another_opinion_of_the_model_asks_nobody_again(tmp_path: Path) -> None:
    answer_all(queue(tmp_path), "ann")
    now = Queue(tmp_path / "review", candidates(tmp_path, opinion={"text_unsafe": "yes"}), CATEGORIES)
    assert not now.desk("ann").standing().open


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"key": "nobody#0"}, "no candidate"),
        ({"decision": "fix"}, "what else"),
        ({"decision": "fix", "category": "weather"}, "no category"),
        ({"decision": "keep", "question": "Another?"}, "changes nothing"),
    ],
)
def test_what_cannot_be_said_is_refused_and_nothing_is_written(tmp_path: Path, said: dict[str, Any], why: str) -> None:
    desk = queue(tmp_path).desk("ann")
    with pytest.raises(HarnessError, match=why):
        desk.answer(review(**{"key": "drawings/0#0", **said}))
    assert not (tmp_path / "review" / "reviews-ann.jsonl").exists()


def test_a_candidate_whose_image_is_gone_can_be_dropped_and_not_kept(tmp_path: Path) -> None:
    made = queue(tmp_path)
    (tmp_path / "images" / "0-1.png").unlink()
    with pytest.raises(HarnessError, match="the file is gone"):
        made.desk("ann").answer(review("drawings/0#0"))
    made.desk("ann").answer(review("drawings/0#0", decision="drop"))


@pytest.mark.parametrize("name", ["", "../up", "a/b", "Zoë", "-x", "a" * 41, "a\nb"])
def test_a_name_that_cannot_be_a_files_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(HarnessError, match="cannot be a reviewer's name"):
        queue(tmp_path).desk(name)


def test_names_that_differ_by_capitals_are_one_reviewer(tmp_path: Path) -> None:
    answer_all(queue(tmp_path), "ann", 1)
    assert len(queue(tmp_path).desk(" Ann ").standing().decided) == 1


def test_partial_reviews_overlap_and_each_reviewer_has_an_order(tmp_path: Path) -> None:
    made = queue(tmp_path, 60)
    ann, ben = made.order("ann"), made.order("ben")
    assert ann != ben
    assert set(ann[:20]) == set(ben[:20])
    assert ann == queue(tmp_path, 60).order("ann")


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
def test_a_tampered_answer_is_refused_and_leaves_no_file(
    tmp_path: Path, body: Any, headers: dict[str, str], status: int
) -> None:
    reply = post(queue(tmp_path), "/api/answer", body, **headers)
    assert reply.status_code == status
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
