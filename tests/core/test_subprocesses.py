"""A child process: what goes over its pipes, how its end is told, and that nothing of it is left."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import anyio.to_thread
import psutil
import pytest

from harness.errors import HarnessError
from harness.subprocesses import ChildProcess, PipeClosed, open_child, start_child

pytestmark = pytest.mark.anyio
ECHO = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"
PARENT = """
import subprocess, sys
left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session={session})
print(left.pid, flush=True)
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


async def read_pid(child: ChildProcess) -> psutil.Process:
    return psutil.Process(int(await child.receive_until(b"\n", 100)))


async def is_gone(process: psutil.Process) -> bool:
    return process in (await anyio.to_thread.run_sync(lambda: psutil.wait_procs([process], timeout=20)))[0]


async def test_messages_go_out_whole_and_in_order_however_many_are_waiting() -> None:
    async with open_child(python(ECHO)) as child:
        for number in range(100):
            child.send_json({"number": number, "text": "ü" * 10_000})
        found = [await child.receive_json(1 << 20) for _ in range(100)]
    assert found == [{"number": number, "text": "ü" * 10_000} for number in range(100)]


async def test_bytes_are_read_by_their_number_or_up_to_a_mark() -> None:
    async with open_child(python("print('noise, then MARK and more', end='')")) as child:
        assert await child.receive_until(b"MARK", 100) == b"noise, then "
        assert await child.receive_exactly(4) == b" and"
        with pytest.raises(PipeClosed):
            await child.receive_exactly(100)


@pytest.mark.parametrize("said", ["no json", "x" * 200])
async def test_a_line_that_is_no_json_or_has_no_end_is_the_end_of_the_conversation(said: str) -> None:
    async with open_child(python(f"print({said!r})")) as child:
        with pytest.raises(PipeClosed):
            await child.receive_json(100)


async def test_what_is_not_json_is_refused_where_it_is_sent() -> None:
    async with open_child(python(ECHO)) as child:
        with pytest.raises(TypeError):
            child.send_json({"a": object()})


@pytest.mark.parametrize(
    ("program", "how"),
    [
        ("raise SystemExit(3)", "ended with exit code 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "was killed by SIGTERM"),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            "was killed by SIGKILL, as the system does when memory runs out",
        ),
    ],
)
async def test_how_it_ended_is_told_in_words(program: str, how: str) -> None:
    async with open_child(python(program)) as child:
        with pytest.raises(PipeClosed):
            await child.receive_exactly(1)
        assert await child.wait_end() == how


async def test_its_last_lines_are_kept_without_control_characters_also_one_that_does_not_end() -> None:
    program = "import sys; sys.stderr.write('\\n'.join(map(str, range(100))) + '\\r\\n\\x1b[31mlast')"
    async with open_child(python(program)) as child:
        await child.wait_end()
        assert child.last_lines(3) == ["98", "99", "[31mlast"]


async def test_one_that_closes_its_pipe_and_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.subprocesses.GRACE", 0.2)
    async with open_child(python("import os, time; os.close(1); time.sleep(600)")) as child:
        with pytest.raises(PipeClosed):
            await child.receive_exactly(1)
        assert await child.wait_end() == "closed its pipe and did not end"


async def test_what_it_started_ends_with_it() -> None:
    async with open_child(python(PARENT.format(session=False))) as child:
        left = await read_pid(child)
        assert await child.wait_end() == "ended with exit code 0"
        assert await is_gone(left)


async def test_a_process_that_left_its_group_does_not_hold_the_pipe_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.subprocesses.GRACE", 0.2)
    async with open_child(python(PARENT.format(session=True))) as child:
        left = await read_pid(child)
        with pytest.raises(PipeClosed):
            await child.receive_exactly(1)
    left.kill()


@pytest.mark.parametrize("close_seconds", [0.0, 60.0])
async def test_it_is_gone_when_the_block_ends_and_may_have_been_given_time_to_end_by_itself(
    close_seconds: float, tmp_path: Path
) -> None:
    file = tmp_path / "closed"
    # without time it could still be faster than the signal, so one that never ends by itself takes its place
    end = f"open({str(file)!r}, 'w').close()" if close_seconds else "import time\nwhile True:\n    time.sleep(60)"
    program = f"import sys\nprint('ready', flush=True)\nsys.stdin.read()\n{end}"
    before = psutil.Process().children()  # of other tests in this process, such as a server that forks
    async with open_child(python(program), close_seconds=close_seconds) as child:
        await child.receive_until(b"\n", 100)
        [process] = [each for each in psutil.Process().children() if each not in before]
    assert not process.is_running()
    assert file.exists() == (close_seconds > 0)


async def test_it_is_gone_when_the_block_is_cancelled() -> None:
    started: list[psutil.Process] = []
    before = psutil.Process().children()
    with anyio.CancelScope() as scope:
        async with open_child(python(ECHO)) as child:
            child.send_json({})
            await child.receive_json(100)
            started += [each for each in psutil.Process().children() if each not in before]
            scope.cancel()
            await anyio.sleep_forever()
    assert [process.is_running() for process in started] == [False]


async def test_what_the_block_raises_comes_out_as_it_is() -> None:
    with pytest.raises(ValueError, match="of the block"):
        async with open_child(python(ECHO)):
            raise ValueError("of the block")


async def test_variables_are_added_to_those_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "a")
    program = "import json, os; print(json.dumps([os.environ['OURS'], os.environ['MORE']]))"
    async with open_child(python(program), variables={"MORE": "b"}) as child:
        assert await child.receive_json(100) == ["a", "b"]


async def test_it_leads_a_session_of_its_own() -> None:
    async with open_child(python("import os; print(os.getsid(0) == os.getpid())")) as child:
        assert await child.receive_until(b"\n", 100) == b"True"


async def test_a_program_that_cannot_be_started_is_an_error_with_a_remedy() -> None:
    with pytest.raises(HarnessError, match="/no/such/program does not start: No such file") as caught:
        await start_child(["/no/such/program"], remedy="give another")
    assert caught.value.remedy == "give another"
