"""Where a replica finds itself on another machine: folder, environment and devices, which come with the first frame.

A launcher carries little of the run's environment, and a command line is seen by everybody on the machine. So the
variables that a model may need go through the pipe. They are those of known libraries, and those that the user names.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from harness.errors import HarnessError
from harness.replicas.placement import VARIABLE, Machine, Placement, find_entry
from harness.types import Json

#: what another machine's replicas get of the environment, by the beginning of the name
PREFIXES: Final = (
    *("HF_", "HUGGING_FACE_", "HUGGINGFACE_", "TRANSFORMERS_", "DIFFUSERS_", "TOKENIZERS_", "SAFETENSORS_"),
    *("TORCH_", "TORCHINDUCTOR_", "PYTORCH_", "TRITON_", "VLLM_", "CUDA_", "CUBLAS_", "NCCL_", "OMP_", "MKL_"),
    *("HARNESS_", "XDG_CACHE_HOME", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)
#: names of more variables, with commas between
NAMED: Final = "HARNESS_SEND_ENV"
#: of these all replicas must have the same version: their answers could differ
PACKAGES: Final = ("torch", "transformers", "vllm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a replica is told of its place.

    Attributes:
        machine: name for errors; empty for the run's own machine, where the launcher has set all this.
        folder: the run's working folder; entered if it is there.
        devices: CUDA devices, as the user counts them.
        share: replicas among which this machine's cores are shared; 1 leaves them alone.
        variables: of the environment.
    """

    machine: str = ""
    folder: str = ""
    devices: tuple[str, ...] = ()
    share: int = 1
    variables: Mapping[str, str] = field(default_factory=dict[str, str])

    @staticmethod
    def of(place: Placement) -> Surroundings:
        """What a replica is told that this process starts at a place."""
        if not place.elsewhere:
            return Surroundings()
        return Surroundings(
            machine=place.machine,
            folder=str(Path.cwd()),
            devices=place.devices,
            share=place.share,
            variables=choose_variables(os.environ) if place.how != "srun" else {},  # srun carries them all
        )

    def to_json(self) -> Json:
        """As a frame holds it."""
        return {name: getattr(self, name) for name in self.__slots__}

    @staticmethod
    def from_json(body: Mapping[str, Json]) -> Surroundings:
        """The same again."""
        values: dict[str, Any] = {**body, "devices": tuple(body["devices"])}
        return Surroundings(**values)

    @property
    def elsewhere(self) -> bool:
        """Whether this is another machine than the run's."""
        return bool(self.machine)

    def enter(self) -> None:
        """Take it on in this process. Raises HarnessError if a device is not there."""
        if not self.elsewhere:
            return
        os.environ.update(self.variables)
        with suppress(OSError):
            os.chdir(self.folder)
        if self.devices:
            here = Machine.here()
            try:
                os.environ[VARIABLE] = ",".join(find_entry(name, here) for name in self.devices)
            except HarnessError as error:
                raise HarnessError(f"{self.machine}: {error.what}", remedy="name those that are there") from error
        if self.share > 1:
            os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // self.share)))


def choose_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that go to another machine."""
    named = {name.strip() for name in environment.get(NAMED, "").split(",")}
    return {
        name: value
        for name, value in environment.items()
        if name != VARIABLE and (name.startswith(PREFIXES) or name in named)
    }


def list_versions() -> dict[str, str]:
    """Package -> version of those whose answers could differ, and the name of this machine."""
    found = {"host": platform.node(), "python": platform.python_version()}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
