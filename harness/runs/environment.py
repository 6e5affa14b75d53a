"""What a run ran on: recorded in run.json and results.json."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from harness.contracts import Model
from harness.replicas.placement import accelerator
from harness.types import Json

_PACKAGES = {
    "torch": "torch",
    "transformers": "transformers",
    "vllm": "vllm",
    "openai": "openai",
    "anthropic": "anthropic",
}


def environment(model: Model | None = None, also: Iterable[str] = ()) -> dict[str, Json]:
    """Python, platform, packages and, where torch is in use, the accelerator; null is "not there".

    A model in processes of its own says what it runs on as `accelerator`: this process never imports torch.

    Args:
        model: that was asked; without one the accelerator is that of this process.
        also: more packages, by the names of their distributions.
    """
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        **(getattr(model, "accelerator", None) or accelerator()),
        **{name: package_version(package) for name, package in _PACKAGES.items()},
        **{name: package_version(name) for name in also},
    }


def package_version(package: str) -> str | None:
    """The installed version of a distribution, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def harness_version() -> str:
    """The harness's own version."""
    return package_version("vlm-safety-harness") or "not installed"
