"""The executor of Slurm: an array of one task for each unit, and a job after it that judges and writes the page.

Slurm packs the GPUs. A task runs `harness sweep FILE --only UNIT --only-units` on its node, so everything else is as on
one machine: records, claims, failures as rows, and the same command goes on.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio

from harness.errors import HarnessError
from harness.runs.sweeping.plan import SweepPlan
from harness.runs.sweeping.records import FOLDER, Row

_NAME: Final = re.compile(r"[a-z][a-z0-9-]*")
_OURS: Final = ("array", "dependency", "output", "job-name")
_REQUEUE: Final = """code=$?
if [ "$code" -eq 130 ]; then    # the time was up: the same unit goes on in a new job
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
fi
exit "$code"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A script for sbatch.

    Attributes:
        path: where it is written.
        text: its lines.
        closes: whether it waits for all others.
    """

    path: Path
    text: str
    closes: bool = False


def build_scripts(plan: SweepPlan, rows: Sequence[Row], more: Sequence[str]) -> list[Script]:
    """The scripts that run what is left of a sweep; none if nothing is.

    Args:
        plan: the sweep.
        rows: how its units stand.
        more: flags of the command.

    Raises:
        HarnessError: an option of sbatch that cannot be given, or a sweep without a file.
    """
    if plan.source is None:
        raise HarnessError("Slurm runs a sweep's file", remedy="write it to a YAML file")
    for name, value in plan.slurm.items():
        if name in _OURS or not _NAME.fullmatch(name) or "\n" in value:
            what = "is the sweep's own" if name in _OURS else "is not an option of sbatch"
            raise HarnessError(
                f"slurm.{name} {what}", remedy="write options such as {partition: gpu, time: '04:00:00'}"
            )
    groups: dict[int, list[str]] = {}
    for row in rows:
        if row.state not in ("complete", "answered", "running"):
            gpus = row.unit.gpus if row.unit.gpus is not None else int(row.unit.local)
            groups.setdefault(gpus, []).append(row.unit.name)
    if all(row.state == "complete" for row in rows):
        return []
    folder = plan.output.absolute() / FOLDER
    words = [sys.executable, "-m", "harness", "sweep", str(plan.source.absolute())]
    words += ["--output", str(plan.output.absolute()), *more]
    scripts: list[Script] = []
    count = sum(map(len, groups.values()))
    for gpus, names in sorted(groups.items()):
        most = f"%{plan.jobs}" if plan.jobs else ""
        head = _list_head(plan.slurm, "harness-sweep", folder / "slurm-%A_%a.log", gpus)
        at_once = min(count, (plan.jobs or count) * len(groups))
        command = shlex.join([*words, "--only-units", "--at-once", str(at_once)])
        lines = [
            *head,
            f"#SBATCH --array=0-{len(names) - 1}{most}",
            "#SBATCH --requeue",
            "#SBATCH --signal=TERM@60",
            "UNITS=(",
            *(f"    {shlex.quote(name)}" for name in names),
            ")",
            f"cd {shlex.quote(str(Path.cwd()))} || exit 1",
            f'srun --ntasks=1 {command} --only "${{UNITS[$SLURM_ARRAY_TASK_ID]}}"',
            _REQUEUE,
        ]
        scripts.append(Script(path=folder / f"units-{gpus}-gpus.sh", text="\n".join(lines)))
    gpus = (1 if plan.judge_gpus is None else plan.judge_gpus) if plan.apart else 0
    lines = [
        *_list_head(plan.slurm, "harness-sweep-close", folder / "slurm-close-%j.log", gpus),
        f"cd {shlex.quote(str(Path.cwd()))} || exit 1",
        shlex.join([*words, "--close"]),
        "",
    ]
    return [*scripts, Script(path=folder / "close.sh", text="\n".join(lines), closes=True)]


async def submit(scripts: Sequence[Script]) -> tuple[str, ...]:
    """Write and submit scripts; returns the ids of the jobs. Raises HarnessError if sbatch refuses one."""
    ids: list[str] = []
    for script in scripts:
        script.path.parent.mkdir(parents=True, exist_ok=True)
        script.path.write_text(script.text, encoding="utf-8")
        after = [f"--dependency=afterany:{':'.join(ids)}"] if script.closes and ids else []
        try:
            ended = await anyio.run_process(["sbatch", "--parsable", *after, str(script.path)], check=False)
        except OSError as error:
            raise HarnessError(
                f"sbatch cannot be run: {error.strerror}",
                remedy=f"run it where Slurm is; the scripts are in {script.path.parent}",
            ) from None
        found = ended.stdout.decode(errors="replace").strip().partition(";")[0]
        if ended.returncode or not found:
            told = ended.stderr.decode(errors="replace").strip() or f"exit code {ended.returncode}"
            begun = f"; submitted before it: {', '.join(ids)}" if ids else ""
            raise HarnessError(
                f"sbatch refuses the script: {told}{begun}",
                where=str(script.path),
                remedy="its options are `slurm` in the sweep's file",
            )
        ids.append(found)
    return tuple(ids)


def _list_head(options: Mapping[str, str], name: str, log: Path, gpus: int) -> Iterator[str]:
    yield "#!/bin/bash"
    yield f"#SBATCH --job-name={name}"
    yield f"#SBATCH --output={log}"
    if gpus and not {"gres", "gpus"} & options.keys():
        yield f"#SBATCH --gres=gpu:{gpus}"
    for option, value in options.items():
        if gpus or option not in ("gres", "gpus"):
            yield f"#SBATCH --{option}" + ("" if value == "true" else f"={value}")
