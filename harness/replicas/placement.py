"""Where the replicas of a local model run: what `replicas` and `devices` mean on the CUDA devices of this machine.

The devices are found without importing torch: that takes seconds, and holds a device.
"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, cast

from harness.errors import HarnessError
from harness.types import Json, Setting

VARIABLE: Final = "CUDA_VISIBLE_DEVICES"
#: settings that every provider with `local=True` takes without declaring them
SETTINGS: Final = (
    Setting(
        name="replicas",
        type=int,
        default=None,
        identity=False,
        help="child processes that each hold the model; not set: one for each of `devices`, else none",
    ),
    Setting(
        name="devices",
        type=str,
        default=None,
        identity=False,
        help="CUDA devices, such as 0,1,2,3, divided evenly among the replicas",
    ),
    Setting(
        name="gpus",
        type=float,
        default=None,
        identity=False,
        least=0,
        help="GPUs of each replica that srun or Ray places; not set: all there are, divided evenly",
    ),
    Setting(
        name="shared",
        type=bool,
        default=False,
        identity=False,
        help="replicas read images by their path on a shared disk, instead of being sent the bytes",
    ),
    Setting(
        name="remote_python",
        type=str,
        default=None,
        identity=False,
        help="the Python of replicas on other machines; not set: this one's path",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The devices there are, and those that this process may use.

    Attributes:
        count: devices of the machine; None if it is not known (AMD's, which the same variable selects).
        allowed: CUDA_VISIBLE_DEVICES; None if it is not set.
    """

    count: int | None
    allowed: str | None = None

    @staticmethod
    def here() -> Machine:
        """This machine, and this process's environment as it is now."""
        return Machine(count=_count_devices(), allowed=os.environ.get(VARIABLE))

    @property
    def visible(self) -> tuple[str, ...] | None:
        """Entries of CUDA_VISIBLE_DEVICES, in CUDA's own order; None if it is not known how many there are.

        As CUDA reads it: what follows the first entry that is no device is not seen.
        """
        if self.allowed is None:
            return None if self.count is None else tuple(map(str, range(self.count)))
        seen: list[str] = []
        for entry in map(str.strip, self.allowed.split(",")):
            if entry.isdecimal():
                is_there = self.count is None or int(entry) < self.count
            else:
                is_there = entry.startswith(("GPU-", "MIG-")) and self.count != 0
            if not is_there:
                break
            seen.append(entry)
        return tuple(seen)


