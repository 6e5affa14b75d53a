"""Writes a mixture for other trainers: ShareGPT, LLaMA-Factory, ms-swift. The same layouts read it back.

Each folder holds one file of records, in the order of the mixture, and `images/`, each image once and byte for byte,
named by its hash. `id`, `category` and `sub_category` are in each record; the trainers pass over them.
"""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness import BadData, BadImage, HarnessError, Image, Json, UnknownName
from harness.images import inline_image, open_image
from harness.settings import nearest
from harness_mirage.mixture import EDGE, Mixture, Picture, Record, Speaker

from .layouts import INFO

_SHAREGPT: Final[Mapping[Speaker, str]] = {"system": "system", "user": "human", "assistant": "gpt"}
_SUFFIXES: Final[Mapping[str, str]] = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/gif": ".gif",
    "image/webp": ".webp",
    "image/bmp": ".bmp",
}
_SET: Final = "mixture"


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """How a trainer wants its data.

    Attributes:
        file: of the records; `.jsonl` has one a line, else they are a list.
        record: (record, paths of its images) -> its object in the file.
        others: further files by name, and what is in them.
        main: the file that is handed to the trainer.
    """

    file: str
    record: Callable[[Record, Sequence[str]], dict[str, Json]]
    others: Mapping[str, Json]
    main: str


def sharegpt_json(record: Record, images: Sequence[str]) -> dict[str, Json]:
    """A record as ShareGPT has it."""
    turns = [{"from": _SHAREGPT[turn.speaker], "value": turn.text} for turn in record.turns]
    return {**_about_json(record), "image": list(images), "conversations": turns}


def _messages_json(record: Record, images: Sequence[str]) -> dict[str, Json]:
    turns = [{"role": turn.speaker, "content": turn.text} for turn in record.turns]
    return {**_about_json(record), "messages": turns, "images": list(images)}


def _about_json(record: Record) -> dict[str, Json]:
    return {"id": record.id, "category": record.category, "sub_category": record.sub_category}


_INFO: Final[Json] = {
    _SET: {
        "file_name": f"{_SET}.json",
        "formatting": "sharegpt",
        "columns": {"messages": "messages", "images": "images"},
        "tags": {
            "role_tag": "role",
            "content_tag": "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
            "system_tag": "system",
        },
    }
}

FORMATS: Final[Mapping[str, Format]] = {
    "sharegpt": Format(file=f"{_SET}.json", record=sharegpt_json, others={}, main=f"{_SET}.json"),
    "llamafactory": Format(file=f"{_SET}.json", record=_messages_json, others={INFO: _INFO}, main=INFO),
    "swift": Format(file=f"{_SET}.jsonl", record=_messages_json, others={}, main=f"{_SET}.jsonl"),
}


def write(name: str, mixture: Mixture, folder: Path) -> Path:
    """Write a mixture in a format of `FORMATS` -> the file that is handed to the trainer.

    The folder appears once all of it is written.

    Raises:
        UnknownName: there is no such format.
        HarnessError: something is in the folder already, or it cannot be written.
        BadData: an image cannot be used.
    """
    if name not in FORMATS:
        raise UnknownName(f"there is no format {name!r}", remedy=nearest(name, FORMATS))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise HarnessError("something is there already", where=str(folder), remedy="name a new folder")
    form = FORMATS[name]
    lines = form.file.endswith(".jsonl")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            (scratch / "images").mkdir()
            with (scratch / form.file).open("w", encoding="utf-8", newline="\n") as file:
                for number, record in enumerate(mixture.records):
                    paths = [_write_image(picture, record.place, scratch) for picture in record.pictures]
                    file.write("" if lines else ",\n" if number else "[\n")
                    file.write(json.dumps(form.record(record, paths), ensure_ascii=False) + ("\n" if lines else ""))
                file.write("" if lines else "\n]\n")
            for other, value in form.others.items():
                (scratch / other).write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
            scratch.chmod(0o755)
            scratch.replace(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise HarnessError(f"cannot be written: {error.strerror or error}", where=str(folder)) from None
    return folder / form.main


def _write_image(picture: Picture, place: str, folder: Path) -> str:
    """Put an image into the folder, unless it is there -> its path inside the folder."""
    if picture.files is not None:
        image = Image(path=picture.path, files=picture.files)
    else:
        import PIL.Image

        black = io.BytesIO()
        PIL.Image.new("RGB", (EDGE, EDGE)).save(black, format="PNG")
        image = inline_image("a black square", black.getvalue())
    try:
        opened = open_image(image).opened
    except BadImage as fault:
        raise BadData(f"an image cannot be written for another trainer: {fault}", where=place) from None
    path = f"images/{opened.sha256[:32]}{_SUFFIXES[opened.mime]}"
    if not (folder / path).exists():
        (folder / path).write_bytes(opened.data)
    return path
