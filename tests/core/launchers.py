"""Programs that stand in for `ssh`, `srun` and `scontrol`: hosts and nodes played by processes of this machine.

They read their options as the real ones do, and run the command in a session of its own without the caller's
environment (ssh) or with it (srun). `gone` is a host that cannot be reached; `full` a node without a free part.
"""

from __future__ import annotations

from pathlib import Path

import pytest

SSH = """#!/bin/sh
while [ "$1" != "--" ]; do
  case $1 in -o) shift;; esac
  shift
done
host=$2; shift 2
echo "$host" >> "$PLAYED/ssh"
if [ "$host" = gone ]; then
  echo "ssh: connect to host gone port 22: Connection refused" >&2; exit 255
fi
if [ "$host" = loud ]; then echo "Welcome to loud"; fi
setsid -w env -i HOME="$HOME" PATH="$PATH" PLAYED_HOST="$host" sh -c "cd /; $*"
code=$?
[ $code -gt 128 ] && exit 255
exit $code
"""
SRUN = """#!/bin/sh
echo "$@" | sed "s/ [^ ]*python.*//" >> "$PLAYED/srun"
gpus=""
while true; do
  case $1 in
    -w) node=$2; shift;;
    --gres=gpu:*) gpus=$(seq -s, 0 $(( ${1#--gres=gpu:} - 1 )));;
    -*) ;;
    *) break;;
  esac
  shift
done
if [ "$node" = full ]; then
  echo "srun: error: Unable to create step for job 7: Requested nodes are busy" >&2; exit 1
fi
PLAYED_HOST=$node CUDA_VISIBLE_DEVICES=$gpus setsid -w "$@"
"""
SCONTROL = """#!/bin/sh
if [ "$1 $2" = "show job" ]; then
  [ -f "$PLAYED/job" ] && cat "$PLAYED/job" && exit
  echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1
fi
[ "$1 $2" = "show hostnames" ] || exit 1
case $3 in
  "n[1-2]") echo n1; echo n2;;
  "n[1-4]") for n in 1 2 3 4; do echo n$n; done;;
  *) echo "$3";;
esac
"""


def install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put them first on the PATH; gives the folder in which they write down what they were called with."""
    programs = folder / "programs"
    programs.mkdir()
    for name, text in {"ssh": SSH, "srun": SRUN, "scontrol": SCONTROL}.items():
        (programs / name).write_text(text, encoding="utf-8")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PLAYED", str(programs.parent))
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    return folder


def enter_job(monkeypatch: pytest.MonkeyPatch, nodes: str = "n[1-2]", **variables: str) -> None:
    """The environment of a Slurm job with these nodes."""
    monkeypatch.setenv("SLURM_JOB_NODELIST", nodes)
    for name, value in variables.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
