"""An accelerate configuration that would start nothing, or leave no model, is refused with what to write."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness_mirage.devices import count_processes, load_config

from harness import BadData, HarnessError

FSDP = "distributed_type: FSDP\nnum_processes: 2\nfsdp_config: "
ZERO = "distributed_type: DEEPSPEED\nnum_processes: 2\ndeepspeed_config: "


def own(folder: Path, text: str) -> str:
    file = folder / "own.yaml"
    file.write_text(text, encoding="utf-8")
    return str(file)


@pytest.mark.parametrize("count", ["two", "0", "-1", "1.5", "true", "[2]", "null"])
@pytest.mark.parametrize("name", ["num_processes", "num_machines"])
def test_a_count_is_a_whole_number_from_one(tmp_path: Path, name: str, count: str) -> None:
    given = {"num_processes": "2", name: count}
    text = "distributed_type: MULTI_CPU\n" + "".join(f"{key}: {value}\n" for key, value in given.items())
    with pytest.raises(BadData, match=f"{name}: .* is not a whole number from 1"):
        load_config(own(tmp_path, text))


@pytest.mark.parametrize("nodes", ["two", "0", "-1", ""])
def test_the_number_of_nodes_is_one_too(monkeypatch: pytest.MonkeyPatch, nodes: str) -> None:
    monkeypatch.setenv("NNODES", nodes)
    with pytest.raises(HarnessError, match=r"NNODES: .* is not a whole number from 1"):
        count_processes(load_config("zero3-nodes"))


def test_a_part_is_a_mapping(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="fsdp_config is a mapping"):
        load_config(own(tmp_path, FSDP + "full\n"))


@pytest.mark.parametrize(
    "said",
    [
        "{fsdp_version: 2, fsdp_state_dict_type: SHARDED_STATE_DICT}",
        "{fsdp_version: 1, fsdp_state_dict_type: SHARDED_STATE_DICT}",
        "{fsdp_state_dict_type: LOCAL_STATE_DICT}",
        "{version: 2, state_dict_type: sharded_state_dict}",
        "{fsdp_state_dict_type: 3}",
        "{fsdp_version: 2}",
    ],
)
def test_fsdp_that_leaves_the_weights_spread_over_the_devices_is_refused(tmp_path: Path, said: str) -> None:
    with pytest.raises(BadData, match="no model would be written") as raised:
        load_config(own(tmp_path, f"{FSDP}{said}\n"))
    assert raised.value.remedy == "fsdp_config: {fsdp_state_dict_type: FULL_STATE_DICT}"


@pytest.mark.parametrize(
    "said",
    [
        "{fsdp_version: 2, fsdp_state_dict_type: FULL_STATE_DICT}",
        "{version: 2, state_dict_type: full_state_dict}",
        "{fsdp_state_dict_type: 1}",
        "{fsdp_version: 1}",
        "{}",
    ],
)
def test_fsdp_that_gathers_them_is_taken_as_accelerate_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.delenv("FSDP_STATE_DICT_TYPE", raising=False)
    given = own(tmp_path, f"{FSDP}{said}\n")
    assert load_config(given)["distributed_type"] == "FSDP"
    assert kept_by_accelerate(given, monkeypatch) == "FULL_STATE_DICT"


@pytest.mark.parametrize("said", ["{fsdp_version: 2}", "{fsdp_state_dict_type: 3}"])
def test_what_is_refused_is_what_accelerate_would_spread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    assert kept_by_accelerate(own(tmp_path, f"{FSDP}{said}\n"), monkeypatch) == "SHARDED_STATE_DICT"


def test_zero_that_leaves_the_weights_spread_over_the_devices_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="no model would be written") as raised:
        load_config(own(tmp_path, f"{ZERO}{{zero_stage: 3}}\n"))
    assert "zero3_save_16bit_model: true" in raised.value.remedy
    for said in ("{zero_stage: 3, zero3_save_16bit_model: true}", "{zero_stage: 2}", "{deepspeed_config_file: z.json}"):
        assert load_config(own(tmp_path, f"{ZERO}{said}\n"))


def kept_by_accelerate(file: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """How accelerate's launcher, given this file, tells its processes to keep the weights, as they read it."""
    from accelerate.commands import launch
    from accelerate.utils import FullyShardedDataParallelPlugin
    from accelerate.utils.launch import prepare_multi_gpu_env

    words = ["--config_file", file, "train.py"]
    args, *_ = launch._validate_launch_command(launch.launch_command_parser().parse_args(words))
    for name, value in prepare_multi_gpu_env(args).items():
        if name.startswith("FSDP_"):
            monkeypatch.setenv(name, value)
    plugin = FullyShardedDataParallelPlugin.__new__(FullyShardedDataParallelPlugin)
    plugin.fsdp_version, plugin.state_dict_type = int(args.fsdp_version), None
    plugin.state_dict_config = plugin.optim_state_dict_config = None
    plugin.set_state_dict_type()
    return plugin.state_dict_type.name
