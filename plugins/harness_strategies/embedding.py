"""A CLIP model of transformers: puts images and texts into one space. Imported on use; needs the extra `hf`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
import transformers

from harness import HarnessError
from harness.images import decode, open_image
from harness.local.devices import choose_threads, find_device, limit_threads
from harness.types import Image

Floats = npt.NDArray[np.float32]
_LOADING: Final = Lock()


class Clip:
    """An open CLIP model.

    Args:
        folder: of its files.
        device: where it computes, as `-M device` of `hf/`.
    """

    def __init__(self, folder: Path, device: str) -> None:
        self._device = find_device(device)
        models: Any = transformers
        bars: bool = models.logging.is_progress_bar_enabled()
        models.logging.disable_progress_bar()
        try:
            self._model: Any = models.CLIPModel.from_pretrained(folder).to(self._device).eval()
            self._words: Any = models.AutoTokenizer.from_pretrained(folder)
            self._pictures: Any = models.AutoImageProcessor.from_pretrained(folder)
        except (OSError, ValueError, KeyError) as error:
            raise HarnessError(f"this is no CLIP model: {error}", where=str(folder)) from error
        finally:
            if bars:
                models.logging.enable_progress_bar()
        self._most: int = self._model.config.text_config.max_position_embeddings
        self._threads = choose_threads(self._model, None)
        self._lock = Lock()

    def embed_images(self, images: Sequence[Image]) -> Floats:
        """A row for each image, not normalised."""
        pictures = [decode(open_image(image).opened) for image in images]
        with self._lock, limit_threads(self._threads), torch.inference_mode():
            pixels = self._pictures(images=pictures, return_tensors="pt")["pixel_values"].to(self._device)
            return _to_array(self._model.get_image_features(pixel_values=pixels))

    def embed_texts(self, texts: Sequence[str]) -> Floats:
        """A row for each text, not normalised; a text that is too long is cut at the model's limit."""
        with self._lock, limit_threads(self._threads), torch.inference_mode():
            given = self._words(list(texts), padding=True, truncation=True, max_length=self._most, return_tensors="pt")
            wanted = {name: given[name].to(self._device) for name in ("input_ids", "attention_mask")}
            return _to_array(self._model.get_text_features(**wanted))

    def embed_pairs(self, images: Sequence[Image], text: str) -> Floats:
        """A normalised row for each image with the text after it; one with zeros before the text if there is none."""
        words = self.embed_texts([text])
        seen = self.embed_images(images) if images else np.zeros_like(words)
        return normalize(np.concatenate([seen, np.repeat(words, len(seen), axis=0)], axis=1))

    def match(self, images: Sequence[Image], texts: Sequence[str]) -> Floats:
        """The cosine of each image with each text."""
        found: Floats = normalize(self.embed_images(images)) @ normalize(self.embed_texts(texts)).T
        return found


def normalize(rows: Floats) -> Floats:
    """Each row divided by its length."""
    found: Floats = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return found.astype(np.float32)


def _to_array(features: Any) -> Floats:
    rows = getattr(features, "pooler_output", features)
    found: Floats = rows.float().cpu().numpy()
    return found


@cache
def _load(folder: Path, device: str) -> Clip:
    return Clip(folder, device)


def load_clip(folder: Path, device: str) -> Clip:
    """The open model of a folder, loaded once in a process. Raises HarnessError if it is none."""
    with _LOADING:
        return _load(folder, device)
