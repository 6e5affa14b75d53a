"""How the replicas of a local model are started: on this machine, on the nodes of a Slurm job, over ssh, or by Ray.

A launcher is a command that is put before the replica's own (`srun …`, `ssh HOST …`), or a Ray actor; the frames of the
pipe are the same. No launcher is given anything on its command line but the Python to start and where that imports
from: keys and other variables go through the pipe.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Final, Literal, get_args

from harness.errors import HarnessError, UnknownName
from harness.replicas.placement import Placement, place_replicas
from harness.settings import nearest
from harness.types import Settings

Kind = Literal["local", "srun", "ssh", "ray"]
#: seconds within which a replica elsewhere must greet; its model is opened after that, however long it takes
START: Final = 180
#: seconds that srun waits for its part of the allocation
_IMMEDIATE: Final = 60
_ALIVE: Final = ("ServerAliveInterval=15", "ServerAliveCountMax=4", "ConnectTimeout=20")
#: no pseudo-terminal, no forwarding; no password is asked for, and a shared connection is used but never begun
_SSH: Final = ("BatchMode=yes", *_ALIVE, "ControlMaster=no", "RemoteCommand=none", "ClearAllForwardings=yes")
_NAME: Final = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_HOST: Final = re.compile(rf"(?P<host>(?:{_NAME}@)?(?:{_NAME}|\[[0-9A-Fa-f:.]+(?:%{_NAME})?\]))(?::(?P<devices>.+))?")
_DEVICE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9/_-]*")
_NAME_HOSTS: Final = "see whether `scontrol show hostnames` works here, or name the nodes: --host HOST:0,1"
_MOST_DEVICES: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What the user says about where replicas are started.

    Attributes:
        kind: the launcher; empty is ssh where there are hosts, else this machine.
        hosts: `HOST[:DEVICES]`, for ssh.
        address: of a Ray cluster; empty starts Ray on this machine.
    """

    kind: str = ""
    hosts: tuple[str, ...] = ()
    address: str = ""

    @property
    def chosen(self) -> str:
        """The launcher."""
        return self.kind or ("ssh" if self.hosts else "local")

    @property
    def elsewhere(self) -> bool:
        """Whether replicas are started by another than this process."""
        return self.chosen != "local"

    @property
    def recorded(self) -> str:
        """For the history of invocations: `srun`, `ssh a:0,1 b`, `ray 10.0.0.1:6379`; empty for this machine."""
        return " ".join((self.chosen, *self.hosts, *filter(None, [self.address]))) if self.elsewhere else ""

    def check(self) -> None:
        """Refuse what does not go together. Raises HarnessError or UnknownName."""
        kinds = get_args(Kind)
        if self.kind and self.kind not in kinds:
            raise UnknownName(f"--launch {self.kind}: no such launcher", remedy=nearest(self.kind, kinds))
        if self.hosts and self.chosen != "ssh":
            raise HarnessError(
                f"--host is for ssh, and --launch is {self.kind}", remedy="leave one of them out: --host implies ssh"
            )
        if self.kind == "ssh" and not self.hosts:
            raise HarnessError("--launch ssh needs hosts", remedy="give --host HOST:0,1, once for each host")
        if self.address and self.chosen != "ray":
            raise HarnessError("--ray-address is for Ray", remedy="add --launch ray")
        if self.address.startswith("ray://"):
            raise HarnessError(
                f"--ray-address {self.address}: Ray's client protocol is not supported",
                remedy="run the command on a node of the cluster, with --ray-address auto",
            )

    def place(self, values: Settings) -> tuple[Placement, ...]:
        """One placement for each replica of a local model; none if it is opened in this process.

        Those in a Ray cluster are known when it is connected: here one stands for all of them.

        Args:
            values: the settings of the model.

        Raises:
            HarnessError: a device is not there, or they cannot be shared out evenly.
        """
        self.check()
        python, shared = values["remote_python"] or "", values["shared"]
        if python.startswith("-") or "\0" in python:
            raise HarnessError(f"remote_python={python!r} is not a program", remedy="give the path of a Python")
        return tuple(replace(each, python=python * self.elsewhere, shared=shared) for each in self._place(values))

    def _place(self, values: Settings) -> tuple[Placement, ...]:
        replicas, devices, gpus = values["replicas"], values["devices"], values["gpus"]
        if not self.elsewhere:
            if gpus is not None:
                raise HarnessError(
                    "gpus is for replicas that srun or Ray places",
                    remedy="on this machine: --devices 0,1,2,3 -M replicas=2",
                )
            return place_replicas(replicas, devices)
        if devices:
            remedy = {"ssh": "write them behind their host: --host a:0,1"}.get(
                self.chosen, "-M gpus=K for each replica"
            )
            raise HarnessError(
                f"devices={devices} names devices of this machine, and {self.chosen} starts replicas elsewhere",
                remedy=remedy,
            )
        if replicas is not None and replicas < 1:
            raise HarnessError(f"replicas={replicas}: there must be at least 1", remedy="give -M replicas=1 or more")
        if self.chosen == "ray":
            return (Placement(how="ray", host=self.address, gpus=gpus, wanted=replicas),)
        if self.chosen == "ssh":
            if gpus is not None:
                raise HarnessError("gpus is for srun and Ray", remedy="over ssh, name them: --host a:0,1")
            return _place_on_hosts(parse_hosts(self.hosts), replicas)
        return place_on_nodes(read_allocation(), replicas, gpus)


