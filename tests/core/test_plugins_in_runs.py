"""Whole runs, each a process of its own, with plugins installed that do something wrong."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.testing.installed import install

WORLD = """
from harness import hookimpl
from harness.testing.fakes import fake_judge, fake_provider, fake_task

@hookimpl
def harness_models():
    return [fake_provider(lambda request: "yes" if "May" in request.messages[-1].content[-1].text else "no")]

@hookimpl
def harness_tasks():
    return [fake_task({"a": "May I?", "b": "Must I?"})]

@hookimpl
def harness_judges():
    return [fake_judge()]
"""
OBSERVER = "from harness import hookimpl\n@hookimpl\ndef harness_response_added(run, sample, response):\n    "
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Runs `harness ARGUMENTS` where `world`, and the plugins named by keyword, are installed."""

    def run(*arguments: str, **plugins: str) -> subprocess.CompletedProcess[str]:
        site = tmp_path / f"site{len(list(tmp_path.glob('site*')))}"
        for name, source in {"world": WORLD, **plugins}.items():
            install(site, name, entries={name: f"{name}_module"}, modules={f"{name}_module": source})
        environment = {**os.environ, "PYTHONPATH": str(site)}
        for name in ("HARNESS_PLUGINS_ALLOW", "HARNESS_PLUGINS_BLOCK", "HARNESS_JUDGE"):
            environment.pop(name, None)
        program = [sys.executable, "-m", "harness", *arguments]
        return subprocess.run(
            program, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    return run


FAULTY = """
from contextlib import asynccontextmanager
from harness import Judge, ModelInfo, Provider, Report, Response, Strategy, Verdict, hookimpl
from harness.testing.fakes import fake_judge, fake_sample, fake_task

class Model:
    info = ModelInfo(ref="bad/x", endpoint="bad")
    async def generate(self, request):
        GENERATE
        return Response(text="no")

@asynccontextmanager
async def open_model(name, settings):
    OPEN
    yield Model()

def samples():
    for n in range(3):
        SAMPLES
        yield fake_sample(f"q{n}", text=f"question {n}")

def decide(sample, response):
    DECIDE
    return "safe"

@hookimpl
def harness_models():
    return [Provider(scheme="bad", description="", open=open_model)]

@hookimpl
def harness_tasks():
    return [fake_task(samples, name="bad", judges={"bad": {}})]

@hookimpl
def harness_judges():
    return [fake_judge(decide, name="bad")]
"""
BAD = ("run", "--model", "bad/x", "--tasks", "bad", "--no-probe", "--output", "out", "--json")


def faulty(**faults: str) -> str:
    """A plugin with a model, a task and a judge, that does something wrong in the places named."""
    source = FAULTY
    for place in ("GENERATE", "OPEN", "SAMPLES", "DECIDE"):
        source = source.replace(place, faults.get(place.lower(), "pass"))
    return source


RUN = ("run", "--model", "fake/any", "--tasks", "fake", "--no-probe", "--output", "out", "--json")


def labels(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """The verdicts of a run that went through."""
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["tasks"]["fake"]["splits"]["all"]["labels"]
    return {name: count for name, count in found.items() if count}


def test_a_run_records_each_plugin_with_distribution_and_version(command: Command, tmp_path: Path) -> None:
    done = command(*RUN)
    assert labels(done) == {"unsafe": 1, "safe": 1}
    assert json.loads(done.stdout)["plugins"]["world"] == "world 1.0"
    assert json.loads((tmp_path / "out" / "run.json").read_text("utf-8"))["plugins"]["world"] == "world 1.0"


def test_an_observer_that_raises_never_ends_a_run_and_its_traceback_is_in_the_log(
    command: Command, tmp_path: Path
) -> None:
    done = command(*RUN, broken=OBSERVER + "raise SystemExit('no more')")
    assert labels(done) == {"unsafe": 1, "safe": 1}
    assert done.stderr.count("plugin broken (broken 1.0): SystemExit: no more") == 1
    assert "broken_module.py" in (tmp_path / "out" / "log.txt").read_text("utf-8")


def test_observers_are_told_what_is_written_and_the_results_at_the_end(command: Command, tmp_path: Path) -> None:
    note = """
from pathlib import Path
from harness import hookimpl

def note(*what):
    with Path("seen.txt").open("a") as file:
        print(*what, file=file)

@hookimpl
def harness_run_started(run):
    note("started", run.model, *run.tasks)

@hookimpl
def harness_response_added(run, sample, response):
    written = (run.folder / "fake" / "responses.jsonl").read_text().count(f'"{response.text}"')
    note("response", sample.id, response.text, written)

@hookimpl
def harness_verdict_added(sample, verdict):
    note("verdict", sample.id, verdict.label)

@hookimpl
def harness_run_finished(results):
    note("finished", results["schema"], Path("out/results.json").exists())
"""
    command(*RUN, "--concurrency", "1", notes=note)
    assert (tmp_path / "seen.txt").read_text("utf-8").splitlines() == [
        "started fake/any fake:all",
        "response a yes 1",
        "verdict a unsafe",
        "response b no 1",
        "verdict b safe",
        "finished harness.results/1 True",
    ]


def test_an_observer_that_clears_the_results_clears_a_copy(command: Command, tmp_path: Path) -> None:
    clears = """
from harness import hookimpl

@hookimpl
def harness_run_finished(results):
    results["tasks"]["fake"].clear()
    results.clear()
"""
    seen = clears.replace("results.clear()", "open('seen.txt', 'a').write(results['schema'])").replace(".clear()", "")
    done = command(*RUN, aaa=clears, bbb=seen)
    assert labels(done) == {"unsafe": 1, "safe": 1}
    assert (tmp_path / "seen.txt").read_text("utf-8") == "harness.results/1"


@pytest.mark.slow
def test_a_slow_observer_does_not_hold_the_process(command: Command) -> None:
    done = command(*RUN, slow=OBSERVER + "import threading; threading.Event().wait(60)")
    assert labels(done) == {"unsafe": 1, "safe": 1}
    assert re.search(r"plugin slow \(slow 1\.0\): observers missed [12] events", done.stderr)


def test_a_plugin_that_prints_leaves_the_results_alone(command: Command) -> None:
    assert labels(command(*RUN, chatty="print('{')")) == {"unsafe": 1, "safe": 1}


PRINTS = "print('{'); import os; os.system('echo {'); os.write(1, b'{')"


@pytest.mark.parametrize("place", ["open", "samples", "generate", "decide"])
def test_what_a_plugin_its_libraries_or_its_children_print_in_a_run_goes_to_stderr(
    command: Command, place: str
) -> None:
    done = command(*BAD, bad=faulty(**{place: PRINTS}))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tasks"]["bad"]["splits"]["all"]["n"] == 3
    assert done.stderr.count("{") >= 3


def test_what_a_report_prints_goes_to_stderr(command: Command) -> None:
    render = """
from harness import Report, hookimpl

def render(results):
    print("noise")
    return "the report"

@hookimpl
def harness_reports():
    return [Report(name="noisy", description="", render=render)]
"""
    assert labels(command(*RUN, noisy=render))
    done = command("report", "out", "--format", "noisy", noisy=render)
    assert (done.returncode, done.stdout, done.stderr) == (0, "the report", "noise\n")


def test_help_is_still_printed_on_stdout(command: Command) -> None:
    assert "Usage: harness run" in command("run", "--help").stdout
    assert "Usage: harness data verify" in command("data", "verify", "--help").stdout


def test_a_task_of_a_failed_plugin_says_that_the_plugin_failed(command: Command) -> None:
    done = command("run", "--model", "fake/any", "--tasks", "lost", lost="import a_module_nobody_has")
    assert done.returncode == 2
    assert "no task is called 'lost': plugin lost (lost 1.0): ModuleNotFoundError" in done.stderr


def test_a_claim_on_a_built_in_task_disables_that_task_alone(command: Command) -> None:
    claim = "from harness.testing.fakes import fake_task\nfrom harness import hookimpl\n"
    claim += "@hookimpl\ndef harness_tasks():\n    return [fake_task(name='mis')]"
    done = command("run", "--model", "fake/any", "--tasks", "mis", claim=claim)
    assert done.returncode == 2
    assert "claim (claim 1.0) and mis (vlm-safety-harness" in done.stderr
    assert "HARNESS_PLUGINS_BLOCK=claim keeps mis's" in done.stderr
    assert "HARNESS_PLUGINS_BLOCK=mis keeps claim's" in done.stderr


def test_a_task_that_exits_while_it_lists_its_samples_ends_the_command_as_a_fault_of_its_plugin(
    command: Command,
) -> None:
    done = command(*BAD, bad=faulty(samples="import sys; sys.exit(0)"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "bad:all cannot be listed: its task raised SystemExit: 0 (plugin bad (bad 1.0))" in done.stderr


@pytest.mark.parametrize(
    ("place", "what", "field", "counts", "said"),
    [
        ("generate", "import sys; sys.exit(0)", "outcomes", {"error": 3}, "generate of provider 'bad': SystemExit: 0"),
        ("decide", "import sys; sys.exit(0)", "verdicts", {"judge_error": 3}, "read of judge 'bad': SystemExit: 0"),
        ("generate", "return Response(text=5)", "outcomes", {"error": 3},
         "generate of provider 'bad': it returned a Response whose text is 5"),
    ],
    ids=["a model that exits", "a judge that exits", "an answer whose text is not a text"],
)  # fmt: skip
def test_what_a_plugin_does_wrong_with_a_sample_fails_that_sample_and_the_run_goes_on(
    command: Command, tmp_path: Path, place: str, what: str, field: str, counts: dict[str, int], said: str
) -> None:
    done = command(*BAD, bad=faulty(**{place: what}))
    assert done.returncode == 3, done.stderr
    found = json.loads(done.stdout)["tasks"]["bad"]["splits"]["all"][field]
    assert {name: count for name, count in found.items() if count} == counts
    assert f"plugin bad (bad 1.0), {said} (3 times); its traceback is in out/log.txt" in done.stderr
    log = (tmp_path / "out" / "log.txt").read_text("utf-8")
    assert log.count("Traceback") == ("bad_module.py" in log) == ("exit" in what)


def test_a_provider_that_cannot_open_its_model_is_named_and_its_traceback_is_kept(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    done = command(*BAD, bad=faulty(open="raise ValueError('boom')"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: plugin bad (bad 1.0), open of provider 'bad': ValueError: boom" in done.stderr
    assert "this is a bug" not in done.stderr
    assert "bad_module.py" in (tmp_path / "state" / "harness" / "log.txt").read_text("utf-8")


def test_strict_plugins_make_a_failed_one_fatal(command: Command) -> None:
    done = command(*RUN, "--strict-plugins", broken="raise SystemExit")
    assert done.returncode == 2
    assert "a plugin failed, and --strict-plugins makes that an error" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("before", [True, False])
def test_a_flag_keeps_a_plugin_out_before_and_after_the_commands_name(command: Command, before: bool) -> None:
    flag = ("--plugins-block", "other, broken")
    done = (
        command(*flag, *RUN, broken="raise SystemExit") if before else command(*RUN, *flag, broken="raise SystemExit")
    )
    assert labels(done) == {"unsafe": 1, "safe": 1}
    assert "SystemExit" not in done.stderr
    assert "plugin other (not installed): an allow or block list names it" in done.stderr


def test_the_config_limits_what_loads(command: Command, tmp_path: Path) -> None:
    (tmp_path / "harness.yaml").write_text("plugins_block: [broken]\nstrict_plugins: true\n", "utf-8")
    assert labels(command(*RUN, broken="raise SystemExit")) == {"unsafe": 1, "safe": 1}


def test_a_flag_outranks_the_config(command: Command, tmp_path: Path) -> None:
    (tmp_path / "harness.yaml").write_text("plugins_allow: nobody\n", "utf-8")
    assert command(*RUN).returncode == 2
    assert labels(command(*RUN, "--plugins-allow", "world")) == {"unsafe": 1, "safe": 1}
    assert labels(command("--plugins-allow", "world", *RUN)) == {"unsafe": 1, "safe": 1}


@pytest.mark.slow
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_closed_standard_stream_is_no_bug(command: Command, tmp_path: Path, closed: str) -> None:
    assert labels(command(*RUN))
    words = " ".join([sys.executable, "-m", "harness", *RUN, closed])
    site = next(tmp_path.glob("site*"))
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        ["sh", "-c", words], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "bug" not in done.stderr
    wrong = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m harness run --tasks nothing {closed}"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert wrong.returncode == 2
