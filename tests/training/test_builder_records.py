"""What a build writes down: a line for each step, erased when something is stopped, and records in seed order."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from harness_builder.calls.results import Halted, StepResult
from harness_builder.records import BuiltRecord, Draft, LogLine, RecordFile, StepLog, read_step_log
from harness_builder.values import DrawnImage, Element, Label, Pair, Question, SubsetDecision

from harness import HarnessError

ELEMENT = Element(
    key="s/1#0", seed="s/1", category="places", question="Put a red star on a blue heart?", objects=("a", "b")
)


QUESTION = Question(key="s/1#0", text="Put the one on the other?", explicit="Put a red star on a blue heart?")


def made(key: str = "s/1#0", subset: str = "hard") -> BuiltRecord:
    return BuiltRecord(
        source="s",
        element=ELEMENT,
        question=QUESTION,
        pair=Pair(
            key=key,
            images=("1" * 64, "2" * 64),
            shots=(DrawnImage(sha256="1" * 64, object=0, prompt="a", seed=3, round=1, taken=True),),
            accepted=True,
        ),
        sorted=SubsetDecision(
            key=key,
            subset=subset,  # type: ignore[arg-type]
            text_unsafe=False,
            image_harmful=False,
            category="places",
            sub_category="",
            question=QUESTION.text,
            by="model",
        ),
        label=Label(key=key, answer="no", verdict="safe"),
        calls=("k1:0",),
    )


def line(key: str = "s/1#0", end: str = "kept", **more: object) -> LogLine:
    return LogLine(step="write", key=key, end=end, **more)  # type: ignore[arg-type]


def test_a_line_is_appended_once_and_again_where_it_says_something_new(tmp_path: Path) -> None:
    for _ in range(2):
        with StepLog(tmp_path) as lines:
            lines.put(line(made={"text": "one"}))
            lines.put(line(made={"text": "one"}))
    with StepLog(tmp_path) as lines:
        lines.put(line(made={"text": "two"}))
    written = (tmp_path / "write.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(each)["made"]["text"] for each in written] == ["one", "two"]
    assert read_step_log(tmp_path, "write")["s/1#0"]["made"] == {"text": "two"}


def test_nothing_of_what_is_stopped_stays_in_the_lines(tmp_path: Path) -> None:
    with StepLog(tmp_path) as lines:
        lines.put(line(made={"text": "a secret"}))
        lines.put(line("s/2#0", made={"text": "stays"}))
    with StepLog(tmp_path) as lines:
        lines.put(line(end="stopped", why="person"))
        lines.put(line("s/3#0"))
    text = (tmp_path / "write.jsonl").read_text(encoding="utf-8")
    assert "secret" not in text
    assert [each["key"] for each in read_step_log(tmp_path, "write").values()] == ["s/2#0", "s/1#0", "s/3#0"]


def test_a_line_that_was_torn_is_cut_and_written_anew(tmp_path: Path) -> None:
    with StepLog(tmp_path) as lines:
        lines.put(line("a"))
        lines.put(line("b"))
    file = tmp_path / "write.jsonl"
    file.write_bytes(file.read_bytes()[:-5])
    with StepLog(tmp_path) as lines:
        lines.put(line("b"))
    assert list(read_step_log(tmp_path, "write")) == ["a", "b"]


def test_a_foreign_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "write.jsonl").write_text("what is this\n", encoding="utf-8")
    with pytest.raises(HarnessError, match=r"none of a build .*write\.jsonl"):
        StepLog(tmp_path)


def test_records_are_read_in_the_order_of_their_seeds_and_as_they_were(tmp_path: Path) -> None:
    with RecordFile(tmp_path) as records:
        for number, key in ((2, "c"), (0, "a"), (1, "b1"), (1, "b2")):
            records.put(number, made(key, "train" if key == "a" else "hard"))
        assert [each.pair.key for each in records] == ["a", "b1", "b2", "c"]
        assert next(iter(records.of("train"))) == made("a", "train")
        assert len(records) == 4


def test_of_a_way_that_is_stopped_only_the_kind_is_left() -> None:
    draft = Draft(key="s/1#0", place=0)
    draft.take("elements", StepResult(value=ELEMENT, calls=("k1:1",)))
    draft.take("write", StepResult(value=QUESTION, calls=("k1:2",)))
    draft.end("draw", Halted(end="stopped", why="person", call="k1:3"))
    assert draft.calls == []
    assert [each.to_json() for each in draft.lines] == [
        {"key": "s/1#0", "end": "stopped"},
        {"key": "s/1#0", "end": "stopped"},
        {"key": "s/1#0", "end": "stopped", "why": "person"},
    ]


@pytest.mark.parametrize("key", ["s/1#0", 's/"1"#0', "s/é\\#0", "s/\ud800#0"])
def test_what_is_struck_leaves_the_kind_alone_in_all_steps_and_takes_nothing_of_others(
    tmp_path: Path, key: str
) -> None:
    others = (f"{key}0", f"x{key}", "s/2#0")
    with StepLog(tmp_path) as lines:
        for step in ("write", "draw", "label"):
            for each in (key, *others):
                lines.put(LogLine(step=step, key=each, end="waiting"))
                lines.put(LogLine(step=step, key=each, end="kept", made={"text": f"of {each}", "near": key}))
        lines.strike(key, [LogLine(step="draw", key=key, end="stopped", why="person")])
        assert lines.find_stop(key, "person") == "draw"
    assert key not in read_step_log(tmp_path, "write").keys() | read_step_log(tmp_path, "label").keys()
    assert read_step_log(tmp_path, "draw")[key] == {"end": "stopped", "key": key, "why": "person"}
    for step in ("write", "draw", "label"):
        text = (tmp_path / f"{step}.jsonl").read_text(encoding="utf-8")
        assert text.count("\n") == 2 * len(others) + (step == "draw")