def accelerator() -> dict[str, Json]:
    """Name and driver of the device that torch uses in this process; null if it is not imported or has none."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return {"gpu": None, "driver": None}
    return {"gpu": torch.cuda.get_device_name(0), "driver": f"CUDA {torch.version.cuda}"}


@cache
def _count_devices() -> int | None:
    if Path("/dev/kfd").exists():
        return None
    import ctypes

    try:
        driver = ctypes.CDLL("libnvidia-ml.so.1")
        number = ctypes.c_uint()
        if driver.nvmlInit_v2() or driver.nvmlDeviceGetCount_v2(ctypes.byref(number)):
            return 0
        driver.nvmlShutdown()
    except (OSError, AttributeError):
        return 0
    return number.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The place of one replica.

    Attributes:
        devices: as the user counts them; none is the CPU, or on another host all that it has.
        visible: the same as entries of CUDA_VISIBLE_DEVICES; of another host not known here.
        how: what starts it: local, srun, ssh or ray.
        host: the machine; empty for this one. For Ray the cluster's address.
        gpus: how many srun or Ray gives it; None if that is not decided yet.
        cpus: likewise; 0 if nothing is asked for.
        memory: MiB that srun gives it; 0 if nothing is asked for.
        spared: the node has GPUs and this replica takes none.
        share: replicas that share the cores of its machine.
        wanted: for Ray, the number of replicas that this place stands for; None for as many as fit.
        python: its Python; empty for the path of this one.
        shared: it reads images by their path.
    """

    devices: tuple[str, ...] = ()
    visible: tuple[str, ...] = ()
    how: str = "local"
    host: str = ""
    gpus: float | None = None
    cpus: int = 0
    memory: int = 0
    spared: bool = False
    share: int = 1
    wanted: int | None = None
    python: str = ""
    shared: bool = False

    @property
    def elsewhere(self) -> bool:
        """Whether another than this process starts it."""
        return self.how != "local"

    @property
    def machine(self) -> str:
        """The machine for a person: `host a`, `node n1`, `Ray`; empty for this one."""
        return {"local": "", "ssh": f"host {self.host}", "srun": f"node {self.host}", "ray": "Ray"}[self.how]

    @property
    def what(self) -> str:
        """What it has there: `device 0`, `2 GPUs`, `CPU`."""
        if self.devices:
            return f"device{'s' * (len(self.devices) > 1)} {','.join(self.devices)}"
        if self.gpus:
            return f"{self.gpus:g} GPU{'s' * (self.gpus > 1)}"
        return "all it has" if self.how == "ssh" else "CPU"

    def __str__(self) -> str:
        return ", ".join(filter(None, (self.machine, self.what)))

    def variables(self, replicas: int) -> dict[str, str]:
        """The environment variables that hold a replica to its devices; on the CPU replicas share its cores."""
        if self.visible:
            return {VARIABLE: ",".join(self.visible)}
        if self.elsewhere or replicas == 1 or "OMP_NUM_THREADS" in os.environ:
            return {}
        return {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // replicas))}


def place_replicas(replicas: int | None, devices: str | None, machine: Machine | None = None) -> tuple[Placement, ...]:
    """One placement for each replica; none if the model is opened in this process.

    Args:
        replicas: how many; None for one to a device.
        devices: indices among those CUDA_VISIBLE_DEVICES allows, or names as it takes them, with commas between; None
            for all that are there.
        machine: where; None for this one.

    Raises:
        HarnessError: a device is not there, or they cannot be shared out evenly.
    """
    names = [name for name in (devices or "").split(",") if name]
    if replicas is None and not names:
        return ()
    if replicas is not None and replicas < 1:
        raise HarnessError(f"replicas={replicas}: there must be at least 1", remedy="give -M replicas=1 or more")
    machine = machine or Machine.here()
    if names:
        chosen = [(name, find_entry(name, machine)) for name in names]
    elif machine.visible is None:
        raise HarnessError("it is not known how many devices this machine has", remedy="name them: --devices 0,1")
    else:
        chosen = [(str(index), entry) for index, entry in enumerate(machine.visible)]
    if len({entry for _, entry in chosen}) < len(chosen):
        raise HarnessError(f"devices={devices}: a device is named twice", remedy="-M replicas=2 puts two on one device")
    number = len(chosen) if replicas is None else replicas
    if not chosen:
        return (Placement(),) * number
    if len(chosen) % number and number % len(chosen):
        raise HarnessError(
            f"{len(chosen)} devices cannot be divided evenly among {number} replicas",
            where=f"devices {','.join(name for name, _ in chosen)}",
            remedy="name the devices with --devices, or give another number of replicas",
        )
    # devices to replicas, or replicas to devices, in order and evenly
    each, crowd = max(1, len(chosen) // number), max(1, number // len(chosen))
    groups = [chosen[start : start + each] for start in (index // crowd * each for index in range(number))]
    return tuple(
        Placement(devices=tuple(name for name, _ in group), visible=tuple(entry for _, entry in group))
        for group in groups
    )


def find_entry(name: str, machine: Machine) -> str:
    """The entry of CUDA_VISIBLE_DEVICES for a device as the user names it. Raises HarnessError if it is not there."""
    visible = machine.visible
    if visible is None:
        return name
    if name.isdecimal() and int(name) < len(visible):
        return visible[int(name)]
    named = [entry for entry in visible if not name.isdecimal() and entry.startswith(name)]
    if len(named) == 1:
        return named[0]
    if name.startswith(("GPU-", "MIG-")) and machine.allowed is None and machine.count:
        return name
    if not machine.count and machine.count is not None:
        raise HarnessError(
            f"there is no device {name!r}: this machine has no CUDA device", remedy="leave --devices out"
        )
    limits = f" with {VARIABLE}={machine.allowed}" if machine.allowed is not None else ""
    counted = (
        "no CUDA device" if not visible else "1 CUDA device" if len(visible) == 1 else f"{len(visible)} CUDA devices"
    )
    raise HarnessError(
        f"there is no device {name!r}: this process sees {counted}{limits}",
        remedy="they count from 0 among those this process sees",
    )


def format_devices(devices: object) -> object:
    """`devices` as text, `0,1`, if a config or Python gives a number or a list; anything else as it is."""
    if isinstance(devices, str):
        return ",".join(re.findall(r"[^][,\s\"']+", devices))  # a list may come as JSON
    if isinstance(devices, list | tuple):
        return ",".join(str(each) for each in cast("Sequence[object]", devices))
    return str(devices) if isinstance(devices, int) and not isinstance(devices, bool) else devices


def format_placements(placements: Sequence[Placement]) -> str:
    """Where a model runs, for a person: `4 processes: device 0 · device 1 · …`."""
    if not placements:
        return "this process"
    first = placements[0]
    if first.how == "ray" and first.gpus is None:
        number = f"{first.wanted} processes" if first.wanted else "one process for each GPU"
        return f"{number} in {f'the Ray cluster at {first.host}' if first.host else 'Ray on this machine'}"
    processes = "1 process" if len(placements) == 1 else f"{len(placements)} processes"
    if first.elsewhere:
        machines: dict[str, Counter[str]] = {}
        for each in placements:
            machines.setdefault(each.machine, Counter())[each.what] += 1
        parts: list[str] = []
        for machine, whats in machines.items():
            counted = (what if count == 1 else f"{count} of {what}" for what, count in whats.items())
            parts.append(f"{machine}: {' · '.join(counted)}")
        return f"{processes} ({first.how}): {'; '.join(parts)}"
    if not any(placement.devices for placement in placements):
        return f"{processes} on the CPU"
    return f"{processes}: {' · '.join(map(str, placements))}"
