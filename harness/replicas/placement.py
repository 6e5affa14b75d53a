"""Where the replicas of a local model run: what `replicas` and `devices` mean on the CUDA devices of this machine.

The devices are found without importing torch: that takes seconds, and holds a device.
"""

from __future__ import annotations

import os
import re
import sys
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
        help="CUDA devices, such as 0,1,2,3, shared out evenly among the replicas",
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
            if not self._is_there(entry):
                break
            seen.append(entry)
        return tuple(seen)

    def _is_there(self, entry: str) -> bool:
        if entry.isdecimal():
            return self.count is None or int(entry) < self.count
        return entry.startswith(("GPU-", "MIG-")) and self.count != 0


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
    """The devices of one replica.

    Attributes:
        devices: as the user counts them; none is the CPU.
        visible: the same as entries of CUDA_VISIBLE_DEVICES.
    """

    devices: tuple[str, ...] = ()
    visible: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.devices:
            return "CPU"
        return f"device{'s' * (len(self.devices) > 1)} {','.join(self.devices)}"

    def variables(self, replicas: int) -> dict[str, str]:
        """The environment variables that hold a replica to its devices; on the CPU replicas share its cores."""
        if self.visible:
            return {VARIABLE: ",".join(self.visible)}
        if replicas == 1 or "OMP_NUM_THREADS" in os.environ:
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
        raise HarnessError(f"replicas={replicas}: there must be at least 1")
    machine = machine or Machine.here()
    if names:
        chosen = [(name, _find_entry(name, machine)) for name in names]
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
            f"{len(chosen)} devices cannot be shared out evenly among {number} replicas",
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


def _find_entry(name: str, machine: Machine) -> str:
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
    processes = "1 process" if len(placements) == 1 else f"{len(placements)} processes"
    if not any(placement.devices for placement in placements):
        return f"{processes} on the CPU"
    return f"{processes}: {' · '.join(map(str, placements))}"
