"""The types of the public API, as a caller sees them. Never run: mypy and pyright check this file (`make check`)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, assert_type

import pandas as pd

import harness

State = Literal["complete", "incomplete", "running", "pending", "failed"]

run = harness.run("mini/base", ["mis:mini"], limit=8, judge="keyword", judge_settings={"temperature": 0})
assert_type(run, harness.Run)
assert_type(run.folder, Path)
assert_type(run.exit_code, int)
assert_type(run.notes, tuple[str, ...])
assert_type(run.results, Mapping[str, Any])
assert_type(run.state, State)
assert_type(run.samples(), pd.DataFrame)
assert_type(run.samples(texts=True), pd.DataFrame)
assert_type(run.metrics(), pd.DataFrame)
assert_type(run.metrics(by="category"), pd.DataFrame)
assert_type(run.to_frame(), pd.DataFrame)

loaded = harness.load_run("runs/mini-base")
assert_type(loaded, harness.Run)
assert_type(harness.load_run(Path("runs/mini-base")), harness.Run)

assert_type(harness.judge_run(loaded, judge=["keyword"], primary=True, sample=10), harness.Run)
assert_type(harness.judge_run("runs/mini-base", combine="majority"), harness.Run)

verified = harness.verify_run(loaded)
assert_type(verified, harness.VerifiedRun)
assert_type(verified.state, Literal["same", "differs", "unverifiable"])
assert_type(verified.notes, tuple[str, ...])

assert_type(
    harness.report([loaded, "runs/other"], "html", output=Path("board.html")), str | bytes | Mapping[str, bytes]
)

agreement = harness.agree(loaded, "runs/other", tasks="mis:mini", judges=["keyword"])
assert_type(agreement, harness.JudgeAgreement)
assert_type(agreement.runs, Mapping[str, str])
assert_type(agreement.to_frame(), pd.DataFrame)

listed = harness.list_runs("runs")
assert_type(listed, tuple[harness.ListedRun, ...])
assert_type(listed[0].cost_usd, float | None)
assert_type(listed[0].state, State | Literal["unreadable"])

gate = harness.check_gate([loaded, "runs/other"], max={"ASR:mis:mini": 5}, no_worse_than=run, allow_subset=True)
assert_type(gate, harness.GateResult)
assert_type(gate.passed, bool)
assert_type(gate.exit_code, int)
planned = harness.plan_power("mis:mini", {"limit": 5.0}, against=["runs/other"], rate=3.0)
assert_type(planned, list[harness.PowerRow])
assert_type(planned[0].samples, int | None)

assert_type(harness.compare(loaded, run), harness.Comparison)


async def use() -> None:
    assert_type(await harness.run_async("mini/base", "mis:mini"), harness.Run)
    assert_type(await harness.judge_run_async(loaded, judge="keyword"), harness.Run)


def refuse() -> None:
    """Each of these is an error for both checkers; an ignore that is not needed is one too."""
    harness.run("mini/base")  # type: ignore[call-arg]
    harness.run("mini/base", "mis", limmit=8)  # type: ignore[call-arg]
    harness.judge_run(loaded, judge=3)  # type: ignore[arg-type]
    harness.load_run(3)  # type: ignore[arg-type]
