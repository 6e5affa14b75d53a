"""vLLM's child processes: sets their environment, and keeps them off the terminal.

vLLM computes in child processes. They would write to our stdout and stderr, and our Ctrl-C would stop them. So they
start with Ctrl-C blocked, and vLLM calls `settle` in each (entry point `vllm.general_plugins`), which sends the output
to a file.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Final

LOG: Final = "HARNESS_VLLM_LOG"
#: Variables that vLLM reads on import; the user's values take precedence.
ENVIRONMENT: Final = {
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",  # a fork of a process with threads may hang
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",  # stdout carries results
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_HOST_IP": "127.0.0.1",  # all its processes are local
    "TOKENIZERS_PARALLELISM": "false",
}


def prepare() -> None:
    """Set the environment; call it before vLLM is imported."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    logging.getLogger("vllm").addHandler(logging.NullHandler())  # it logs before its own set-up


@contextmanager
def redirect_children(log: Path) -> Generator[None]:
    """Send the output of children started here to a file, and keep Ctrl-C from them."""
    resource_tracker.ensure_running()  # started inside the block, it would unblock Ctrl-C
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    os.environ[LOG] = str(log)
    try:
        yield
    finally:
        os.environ.pop(LOG, None)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def settle() -> None:
    """In a child of ours, send stdout and stderr to the file; elsewhere, do nothing."""
    log = os.environ.get(LOG)
    if not log or multiprocessing.parent_process() is None:
        return
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.close(file)
