"""The readers on 20,000 records each: seconds of the processor, and the most memory that Python holds meanwhile.

The data is what their own tests write, in the layout of the real files and without images. Each test that calls
`tests.tasks.data.check_listing` is one line here. `python -m benchmarks.readers usb` measures the tasks that it names.
"""

import ast
import os
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.tasks import data

RECORDS = 20_000
TESTS = Path(data.__file__).parent
MOST_SECONDS, MOST_MB = 3.0, 200.0
measured: list[tuple[str, float, float]] = []


def find_tests(names: Iterable[str]) -> list[str]:
    """The tests that list so many records, as pytest names them; of these tasks, or of all."""
    wanted = {name.replace("-", "_") for name in names}
    found: list[str] = []
    for path in sorted(TESTS.glob("test_*.py")):
        if wanted and path.stem.removeprefix("test_") not in wanted:
            continue
        functions = [each for each in ast.parse(path.read_text("utf-8")).body if isinstance(each, ast.FunctionDef)]
        found += (f"{path}::{each.name}" for each in functions if "check_listing(" in ast.unparse(each))
    return found


def measure(write: Callable[[int], object], listed: Callable[[], Iterable[object]]) -> None:
    """In place of `check_listing`: keeps the figures, and asserts nothing."""
    name = os.environ["PYTEST_CURRENT_TEST"].partition("::")[0].rpartition("/")[2]
    write(RECORDS)
    start = time.process_time()
    assert sum(1 for _ in listed()) >= RECORDS
    seconds = time.process_time() - start
    tracemalloc.start()
    for _ in listed():
        pass
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    measured.append((name.removeprefix("test_").removesuffix(".py"), seconds, peak))


def main() -> None:
    data.check_listing = measure
    found = find_tests(sys.argv[1:])
    code = pytest.main(["-q", "--assert=plain", "-p", "no:cacheprovider", "-o", "timeout=600", *found]) if found else 1
    print(f"{'task':24} {'s':>6} {'MB':>6}")
    for name, seconds, peak in measured:
        slow = "  too slow" if seconds > MOST_SECONDS else "  too large" if peak > MOST_MB else ""
        print(f"{name:24} {seconds:6.2f} {peak:6.1f}{slow}")
    sys.exit(int(code))


if __name__ == "__main__":
    main()
