"""Rebuild the shipped model: `python -m harness_mini.make_base [--seed N] [--output FOLDER]`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import click
import torch

from .training import base
from .world import chance

BASE: Final = Path(__file__).with_name("base")


@click.command(help=__doc__)
@click.option("--seed", default=0, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), default=BASE, help="The model folder to write.")
def main(seed: int, output: Path) -> None:
    """Train from scratch and save the model as small as possible."""
    torch.set_num_threads(1)  # hardly slower than two on an idle machine, ten times faster on a busy one
    started = time.monotonic()

    def tell(line: str) -> None:
        click.echo(f"{time.monotonic() - started:4.0f} s  {line}")

    rng = chance(seed)
    tokenizer = base.build_tokenizer()
    model, processor = base.build_model(tokenizer, seed=seed), base.build_processor(tokenizer)
    model.train()
    base.teach_seeing(model, processor, rng, tell)
    base.teach_answering(model, processor, rng, tell)
    model.eval().to(torch.bfloat16).save_pretrained(output)
    processor.save_pretrained(output)
    for file in output.iterdir():
        file.chmod(0o644)  # safetensors writes mode 600, wrong for an installed package
    tell(f"{sum(file.stat().st_size for file in output.iterdir()):,} bytes in {output}")


if __name__ == "__main__":
    main()
