"""The environment of a run, recorded in run.json and results.json."""

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
    """Python, platform, packages and, if torch is in use, the accelerator; null means "not installed".

    A model in its own processes reports its `accelerator`, because this process never imports torch.

    Args:
        model: the evaluated model; without one, the accelerator is this process's.
        also: distribution names of more packages.
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
    """The version of the harness."""
    return package_version("vlm-safety-harness") or "not installed"
