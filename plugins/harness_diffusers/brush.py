"""`diffusers/…` as a Brush: loads a pipeline and draws one image at a time, each with its own seeded generator."""

from __future__ import annotations

import contextlib
import gc
import inspect
import io
import math
import sys
import threading
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio.to_thread
import diffusers as _diffusers
import torch
import transformers as _transformers

from harness import Brush, Drawing, Drawn, Failure, HarnessError, Json, ModelInfo, Settings
from harness.extras import install_command
from harness.fingerprint import hash_file
from harness.local import PIPELINE_CONFIG, Origin, find
from harness.local.devices import choose_threads, find_device, free_cache, limit_threads

diffusers: Any = _diffusers  # untyped for a strict checker
transformers: Any = _transformers
_SEEDS: Final = 2**63  # bound of a torch generator's seed
_FOR_PEOPLE: Final = (".md", ".png", ".jpg", ".jpeg", ".webp", ".gif")


@dataclass(slots=True, kw_only=True)
class Pipeline:
    """A pipeline in memory.

    Attributes:
        pipe: the diffusers pipeline; None after `release`.
        parameters: parameter names of its call.
        device: its device.
        origin: where it came from.
        threads: CPU threads to draw with.
    """

    pipe: Any
    parameters: frozenset[str]
    device: torch.device
    origin: Origin
    threads: int

    @property
    def size_step(self) -> int:
        """Width and height must be a multiple of this: the autoencoder's scale times a transformer's patch size."""
        scale = int(getattr(self.pipe, "vae_scale_factor", 8))
        return math.lcm(8, scale * (2 if getattr(self.pipe, "transformer", None) is not None else 1))

    def release(self) -> None:
        """Free the memory."""
        self.pipe = None
        gc.collect()
        free_cache()


def load(name: str, settings: Settings) -> Pipeline:
    """Load `diffusers/NAME`.

    Raises:
        HarnessError: the model or device does not exist, or diffusers cannot open it as a text-to-image pipeline.
    """
    ref = f"diffusers/{name}"
    device = find_device(settings["device"])
    origin = find(
        name, settings["revision"], scheme="diffusers", config=PIPELINE_CONFIG, fingerprint=fingerprint_pipeline
    )
    try:
        pipe = diffusers.DiffusionPipeline.from_pretrained(
            origin.place,
            dtype=getattr(torch, settings["dtype"]),
            variant=settings["variant"],
            **({"revision": origin.commit} if origin.commit else {}),
        ).to(device)
    except ImportError as error:
        what = f"the pipeline needs a package: {error}"
        raise HarnessError(what, where=ref, remedy=install_command("build")) from error
    except torch.OutOfMemoryError as error:
        raise memory_error(device, ref) from error
    except Exception as error:
        lines = str(error).strip().splitlines()
        reason = f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
        raise HarnessError(
            f"diffusers cannot open this pipeline: {reason}",
            where=ref,
            remedy="see docs/providers/diffusers.md; a pipeline's own code is never run",
        ) from error
    pipe.set_progress_bar_config(disable=True)
    parameters = frozenset(inspect.signature(pipe.__call__).parameters)
    if "prompt" not in parameters:
        raise HarnessError("this pipeline takes no prompt", where=ref, remedy="name a text-to-image pipeline")
    given = {
        "steps": (settings["steps"], "num_inference_steps"),
        "guidance": (settings["guidance"], "guidance_scale"),
        "negative_prompt": (settings["negative_prompt"] or None, "negative_prompt"),
    }
    for setting, (value, parameter) in given.items():
        if value is not None and parameter not in parameters:
            raise HarnessError(
                f"this pipeline takes no {parameter}", where=ref, remedy=f"leave {setting} out of its settings"
            )
    modules = torch.nn.ModuleList(part for part in pipe.components.values() if isinstance(part, torch.nn.Module))
    threads = choose_threads(modules, settings["threads"])
    return Pipeline(pipe=pipe, parameters=parameters, device=device, origin=origin, threads=threads)


