"""From what a command does to the exit code, stdout and stderr; and the process ends whatever its plugins do."""

import asyncio
import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import click
import pytest

from harness import HarnessError, UnknownName, hookimpl
from harness.cli import main
from harness.cli.ending import end_workers, find_version
from harness.cli.options import load_host
from harness.plugins import Host
from harness.testing.fakes import FakePlugin, source_of
from harness.testing.installed import install
from tests.acceptance.commands import Ended
from tests.core.test_plugins_in_runs import BAD, faulty


class Failing(FakePlugin):
    """Adds the command `fail`, which raises or returns what it is given."""

    def __init__(self, does: object) -> None:
        super().__init__()
        self.does = does

    @hookimpl
    def harness_commands(self, cli: click.Group) -> None:
        @cli.command("fail")
        @click.option("--colour")
        def fail(colour: str | None) -> object:
            if isinstance(self.does, BaseException):
                raise self.does
            return self.does


def core_command(raised: BaseException) -> click.Command:
    """A command of the core with a bug."""

    def call(colour: str | None) -> None:
        load_host()
        raise raised

    return click.Command("doctor", callback=call, params=[click.Option(["--colour"])])


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """Runs `harness ARGUMENTS`; the plugin's command `fail`, and the core's `doctor`, do what `does` says."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("HARNESS_DEBUG", raising=False)

    def run(*arguments: str, does: object = None) -> Ended:
        monkeypatch.setattr(Host, "load", lambda *_args, **_kw: Host([source_of(Failing(does))]))
        if isinstance(does, BaseException):
            monkeypatch.setattr("harness.cli.doctor.command", core_command(does))
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert isinstance(caught.value.code, int)
        return Ended(caught.value.code, *capsys.readouterr())

    return run


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (3, 3), (4, 4), ("text", 0), (True, 0)])
def test_a_command_returns_its_exit_code(ran, returned: object, code: int) -> None:
    assert ran("fail", does=returned).code == code


def test_what_the_user_can_mend_is_told_without_a_traceback(ran) -> None:
    found = ran("fail", does=HarnessError("the sky is \x1b[31mgreen", where="sky.json", remedy="look again"))
    assert (found.code, found.out) == (2, "")
    assert found.err == "error: the sky is [31mgreen (sky.json)\n  look again\n"


def test_debug_shows_the_traceback_too(ran, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_DEBUG", "1")
    found = ran("fail", does=HarnessError("the sky is green"))
    assert found.code == 2
    assert "Traceback" in found.err


def test_an_error_in_a_task_group_is_told_as_itself(ran) -> None:
    group = BaseExceptionGroup("", [ExceptionGroup("", [UnknownName("no task is called 'x'")])])
    assert ran("fail", does=group).err == "error: no task is called 'x'\n"


def test_in_a_group_a_bug_weighs_more_than_what_the_user_can_mend(ran) -> None:
    found = ran("doctor", does=ExceptionGroup("", [HarnessError("x"), ValueError("y")]))
    assert found.code == 1
    assert "ValueError: y" in found.err


@pytest.mark.parametrize(
    "raised", [KeyboardInterrupt(), click.Abort(), BaseExceptionGroup("", [ValueError(), KeyboardInterrupt()])]
)
def test_an_interrupt_exits_130(ran, raised: BaseException) -> None:
    assert ran("fail", does=raised).code == 130


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_a_full_or_forbidden_disk_is_not_a_bug(ran, code: int) -> None:
    found = ran("fail", does=OSError(code, "it is full", "/there"))
    remedy = "  free some space and run it again\n" if code == errno.ENOSPC else ""
    assert (found.code, found.err) == (2, f"error: it is full: /there\n{remedy}")


def test_a_reader_that_has_seen_enough_is_no_error(ran) -> None:
    found = ran("fail", does=BrokenPipeError())
    assert (found.code, found.err) == (0, "")


@pytest.mark.parametrize("bug", [ZeroDivisionError("by zero"), EOFError("torn"), AssertionError("never")])
def test_a_bug_leaves_a_report_that_is_named(ran, tmp_path: Path, bug: Exception) -> None:
    found = ran("doctor", "--colour", "red", does=bug)
    assert found.code == 1
    (report,) = tmp_path.rglob("bug-*.txt")
    assert str(report) in found.err
    assert "Traceback" not in found.err
    text = report.read_text("utf-8")
    assert "command: harness doctor --colour red" in text
    assert f"{type(bug).__name__}: {bug}" in text
    assert "plugins: fakes (fakes 1.0)" in text


def test_what_a_plugins_command_raises_is_told_as_the_plugins_with_its_traceback_in_a_log(ran, tmp_path: Path) -> None:
    found = ran("fail", does=ZeroDivisionError("by zero"))
    (log,) = tmp_path.rglob("log.txt")
    assert (found.code, found.out) == (2, "")
    assert found.err.startswith("error: plugin fakes (fakes 1.0), command 'fail': ZeroDivisionError: by zero\n")
    assert f"its traceback is in {log}" in found.err
    assert "this is a bug" not in found.err
    assert "Traceback" in log.read_text("utf-8")


@pytest.mark.parametrize("does", [SystemExit(0), SystemExit(1), SystemExit("no more"), GeneratorExit()])
def test_a_plugins_command_that_exits_by_itself_is_told_as_the_plugins(ran, does: BaseException) -> None:
    found = ran("fail", does=does)
    assert found.code == 2
    said = f"{type(does).__name__}: {does}".removesuffix(": ")
    assert found.err.startswith(f"error: plugin fakes (fakes 1.0), command 'fail': {said}\n")


def test_the_log_of_a_plugins_traceback_never_holds_a_key(ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "not-for-your-eyes")
    ran("fail", does=ValueError("asked with not-for-your-eyes"))
    (log,) = tmp_path.rglob("log.txt")
    assert "not-for-your-eyes" not in log.read_text("utf-8")


def test_a_report_never_holds_a_key(ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "not-for-your-eyes")
    ran("doctor", does=ValueError("asked with not-for-your-eyes"))
    (report,) = tmp_path.rglob("bug-*.txt")
    assert "asked with [SOME_API_KEY]" in report.read_text("utf-8")


def test_a_report_that_cannot_be_written_is_no_second_bug(ran, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null")
    found = ran("doctor", does=ZeroDivisionError())
    assert found.code == 1
    assert "no report could be written" in found.err


def test_the_version_needs_no_plugin(ran) -> None:
    found = ran("--version")
    assert (found.code, found.out) == (0, f"harness {find_version()}\n")


def test_help_lists_core_commands_and_those_of_plugins(ran) -> None:
    found = ran("--help")
    assert found.code == 0
    assert "Commands of plugins:\n  fail" in found.out
    assert re.search(r"^  tasks +List the tasks", found.out, re.MULTILINE)


@pytest.mark.parametrize("arguments", [("fial",), ("tasks", "lits"), ("fail", "--color", "red")])
def test_a_misspelling_exits_2_with_the_nearest_name(ran, arguments: tuple[str, ...]) -> None:
    found = ran(*arguments)
    assert (found.code, found.out) == (2, "")
    assert any(nearest in found.err for nearest in ("'fail'", "'list'", "--colour"))


def test_main_works_inside_a_running_event_loop(ran) -> None:
    async def inside() -> int:
        return ran("--version").code

    assert anyio.run(inside) == 0


LONGEST = 60.0  #: seconds after which a process that should have ended never will
Start = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the run of a plugin that does something wrong, in a process of its own."""
    processes: list[subprocess.Popen[str]] = []

    def run(source: str) -> subprocess.Popen[str]:
        site = install(tmp_path / "site", "bad", entries={"bad": "bad_module"}, modules={"bad_module": source})
        process = subprocess.Popen(
            [sys.executable, "-m", "harness", *BAD],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(site)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


LEFT = {
    "a thread": "import threading; threading.Thread(target=threading.Event().wait, name='left').start()",
    "a call in a thread of the loop": (
        "import asyncio, threading; asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)"
    ),
    "an exit function": "import atexit, threading; atexit.register(threading.Event().wait)",
    "a task that does not end": "import asyncio; globals()['left'] = asyncio.create_task(endless())",
}
ENDLESS = """
async def endless():
    import asyncio
    while True:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            pass
"""


@pytest.mark.slow
@pytest.mark.parametrize("what", LEFT)
def test_the_process_ends_with_the_results_though_a_plugin_leaves_something_behind(start: Start, what: str) -> None:
    process = start(faulty(generate=LEFT[what]) + ENDLESS)
    out, err = process.communicate(timeout=LONGEST)
    assert process.returncode == 0, err
    assert json.loads(out)["tasks"]["bad"]["splits"]["all"]["n"] == 3
    assert "Traceback" not in err


EXITS = """
async def held():
    import asyncio
    try:
        await asyncio.sleep(1000)
    except asyncio.CancelledError:
        raise SystemExit(0)

async def exits():
    raise SystemExit(0)
"""


def test_threads_that_wait_for_work_hold_no_end_and_are_nobodys_fault(start: Start) -> None:
    patient = f"import harness.cli.ending; harness.cli.ending.LINGER_SECONDS = {LONGEST / 2}; "  # a busy machine
    worked = patient + "import anyio, asyncio; await anyio.to_thread.run_sync(len, ''); "
    begins = "globals()['one'] = asyncio.create_task(held()); await asyncio.sleep(0); "
    exits = "globals()['two'] = asyncio.create_task(exits()); await asyncio.sleep(1000)"
    process = start(faulty(generate=worked + begins + exits) + EXITS)
    _, err = process.communicate(timeout=LONGEST)
    assert process.returncode == 2, err
    assert "ended anyway" not in err


def test_a_thread_whose_call_returns_after_its_loop_has_gone_ends() -> None:
    begun, returns, threads = threading.Event(), threading.Event(), []

    def call() -> None:
        threads.append(threading.current_thread())
        begun.set()
        returns.wait()

    async def work() -> None:
        await anyio.to_thread.run_sync(call)

    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        task = loop.create_task(work())
        while not threads:
            loop.run_until_complete(asyncio.sleep(0))
            begun.wait(0.01)
        end_workers()  # the loop does not run, and the thread is busy
        returns.set()
        threads[0].join(LONGEST)
        assert not threads[0].is_alive()
        loop.run_until_complete(task)


def test_a_task_that_a_plugin_began_and_that_exits_ends_the_run_and_is_told(start: Start) -> None:
    exits = "import asyncio; t = asyncio.create_task(exits()); await asyncio.sleep(60)"
    process = start(faulty(generate=exits) + "\nasync def exits():\n    raise SystemExit(0)\n")
    _, err = process.communicate(timeout=LONGEST)
    assert process.returncode == 2, err
    assert "asked this process to exit during the run: SystemExit: 0" in err


@pytest.mark.parametrize("place", ["samples", "generate", "decide"])
def test_the_third_interrupt_ends_a_run_whose_loop_is_held_and_names_the_plugin(start: Start, place: str) -> None:
    process = start(faulty(**{place: "import sys, time; print('held', file=sys.stderr); time.sleep(1000)"}))
    assert process.stderr is not None
    for heard in ("held", "stopping: ", "ending now"):
        assert any(line.startswith(heard) for line in process.stderr), f"it never said {heard!r}"
        process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=LONGEST)
    assert process.returncode == 130
    assert "plugin bad (bad 1.0)" in err
    assert "did not let it end, at " in err
    assert "bad_module.py" in err
