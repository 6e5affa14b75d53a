"""Start the child by path: its folder becomes a package with a unique name."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

PACKAGE = "_harness_vlmeval_child"


def main() -> None:
    """Import the package in this folder, and serve until the parent closes the pipe."""
    folder = Path(__file__).resolve().parent
    # else this folder's modules could shadow others of the same name
    sys.path[:] = [place for place in sys.path if Path(place or ".").resolve() != folder]
    _load(PACKAGE, folder / "__init__.py", [str(folder)])
    reading = _load(f"{PACKAGE}_reading", Path(sys.argv.pop(1)))
    importlib.import_module(f"{PACKAGE}.serving").serve(reading)


def _load(name: str, path: Path, folders: "list[str] | None" = None) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=folders)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


main()