def parse_hosts(texts: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Host -> its devices, from `HOST`, `HOST:0,1`, `HOST:0-3`, `USER@HOST:GPU-…`; a host may come several times.

    Raises HarnessError for anything that ssh could take for something else than a host.
    """
    hosts: dict[str, tuple[str, ...]] = {}
    for text in texts:
        found = _HOST.fullmatch(text.strip())
        if found is None:
            raise HarnessError(
                f"--host {text!r} is not a host", remedy="such as --host node1:0,1 or --host me@node1:0-3"
            )
        host, before = found["host"], hosts.get(found["host"])
        devices = _parse_devices(text, found["devices"] or "")
        if before is not None and (not before or not devices or set(before) & set(devices)):
            raise HarnessError(f"--host {text}: {host} is named twice", remedy="name its devices once: --host a:0,1")
        hosts[host] = (*(before or ()), *devices)
    return hosts


def _parse_devices(text: str, devices: str) -> tuple[str, ...]:
    found: list[str] = []
    for part in filter(None, map(str.strip, devices.split(","))):
        first, dash, last = part.partition("-")
        if dash and first.isdecimal() and last.isdecimal() and int(first) <= int(last) <= _MOST_DEVICES:
            found += [str(number) for number in range(int(first), int(last) + 1)]
        elif _DEVICE.fullmatch(part) and not (dash and first.isdecimal()):
            found.append(part)
        else:
            raise HarnessError(f"--host {text}: {part!r} is not a device", remedy="such as 0,1 or 0-3")
    if len(set(found)) < len(found):
        raise HarnessError(f"--host {text}: a device is named twice", remedy="-M replicas=2 puts two on one device")
    return tuple(found)


def _place_on_hosts(hosts: Mapping[str, Sequence[str]], replicas: int | None) -> tuple[Placement, ...]:
    total = sum(map(len, hosts.values()))
    bare = [host for host, devices in hosts.items() if not devices]
    if replicas is not None and total and bare:
        raise HarnessError(
            f"replicas={replicas} cannot be divided: no devices are named for {bare[0]}",
            remedy=f"name them: --host {bare[0]}:0,1",
        )
    if not total:
        names = list(hosts)
        counts = _deal(len(names) if replicas is None else replicas, len(names))
        return tuple(
            Placement(how="ssh", host=host, share=count)
            for host, count in zip(names, counts, strict=True)
            for _ in range(count)
        )
    number = total if replicas is None else replicas
    if total % number and number % total:
        raise HarnessError(
            f"{total} devices cannot be divided evenly among {number} replicas",
            remedy=f"give a number that divides {total}: -M replicas=N",
        )
    each, crowd = max(1, total // number), max(1, number // total)
    places: list[Placement] = []
    for host, devices in hosts.items():
        if len(devices) % each:
            raise HarnessError(
                f"{host} has {len(devices)} devices, and each replica takes {each}",
                remedy="a replica's devices are of one host: give another number of replicas",
            )
        groups = [tuple(devices[start : start + each]) for start in range(0, len(devices), each)]
        places += [Placement(how="ssh", host=host, devices=group) for group in groups for _ in range(crowd)]
        places += [] if devices else [Placement(how="ssh", host=host)]
    return tuple(places)


def _deal(number: int, among: int) -> list[int]:
    """So many things dealt out as evenly as can be, the first get one more."""
    return [number // among + (index < number % among) for index in range(among)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A machine that a scheduler has given.

    Attributes:
        name: of the machine.
        gpus: that may be used.
        cpus: likewise; 0 if that is not known.
        memory: MiB that a job may use on it; 0 if that is not limited.
    """

    name: str
    gpus: float = 0
    cpus: int = 0
    memory: int = 0


def share_out(
    nodes: Sequence[Node], replicas: int | None, gpus: float | None, *, fractions: bool, who: str
) -> tuple[float, list[int]]:
    """GPUs of each replica, and the number of replicas on each node.

    Args:
        nodes: the machines; each replica is on one of them.
        replicas: how many; None for as many as there are GPUs for, and one on each node where there are none.
        gpus: of each replica; None shares out all that there are.
        fractions: whether several replicas may be put on one GPU.
        who: what has these machines, for errors.

    Raises:
        HarnessError: they do not fit.
    """
    total = int(sum(node.gpus for node in nodes))
    if gpus is None:
        gpus = 1.0 if replicas is None and total else 0.0
        if replicas is not None and total:
            if total % replicas and (replicas % total or not fractions):
                raise HarnessError(
                    f"{who} has {total} GPUs, which cannot be divided evenly among {replicas} replicas",
                    remedy="say how many GPUs each has, such as -M gpus=1, or give another number of replicas",
                )
            gpus = total / replicas
    if not gpus:
        return 0.0, _deal(len(nodes) if replicas is None else replicas, len(nodes))
    if gpus != int(gpus) and not (fractions and gpus < 1):
        remedy = "give a whole number" + ", or a part of one GPU such as 0.5" * fractions
        raise HarnessError(f"gpus={gpus:g}: {who} cannot give so many to a replica", remedy=remedy)
    room = [int(node.gpus / gpus + 1e-9) for node in nodes]
    wanted = sum(room) if replicas is None else replicas
    if not wanted or sum(room) < wanted:
        each = ", ".join(f"{node.name} {node.gpus:g}" for node in nodes)
        raise HarnessError(
            f"{wanted or 1} replicas of {gpus:g} GPUs do not fit: {who} has {total} GPUs",
            where=f"GPUs of each node: {each}" if len(each) < 400 else f"{len(nodes)} nodes",
            remedy=f"ask for fewer: -M replicas={sum(room)}" if sum(room) else "ask for fewer with -M gpus=N",
        )
    counts = [0] * len(nodes)
    while sum(counts) < wanted:  # one after the other, so that they are spread
        for index in range(len(nodes)):
            counts[index] += sum(counts) < wanted and counts[index] < room[index]
    return gpus, counts


def place_on_nodes(nodes: Sequence[Node], replicas: int | None, gpus: float | None) -> tuple[Placement, ...]:
    """The placements of replicas that srun starts on the nodes of its job. Raises HarnessError if they do not fit."""
    each, counts = share_out(nodes, replicas, gpus, fractions=False, who="the Slurm job")
    return tuple(
        Placement(
            how="srun",
            host=node.name,
            gpus=each,
            cpus=max(1, node.cpus // count) if node.cpus else 0,
            memory=node.memory // count,
            spared=node.gpus > 0 and not each,
        )
        for node, count in zip(nodes, counts, strict=True)
        for _ in range(count)
    )


def read_allocation() -> tuple[Node, ...]:
    """The nodes of the Slurm job that this process is in. Raises HarnessError if it is in none."""
    nodes = os.environ.get("SLURM_JOB_NODELIST") or os.environ.get("SLURM_NODELIST")
    if not nodes:
        raise HarnessError(
            "--launch srun: this process is in no Slurm job (SLURM_JOB_NODELIST is not set)",
            remedy="run the command inside `salloc` or `sbatch`, or use --host HOST:0,1",
        )
    names = _expand_nodes(nodes)
    cpus = _spread_counts(os.environ.get("SLURM_JOB_CPUS_PER_NODE", ""), len(names))
    known = _read_details(os.environ.get("SLURM_JOB_ID", ""))
    gpus, memory = _count_gpus(os.environ), os.environ.get("SLURM_MEM_PER_NODE", "")
    usual = Node(name="", gpus=gpus, memory=int(memory) if memory.isdecimal() else 0)
    return tuple(
        replace(known.get(name, usual), name=name, cpus=count) for name, count in zip(names, cpus, strict=True)
    )


@cache
def _read_details(job: str) -> dict[str, Node]:
    """GPUs and memory of a job on each of its nodes, where Slurm says them: `salloc` sets no variable for GPUs."""
    said = _ask_scontrol("show", "job", "-d", job) if job.isdecimal() else ""
    found: dict[str, Node] = {}
    for nodes, memory, gres in re.findall(
        r"^\s+Nodes=(\S+) CPU_IDs=\S* Mem=(\d+) GRES=(\S*)", said or "", re.MULTILINE
    ):
        gpus = sum(map(int, re.findall(r"(?:^|,)gpu(?::[^:,()]+)?:(\d+)", gres)))
        for name in _expand_nodes(nodes):
            before = found.get(name, Node(name=name))
            found[name] = replace(before, gpus=before.gpus + gpus, memory=before.memory + int(memory))
    return found


@cache
def _expand_nodes(nodes: str) -> tuple[str, ...]:
    names = tuple(_ask_scontrol("show", "hostnames", nodes).split())
    if not names or not all(re.fullmatch(_NAME, name) for name in names):
        raise HarnessError(f"--launch srun: scontrol does not name the nodes of {nodes}", remedy=_NAME_HOSTS)
    return names


def _ask_scontrol(*words: str) -> str:
    import subprocess

    try:
        done = subprocess.run(["scontrol", *words], capture_output=True, text=True, timeout=30, check=True)  # noqa: S603, S607
    except OSError as error:
        raise HarnessError(f"--launch srun: scontrol does not start: {error.strerror}", remedy=_NAME_HOSTS) from error
    except subprocess.TimeoutExpired as error:
        raise HarnessError("--launch srun: scontrol does not answer within 30 s", remedy=_NAME_HOSTS) from error
    except subprocess.CalledProcessError as error:
        said = " ".join(str(error.stderr or error.stdout).split())[:300]
        raise HarnessError(f"--launch srun: scontrol {' '.join(words)}: {said}", remedy=_NAME_HOSTS) from error
    return done.stdout


def _spread_counts(text: str, number: int) -> list[int]:
    """`16(x2),8` as 16, 16, 8; zeros if it is not that."""
    found: list[int] = []
    for part in filter(None, text.split(",")):
        match = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part)
        found += [int(match[1])] * int(match[2] or 1) if match else []
    return found if len(found) == number else [0] * number


def _count_gpus(variables: Mapping[str, str]) -> int:
    """GPUs of the job on each node."""
    for name in ("SLURM_GPUS_PER_NODE", "SLURM_GPUS_ON_NODE"):
        counts = re.findall(r"(?:^|[:,])(\d+)(?=,|$|\()", variables.get(name, ""))
        if counts:
            return sum(map(int, counts))
    return len([entry for entry in variables.get("SLURM_JOB_GPUS", "").split(",") if entry.strip()])


def build_command(place: Placement, program: Sequence[str]) -> list[str]:
    """The command that starts a replica's program at its place; for Ray the program alone."""
    if place.how == "srun":
        own = [f"--gres=gpu:{place.gpus:.0f}"] if place.gpus else ["--gres=none"] if place.spared else []
        own += [f"--cpus-per-task={place.cpus}"] if place.cpus else []
        own += [f"--mem={place.memory}M"] if place.memory else []
        usual = ["-N1", "-n1", "--exact", "--unbuffered", "--quiet", "--mpi=none", f"--immediate={_IMMEDIATE}"]
        return ["srun", *usual, "-w", place.host, *own, *program]
    if place.how == "ssh":
        options = [word for option in _SSH for word in ("-o", option)]
        host = re.sub(r"[\[\]]", "", place.host)  # ssh takes an IPv6 address without its brackets
        return ["ssh", "-T", "-x", "-a", *options, "--", host, f"exec {shlex.join(program)}"]
    return list(program)


def describe_end(place: Placement, code: int | None, why: str) -> str:
    """How a replica ended, where its launcher's exit code says more."""
    if place.how == "ssh" and code == 255:
        return f"lost its connection to {place.host}"
    if place.how == "srun" and code is not None and code > 128:
        import signal

        name = next((each.name for each in signal.Signals if each == code - 128), f"signal {code - 128}")
        return f"was killed by {name}"
    return why


def advise(place: Placement, code: int | None) -> str:
    """What to do where a replica elsewhere did not even begin."""
    if place.how == "ssh" and code == 255:
        return f"this must work without a question: ssh {place.host} true"
    if place.how == "srun":
        return "srun has no free part of the job, or no Python there: see what it said; -M remote_python=PATH names one"
    return "the harness must be installed there: -M remote_python=PATH names the Python that has it"
