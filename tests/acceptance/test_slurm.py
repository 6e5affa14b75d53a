"""The Slurm array of docs/scale.md, played: by local processes, and by real daemons where they are installed."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.test_kill import comparable
from tests.core import plain_model

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "scale.md"
SECONDS = 240


def read_scripts() -> dict[str, str]:
    """The scripts of the page by their names, with a model and tasks that are there."""
    found = re.findall(r"`(\w+\.sh)`:\n\n```bash\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert [name for name, _ in found] == ["shard.sh", "merge.sh"]
    mended = {
        "hf/ORG/MODEL": f"plain/model --plugin {plain_model.__file__}",
        "mis,mssbench": "mis:mini,xstest:mini --limit 12",
    }
    texts = dict(found)
    for old, new in mended.items():
        assert old in texts["shard.sh"], f"{PAGE} names no {old}"
        texts["shard.sh"] = texts["shard.sh"].replace(old, new)
    return texts


class Cluster:
    """A folder with the scripts, the command `harness`, and stand-ins for the two commands of Slurm that they use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        tools = {
            "harness": f'#!/bin/sh\nexec "{sys.executable}" -m harness "$@"\n',
            "srun": '#!/bin/sh\nwhile [ "${1#-}" != "$1" ]; do shift; done\nexec "$@"\n',
            "scontrol": f'#!/bin/sh\necho "$@" >> "{folder}/requeued"\n',
        }
        (folder / "bin").mkdir(exist_ok=True)
        for name, text in tools.items():
            (folder / "bin" / name).write_text(text)
            (folder / "bin" / name).chmod(0o755)
        for name, text in read_scripts().items():
            (folder / name).write_text(text)

    def run(self, script: str, number: int | None = None) -> "subprocess.CompletedProcess[str]":
        """Run a script as a job, or as one task of an array, as Slurm starts it."""
        array = {} if number is None else {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": str(number)}
        env = {**os.environ, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", **array}
        return subprocess.run(
            ["bash", script], cwd=self.folder, env=env, capture_output=True, text=True, timeout=SECONDS, check=False
        )


def test_the_array_and_its_merge_job_make_the_run_of_one_process(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "cluster")
    numbers = re.search(r"#SBATCH --array=0-(\d+)\n", read_scripts()["shard.sh"])
    assert numbers is not None
    count = int(numbers[1]) + 1
    assert f"SHARDS={count} " in read_scripts()["shard.sh"]
    for number in range(count):
        if number != 2:
            ended = cluster.run("shard.sh", number)
            assert ended.returncode == 0, ended.stderr
    lacking = cluster.run("merge.sh")  # afterany: one task of the array is missing
    assert lacking.returncode == 3
    assert "--shard 2/4" in lacking.stderr
    assert cluster.run("shard.sh", 2).returncode == 0
    merged = cluster.run("merge.sh")
    assert merged.returncode == 0, merged.stderr
    (cluster.folder / "whole.sh").write_text(
        re.sub(r' --shard "[^"]*"', "", read_scripts()["shard.sh"]).replace("runs/big", "runs/whole")
    )
    assert cluster.run("whole.sh").returncode == 0
    assert comparable(cluster.folder / "runs" / "big") == comparable(cluster.folder / "runs" / "whole")


def test_a_shard_whose_time_is_up_asks_for_another_turn(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "cluster")
    (cluster.folder / "bin" / "harness").write_text("#!/bin/sh\nexit 130\n")
    assert cluster.run("shard.sh", 1).returncode == 130
    assert (cluster.folder / "requeued").read_text() == "requeue 7_1\n"


def find_daemon(name: str) -> str | None:
    return shutil.which(name) or next((path for path in (f"/usr/sbin/{name}",) if Path(path).exists()), None)


@pytest.mark.skipif(
    os.environ.get("HARNESS_TEST_SLURM") != "1" or find_daemon("slurmctld") is None or shutil.which("sbatch") is None,
    reason="needs a running Slurm: HARNESS_TEST_SLURM=1, and sbatch that reaches it",
)
def test_a_real_slurm_runs_the_array_and_then_the_merge_job(tmp_path: Path) -> None:
    cluster = Cluster(Path(os.environ.get("HARNESS_TEST_SLURM_FOLDER", tmp_path)) / "cluster")
    (cluster.folder / "bin" / "srun").unlink()
    (cluster.folder / "bin" / "scontrol").unlink()
    for name in ("SLURM_JOB_ID", "SLURM_JOBID"):
        assert name not in os.environ, "start this test outside of a job"
    given: dict[str, Any] = {
        "cwd": cluster.folder,
        "env": {**os.environ, "PATH": f"{cluster.folder / 'bin'}:{os.environ['PATH']}"},
        "capture_output": True,
        "text": True,
        "timeout": SECONDS,
        "check": True,
    }
    array = subprocess.run(["sbatch", "--parsable", "shard.sh"], **given).stdout.strip()
    subprocess.run(["sbatch", "--wait", f"--dependency=afterany:{array}", "merge.sh"], **given)
    results = json.loads((cluster.folder / "runs" / "big" / "results.json").read_text(encoding="utf-8"))
    assert results["tasks"]["mis"]["splits"]["mini"]["n"] == 12
