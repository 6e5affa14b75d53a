"""`harness sweep`, as a user runs it: units in processes, failures, resume, interrupts, and a judge opened once."""

import json
import os
import re
import signal
from pathlib import Path
from random import Random
from typing import Any

import anyio
import jsonschema
import pytest

from harness.drawings import draw, png
from harness.errors import HarnessError, UnknownName
from harness.evaluation.samples import Stop
from harness.runs.catalog import ListedRun, MainNumber
from harness.runs.sweeping.plan import SweepPlan, Unit, plan_sweep
from harness.runs.sweeping.pool import LocalPool, Slots, Work
from harness.runs.sweeping.records import INTERRUPTED, Records, Row
from harness.runs.sweeping.result import Sweep
from tests.acceptance import commands
from tests.acceptance.commands import harness_here
from tests.core.sweep_world import World

PATIENCE = 120
SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "sweep.schema.json").read_text(encoding="utf-8"))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.chdir(tmp_path)
    return World(tmp_path)


@pytest.mark.slow
def test_failures_are_rows_and_the_same_command_goes_on_with_them_alone(world: World) -> None:
    models = ["toy/good", "toy/once", "toy/broken", "mini/base"]
    ended = harness_here(*world.words(models, jobs=1))
    assert ended.code == 3, ended.err
    assert world.states() == {
        "toy-good": "complete",
        "toy-once": "failed",
        "toy-broken": "failed",
        "mini-base": "complete",
    }
    jsonschema.validate(world.load(), SCHEMA)
    units = {unit["name"]: unit for unit in world.load()["units"]}
    assert "was killed by SIGKILL" in units["toy-once"]["why"]
    assert (units["toy-once"]["exit_code"], units["toy-broken"]["exit_code"]) == (None, 2)
    assert units["toy-broken"]["why"] == "its weights are torn"
    assert "its weights are torn (exit 2)" in ended.out
    assert "out of memory" in Path(units["toy-once"]["log"]).read_text()
    assert "4 units: 2 complete, 2 failed" in ended.out
    assert "toy/good" in (world.output / "leaderboard.html").read_text()
    [again] = re.findall("continue what is not complete: (harness sweep .*)", ended.err)
    assert "--plugin" in again

    asked = world.lines("asked")
    assert harness_here(*world.words(models, jobs=1)).code == 3
    assert world.states()["toy-once"] == "complete"
    assert set(world.lines("asked")[len(asked) :]) == {"once"}


def test_units_without_a_gpu_share_a_process_and_a_dry_run_lists_what_is_done(world: World) -> None:
    models = ["toy/a", "toy/b", {"model": "toy/a", "name": "third"}]
    plan = json.loads(harness_here(*world.words(models, "--dry-run", "--json")).out)
    assert [(unit["name"], unit["state"]) for unit in plan["units"]] == [
        ("toy-a", "waiting"),
        ("toy-b", "waiting"),
        ("third", "waiting"),
    ]
    assert not world.output.exists()
    ended = harness_here(*world.words(models, "--json", jobs=1))
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["counts"] == {"complete": 3}
    shown = harness_here(*world.words(models, "--dry-run"))
    assert shown.out.count("complete") == 3
    again = harness_here(*world.words(models))
    assert (again.code, len(world.lines("opened"))) == (0, 3)
    assert "3 of 3 units are done already" in again.err
    harness_here(*world.words(models, "--only", "third", limit=3))
    assert len(world.lines("opened")) == 4, "what was asked something else is not done"


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_units_and_the_same_command_goes_on(world: World, end: signal.Signals) -> None:
    os.mkfifo(world.pipe)
    words = world.words(["toy/slow", "toy/later"], jobs=1)
    with commands.started(*words) as process:
        assert world.pipe.read_text() == "asked"
        process.send_signal(end)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    assert "resume with: harness sweep" in err
    world.pipe.unlink()
    assert harness_here(*words).code == 0
    assert world.states() == {"toy-slow": "complete", "toy-later": "complete"}


