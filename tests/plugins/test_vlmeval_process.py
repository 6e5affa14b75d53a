"""VLMEvalKit's process: it dies, is started again, and is gone at the end."""

import os
import signal
import sys
import tempfile
from pathlib import Path

import anyio
import psutil
import pytest
from harness_vlmeval.model import ImageFolder
from harness_vlmeval.process import Refused, start_kit

from harness import HarnessError
from tests.plugins.vlmeval_asking import ONE, TWO, answer, failure, opened, zoo

__all__ = ["zoo"]
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("zoo")]


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


KNOWN: list[psutil.Process] = []


@pytest.fixture(autouse=True)
def known() -> None:
    """Children that other tests in this process left, such as a server that forks."""
    KNOWN[:] = psutil.Process().children(recursive=True)


def children() -> list[psutil.Process]:
    return [each for each in psutil.Process().children(recursive=True) if each not in KNOWN]


async def test_a_death_is_worth_one_more_try_of_the_same_question_and_then_its_own_fault() -> None:
    async with opened("Local-7B") as model:
        first, second = await failure(model, "crash"), await failure(model, "crash")
        assert (await answer(model, "main")).text == "True"
        assert model.info.notes[-1].endswith("2 of 3 times")
    assert (first.reason, first.transient, second.transient) == ("process_died", True, False)


async def test_a_death_shows_the_last_words_without_keys() -> None:
    async with opened("Local-7B") as model:
        said = await failure(model, "crash")
    assert "SIGKILL" in said.message
    assert "CUDA error" in said.message
    assert "verysecret" not in said.message


async def test_a_process_that_dies_too_often_ends_the_run_with_its_last_words() -> None:
    async with opened("Local-7B", restarts=1) as model:
        await failure(model, "crash")
        await failure(model, "crash")
        with pytest.raises(HarnessError, match=r"started again 1 times(?s:.*)CUDA error"):
            await failure(model, "hi")


async def test_questions_under_way_are_answered_after_the_process_was_started_again(tmp_path: Path) -> None:
    async with opened("Once-1", args={"mark": str(tmp_path / "mark")}) as model:
        assert (await failure(model, "first")).transient
        assert (await answer(model, "first")).text == "alive"


async def test_nothing_is_left_when_it_closes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # other tests at the same time have folders there as well
    async with opened("Local-7B") as model:
        await answer(model, "main", ONE)
        (child,) = children()
        made = files(tmp_path)
    assert not child.is_running()
    assert [each.name.rpartition("-")[0] for each in made] == ["harness-vlmeval"]
    assert files(tmp_path) == []


async def test_a_question_that_is_given_up_does_not_hold_the_end() -> None:
    async with opened("Local-7B") as model:
        with anyio.move_on_after(0.5) as scope:
            await answer(model, "sleep")
        (child,) = children()
    assert scope.cancelled_caught
    assert not child.is_running()


async def test_a_process_whose_parent_is_gone_ends_itself(tmp_path: Path) -> None:
    script = (
        "import anyio, sys\n"
        "from tests.plugins.vlmeval_asking import opened\n"
        "async def main():\n"
        "    async with opened('Local-7B'):\n"
        "        print('open', flush=True)\n"
        "        await anyio.sleep_forever()\n"
        "anyio.run(main)\n"
    )
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join((os.environ["PYTHONPATH"], root))
    environment = {**os.environ, "PYTHONPATH": path, "TMPDIR": str(tmp_path)}
    async with await anyio.open_process([sys.executable, "-c", script], env=environment) as parent:
        assert parent.stdout is not None
        await parent.stdout.receive()
        (child,) = psutil.Process(parent.pid).children()
        parent.send_signal(signal.SIGKILL)
        await parent.wait()
    await anyio.to_thread.run_sync(lambda: psutil.wait_procs([child], timeout=20))
    assert not child.is_running()


async def test_an_operation_that_is_not_known_is_refused_and_the_list_is_whole(tmp_path: Path) -> None:
    async with anyio.create_task_group() as tasks:
        child = await start_kit(tasks, sys.executable, data=tmp_path)
        assert (await child.ask("hello"))["protocol"] == 1
        assert "Local-7B" in (await child.ask("list"))["names"]
        with pytest.raises(Refused) as caught:
            await child.ask("dance")
        with pytest.raises(Refused) as early:
            await child.ask("generate", message=[], settings={})
        await child.close()
        tasks.cancel_scope.cancel()
    assert (caught.value.kind, early.value.kind) == ("unknown_op", "not_open")


async def test_equal_images_share_a_file_that_goes_with_its_last_user(tmp_path: Path) -> None:
    images = ImageFolder(tmp_path)
    async with images.place([ONE, TWO]) as first:
        async with images.place([ONE]) as second:
            assert second == first[:1]
        assert [path.read_bytes() for path in map(Path, first)] == [ONE.opened.data, TWO.opened.data]
    assert files(tmp_path) == []
