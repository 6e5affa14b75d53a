"""Runs logged to Weights & Biases and MLflow: into the files of their offline modes, read back from there.

Each service is written by the process that a run starts for it, with the real client.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from harness_tracking.mlflow_service import clean_names, flatten
from harness_tracking.observer import FOLDER, check_ready, log_run
from harness_tracking.record import load_tracked_run

from harness.errors import HarnessError
from tests.acceptance.commands import harness
from tests.core.compared import WORLD, changed, played

pytestmark = pytest.mark.slow

LONG = 240.0  #: seconds that no logging needs
ASKED = ("run", "--model", "played/ab", "--tasks", "played:one", "--judge", "mild", "--no-probe")
SECRET = ("secret", "question")  #: words of the answers and of the questions


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of which question i was answered with letter i; an `e` is an empty answer."""
    return played(tmp_path / "run", "abce")


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> str:
    """Weights & Biases, turned on and offline."""
    pytest.importorskip("wandb", reason="needs the extra wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("HARNESS_WANDB_PROJECT", "lab/safety")
    return "wandb"


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """MLflow, turned on, with a folder as its store."""
    pytest.importorskip("mlflow", reason="needs the extra mlflow")
    monkeypatch.setenv("HARNESS_MLFLOW_URI", str(tmp_path / "store"))
    return "mlflow"


def resume(run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The run, asked again while no service is turned on."""
    with monkeypatch.context() as off:
        off.delenv("HARNESS_WANDB_PROJECT", raising=False)
        off.delenv("HARNESS_MLFLOW_URI", raising=False)
        return played(run, "abce")


def results_of(run: Path) -> Any:
    return json.loads((run / "results.json").read_text())


def the_split(results: Any) -> Any:
    (task,) = results["tasks"].values()
    (split,) = task["splits"].values()
    return split


def test_nothing_is_imported_and_nothing_written_unless_a_variable_asks_for_it(tmp_path: Path) -> None:
    script = (
        "import sys; from harness.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print(sorted({'harness_tracking', 'harness_tracking.observer', 'wandb', 'mlflow'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *ASKED, "--output", str(tmp_path / "run"), *WORLD],
        capture_output=True,
        text=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("HARNESS_")},
        timeout=LONG,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "['harness_tracking']"
    assert not (tmp_path / "run" / FOLDER).exists()


def test_each_metric_has_its_value_interval_bounds_fraction_and_coverage_by_task_split_and_judge(run: Path) -> None:
    split = the_split(results_of(run))
    metrics = load_tracked_run(run).metrics
    place = f"played/one/{split['judge']}"
    assert split["metrics"]
    for name, body in split["metrics"].items():
        for key in ("value", "numerator", "denominator", "unresolved"):
            assert metrics.get(f"{place}/{name}/{key}") == body[key]
        for key in ("ci95", "bounds"):
            logged = [metrics.get(f"{place}/{name}/{key}_{end}") for end in ("low", "high")]
            assert logged == (body[key] or [None, None])
    assert metrics[f"{place}/coverage"] == split["coverage"]
    for name, count in split["outcomes"].items():
        assert metrics[f"played/one/outcomes/{name}"] == count
    assert metrics["usage/model/calls"] == results_of(run)["usage"]["model"]["calls"]


def test_a_metric_without_a_value_is_left_out_and_not_logged_as_zero(run: Path) -> None:
    name = next(iter(the_split(results_of(run))["metrics"]))

    def lose(results: Any) -> None:
        the_split(results)["metrics"][name] |= {"value": None, "ci95": None}

    logged = [key for key in load_tracked_run(changed(run, lose, "results.json")).metrics if f"/{name}/" in key]
    assert logged
    assert not [key for key in logged if key.endswith(("/value", "/ci95_low"))]


def test_the_table_has_a_row_per_sample_and_judge_and_no_text_unless_asked(run: Path) -> None:
    tracked = load_tracked_run(run)
    rows = [dict(zip(tracked.columns, row, strict=True)) for row in tracked.rows]
    assert len(rows) == the_split(results_of(run))["records"] == tracked.metrics["samples/rows"]
    ended = {outcome for outcome, count in the_split(results_of(run))["outcomes"].items() if count}
    assert {row["outcome"] for row in rows} == ended > {"answered"}
    assert {row["state"] for row in rows if row["outcome"] == "answered"} == {"scored"}
    assert all(row["label"] for row in rows if row["outcome"] == "answered")
    whole = json.dumps([tracked.rows, tracked.config, tracked.tags, tracked.files])
    assert not [word for word in SECRET if f"{word} " in whole]
    asked = load_tracked_run(run, texts=True)
    assert asked.columns[-3:] == ("question", "answer", "reason")
    assert any("secret a" in row and any("question" in str(cell) for cell in row) for row in asked.rows)
    assert asked.files == tracked.files


def test_rows_beyond_the_most_that_a_service_takes_are_counted(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness_tracking.record.ROWS", 3)
    tracked = load_tracked_run(run)
    assert len(tracked.rows) == tracked.metrics["samples/rows"] == 3
    assert tracked.metrics["samples/rows_left_out"] == the_split(results_of(run))["records"] - 3


def test_a_long_text_is_cut_and_no_part_of_a_key_is_left_at_the_cut(run: Path) -> None:
    key = "sk-proj-" + "abcd1234" * 5
    say(run, "y" * 9_990 + " " + key + " z" * 500_000)
    answer = load_tracked_run(run, texts=True).rows[0][-2]
    assert isinstance(answer, str)
    assert answer.startswith("yyy")
    assert answer.endswith("… (1,010,039 characters)")
    assert len(answer) < 10_100
    assert "abcd" not in answer


def test_a_resumed_run_keeps_its_id_and_a_fresh_one_or_another_folder_has_its_own(tmp_path: Path, run: Path) -> None:
    first = load_tracked_run(run)
    assert load_tracked_run(played(run, "abce")).id == first.id
    assert load_tracked_run(played(tmp_path / "other", "abce")).id != first.id

    def start_anew(file: Any) -> None:
        file["started"] = "2030-01-01T00:00:00+00:00"

    assert load_tracked_run(changed(run, start_anew)).id != first.id


def test_a_folder_without_results_is_refused(tmp_path: Path, run: Path) -> None:
    (run / "results.json").unlink()
    with pytest.raises(HarnessError, match="no results yet"):
        load_tracked_run(run)


def test_wandb_gets_config_numbers_table_and_files_in_one_run_also_when_resumed(
    run: Path, wandb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_run(run, [wandb], patience=LONG)
    log_run(resume(run, monkeypatch), [wandb], patience=LONG)
    tracked = load_tracked_run(run)
    folders = sorted((run / FOLDER / "wandb").glob("offline-run-*"))
    assert {folder.name.rpartition("-")[2] for folder in folders} == {tracked.id}
    records = list(read_wandb(folders[-1] / f"run-{tracked.id}.wandb"))
    (begun,) = (record.run for record in records if record.WhichOneof("record_type") == "run")
    assert (begun.entity, begun.project, begun.display_name) == ("lab", "safety", "played/abce")
    summary: dict[str, Any] = {}
    config: dict[str, Any] = {}
    artifacts: set[str] = set()
    for record in records:
        for item in (*record.summary.update, *record.history.item):
            summary[item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
        for item in (*record.config.update, *record.run.config.update):
            config[item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
        artifacts |= {entry.path for entry in record.request.log_artifact.artifact.manifest.contents}
        artifacts |= {entry.path for entry in record.artifact.manifest.contents}
    assert {name: summary.get(name) for name in tracked.metrics} == dict(tracked.metrics)
    assert config["identity_digest"] == tracked.config["identity_digest"]
    assert config["model"] == tracked.config["model"]
    assert {"results.json", "run.json"} <= artifacts
    table = json.loads(next(folders[-1].rglob("samples*.table.json")).read_text())
    assert table["columns"] == list(tracked.columns)
    assert [tuple(row) for row in table["data"]] == list(tracked.rows)


def test_no_file_of_wandb_has_a_text_or_names_the_machine(run: Path, wandb: str) -> None:
    log_run(run, [wandb], patience=LONG)
    written = b"".join(path.read_bytes() for path in (run / FOLDER).rglob("*.wandb"))
    written += b"".join(path.read_bytes() for path in (run / FOLDER).rglob("*.json"))
    assert b"secret " not in written
    assert not list((run / FOLDER).rglob("requirements.txt"))
    assert not list((run / FOLDER).rglob("wandb-metadata.json"))
    (folder,) = (run / FOLDER / "wandb").glob("offline-run-*")
    (begun,) = (record.run for record in read_wandb(next(folder.glob("*.wandb"))) if record.HasField("run"))
    assert (begun.host, begun.git.remote_url) == ("", "")


def test_the_clients_write_nothing_into_the_users_home(
    run: Path, wandb: str, mlflow: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "CI", "PYTEST_CURRENT_TEST"):
        monkeypatch.delenv(name, raising=False)
    log_run(run, [wandb, mlflow], patience=LONG)
    assert not [path for path in home.rglob("*") if path.is_file()]


def test_mlflow_gets_params_numbers_table_and_files_in_one_run_also_when_resumed(
    run: Path, mlflow: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log_run(run, [mlflow], patience=LONG)
    log_run(resume(run, monkeypatch), [mlflow], patience=LONG)
    tracked = load_tracked_run(run)
    found = read_mlflow(tmp_path / "store", "vlm-safety-harness")
    assert len(found) == 1
    (logged,) = found
    assert logged["status"] == "FINISHED"
    assert logged["tags"]["harness.run"] == tracked.id
    assert logged["tags"]["mlflow.runName"] == "played/abce"
    assert logged["params"]["identity_digest"] == tracked.config["identity_digest"]
    renamed = {name.replace("~", "_"): value for name, value in tracked.metrics.items()}
    assert logged["metrics"] == renamed
    assert set(logged["history"].values()) == {2}
    assert logged["files"]["results.json"] == tracked.files["results.json"]
    assert logged["files"]["run.json"] == tracked.files["run.json"]
    assert logged["files"]["samples.json"] == {
        "columns": list(tracked.columns),
        "data": [list(row) for row in tracked.rows],
    }
    assert "secret " not in json.dumps(logged)


def test_half_a_surrogate_pair_and_control_characters_reach_mlflow_as_they_are(
    run: Path, mlflow: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HARNESS_TRACKING_TEXTS", "1")
    say(run, "a\ud800b\x00\x1b[31m")
    log_run(run, [mlflow], patience=LONG)
    (logged,) = read_mlflow(tmp_path / "store", "vlm-safety-harness")
    assert logged["files"]["samples.json"]["data"][0][-2] == "a\ud800b\x00\x1b[31m"


def test_mlflow_takes_every_name_and_no_two_become_one() -> None:
    pytest.importorskip("mlflow", reason="needs the extra mlflow")
    from mlflow.utils.validation import _validate_metric_name

    long = "x" * 300
    names = ["plain/name", "a/../b", "a//b", "x/.", "/a", "a/", "..", "", "安全", "危险", "a~b", "a_b", "a!b"]
    names += [f"{long}/{end}" for end in ("value", "denominator")] + ["z" * 240 + end for end in ("~" * 5, "!" * 5)]
    cleaned = clean_names(names)
    assert cleaned["plain/name"] == "plain/name"
    assert len(set(cleaned.values())) == len(names)
    assert cleaned[f"{long}/value"].endswith("/value")
    for name in cleaned.values():
        assert len(name) <= 250
        _validate_metric_name(name)


def test_a_configuration_becomes_a_parameter_for_each_leaf_that_says_something() -> None:
    config: Any = {"model": {"ref": "a/b", "seed": 0, "notes": [], "none": None}, "tasks": {"t": {"n": [1, "é"]}}}
    assert dict(flatten(config)) == {"model.ref": "a/b", "model.seed": "0", "tasks.t.n": '[1, "\\u00e9"]'}


def test_an_experiment_that_another_run_creates_at_the_same_moment_is_used(
    run: Path, mlflow: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from harness_tracking.mlflow_service import log_to_mlflow
    from mlflow import MlflowClient

    store, tracked = str(tmp_path / "store"), load_tracked_run(run)
    find = MlflowClient.get_experiment_by_name
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    answers = [None]  # as before the other run has created it

    def find_late(self: MlflowClient, name: str) -> Any:
        return answers.pop() if answers else find(self, name)

    MlflowClient(tracking_uri=store).create_experiment("ours")
    monkeypatch.setattr(MlflowClient, "get_experiment_by_name", find_late)
    log_to_mlflow(tracked, store, "ours")
    assert len(read_mlflow(tmp_path / "store", "ours")) == 1


def test_texts_and_the_experiment_are_chosen_by_variables(
    run: Path, mlflow: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HARNESS_TRACKING_TEXTS", "1")
    monkeypatch.setenv("HARNESS_MLFLOW_EXPERIMENT", "mine")
    log_run(run, [mlflow], patience=LONG)
    (logged,) = read_mlflow(tmp_path / "store", "mine")
    assert "secret a" in json.dumps(logged["files"]["samples.json"])
    assert "secret a" not in json.dumps([logged["files"]["results.json"], logged["files"]["run.json"]])


def test_a_run_logs_itself(mlflow: str, tmp_path: Path) -> None:
    done = harness(*ASKED, "--output", tmp_path / "run", *WORLD)
    assert done.code == 0, done.err
    wait_until(lambda: log_of(tmp_path / "run").endswith("\nlogged\n"))
    (logged,) = read_mlflow(tmp_path / "store", "vlm-safety-harness")
    assert logged["metrics"] == dict(load_tracked_run(tmp_path / "run").metrics)


def test_a_service_that_does_not_answer_costs_a_run_nothing_but_a_line(
    mlflow: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HARNESS_MLFLOW_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    done = harness(*ASKED, "--output", tmp_path / "run", *WORLD)
    assert done.code == 0
    assert results_of(tmp_path / "run")["tasks"]
    assert "not logged" in done.err or "still logging to mlflow" in done.err  # by how fast this machine is
    wait_until(lambda: "127.0.0.1" in log_of(tmp_path / "run"))
    with pytest.raises(HarnessError, match="the last results of this run are not logged"):
        check_ready(tmp_path / "run", [mlflow])


def test_a_process_that_takes_its_time_is_left_to_itself(
    run: Path, mlflow: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log_run(run, [mlflow], patience=0)
    assert "still logging to mlflow; its output is in" in capsys.readouterr().err
    wait_until(lambda: log_of(run).endswith("\nlogged\n"))
    check_ready(run, [mlflow])


def test_an_earlier_run_is_logged_by_hand_and_is_then_no_failure(run: Path, mlflow: str, tmp_path: Path) -> None:
    (run / FOLDER).mkdir()
    (run / FOLDER / "mlflow.log").write_text("started 2030-01-01T00:00:00Z\n")  # and killed
    done = subprocess.run(
        [sys.executable, "-m", "harness_tracking", str(run)], capture_output=True, text=True, timeout=LONG, check=False
    )
    assert (done.returncode, done.stdout) == (0, "logged\n"), done.stderr
    check_ready(run, [mlflow])
    assert len(read_mlflow(tmp_path / "store", "vlm-safety-harness")) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "usage: python -m harness_tracking RUN"),
        (("nowhere",), "no service is turned on: set HARNESS_WANDB_PROJECT or HARNESS_MLFLOW_URI"),
        (("nowhere", "mlflow"), "mlflow: there is no run"),
    ],
)
def test_by_hand_what_cannot_be_logged_is_said_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    for variable in ("HARNESS_WANDB_PROJECT", "HARNESS_MLFLOW_URI"):
        monkeypatch.delenv(variable, raising=False)
    done = subprocess.run(
        [sys.executable, "-m", "harness_tracking", *words],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=LONG,
        check=False,
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_what_a_service_said_last_is_in_the_error(
    run: Path, mlflow: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HARNESS_MLFLOW_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(HarnessError, match=r"not logged: mlflow: .*127\.0\.0\.1.*mlflow\.log"):
        log_run(run, [mlflow], patience=LONG)


def test_the_password_of_an_address_is_in_no_message(run: Path, mlflow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_MLFLOW_URI", "http://anna:hunter2@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(HarnessError, match=r"http://\*\*\*@127\.0\.0\.1"):
        log_run(run, [mlflow], patience=LONG)
    assert "hunter2" not in log_of(run)


def test_a_process_gives_up_when_its_time_is_over(run: Path, mlflow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    script = (
        "import sys; from harness_tracking import __main__ as tracking\n"
        "tracking.limit_time(1); sys.exit(tracking.main(sys.argv[1:]))"
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HARNESS_MLFLOW_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        done = subprocess.run(
            [sys.executable, "-c", script, str(run), mlflow],
            capture_output=True,
            text=True,
            timeout=LONG,
            start_new_session=True,
            check=False,
        )
    assert done.returncode < 0
    assert done.stderr.endswith("gave up after 1 seconds: the service does not answer\n")


def test_a_folder_that_takes_no_file_is_said_and_how_to_log_later(run: Path) -> None:
    (run / FOLDER).write_text("a file in its place")
    with pytest.raises(HarnessError, match="the results are not logged to mlflow: File exists") as raised:
        log_run(run, ["mlflow"])
    assert raised.value.remedy == f"once that is fixed: python -m harness_tracking {run}"


def test_an_earlier_process_that_still_logs_is_no_failure(run: Path, mlflow: str) -> None:
    (run / FOLDER).mkdir()
    (run / FOLDER / "mlflow.log").write_text("started 2030-01-01T00:00:00Z\n")
    with FileLock(run / FOLDER / "mlflow.lock"):
        check_ready(run, [mlflow])
    with pytest.raises(HarnessError, match="the last results of this run are not logged"):
        check_ready(run, [mlflow])


def test_results_are_read_once_the_process_before_has_ended(run: Path, mlflow: str, tmp_path: Path) -> None:
    (run / FOLDER).mkdir()
    with FileLock(run / FOLDER / "mlflow.lock"):
        log_run(run, [mlflow], patience=0)

        def mark(results: Any) -> None:
            results["usage"]["cost_usd"] = 12.5

        changed(run, mark, "results.json")
    wait_until(lambda: log_of(run).endswith("\nlogged\n"))
    (logged,) = read_mlflow(tmp_path / "store", "vlm-safety-harness")
    assert logged["metrics"]["usage/cost_usd"] == 12.5


def test_a_package_that_is_not_there_is_said_when_the_run_starts(run: Path) -> None:
    with pytest.raises(HarnessError, match="no_such_service is not installed") as raised:
        check_ready(run, ["no_such_service"])
    assert "pip install" in raised.value.remedy


def say(run: Path, text: str) -> None:
    """Put another text into the first answer of a run."""
    path = run / "played" / "responses.jsonl"
    first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps({**json.loads(first), "text": text}), *rest]) + "\n")


def log_of(run: Path) -> str:
    """What the process that logs to MLflow has written."""
    log = run / FOLDER / "mlflow.log"
    return log.read_text() if log.is_file() else ""


def wait_until(happened: Callable[[], bool]) -> None:
    """Wait for a process that goes on after the run that started it."""
    limit = time.monotonic() + LONG
    while not happened():
        assert time.monotonic() < limit
        time.sleep(0.05)


def read_wandb(path: Path) -> Iterator[Any]:
    """The records of an offline run: LevelDB's log format in blocks of 32 KiB, with wandb's own messages in it."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, place, pending = path.read_bytes(), 7, b""  # after the file's header
    while place + 7 <= len(content):
        if (1 << 15) - place % (1 << 15) < 7:  # too little for a header: the rest of a block is empty
            place += (1 << 15) - place % (1 << 15)
            continue
        size, kind = int.from_bytes(content[place + 4 : place + 6], "little"), content[place + 6]
        pending += content[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # a whole record, or its last part
            yield Record.FromString(pending)
            pending = b""


READER = """
import json, sys
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
client = MlflowClient(tracking_uri=sys.argv[1])
found = []
for run in client.search_runs([client.get_experiment_by_name(sys.argv[2]).experiment_id]):
    own = run.info.run_id
    files = {}
    for each in client.list_artifacts(own):
        with open(client.download_artifacts(own, each.path)) as file:
            files[each.path] = json.load(file)
    history = {name: len(client.get_metric_history(own, name)) for name in run.data.metrics}
    found.append({"status": run.info.status, "tags": run.data.tags, "params": run.data.params,
                  "metrics": run.data.metrics, "history": history, "files": files})
print(json.dumps(found))
"""


def read_mlflow(store: Path, experiment: str) -> list[Any]:
    """The runs of an experiment, read by MLflow's client in a process of its own, since it changes much in its own."""
    done = subprocess.run(
        [sys.executable, "-c", READER, str(store), experiment],
        capture_output=True,
        text=True,
        env={**os.environ, "MLFLOW_ALLOW_FILE_STORE": "true"},
        timeout=LONG,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return found
