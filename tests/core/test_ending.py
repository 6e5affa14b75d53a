"""A run ends whatever its plugins do: a thread, a task or an exit function left behind, and a loop that is held."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from harness.testing.installed import install
from tests.core.test_plugins_in_runs import BAD, faulty

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
    worked = "import anyio, asyncio; await anyio.to_thread.run_sync(len, ''); "
    begins = "globals()['one'] = asyncio.create_task(held()); await asyncio.sleep(0); "
    exits = "globals()['two'] = asyncio.create_task(exits()); await asyncio.sleep(1000)"
    process = start(faulty(generate=worked + begins + exits) + EXITS)
    _, err = process.communicate(timeout=LONGEST)
    assert process.returncode == 2, err
    assert "ended all the same" not in err


def test_a_task_that_a_plugin_began_and_that_exits_ends_the_run_and_is_told(start: Start) -> None:
    exits = "import asyncio; t = asyncio.create_task(exits()); await asyncio.sleep(60)"
    process = start(faulty(generate=exits) + "\nasync def exits():\n    raise SystemExit(0)\n")
    _, err = process.communicate(timeout=LONGEST)
    assert process.returncode == 2, err
    assert "asked it to exit in the middle of the run: SystemExit: 0" in err


@pytest.mark.parametrize("place", ["samples", "generate", "decide"])
def test_the_third_interrupt_ends_a_run_whose_loop_is_held_and_names_the_plugin(start: Start, place: str) -> None:
    process = start(faulty(**{place: "import sys, time; print('held', file=sys.stderr); time.sleep(1000)"}))
    assert process.stderr is not None
    for heard in ("held", "stopping: ", "ending now"):
        _until_said(heard, process.stderr)
        process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=LONGEST)
    assert process.returncode == 130
    assert "plugin bad (bad 1.0)" in err
    assert "did not let it end, at " in err
    assert "bad_module.py" in err


def _until_said(what: str, stream: IO[str]) -> None:
    """Read up to a line that begins so."""
    assert any(line.startswith(what) for line in stream), f"it never said {what!r}"
