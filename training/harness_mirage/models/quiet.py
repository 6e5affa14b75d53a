"""transformers without its hints, and without progress bars where nobody watches."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Generator

from .untyped import transformers


@contextlib.contextmanager
def quiet() -> Generator[None]:
    """Errors only, until the block ends."""
    logging = transformers.utils.logging
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
