"""What becomes of a command whose output nobody reads to its end."""

import subprocess
from pathlib import Path

from tests.acceptance.commands import command
from tests.core import plain_model


def test_a_reader_that_has_seen_enough_is_no_fault_of_the_command(tmp_path: Path) -> None:
    model = ("--plugin", plain_model.__file__, "--model", "plain/model")
    words = ("run", *model, "--tasks", "mis:mini", "--limit", "2", "--no-probe", "--json")
    process = subprocess.Popen(
        command((*words, "--output", tmp_path / "run")), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    told = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(timeout=240) == 0, told
    assert (tmp_path / "run" / "results.json").is_file()
