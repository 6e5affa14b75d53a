"""torch, transformers, safetensors, trl, peft and datasets, which a strict type checker mostly does not know.

Everything that comes from them is `Untyped`, here in one place, instead of an ignore on every second line. A name is
imported when it is first used: it takes seconds.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Generator
from typing import Final

from harness.extras import Untyped, install_command, require_module

INSTALL: Final = install_command("hf", "train")
_KNOWN: Final = frozenset({"torch", "transformers", "safetensors", "trl", "peft", "datasets"})


def __getattr__(name: str) -> Untyped:
    """Import one of the libraries. Raises HarnessError if it is not installed."""
    if name not in _KNOWN:
        raise AttributeError(name)
    return require_module(name, "hf", "train", by="training")


@contextlib.contextmanager
def quiet() -> Generator[None]:
    """Let transformers show errors only, and no progress bars unless stderr is a terminal."""
    logging = __getattr__("transformers").utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    if not sys.stderr.isatty():
        logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # what one library tells another about its next version
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