def test_an_interrupt_while_a_process_starts_gives_it_no_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop, sent = Stop(), list[object]()

    class Child:
        def send_json(self, message: object) -> None:
            sent.append(message)

        async def run(self) -> None: ...
        async def close(self) -> None: ...

    async def start_child(*_: object, **__: object) -> Child:
        stop.interrupt()
        return Child()

    monkeypatch.setattr("harness.runs.sweeping.pool.start_child", start_child)
    unit = Unit(name="a", model="toy/a", folder=tmp_path / "a", arguments=(), judging=(), gpus=None, memory=None,
                local=False, endpoints=frozenset(), digest="")  # fmt: skip
    records = Records(SweepPlan(source=None, output=tmp_path, units=(unit,), limits={}))
    pool = LocalPool(Slots(devices=(), memory=None, jobs=1), records, stop, lambda _: None)
    anyio.run(pool.run, [Work(units=(unit,), args=("run",), phase="run")])
    assert not sent
    record = records.load(unit)
    assert record is not None
    assert record.code == INTERRUPTED


@pytest.mark.slow
def test_a_sweep_that_is_killed_leaves_no_unit_at_work(world: World) -> None:
    os.mkfifo(world.pipe)
    words = world.words(["toy/slow"], jobs=1)
    with commands.started(*words) as process:
        assert world.pipe.read_text() == "asked"
        process.kill()
        process.communicate(timeout=PATIENCE)
    world.pipe.unlink()
    lock = world.output / ".sweep" / "toy-slow.log"
    assert lock.exists()
    while harness_here(*words).code == 3:  # its process keeps the run folder for the seconds that calls in flight have
        assert world.states()["toy-slow"] in ("failed", "running", "waiting")
    assert world.states() == {"toy-slow": "complete"}


def test_a_unit_that_another_sweep_holds_is_left_alone(world: World) -> None:
    words = world.words(["toy/a", "toy/b"])
    from harness.plugins import Host, use

    with use(Host.load([world.plugin])):
        plan = plan_sweep(world.folder / "sweep.yaml")
        with Records(plan).claim(plan.units[0]) or pytest.fail("it is free"):
            ended = harness_here(*words)
    assert ended.code == 3
    assert "another sweep runs 1 of its units" in ended.err
    assert world.states() == {"toy-a": "waiting", "toy-b": "complete"}


def test_a_local_judge_is_opened_once_for_all_units_after_their_answers(world: World) -> None:
    words = world.words(["toy/a", "toy/b", "card/c"], judges=["mis=card/judge"], min_coverage=0)
    ended = harness_here(*words)
    assert world.states() == {"toy-a": "complete", "toy-b": "complete", "card-c": "complete"}, ended.err
    assert [line.partition(" ")[0] for line in world.lines("opened")].count("card/judge") == 1
    assert harness_here(*words).code == 0
    assert [line.partition(" ")[0] for line in world.lines("opened")].count("card/judge") == 1


