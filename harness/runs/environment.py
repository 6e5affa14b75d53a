"""What a run ran on: recorded in run.json and results.json."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

from harness.types import Json

_PACKAGES = {
    "torch": "torch",
    "transformers": "transformers",
    "vllm": "vllm",
    "openai": "openai",
    "anthropic": "anthropic",
}


def environment() -> dict[str, Json]:
    """Python, platform, packages and, where torch is in use, the accelerator; null is "not there"."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        **_accelerator(),
        **{name: package_version(package) for name, package in _PACKAGES.items()},
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


def _accelerator() -> dict[str, Json]:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return {"gpu": None, "driver": None}
    return {"gpu": torch.cuda.get_device_name(0), "driver": f"CUDA {torch.version.cuda}"}
