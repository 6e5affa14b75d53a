"""The painter `diffusers`: real pipelines, tiny and random, saved to folders and opened from there."""

from __future__ import annotations

import gc
import io
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import PIL.Image
import pytest
from harness_diffusers.painter import PAINTER

from harness import Brush, Drawing, Drawn, Failure, HarnessError
from harness.settings import effective
from harness.testing.conformance import check_painter

pytestmark = pytest.mark.anyio
STAR = Drawing(prompt="a red star", seed=3, width=64, height=64)
HERE = {"device": "cpu", "dtype": "float32", "steps": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a Stable Diffusion with random weights."""
    from tests.plugins.tiny_pipelines import save_stable_diffusion

    return save_stable_diffusion(tmp_path_factory.mktemp("pipelines") / "sd")


@asynccontextmanager
async def opened(folder: Path, **settings: Any) -> AsyncIterator[Brush]:
    gc.freeze()  # a pipeline that closes collects garbage: among all objects of torch that takes a third of a second
    values = effective(PAINTER.settings, {**HERE, **settings}, owner="painter diffusers")
    async with PAINTER.open(str(folder), values) as brush:
        yield brush


async def drawn_in_turn(folder: Path, *drawings: Drawing, **settings: Any) -> list[bytes]:
    """The images of one opening."""
    async with opened(folder, **settings) as brush:
        found = [await brush.draw(drawing) for drawing in drawings]
    assert all(isinstance(each, Drawn) for each in found), found
    return [each.data for each in found if isinstance(each, Drawn)]


async def drawn(folder: Path, drawing: Drawing = STAR, **settings: Any) -> bytes:
    (data,) = await drawn_in_turn(folder, drawing, **settings)
    return data


async def test_one_prompt_and_seed_give_one_image_and_another_of_either_gives_another(folder: Path) -> None:
    drawings = (STAR, replace(STAR, seed=4), replace(STAR, prompt="a blue ring"))
    first, *others = await drawn_in_turn(folder, *drawings)
    assert await drawn(folder) == first
    assert first not in others


async def test_an_image_does_not_depend_on_what_was_drawn_before_or_meanwhile(folder: Path) -> None:
    alone = [await drawn(folder, replace(STAR, seed=seed)) for seed in (1, 2)]
    found: dict[int, Drawn | Failure] = {}
    async with opened(folder) as brush, anyio.create_task_group() as group:

        async def draw(seed: int) -> None:
            found[seed] = await brush.draw(replace(STAR, seed=seed))

        for seed in (2, 1):
            group.start_soon(draw, seed)
    assert [getattr(found[seed], "data", None) for seed in (1, 2)] == alone


async def test_each_setting_of_a_drawing_is_heard(folder: Path) -> None:
    given: list[dict[str, Any]] = [{}, {"steps": 3}, {"guidance": 2.0}, {"negative_prompt": "a blue ring"}]
    assert len({await drawn(folder, **settings) for settings in given}) == len(given)


async def test_any_whole_number_is_a_seed(folder: Path) -> None:
    assert len(await drawn_in_turn(folder, *(replace(STAR, seed=seed) for seed in (-1, 0, 2**70)))) == 3


async def test_a_size_becomes_the_nearest_that_the_pipeline_draws(folder: Path) -> None:
    image = PIL.Image.open(io.BytesIO(await drawn(folder, replace(STAR, width=70, height=61))))
    assert (image.format, image.size) == ("PNG", (72, 64))


async def test_stable_diffusion_3_draws(tmp_path: Path) -> None:
    from tests.plugins.tiny_pipelines import save_stable_diffusion_3

    folder = save_stable_diffusion_3(tmp_path / "sd3")
    assert await drawn(folder) == await drawn(folder)


async def test_what_a_safety_checker_finds_is_blocked_and_never_shown(tmp_path: Path) -> None:
    from tests.plugins.tiny_pipelines import save_stable_diffusion

    async with opened(save_stable_diffusion(tmp_path / "strict", strict=True)) as brush:
        found = await brush.draw(STAR)
    assert isinstance(found, Failure)
    assert (found.outcome, found.reason, found.text) == ("output_blocked", "safety_checker", "")


async def test_what_a_safety_checker_lets_pass_is_drawn(tmp_path: Path) -> None:
    from tests.plugins.tiny_pipelines import save_stable_diffusion

    assert await drawn(save_stable_diffusion(tmp_path / "lax", strict=False))


async def test_a_pipeline_is_known_by_its_files_wherever_it_lies(folder: Path, tmp_path: Path) -> None:
    import shutil

    moved = Path(shutil.copytree(folder, tmp_path / "moved"))
    (moved / "README.md").write_text("for people", "utf-8")
    async with opened(folder) as one, opened(moved) as other:
        assert one.info.fingerprint == other.info.fingerprint
        assert {"model_index.json", "scheduler/scheduler_config.json"} <= one.info.fingerprint.keys()
    scheduler = moved / "scheduler" / "scheduler_config.json"
    scheduler.write_text(scheduler.read_text("utf-8").replace("0.012", "0.013").replace("0.02", "0.03"), "utf-8")
    async with opened(folder) as one, opened(moved) as other:
        assert one.info.fingerprint != other.info.fingerprint


async def test_a_drawing_that_nobody_waits_for_ends_between_two_steps(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import diffusers

    steps, begun, step = [0], anyio.Event(), diffusers.DDIMScheduler.step

    def counted(*args: Any, **kwargs: Any) -> Any:
        steps[0] += 1
        anyio.from_thread.run_sync(begun.set)
        return step(*args, **kwargs)

    monkeypatch.setattr(diffusers.DDIMScheduler, "step", counted)
    async with opened(folder, steps=1000) as brush, anyio.create_task_group() as group:
        group.start_soon(brush.draw, STAR)
        await begun.wait()
        group.cancel_scope.cancel()
    assert 0 < steps[0] < 1000


def without_index(folder: Path) -> Path:
    folder.mkdir()
    return folder


def wordless(folder: Path) -> Path:
    from tests.plugins.tiny_pipelines import save_wordless

    return save_wordless(folder)


def torn(folder: Path) -> Path:
    without_index(folder)
    (folder / "model_index.json").write_text("{", "utf-8")
    return folder


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda folder: folder, "no such model folder"),
        (without_index, "holds no model_index.json"),
        (torn, "cannot open this pipeline"),
        (wordless, "takes no prompt"),
    ],
)
async def test_what_is_no_pipeline_is_refused_in_words(tmp_path: Path, make: Callable[[Path], Path], told: str) -> None:
    with pytest.raises(HarnessError, match=told):
        async with opened(make(tmp_path / "pipeline")):
            pass


async def test_a_device_that_is_not_there_is_refused(folder: Path) -> None:
    with pytest.raises(HarnessError, match="no device"):
        async with opened(folder, device="cuda:99"):
            pass


async def test_a_setting_that_the_pipeline_would_not_hear_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import diffusers

    def call(self: Any, prompt: str = "", num_inference_steps: int = 2) -> None: ...

    monkeypatch.setattr(diffusers.StableDiffusionPipeline, "__call__", call)
    with pytest.raises(HarnessError, match="takes no guidance_scale"):
        async with opened(folder, guidance=3.0):
            pass


async def test_no_memory_for_one_image_ends_the_build(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import diffusers
    import torch

    def call(self: Any, prompt: str = "", num_inference_steps: int = 2) -> None:
        raise torch.OutOfMemoryError("no")

    monkeypatch.setattr(diffusers.StableDiffusionPipeline, "__call__", call)
    async with opened(folder) as brush:
        with pytest.raises(HarnessError, match="out of memory on cpu"):
            await brush.draw(STAR)


def test_the_painter_keeps_its_contract(folder: Path) -> None:
    check_painter(PAINTER, str(folder), settings=HERE)


def test_offering_the_painter_imports_neither_torch_nor_diffusers() -> None:
    code = "import sys, harness_diffusers as h; h.harness_painters(); print({'torch','diffusers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


async def test_without_the_extra_the_command_that_installs_it_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "harness_diffusers.brush", None)
    with pytest.raises(HarnessError, match="extra `build`") as caught:
        async with opened(folder):
            pass
    assert caught.value.remedy == "pip install 'vlm-safety-harness[build]'"