def test_an_axis_of_strategies_makes_a_unit_of_each_and_a_table_of_them(world: World) -> None:
    axis = ["none", "self-reminder", {"strategy": "cot", "settings": {"prompt": "safety"}, "name": "careful"}]
    more = {"strategies": axis, "judges": ["keyword"], "tasks": ["mis:mini"]}
    ended = harness_here(*world.words(["toy/a", "toy/broken"], jobs=1, **more))
    assert ended.code == 3, ended.err
    jsonschema.validate(world.load(), SCHEMA)
    done = {name: state for name, state in world.states().items() if name.startswith("toy-a")}
    assert done == {"toy-a": "complete", "toy-a-self-reminder": "complete", "toy-a-careful": "complete"}
    assert [unit["strategy"] for unit in world.load()["units"]] == ["none", "self-reminder", "careful"] * 2
    asked = json.loads((world.output / "toy-a-careful" / "run.json").read_text())["model"]["strategy"]
    assert (asked["name"], asked["settings"]) == ("cot", {"prompt": "safety"})
    [grid] = world.load()["grids"]
    assert (grid["model"], grid["split"], grid["metric"], grid["attacks"]) == ("toy-a", "mini", "ASR", ["none"])
    stored = [
        json.loads((world.output / unit / "results.json").read_text())["tasks"]["mis"]["splits"]["mini"]["metrics"][
            "ASR"
        ]
        for unit in done
    ]
    assert [(cell["value"], cell["ci95"], cell["calls"]) for cell in grid["cells"]] == [
        (each["value"], each["ci95"], 2) for each in stored
    ]
    assert re.search(r"toy-a · mis:mini · ASR % ↓ · judge keyword-\w+\n", ended.out)
    assert re.search(r"careful +0\.0 \[0\.0, 65\.8\] +2\n", ended.out)
    again = harness_here(*world.words(["toy/a"], metric="RR", **more))
    assert again.code == 0, again.err
    assert {grid["metric"] for grid in world.load()["grids"]} == {"RR"}
    assert len(world.lines("asked")) == 6, "nothing is asked twice"


def test_two_axes_make_a_table_of_defence_by_attack(world: World) -> None:
    more = {
        "strategies": ["none", "self-reminder"],
        "attacks": ["none", {"attack": "shuffle", "settings": {"seed": 3}, "name": "mixed"}, "drop"],
        "judges": ["keyword"],
    }
    ended = harness_here(*world.words(["toy/a"], jobs=1, **more))
    assert ended.code == 0, ended.err
    jsonschema.validate(world.load(), SCHEMA)
    units = [(unit["name"], unit["strategy"], unit["attack"]) for unit in world.load()["units"]]
    assert units == [
        ("toy-a", "none", "none"),
        ("toy-a-mixed", "none", "mixed"),
        ("toy-a-drop", "none", "drop"),
        ("toy-a-self-reminder", "self-reminder", "none"),
        ("toy-a-self-reminder-mixed", "self-reminder", "mixed"),
        ("toy-a-self-reminder-drop", "self-reminder", "drop"),
    ]
    results = json.loads((world.output / "toy-a-self-reminder-mixed" / "results.json").read_text())
    assert (results["model"]["strategy"]["name"], results["model"]["attack"]["name"]) == ("self-reminder", "shuffle")
    assert results["model"]["attack"]["settings"]["seed"] == 3
    [grid] = world.load()["grids"]
    places = [(cell["strategy"], cell["attack"], cell["n"]) for cell in grid["cells"]]
    assert places == [(row, column, 2) for row in more["strategies"] for column in ("none", "mixed", "drop")]
    assert re.search(r"defence / attack +none +mixed +drop +calls\n", ended.out)
    assert re.search(r"self-reminder( +0\.0 \[0\.0, 65\.8\]){3} +6\n", ended.out)
    changes = [(cell["change"], cell["strategy"], cell["attack"]) for cell in grid["cells"]]
    assert [place for change, *place in changes if change is None] == [["none", "none"]]
    shown = (world.output / "defences.md").read_text()
    assert re.search(r"\| self-reminder +\|( 0\.0 \[0\.0, 65\.8\] +\|){3}\n", shown)
    assert "\\multicolumn{3}{c}{mis:mini}" in (world.output / "defences.tex").read_text()


def test_a_defence_whose_file_has_changed_is_not_done(world: World) -> None:
    words = world.folder / "words.txt"
    words.write_text("Take care. {}")
    axis = ["none", {"strategy": "self-reminder", "settings": {"prompt": str(words)}, "name": "mine"}]
    assert harness_here(*world.words(["toy/a"], strategies=axis)).code == 0
    words.write_text("Beware. {}")
    ended = harness_here(*world.words(["toy/a"], strategies=axis))
    assert world.states() == {"toy-a": "complete", "toy-a-mine": "failed"}
    [cell] = [cell for cell in world.load()["grids"][0]["cells"] if cell["strategy"] == "mine"]
    assert cell["value"] is None
    assert "--fresh" in ended.out or "another" in str(cell["why"]), ended.out


