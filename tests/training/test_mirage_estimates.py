"""Memory, time and devices are told before anything is loaded, and what cannot fit or start is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness_mirage.devices import (
    FOLDER,
    GIB,
    Devices,
    count_processes,
    find_config_file,
    find_devices,
    load_config,
)
from harness_mirage.estimate import Size, check_memory, estimate_memory, estimate_seconds

from harness import BadData, HarnessError, Training, UnknownName
from tests.training.tiny_training import recipe

SEVEN = Size(
    parameters=8_000_000_000,
    learning=7_000_000_000,
    width=3584,
    layers=28,
    vocabulary=152_064,
    tokens=1500,
    longest=2000,
)
A100 = Devices(name="NVIDIA A100-SXM4-80GB", memory=80 * GIB)
FULL = recipe(precision="bf16", checkpointing=True)
CONFIGS = sorted(file.stem for file in FOLDER.glob("*.yaml"))


def asked(launch: str = "", **settings: Any) -> Training:
    return Training(model="m", data={}, out=Path("out"), launch=launch, settings=settings)


class TestTheMemory:
    def test_of_full_tuning_is_that_of_weights_gradients_and_adam(self) -> None:
        its = estimate_memory(SEVEN, FULL, A100)

        assert (its.weights, its.gradients, its.optimizer) == (32e9, 28e9, 56e9)
        assert its.whole > its.fixed

    def test_is_dealt_out_by_sharding(self) -> None:
        one, eight = (
            estimate_memory(SEVEN, FULL, A100),
            estimate_memory(SEVEN, FULL, replace(A100, count=8, sharding="FSDP")),
        )

        assert eight.gradients == one.gradients / 8
        assert eight.optimizer == one.optimizer / 8
        assert one.weights / 8 < eight.weights < one.weights / 4  # a layer is gathered at a time

    def test_lies_with_the_host_where_it_is_offloaded(self) -> None:
        its = estimate_memory(SEVEN, FULL, replace(A100, sharding="ZeRO-3", offloaded=True))

        assert its.host == estimate_memory(SEVEN, FULL, A100).fixed
        assert its.fixed < 2e9

    def test_falls_with_adapters_and_again_with_four_bits(self) -> None:
        small = replace(SEVEN, learning=40_000_000)
        full, lora, qlora = (
            estimate_memory(SEVEN if how == "full" else small, recipe(tuning=how, precision="bf16"), A100).fixed
            for how in ("full", "lora", "qlora")
        )

        assert full > 5 * lora > 10 * qlora

    def test_of_activations_falls_with_checkpointing(self) -> None:
        whole = estimate_memory(SEVEN, recipe(precision="bf16", checkpointing=False), A100).activations

        assert estimate_memory(SEVEN, FULL, A100).activations < whole / 2


class TestTheTime:
    def test_halves_with_twice_the_devices(self) -> None:
        assert estimate_seconds(SEVEN, 1000, FULL, replace(A100, count=2)) == pytest.approx(
            estimate_seconds(SEVEN, 1000, FULL, A100) / 2
        )

    def test_follows_the_stated_rule(self) -> None:
        operations = 1000 * 1500 * (6 * 8e9 + 2 * 7e9)

        assert estimate_seconds(SEVEN, 1000, FULL, A100) == pytest.approx(operations / (312e12 * 0.35))


class TestAModelThatIsTooLarge:
    def test_is_refused_without_a_gpu_with_what_it_needs_and_what_would_do(self) -> None:
        with pytest.raises(HarnessError) as raised:
            check_memory(SEVEN, FULL, replace(A100, there=False), forced=False)

        said = str(raised.value)
        assert "there is no GPU here" in said
        assert "8.0 billion parameters" in said
        assert "about 110.6 GiB on one GPU" in said
        for way in ("--set tuning=lora", "--set tuning=qlora", "fsdp-8", "zero3-1", "-S device=cpu"):
            assert way in said

    def test_is_refused_on_a_gpu_that_cannot_hold_it(self) -> None:
        with pytest.raises(HarnessError, match=r"which has 80\.0 GiB"):
            check_memory(SEVEN, FULL, A100, forced=False)

    def test_is_let_through_where_the_user_insists_on_the_cpu(self) -> None:
        check_memory(SEVEN, FULL, replace(A100, there=False), forced=True)

    def test_is_let_through_on_enough_devices(self) -> None:
        check_memory(SEVEN, FULL, replace(A100, count=8, sharding="FSDP"), forced=False)

    def test_would_run_on_the_cpu_if_it_were_small(self) -> None:
        check_memory(replace(SEVEN, parameters=2_000_000), FULL, Devices(), forced=False)


class TestTheConfigurations:
    def test_are_there_for_one_four_and_eight_gpus_and_several_nodes(self) -> None:
        assert [f"{kind}-{size}" for kind in ("fsdp", "zero3") for size in ("1", "4", "8", "nodes")] == CONFIGS

    @pytest.mark.parametrize("name", CONFIGS)
    def test_are_ones_that_accelerate_reads(self, name: str) -> None:
        from accelerate.commands.config.config_args import load_config_from_file

        read = load_config_from_file(str(find_config_file(name)))

        assert read.num_processes == load_config(name)["num_processes"]
        assert str(read.distributed_type).rpartition(".")[2] == ("FSDP" if name.startswith("fsdp") else "DEEPSPEED")

    @pytest.mark.parametrize("name", CONFIGS)
    def test_are_told_as_so_many_devices_that_share_a_model(self, name: str) -> None:
        its = find_devices(asked(name), small=False)
        kind, _, size = name.partition("-")

        assert its.sharding == {"fsdp": "FSDP", "zero3": "ZeRO-3"}[kind]
        assert its.count == (16 if size == "nodes" else int(size))
        assert its.offloaded == (size == "1")

    def test_of_nodes_take_their_number_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NNODES", "4")

        assert count_processes(load_config("zero3-nodes")) == 32

    def test_that_are_not_there_are_named_nearly(self) -> None:
        with pytest.raises(UnknownName, match="did you mean 'zero3-8'"):
            load_config("zero3-9")

    def test_of_the_users_own_that_are_not_there_are_told_with_what_can_be_named(self) -> None:
        with pytest.raises(
            HarnessError, match=r"no such file \(--launch none\.yaml\)\n  --launch takes fsdp-1, .*, or a file"
        ):
            load_config("none.yaml")

    def test_of_the_users_own_must_say_how_many_processes(self, tmp_path: Path) -> None:
        own = tmp_path / "own.yaml"
        own.write_text("distributed_type: FSDP\n", encoding="utf-8")

        with pytest.raises(BadData, match="num_processes"):
            load_config(str(own))


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
