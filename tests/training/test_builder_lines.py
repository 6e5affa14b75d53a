"""The lines of steps, of which a stop takes all that stands with its key."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness_builder.records import LogLine, StepLog, read_step_log


@pytest.mark.parametrize("key", ["s/1#0", 's/"1"#0', "s/é\\#0", "s/\ud800#0"])
def test_what_is_struck_leaves_the_kind_alone_in_all_steps_and_takes_nothing_of_others(
    tmp_path: Path, key: str
) -> None:
    others = (f"{key}0", f"x{key}", "s/2#0")
    with StepLog(tmp_path) as lines:
        for step in ("write", "draw", "label"):
            for each in (key, *others):
                lines.put(LogLine(step=step, key=each, end="waiting"))  # type: ignore[arg-type]
                lines.put(LogLine(step=step, key=each, end="kept", made={"text": f"of {each}", "near": key}))  # type: ignore[arg-type]
        lines.strike(key, [LogLine(step="draw", key=key, end="stopped", why="person")])
        assert lines.stopped_in(key, "person") == "draw"
    assert key not in read_step_log(tmp_path, "write").keys() | read_step_log(tmp_path, "label").keys()
    assert read_step_log(tmp_path, "draw")[key] == {"end": "stopped", "key": key, "why": "person"}
    for step in ("write", "draw", "label"):
        text = (tmp_path / f"{step}.jsonl").read_text(encoding="utf-8")
        assert text.count("\n") == 2 * len(others) + (step == "draw")
