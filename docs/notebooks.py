"""`make docs`: run each notebook in an empty folder, and store what its cells give.

    python docs/notebooks.py             # renew docs/notebooks/*.ipynb
    python docs/notebooks.py --to DIR    # write what they would be there, and leave them as they are

Nothing of the machine is stored: no time, no path, no version of Python. A test runs the notebooks like this, and fails
where a cell raises, or gives another text than the stored one.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

PAGES = Path(__file__).parent / "notebooks"
SECONDS = 300  #: for one cell


def executed(path: Path, folder: Path) -> Any:
    """A notebook with the outputs of its cells, run in this folder. Raises CellExecutionError if a cell raises."""
    notebook: Any = nbformat.read(path, as_version=4)
    for number, cell in enumerate(notebook.cells, 1):
        cell["id"] = f"cell-{number}"
        cell["metadata"] = {}
    kernel = AsyncKernelManager(kernel_name="python3", transport="ipc", ip=str(folder / ".kernel"))  # opens no port
    client = NotebookClient(
        notebook,
        km=kernel,
        timeout=SECONDS,
        record_timing=False,
        coalesce_streams=True,  # a kernel sends what is printed in as many parts as its clock wants
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    notebook["metadata"] = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        cell["metadata"] = {}
        if "outputs" in cell:  # what libraries say on stderr is of this machine
            cell["outputs"] = [each for each in cell["outputs"] if each.get("name") != "stderr"]
    return notebook


def main() -> int:
    """Renew all notebooks, or write them into another folder."""
    target = Path(sys.argv[2]) if sys.argv[1:2] == ["--to"] else PAGES
    for name in [name for name in os.environ if name.startswith("HARNESS_")]:
        del os.environ[name]
    os.environ["COLUMNS"] = "100"
    paths = sorted(PAGES.glob("*.ipynb"))
    for path in paths:
        with TemporaryDirectory() as folder:
            nbformat.write(executed(path, Path(folder)), target / path.name)
    sys.stdout.write(f"{len(paths)} notebooks\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
