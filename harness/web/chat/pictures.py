"""Images of a chat request: in the request itself, or files of the one allowed folder; never fetched."""

from __future__ import annotations

import base64
import binascii
import re
import stat
from pathlib import Path
from urllib.parse import unquote

from harness.errors import BadImage
from harness.images import BYTE_LIMIT, inline_image, open_image
from harness.types import Image
from harness.web.chat.refused import Refused

_DATA = re.compile(r"data:image/[\w.+-]+;base64,")
_FILE = "file://"


def picture(url: str, files: Path | None, place: str) -> Image:
    """The opened image behind an address.

    Args:
        url: `data:image/…;base64,…`, or `file://…` under `files`.
        files: the allowed folder; None allows none.
        place: the part of the body, for the error; also the image's name.

    Raises:
        Refused: it may not be read, or is no image that models take.
    """
    if _DATA.match(url):
        data = _decoded(url, place)
    elif url.startswith(_FILE):
        data = _file(url.removeprefix(_FILE), files, place)
    else:
        head = url[:40].partition(",")[0]
        message = f"{place}: {head!r}: images are data URLs (data:image/png;base64,…); no address is fetched"
        raise Refused(400, message, param=place, code="invalid_image_url")
    try:
        return open_image(inline_image(place, data))
    except BadImage as fault:
        raise Refused(400, str(fault), param=place, code=fault.reason) from None


def _decoded(url: str, place: str) -> bytes:
    try:
        return base64.b64decode(url.partition(",")[2], validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(400, f"{place}: not base64: {error}", param=place, code="invalid_base64") from None


def _file(name: str, files: Path | None, place: str) -> bytes:
    """A file's bytes; what lies outside is refused in the same words whether it exists or not."""
    if files is None:
        raise Refused(400, f"{place}: no folder of files is allowed here", param=place, code="files_not_allowed")
    path = name.removeprefix("localhost")
    for spelled in dict.fromkeys((path, unquote(path))):  # clients quote names, or do not
        if (data := _read(spelled, files.resolve(), place)) is not None:
            return data
    raise Refused(400, f"{place}: there is no such file", param=place, code="missing")


def _read(spelled: str, root: Path, place: str) -> bytes | None:
    try:
        path = Path(spelled)
        real = path.resolve()
    except (OSError, ValueError, RuntimeError):  # a loop of links, a zero byte
        return None
    if not path.is_absolute() or not real.is_relative_to(root):
        raise Refused(400, f"{place}: outside the allowed folder", param=place, code="outside_root")
    try:
        found = real.stat()
        if not stat.S_ISREG(found.st_mode):
            return None
        if found.st_size > BYTE_LIMIT:
            raise Refused(400, f"{place}: {found.st_size} bytes are too many", param=place, code="too_many_bytes")
        return real.read_bytes()
    except OSError:
        return None
