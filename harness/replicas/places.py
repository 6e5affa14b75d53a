"""Where the replicas of a local model run: what `replicas` and `devices` come to on a machine."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

from harness.errors import HarnessError
from harness.replicas.machine import VARIABLE, Machine
from harness.types import Setting

#: what every provider with `local=True` takes without declaring it
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
class Place:
    """What one replica may use.

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


def places(replicas: int | None, devices: str | None, machine: Machine | None = None) -> tuple[Place, ...]:
    """One place for each replica; none where the model is opened in this process.

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
    chosen = [(name, _entry(name, machine)) for name in names] or _all(machine)
    if len({entry for _, entry in chosen}) < len(chosen):
        raise HarnessError(f"devices={devices}: a device is named twice", remedy="-M replicas=2 puts two on one device")
    return _shared(chosen, len(chosen) if replicas is None else replicas)


def spelled(devices: object) -> object:
    """`devices` as text, `0,1`, where a config or Python gives a number or a list; anything else as it is."""
    if isinstance(devices, str):
        return ",".join(re.findall(r"[^][,\s\"']+", devices))  # a list may come as JSON
    if isinstance(devices, list | tuple):
        return ",".join(str(each) for each in cast("Sequence[object]", devices))
    return str(devices) if isinstance(devices, int) and not isinstance(devices, bool) else devices


def told(where: Sequence[Place]) -> str:
    """What a person reads of the places: `4 processes: device 0 · device 1 · …`."""
    if not where:
        return "this process"
    if not any(place.devices for place in where):
        return f"{_processes(len(where))} on the CPU"
    return f"{_processes(len(where))}: {' · '.join(map(str, where))}"


def environment(place: Place, replicas: int) -> dict[str, str]:
    """The variables that hold a replica to its place; on the CPU they share its cores."""
    if place.visible:
        return {VARIABLE: ",".join(place.visible)}
    if replicas == 1 or "OMP_NUM_THREADS" in os.environ:
        return {}
    return {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // replicas))}


def _processes(number: int) -> str:
    return "1 process" if number == 1 else f"{number} processes"


def _all(machine: Machine) -> list[tuple[str, str]]:
    """All devices that are there, by index; none on a machine without any."""
    if machine.visible is None:
        raise HarnessError("how many devices this machine has cannot be told", remedy="name them: --devices 0,1")
    return [(str(index), entry) for index, entry in enumerate(machine.visible)]


def _entry(name: str, machine: Machine) -> str:
    """The entry of CUDA_VISIBLE_DEVICES for a device as the user names it."""
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
    raise _missing(name, machine, len(visible))


def _missing(name: str, machine: Machine, there: int) -> HarnessError:
    if not machine.count and machine.count is not None:
        return HarnessError(
            f"there is no device {name!r}: this machine has no CUDA device", remedy="leave --devices out"
        )
    limits = f" with {VARIABLE}={machine.allowed}" if machine.allowed is not None else ""
    counted = "no CUDA device" if not there else "1 CUDA device" if there == 1 else f"{there} CUDA devices"
    return HarnessError(
        f"there is no device {name!r}: this process sees {counted}{limits}",
        remedy="they count from 0 among those this process sees",
    )


def _shared(chosen: Sequence[tuple[str, str]], number: int) -> tuple[Place, ...]:
    """Devices to replicas, or replicas to devices, in order and evenly."""
    if not chosen:
        return (Place(),) * number
    if len(chosen) % number and number % len(chosen):
        raise HarnessError(
            f"{len(chosen)} devices cannot be shared out evenly among {number} replicas",
            where=f"devices {','.join(name for name, _ in chosen)}",
            remedy="name the devices with --devices, or give another number of replicas",
        )
    each, crowd = max(1, len(chosen) // number), max(1, number // len(chosen))
    starts = [index // crowd * each for index in range(number)]
    groups = [chosen[start : start + each] for start in starts]
    return tuple(
        Place(devices=tuple(name for name, _ in group), visible=tuple(entry for _, entry in group)) for group in groups
    )
