"""The fingerprint of a local model: names, sizes and sha256 of the files that decide its answers.

Every local provider puts `hash_folder` into `ModelInfo.fingerprint`, so that a checkpoint that was overwritten is
another model and one that was moved is the same. The path never enters. Large files are hashed once: the hash is kept
in the user's cache folder by size, modification and change time and inode, but only if the file has not changed for a
moment, since a file that is still being written can change without any of these changing.

A folder of a training that has not ended is not a model, and neither is any folder in it: a checkpoint has all files of
a model and does not say what it was trained on, so its results would pass for those of a model that was never trained
on the data. Code that opens a folder as a model calls `refuse_unfinished` first.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import platformdirs

from harness.errors import HarnessError
from harness.files import atomic_write
from harness.types import Json

MARK: Final = "unfinished-training"  #: a file in the folder of a training, and in each of its checkpoints
_MARK_TEXT: Final = (
    "A training works here and has not ended: nothing in this folder is a model. It continues from here.\n"
)

#: Smaller files are hashed each time: that is faster than a cache.
_CACHED_FROM: Final = 1 << 20
#: The hash of a file changed within these seconds is not kept: file systems count time in ticks.
_SETTLED_AFTER: Final = 2.0
_HASHED_AT_ONCE: Final = 4

_MODEL_FILES: Final = re.compile(r".+\.(safetensors|bin|pt|pth|gguf|json|jinja|txt|model|tiktoken|py)")
#: What a trainer leaves next to a checkpoint, and the texts of a hub repository.
_TRAINING_FILES: Final = re.compile(
    r"(optimizer|scheduler|scaler|rng_state|training_args|trainer_state|all_results|train_results|eval_results)[\w.-]*"
    r"|(readme|license|licence|notice)[\w.-]*",
    re.IGNORECASE,
)
_TEMPLATES: Final = "additional_chat_templates"


def hash_folder(folder: Path) -> dict[str, Json]:
    """The fingerprint of a model folder: file name -> {"size": bytes, "sha256": hex}.

    Counts the files directly in it that hold weights, configuration, tokenizer, templates or code, and named chat
    templates in their own folder. What a trainer leaves behind (optimizer, logs) does not count.

    Raises:
        HarnessError: the folder holds no such file, one cannot be read, or it is part of a training that has not ended.
    """
    refuse_unfinished(folder)
    files = (*folder.glob("*"), *folder.glob(f"{_TEMPLATES}/*"))
    names = sorted(
        file.relative_to(folder).as_posix()
        for file in files
        if _MODEL_FILES.fullmatch(file.name) and not _TRAINING_FILES.fullmatch(file.name) and file.is_file()
    )
    if not names:
        raise HarnessError("no model file in this folder", where=str(folder), remedy="name a folder with a config.json")
    with ThreadPoolExecutor(_HASHED_AT_ONCE) as pool:
        marks = pool.map(hash_file, [folder / name for name in names])
        return dict(zip(names, marks, strict=True))


def hash_file(path: Path) -> dict[str, Json]:
    """Size in bytes and sha256 of one file. Raises HarnessError if it cannot be read."""
    try:
        size = path.stat().st_size
        return {"size": size, "sha256": _hash(path, use_cache=size >= _CACHED_FROM)}
    except OSError as error:
        raise HarnessError(f"cannot read a model file: {error.strerror}", where=str(path)) from error


def _hash(path: Path, *, use_cache: bool) -> str:
    state = _state(path)
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()
    cached = platformdirs.user_cache_path("harness", appauthor=False) / "fingerprints" / f"{name}.json"
    if use_cache:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            known = json.loads(cached.read_bytes())
            if known["state"] == state:
                return str(known["sha256"])
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    found = path.stat()
    if use_cache and _state(path) == state and time.time() - max(found.st_mtime, found.st_ctime) > _SETTLED_AFTER:
        with contextlib.suppress(OSError):  # without a cache the next start hashes again
            atomic_write(cached, json.dumps({"state": state, "sha256": sha256}), sync=False)
    return sha256


def _state(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def mark_unfinished(folder: Path) -> None:
    """Mark that nothing in a folder is a model yet; makes the folder if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).write_text(_MARK_TEXT, encoding="utf-8")


def refuse_unfinished(folder: Path) -> None:
    """Raise HarnessError for a folder of a training that has not ended, or one that was copied out of it."""
    real = folder.resolve()
    if any((place / MARK).is_file() for place in (real, *real.parents)):
        raise HarnessError(
            "this is part of a training that has not ended, and no model yet",
            where=str(folder),
            remedy="give the same `harness train` command again: it continues, and its --out becomes the model",
        )
