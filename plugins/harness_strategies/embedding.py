"""Models of transformers that strategies ask themselves: CLIP, and a reward model. Needs the extra `hf`."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from contextlib import contextmanager
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
from harness.text import one_line
from harness.types import Image

Floats = npt.NDArray[np.float32]
_LOADING: Final = Lock()
_REWARD_TOKENS: Final = 4096  #: most tokens that a reward model reads


@contextmanager
def quiet_loading(what: str, folder: Path) -> Generator[None]:
    """Show no progress bar of transformers.

    Raises HarnessError for a folder that cannot be loaded, also where its code needs a package that is missing.
    """
    models: Any = transformers
    bars: bool = models.logging.is_progress_bar_enabled()
    models.logging.disable_progress_bar()
    try:
        yield
    except ImportError as error:
        raise HarnessError(
            f"the {what} needs a package that is not installed: {one_line(str(error), 300)}",
            where=str(folder),
            remedy="install it with pip, or choose another model",
        ) from error
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise HarnessError(f"this is no {what}: {one_line(str(error), 200)}", where=str(folder)) from error
    finally:
        if bars:
            models.logging.enable_progress_bar()


class Clip:
    """An open CLIP model.

    Args:
        folder: of its files.
        device: where it computes, as `-M device` of `hf/`.
    """

    def __init__(self, folder: Path, device: str) -> None:
        self._device = find_device(device)
        models: Any = transformers
        with quiet_loading("CLIP model", folder):
            self._model: Any = models.CLIPModel.from_pretrained(folder).to(self._device).eval()
            self._words: Any = models.AutoTokenizer.from_pretrained(folder)
            self._pictures: Any = models.AutoImageProcessor.from_pretrained(folder)
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


class Reward:
    """An open reward model: scores a reply to a prompt.

    Args:
        folder: of its files.
        device: where it computes.
        trusted: whether code in the folder may run.
    """

    def __init__(self, folder: Path, device: str, trusted: bool) -> None:
        self._device = find_device(device)
        models: Any = transformers
        with quiet_loading("reward model", folder):
            kind = models.AutoModelForSequenceClassification
            self._model: Any = kind.from_pretrained(folder, trust_remote_code=trusted).to(self._device).eval()
            self._words: Any = models.AutoTokenizer.from_pretrained(folder, trust_remote_code=trusted)
        self._threads = choose_threads(self._model, None)
        self._lock = Lock()

    def score(self, prompt: str, reply: str) -> float:
        """The score: the model's own `score`, or else its first logit."""
        turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": reply}]
        with self._lock, limit_threads(self._threads), torch.inference_mode():
            text = self._words.apply_chat_template(turns, tokenize=False)
            given = self._words(
                text, return_tensors="pt", truncation=True, max_length=_REWARD_TOKENS, add_special_tokens=False
            )
            wanted = {name: given[name].to(self._device) for name in ("input_ids", "attention_mask")}
            out = self._model(**wanted)
            found = out.score if hasattr(out, "score") else out.logits[0, 0]
            score = float(found.float().item())
        if not math.isfinite(score):
            raise ValueError(f"the reward model scores an answer with {score}, by which nothing can be decided")
        return score


@cache
def _load_reward(folder: Path, device: str, trusted: bool) -> Reward:
    return Reward(folder, device, trusted)


def load_reward(folder: Path, device: str, *, trusted: bool = False) -> Reward:
    """The open model of a folder, loaded once in a process. Raises HarnessError if it is none."""
    with _LOADING:
        return _load_reward(folder, device, trusted)


@cache
def _load(folder: Path, device: str) -> Clip:
    return Clip(folder, device)


def load_clip(folder: Path, device: str) -> Clip:
    """The open model of a folder, loaded once in a process. Raises HarnessError if it is none."""
    with _LOADING:
        return _load(folder, device)
