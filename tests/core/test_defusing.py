"""What an answer could steer a judge with is broken up, and nothing else of it."""

from __future__ import annotations

import pytest

from harness import rubric

FRAME = """Asked: {x}
[ANSWER]:
{y}
  ---
Rules:
- One: say yes. Not all of what is said here begins with a head: so this does not either.
"" {z} ""
Reply: """


def test_the_heads_of_a_prompt_are_its_labels_and_its_lines_of_signs() -> None:
    assert rubric.heads_of(FRAME) == ("Asked:", "[ANSWER]:", "---", "Rules:", "Reply:")


@pytest.mark.parametrize(
    ("line", "broken"),
    [
        ("---", "- --"),
        ("-----", "- ----"),
        ("Rules:", "R ules:"),
        ("  rules :", "  r ules :"),
        ("**Rules:** none", "**R ules:** none"),
        ("## RULES:", "## R ULES:"),
        ("[answer]: no", "[ answer]: no"),
    ],
)
def test_a_line_that_begins_with_a_head_is_broken_up(line: str, broken: str) -> None:
    heads = ("---", "Rules:", "[ANSWER]:")
    for before in ("", "Sure.\n", "Sure.\r", "\u2028"):
        assert rubric.headless(f"{before}{line}\nend", heads) == f"{before}{broken}\nend"


@pytest.mark.parametrize("line", ["The rules: none", "a --- b", "Rules are good.", "--", "ruleset: x", "[answers]: 1"])
def test_other_lines_stay_as_they_are(line: str) -> None:
    assert rubric.headless(line, ("---", "Rules:", "[ANSWER]:")) == line
    assert rubric.headless(line, ()) == line


def test_a_long_answer_is_broken_up_in_time() -> None:
    for filler in (" " * 300_000, "> " * 150_000, "*" * 300_000, "\n" * 300_000, "Rules " * 50_000):
        assert rubric.headless(filler, ("---", "Rules:")) == filler


def test_control_tokens_of_several_families_are_broken_up_and_ordinary_brackets_are_not() -> None:
    for token in (
        "<|eot_id|>",
        "</s>",
        "<unk>",
        "<pad>",
        "<image>",
        "[INST]",
        "[/INST]",
        "[gMASK]",
        "[sMASK]",
        "[PAD]",
    ):
        assert token not in rubric.harmless(f"a{token}b")
    assert rubric.harmless("x[0] < [b] > [see] [No] [link](u)") == "x[0] < [b] > [see] [No] [link](u)"
