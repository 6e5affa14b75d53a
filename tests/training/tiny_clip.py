"""A model of open_clip, small enough to be trained in seconds on drawings, and their names."""

import json
from pathlib import Path
from random import Random
from typing import Any

from harness.drawings import draw

ARCH = "tiny-drawings"
CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "patch_size": 8, "head_width": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
NAMES = ("red star", "blue ring", "green square", "yellow heart", "purple cross", "black bar")


def known(folder: Path) -> Any:
    """open_clip, which knows the small architecture from now on."""
    import open_clip

    file = folder / f"{ARCH}.json"
    file.write_text(json.dumps(CONFIG))
    open_clip.add_model_config(file)
    return open_clip


def weights(folder: Path, steps: int) -> Path:
    """Its weights after so many steps of contrastive training; the same each time."""
    import torch

    library = known(folder)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model, _, prepare = library.create_model_and_transforms(ARCH, load_weights=False)
    tokens = library.get_tokenizer(ARCH)([f"a photo of {name}" for name in NAMES])
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    rng = Random(0)
    for _ in range(steps):
        pictures = [draw(color, shape, rng) for color, shape in map(str.split, NAMES) for _ in range(4)]
        images = model.encode_image(torch.stack([prepare(each) for each in pictures]), normalize=True)
        words = model.encode_text(tokens, normalize=True)
        wanted = torch.arange(len(NAMES)).repeat_interleave(4)
        loss = torch.nn.functional.cross_entropy(10 * images @ words.T, wanted)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    file = folder / f"{steps}.pt"
    torch.save(model.state_dict(), file)
    return file