def test_a_file_of_a_strategy_and_one_of_an_attack_are_told_apart_also_where_both_settings_have_one_name(
    tmp_path: Path,
) -> None:
    words, picture = tmp_path / "words.txt", tmp_path / "sign.png"
    picture.write_bytes(png(draw("red", "ring", Random(1), 32)))

    def plan(text: str) -> str:
        words.write_text(text)
        [unit] = plan_sweep(
            {
                "models": ["mini/base"],
                "tasks": ["mis:mini"],
                "output": str(tmp_path / "out"),
                "strategies": [{"strategy": "system-defence", "settings": {"file": str(words)}}],
                "attacks": [{"attack": "prepend-image", "settings": {"file": str(picture)}}],
            }
        ).units
        return unit.digest

    assert plan("Take care.") != plan("Beware.")


@pytest.mark.slow
def test_the_changes_of_a_table_are_those_of_a_comparison(world: World) -> None:
    import harness

    more = {"strategies": ["none", "jailguard"], "attacks": ["none", "drop"], "judges": ["keyword"], "limit": 8}
    ended = harness_here(*world.words(["mini/base"], jobs=1, **more))
    assert ended.code == 0, ended.err
    [grid] = world.load()["grids"]
    found = {(cell["strategy"], cell["attack"]): (cell["change"], cell["change_ci95"]) for cell in grid["cells"]}
    pairs = {
        ("none", "drop"): ("mini-base", "mini-base-drop"),
        ("jailguard", "none"): ("mini-base", "mini-base-jailguard"),
        ("jailguard", "drop"): ("mini-base-drop", "mini-base-jailguard-drop"),
    }
    for place, (base, other) in pairs.items():
        [split] = harness.compare(world.output / base, world.output / other).splits
        change = split.changes["ASR"].paired
        assert change.ci95 is not None
        assert found[place] == (change.difference, list(change.ci95))
    assert found["jailguard", "drop"][0] < 0, "what drop leaves of the questions, the copies do not agree on"


def test_a_cell_without_a_number_says_why(world: World) -> None:
    more = {"strategies": ["none", "self-reminder"], "judges": ["keyword"], "metric": "KPI"}
    ended = harness_here(*world.words(["toy/a"], "--only", "toy-a", **more))
    assert ended.code == 0, ended.err
    [grid] = world.load()["grids"]
    assert [cell["why"] for cell in grid["cells"]] == [
        "it has no metric KPI",
        "it is not among the units of this command",
    ]
    assert "self-reminder: it is not among the units of this command" in ended.out


