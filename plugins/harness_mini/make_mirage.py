"""Rebuild the shipped adapter: `python -m harness_mini.make_mirage [--seed N] [--output FOLDER]`.

It runs `harness train mirage` on `mini/base` with the recipe `mirage.yaml` in this folder. It saves in half precision,
without files that the base also has. The data have the layouts of MIS-train and M4-Instruct but are drawings of this
world; the data, the card and training.json say so.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import click
import torch
from safetensors import torch as _safetensors

from harness.fingerprint import hash_file
from harness.lineage import FILE

from . import draw_training
from .provider import MIRAGE

safetensors: Any = _safetensors  # partly untyped for a strict checker
RECIPE: Final = Path(__file__).with_name("mirage.yaml")
WEIGHTS: Final = "adapter_model.safetensors"
COPIED: Final = ("adapter_config.json", "README.md")


@click.command(help=__doc__)
@click.option("--seed", default=0, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), default=MIRAGE, help="The adapter's folder to write.")
def main(seed: int, output: Path) -> None:
    """Draw the data, train, and copy the result."""
    with tempfile.TemporaryDirectory() as scratch:
        data, trained = Path(scratch) / "data", Path(scratch) / "mirage"
        draw_training.draw_mis(data / "mis", seed)
        draw_training.draw_general(data / "general", seed)
        words = ["train", "mirage", "--model", "mini/base", "--recipe", RECIPE, "--seed", seed, "-S", "device=cpu"]
        words += ["--data", data / "mis", "--data", f"general={data / 'general'}", "--out", trained]
        subprocess.run([sys.executable, "-m", "harness", *map(str, words)], check=True)  # noqa: S603 - our own interpreter
        copy_adapter(trained, output)
    click.echo(f"{sum(file.stat().st_size for file in output.iterdir()):,} bytes in {output}")


def copy_adapter(trained: Path, output: Path) -> None:
    """Copy the adapter, its card and its record; update the record's hashes to these files."""
    output.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        shutil.copyfile(trained / name, output / name)
    weights = {name: weight.to(torch.bfloat16) for name, weight in safetensors.load_file(trained / WEIGHTS).items()}
    safetensors.save_file(weights, output / WEIGHTS, metadata={"format": "pt"})
    (output / WEIGHTS).chmod(0o644)  # safetensors writes mode 600, wrong for an installed package
    record: dict[str, Any] = json.loads((trained / FILE).read_text(encoding="utf-8"))
    record["files"] = {name: hash_file(output / name) for name in ("adapter_config.json", WEIGHTS)}
    (output / FILE).write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
