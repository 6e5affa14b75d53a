"""Folders of small models, each made once in a test session, whichever worker asks for it first."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.files import lock_file, lock_path


def make_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder that `make` fills. Tests that change it work on a copy: all workers of a session share it.

    Args:
        factory: of the session's temporary folders.
        name: of the folder.
        make: is given an empty place, whose folder it makes.
    """
    import torch

    torch.set_num_threads(1)  # two threads are slower than one on busy cores, for models this small
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "tiny" / name
    with lock_file(lock_path(folder)):
        if not folder.is_dir():
            scratch = folder.parent / "unfinished" / name
            make(scratch)
            scratch.rename(folder)
    return folder


class Folders:
    """The model folder of each family, by name."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory = factory

    def __getitem__(self, name: str) -> Path:
        from tests.plugins.tiny.families import FAMILIES, save

        if name == "smolvlm":
            pytest.importorskip("num2words", reason="SmolVLM's processor needs it")
        return make_once(self._factory, name, lambda folder: save(FAMILIES[name], folder))
