"""What `replicas` and `devices` come to: which process may use which device."""

from typing import Any

import pytest

from harness.errors import HarnessError
from harness.replicas.placement import Machine, Placement, format_devices, format_placements, place_replicas

FOUR = Machine(count=4)
NONE = Machine(count=0)
UNKNOWN = Machine(count=None)


def entries(replicas: int | None, devices: str | None, machine: Machine) -> list[str]:
    """CUDA_VISIBLE_DEVICES of each replica."""
    return [",".join(place.visible) for place in place_replicas(replicas, devices, machine)]


@pytest.mark.parametrize(
    ("replicas", "devices", "each"),
    [
        (None, None, []),
        (None, "", []),
        (None, "2", ["2"]),
        (None, "0,1,3", ["0", "1", "3"]),
        (2, "0,1,2,3", ["0,1", "2,3"]),
        (1, "1,0", ["1,0"]),
        (2, None, ["0,1", "2,3"]),
        (4, "0,1", ["0", "0", "1", "1"]),
        (1, None, ["0,1,2,3"]),
    ],
)
def test_devices_are_shared_out_evenly_and_in_order(replicas: int | None, devices: str | None, each: list[str]) -> None:
    assert entries(replicas, devices, FOUR) == each


def test_without_a_device_the_replicas_share_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    assert place_replicas(2, None, NONE) == (Placement(), Placement())
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert Placement().variables(1) == {}
    assert Placement().variables(1000) == {"OMP_NUM_THREADS": "1"}
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert Placement().variables(1000) == {}


def test_a_device_is_the_only_one_its_replica_sees() -> None:
    assert Placement(devices=("0",), visible=("GPU-5",)).variables(4) == {"CUDA_VISIBLE_DEVICES": "GPU-5"}


@pytest.mark.parametrize(
    ("allowed", "devices", "each"),
    [
        ("2,3", "0,1", ["2", "3"]),
        (" 3 , 1 ", "1", ["1"]),
        ("GPU-aa11,MIG-bb22", "1,0", ["MIG-bb22", "GPU-aa11"]),
        ("GPU-aa11,GPU-bb22", "GPU-bb22", ["GPU-bb22"]),
        ("GPU-aa11,GPU-bb22", "GPU-b", ["GPU-bb22"]),
        (None, "GPU-aa11", ["GPU-aa11"]),
    ],
)
def test_devices_are_counted_among_those_that_are_allowed(allowed: str | None, devices: str, each: list[str]) -> None:
    assert entries(None, devices, Machine(count=4, allowed=allowed)) == each


@pytest.mark.parametrize(
    ("replicas", "devices", "machine", "said"),
    [
        (None, "4", FOUR, "there is no device '4': this process sees 4 CUDA devices"),
        (None, "1", Machine(count=4, allowed="2"), "this process sees 1 CUDA device with CUDA_VISIBLE_DEVICES=2"),
        (None, "1", Machine(count=4, allowed="0,-1,1"), "this process sees 1 CUDA device with"),
        (None, "1", Machine(count=4, allowed="0,9"), "this process sees 1 CUDA device with"),
        (None, "0", Machine(count=4, allowed=""), "this process sees no CUDA device with"),
        (None, "GPU-cc", Machine(count=4, allowed="GPU-aa11"), "there is no device 'GPU-cc'"),
        (None, "x", FOUR, "there is no device 'x'"),
        (None, "0", NONE, "this machine has no CUDA device"),
        (None, "0", Machine(count=0, allowed="0"), "this machine has no CUDA device"),
        (None, "0,1,0", FOUR, "a device is named twice"),
        (2, "0,1,2", FOUR, "3 devices cannot be divided evenly among 2 replicas"),
        (3, None, FOUR, "4 devices cannot be divided evenly among 3 replicas"),
        (0, None, FOUR, "replicas=0: there must be at least 1"),
        (2, None, UNKNOWN, "it is not known how many devices this machine has"),
    ],
)
def test_a_device_that_is_not_there_is_refused(
    replicas: int | None, devices: str | None, machine: Machine, said: str
) -> None:
    with pytest.raises(HarnessError) as caught:
        place_replicas(replicas, devices, machine)
    assert said in caught.value.what


def test_where_nobody_can_count_the_devices_those_named_are_believed() -> None:
    assert entries(None, "0,7", UNKNOWN) == ["0", "7"]
    assert entries(None, "1", Machine(count=None, allowed="3,5")) == ["5"]


@pytest.mark.parametrize(
    ("given", "text"), [("0, 1", "0,1"), (0, "0"), ([0, 1], "0,1"), ((2,), "2"), ('["0", 1]', "0,1"), (None, None)]
)
def test_devices_may_be_given_as_a_number_a_list_or_a_text(given: Any, text: str | None) -> None:
    assert format_devices(given) == text


def test_a_person_reads_where_the_model_is() -> None:
    assert format_placements(()) == "this process"
    assert format_placements(place_replicas(2, None, NONE)) == "2 processes on the CPU"
    assert format_placements(place_replicas(2, "0,1,2,3", FOUR)) == "2 processes: devices 0,1 · devices 2,3"
    assert format_placements(place_replicas(None, "3", FOUR)) == "1 process: device 3"
