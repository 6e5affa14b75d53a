"""Start the child by path: its folder becomes a package under a name that nothing else has."""

import importlib
import importlib.util
import sys
from pathlib import Path

PACKAGE = "_harness_vlmeval_child"


def main() -> None:
    """Import the package beside this file, and serve until the parent hangs up."""
    folder = Path(__file__).resolve().parent
    # else this folder's modules could stand in for others of the same name
    sys.path[:] = [place for place in sys.path if Path(place or ".").resolve() != folder]
    spec = importlib.util.spec_from_file_location(
        PACKAGE, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE] = module
    spec.loader.exec_module(module)
    importlib.import_module(f"{PACKAGE}.serving").serve()


main()
