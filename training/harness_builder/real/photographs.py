"""A collection of photographs on this machine, and what finds one in it by words.

A folder with archives in it is a WebDataset; one with parquet files that hold images or name files, an index; any other
a folder of photographs. No image is opened to list them.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from harness import HarnessError, MissingData, open_files
from harness.readers.archives import suffix
from harness_builder.licence_names import normalize_licence
from harness_builder.plan import Photos
from harness_builder.stops.faces import open_face_finder

from .folders import loose
from .found import Found, Lost
from .licensing import FORBIDDEN, NO_LICENCE, unfit
from .shards import shard
from .tables import listed, names_images
from .values import Photo, PhotoIndex

_ABSENT: Final = "is in its index alone: nothing is fetched"
_UNREADABLE: Final = "cannot be read"
_LOST: Final[Mapping[Lost, str]] = {"absent": _ABSENT, "unreadable": _UNREADABLE}


def _unheard(_: str) -> None:
    """Where the lines go that nobody wants to read."""


def check_photos(photos: Photos, *, accepted: bool = False, tell: Callable[[str], None] = _unheard) -> None:
    """Find what keeps a build from using photographs before it asks anybody anything; no weights are loaded.

    Raises:
        HarnessError: as `open_photos`, and where nothing finds faces.
    """
    open_face_finder(photos.faces)
    if photos.by == "clip":
        from .encoding import check_encoder

        check_encoder(photos.model)
    collected(photos, accepted=accepted, tell=tell)


def open_photos(
    photos: Photos,
    work: Path | None = None,
    *,
    accepted: bool = False,
    tell: Callable[[str], None] = _unheard,
    left: Counter[str] | None = None,
) -> PhotoIndex:
    """All photographs of a collection that may be used, ready to be looked for.

    Args:
        photos: the collection, and what finds one in it.
        work: folder that keeps what was worked out of the images; None keeps nothing.
        accepted: the user allows the collection in spite of its licences.
        tell: given lines for a person.
        left: is added to: how many of the collection may not be used, and why.

    Raises:
        MissingData: there is nothing at the path.
        BadData: an index or an archive cannot be read.
        HarnessError: there is no photograph; the model is unknown, or what runs it is not installed.
    """
    found = collected(photos, accepted=accepted, tell=tell, left=left)
    if photos.by == "caption":
        from .captions import CaptionIndex

        return CaptionIndex(found)
    from .clip import ClipIndex
    from .encoding import open_encoder

    return ClipIndex(found, open_encoder(photos.model), work, least=photos.least, tell=tell)


def collected(
    photos: Photos,
    *,
    accepted: bool = False,
    tell: Callable[[str], None] = _unheard,
    left: Counter[str] | None = None,
) -> list[Photo]:
    """The photographs of a collection that may be used, each once; arguments and errors as of `open_photos`."""
    left = Counter() if left is None else left
    licence, found = normalize_licence(photos.licence), dict[str, Photo]()
    for each in _found(photos.path):
        if not isinstance(each, Found):
            left[_LOST[each]] += 1
            continue
        photo = _photo(each, photos.name, licence)
        if why := unfit(photo.licence, (), accepted=accepted):
            left[why] += 1
        else:
            found.setdefault(photo.key, photo)
    said = "; ".join(f"{number:,} left out: {why}" for why, number in sorted(left.items()))
    if not found:
        raise HarnessError(
            f"there is no photograph in {photos.name!r} that may be used{said and f' ({said})'}",
            where=str(photos.path),
            remedy=_remedy(left, photos.name, accepted=accepted),
        )
    number = f"{len(found):,} photograph{'' if len(found) == 1 else 's'}"
    tell(f"{photos.name}: {number}{said and f'; {said}'}")
    return list(found.values())


def _remedy(left: Counter[str], name: str, *, accepted: bool) -> str:
    if NO_LICENCE in left:
        remedy = "state the licence of the collection in the config, or have each photograph say its own"
        return f"{remedy}: --accept-licence is for one that is stated and forbids it" if accepted else remedy
    if FORBIDDEN in left:
        return f"if you may use them all the same: --accept-licence {name}"
    return "name a folder of .jpg, .png or .webp, of WebDataset tars, or of parquet files that hold the images"


def _photo(found: Found, name: str, licence: str) -> Photo:
    stamp = hashlib.blake2b(f"{found.place}\n{found.stamp}".encode("utf-8", "surrogatepass"), digest_size=16)
    return Photo(
        key=f"{name}/{found.place}".encode("utf-8", "backslashreplace").decode(),
        image=found.image,
        caption=found.said.caption,
        licence=found.said.licence or licence,
        url=found.said.url,
        author=found.said.author,
        stamp=stamp.digest(),
    )


def _found(path: Path) -> Iterator[Found | Lost]:
    if not path.exists():
        raise MissingData("there is no such folder or file of photographs", where=str(path))
    if path.is_file():
        yield from shard(path, path.name) if suffix(path) else listed(open_files(path.parent), path.name)
        return
    shards = sorted(each for each in path.rglob("*") if suffix(each) and each.is_file())
    for each in shards:
        yield from shard(each, each.relative_to(path).as_posix())
    if shards:
        return  # parquet files beside shards say once more what the shards say
    files = open_files(path)
    tables = [name for name in files.matching("**/*.parquet") if names_images(files, name)]
    for name in tables:
        yield from listed(files, name)
    if not tables:
        yield from loose(files)
