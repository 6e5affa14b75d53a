"""Lists the photographs of a collection on this machine, with the caption, origin and licence of each.

A folder with archives is a WebDataset; one with parquet files that hold images or name files is an index; any other is
a folder of photographs:

- Metadata of `a/cup.jpg` in a folder come from `a/cup.json`, `a/cup.txt` (its caption alone), and a table `metadata`
  (.jsonl, .json, .csv, .tsv) in its folder or one above. Its column `file_name` is relative to the table's folder.
- In the shards of a WebDataset, members with one stem are one photograph and its metadata. A shard is read in place,
  and memory holds only the positions of its photographs, so many shards cost little.
- A parquet index holds the bytes of photographs, or names files here. An address is never followed. A row whose
  photograph is not on this machine is counted, and left out.

No image is opened to list them.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Final, Literal, cast

from harness import BadData, BadImage, HarnessError, Image, Json, MissingData, open_files, rows
from harness.readers import DataFiles, parquet_rows
from harness.readers.archives import FAULTS, Member, open_archive, suffix
from harness.readers.places import IN_PARQUET
from harness_builder.licences import RANKS, UNKNOWN, combine, fits, normalize_licence
from harness_builder.plan import Photos
from harness_builder.seeds import SeedSource
from harness_builder.values import End

IMAGES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp"})
_TABLES: Final = tuple(f"metadata.{ending}" for ending in ("jsonl", "json", "csv", "tsv"))
#: columns of an index, in small letters; LAION's are in capitals
_COLUMNS: Final = (
    *("image", "jpg", "jpeg", "png", "webp", "image_bytes", "bytes"),
    *("path", "file_name", "image_path", "filepath", "local_path"),
)
_CAPTION: Final = ("caption", "text")
_LICENCE: Final = ("licence", "license")
_AUTHOR: Final = ("author", "creator")

NO_LICENCE: Final = "no licence"
FORBIDDEN: Final = "a licence that forbids it, or is unknown"
_INCOMPATIBLE: Final = "a licence that conflicts with the others"
_FREE: Final = RANKS[0][0]  # no conditions

#: its image is not on this machine; or its image or metadata cannot be read
Lost = Literal["absent", "unreadable"]
_LOST: Final[Mapping[Lost, str]] = {
    "absent": "is only in its index: nothing is fetched",
    "unreadable": "cannot be read",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """A photograph of the user's collection.

    Attributes:
        key: `<collection>/<place>`; stable.
        image: not opened.
        caption: empty if it has none.
        licence: its own in SPDX's spelling, else that of the collection; empty if none is stated.
        url: its origin according to its index; never fetched. Empty if unknown.
        author: according to its index; empty if unknown.
        score: likeness with the search words.
        stamp: changes when the file does.
    """

    key: str
    image: Image
    caption: str = ""
    licence: str = ""
    url: str = ""
    author: str = ""
    score: float = 0.0
    stamp: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedPhoto:
    """A photograph that a record shows.

    Attributes:
        key: of the photograph.
        object: that it shows.
        sha256: of the record's image: faces covered, without metadata, no larger than a drawing.
        faces: how many were covered.
        score: of its search.
        licence, caption, url, author: as in `Photo`.
        calls: digests of the calls about it, in order.
    """

    key: str
    object: str
    sha256: str
    faces: int
    score: float
    licence: str
    caption: str = ""
    url: str = ""
    author: str = ""
    calls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedPhoto:
    """A photograph that was examined for a record and not taken.

    Attributes:
        object: that it should show.
        end, why: how it ended.
        key: of the photograph; empty if a hard stop ended it, which leaves only its kind.
        sha256: of its image as models saw it; empty if none did, and for a stop.
        faces: how many were covered in it.
        calls: digests of the calls about it, in order.
    """

    object: str
    end: End
    why: str
    key: str = ""
    sha256: str = ""
    faces: int = 0
    calls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RealRecord:
    """A question of the easy or the hard test with two photographs in place of the drawings.

    Attributes:
        key: `<key of the twin>@real`.
        of: key of the twin, which has the same question: the two are not independent.
        question: of the twin's record.
        category: of the twin's record.
        sub_category: of the twin's record; empty for none.
        photos: the two, in the order of the objects.
        untaken: photographs examined before them and not taken, in order.
        reviewers: who saw both and kept it; none if people were not asked.
    """

    key: str
    of: str
    question: str
    category: str
    sub_category: str
    photos: tuple[UsedPhoto, UsedPhoto]
    untaken: tuple[RejectedPhoto, ...] = ()
    reviewers: tuple[str, ...] = ()

    @property
    def images(self) -> tuple[str, str]:
        """sha256 of each image, in order."""
        return self.photos[0].sha256, self.photos[1].sha256

    @property
    def origins(self) -> tuple[str, str]:
        """Key of each photograph, in order."""
        return self.photos[0].key, self.photos[1].key

    @property
    def licences(self) -> tuple[str, str]:
        """Licence of each photograph, in order."""
        return self.photos[0].licence, self.photos[1].licence

    @property
    def faces(self) -> int:
        """How many were covered in both."""
        return self.photos[0].faces + self.photos[1].faces


def list_photos(
    photos: Photos,
    *,
    accepted: bool = False,
    tell: Callable[[str], None] | None = None,
    left: Counter[str] | None = None,
) -> list[Photo]:
    """The usable photographs of a collection, each once.

    Args:
        photos: the collection.
        accepted: the user allows the collection in spite of its licences.
        tell: gets lines for the user.
        left: gets how many of the collection may not be used, and why.

    Raises:
        MissingData: there is nothing at the path.
        BadData: an index or an archive cannot be read.
        HarnessError: no photograph may be used.
    """
    left = Counter() if left is None else left
    licence, found = normalize_licence(photos.licence), dict[str, Photo]()
    for each in _find_photos(photos.path):
        if not isinstance(each, Photo):
            left[_LOST[each]] += 1
            continue
        own = each.licence or licence
        if why := find_licence_fault(own, (), accepted=accepted):
            left[why] += 1
            continue
        key = f"{photos.name}/{each.key}".encode("utf-8", "backslashreplace").decode()
        if key not in found:
            found[key] = replace(each, key=key, licence=own)
    lost = "; ".join(f"{number:,} left out: {why}" for why, number in sorted(left.items()))
    if not found:
        if NO_LICENCE in left:
            remedy = "state the licence of the collection in the config, or of each photograph in its metadata"
            remedy += ": --accept-licence is for a stated licence that forbids it" if accepted else ""
        elif FORBIDDEN in left:
            remedy = f"if you may use them anyway: --accept-licence {photos.name}"
        else:
            remedy = "name a folder of .jpg, .png or .webp, of WebDataset tars, or of parquet files that hold images"
        what = f"there is no photograph in {photos.name!r} that may be used{lost and f' ({lost})'}"
        raise HarnessError(what, where=str(photos.path), remedy=remedy)
    if tell is not None:
        tell(f"{photos.name}: {len(found):,} photograph{'' if len(found) == 1 else 's'}{lost and f'; {lost}'}")
    return list(found.values())


def find_licence_fault(licence: str, others: Iterable[str], *, accepted: bool) -> str:
    """Why a photograph with this licence is not used; empty if it may be.

    Args:
        licence: empty if none is stated.
        others: licences of the set.
        accepted: the user allows the collection in spite of its licences; one must still be stated.
    """
    if not licence:
        return NO_LICENCE
    if accepted:
        return ""
    if not fits(licence, ()):
        return FORBIDDEN
    return "" if fits(licence, others) else _INCOMPATIBLE


def photo_source(photos: Photos, used: Iterable[RealRecord] = ()) -> SeedSource:
    """The collection as a source for `licences.check_licences`.

    Args:
        photos: the collection.
        used: records that show its photographs, whose licences together count. Before there are any, the licence is
            the one that the user states for all or, if each has its own, one without conditions: check again with the
            records.
    """
    licences = [licence for record in used for licence in record.licences]
    licence = combine(licences) if licences else normalize_licence(photos.licence) or _FREE
    return SeedSource(name=photos.name, path=photos.path, layout="photographs", licence=licence)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoInfo:
    """The metadata of a photograph in an index; each empty if missing."""

    caption: str = ""
    licence: str = ""
    url: str = ""
    author: str = ""

    def over(self, other: PhotoInfo) -> PhotoInfo:
        """This, with gaps filled from the other."""
        return PhotoInfo(
            caption=self.caption or other.caption,
            licence=self.licence or other.licence,
            url=self.url or other.url,
            author=self.author or other.author,
        )


def parse_info(values: Mapping[str, Json]) -> PhotoInfo:
    """The known fields of a record."""
    folded = {name.casefold(): value for name, value in values.items()}
    licence = next((folded[name] for name in _LICENCE if folded.get(name) is not None), "")
    return PhotoInfo(
        caption=_first_text(folded, _CAPTION),
        licence=sys.intern(normalize_licence(licence)) if isinstance(licence, str) else UNKNOWN,
        url=_first_text(folded, ("url",)),
        author=_first_text(folded, _AUTHOR),
    )


def _first_text(folded: Mapping[str, Json], names: Iterable[str]) -> str:
    """The first of these fields that holds a text, in one line; empty if none does."""
    found = (folded.get(name) for name in names)
    text = next((" ".join(each.split()) for each in found if isinstance(each, str) and each.strip()), "")
    return text.encode("utf-8", "replace").decode()  # a lone surrogate would break the file that it is written to


def _parse_sidecar(data: bytes) -> PhotoInfo:
    """The JSON object next to a photograph. Raises BadData for any other content, which may hold a licence."""
    try:
        value: Json = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise BadData("the file next to a photograph is not a JSON object")
    return parse_info(cast("dict[str, Json]", value))


def _parse_caption(data: bytes) -> PhotoInfo:
    """The text next to a photograph, in one line."""
    return PhotoInfo(caption=" ".join(data.decode("utf-8-sig", "replace").split()))


def _make_photo(place: str, image: Image, stamp: str, info: PhotoInfo) -> Photo:
    """A photograph by its place in the collection; the stamp tells that its file has not changed."""
    marked = f"{place}\n{stamp}".encode("utf-8", "surrogatepass")
    return Photo(
        key=place,
        image=image,
        caption=info.caption,
        licence=info.licence,
        url=info.url,
        author=info.author,
        stamp=hashlib.blake2b(marked, digest_size=16).digest(),
    )


def _find_photos(path: Path) -> Iterator[Photo | Lost]:
    if not path.exists():
        raise MissingData("there is no such folder or file of photographs", where=str(path))
    if path.is_file():
        yield from _read_shard(path, path.name) if suffix(path) else _read_index(open_files(path.parent), path.name)
        return
    shards = sorted(each for each in path.rglob("*") if suffix(each) and each.is_file())
    for each in shards:
        yield from _read_shard(each, each.relative_to(path).as_posix())
    if shards:
        return  # parquet files next to shards repeat their content
    files = open_files(path)
    indexes: list[str] = []  # that hold images or name files: addresses alone do not count
    for name in files.matching("**/*.parquet"):
        row = next(parquet_rows(files, name), None)
        if row is not None and any(column.casefold() in _COLUMNS for column in row.values):
            indexes.append(name)
    for name in indexes:
        yield from _read_index(files, name)
    if not indexes:
        yield from _read_folder(files)


def _read_folder(files: DataFiles) -> Iterator[Photo | Lost]:
    """The photographs of a folder, in the order of their names. Raises BadData if a table cannot be read, or has no
    column `file_name`."""
    listed: dict[str, PhotoInfo] = {}
    for place, below, every in os.walk(files.root):
        below[:] = sorted(name for name in below if not name.startswith((".", "__MACOSX")))
        names = sorted(name for name in every if not name.startswith("."))
        relative = Path(place).relative_to(files.root).as_posix()
        folder = "" if relative == "." else f"{relative}/"
        if table := next((each for each in _TABLES if each in names), ""):
            for row in rows(files, folder + table):
                listed[(PurePosixPath(folder) / row.text("file_name")).as_posix()] = parse_info(row.values)
        there = frozenset(names)
        for name in names:
            if PurePosixPath(name).suffix.casefold() not in IMAGES:
                continue
            info = listed.pop(folder + name, PhotoInfo())
            caption, sidecar = (f"{name.rpartition('.')[0]}.{ending}" for ending in ("txt", "json"))
            try:  # files next to a photograph override the table
                if caption in there:
                    info = _parse_caption(files.read(folder + caption)).over(info)
                if sidecar in there:
                    info = _parse_sidecar(files.read(folder + sidecar)).over(info)
                _, size, changed = files.stamp(folder + name)
            except (BadData, BadImage):
                yield "unreadable"
                continue
            yield _make_photo(folder + name, files.image(folder + name), f"{size} {changed}", info)
    for _ in listed:
        yield "absent"


@dataclass(frozen=True, slots=True)
class _ShardFile:
    """The one file of an archive; see `harness.types.Files`."""

    root: Path
    member: Member
    changed: int

    def read(self, path: str) -> bytes:
        try:
            return self.member.read()
        except FAULTS as fault:
            raise BadImage(path, "unreadable", str(fault) or type(fault).__name__) from None

    def stamp(self, path: str) -> tuple[str, int, int]:
        return f"{self.root}!{path}", self.member.size, self.changed


def _read_shard(path: Path, name: str) -> Iterator[Photo | Lost]:
    """The photographs of a shard, a tar or zip that has this name in the collection. Raises BadData if it cannot be
    read."""
    try:
        archive = open_archive(path)
    except FAULTS as fault:
        raise BadData(f"the shard cannot be read: {fault}", where=str(path)) from None
    # Stem -> ending -> member. As WebDataset has it, the stem goes to the first dot of the file's name.
    stems: dict[str, dict[str, Member]] = {}
    for place, member in archive.members.items():
        folder, slash, file = place.rpartition("/")
        stem, _, ending = file.partition(".")
        if stem:
            stems.setdefault(f"{folder}{slash}{stem}", {})[ending.casefold()] = member
    for stem, parts in stems.items():
        ending = next((each for each in parts if f".{each}" in IMAGES), "")
        if not ending:
            continue
        member = parts[ending]
        try:
            info = _parse_sidecar(parts["json"].read()) if "json" in parts else PhotoInfo()
            if "txt" in parts:
                info = info.over(_parse_caption(parts["txt"].read()))
        except (BadData, *FAULTS):
            yield "unreadable"
            continue
        if member.refused:
            yield "unreadable"
            continue
        image = Image(path=f"{stem}.{ending}", files=_ShardFile(path, member, archive.mtime_ns))
        yield _make_photo(f"{name}/{stem}", image, f"{member.size} {archive.mtime_ns}", info)


def _read_index(files: DataFiles, name: str) -> Iterator[Photo | Lost]:
    """The photographs of an index.

    Raises:
        BadData: it cannot be read.
        HarnessError: its reader is not installed.
    """
    _, size, changed = files.stamp(name)
    for row in parquet_rows(files, name):
        wanted = _first_text({column.casefold(): value for column, value in row.values.items()}, _COLUMNS)
        if IN_PARQUET in wanted:
            yield _make_photo(wanted, files.image(wanted), f"{size} {changed}", parse_info(row.values))
            continue
        beside = (PurePosixPath(name).parent / wanted).as_posix()
        place = next((each for each in (wanted, beside) if wanted and files.has(each)), "")
        if not place:
            yield "absent"
            continue
        try:
            _, own_size, own_changed = files.stamp(place)
        except BadImage:
            yield "unreadable"
            continue
        yield _make_photo(place, files.image(place), f"{own_size} {own_changed}", parse_info(row.values))
