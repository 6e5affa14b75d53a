"""A run over fakes, end to end: what is asked, and what is asked again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.contracts import Strategy
from harness.limits import Policy
from harness.testing.fakes import fake_image, fake_sample, fake_task
from harness.types import Failure, Image, Message, Request, Sample, Text
from tests.core.carried import Around, Server, go, lines, numbered, split


def test_each_sample_is_asked_once_and_each_answer_is_judged(tmp_path: Path) -> None:
    server = Server()
    run = go(server, tmp_path)
    assert sorted(server.texts) == sorted(numbered(10).values())
    assert (run.exit_code, split(run)["labels"]) == (0, {"unsafe": 10})
    assert split(run)["metrics"]["ASR"]["value"] == 100.0


@pytest.mark.parametrize(("fields", "most"), [({}, 8), ({"policy": Policy(start=3, cap=3)}, 3)])
def test_as_many_samples_are_under_way_as_calls_may_be_and_no_more(
    fields: dict[str, Any], most: int, tmp_path: Path
) -> None:
    server = Server()
    ahead: list[int] = []

    def samples() -> Iterator[Sample]:
        for n in range(100):
            ahead.append(n - len(server.asked))
            yield fake_sample(f"q{n}", text=f"question {n}")

    go(server, tmp_path, task=fake_task(samples), **fields)
    assert server.most == most
    second_pass = ahead[100:]
    assert max(second_pass) <= most + 1, "no sample is taken long before it is asked"


def test_a_strategy_does_not_make_a_run_slower_than_its_calls(tmp_path: Path) -> None:
    server = Server()
    plain = Strategy(name="plain", version="1", description="", wrap=lambda model, _: Around(model))
    go(server, tmp_path, plain, strategy="plain", task=fake_task(numbered(60)))
    assert server.most == 8


def test_a_second_run_asks_nothing_and_ends_alike(tmp_path: Path) -> None:
    first = go(Server(), tmp_path)
    again = Server()
    second = go(again, tmp_path)
    assert again.asked == []
    assert split(second) == split(first)


def test_a_resumed_run_asks_errors_again_and_leaves_blocks_and_empties(tmp_path: Path) -> None:
    said: dict[str, Any] = {
        "question 0": Failure(outcome="error", reason="http_400"),
        "question 1": Failure(outcome="input_blocked", reason="content_filter"),
        "question 2": "",
    }
    first = go(Server(lambda text: said.get(text, "no")), tmp_path)
    assert split(first)["outcomes"] == {
        "answered": 7, "input_blocked": 1, "output_blocked": 0, "empty": 1, "bad_sample": 0, "error": 1,
    }  # fmt: skip
    assert first.exit_code == 3
    again = Server()
    second = go(again, tmp_path)
    assert again.texts == ["question 0"]
    assert (second.exit_code, split(second)["outcomes"]["answered"]) == (0, 8)


def test_retry_names_what_else_is_asked_again(tmp_path: Path) -> None:
    go(Server(lambda text: "" if text == "question 3" else "no"), tmp_path)
    again = Server()
    run = go(again, tmp_path, retry=frozenset({"empty"}))
    assert again.texts == ["question 3"]
    assert split(run)["outcomes"]["empty"] == 0


def test_an_answer_that_changes_is_judged_anew(tmp_path: Path) -> None:
    go(Server(lambda _: "no"), tmp_path)
    run = go(Server(lambda _: "yes"), tmp_path, retry=frozenset({"answered"}))
    assert split(run)["labels"] == {"unsafe": 10}


def test_each_epoch_is_a_record_of_its_own(tmp_path: Path) -> None:
    server = Server()
    run = go(server, tmp_path, epochs=3)
    assert len(server.asked) == 30
    assert (split(run)["n"], split(run)["records"]) == (10, 30)
    assert "ASR_worst" in split(run)["metrics"]
    one = go(Server(), tmp_path / "one")
    assert run.results["tasks"]["fake"]["data"]["sha256"] == one.results["tasks"]["fake"]["data"]["sha256"]


def test_the_users_system_message_stands_before_the_tasks_own(tmp_path: Path) -> None:
    def samples() -> Iterator[Sample]:
        yield fake_sample("plain")
        own = Message(role="system", content=(Text(text="Be kind."),))
        ask = fake_sample().request
        yield Sample(id="own", split="all", request=Request(messages=(own, *ask.messages)))

    server = Server()
    go(server, tmp_path, task=fake_task(samples), system="Be brief.")
    said = [
        [part.text for part in request.messages[0].content if isinstance(part, Text)]
        for request in sorted(server.asked, key=lambda request: len(request.messages[0].content))
    ]
    assert said == [["Be brief."], ["Be brief.", "Be kind."]]
    assert all(len(request.messages) == 2 for request in server.asked)


def test_an_image_that_cannot_be_opened_is_the_datas_fault_and_the_run_goes_on(tmp_path: Path) -> None:
    def samples() -> Iterator[Sample]:
        for n, image in enumerate((fake_image(), Image(path="../gone.png", files=fake_image().files))):
            parts = (image, Text(text=f"question {n}"))
            yield Sample(id=str(n), split="all", request=Request(messages=(Message(role="user", content=parts),)))

    server = Server()
    run = go(server, tmp_path, task=fake_task(samples, images=1))
    assert server.texts == ["question 0"]
    assert split(run)["outcomes"]["bad_sample"] == 1
    (bad,) = (line for line in lines(tmp_path) if line["outcome"] == "bad_sample")
    assert (bad["reason"], "../gone.png" in bad["message"]) == ("missing", True)
