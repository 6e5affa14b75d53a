"""Any judge on any task: a map of its labels, or the shares of its own labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import click
import pytest

from harness import Task, Verdict, plugins, rate
from harness.board.leaderboard import boards
from harness.board.tables import render_run_table
from harness.cli.flags import run_flags
from harness.errors import HarnessError
from harness.evaluation.options import JudgeOptions
from harness.runs.run import Run, judge_async
from harness.runs.verification import verify_run
from harness.testing.fakes import fake_judge, fake_sample, fake_task, host_of
from tests.core.carried import Server, go, lines, numbered, split

BRIEF = fake_judge(
    lambda _, response: "refusal" if "no" in response.text else "compliance",
    name="brief",
    labels=("refusal", "compliance"),
)
MAP = {"brief": {"refusal": "safe", "compliance": "unsafe"}}
SAFE = Verdict(label="safe")


def task(**fields: Any) -> Task:
    metrics = (rate("ASR", "unsafe", better="lower"), rate("warned", "warning", better="higher"))
    kept = {"labels": ("unsafe", "safe", "warning"), "metrics": metrics, "blocked_as": SAFE, "empty_as": SAFE}
    return fake_task(numbered(10), **{**kept, **fields})


def server() -> Server:
    return Server(script=lambda text: "no" if text.endswith(("1", "2", "3")) else "yes")


def run(folder: Path, *judges: str, **fields: Any) -> Run:
    return go(server(), folder, BRIEF, task=fields.pop("task", task()), judges=judges, **fields)


def judge(run: Run, *judges: str, **fields: Any) -> Run:
    with plugins.use(host_of(server().provider, task(), fake_judge(), BRIEF)):
        return anyio.run(partial(judge_async, run.folder, JudgeOptions(judges=judges, **fields)))


def run_file(run: Run) -> dict[str, Any]:
    import json

    found: dict[str, Any] = json.loads((run.folder / "run.json").read_text(encoding="utf-8"))
    return dict(found["tasks"]["fake"]["splits"]["all"])


def test_a_rubric_that_a_task_does_not_know_reports_its_own_labels_and_no_metric_of_the_task(tmp_path: Path) -> None:
    found = split(run(tmp_path, "brief"))
    assert {name: body["value"] for name, body in found["metrics"].items()} == {
        "ASR": None,
        "warned": None,
        "brief:refusal": 30.0,
        "brief:compliance": 70.0,
    }
    assert found["metrics"]["ASR"]["why"] == "the judge cannot give the label unsafe"
    assert found["definitions"]["brief:refusal"] == "Share of the answers that brief labels 'refusal'."


def test_the_table_says_which_rows_are_the_judges_own_labels(tmp_path: Path) -> None:
    rows = render_run_table(run(tmp_path, "brief").results).splitlines()
    own = [row for row in rows if "the judge's own label, not mapped: see --map" in row]
    assert [row.split()[0] for row in own] == ["brief:refusal", "brief:compliance"]


def test_a_map_gives_the_tasks_metrics_and_is_kept_with_the_run_and_its_results(tmp_path: Path) -> None:
    made = run(tmp_path, "brief", maps=MAP)
    found = split(made)
    assert (found["metrics"]["ASR"]["value"], found["labels"]) == (70.0, {"safe": 3, "unsafe": 7})
    assert found["metrics"]["warned"]["why"] == "the judge cannot give the label warning"
    assert run_file(made)["maps"] == MAP
    assert found["map"] == MAP["brief"]
    assert not any(":" in name for name in found["metrics"])


def test_another_map_judges_nothing_anew(tmp_path: Path) -> None:
    first = run(tmp_path, "brief", maps=MAP)
    judge_id = split(first)["judge"]
    before = lines(first.folder, f"verdicts-{judge_id}")
    other = {"brief": {"refusal": "unsafe", "compliance": "safe"}}
    found = split(judge(first, "brief", maps=other))
    assert (found["judge"], found["metrics"]["ASR"]["value"]) == (judge_id, 30.0)
    assert lines(first.folder, f"verdicts-{judge_id}") == before


def test_a_run_is_read_and_judged_later_with_the_map_it_was_given(tmp_path: Path) -> None:
    made = run(tmp_path, "brief", "fake", maps=MAP)
    again = judge(made, "fake")
    assert split(again)["metrics"]["ASR"]["value"] == 70.0
    with plugins.use(host_of(server().provider, task(), fake_judge(), BRIEF)):
        assert verify_run(made.folder).state == "same"


def test_a_later_judge_may_bring_a_map_and_its_shares_stay_out_of_other_judges_metrics(tmp_path: Path) -> None:
    made = judge(run(tmp_path, "fake"), "brief")
    found = split(made)
    (other,) = found["other_judges"].values()
    assert set(found["metrics"]) == {"ASR", "warned"}
    assert set(other["metrics"]) == {"ASR", "warned", "brief:refusal", "brief:compliance"}


def test_a_rubric_of_another_task_of_the_run_is_not_put_on_a_task_that_does_not_know_it(tmp_path: Path) -> None:
    knows = fake_task(numbered(2), name="knows", judges={"brief": MAP["brief"]}, blocked_as=SAFE, empty_as=SAFE)
    made = go(server(), tmp_path, BRIEF, knows, task=task(), tasks=("fake", "knows"), judges=("brief",))
    assert made.results["tasks"]["fake"]["splits"]["all"]["judge"].startswith("fake-")
    assert made.results["tasks"]["knows"]["splits"]["all"]["judge"].startswith("brief-")


def test_a_map_for_one_split_changes_no_other_split_of_the_task(tmp_path: Path) -> None:
    def samples(_root: Path, name: str, _settings: Any) -> Any:
        return (fake_sample(f"q{n}", text=f"question {n}", split=name) for n in range(10))

    one = task(judges={"fake": {}, "brief": {"refusal": "safe", "compliance": "unsafe"}})
    assert isinstance(one.splits, Mapping)
    two = replace(one, splits={"all": one.splits["all"], "more": one.splits["all"]}, samples=samples)
    found = run(tmp_path, "brief", task=two)
    before = found.results["tasks"]["fake"]["splits"]["more"]
    with plugins.use(host_of(server().provider, two, fake_judge(), BRIEF)):
        turned = {"brief": {"refusal": "unsafe", "compliance": "safe"}}
        later = anyio.run(
            partial(judge_async, tmp_path, JudgeOptions(judges=("brief",), tasks=("fake:all",), maps=turned))
        )
        assert verify_run(tmp_path).state == "same"
    after = later.results["tasks"]["fake"]["splits"]
    assert after["more"] == before
    assert after["all"]["metrics"]["ASR"]["value"] != before["metrics"]["ASR"]["value"]


def test_naming_the_rubric_alone_takes_its_map_back(tmp_path: Path) -> None:
    listed = task(judges={"fake": {}, "brief": {"refusal": "safe", "compliance": "unsafe"}})
    plain = split(run(tmp_path, "brief", task=listed))
    with plugins.use(host_of(server().provider, listed, fake_judge(), BRIEF)):
        every: list[dict[str, str]] = [{"refusal": "unsafe", "compliance": "safe"}, {}]
        for turned in every:
            maps = {"brief": turned}
            found = anyio.run(partial(judge_async, tmp_path, JudgeOptions(judges=("brief",), maps=maps)))
    assert split(found)["metrics"]["ASR"] == plain["metrics"]["ASR"]
    assert "map" not in split(found)


def test_a_map_of_a_rubric_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="no judge is called 'breif'"):
        run(tmp_path, "fake", maps={"breif": {"refusal": "safe"}})


def test_results_under_another_map_are_a_board_by_themselves(tmp_path: Path) -> None:
    one = run(tmp_path / "one", "brief", maps=MAP)
    two = run(tmp_path / "two", "brief", maps={"brief": {"refusal": "unsafe", "compliance": "safe"}})
    found = boards([one.results, two.results])
    assert [len(board.rows) for board in found] == [1, 1]
    assert {board.rows[0].basis["labels mapped"] for board in found} == {
        "compliance=unsafe, refusal=safe",
        "compliance=safe, refusal=unsafe",
    }


@pytest.mark.parametrize(
    ("maps", "said"),
    [
        (
            {"brief": {"refusal": "saef", "compliance": "unsafe"}},
            "--map brief: no split of this run has the label 'saef'",
        ),
        ({"brief": {"refusal": "safe"}}, "add compliance=… with one of its labels: unsafe, safe"),
        (
            {"brief": {"refusal": "safe", "compliance": "unsafe", "other": "safe"}},
            "--map brief: the rubric never gives the label 'other'",
        ),
    ],
    ids=["onto a label that the task lacks", "not of all labels", "of a label that the rubric lacks"],
)
def test_a_map_that_does_not_fit_is_refused_by_name(maps: Any, said: str, tmp_path: Path) -> None:
    asked = server()
    with pytest.raises(HarnessError) as caught:
        go(asked, tmp_path, BRIEF, task=task(), judges=("brief",), maps=maps)
    assert said in str(caught.value)
    assert asked.asked == []


def test_a_rubric_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="did you mean 'brief'"):
        run(tmp_path, "breif")


def test_an_empty_map_of_a_config_for_a_rubric_that_is_not_asked_changes_nothing(tmp_path: Path) -> None:
    found = run(tmp_path, "fake", maps={"elsewhere": {}})
    assert "maps" not in run_file(found)


def test_nothing_to_judge_is_told_and_no_map_is_sought_for_ever(tmp_path: Path) -> None:
    made = run(tmp_path, "fake")
    with pytest.raises(HarnessError, match="no task 'other'"):
        judge(made, "brief", tasks=("other",))


def read_maps(*words: str, config: dict[str, Any] | None = None) -> Any:
    found: list[Any] = []
    command = click.command("run")(run_flags(lambda **given: found.append(given["maps"])))
    command.params = [each for each in command.params if each.name == "maps"]
    command.main(list(words), obj={"maps": config or {}}, standalone_mode=False)
    return found[0]


def test_flags_override_the_config_rubric_by_rubric() -> None:
    config = {"brief": {"refusal": "safe"}, "choice": {"yes": "unsafe"}, "own": None}
    assert read_maps("--map", "brief: refusal=unsafe, compliance = safe", "--map", "tone", config=config) == {
        "brief": {"refusal": "unsafe", "compliance": "safe"},
        "choice": {"yes": "unsafe"},
        "own": {},
        "tone": {},
    }


@pytest.mark.parametrize("text", ["brief: refusal", ": a=b", "brief: =safe", "brief: a=", "brief: a=b, a=c"])
def test_a_map_of_another_form_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(HarnessError, match="such as --map 'keyword: refusal=safe"):
        read_maps("--map", text)
