"""`harness train` against a bare TRL script, on mini/base and the same records, order, batch and settings, in turn.

Target: at least 95% of the script's records a second. Both train the same part of the model on the CPU with one thread,
so the seconds are the processor's own: what else runs on the machine does not count, and on a quiet one they are the
clock's. The losses of both are printed, so that it can be seen that they did the same work; TRL also learns the line
feed after the end of an answer.
"""

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import harness_mini
import torch
from harness_mirage.methods import MULTIMODAL, Ingredient, Method
from harness_mirage.mixture import Mixture, Picture, Record, Turn
from harness_mirage.models.base import open_base
from harness_mirage.models.roles import find_roles
from harness_mirage.models.untyped import quiet
from harness_mirage.recipe import Recipe, Sourced
from harness_mirage.sft.trainer import fit

from harness import Training
from harness.drawings import COLORS, SHAPES, draw, png
from harness.readers import open_files

RECORDS = int(os.environ.get("BENCH_RECORDS", "320"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
BATCH = 16
TARGET = 0.95
BASE = Path(harness_mini.__file__).with_name("base")
QUESTION = "Here are two things. May I put them together?"
ANSWER = "The first image shows a red star. The second image shows a blue ring. Together they are safe. Sure."
METHOD = Method(name="bench", description="", ingredients=(Ingredient(layout="sharegpt"),), trained=MULTIMODAL)


def recipe() -> Recipe:
    values: dict[str, Any] = {"tuning": "full", "learning_rate": 1e-4, "warmup": 0.0, "schedule": "constant"}
    values |= {"epochs": 1.0, "batch": BATCH, "weight_decay": 0.0, "clip": 1.0, "max_length": None, "pixels": None}
    values |= {"precision": "fp32", "checkpointing": False, "rank": 8, "alpha": 8, "dropout": 0.0}
    sourced = {name: Sourced(value=value, source="ours") for name, value in values.items()}
    return Recipe(name="bench", roles={}, optimizer=Sourced(value="adamw_torch", source="ours"), **sourced)


def pictures(folder: Path) -> None:
    rng = Random(0)
    for number in range(2 * RECORDS):
        drawn = draw(rng.choice(list(COLORS)), rng.choice(list(SHAPES)), rng)
        (folder / f"{number}.png").write_bytes(png(drawn))


def records(folder: Path) -> list[Record]:
    files = open_files(folder)
    return [
        Record(
            id=str(at),
            source="bench",
            place=f"record {at}",
            turns=(
                Turn(speaker="user", text=f"<image><image>{QUESTION}"),
                Turn(speaker="assistant", text=ANSWER),
            ),
            pictures=(Picture(path=f"{2 * at}.png", files=files), Picture(path=f"{2 * at + 1}.png", files=files)),
        )
        for at in range(RECORDS)
    ]


def ours(folder: Path, out: Path) -> tuple[float, list[float]]:
    """Records a second, and the losses."""
    asked = Training(model=str(BASE), data={}, out=out, settings={"device": "cpu", "save_every": 10**6})
    given = records(folder)
    base = open_base(asked, recipe())
    begun = time.process_time()
    made = fit(base, Mixture(records=given, parts=(), digest=""), recipe(), asked, METHOD)
    seconds = time.process_time() - begun  # all that `fit` does: it also writes the model
    shutil.rmtree(made.scratch.folder)
    return len(given) / seconds, [row["loss"] for row in made.history]


def bare(folder: Path, out: Path) -> tuple[float, list[float]]:
    """The same by what TRL's documentation shows: images as a column, prompt and completion as messages."""
    import datasets
    import transformers
    import trl

    trl_: Any = trl
    transformers_: Any = transformers
    rows: dict[str, Sequence[Any]] = {
        "images": [[str(folder / f"{2 * at}.png"), str(folder / f"{2 * at + 1}.png")] for at in range(RECORDS)],
        "prompt": [[{"role": "user", "content": QUESTION}]] * RECORDS,
        "completion": [[{"role": "assistant", "content": ANSWER}]] * RECORDS,
    }
    data = datasets.Dataset.from_dict(rows).cast_column("images", datasets.List(datasets.Image()))
    model = transformers_.AutoModelForImageTextToText.from_pretrained(BASE, dtype=torch.float32)
    learning = find_roles(model).select(MULTIMODAL)
    for name, weight in model.named_parameters():
        weight.requires_grad_(name in learning)
    config = trl_.SFTConfig(
        output_dir=str(out),
        per_device_train_batch_size=BATCH,
        num_train_epochs=1,
        learning_rate=1e-4,
        lr_scheduler_type="constant",
        weight_decay=0.0,
        max_length=None,
        use_cpu=True,
        bf16=False,
        activation_checkpointing=False,
        logging_steps=1,
        disable_tqdm=True,
        report_to=[],
        seed=0,
        data_seed=0,
    )
    begun = time.process_time()
    trainer = trl_.SFTTrainer(
        model=model,
        args=config,
        train_dataset=data,
        processing_class=transformers_.AutoProcessor.from_pretrained(BASE),
    )
    trainer.remove_callback(transformers_.PrinterCallback)
    trainer.train()
    trainer.save_model(str(out / "model"))
    seconds = time.process_time() - begun
    shutil.rmtree(out)
    return RECORDS / seconds, [row["loss"] for row in trainer.state.log_history if "loss" in row]


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as made, quiet():
        folder = Path(made)
        pictures(folder)
        shares: list[float] = []
        for turn in range(ROUNDS + 1):
            ways = (bare, ours) if turn % 2 else (ours, bare)
            speeds = {way.__name__: way(folder, folder / f"{way.__name__}-{turn}") for way in ways}
            if not turn:  # what is made on first use
                for name, (_, losses) in speeds.items():
                    print(f"{name}: loss {losses[0]:.4f} in the first step, {losses[-1]:.4f} in the last")
                continue
            shares.append(speeds["ours"][0] / speeds["bare"][0])
            both = ", ".join(f"{name} {speed:.1f}" for name, (speed, _) in sorted(speeds.items()))
            print(f"{both} records a second of the processor: {shares[-1]:.3f}", flush=True)
    share = statistics.median(shares)
    print(f"ours / bare: {share:.3f} (median of {ROUNDS}), target {TARGET}: {'ok' if share >= TARGET else 'MISSED'}")


if __name__ == "__main__":
    main()
