"""The installed distributions that offer plugins, read without `importlib.metadata`, whose import takes as long as
forty plugins.

It reads what an installer writes next to packages: `NAME-VERSION.dist-info` and `.egg-info`. Whatever else can hold
distributions, a zip on the path or an import hook with distributions of its own, is left to `importlib.metadata`.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator
from functools import reduce
from typing import Protocol

_ENTRY = re.compile(r"(?P<module>[\w.]+)\s*(:\s*(?P<attributes>[\w.]+)\s*)?(\[.*\]\s*)?")


class Distribution(Protocol):
    """The part of `importlib.metadata.Distribution` that is needed."""

    def read_text(self, filename: str, /) -> str | None:
        """The text of a file of its metadata; None if there is none."""
        ...

    def locate_file(self, path: str, /) -> object:
        """The place of an installed file; of `""`, the folder in which it is installed."""
        ...


class InstalledFolder:
    """A distribution whose metadata is a folder, or one file, in a folder of `sys.path`."""

    def __init__(self, site: str, name: str) -> None:
        self._site = site
        self._name = name

    # Strings and `open` instead of Path: every start of a command reads every distribution.
    def read_text(self, filename: str, /) -> str | None:
        """As in `importlib.metadata`. Raises UnicodeDecodeError."""
        try:
            with open(f"{self._site}/{self._name}/{filename}", encoding="utf-8") as file:  # noqa: PTH123
                return file.read()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError):
            return None

    def locate_file(self, path: str, /) -> str:
        """As in `importlib.metadata`."""
        return os.path.normpath(f"{self._site}/{path}")


def find_distributions() -> Iterator[Distribution]:
    """All distributions on the path, in its order."""
    finders = [finder for finder in sys.meta_path if hasattr(finder, "find_distributions")]
    if any(getattr(finder, "__module__", "") != "_frozen_importlib_external" for finder in finders):
        import importlib.metadata

        yield from importlib.metadata.distributions()
        return
    for site in sys.path:
        try:
            names = os.listdir(site or ".")  # noqa: PTH208
        except NotADirectoryError:  # a zip
            import importlib.metadata

            yield from importlib.metadata.distributions(path=[site])
        except OSError:
            continue
        else:
            is_egg = site.lower().endswith(".egg")
            for name in names:
                low = name.lower()
                if low.endswith((".dist-info", ".egg-info")) or (is_egg and low == "egg-info"):
                    yield InstalledFolder(site or ".", name)


def parse_entries(text: str, group: str) -> list[tuple[str, str]]:
    """The entries of a group in `entry_points.txt`: name and target. Raises ValueError for a line that is no entry."""
    entries: list[tuple[str, str]] = []
    inside = False
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            inside = line[1:-1] == group
        elif inside and line and not line.startswith("#"):
            name, equals, target = line.partition("=")
            if not equals:
                raise ValueError(f"entry_points.txt: {line!r} is not NAME = MODULE")
            entries.append((name.strip(), target.strip()))
    return entries


def load_entry(target: str) -> object:
    """Import what an entry point names, `module` or `module:attribute`; raises what the import raises."""
    match = _ENTRY.fullmatch(target)
    if match is None:
        raise ValueError(f"{target!r} is not MODULE or MODULE:ATTRIBUTE")
    attributes = filter(None, (match["attributes"] or "").split("."))
    return reduce(getattr, attributes, importlib.import_module(match["module"]))