@pytest.mark.parametrize(
    ("models", "more", "told"),
    [
        (["toy/a"], {"strategies": []}, "strategies"),
        (["toy/a"], {"strategies": ["nothing"]}, "no strategy is called 'nothing'"),
        (["toy/a"], {"strategies": ["cot", {"strategy": "cot"}]}, "two entries are called 'cot'"),
        (["toy/a"], {"strategies": ["cot"], "strategy": "ecso"}, "has a strategy of its own"),
        (["toy/a"], {"strategies": [{"strategy": "cot", "setting": {}}]}, "strategies.0"),
        (["toy/a"], {"strategies": [{"strategy": "cot", "settings": {"promt": "safety"}}]}, "promt"),
        (["toy/a"], {"attacks": ["nothing"]}, "no attack is called 'nothing'"),
        (
            [{"model": "toy/a", "name": "b"}],
            {"strategies": ["cot"], "strategy_settings": {"prompt": "safety"}},
            "has a strategy of its own",
        ),
        (
            [{"model": "toy/a", "name": "b"}],
            {"attacks": ["order"], "attack_settings": {"seed": 3}},
            "and an axis of attacks",
        ),
        (["toy/a"], {"strategies": [{"strategy": "cot", "name": "none"}]}, "none alone may be called so"),
        (["toy/a"], {"attacks": [{"attack": "none", "name": "plain"}]}, "none alone may be called so"),
        (["toy/a"], {"attacks": ["drop"], "attack": "blank"}, "and an axis of attacks"),
        (["toy/a"], {"limmit": 3}, "no key 'limmit'"),
        ([{"model": "toy/a", "gpu": 1}], {}, "did you mean 'gpus'"),
        (["toy/nothing*"], {}, "nothing matches"),
        (["toy/a", "toy/a"], {}, "would write to one folder, toy-a"),
        (["./checkpoint"], {}, "no provider is named"),
        (["toy/a"], {"tasks": ["miss"]}, "miss"),
        (["toy/a"], {"epochs": [1]}, "epochs"),
        (["toy/a"], {"jobs": 0}, "jobs"),
        ([], {}, "a sweep needs models"),
        (5, {}, "sweep.yaml: models"),
        ([{"model": "card/a", "gpus": 64}], {}, "needs 64 GPUs"),
        (["nobody/a"], {}, "nobody"),
    ],
)
def test_what_no_sweep_can_do_is_refused_before_anything_starts(
    world: World, models: Any, more: dict[str, object], told: str
) -> None:
    ended = harness_here(*world.words(models, **more))
    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err
    assert not world.lines("opened")


def test_a_folder_may_be_called_by_a_number(tmp_path: Path) -> None:
    [unit] = plan_sweep({"models": ["mini/base"], "tasks": ["mis:mini"], "data": 2026, "output": str(tmp_path)}).units
    assert unit.arguments[-2:] == ("--data", "2026")


def test_a_key_that_no_model_has_is_named_also_in_a_tuple_of_models(tmp_path: Path) -> None:
    values = {"models": ({"model": "mini/base", "setings": {}},), "tasks": ["mis:mini"], "output": str(tmp_path)}
    with pytest.raises(UnknownName, match="a model of a sweep has no key 'setings'"):
        plan_sweep(values)


def test_a_number_that_is_none_is_refused_by_its_name(tmp_path: Path) -> None:
    values = {"models": ["mini/base"], "tasks": ["mis:mini"], "temperature": float("nan"), "output": str(tmp_path)}
    with pytest.raises(HarnessError, match=r"^temperature must be a number, not nan$"):
        plan_sweep(values)


def test_where_nothing_can_start_it_ends_with_2(world: World) -> None:
    assert harness_here(*world.words(["toy/broken"])).code == 2


@pytest.mark.parametrize(
    ("costs", "dollars"),
    [
        (((1.5, ""), (0.25, "")), 1.75),
        (((1.5, ""), (None, "not priced: nobody sells these calls")), 1.5),
        (((1.5, ""), (None, "genai-prices has no price of X")), None),
        (((None, "not priced: nobody sells these calls"),), None),
    ],
)
def test_the_dollars_of_a_sweep_are_those_of_the_units_that_somebody_sells(
    costs: tuple[tuple[float | None, str], ...], dollars: float | None, tmp_path: Path
) -> None:
    number = MainNumber(
        task="mis", split="mini", judge=None, metric="ASR", value=1.0, unit="%", better="lower", ci95=None,
        ci95_worst=None, n=1, complete=True, part=False,
    )  # fmt: skip
    unit = Unit(
        name="a", model="mini/a", folder=tmp_path, arguments=(), judging=(), gpus=None, memory=None, local=False,
        endpoints=frozenset(), digest="",
    )  # fmt: skip
    runs = [ListedRun(folder=tmp_path, state="complete", numbers=(number,), cost_usd=c, cost_why=w) for c, w in costs]
    rows = tuple(Row(unit=unit, state="complete", run=run) for run in runs)
    assert Sweep(output=tmp_path, rows=rows, executor="local", started="", finished="").cost_usd == dollars


