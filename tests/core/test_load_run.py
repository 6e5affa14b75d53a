"""`harness.load_run`, and what a `Run` gives: its state, its samples and its metrics as data frames."""

import fcntl
import inspect
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_type_hints

import anyio
import pandas as pd
import pytest

import harness
from harness import plugins
from harness.errors import HarnessError, UnknownName
from harness.limits import Policy
from harness.runs.frames import METRICS, SAMPLES, TEXTS
from harness.runs.rerun import plan_rerun
from harness.testing.fakes import fake_judge, fake_provider, fake_task, host_of
from harness.types import Failure, Request

TASK = fake_task({f"q{n}": f"question {n}" for n in range(4)})
BLOCKED = Failure(outcome="input_blocked", reason="filter")
HOST = host_of(fake_provider("yes"), fake_provider(Failure(outcome="error", reason="http_400"), scheme="down"),
               fake_provider(BLOCKED, scheme="filtered"), TASK, fake_judge())  # fmt: skip


@pytest.fixture(autouse=True)
def offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fakes alone, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    with plugins.use(HOST):
        yield


def edit(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_stored_run_is_what_the_run_was() -> None:
    made = harness.run("fake/x", "fake")
    for given in (made.folder, str(made.folder), made):
        loaded = harness.load_run(given)
        assert (loaded.results, loaded.exit_code, loaded.state, loaded.notes) == (made.results, 0, "complete", ())
    pd.testing.assert_frame_equal(loaded.samples(), made.samples())
    pd.testing.assert_frame_equal(loaded.metrics(), made.metrics())


def test_samples_have_a_row_for_each_item_and_judge() -> None:
    run = harness.run("fake/x", "fake", epochs=2)
    frame = run.samples()
    assert tuple(frame.columns) == SAMPLES
    assert len(frame) == 8
    assert set(frame["epoch"]) == {0, 1}
    assert set(frame["outcome"]) == {"answered"}
    assert set(frame["state"]) == {"scored"}
    assert frame["primary"].all()
    again = harness.judge_run(run, judge="fake", judge_settings={}, retry="scored")
    assert len(again.samples()) == 8, "the same judge, so no further rows"


def test_texts_are_there_only_where_they_are_asked_for() -> None:
    run = harness.run("fake/x", "fake")
    assert not set(TEXTS) & set(run.samples().columns)
    frame = run.samples(texts=True)
    assert tuple(frame.columns) == (*SAMPLES, *TEXTS)
    assert set(frame["answer"]) == {"yes"}
    assert frame["question"][0].startswith("question")


def test_a_block_has_no_label_of_the_judge_and_counts_as_its_split_says() -> None:
    frame = harness.run("filtered/x", "fake").samples()
    assert set(frame["outcome"]) == {"input_blocked"}
    assert frame["label"].isna().all()
    assert frame["state"].isna().all()
    assert frame["counts_as"].notna().all()


def test_an_error_counts_as_nothing() -> None:
    frame = harness.run("down/x", "fake", probe=False, policy=Policy(breaker=100)).samples()
    assert len(frame) == 4
    assert frame["counts_as"].isna().all()
    assert frame["judge"].isna().all()
    assert frame["seconds"].isna().all()


def test_metrics_say_the_unit_the_interval_and_what_they_were_divided_by() -> None:
    run = harness.run("fake/x", "fake")
    frame = run.metrics()
    assert tuple(frame.columns) == METRICS
    (row,) = frame[frame["main"]].to_dict("records")
    stored = run.results["tasks"]["fake"]["splits"]["all"]["metrics"]["ASR"]
    assert (row["value"], row["unit"], row["denominator"], row["n"]) == (100.0, "%", 4, 4)
    assert [row["ci95_low"], row["ci95_high"]] == stored["ci95"]
    assert [row["ci95_worst_low"], row["ci95_worst_high"]] == stored["ci95_worst"]
    assert pd.isna(row["corrected"])


def test_a_breakdown_that_no_split_has_is_refused() -> None:
    with pytest.raises(UnknownName, match="'shape'"):
        harness.run("fake/x", "fake").metrics(by="shape")


def test_a_run_whose_answers_failed_is_incomplete_and_says_what_is_missing() -> None:
    made = harness.run("down/x", "fake", probe=False, policy=Policy(breaker=100))
    loaded = harness.load_run(made.folder)
    assert (loaded.state, loaded.exit_code) == ("incomplete", 3)
    assert loaded.notes == ("this run is incomplete: fake:all: coverage 0.0%, error 4",)


def test_a_run_that_raised_is_failed_with_its_reason() -> None:
    with pytest.raises(HarnessError):
        harness.run("down/x", "fake", probe=False, policy=Policy(breaker=2))
    loaded = harness.load_run("runs/down-x")
    assert loaded.state == "failed"
    assert loaded.results == {}
    assert "http_400" in loaded.notes[0]
    with pytest.raises(HarnessError, match="no results yet: it is failed"):
        loaded.metrics()
    assert set(loaded.samples()["outcome"]) == {"error"}, "what was asked is there"


def test_a_run_that_was_killed_is_incomplete_and_its_answers_are_read() -> None:
    run = harness.run("fake/x", "fake")
    edit(run.folder / "run.json", history=[], tasks={}, judges={})
    (run.folder / "results.json").unlink()
    (run.folder / "fake" / "asked.jsonl").unlink()
    loaded = harness.load_run(run.folder)
    assert (loaded.state, loaded.results) == ("incomplete", {})
    assert "ended before anything was finished" in loaded.notes[0]
    frame = loaded.samples()
    assert len(frame) == 4
    assert set(frame["counts_as"]) == {"unsafe"}


def test_a_run_that_was_killed_names_the_command_that_continues_it_and_can_be_repeated() -> None:
    run = harness.run("fake/x", "fake", limit=2)
    path = run.folder / "run.json"
    options = json.loads(path.read_text())["history"][0]["options"]
    begun = {"started": "2026-12-01T10:00:00+00:00", "splits": {"fake:all": 4}, "options": {**options, "limit": 4}}
    edit(path, running=begun)
    why = harness.load_run(run.folder).notes[0]
    assert "its last invocation was killed" in why
    assert why.endswith("harness run --model fake/x --tasks fake --limit 4 --output runs/fake-x")
    edit(path, running=begun, history=[])
    plan = plan_rerun(run.folder)
    assert plan.commands == ("harness run --model fake/x --tasks fake --limit 4 --output runs/fake-x-rerun",)
    assert "repeated by what it had begun" in plan.notes[0]


def test_lines_that_are_newer_than_the_results_make_it_incomplete() -> None:
    run = harness.run("fake/x", "fake")
    path = run.folder / "fake" / "responses.jsonl"
    line = json.loads(path.read_text().splitlines()[-1])
    with path.open("a") as file:
        file.write(json.dumps({**line, "id": "q9", "at": "2999-01-01T00:00:00.000+00:00"}) + "\n")
    assert harness.load_run(run.folder).state == "incomplete"
    assert "written after its results" in harness.load_run(run.folder).notes[0]


def test_a_copy_of_a_folder_is_as_complete_as_the_folder() -> None:
    run = harness.run("fake/x", "fake")
    shutil.copytree(run.folder, "copy", copy_function=shutil.copy)
    (Path("copy") / "fake" / "responses.jsonl").touch()
    assert harness.load_run("copy").state == "complete"


def test_a_run_that_another_process_writes_is_running_and_can_be_read() -> None:
    run = harness.run("fake/x", "fake")
    with (run.folder / ".writers.lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        loaded = harness.load_run(run.folder)
        assert (loaded.state, loaded.exit_code) == ("running", 3)
        assert len(loaded.samples()) == 4
        assert len(loaded.metrics()) == len(run.metrics()), "the results as last written"
    assert harness.load_run(run.folder).state == "complete"


def test_a_run_is_read_while_it_answers(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []

    def answer(request: Request) -> str:
        if len(asked) == 3:
            loaded = harness.load_run("runs/slow-x")
            seen.append((loaded.state, len(loaded.samples()), loaded.exit_code))
            assert harness.list_runs("runs")[0].state == "running"
        asked.append(request)
        return "yes"

    asked: list[Request] = []
    with plugins.use(host_of(fake_provider(answer, scheme="slow"), TASK, fake_judge())):
        run = harness.run("slow/x", "fake", probe=False, policy=Policy(start=1, cap=1))
        assert run.state == "complete"
    ((state, rows, code),) = seen
    assert (state, code) == ("running", 3)
    assert 1 <= rows <= 3, "what was written so far"


def test_a_run_that_waits_for_a_batch_is_pending() -> None:
    run = harness.run("fake/x", "fake")
    path = run.folder / "run.json"
    entry = json.loads(path.read_text())["history"][0]
    edit(path, history=[entry, {**entry, "end": "pending", "reason": "3 requests wait for batch b1"}])
    loaded = harness.load_run(run.folder)
    assert (loaded.state, loaded.exit_code) == ("pending", 3)
    assert loaded.pending == "3 requests wait for batch b1"


def test_results_that_are_broken_are_named_and_the_samples_still_there() -> None:
    run = harness.run("fake/x", "fake")
    (run.folder / "results.json").write_text("{")
    loaded = harness.load_run(run.folder)
    assert (loaded.state, loaded.results) == ("incomplete", {})
    assert "results are not JSON" in loaded.notes[0]
    assert len(loaded.samples()) == 4


def test_a_redacted_run_has_numbers_and_no_texts() -> None:
    run = harness.run("fake/x", "fake")
    edit(run.folder / "run.json", redacted=True)
    loaded = harness.load_run(run.folder)
    assert any("redacted" in note for note in loaded.notes)
    assert len(loaded.samples(texts=True)) == 4
    with pytest.raises(HarnessError, match="redacted"):
        harness.judge_run(loaded)


@pytest.mark.parametrize(
    ("name", "values"),
    [("responses", {"seconds": "../x"}), ("asked", {"epoch": ["x"]}), ("responses", {"usage": {"input_tokens": None}})],
)
def test_a_number_of_a_line_that_is_none_is_an_error_of_that_run(name: str, values: dict[str, Any]) -> None:
    run = harness.run("fake/x", "fake")
    file = run.folder / "fake" / f"{name}.jsonl"
    first, *others = file.read_text().splitlines()
    file.write_text("\n".join((json.dumps({**json.loads(first), **values}, separators=(",", ":")), *others, "")))
    with pytest.raises(HarnessError, match="a line of this run cannot be read"):
        harness.load_run(run.folder).samples()


def test_a_damaged_line_is_an_error_that_says_how_to_find_it() -> None:
    run = harness.run("fake/x", "fake")
    path = run.folder / "fake" / "responses.jsonl"
    path.write_text(path.read_text().replace('"usage":{', '"usage":[{'))
    with pytest.raises(HarnessError) as caught:
        run.samples()
    assert caught.value.remedy.startswith(f"harness verify {run.folder}")


@pytest.mark.parametrize(
    ("given", "what", "remedy"),
    [
        ("nowhere", "no such folder", "harness runs"),
        ("runs", "no run here", "runs/fake-x"),
        ("runs/fake-x/results.json", "a file and not a run folder", "give its folder"),
    ],
)
def test_what_is_no_run_says_what_to_give(given: str, what: str, remedy: str) -> None:
    harness.run("fake/x", "fake")
    for read in (harness.load_run, harness.judge_run, harness.agree):
        with pytest.raises(HarnessError, match=what) as caught:
            read(given)
        assert remedy in caught.value.remedy


def test_a_run_can_be_judged_again_in_python_and_in_a_loop() -> None:
    made = harness.run("fake/x", "fake")
    assert harness.judge_run(made, judge="fake").results["tasks"] == made.results["tasks"]

    async def body() -> harness.Run:
        return await harness.judge_run_async(made.folder, tasks="fake")

    assert anyio.run(body).exit_code == 0


@pytest.mark.parametrize(
    ("options", "error", "what"),
    [
        ({"judge": "fak"}, UnknownName, "'fak'"),
        ({"members": "fake"}, HarnessError, "majority"),
        ({"combine": "best"}, HarnessError, "majority is the only one"),
        ({"combine": "majority", "judge": "fake"}, HarnessError, "asks no judge"),
        ({"sample": 0}, HarnessError, "--sample"),
        ({"jugde": "fake"}, TypeError, "no option 'jugde'"),
    ],
)
def test_options_of_judging_that_cannot_be_are_refused(options: dict[str, Any], error: type, what: str) -> None:
    made = harness.run("fake/x", "fake")
    with pytest.raises(error) as caught:
        harness.judge_run(made, **options)
    assert what in str(caught.value)


def test_a_run_is_verified_from_python() -> None:
    made = harness.run("fake/x", "fake")
    assert harness.verify_run(made).state == "same"
    edit(made.folder / "results.json", tasks={})
    assert harness.verify_run(made.folder).state == "differs"
    with pytest.raises(HarnessError, match="no such folder"):
        harness.verify_run("nowhere")


def test_one_judge_agrees_with_nobody() -> None:
    with pytest.raises(HarnessError, match="agreement needs two judges"):
        harness.agree(harness.run("fake/x", "fake"))


def test_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    run = harness.run("fake/x", "fake")
    harness.judge_run(run)
    harness.verify_run(run)
    harness.report(run)
    run.samples()
    assert capsys.readouterr() == ("", "")


def test_no_public_function_takes_or_gives_any() -> None:
    for name in ("agree", "compare", "judge_run", "judge_run_async", "load_run", "report", "run", "verify_run"):
        function = getattr(harness, name)
        hints = get_type_hints(function)
        assert "return" in hints, name
        assert Any not in hints.values(), name
        assert set(inspect.signature(function).parameters) <= set(hints), name


def test_a_run_shows_its_main_numbers_in_a_line_that_stays_short() -> None:
    run = harness.run("fake/x", "fake", output="out", judge="fake/j", probe=False)
    assert repr(run) == "Run(out, fake/x, complete: fake:all ASR 100.0 [51.0, 100.0])"
    (about,) = run.results["tasks"].values()
    many = replace(run, results={**run.results, "tasks": {f"t{n}" * 500: about for n in range(90)}})
    assert len(repr(many)) < 600
    assert repr(many).endswith(", …)")
    page = many._repr_html_()
    assert "and 70 more" in page
    assert len(page) < 5000
    assert "<b>" not in replace(run, folder=Path("<b>"))._repr_html_()
    assert repr(replace(run, results={}, pending="a batch is out")) == "Run(out, pending)"
    assert repr(replace(run, results={}, exit_code=3)) == "Run(out, no results)"
