"""`prepend-image`: an image of the user's before those of the question, such as a released adversarial one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Final

from harness import Attack, Attacked, BadImage, HarnessError, Image, Message, Sample, Setting, Settings, Variant
from harness.images import BYTE_LIMIT, decode, draw_image
from harness.types import Json

from .turns import NO_CHAT, change_turns, note_place


@lru_cache(maxsize=8)
def _open_file(file: Path, _changed: int) -> Image:
    """The image of a file, byte for byte. Raises HarnessError if it is none, or if its pixels cannot be read."""
    try:
        if (size := file.stat().st_size) > BYTE_LIMIT:
            raise HarnessError(f"-A file: it has {size:,} bytes, more than an image may", where=str(file))
        image = draw_image(file.name, file.read_bytes())
        decode(image.opened)  # else each request would be refused, or each sample would end as `bad_sample`
    except OSError as error:
        raise HarnessError(f"-A file: it cannot be read: {error.strerror}", where=str(file)) from error
    except BadImage as fault:
        why = str(fault).partition(": ")[2]
        raise HarnessError(f"-A file: it cannot be read as an image: {why}", where=str(file)) from fault
    return replace(image, path="attack/prepend-image")


def open_file(settings: Settings) -> Image:
    """The image that the settings name. Raises HarnessError if there is none."""
    given: Path | None = settings["file"]
    if given is None:
        raise HarnessError("attack prepend-image needs an image", remedy="give -A file=FILE")
    file = given.expanduser()
    try:
        changed = file.stat().st_mtime_ns
    except OSError as error:
        raise HarnessError("-A file: it cannot be read as an image", where=str(file)) from error
    return _open_file(file, changed)


def _name_file(settings: Settings) -> Mapping[str, Json]:
    content = open_file(settings).opened
    return {"image": f"{content.mime}, {content.width} x {content.height}"}


def _apply(sample: Sample, settings: Settings, _variant: Variant) -> Attacked:
    image, left = open_file(settings), [True]

    def change(turn: Message) -> Message:
        if not left:
            return turn
        left.clear()
        return Message(role=turn.role, content=(image, *turn.content))

    notes = note_place(sample.request, "an image comes before the others") if sample.request.images else ()
    return Attacked(request=change_turns(sample.request, change), notes=notes)


PREPEND_IMAGE: Final = Attack(
    name="prepend-image",
    version="1",
    description="puts an image of yours before the question, such as a released adversarial one",
    apply=_apply,
    check=lambda sample, _settings: NO_CHAT if sample.request.raw else "",
    images=lambda sample, _settings: len(sample.request.images) + 1,
    facts=_name_file,
    settings=(
        Setting(name="file", type=Path, default=None, identity=True, help="the image's FILE; known by its content"),
    ),
    variants=1,
)
