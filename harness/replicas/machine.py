"""The CUDA devices of this machine, found without importing torch: that takes seconds, and holds a device."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.types import Json

VARIABLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What there is, and what of it this process may use.

    Attributes:
        count: devices of the machine; None where that cannot be told (AMD's, which the same variable selects).
        allowed: CUDA_VISIBLE_DEVICES; None where it is not set.
    """

    count: int | None
    allowed: str | None = None

    @staticmethod
    def here() -> Machine:
        """This machine, and this process's environment as it is now."""
        return Machine(count=_count(), allowed=os.environ.get(VARIABLE))

    @property
    def visible(self) -> tuple[str, ...] | None:
        """Entries of CUDA_VISIBLE_DEVICES, in CUDA's own order; None where nobody can tell how many there are.

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
    """Name and driver of the device that torch uses in this process; null where it is not imported or has none."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return {"gpu": None, "driver": None}
    return {"gpu": torch.cuda.get_device_name(0), "driver": f"CUDA {torch.version.cuda}"}


@cache
def _count() -> int | None:
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
