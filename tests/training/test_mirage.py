"""Methods as values and in files; memory, time and devices before anything is loaded; and a launch by accelerate."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness_mirage import devices, harness_trainers, run
from harness_mirage.devices import FOLDER, GIB, Devices, count_processes, find_devices, launch, load_config
from harness_mirage.estimate import Size, check_memory, estimate_memory, estimate_seconds
from harness_mirage.methods import METHODS, MULTIMODAL, Method, parse_method
from harness_mirage.mixture import Mixture
from harness_mirage.trainers import load_method

from harness import BadData, HarnessError, Training, UnknownName
from tests.training.tiny_training import recipe
from tests.training.trained import data, record

ONE = {"layout": "mis"}
TWO = "compute_environment: LOCAL_MACHINE\ndistributed_type: MULTI_GPU\nnum_machines: 1\nnum_processes: 2\n"
#: `sitecustomize.py` of processes of which the second is killed in its seventh step. None of them ends its sixth alone,
#: so the checkpoint after the fifth is whole then.
DYING = """
import os

if os.environ.get("RANK") == "1":
    from harness_mirage.sft.trainer import GuardedTrainer

    step = GuardedTrainer.training_step

    def training_step(self, *rest, **more):
        if self.state.global_step == 6:
            os.kill(os.getpid(), 9)
        return step(self, *rest, **more)

    GuardedTrainer.training_step = training_step