def fingerprint_pipeline(folder: Path) -> dict[str, Json]:
    """The fingerprint of a saved pipeline: hashes of its files by path, without those for people."""
    files = sorted(file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    return {
        file.as_posix(): hash_file(folder / file)
        for file in files
        if file.suffix.lower() not in _FOR_PEOPLE and not any(part.startswith(".") for part in file.parts)
    }


def memory_error(device: torch.device, ref: str) -> HarnessError:
    """The error of a device without memory for one image."""
    remedy = "use a smaller model, smaller images, or another device: device: cuda:1"
    return HarnessError(f"out of memory on {device}", where=ref, remedy=remedy)


@contextlib.contextmanager
def quiet_libraries() -> Generator[None]:
    """Silence hints of diffusers and transformers, and progress bars if stderr is no terminal."""
    with contextlib.ExitStack() as stack:
        for logging in (diffusers.utils.logging, transformers.utils.logging):
            stack.callback(logging.set_verbosity, logging.get_verbosity())
            logging.set_verbosity_error()
            if logging.is_progress_bar_enabled() and not sys.stderr.isatty():
                stack.callback(logging.enable_progress_bar)
                logging.disable_progress_bar()
        yield


class _Abandoned(Exception):
    """The drawing was cancelled."""


class DiffusersBrush:
    """A pipeline on this machine."""

    def __init__(self, name: str, pipeline: Pipeline, settings: Settings) -> None:
        self._pipeline = pipeline
        self._settings = settings
        self._turn = threading.Lock()
        self.info = ModelInfo(
            ref=f"diffusers/{name}",
            resolved=pipeline.origin.commit,
            # not the device's endpoint: one drawing at a time must not limit a model there to one answer
            endpoint=f"local:{pipeline.device}:diffusers",
            max_images=0,
            local=True,
            concurrency=1,
            fingerprint=pipeline.origin.fingerprint,
            can=frozenset({"draw"}),
        )

    async def draw(self, drawing: Drawing) -> Drawn | Failure:
        """Draw one image. Raises HarnessError if the device lacks memory for it."""
        cancelled = threading.Event()
        try:
            return await anyio.to_thread.run_sync(self._draw, drawing, cancelled, abandon_on_cancel=True)
        finally:
            cancelled.set()

    def close(self) -> None:
        """Wait for a cancelled drawing, then free the memory."""
        with self._turn:
            self._pipeline.release()

    def _draw(self, drawing: Drawing, cancelled: threading.Event) -> Drawn | Failure:
        def end_step(_pipe: Any, _step: int, _time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            """Called by diffusers between two steps."""
            if cancelled.is_set():
                raise _Abandoned
            return tensors

        with self._turn, limit_threads(self._pipeline.threads):
            started = time.perf_counter()
            pipeline, settings, step = self._pipeline, self._settings, self._pipeline.size_step
            arguments: dict[str, Any] = {
                "prompt": drawing.prompt,
                "negative_prompt": settings["negative_prompt"] or None,
                "num_inference_steps": settings["steps"],
                "guidance_scale": settings["guidance"],
                "width": round_to_step(drawing.width, step),
                "height": round_to_step(drawing.height, step),
                # on the CPU, so that a seed gives the same noise on every device
                "generator": torch.Generator("cpu").manual_seed(drawing.seed % _SEEDS),
                "output_type": "pil",
                "callback_on_step_end": end_step,
            }
            taken = {name: value for name, value in arguments.items() if name in pipeline.parameters}
            try:
                result = pipeline.pipe(**{name: value for name, value in taken.items() if value is not None})
            except _Abandoned:
                return Failure(outcome="error", reason="abandoned")
            except torch.OutOfMemoryError as error:
                raise memory_error(pipeline.device, self.info.ref) from error
            except Exception as error:  # noqa: BLE001 - a pipeline may raise anything at a prompt
                return Failure(outcome="error", reason=type(error).__name__, message=str(error)[:300])
            if any(getattr(result, "nsfw_content_detected", None) or ()):
                message = "the pipeline's safety checker found the image unsafe"
                return Failure(outcome="output_blocked", reason="safety_checker", message=message)
            images = getattr(result, "images", None)
            if not images:
                message = f"the pipeline returned a {type(result).__name__}"
                return Failure(outcome="error", reason="no_image", message=message)
            seconds = time.perf_counter() - started
            file = io.BytesIO()
            images[0].convert("RGB").save(file, "PNG")
            return Drawn(data=file.getvalue(), seconds=seconds)


def round_to_step(length: int, step: int) -> int:
    """The nearest multiple of a step to a length; at least one step."""
    return max(step, round(length / step) * step)


@asynccontextmanager
async def open_brush(name: str, settings: Settings) -> AsyncGenerator[Brush]:
    """Load `diffusers/NAME` to draw with; frees its memory at the end. Raises HarnessError."""
    with quiet_libraries():
        brush = DiffusersBrush(name, await anyio.to_thread.run_sync(load, name, settings), settings)
        try:
            yield brush
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(brush.close)
