"""Fitting: what learns and what stays, on one device or several, and what comes of a kill, a full disk and a NaN."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness_mirage.methods import LANGUAGE
from harness_mirage.mixture import Picture, Record
from harness_mirage.models.weights import find_model_folder

from harness import HarnessError
from harness.errors import IdentityMismatch
from harness.fingerprint import MARK, hash_folder
from harness.readers import open_files
from tests.plugins.tiny.folders import Folders
from tests.training.spread_training import RECIPE, RECORDS
from tests.training.tiny_training import (
    KNOWN,
    METHOD,
    Fit,
    kinds,
    load_weights,
    mixture,
    pair,
    picture,
    recipe,
    record,
    training,
)
from tests.training.trained import QUICK, called, data, words

PAIRS = [pair(at) for at in range(9)]


def find_changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    """Names of the tensors that are another than before."""
    assert before.keys() == after.keys()
    return {name for name in before if not (before[name] == after[name]).all()}


def is_vision(name: str) -> bool:
    return any(each in name for each in ("visual", "vision")) and "merger" not in name


def part_of(name: str) -> str:
    if any(each in name for each in ("merger", "multi_modal_projector", "connector", "image_newline")):
        return "projector"
    return "vision" if is_vision(name) else "language"


def losses(made: Any) -> list[float]:
    return [row["loss"] for row in made.history]


@pytest.fixture
def mixed_formats(folders: Folders, tmp_path: Path) -> Path:
    """A base whose configuration says bfloat16, and whose norms and vision tower are stored in float32."""
    import torch
    from safetensors.torch import save_file

    folder = shutil.copytree(folders["qwen2_vl"], tmp_path / "mixed")
    (file,) = folder.glob("*.safetensors")
    held = load_weights(folder)
    for name, each in held.items():
        held[name] = (each + 1e-4).float() if is_vision(name) or "norm" in name else each.to(torch.bfloat16)
    save_file(held, file, metadata={"format": "pt"})
    config = folder / "config.json"
    config.write_text(config.read_text(encoding="utf-8").replace('"float32"', '"bfloat16"'), encoding="utf-8")
    return folder


class TestFullTuning:
    @pytest.mark.parametrize("name", KNOWN)
    def test_leaves_the_vision_tower_bit_by_bit_as_it_was_and_changes_the_rest(
        self, fit: Fit, folders: Folders, name: str
    ) -> None:
        made = fit(name, kinds() * 2, recipe(epochs=2.0))
        moved = find_changed(load_weights(folders[name]), load_weights(made.folder))
        assert made.kind == "model"
        assert {part_of(each) for each in moved} == {"projector", "language"}
        assert made.steps == len(made.history) == 8

    def test_of_the_language_model_alone_leaves_the_projector_too(self, fit: Fit, folders: Folders) -> None:
        made = fit(method=replace(METHOD, trained=LANGUAGE))
        assert {
            part_of(each) for each in find_changed(load_weights(folders["qwen2_vl"]), load_weights(made.folder))
        } == {"language"}
        assert made.counts["projector"][1] == made.counts["vision"][1] == 0

    def test_writes_the_number_format_of_the_base(self, fit: Fit, folders: Folders, tmp_path: Path) -> None:
        import torch
        import transformers

        half = tmp_path / "half"
        model = transformers.AutoModelForImageTextToText.from_pretrained(folders["qwen2_vl"])
        model.to(torch.bfloat16).save_pretrained(half)
        transformers.AutoProcessor.from_pretrained(folders["qwen2_vl"]).save_pretrained(half)
        made = fit(half)
        moved = find_changed(load_weights(half), load_weights(made.folder))
        assert {each.dtype for each in load_weights(made.folder).values()} == {torch.bfloat16}
        assert '"float32"' not in (made.folder / "config.json").read_text()
        assert moved
        assert "vision" not in {part_of(each) for each in moved}

    def test_gives_a_folder_that_answers(self, fit: Fit) -> None:
        import transformers

        made = fit("internvl")
        model = transformers.AutoModelForImageTextToText.from_pretrained(made.folder)
        processor = transformers.AutoProcessor.from_pretrained(made.folder)
        inputs = processor(text=["<|im_start|>user\nHi"], return_tensors="pt")
        assert model.generate(**inputs, max_new_tokens=2).shape[1] == inputs["input_ids"].shape[1] + 2
        assert oct((made.folder / "model.safetensors").stat().st_mode)[-3:] == "644"

    def test_learns_the_answers(self, fit: Fit) -> None:
        made = fit(records=PAIRS[:2] * 2, how=recipe(epochs=30.0, batch=4))
        assert losses(made)[-1] < 0.5 < losses(made)[0]

    def test_with_recomputed_activations_gives_the_same_losses(self, fit: Fit) -> None:
        plain, recomputed = (fit(how=recipe(checkpointing=each), out=str(each)) for each in (False, True))
        assert losses(plain) == pytest.approx(losses(recomputed), rel=1e-5)

    def test_in_small_pieces_gives_the_losses_of_the_whole_batch(self, fit: Fit) -> None:
        one, two, four = (losses(fit(how=recipe(batch=4), out=str(each), micro_batch=each)) for each in (1, 2, 4))
        assert one == pytest.approx(four, rel=1e-4)
        assert two == pytest.approx(four, rel=1e-4)

    def test_in_bfloat16_keeps_the_weights_in_float32(self, fit: Fit, folders: Folders) -> None:
        made = fit(how=recipe(precision="bf16", epochs=2.0))
        plain = fit(how=recipe(epochs=2.0), out="plain")
        before, after = load_weights(folders["qwen2_vl"]), load_weights(made.folder)
        assert losses(made) == pytest.approx(losses(plain), rel=0.05)
        assert losses(made) != losses(plain)
        assert max((after[name] - before[name]).abs().max() for name in find_changed(before, after)) < 0.1

    def test_is_the_same_where_processes_open_zipped_images_ahead(self, fit: Fit, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
            for at in range(48):
                image = picture(at)
                assert image.files is not None
                archive.writestr(f"{at}.png", image.files.read(image.path))
        files = open_files(tmp_path / "images.zip")
        pairs = [[Picture(path=f"{2 * at + nth}.png", files=files) for nth in (0, 1)] for at in range(24)]
        records = [record(at, "<image><image>?", "Yes.", pictures=each) for at, each in enumerate(pairs)]
        how = recipe(max_length=10_000)  # measuring opens the zip before the processes do
        own, ahead = (losses(fit(records=records, how=how, out=str(count), workers=count)) for count in (0, 2))
        assert own == ahead


class TestNumberFormats:
    def test_of_a_base_that_mixes_them_are_kept_by_each_tensor(self, fit: Fit, mixed_formats: Path) -> None:
        import torch

        before, after = load_weights(mixed_formats), load_weights(fit(mixed_formats).folder)
        assert {name: each.dtype for name, each in after.items()} == {name: each.dtype for name, each in before.items()}
        assert {each.dtype for each in after.values()} == {torch.float32, torch.bfloat16}
        assert not [name for name in before if is_vision(name) and not torch.equal(before[name], after[name])]

    def test_are_kept_by_merged_lora_and_what_does_not_learn_is_bit_by_bit_as_it_was_though_held_in_fewer_bits(
        self, fit: Fit, mixed_formats: Path
    ) -> None:
        import torch

        made = fit(mixed_formats, how=recipe(tuning="lora", precision="bf16"), merge=True)
        before, after = load_weights(mixed_formats), load_weights(made.folder)
        assert {name: each.dtype for name, each in after.items()} == {name: each.dtype for name, each in before.items()}
        assert not [name for name in before if is_vision(name) and not torch.equal(before[name], after[name])]
        assert {part_of(name) for name in find_changed(before, after)} == {"language", "projector"}


class TestLora:
    @pytest.mark.parametrize("name", ["qwen2_vl", "qwen3_vl", "internvl", "idefics3", "gemma3"])
    def test_gives_an_adapter_and_merged_the_same_answers(
        self, fit: Fit, folders: Folders, tmp_path: Path, name: str
    ) -> None:
        how = recipe(tuning="lora", epochs=3.0)
        adapter, merged = (fit(name, how=how, out=str(merge), merge=merge) for merge in (False, True))
        assert (adapter.kind, merged.kind) == ("adapter", "model")
        assert losses(adapter) == losses(merged)
        whole = merged.folder.rename(tmp_path / "whole")  # no training goes on there
        answers = compute_logits(whole)
        assert (compute_logits(folders[name], adapter.folder) - answers).abs().max() < 1e-4
        assert (compute_logits(folders[name]) - answers).abs().max() > 1e-2

    def test_names_its_base_as_the_user_did_and_touches_only_what_is_trained(self, fit: Fit, folders: Folders) -> None:
        made = fit(f"hf/{folders['qwen2_vl']}", how=recipe(tuning="lora"), method=replace(METHOD, trained=LANGUAGE))
        said = json.loads((made.folder / "adapter_config.json").read_text())
        assert said["base_model_name_or_path"] == str(folders["qwen2_vl"])
        assert all("language_model" in name for name in load_weights(made.folder))
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
            build_arguments(asked, recipe(tuning="lora"), Scratch.of(asked.out))

    def test_of_a_part_without_linear_layers_leaves_it(self, fit: Fit) -> None:
        assert fit("gemma3", how=recipe(tuning="lora")).counts["projector"][1] == 0


def compute_logits(folder: Path, adapter: Path | None = None) -> Any:
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


def test_a_seed_gives_the_same_losses_and_another_gives_others(fit: Fit) -> None:
    one, same, other = (losses(fit(records=PAIRS[:6], out=str(at), seed=seed)) for at, seed in enumerate((3, 3, 4)))
    assert one == same != other


def copy_killed(killed_trainings: Path, tuning: str, folder: Path) -> Path:
    """The working folder of a training that was killed after its fifth step, with a checkpoint of the third."""
    return shutil.copytree(killed_trainings / tuning / "out.partial", folder / "out.partial")


def list_unfinished(killed: Path) -> list[Path]:
    """That working folder, its checkpoint, a copy of it, and one without its mark of being whole."""
    checkpoint = killed / "checkpoints" / "checkpoint-3"
    copied, cut = (shutil.copytree(checkpoint, killed.parent / name) for name in ("copied", "cut"))
    (cut / "whole").unlink()
    return [killed, checkpoint, copied, cut]


class TestAKill:
    @pytest.mark.slow
    @pytest.mark.parametrize("tuning", ["full", "lora"])
    def test_costs_only_the_steps_since_the_last_checkpoint_and_the_model_has_no_mark_of_being_unfinished(
        self, fit: Fit, killed_trainings: Path, tmp_path: Path, tuning: str
    ) -> None:
        how = recipe(epochs=2.0, tuning=tuning, dropout=0.1)
        copy_killed(killed_trainings, tuning, tmp_path)
        again, whole = (fit(records=PAIRS, how=how, out=out, save_every=3) for out in ("out", "whole"))
        assert again.resumed_from == 3
        assert not list(again.folder.rglob(MARK))
        assert [row["step"] for row in again.history] == list(range(1, 11))
        assert losses(again) == pytest.approx(losses(whole), rel=1e-5)
        before, after = load_weights(whole.folder), load_weights(again.folder)
        assert all((after[name] - each).abs().max() < 1e-5 for name, each in before.items())

    @pytest.mark.parametrize("tuning", ["full", "lora"])
    def test_leaves_checkpoints_that_are_the_base_of_no_training_and_no_adapter(
        self, killed_trainings: Path, tmp_path: Path, tuning: str
    ) -> None:
        for place in list_unfinished(copy_killed(killed_trainings, tuning, tmp_path)):
            for name in (str(place), f"hf/{place}"):
                with pytest.raises(HarnessError, match="has not ended"):
                    find_model_folder(name)
            with pytest.raises(HarnessError, match="has not ended"):
                hash_folder(place)  # of whatever a provider puts on a model

    @pytest.mark.parametrize("tuning", ["full", "lora"])
    def test_leaves_checkpoints_that_no_command_takes_for_a_model(
        self, killed_trainings: Path, folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tuning: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        root, out = data(tmp_path / "data"), tmp_path / "new"
        run = ("--tasks", "mis:mini", "--limit", "1")
        killed, *checkpoints = list_unfinished(copy_killed(killed_trainings, tuning, tmp_path))
        commands = [
            command
            for place in (killed, *checkpoints)
            for command in (
                ["run", "--model", f"hf/{place}", *run],
                words(root, out, *QUICK, model=str(place)),
                [*words(root, out, *QUICK, model=str(place)), "--dry-run"],
            )
        ]
        if tuning == "lora":
            on_base = ["run", "--model", f"hf/{folders['qwen2_vl']}", *run]
            commands += [[*on_base, "-M", f"adapter={place}"] for place in checkpoints]
        for command in commands:
            code, _, said = called(command)
            assert (code, "part of a training that has not ended, and no model yet" in said) == (2, True), said

    def test_in_the_middle_of_a_checkpoint_leaves_one_that_does_not_count(self, fit: Fit) -> None:
        first = fit(records=PAIRS[:4], save_every=1)
        last = max(first.scratch.checkpoints.iterdir(), key=lambda each: each.name)
        (last / "whole").unlink()
        assert fit(records=PAIRS[:4], save_every=1).resumed_from == 1

    def test_after_the_last_step_makes_it_learn_nothing_more(self, fit: Fit, tmp_path: Path) -> None:
        how = recipe(epochs=0.5, schedule="constant")
        first, before = fit(records=PAIRS[:8], how=how, save_every=1), load_weights(tmp_path / "out.partial" / "model")
        again = fit(records=PAIRS[:8], how=how, save_every=1)
        assert (first.steps, again.steps, again.resumed_from) == (2, 2, 2)
        assert again.history == first.history
        assert not find_changed(before, load_weights(again.folder))

    def test_is_forgotten_when_the_training_is_begun_anew_and_not_gone_on_from_by_another(self, fit: Fit) -> None:
        fit(save_every=1)
        with pytest.raises(IdentityMismatch, match="another mixture, seed"):
            fit(save_every=1, seed=1, digest="other")
        assert fit(save_every=1, resume=False).resumed_from == 0

    def test_is_not_gone_on_from_once_the_base_holds_other_weights(
        self, fit: Fit, folders: Folders, tmp_path: Path
    ) -> None:
        from safetensors.torch import save_file

        base = shutil.copytree(folders["qwen2_vl"], tmp_path / "base")
        fit(base)
        held = {name: each * 2 for name, each in load_weights(base).items()}
        save_file(held, base / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(IdentityMismatch, match=r"another base \(its files\)"):
            fit(base)


def test_a_full_disk_at_a_checkpoint_keeps_the_last_whole_one(
    fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    real = torch.save

    def full(what: Any, file: Any, *rest: Any, **more: Any) -> None:
        if "checkpoint-2" in str(file):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(what, file, *rest, **more)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(HarnessError, match=r"step 2 cannot be written.*No space left.*that of step 1") as raised:
        fit(records=PAIRS[:6], save_every=1)
    assert "free some space" in raised.value.remedy
    assert [each.name for each in (tmp_path / "out.partial" / "checkpoints").iterdir()] == ["checkpoint-1"]
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(torch, "save", real)
    assert fit(records=PAIRS[:6], save_every=1).resumed_from == 1


class TestALossThatIsNoNumber:
    @pytest.fixture
    def fit_spoiled(self, folders: Folders, tmp_path: Path) -> Callable[..., HarnessError]:
        """Fit a base that was changed after it was opened -> the error."""
        from harness_mirage.models.base import open_base
        from harness_mirage.sft.trainer import fit

        def run(spoil: Callable[[Any], object], records: Sequence[Record], batch: int, match: str) -> HarnessError:
            asked, how = training(folders["qwen2_vl"], tmp_path / "out"), recipe(batch=batch)
            base = open_base(asked, how)
            spoil(base)
            with pytest.raises(HarnessError, match=match) as raised:
                fit(base, mixture(records), how, asked, METHOD)
            assert not (tmp_path / "out").exists()
            return raised.value

        return run

    def test_stops_at_once_and_names_step_and_records(self, fit_spoiled: Callable[..., HarnessError]) -> None:
        import torch

        def spoil(base: Any) -> None:
            with torch.no_grad():
                token = base.frontend.tokenizer.encode("Q")[0]
                base.model.get_input_embeddings().weight[token] = float("nan")

        records = [pair(0), record(1, "Quiet?", "Yes."), pair(2)]
        error = fit_spoiled(spoil, records, 1, r"loss of step \d is nan")
        assert error.where.startswith("tiny.json: record ")

    def test_is_also_looked_for_in_the_gradient(self, fit_spoiled: Callable[..., HarnessError]) -> None:
        def spoil(base: Any) -> None:
            base.model.get_input_embeddings().weight.register_hook(lambda gradient: gradient * float("inf"))

        error = fit_spoiled(spoil, kinds(), 4, r"gradient of step 1 is (nan|inf)")
        assert error.where.count("tiny.json") == 4


class TestLongRecords:
    def test_are_left_out_and_told(self, fit: Fit, capsys: pytest.CaptureFixture[str]) -> None:
        made = fit(records=[pair(0), record(1, "word " * 200, "Yes."), pair(2)], how=recipe(max_length=200))
        assert made.records == 2
        assert [each.place for each in made.left_out] == ["tiny.json: record 1"]
        assert "tiny.json: record 1" in capsys.readouterr().err

    def test_all_of_them_are_refused(self, fit: Fit) -> None:
        with pytest.raises(HarnessError, match="short enough"):
            fit(how=recipe(max_length=3))


class TestWhatAPersonSees:
    def test_is_the_table_and_lines_on_stderr_and_nothing_on_stdout_and_is_kept_for_tensorboard(
        self, fit: Fit, capsys: pytest.CaptureFixture[str]
    ) -> None:
        made = fit(log="tensorboard")
        said = capsys.readouterr()
        assert said.out == ""
        assert "frozen" in said.err
        assert "step 2/2 (100%) · loss" in said.err
        assert list(made.scratch.logs.glob("events.*"))

    def test_needs_wandb_where_it_is_asked_for(self, fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "wandb", None)
        with pytest.raises(HarnessError, match="needs a package") as raised:
            fit(log="wandb")
        assert "pip install wandb" in raised.value.remedy


class TestSeveralDevices:
    @pytest.mark.slow
    def test_learn_what_one_would_where_a_device_is_dealt_records_without_images(
        self, fit: Fit, folders: Folders, tmp_path: Path
    ) -> None:
        spread = tmp_path / "spread.partial"
        command = [sys.executable, "-m", "tests.training.spread_training", folders["qwen2_vl"], tmp_path / "spread"]
        ran = subprocess.run(command, check=False, capture_output=True, timeout=300)
        assert ran.returncode == 0, ran.stderr.decode()[-3000:]
        whole = fit(records=RECORDS, how=RECIPE, out="whole")
        found = [json.loads(line)["loss"] for line in (spread / "history.jsonl").read_text().splitlines()]
        assert found == pytest.approx(losses(whole), rel=1e-4)
        alone, together = load_weights(whole.folder), load_weights(spread / "model")
        assert alone.keys() == together.keys()
        assert all((alone[name] - together[name]).abs().max() < 1e-4 for name in alone)

    def test_count_the_blank_images_of_records_without_one_in_their_plan(
        self, folders: Folders, tmp_path: Path
    ) -> None:
        from harness_mirage.estimate import forecast_training

        two = tmp_path / "two.yaml"
        two.write_text("distributed_type: MULTI_CPU\nnum_processes: 2\n", encoding="utf-8")
        alone = training(folders["qwen2_vl"], tmp_path / "out")

        def count_tokens(records: Sequence[Record]) -> list[float]:
            plans = (alone, replace(alone, launch=str(two)))
            return [forecast_training(METHOD, each, recipe(), mixture(records)).size.tokens for each in plans]

        one, several = count_tokens([record(1, "Only words?", "Yes.")])
        assert one < several
        one, several = count_tokens([each for each in RECORDS if each.pictures])
        assert one == several
