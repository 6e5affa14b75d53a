"""A large data set costs no more memory than the records that are taken.

It is measured on a fifth of it: what the records take grows with their number, all else does not.
"""

import json
import subprocess
import sys
from pathlib import Path

from tests.training.data_sets import drawing

LARGE, MEASURED = 100_000, 20_000  #: records
LIMIT = 300 << 20  #: bytes, of the whole process

MEASURE = """
import re, sys
from pathlib import Path
from harness import Training
from harness_mirage.data import mix
from harness_mirage.methods import Ingredient, Method
count = int(sys.argv[2]) or None
def peak():  # ru_maxrss begins at the parent's
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
before = peak()
method = Method(name="large", description="", ingredients=(Ingredient(layout="mis", count=count),))
mixture = mix(method, Training(model="none", data={"": Path(sys.argv[1])}, out=Path("none")))
print(len(mixture.records), mixture.parts[0].found, before, peak())
"""


def large(folder: Path) -> Path:
    """Records of about a kilobyte, all of which show two of a hundred images."""
    folder.mkdir()
    for number in range(100):
        path = folder / "images" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(drawing(number))
    with (folder / "mis_train.json").open("w", encoding="utf-8") as file:
        for number in range(MEASURED):
            said = [("human", f"{number}: " + "which of the two? " * 8), ("gpt", f"{number}: " + "both of them. " * 45)]
            record = {
                "image": [f"{number % 100}.png", f"{number % 97}.png"],
                "conversations": [{"from": speaker, "value": text} for speaker, text in said],
                "category": "Kitchen",
            }
            file.write(("," if number else "[") + json.dumps(record))
        file.write("]")
    return folder


def measured(folder: Path, count: int) -> tuple[int, int, int]:
    """Records that are taken, those that are found, and the bytes of a process that reads so many times more."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(folder), str(count)], capture_output=True, text=True, check=True
    )
    taken, found, before, peak = map(int, done.stdout.split())
    return taken, found, before + (peak - before) * LARGE // MEASURED


def test_a_hundred_thousand_records_fit_into_300_megabytes_and_a_sample_of_them_into_far_less(tmp_path: Path) -> None:
    folder = large(tmp_path / "large")
    taken, found, memory = measured(folder, 0)
    assert (taken, found) == (MEASURED, MEASURED)
    assert memory < LIMIT
    taken, found, sampled = measured(folder, 500)
    assert (taken, found) == (500, MEASURED)
    assert sampled < LIMIT // 2
