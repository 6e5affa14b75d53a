"""Distributions as an installer leaves them, for tests of plugins: metadata, entry points and modules in a folder.

    install(folder, "their-plugin", entries={"theirs": "their_module"}, modules={"their_module": "import harness"})

Put the folder on `sys.path` or into `PYTHONPATH`, and the host finds it as it finds any other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path


def install(
    folder: Path,
    name: str,
    *,
    entries: Mapping[str, str],
    modules: Mapping[str, str],
    version: str = "1.0",
    group: str = "harness",
) -> Path:
    """Write a distribution; gives the folder.

    Args:
        folder: used as a site-packages folder; made if it is missing.
        name: of the distribution.
        entries: entry name -> `module` or `module:attribute`.
        modules: module name -> source.
        version: of the distribution.
        group: of the entry points.
    """
    information = folder / f"{re.sub(r'[-_.]+', '_', name)}-{version}.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\n", "utf-8")
    lines = [f"[{group}]", *(f"{entry} = {value}" for entry, value in entries.items())]
    (information / "entry_points.txt").write_text("\n".join(lines) + "\n", "utf-8")
    for module, source in modules.items():
        (folder / f"{module}.py").write_text(source, "utf-8")
    return folder
