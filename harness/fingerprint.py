"""What a local model is made of: names, sizes and sha256 of the files that decide its answers.

Every local provider puts `of_folder` into `ModelInfo.fingerprint`, so that a checkpoint that was overwritten is another
model and one that was moved is the same. The path never enters. Large files are hashed once: the hash is remembered in
the user's cache folder by size, modification and change time and inode, but only once the file has been left alone for
a moment, since a file that is still being written can change without any of these changing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import platformdirs

from harness.errors import HarnessError
from harness.types import Json
from harness.unfinished import refuse_unfinished

#: Smaller files are hashed each time: that is faster than remembering.
_REMEMBERED_FROM: Final = 1 << 20
#: A file changed within these seconds is not remembered: file systems count time in ticks.
_SETTLED_AFTER: Final = 2.0
_HASHED_AT_ONCE: Final = 4

_COUNTS: Final = re.compile(r".+\.(safetensors|bin|pt|pth|gguf|json|jinja|txt|model|tiktoken|py)")
#: What a trainer leaves beside a checkpoint, and what a hub repository tells people.
_TRAINING: Final = re.compile(
    r"(optimizer|scheduler|scaler|rng_state|training_args|trainer_state|all_results|train_results|eval_results)[\w.-]*"
    r"|(readme|license|licence|notice)[\w.-]*",
    re.IGNORECASE,
)
_TEMPLATES: Final = "additional_chat_templates"


def of_folder(folder: Path) -> dict[str, Json]:
    """The fingerprint of a model folder: file name -> {"size": bytes, "sha256": hex}.

    Counts the files directly in it that hold weights, configuration, tokenizer, templates or code, and named chat
    templates in their own folder. What a trainer leaves behind (optimizer, logs) does not count.

    Raises:
        HarnessError: the folder holds no such file, or one cannot be read, or it is part of a training that goes on.
    """
    refuse_unfinished(folder)
    names = sorted(_that_count(folder))
    if not names:
        raise HarnessError("no model file in this folder", where=str(folder), remedy="name a folder with a config.json")
    with ThreadPoolExecutor(_HASHED_AT_ONCE) as pool:
        marks = pool.map(of_file, [folder / name for name in names])
        return dict(zip(names, marks, strict=True))


def of_file(path: Path) -> dict[str, Json]:
    """Size in bytes and sha256 of one file. Raises HarnessError where it cannot be read."""
    try:
        size = path.stat().st_size
        return {"size": size, "sha256": _remembered(path) if size >= _REMEMBERED_FROM else _hashed(path)}
    except OSError as error:
        raise HarnessError(f"cannot read a model file: {error.strerror}", where=str(path)) from error


def _that_count(folder: Path) -> Iterable[str]:
    for file in (*folder.glob("*"), *folder.glob(f"{_TEMPLATES}/*")):
        if _COUNTS.fullmatch(file.name) and not _TRAINING.fullmatch(file.name) and file.is_file():
            yield file.relative_to(folder).as_posix()


def _hashed(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remembered(path: Path) -> str:
    state = _state(path)
    memory = _memory(path)
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(memory.read_bytes())
        if known["state"] == state:
            return str(known["sha256"])
    sha256 = _hashed(path)
    if _state(path) == state and _settled(path):
        _remember(memory, {"state": state, "sha256": sha256})
    return sha256


def _state(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _settled(path: Path) -> bool:
    found = path.stat()
    return time.time() - max(found.st_mtime, found.st_ctime) > _SETTLED_AFTER


def _memory(path: Path) -> Path:
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()
    return platformdirs.user_cache_path("harness", appauthor=False) / "fingerprints" / f"{name}.json"


def _remember(memory: Path, value: Json) -> None:
    """Best effort: without a cache the next start hashes again."""
    with contextlib.suppress(OSError):
        memory.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=memory.parent, suffix=".tmp")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(value, file)
        Path(draft).replace(memory)
