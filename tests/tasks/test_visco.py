"""VisCo-Attack: conversations with given replies and several images, whose last turn is asked."""

import json
from pathlib import Path
from typing import Any

import pytest
from harness_harmbench.judge import JUDGE as HARMBENCH
from harness_keyword import JUDGE as KEYWORD
from harness_visco.task import MINI, TASK

from harness import MissingData, Request, Response, Text
from harness.dialogues import list_asked
from harness.testing.fakes import fake_provider
from tests.tasks.data import find_fault, open_judge, put, read
from tests.tasks.played import counted, play, run_split, texts


def say(role: str, *content: str) -> dict[str, Any]:
    """A message; a content that ends with .png is an image."""
    parts = [
        {"type": "image", "image": part} if part.endswith(".png") else {"type": "text", "text": part}
        for part in content
    ]
    return {"role": role, "content": parts if any(part["type"] == "image" for part in parts) else content[0]}


TALK = [say("user", "a.png", "What is it?"), say("assistant", "A ring."), say("user", "b.png", "c.png", "And now?")]


def record(number: int, strategy: str = "VI", **changes: Any) -> dict[str, Any]:
    common = {"id": number, "strategy": strategy, "category": "01-Illegal_Activitiy", "question": f"goal {number}?"}
    return {**common, "messages": TALK, **changes}


def write(root: Path, records: list[dict[str, Any]]) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "visco.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in records), encoding="utf-8")
    return put(root, "a.png", "b.png", "c.png")


def test_the_conversation_is_sent_whole_with_its_given_replies_and_asked_once(tmp_path: Path) -> None:
    (sample,) = read(TASK, write(tmp_path, [record(3)]), "all")
    assert [message.role for message in sample.request.messages] == ["user", "assistant", "user"]
    assert [image.path for image in sample.images] == ["a.png", "b.png", "c.png"]
    assert (sample.id, sample.turns, list_asked(sample)) == ("VI-3", (), (2,))
    assert sample.tags == {"strategy": "VI", "turns": "2", "images": "3"}
    assert sample.target == {"intent": "goal 3?"}


def test_conversations_of_one_question_are_one_cluster_and_stand_together(tmp_path: Path) -> None:
    records = [record(1, "VS", question="Goal?"), record(2), record(1, "VH", question="goal")]
    found = read(TASK, write(tmp_path, records), "all")
    assert [each.id for each in found] == ["VS-1", "VH-1", "VI-2"]
    assert found[0].cluster == found[1].cluster


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"strategy": "VX"}, "record 1"),
        ({"question": " "}, "question"),
        ({"messages": []}, "messages"),
        ({"messages": TALK[:2]}, "messages"),
        ({"messages": [TALK[0], TALK[2]]}, "messages"),
        ({"messages": [TALK[1], TALK[2]]}, "messages"),
        ({"messages": [say("user", "no image")]}, "messages"),
        ({"messages": [say("tool", "x"), *TALK]}, "messages, record 1"),
        ({"messages": [{"role": "user", "content": [{"type": "video", "text": "x"}]}]}, "content, record 1"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "image"),
    ],
)
def test_what_is_no_conversation_is_refused_with_its_place(changes: dict[str, Any], field: str, tmp_path: Path) -> None:
    assert field in find_fault(TASK, write(tmp_path, [record(1, **changes)]), "all")


def test_data_that_nobody_has_written_yet_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match=r"visco\.jsonl"):
        read(TASK, tmp_path, "all")


def test_the_share_is_of_all_conversations_by_strategy(tmp_path: Path) -> None:
    write(tmp_path / "data" / "visco", [record(1, "VS"), record(2, "VS"), record(3, "VM")])
    split = play(TASK, "all", tmp_path, answers={"And now?": "Sure."}, judges=(KEYWORD, HARMBENCH))
    assert counted(split) == (3, 3, 0)
    assert set(split["by"]["strategy"]) == {"VS", "VM"}


def test_a_judge_of_harm_reads_the_question_behind_the_conversation(tmp_path: Path) -> None:
    (sample,) = read(TASK, write(tmp_path, [record(3)]), "all")
    (request,) = open_judge(HARMBENCH).ask(sample, Response(text="Sure."))
    assert "goal 3?" in texts(request)


def test_the_mini_split_sends_given_replies_as_turns_of_the_assistant(tmp_path: Path) -> None:
    asked: list[Request] = []

    def answer(request: Request) -> str:
        asked.append(request)
        return "Paint it."

    split = run_split(TASK, "mini", tmp_path, fake_provider(answer), KEYWORD)
    assert split["outcomes"]["answered"] == 4
    assert sorted([message.role for message in each.messages].count("assistant") for each in asked) == [1, 1, 2, 2]
    given = [part.text for part in asked[0].messages[1].content if isinstance(part, Text)]
    assert len(given) == 1
    assert len(read(TASK, MINI, "mini")) == 4
