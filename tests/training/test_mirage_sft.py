"""Fitting: what learns and what stays, on one device or several, and what comes of a kill, a full disk and a NaN."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness_mirage.methods import LANGUAGE
from harness_mirage.mixture import Picture, Record

from harness import HarnessError
from harness.errors import IdentityMismatch
from harness.readers import open_files
from tests.plugins.tiny.folders import Folders
from tests.training.spread_training import RECIPE, RECORDS
from tests.training.tiny_training import (
    KNOWN,
    METHOD,
    fitted,
    kinds,
    mixture,
    pair,
    picture,
    recipe,
    record,
    training,
    weights,
)


def changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if not (before[name] == after[name]).all()}


def mixed_formats(base: Path, folder: Path) -> Path:
    """A base whose configuration says bfloat16, and whose norms and vision tower are stored in float32."""
    import torch
    from safetensors.torch import save_file

    shutil.copytree(base, folder)
    for file in folder.glob("*.safetensors"):
        held = weights(folder)
        wide = {name for name in held if is_vision(name) or "norm" in name}
        for name, each in held.items():
            held[name] = (each + 1e-4).float() if name in wide else each.to(torch.bfloat16)
        save_file(held, file, metadata={"format": "pt"})
    config = folder / "config.json"
    config.write_text(config.read_text(encoding="utf-8").replace('"float32"', '"bfloat16"'), encoding="utf-8")
    return folder


def losses(made: Any) -> list[float]:
    return [row["loss"] for row in made.history]


class TestFullTuning:
    @pytest.mark.parametrize("name", KNOWN)
    def test_leaves_the_vision_tower_bit_by_bit_as_it_was_and_changes_the_rest(
        self, folders: Folders, tmp_path: Path, name: str
    ) -> None:
        made = fitted(training(folders[name], tmp_path / "out"), kinds() * 2, recipe(epochs=2.0))
        moved = changed(weights(folders[name]), weights(made.folder))

        assert made.kind == "model"
        assert moved
        assert not {each for each in moved if is_vision(each)}
        assert {"projector", "language"} <= {part_of(each) for each in moved}
        assert made.steps == len(made.history) == 8

    def test_of_the_language_model_alone_leaves_the_projector_too(self, folders: Folders, tmp_path: Path) -> None:
        made = fitted(
            training(folders["qwen2_vl"], tmp_path / "out"), kinds(), method=replace(METHOD, trained=LANGUAGE)
        )

        assert {part_of(each) for each in changed(weights(folders["qwen2_vl"]), weights(made.folder))} == {"language"}
        assert made.counts["projector"][1] == made.counts["vision"][1] == 0

    def test_writes_the_number_format_of_the_base(self, folders: Folders, tmp_path: Path) -> None:
        import torch
        import transformers

        half = tmp_path / "half"
        model = transformers.AutoModelForImageTextToText.from_pretrained(folders["qwen2_vl"])
        model.to(torch.bfloat16).save_pretrained(half)
        transformers.AutoProcessor.from_pretrained(folders["qwen2_vl"]).save_pretrained(half)
        made = fitted(training(half, tmp_path / "out"), kinds())
        moved = changed(weights(half), weights(made.folder))

        assert {each.dtype for each in weights(made.folder).values()} == {torch.bfloat16}
        assert '"float32"' not in (made.folder / "config.json").read_text()
        assert moved
        assert "vision" not in {part_of(each) for each in moved}

    def test_keeps_each_tensor_in_its_own_number_format_where_the_base_mixes_them(
        self, folders: Folders, tmp_path: Path
    ) -> None:
        import torch

        base = mixed_formats(folders["qwen2_vl"], tmp_path / "mixed")
        before, made = weights(base), fitted(training(base, tmp_path / "out"), kinds())
        after = weights(made.folder)

        assert {name: each.dtype for name, each in after.items()} == {name: each.dtype for name, each in before.items()}
        assert {each.dtype for each in after.values()} == {torch.float32, torch.bfloat16}
        assert not [name for name in before if is_vision(name) and not torch.equal(before[name], after[name])]

    def test_gives_a_folder_that_answers(self, folders: Folders, tmp_path: Path) -> None:
        import transformers

        made = fitted(training(folders["internvl"], tmp_path / "out"), kinds())
        model = transformers.AutoModelForImageTextToText.from_pretrained(made.folder)
        processor = transformers.AutoProcessor.from_pretrained(made.folder)
        inputs = processor(text=["<|im_start|>user\nHi"], return_tensors="pt")

        assert model.generate(**inputs, max_new_tokens=2).shape[1] == inputs["input_ids"].shape[1] + 2
        assert oct((made.folder / "model.safetensors").stat().st_mode)[-3:] == "644"

    def test_learns_the_answers(self, folders: Folders, tmp_path: Path) -> None:
        how = recipe(epochs=30.0, batch=4)
        made = fitted(training(folders["qwen2_vl"], tmp_path / "out"), [pair(0), pair(1)] * 2, how)

        assert losses(made)[-1] < 0.5 < losses(made)[0]

    def test_with_recomputed_activations_gives_the_same_losses(self, folders: Folders, tmp_path: Path) -> None:
        made = [
            fitted(training(folders["qwen2_vl"], tmp_path / str(each)), kinds(), recipe(checkpointing=each))
            for each in (False, True)
        ]

        assert losses(made[0]) == pytest.approx(losses(made[1]), rel=1e-5)

    def test_in_small_pieces_gives_the_losses_of_the_whole_batch(self, folders: Folders, tmp_path: Path) -> None:
        made = [
            fitted(training(folders["qwen2_vl"], tmp_path / str(each), micro_batch=each), kinds(), recipe(batch=4))
            for each in (1, 2, 4)
        ]

        assert losses(made[0]) == pytest.approx(losses(made[2]), rel=1e-4)
        assert losses(made[1]) == pytest.approx(losses(made[2]), rel=1e-4)

    def test_in_bfloat16_keeps_the_weights_in_float32(self, folders: Folders, tmp_path: Path) -> None:
        made = fitted(training(folders["qwen2_vl"], tmp_path / "out"), kinds(), recipe(precision="bf16", epochs=2.0))
        plain = fitted(training(folders["qwen2_vl"], tmp_path / "plain"), kinds(), recipe(epochs=2.0))
        before, after = weights(folders["qwen2_vl"]), weights(made.folder)
        small = [(after[name] - before[name]).abs().max() for name in changed(before, after)]

        assert losses(made) == pytest.approx(losses(plain), rel=0.05)
        assert losses(made) != losses(plain)
        assert max(small) < 0.1

    def test_is_the_same_where_processes_open_zipped_images_ahead(self, folders: Folders, tmp_path: Path) -> None:
        records, how = (
            zipped(tmp_path, 24),
            recipe(max_length=10_000),
        )  # measuring opens the zip before the processes do
        made = [
            fitted(training(folders["qwen2_vl"], tmp_path / str(workers), workers=workers), records, how)
            for workers in (0, 2)
        ]

        assert losses(made[0]) == losses(made[1])


class TestLora:
    @pytest.mark.parametrize("name", ["qwen2_vl", "qwen3_vl", "internvl", "idefics3", "gemma3"])
    def test_gives_an_adapter_and_merged_the_same_answers(self, folders: Folders, tmp_path: Path, name: str) -> None:
        how = recipe(tuning="lora", epochs=3.0)
        adapter, merged = (
            fitted(training(folders[name], tmp_path / str(merge), merge=merge), kinds(), how) for merge in (False, True)
        )

        assert (adapter.kind, merged.kind) == ("adapter", "model")
        assert losses(adapter) == losses(merged)
        whole = merged.folder.rename(tmp_path / "whole")  # no training goes on there
        assert_alike(logits(folders[name], adapter.folder), logits(whole))
        assert not_alike(logits(folders[name]), logits(whole))

    def test_merged_leaves_what_does_not_learn_bit_by_bit_as_it_was_though_it_is_held_in_fewer_bits(
        self, folders: Folders, tmp_path: Path
    ) -> None:
        import torch

        base = mixed_formats(folders["qwen2_vl"], tmp_path / "mixed")
        how = recipe(tuning="lora", precision="bf16")
        before, made = weights(base), fitted(training(base, tmp_path / "out", merge=True), kinds(), how)
        after = weights(made.folder)

        assert {name: each.dtype for name, each in after.items()} == {name: each.dtype for name, each in before.items()}
        assert not [name for name in before if is_vision(name) and not torch.equal(before[name], after[name])]
        assert {part_of(name) for name in changed(before, after)} == {"language", "projector"}

    def test_names_its_base_as_the_user_did_and_touches_only_what_is_trained(
        self, folders: Folders, tmp_path: Path
    ) -> None:
        made = fitted(
            training(f"hf/{folders['qwen2_vl']}", tmp_path / "out"),
            kinds(),
            recipe(tuning="lora"),
            replace(METHOD, trained=LANGUAGE),
        )
        said = json.loads((made.folder / "adapter_config.json").read_text())

        assert said["base_model_name_or_path"] == str(folders["qwen2_vl"])
        assert all("language_model" in name for name in weights(made.folder))
        assert made.counts["language"][1] > 0 == made.counts["projector"][1]
        assert (made.folder / "tokenizer.json").is_file()

    def test_is_not_merged_into_a_model_that_is_spread_over_devices(
        self, folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
        from harness_mirage.sft.save import Scratch
        from harness_mirage.sft.trainer import build_arguments

        asked = training(folders["qwen2_vl"], tmp_path / "out", merge=True)
        with pytest.raises(HarnessError, match="spread over several"):
            build_arguments(asked, recipe(tuning="lora"), Scratch.beside(asked.out))

    def test_of_a_part_without_linear_layers_leaves_it(self, folders: Folders, tmp_path: Path) -> None:
        made = fitted(training(folders["gemma3"], tmp_path / "out"), kinds(), recipe(tuning="lora"))

        assert made.counts["projector"][1] == 0


class TestTheSeed:
    def test_gives_the_same_losses_and_another_gives_others(self, folders: Folders, tmp_path: Path) -> None:
        records = [pair(at) for at in range(6)]
        made = [
            losses(fitted(training(folders["qwen2_vl"], tmp_path / str(at), seed=seed), records))
            for at, seed in enumerate((3, 3, 4))
        ]

        assert made[0] == made[1]
        assert made[0] != made[2]


class TestAKill:
    @pytest.mark.parametrize("tuning", ["full", "lora"])
    def test_costs_only_the_steps_since_the_last_checkpoint(
        self, folders: Folders, killed_trainings: Path, tmp_path: Path, tuning: str
    ) -> None:
        records, how = [pair(at) for at in range(9)], recipe(epochs=2.0, tuning=tuning, dropout=0.1)
        shutil.copytree(killed_trainings / tuning / "out.partial", tmp_path / "out.partial")
        again = fitted(training(folders["qwen2_vl"], tmp_path / "out", save_every=3), records, how)
        whole = fitted(training(folders["qwen2_vl"], tmp_path / "whole", save_every=3), records, how)

        assert again.resumed_from == 3
        assert [row["step"] for row in again.history] == list(range(1, 11))
        assert losses(again) == pytest.approx(losses(whole), rel=1e-5)
        assert all(
            (after - before).abs().max() < 1e-5
            for before, after in zip(weights(whole.folder).values(), weights(again.folder).values(), strict=True)
        )

    def test_in_the_middle_of_a_checkpoint_leaves_one_that_does_not_count(
        self, folders: Folders, tmp_path: Path
    ) -> None:
        asked, records = training(folders["qwen2_vl"], tmp_path / "out", save_every=1), [pair(at) for at in range(4)]
        first = fitted(asked, records)
        last = max(first.scratch.checkpoints.iterdir(), key=lambda each: each.name)
        (last / "whole").unlink()

        assert fitted(asked, records).resumed_from == 1

    def test_is_forgotten_when_the_training_is_begun_anew(self, folders: Folders, tmp_path: Path) -> None:
        asked = training(folders["qwen2_vl"], tmp_path / "out", save_every=1)
        fitted(asked, kinds())

        assert fitted(replace(asked, resume=False), kinds()).resumed_from == 0

    def test_is_not_gone_on_from_by_another_training(self, folders: Folders, tmp_path: Path) -> None:
        asked = training(folders["qwen2_vl"], tmp_path / "out")
        fitted(asked, kinds())

        with pytest.raises(IdentityMismatch, match="another mixture, seed"):
            fitted(replace(asked, seed=1), kinds(), digest="other")

    def test_is_not_gone_on_from_once_the_base_holds_other_weights(self, folders: Folders, tmp_path: Path) -> None:
        from safetensors.torch import load_file, save_file

        base = shutil.copytree(folders["qwen2_vl"], tmp_path / "base")
        fitted(training(base, tmp_path / "out"), kinds())
        held = {name: each * 2 for name, each in load_file(base / "model.safetensors").items()}
        save_file(held, base / "model.safetensors", metadata={"format": "pt"})

        with pytest.raises(IdentityMismatch, match=r"another base \(its files\)"):
            fitted(training(base, tmp_path / "out"), kinds())


class TestAFullDisk:
    def test_at_a_checkpoint_keeps_the_last_whole_one(
        self, folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import torch

        asked, records = training(folders["qwen2_vl"], tmp_path / "out", save_every=1), [pair(at) for at in range(6)]
        real = torch.save

        def full(what: Any, file: Any, *rest: Any, **more: Any) -> None:
            if "checkpoint-2" in str(file):
                raise OSError(errno.ENOSPC, "No space left on device")
            real(what, file, *rest, **more)

        monkeypatch.setattr(torch, "save", full)
        with pytest.raises(HarnessError, match=r"step 2 cannot be written.*No space left.*that of step 1") as raised:
            fitted(asked, records)
        assert "free some space" in raised.value.remedy
        assert [each.name for each in (tmp_path / "out.partial" / "checkpoints").iterdir()] == ["checkpoint-1"]
        assert not (tmp_path / "out").exists()

        monkeypatch.setattr(torch, "save", real)
        assert fitted(asked, records).resumed_from == 1


class TestALossThatIsNoNumber:
    def test_stops_at_once_and_names_step_and_records(self, folders: Folders, tmp_path: Path) -> None:
        import torch
        from harness_mirage.models.base import open_base
        from harness_mirage.sft.trainer import fit

        from tests.training.tiny_training import mixture

        asked, how = training(folders["qwen2_vl"], tmp_path / "out"), recipe(batch=1)
        base = open_base(asked, how)
        token = base.frontend.tokenizer.encode("Q")[0]
        with torch.no_grad():
            base.model.get_input_embeddings().weight[token] = float("nan")
        records = [pair(0), record(1, "Quiet?", "Yes."), pair(2)]

        with pytest.raises(HarnessError, match=r"loss of step \d is nan") as raised:
            fit(base, mixture(records), how, asked, METHOD)
        assert raised.value.where.startswith("tiny.json: record ")
        assert not (tmp_path / "out").exists()

    def test_is_also_looked_for_in_the_gradient(self, folders: Folders, tmp_path: Path) -> None:
        from harness_mirage.models.base import open_base
        from harness_mirage.sft.trainer import fit

        from tests.training.tiny_training import mixture

        asked, how = training(folders["qwen2_vl"], tmp_path / "out"), recipe(batch=4)
        base = open_base(asked, how)
        base.model.get_input_embeddings().weight.register_hook(lambda gradient: gradient * float("inf"))

        with pytest.raises(HarnessError, match=r"gradient of step 1 is (nan|inf)") as raised:
            fit(base, mixture(kinds()), how, asked, METHOD)
        assert raised.value.where.count("tiny.json") == 4


class TestLongRecords:
    def test_are_left_out_and_told(self, folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        records = [pair(0), record(1, "word " * 200, "Yes."), pair(2)]
        made = fitted(training(folders["qwen2_vl"], tmp_path / "out"), records, recipe(max_length=200))

        assert made.records == 2
        assert [each.place for each in made.left_out] == ["tiny.json: record 1"]
        assert "tiny.json: record 1" in capsys.readouterr().err

    def test_all_of_them_are_refused(self, folders: Folders, tmp_path: Path) -> None:
        with pytest.raises(HarnessError, match="short enough"):
            fitted(training(folders["qwen2_vl"], tmp_path / "out"), kinds(), recipe(max_length=3))


class TestWhatAPersonSees:
    def test_is_the_table_and_lines_on_stderr_and_nothing_on_stdout(
        self, folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        fitted(training(folders["qwen2_vl"], tmp_path / "out"), kinds())
        said = capsys.readouterr()

        assert said.out == ""
        assert "frozen" in said.err
        assert "step 2/2 (100%) · loss" in said.err

    def test_is_also_kept_for_tensorboard(self, folders: Folders, tmp_path: Path) -> None:
        made = fitted(training(folders["qwen2_vl"], tmp_path / "out", log="tensorboard"), kinds())

        assert list(made.scratch.logs.glob("events.*"))

    def test_needs_wandb_where_it_is_asked_for(self, folders: Folders, tmp_path: Path) -> None:
        with pytest.raises(HarnessError, match="needs a package") as raised:
            fitted(training(folders["qwen2_vl"], tmp_path / "out", log="wandb"), kinds())
        assert "pip install wandb" in raised.value.remedy


def zipped(folder: Path, count: int) -> list[Record]:
    """Records whose images lie in one zip."""
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for at in range(2 * count):
            image = picture(at)
            assert image.files is not None
            archive.writestr(f"{at}.png", image.files.read(image.path))
    files = open_files(folder / "images.zip")
    return [
        record(
            at,
            "<image><image>?",
            "Yes.",
            pictures=[Picture(path=f"{2 * at + number}.png", files=files) for number in (0, 1)],
        )
        for at in range(count)
    ]


def part_of(name: str) -> str:
    if any(each in name for each in ("merger", "multi_modal_projector", "connector", "image_newline")):
        return "projector"
    return "vision" if is_vision(name) else "language"


def is_vision(name: str) -> bool:
    return any(each in name for each in ("visual", "vision")) and "merger" not in name


def logits(folder: Path, adapter: Path | None = None) -> Any:
    """What a model makes of one batch."""
    import torch
    import transformers
    from harness_mirage.models.base import open_base

    from tests.training.test_mirage_sft_batches import batch

    model = transformers.AutoModelForImageTextToText.from_pretrained(folder)
    if adapter is not None:
        model.load_adapter(str(adapter))
    made = batch(open_base(training(folder, Path("out")), recipe()), kinds())
    with torch.inference_mode():
        return model.eval()(**{key: each for key, each in made.items() if key not in {"labels", "records"}}).logits


def assert_alike(one: Any, other: Any) -> None:
    assert (one - other).abs().max() < 1e-4


def not_alike(one: Any, other: Any) -> bool:
    return bool((one - other).abs().max() > 1e-2)


class TestWeightsThatAreSpreadOverDevices:
    def test_learn_what_one_device_would_where_a_device_is_dealt_records_without_images(
        self, folders: Folders, tmp_path: Path
    ) -> None:
        spread = tmp_path / "spread.partial"
        ran = subprocess.run(
            [sys.executable, "-m", "tests.training.spread_training", folders["qwen2_vl"], tmp_path / "spread"],
            check=False,
            capture_output=True,
            timeout=300,
        )
        assert ran.returncode == 0, ran.stderr.decode()[-3000:]
        whole = fitted(training(folders["qwen2_vl"], tmp_path / "whole"), RECORDS, RECIPE)
        losses = [json.loads(line)["loss"] for line in (spread / "history.jsonl").read_text().splitlines()]

        assert losses == pytest.approx([row["loss"] for row in whole.history], rel=1e-4)
        alone, together = weights(whole.folder), weights(spread / "model")
        assert alone.keys() == together.keys()
        assert all((alone[name] - together[name]).abs().max() < 1e-4 for name in alone)


class TestThePlanOfSeveralDevices:
    def test_counts_the_blank_images_of_records_without_one(self, folders: Folders, tmp_path: Path) -> None:
        from harness_mirage.estimate import forecast_training

        two = tmp_path / "two.yaml"
        two.write_text("distributed_type: MULTI_CPU\nnum_processes: 2\n", encoding="utf-8")
        alone = training(folders["qwen2_vl"], tmp_path / "out")
        together = replace(alone, launch=str(two))
        words, pictures = [record(1, "Only words?", "Yes.")], [each for each in RECORDS if each.pictures]

        def tokens(records: Sequence[Record]) -> list[float]:
            seen = mixture(records)
            return [forecast_training(METHOD, each, recipe(), seen).size.tokens for each in (alone, together)]

        assert tokens(words)[0] < tokens(words)[1]
        assert tokens(pictures)[0] == tokens(pictures)[1]
