"""`diffusers/…` as a Brush: one image at a time, each from a generator seeded for it alone."""

from __future__ import annotations

import io
import math
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
import torch

from harness import Brush, Drawing, Drawn, Failure, ModelInfo, Settings
from harness.local.devices import threads
from harness_diffusers.loading import Loaded, load, no_memory, quiet

_SEEDS = 2**63  # what a generator of torch takes


class _Abandoned(Exception):
    """Nobody waits for the image any more."""


class DiffusersBrush:
    """A pipeline on this machine."""

    def __init__(self, name: str, loaded: Loaded, settings: Settings) -> None:
        self._loaded = loaded
        self._settings = settings
        self._turn = threading.Lock()
        self.info = ModelInfo(
            ref=f"diffusers/{name}",
            resolved=loaded.origin.commit,
            # not the device's own endpoint: one drawing at a time must not mean one answer at a time of a model there
            endpoint=f"local:{loaded.device}:diffusers",
            max_images=0,
            local=True,
            concurrency=1,
            fingerprint=loaded.origin.fingerprint,
            can=frozenset({"draw"}),
        )

    async def draw(self, drawing: Drawing) -> Drawn | Failure:
        """Draw one image. Raises HarnessError where the device has no memory for one."""
        gone = threading.Event()
        try:
            return await anyio.to_thread.run_sync(self._draw, drawing, gone, abandon_on_cancel=True)
        finally:
            gone.set()

    def close(self) -> None:
        """Wait for a drawing that was abandoned, and give the memory back."""
        with self._turn:
            self._loaded.release()

    def _draw(self, drawing: Drawing, gone: threading.Event) -> Drawn | Failure:
        with self._turn, threads(self._loaded.threads):
            started = time.perf_counter()
            try:
                result = self._loaded.pipe(**self._asked(drawing, gone))
            except _Abandoned:
                return Failure(outcome="error", reason="abandoned")
            except torch.OutOfMemoryError as error:
                raise no_memory(self._loaded.device, self.info.ref) from error
            except Exception as error:  # noqa: BLE001 - a pipeline may raise anything at a prompt
                return Failure(outcome="error", reason=type(error).__name__, message=str(error)[:300])
            return _drawn(result, time.perf_counter() - started)

    def _asked(self, drawing: Drawing, gone: threading.Event) -> dict[str, Any]:
        """The arguments of the pipeline's call: those it takes, and only those that are set."""
        step = self._step()
        settings = self._settings
        wanted = {
            "prompt": drawing.prompt,
            "negative_prompt": settings["negative_prompt"] or None,
            "num_inference_steps": settings["steps"],
            "guidance_scale": settings["guidance"],
            "width": nearest(drawing.width, step),
            "height": nearest(drawing.height, step),
            # on the CPU, so that one seed begins with the same noise on every device
            "generator": torch.Generator("cpu").manual_seed(drawing.seed % _SEEDS),
            "output_type": "pil",
            "callback_on_step_end": _unless(gone),
        }
        return {name: value for name, value in wanted.items() if value is not None and name in self._loaded.takes}

    def _step(self) -> int:
        """What width and height must be a multiple of: the autoencoder's scale, and the patches of a transformer."""
        scale = int(getattr(self._loaded.pipe, "vae_scale_factor", 8))
        return math.lcm(8, scale * (2 if getattr(self._loaded.pipe, "transformer", None) is not None else 1))


def nearest(length: int, step: int) -> int:
    """The multiple of a step that is nearest to a length; at least one step."""
    return max(step, round(length / step) * step)


def _unless(gone: threading.Event) -> Any:
    """A callback of diffusers that ends the drawing between two steps."""

    def step_ended(_pipe: Any, _step: int, _time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if gone.is_set():
            raise _Abandoned
        return tensors

    return step_ended


def _drawn(result: Any, seconds: float) -> Drawn | Failure:
    if any(getattr(result, "nsfw_content_detected", None) or ()):
        told = "the pipeline's safety checker found the image unsafe"
        return Failure(outcome="output_blocked", reason="safety_checker", message=told)
    images = getattr(result, "images", None)
    if not images:
        return Failure(outcome="error", reason="no_image", message=f"the pipeline gave a {type(result).__name__}")
    file = io.BytesIO()
    images[0].convert("RGB").save(file, "PNG")
    return Drawn(data=file.getvalue(), seconds=seconds)


@asynccontextmanager
async def open_brush(name: str, settings: Settings) -> AsyncGenerator[Brush]:
    """Load `diffusers/NAME` and draw with it; its memory is given back at the end. Raises HarnessError."""
    with quiet():
        brush = DiffusersBrush(name, await anyio.to_thread.run_sync(load, name, settings), settings)
        try:
            yield brush
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(brush.close)
