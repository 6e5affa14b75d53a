"""Loads a pipeline: which files it is made of, onto which device, and what its call takes."""

from __future__ import annotations

import contextlib
import gc
import inspect
import sys
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from harness import HarnessError, Json, Settings
from harness.fingerprint import of_file
from harness.local import PIPELINE_CONFIG, Origin, find
from harness.local.devices import find_device, free_cache, wanted
from harness_diffusers import INSTALL
from harness_diffusers.untyped import diffusers, transformers

_SHOWN_TO_PEOPLE = (".md", ".png", ".jpg", ".jpeg", ".webp", ".gif")


@dataclass(slots=True, kw_only=True)
class Loaded:
    """A pipeline in memory.

    Attributes:
        pipe: of diffusers; gone after `release`.
        takes: names of what its call takes.
        device: where it is.
        origin: where it came from.
        threads: of the CPU, to draw with.
    """

    pipe: Any
    takes: frozenset[str]
    device: torch.device
    origin: Origin
    threads: int

    def release(self) -> None:
        """Give the memory back."""
        self.pipe = None
        gc.collect()
        free_cache()


def load(name: str, settings: Settings) -> Loaded:
    """Load `diffusers/NAME`.

    Raises:
        HarnessError: no such model, no such device, diffusers cannot open it, or it is no text-to-image pipeline.
    """
    ref = f"diffusers/{name}"
    device = find_device(settings["device"])
    origin = find(name, settings["revision"], scheme="diffusers", config=PIPELINE_CONFIG, fingerprint=of_pipeline)
    try:
        pipe = diffusers.DiffusionPipeline.from_pretrained(
            origin.place,
            dtype=getattr(torch, settings["dtype"]),
            variant=settings["variant"],
            **({"revision": origin.commit} if origin.commit else {}),
        ).to(device)
    except ImportError as error:
        raise HarnessError(f"the pipeline needs a package: {error}", where=ref, remedy=INSTALL) from error
    except torch.OutOfMemoryError as error:
        raise no_memory(device, ref) from error
    except Exception as error:
        raise HarnessError(
            f"diffusers cannot open this pipeline: {_first_line(error)}",
            where=ref,
            remedy="see docs/providers/diffusers.md; code that comes with a pipeline is never run",
        ) from error
    pipe.set_progress_bar_config(disable=True)
    takes = frozenset(inspect.signature(pipe.__call__).parameters)
    _check(takes, settings, ref)
    return Loaded(pipe=pipe, takes=takes, device=device, origin=origin, threads=_threads(pipe, settings["threads"]))


def of_pipeline(folder: Path) -> dict[str, Json]:
    """The fingerprint of a saved pipeline: all its files but those for people, by their place in it."""
    files = sorted(file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    counted = [
        file
        for file in files
        if file.suffix.lower() not in _SHOWN_TO_PEOPLE and not any(part.startswith(".") for part in file.parts)
    ]
    return {file.as_posix(): of_file(folder / file) for file in counted}


def no_memory(device: torch.device, ref: str) -> HarnessError:
    """One image is too much for this device."""
    remedy = "take a smaller model or smaller images, or another device: device: cuda:1"
    return HarnessError(f"out of memory on {device}", where=ref, remedy=remedy)


def _check(takes: frozenset[str], settings: Settings, ref: str) -> None:
    """Refuse what the pipeline would not hear."""
    if "prompt" not in takes:
        raise HarnessError(
            "this pipeline draws without words", where=ref, remedy="name a text-to-image pipeline: see its card"
        )
    given = {
        "steps": (settings["steps"], "num_inference_steps"),
        "guidance": (settings["guidance"], "guidance_scale"),
        "negative_prompt": (settings["negative_prompt"] or None, "negative_prompt"),
    }
    for name, (value, its) in given.items():
        if value is not None and its not in takes:
            raise HarnessError(f"this pipeline takes no {its}", where=ref, remedy=f"leave {name} out of its settings")


def _threads(pipe: Any, asked: int | None) -> int:
    modules = torch.nn.ModuleList(part for part in pipe.components.values() if isinstance(part, torch.nn.Module))
    return wanted(modules, asked)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


@contextlib.contextmanager
def quiet() -> Generator[None]:
    """diffusers and transformers without their hints, and without progress bars where nobody watches."""
    with contextlib.ExitStack() as stack:
        for logging in (diffusers.utils.logging, transformers.utils.logging):
            stack.callback(logging.set_verbosity, logging.get_verbosity())
            logging.set_verbosity_error()
            if logging.is_progress_bar_enabled() and not sys.stderr.isatty():
                stack.callback(logging.enable_progress_bar)
                logging.disable_progress_bar()
        yield
