"""Which VLMEvalKit this interpreter has, and the models in it."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import platform
from typing import Any

from .faults import Refused

PROTOCOL = 1
_DISTRIBUTIONS = ("ms-vlmeval", "nvidia-vlmeval", "vlmeval")  # one import name


def hello() -> dict[str, Any]:
    """Who answers; looks VLMEvalKit up without importing it, which takes seconds."""
    return {"protocol": PROTOCOL, "python": platform.python_version(), **_package()}


def _package() -> dict[str, Any]:
    if importlib.util.find_spec("vlmeval") is None:
        return {"package": "", "version": ""}
    for name in _DISTRIBUTIONS:
        try:
            return {"package": name, "version": importlib.metadata.version(name)}
        except importlib.metadata.PackageNotFoundError:
            continue
    return {"package": "vlmeval", "version": "unknown"}  # a checkout on the path


def installed() -> None:
    """Raise Refused where VLMEvalKit is not installed."""
    if importlib.util.find_spec("vlmeval") is None:
        raise Refused("not_installed", "this interpreter has no VLMEvalKit")


def zoo() -> dict[str, Any]:
    """VLMEvalKit's table of models: name -> partial of a class. Raises Refused where it is not installed."""
    installed()
    table: dict[str, Any] = importlib.import_module("vlmeval.config").supported_VLM
    return table


def names() -> list[str]:
    """The names of all models."""
    return sorted(zoo())


def class_called(name: str) -> Any:
    """A class of VLMEvalKit by its own name, as its configuration files name one; None where there is none."""
    return _classes().get(name)


def openable() -> list[str]:
    """What may be asked for by name: the models of the table, and the classes."""
    return [*zoo(), *_classes()]


def _classes() -> dict[str, Any]:
    modules = [importlib.import_module(name) for name in ("vlmeval.vlm", "vlmeval.api")]
    found = {name: value for module in modules for name, value in vars(module).items()}
    return {name: value for name, value in found.items() if isinstance(value, type) and hasattr(value, "generate")}