"""


def method(**values: Any) -> Method:
    return parse_method({"name": "own", "description": "of a test", "ingredients": [ONE], **values}, "own.yaml")


def write(folder: Path, text: str, name: str = "own.yaml") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


class TestTheMethods:
    def test_are_those_of_the_paper_with_their_source_and_ones_of_the_users_own(self) -> None:
        assert [trainer.name for trainer in harness_trainers()] == [*(method.name for method in METHODS), "own"]
        assert all("2501.18533" in method.source for method in METHODS)

    def test_go_to_another_process_and_come_back_the_same(self, tmp_path: Path) -> None:
        asked = Training(
            model="m", data={"": tmp_path}, out=tmp_path / "out", hold_out=("a",), overrides={"batch": "2"}, launch="x"
        )
        for each in METHODS:
            again = devices.parse_request(devices.request_to_json(each, asked))
            assert again == (each, replace(asked, launch=""))


class TestAMethodInAFile:
    def test_is_named_by_the_file_and_trains_the_papers_parts(self, tmp_path: Path) -> None:
        found = load_method(write(tmp_path, "ingredients: [{layout: mis, count: 5}]\n", "My Pairs.yaml"))
        assert (found.name, found.trained, found.ingredients[0].count) == ("my-pairs", MULTIMODAL, 5)

    @pytest.mark.parametrize(
        ("values", "said"),
        [
            pytest.param({"trainde": ["language"]}, "no key 'trainde'", id="a key that is wrong"),
            pytest.param({"ingredients": [{"layuot": "mis"}]}, "did you mean 'layout'", id="a key of an ingredient"),
            pytest.param({"trained": ["eyes"]}, "there is no role 'eyes'", id="a role"),
            pytest.param({"ingredients": [{"layout": "miss"}]}, "there is no layout 'miss'", id="a layout"),
            pytest.param({"ingredients": [ONE | {"labels": "rude"}]}, "there is no labels 'rude'", id="labels"),
            pytest.param({"ingredients": []}, "list of ingredients", id="nothing to learn"),
            pytest.param({"trained": []}, "no part of the model would be trained", id="nothing that learns"),
            pytest.param({"ingredients": [{"name": "x"}]}, "says its layout", id="no layout"),
            pytest.param(
                {"ingredients": ONE}, "ingredients: a list is wanted, not a mapping (own.yaml)", id="a mapping"
            ),
            pytest.param({"name": 3}, "own.yaml", id="a name that is a number"),
            pytest.param({"name": "A b"}, "own.yaml", id="a name that is no name"),
            pytest.param({"trained": "language"}, "own.yaml", id="a text in place of a list"),
            pytest.param({"recipe": None}, "own.yaml", id="nothing in place of a text"),
            *(
                pytest.param({"ingredients": [ONE | amount]}, said, id=said)
                for amount, said in (
                    ({"count": -3}, "count: -3 is not a whole number from 1"),
                    ({"count": 0}, "count: 0 is not a whole number from 1"),
                    ({"share": 1.5}, "share: 1.5 is not between 0 and 1"),
                    ({"share": float("nan")}, "share: nan is not between 0 and 1"),
                    ({"count": 3, "share": 0.2}, "two amounts of one ingredient"),
                    ({"share": 0.5}, "nothing says how large that is"),
                    ({"count": "three"}, "count: a whole number is wanted, not 'three'"),
                    ({"count": True}, "count: a whole number is wanted, not true"),
                )
            ),
        ],
    )
    def test_is_refused_by_its_place_for(self, values: dict[str, Any], said: str) -> None:
        with pytest.raises(HarnessError) as raised:
            method(**values)
        assert said in str(raised.value)
        assert "own.yaml" in str(raised.value)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            (
                "recipe: mirrage\ningredients: [{layout: mis}]\n",
                r"'mirrage'[^?]*own\.yaml[^?]*did you mean 'mirage'",
            ),
            ("- mis\n", "a method is a mapping"),
        ],
        ids=["a recipe of no method", "no mapping"],
    )
    def test_is_refused_when_it_is_read_for(self, tmp_path: Path, text: str, said: str) -> None:
        with pytest.raises((UnknownName, BadData), match=said):
            load_method(write(tmp_path, text))


SEVEN = Size(
    parameters=8_000_000_000, learning=7_000_000_000, width=3584, layers=28, vocabulary=152_064, tokens=1500,
    longest=2000,
)  # fmt: skip
A100 = Devices(name="NVIDIA A100-SXM4-80GB", memory=80 * GIB)
EIGHT = replace(A100, count=8, sharding="FSDP")
FULL = recipe(precision="bf16", checkpointing=True)


class TestTheMemory:
    def test_of_full_tuning_is_that_of_weights_gradients_and_adam(self) -> None:
        its = estimate_memory(SEVEN, FULL, A100)
        assert (its.weights, its.gradients, its.optimizer) == (32e9, 28e9, 56e9)
        assert its.whole > its.fixed

    def test_is_dealt_out_by_sharding(self) -> None:
        one, eight = (estimate_memory(SEVEN, FULL, each) for each in (A100, EIGHT))
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


def test_the_time_follows_the_stated_rule_and_halves_with_twice_the_devices() -> None:
    one, two = (estimate_seconds(SEVEN, 1000, FULL, replace(A100, count=count)) for count in (1, 2))
    assert one == pytest.approx(1000 * 1500 * (6 * 8e9 + 2 * 7e9) / (312e12 * 0.35))
    assert two == pytest.approx(one / 2)


class TestAModelThatIsTooLarge:
    def test_is_refused_without_a_gpu_with_what_it_needs_and_what_would_do(self) -> None:
        with pytest.raises(HarnessError) as raised:
            check_memory(SEVEN, FULL, replace(A100, there=False), forced=False)
        needs = ("there is no GPU here", "8.0 billion parameters", "about 110.6 GiB on one GPU")
        ways = ("--set tuning=lora", "--set tuning=qlora", "fsdp-8", "zero3-1", "-S device=cpu")
        assert [each for each in (*needs, *ways) if each not in str(raised.value)] == []

    def test_is_refused_on_a_gpu_that_cannot_hold_it(self) -> None:
        with pytest.raises(HarnessError, match=r"which has 80\.0 GiB"):
            check_memory(SEVEN, FULL, A100, forced=False)

    def test_is_let_through_where_the_user_insists_on_the_cpu_or_has_enough_devices_or_it_is_small(self) -> None:
        check_memory(SEVEN, FULL, replace(A100, there=False), forced=True)
        check_memory(SEVEN, FULL, EIGHT, forced=False)
        check_memory(replace(SEVEN, parameters=2_000_000), FULL, Devices(), forced=False)


CONFIGS = [f"{kind}-{size}" for kind in ("fsdp", "zero3") for size in ("1", "4", "8", "nodes")]
FSDP = "distributed_type: FSDP\nnum_processes: 2\nfsdp_config: "
ZERO = "distributed_type: DEEPSPEED\nnum_processes: 2\ndeepspeed_config: "


class TestTheConfigurations:
    def test_are_there_for_one_four_and_eight_gpus_and_several_nodes(self) -> None:
        assert sorted(file.stem for file in FOLDER.glob("*.yaml")) == CONFIGS

    @pytest.mark.parametrize("name", CONFIGS)
    def test_are_ones_that_accelerate_reads_and_told_as_so_many_devices_that_share_a_model(self, name: str) -> None:
        from accelerate.commands.config.config_args import load_config_from_file

        read, its = load_config_from_file(str(devices.find_config_file(name))), find_devices(asked(name), small=False)
        kind, _, size = name.partition("-")
        assert read.num_processes == load_config(name)["num_processes"]
        assert str(read.distributed_type).rpartition(".")[2] == {"fsdp": "FSDP", "zero3": "DEEPSPEED"}[kind]
        assert its.sharding == {"fsdp": "FSDP", "zero3": "ZeRO-3"}[kind]
        assert its.count == (16 if size == "nodes" else int(size))
        assert its.offloaded == (size == "1")

    def test_of_nodes_take_their_number_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NNODES", "4")
        assert count_processes(load_config("zero3-nodes")) == 32
        for nodes in ("two", "0", "-1", ""):
            monkeypatch.setenv("NNODES", nodes)
            with pytest.raises(HarnessError, match=r"NNODES: .* is not a whole number from 1"):
                count_processes(load_config("zero3-nodes"))

    def test_that_are_not_there_are_named_nearly_or_told_with_what_can_be_named(self) -> None:
        with pytest.raises(UnknownName, match="did you mean 'zero3-8'"):
            load_config("zero3-9")
        with pytest.raises(
            HarnessError, match=r"no such file \(--launch none\.yaml\)\n  --launch takes fsdp-1, .*, or a file"
        ):
            load_config("none.yaml")

    @pytest.mark.parametrize("count", ["two", "0", "-1", "1.5", "true", "[2]", "null"])
    @pytest.mark.parametrize("name", ["num_processes", "num_machines"])
    def test_count_by_whole_numbers_from_one(self, tmp_path: Path, name: str, count: str) -> None:
        given = {"num_processes": "2", name: count}
        text = "distributed_type: MULTI_CPU\n" + "".join(f"{key}: {value}\n" for key, value in given.items())
        with pytest.raises(BadData, match=f"{name}: .* is not a whole number from 1"):
            load_config(str(write(tmp_path, text)))

    def test_of_the_users_own_must_say_how_many_processes_and_have_parts_that_are_mappings(
        self, tmp_path: Path
    ) -> None:
        with pytest.raises(BadData, match="num_processes"):
            load_config(str(write(tmp_path, "distributed_type: FSDP\n")))
        with pytest.raises(BadData, match="fsdp_config is a mapping"):
            load_config(str(write(tmp_path, FSDP + "full\n")))

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
    def test_of_fsdp_that_leave_the_weights_spread_over_the_devices_are_refused(
        self, tmp_path: Path, said: str
    ) -> None:
        with pytest.raises(BadData, match="no model would be written") as raised:
            load_config(str(write(tmp_path, f"{FSDP}{said}\n")))
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
    def test_of_fsdp_that_gather_them_are_taken_as_accelerate_takes_them(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
    ) -> None:
        monkeypatch.delenv("FSDP_STATE_DICT_TYPE", raising=False)
        own = str(write(tmp_path, f"{FSDP}{said}\n"))
        assert load_config(own)["distributed_type"] == "FSDP"
        assert read_by_accelerate(own, monkeypatch) == "FULL_STATE_DICT"

    @pytest.mark.parametrize("said", ["{fsdp_version: 2}", "{fsdp_state_dict_type: 3}"])
    def test_that_are_refused_are_those_that_accelerate_would_spread(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
    ) -> None:
        assert read_by_accelerate(str(write(tmp_path, f"{FSDP}{said}\n")), monkeypatch) == "SHARDED_STATE_DICT"

    def test_of_zero_that_leave_the_weights_spread_over_the_devices_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(BadData, match="no model would be written") as raised:
            load_config(str(write(tmp_path, f"{ZERO}{{zero_stage: 3}}\n")))
        assert "zero3_save_16bit_model: true" in raised.value.remedy
        whole = "zero_stage: 3, zero3_save_16bit_model: true"
        for said in (whole, "zero_stage: 2", "deepspeed_config_file: z.json"):
            assert load_config(str(write(tmp_path, f"{ZERO}{{{said}}}\n")))


def read_by_accelerate(file: str, monkeypatch: pytest.MonkeyPatch) -> str:
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


def asked(launch: str = "") -> Training:
    return Training(model="m", data={}, out=Path("out"), launch=launch)


@pytest.fixture
def quick(tmp_path: Path) -> Training:
    """A training of mini/base on a CPU."""
    root = data(tmp_path / "data")
    return Training(
        model="mini/base",
        data={"": root, "general": root / "general"},
        out=tmp_path / "out",
        overrides={"epochs": "1"},
        settings={"general_count": 3, "device": "cpu"},
    )


def test_a_training_reads_its_data_once(quick: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    mix = run.mix

    def count(method: Method, training: Training) -> Mixture:
        read.extend(training.data.values())
        return mix(method, training)

    monkeypatch.setattr(run, "mix", count)
    assert run.run_training(METHODS[0], quick) == quick.out
    assert read == list(quick.data.values())


class TestSeveralProcesses:
    def test_are_told_apart_by_their_rank(self) -> None:
        assert [devices.is_main_process(each) for each in ({}, {"RANK": "0"}, {"RANK": "1"})] == [True, True, False]

    @pytest.mark.parametrize(
        ("given", "seen"),
        [
            ({}, {"CUDA_VISIBLE_DEVICES": "0"}),
            ({"CUDA_VISIBLE_DEVICES": "2,3"}, {"CUDA_VISIBLE_DEVICES": "2"}),
            ({"CUDA_VISIBLE_DEVICES": ""}, {"CUDA_VISIBLE_DEVICES": ""}),
            ({"WORLD_SIZE": "8"}, {}),
        ],
    )
    def test_are_none_without_a_launch_so_one_gpu_is_seen(self, given: dict[str, str], seen: dict[str, str]) -> None:
        assert devices.single_gpu_environment(given) == seen

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            pytest.param("fsdp-nodes", "NODE_RANK, MASTER_ADDR, MASTER_PORT", id="which node this is"),
            pytest.param("fsdp-9", "did you mean 'fsdp-8'", id="a configuration that is there"),
            pytest.param("fsdp-8", "needs 8 GPUs, and 0 can be seen here", id="the GPUs of their configuration"),
            pytest.param("zero3-8", "needs DeepSpeed", id="the packages of their configuration"),
        ],
    )
    def test_want_to_know(self, name: str, said: str) -> None:
        with pytest.raises(HarnessError, match=said):
            launch(METHODS[0], asked(name))

    def test_see_every_gpu_that_the_user_shows(
        self, quick: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[str | None] = []

        def start(method: Method, training: Training, *_: object) -> Path:
            seen.append(os.environ.get("CUDA_VISIBLE_DEVICES"))
            return training.out

        monkeypatch.setattr(run, "launch", start)
        monkeypatch.setattr(run, "train", start)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        for each in (replace(quick, launch=str(write(tmp_path, TWO))), quick):
            run.run_training(METHODS[0], each)
        assert seen == [None, "0"]
        assert "CUDA_VISIBLE_DEVICES" not in os.environ

    @pytest.mark.slow
    def test_end_when_one_is_killed_leave_no_model_and_go_on_from_the_checkpoint(
        self, quick: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "dying").mkdir()
        (tmp_path / "dying" / "sitecustomize.py").write_text(DYING, encoding="utf-8")
        settings = {**quick.settings, "save_every": 5}
        several = replace(quick, launch=str(write(tmp_path, TWO)), settings=settings)
        several = replace(several, overrides={"batch": "4", "epochs": "12"})
        with monkeypatch.context() as patch:
            patch.setenv("PYTHONPATH", str(tmp_path / "dying"), prepend=os.pathsep)
            with pytest.raises(HarnessError, match="a process of the training ended early"):
                launch(METHODS[0], several)
        assert "Traceback" not in capfd.readouterr().err
        assert not quick.out.exists()
        assert launch(METHODS[0], several) == quick.out
        told = record(quick.out)["training"]
        assert told["resumed_from"] == 5
        assert told["steps"] == len((quick.out / "history.jsonl").read_text(encoding="utf-8").splitlines()) == 36