def test_python_sweeps_a_mapping(world: World) -> None:
    import harness
    from harness.plugins import Host, use

    with use(Host.load([world.plugin])):
        made = harness.sweep({"models": ["toy/a"], "tasks": "mis:mini", "limit": 2, "no_probe": True}, output="out")
    [row] = made.rows
    assert (made.exit_code, row.state) == (0, "complete")
    assert harness.load_run(row.unit.folder).exit_code == 0


SBATCH = """#!/usr/bin/env python3
import os, pathlib, re, subprocess, sys
state = pathlib.Path(os.environ["FAKE_SLURM"])
number = len(list(state.glob("job-*"))) + 1
script = pathlib.Path(sys.argv[-1])
text = script.read_text()
(state / f"job-{number}").write_text(" ".join(sys.argv[1:-1]) + chr(10) + text)
found = re.search("--array=0-([0-9]+)", text)
for task in range(int(found[1]) + 1 if found else 1):
    given = {"SLURM_ARRAY_TASK_ID": str(task), "SLURM_ARRAY_JOB_ID": str(number)} if found else {}
    subprocess.run(["bash", str(script)], env={**os.environ, **given}, stdout=2)
print(number)
"""


@pytest.mark.slow
def test_slurm_runs_a_task_for_each_unit_and_closes_after_them(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = world.folder / "bin"
    programs.mkdir()
    for name, text in (("sbatch", SBATCH), ("srun", '#!/bin/bash\nshift\nexec "$@"\n')):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(world.folder))
    models = ["toy/a", "toy/broken", {"model": "card/c", "gpus": 0}]
    words = world.words(models, "--executor", "slurm", jobs=2, rpm=90, slurm={"partition": "gpu"})
    shown = harness_here(*words, "--dry-run").out
    assert "#SBATCH --partition=gpu" in shown
    assert "#SBATCH --array=0-2%2" in shown
    ended = harness_here(*words)
    assert (ended.code, "submitted: 1 2" in ended.err) == (0, True), ended.err
    assert "--dependency=afterany:1" in (world.folder / "job-2").read_text()
    assert "--gres" not in (world.folder / "job-1").read_text()
    closed = harness_here(*world.words(models, "--close"))
    assert closed.code == 3, closed.err
    assert world.states() == {"toy-a": "complete", "toy-broken": "failed", "card-c": "complete"}
    history = json.loads((world.output / "toy-a" / "run.json").read_text())["history"]
    assert history[0]["options"]["policy"]["rpm"] == 45, "two units at once share the calls a minute"


def test_where_sbatch_is_missing_the_message_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(world.folder))
    ended = harness_here(*world.words(["toy/a"], "--executor", "slurm"))
    assert (ended.code, "sbatch cannot be run" in ended.err) == (2, True)


@pytest.mark.slow
def test_ray_runs_a_task_for_each_unit_and_asks_for_no_more_than_there_is(world: World) -> None:
    ray = pytest.importorskip("ray")
    ray.init(address="local", num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False)
    try:
        models = ["toy/a", "toy/die", "card/c"]
        ended = harness_here(*world.words(models, "--executor", "ray"))
        assert ended.code == 3, ended.err
        assert world.states() == {"toy-a": "complete", "toy-die": "failed", "card-c": "complete"}, ended.err
        assert "card/c 0" in world.lines("opened"), "Ray gives it a GPU"
        assert "killed by SIGKILL" in ended.out
        refused = harness_here(*world.words([{"model": "card/d", "gpus": 3}], "--executor", "ray"))
        assert (refused.code, "needs 3 GPUs" in refused.err) == (2, True), refused.err
    finally:
        ray.shutdown()
