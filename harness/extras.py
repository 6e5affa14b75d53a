"""Optional packages: imported on use; an error for a missing one names what to install.

A plugin's module imports no optional package at its top, so that a start stays fast and works without it:

    def open_model(name: str, settings: Settings) -> ...:
        with require("hf", by="hf/"):
            from harness_hf.model import open_model
        return open_model(name, settings)
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, TypeAlias

from harness.errors import HarnessError

Untyped: TypeAlias = Any  #: what comes from a library that a strict type checker knows too little of


@contextmanager
def require(*extras: str, by: str, where: str = "") -> Generator[None]:
    """Raise a HarnessError that names the extras to install, for an ImportError of the body.

    Args:
        extras: of this package that bring what the body imports.
        by: what needs them, such as `hf/` or `a parquet file`.
        where: the file or model that it is about.
    """
    try:
        yield
    except ImportError as error:
        names = " and ".join(f"`{extra}`" for extra in extras)
        what = f"{by} needs the extra{'s' if len(extras) > 1 else ''} {names}: {error}"
        raise HarnessError(what, where=where, remedy=install_command(*extras)) from error


def require_module(name: str, *extras: str, by: str, where: str = "") -> Untyped:
    """Import a module of an optional package; the other arguments are those of `require`."""
    with require(*extras, by=by, where=where):
        return importlib.import_module(name)


def check_modules(*names: str, extras: tuple[str, ...], by: str) -> None:
    """Raise the HarnessError of `require` if one of these modules is missing; none of them is imported.

    A command calls it before it does any work, where the packages are used only later.
    """
    with require(*extras, by=by):
        for name in names:
            if importlib.util.find_spec(name) is None:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def install_command(*extras: str) -> str:
    """The command that installs extras of this package."""
    return f"pip install 'vlm-safety-harness[{','.join(extras)}]'"
