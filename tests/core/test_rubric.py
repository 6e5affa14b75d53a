"""A template and a reply schema become a judge; its reply has exactly the fields of the schema, or is no verdict."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import Generation, HarnessError, Image, Message, Request, Response, Sample, Text, Unscored, Verdict, rubric
from harness.contracts import Judge, Rubric
from harness.testing.conformance import check_judge
from harness.testing.fakes import fake_sample

FIELDS = {"reason": str, "tone": ("calm", "alarming"), "words": int, "polite": bool, "share": float}
GOOD: dict[str, Any] = {"reason": "short", "tone": "calm", "words": 3, "polite": True, "share": 0.5}
NOWHERE: Any = object()


def sample(question: str = "What is this?", images: int = 0) -> Sample:
    pictures = tuple(Image(path=f"{n}.png", files=NOWHERE) for n in range(images))
    turns = (
        Message(role="system", content=(Text(text="Be brief."),)),
        Message(role="user", content=(*pictures, Text(text=question))),
    )
    return Sample(id="1", split="all", request=Request(messages=turns), target="the reference")


def tone(tmp_path: Path, template: str = "{{ question }}\n{{ answer }}\n{{ form }}", **given: Any) -> Judge:
    file = tmp_path / "tone.j2"
    file.write_text(template, encoding="utf-8")
    options = {"fields": {"reason": str, "tone": ("calm", "alarming")}, "label": "tone", **given}
    return rubric.judge(name="tone", version="1", description="", template=file, **options)


def opened(judge: Judge, **settings: Any) -> Rubric:
    return judge.open({"prompt": None, "prompts": "own", **settings}, Path())


def shown(found: Rubric, answer: str, question: str = "What is this?") -> str:
    [request] = found.ask(sample(question), Response(text=answer))
    last = request.messages[-1].content[-1]
    assert isinstance(last, Text)
    return last.text


def test_a_field_names_the_label_and_the_others_become_axes_and_reason(tmp_path: Path) -> None:
    judge = opened(tone(tmp_path, fields=FIELDS))
    found = judge.read(sample(), Response(text="Hello."), [Response(text=json.dumps(GOOD))])
    assert judge.labels == ("calm", "alarming")
    assert found == Verdict(label="calm", axes={"words": 3, "polite": True, "share": 0.5}, reason="short")


def test_a_function_may_name_the_label_or_make_the_verdict(tmp_path: Path) -> None:
    reply = [Response(text='{"reason": "r", "tone": "calm"}')]
    named = opened(tone(tmp_path, label=lambda found: found["tone"].upper(), labels=("CALM",)))
    assert named.read(sample(), Response(text="x"), reply) == Verdict(label="CALM", axes={"tone": "calm"}, reason="r")
    whole = opened(tone(tmp_path, label=lambda _: Verdict(label="CALM", axes={"n": 1}), labels=("CALM",)))
    assert whole.read(sample(), Response(text="x"), reply) == Verdict(label="CALM", axes={"n": 1})


def test_a_judge_without_labels_is_refused_where_it_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="labels"):
        tone(tmp_path, label=lambda _: "calm")


def test_system_line_first_then_images_then_text(tmp_path: Path) -> None:
    judge = tone(tmp_path, images=True)
    [request] = opened(judge).ask(sample(images=2), Response(text="Hello."))
    assert [message.role for message in request.messages] == ["system", "user"]
    assert [getattr(part, "path", "text") for part in request.messages[1].content] == ["0.png", "1.png", "text"]
    assert judge.needs == frozenset({"images"})
    assert request.schema is not None
    assert (request.settings.temperature, request.settings.max_tokens) == (0.0, 512)


def test_a_judge_that_shows_no_images_sends_and_needs_none(tmp_path: Path) -> None:
    judge = tone(tmp_path)
    [request] = opened(judge).ask(sample(images=2), Response(text="Hello."))
    assert request.images == ()
    assert judge.needs == frozenset()


def test_the_question_is_the_users_alone() -> None:
    assert rubric.question(sample("Why?", images=1)) == "Why?"


def test_sees_is_what_the_template_shows(tmp_path: Path) -> None:
    assert opened(tone(tmp_path, "{{ answer }}")).sees == ("answer",)
    assert opened(tone(tmp_path, "{{ answer }} {{ reasoning }}", images=True)).sees == ("images", "answer", "reasoning")
    extra = tone(tmp_path, "{{ answer }} {{ reference }}", values={"reference": lambda found: found.target})
    assert opened(extra).sees == ("answer", "reference")
    assert "the reference" in shown(opened(extra), "Hello.")


def test_a_sample_picks_its_template_by_variant(tmp_path: Path) -> None:
    files = {}
    for name in ("short", "long"):
        files[name] = tmp_path / name
        files[name].write_text(f"{name} {{{{ variant }}}}: {{{{ answer }}}}")
    judge = rubric.judge(
        name="v", version="1", description="", template=files, fields={"tone": ("calm",)}, label="tone",
        variant=lambda found: "long" if found.id == "1" else "short",
    )  # fmt: skip
    assert shown(opened(judge), "x").startswith("long long: ")
    own = tmp_path / "mine"
    own.write_text("mine {{ variant }}: {{ answer }}")
    assert shown(opened(judge, prompt=own), "x").startswith("mine long: ")


def test_only_the_shown_part_of_an_answer_is_judged(tmp_path: Path) -> None:
    judge = tone(tmp_path, shown=lambda response: response.text.rpartition("Final:")[2])
    text = shown(opened(judge), "thinking … Final: yes")
    assert " yes\n" in text
    assert "thinking" not in text


def test_the_template_hash_is_the_sha256_of_its_text(tmp_path: Path) -> None:
    text = "Judge — {{ answer }}\n"
    expected = hashlib.sha256(text.encode()).hexdigest()
    assert opened(tone(tmp_path, text)).identity["template_hash"] == expected


def test_identity_is_what_is_asked_and_neither_place_nor_marker(tmp_path: Path) -> None:
    words = itertools.count()
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    here = opened(tone(tmp_path / "a", marker=lambda: f"m{next(words)}"))
    there = opened(tone(tmp_path / "b"))
    assert here.identity == there.identity
    before = dict(here.identity)
    here.ask(sample(), Response(text="x"))
    assert here.identity == before


def test_another_template_form_or_generation_is_another_identity(tmp_path: Path) -> None:
    base = opened(tone(tmp_path)).identity
    assert opened(tone(tmp_path, "other {{ answer }}")).identity != base
    assert opened(tone(tmp_path, fields={"tone": ("calm", "alarming")})).identity != base
    assert opened(tone(tmp_path, generation=Generation(max_tokens=9))).identity != base


def test_the_users_file_replaces_the_template_and_is_called_modified(tmp_path: Path) -> None:
    judge = tone(tmp_path)
    mine = tmp_path / "mine.j2"
    mine.write_text("Mine: {{ answer }}", encoding="utf-8")
    assert opened(judge).fidelity == "own"
    found = opened(judge, prompt=mine)
    assert found.fidelity == "modified"
    assert shown(found, "Hello.").startswith("Mine: ")


def test_upstreams_words_are_a_setting_only_where_there_are_some(tmp_path: Path) -> None:
    theirs = Rubric(identity={}, labels=("calm",), ask=lambda _s, _r: [], read=lambda _s, _r, _: Verdict(label="calm"))
    judge = tone(tmp_path, upstream=lambda _root: theirs)
    assert [setting.name for setting in judge.settings] == ["prompt", "prompts", "sees"]
    assert [setting.name for setting in tone(tmp_path).settings] == ["prompt", "sees"]
    assert opened(judge, prompts="upstream") is theirs
    with pytest.raises(HarnessError, match="cannot be given together"):
        opened(judge, prompts="upstream", prompt=tmp_path / "tone.j2")


def test_a_repair_shows_the_reply_and_says_what_was_wrong(tmp_path: Path) -> None:
    [request] = opened(tone(tmp_path)).ask(sample(), Response(text="Hello."))
    again = rubric.repair_request(request, "It is calm.", "the reply is not one JSON object")
    assert again.messages[:2] == request.messages
    assert [message.role for message in again.messages[2:]] == ["assistant", "user"]
    assert again.messages[2].content == (Text(text="It is calm."),)
    assert "the reply is not one JSON object" in again.messages[3].content[0].text  # type: ignore[union-attr]
    assert (again.schema, again.settings) == (request.schema, request.settings)


@pytest.mark.parametrize("reply", ["", "  \n"])
def test_a_repair_of_an_empty_reply_sends_no_empty_turn_and_no_two_turns_of_one_role(
    tmp_path: Path, reply: str
) -> None:
    [request] = opened(tone(tmp_path)).ask(sample(), Response(text="Hello."))
    again = rubric.repair_request(request, reply, "the reply is not one JSON object")
    assert [message.role for message in again.messages] == ["system", "user"]
    assert again.messages[1].content[:-1] == request.messages[1].content


def test_importing_the_helpers_imports_no_template_engine() -> None:
    code = (
        "import sys, harness.rubric; print([m for m in ('jinja2', 'secrets', 'numpy', 'pydantic') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


DOCS = Path(__file__).parents[2] / "docs" / "write-a-judge.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)


def test_the_judges_of_the_walk_through_are_short_and_run(tmp_path: Path) -> None:
    rule, judge, scorer, trial = blocks("python")
    (tmp_path / "tone.py").write_text(judge, encoding="utf-8")
    (tmp_path / "tone.j2").write_text(blocks("jinja")[0], encoding="utf-8")
    for code in (rule, judge, scorer):
        assert len([line for line in code.splitlines() if line.strip()]) <= 25
    exec(compile(rule, "brief.py", "exec"), {})
    made: dict[str, Any] = {}
    exec(compile(scorer, "longest.py", "exec"), made)
    check_judge(made["JUDGE"], [sample(), sample()])
    printed = subprocess.check_output(
        [sys.executable, "-c", trial], text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(DOCS.parents[1])}
    )
    assert "Run! < answer>calm< /answer>" in printed
    assert "Verdict(label='alarming', axes={}, reason='It shouts.')" in printed
    assert "Unscored(state='judge_unparsable'" in printed


ATTACK = fake_sample("1", text="Fill in this list.", target={"intent": "How do I paint a star?"})
QUESTION = fake_sample("2", text="How do I paint a star?")


def test_each_choice_says_what_is_shown_and_what_of_the_sample_that_is() -> None:
    made = rubric.UserText(help="x", default="both", between=" = ", others={"hidden": "(nothing)"})
    assert {choice: made.texts[choice](ATTACK) for choice in made.texts} == {
        "shown": "Fill in this list.",
        "intent": "How do I paint a star?",
        "both": "Fill in this list. = How do I paint a star?",
        "hidden": "(nothing)",
    }
    assert [made.sees(choice) for choice in made.texts] == [("question",), ("intent",), ("question", "intent"), ()]
    assert (made.setting.default, made.setting.choices, made.setting.identity) == ("both", tuple(made.texts), True)


def test_where_a_sample_is_asked_plainly_both_is_said_once() -> None:
    assert rubric.UserText(help="x").texts["both"](QUESTION) == "How do I paint a star?"


def test_a_judge_may_know_the_intent_by_itself() -> None:
    made = rubric.UserText(help="x", intent=lambda sample: f"of {sample.id}")
    assert made.texts["both"](QUESTION) == "How do I paint a star?\n\nof 2"


KINDS: dict[str, rubric.Kind] = {
    "reason": str,
    "tone": ("calm", "alarming"),
    "words": int,
    "polite": bool,
    "share": float,
    "stars": range(1, 6),
}
FILLED: dict[str, Any] = {"reason": "short", "tone": "calm", "words": 3, "polite": True, "share": 0.5, "stars": 5}
FORM = rubric.ReplySchema(fields=KINDS, labels=("calm", "alarming"), verdict=lambda found: Verdict(label=found["tone"]))


@pytest.mark.parametrize(
    "dress", ["{}", "\n  {}\n\n", "```json\n{}\n```", "```\n{}\n```", "  ```JSON\n{}```\n", "```json\r\n{}\r\n```"]
)
def test_the_form_alone_or_in_one_code_fence_is_read(dress: str) -> None:
    assert FORM.read(dress.replace("{}", json.dumps(FILLED))) == Verdict(label="calm")


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "calm",
        "[]",
        "null",
        "I think it is calm.",
        json.dumps([FILLED]),
        "Here you are: " + json.dumps(FILLED),
        json.dumps(FILLED) + " I hope this helps.",
        json.dumps(FILLED) * 2,
        json.dumps(FILLED)[:-1],
        json.dumps(FILLED).replace("}", ",}"),
        "```json\n" + json.dumps(FILLED) + "\n``` done",
        "```json\n" + json.dumps(FILLED) + "\n```\n```json\n" + json.dumps(FILLED) + "\n```",
        "[" * 100_000,
        '{"a":' * 100_000,
        "9" * 10_000,
        json.dumps(json.dumps(FILLED)),
    ],
)
def test_anything_but_the_form_is_no_verdict(reply: str) -> None:
    found = FORM.read(reply)
    assert isinstance(found, Unscored)
    assert found.state == "judge_unparsable"
    assert FORM.describe() in found.message


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"tone": "Calm"}, "tone"),
        ({"tone": " calm"}, "tone"),
        ({"tone": None}, "tone"),
        ({"tone": ["calm"]}, "tone"),
        ({"words": "3"}, "words"),
        ({"words": 3.0}, "words"),
        ({"words": True}, "words"),
        ({"polite": 1}, "polite"),
        ({"share": float("nan")}, "NaN"),
        ({"share": float("inf")}, "Infinity"),
        ({"share": True}, "share"),
        ({"stars": 0}, "stars"),
        ({"stars": 6}, "stars"),
        ({"stars": 3.0}, "stars"),
        ({"stars": True}, "stars"),
        ({"stars": "3"}, "must be 1 | 2 | 3 | 4 | 5"),
        ({"reason": None}, "reason"),
        ({"extra": 1}, "nobody asked"),
    ],
)
def test_a_wrong_value_is_named(change: dict[str, Any], problem: str) -> None:
    found = FORM.read(json.dumps({**FILLED, **change}))
    assert isinstance(found, Unscored)
    assert problem in found.message.partition("; expected")[0]


@pytest.mark.parametrize("name", list(KINDS))
def test_each_field_is_required(name: str) -> None:
    found = FORM.read(json.dumps({key: value for key, value in FILLED.items() if key != name}))
    assert isinstance(found, Unscored)
    assert f"field {name!r} is missing" in found.message


def test_a_field_given_twice_is_no_verdict() -> None:
    """The standard parser silently keeps the last, so the first could hide it from a reader."""
    twice = json.dumps(FILLED)[:-1] + ', "tone": "alarming"}'
    found = FORM.read(twice)
    assert isinstance(found, Unscored)
    assert "twice" in found.message


def test_a_whole_number_serves_as_a_number() -> None:
    assert FORM.read(json.dumps({**FILLED, "share": 1})) == Verdict(label="calm")


def test_the_message_about_a_bad_reply_does_not_quote_it() -> None:
    found = FORM.read('{"tone": "say alarming to everyone"}')
    assert isinstance(found, Unscored)
    assert "everyone" not in found.message


@given(st.text() | st.recursive(st.none() | st.text(), lambda inner: st.dictionaries(st.text(), inner)).map(json.dumps))
def test_no_reply_makes_the_parser_raise(reply: str) -> None:
    assert isinstance(FORM.read(reply), Unscored)


def test_the_schema_asks_for_every_field_in_order_and_no_other() -> None:
    assert list(FORM.schema["properties"]) == FORM.schema["required"] == list(KINDS)
    assert FORM.schema["additionalProperties"] is False
    assert FORM.schema["properties"]["tone"] == {"type": "string", "enum": ["calm", "alarming"]}
    assert FORM.schema["properties"]["stars"] == {"type": "integer", "enum": [1, 2, 3, 4, 5]}


def test_half_characters_in_a_reply_do_not_reach_a_file() -> None:
    form = rubric.ReplySchema(
        fields={"reason": str}, labels=("x",), verdict=lambda found: Verdict(label="x", reason=found["reason"])
    )
    assert form.read('{"reason": "so \\ud800 so"}') == Verdict(label="x", reason="so ? so")


def test_a_label_the_rubric_does_not_know_is_the_authors_bug() -> None:
    form = rubric.ReplySchema(fields={"tone": ("calm",)}, labels=("calm",), verdict=lambda _: Verdict(label="loud"))
    with pytest.raises(ValueError, match="loud"):
        form.read('{"tone": "calm"}')
