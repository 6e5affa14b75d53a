"""A dialogue in the viewer: turn by turn, with each turn's label."""

from __future__ import annotations

from pathlib import Path

from harness import Judge, rubric
from harness.testing.fakes import fake_task
from tests.browser.viewing import opened
from tests.core.carried import Server, go
from tests.core.test_dialogues import dialogue, turn

RULE = Judge.simple(
    "rule",
    version="1",
    description="unsafe if it says so",
    labels=("unsafe", "safe"),
    decide=lambda _sample, response: "unsafe" if "bad" in response.text else "safe",
)
EACH = rubric.each_turn(RULE, name="each", worst=("unsafe", "safe"))


def test_a_dialogue_stands_turn_by_turn_with_the_label_of_each_reply(tmp_path: Path) -> None:
    sample = dialogue("d", "one", "two")
    sample = type(sample)(
        id="d", split="all", request=sample.request, turns=(*sample.turns, turn("given", role="assistant"), turn("end"))
    )
    task = fake_task(lambda: iter([sample]), judges={"each": {}})
    go(Server(lambda text: "bad words" if text == "one" else f"re {text}"), tmp_path / "run", EACH, task=task)
    with opened(tmp_path / "run", mode="reveal") as seen:
        asked = seen.page.locator("#reading section").first
        asked.locator(".role").nth(4).wait_for()  # the page reads the sample after it has opened
        roles = [text.replace("\xa0", " ").strip() for text in asked.locator(".role").all_inner_texts()]
        assert [role.split(" each-")[0] for role in roles] == [
            "Turn 1 · user",
            "Turn 1 · model's reply",
            "Turn 2 · user",
            "Turn 2 · reply from the data",
            "Turn 3 · user",
        ]
        assert roles[1].endswith(": unsafe")
        answer = seen.page.locator("#reading section").nth(1)
        assert "Turn 3 · model's last reply" in answer.inner_text()
        assert ": safe" in answer.locator(".role").inner_text()
        assert "Steps" not in answer.inner_text(), "the replies stand in the conversation"
