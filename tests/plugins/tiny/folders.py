"""Each family's model folder, made when it is first asked for."""

from __future__ import annotations

from pathlib import Path

import pytest


class Folders:
    """Folders of small models by family."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._made: dict[str, Path] = {}

    def __getitem__(self, name: str) -> Path:
        from tests.plugins.tiny.families import FAMILIES
        from tests.plugins.tiny.parts import save

        if name == "smolvlm":
            pytest.importorskip("num2words", reason="SmolVLM's processor needs it")
        if name not in self._made:
            self._made[name] = save(FAMILIES[name], self._root / name)
        return self._made[name]
