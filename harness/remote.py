"""Run folders in an object store or on another file system: copied there whole, and read from there by a local copy.

A copy is whole if its manifest says so. `manifest.json` names each file with its size and sha256, and is written last.
While files change, the manifest there says `whole: false` and names only the files that stay, so a reader that comes in
between, or after an upload that broke off, is told so and never takes half of two copies for one. Another upload sends
only what has changed.

A reader fetches what the manifest names into a folder of the cache, one for each state of the copy, checks each hash,
and reads that folder. It stays unchanged while it is read, whatever is uploaded meanwhile.

What is at an address is not trusted. A manifest has a bound and is checked field by field, no more of a file is read
than its manifest says, and what does not fit on the disk is not begun.

Any address of fsspec will do: `s3://`, `gs://`, `sftp://`, `file://`. Only upload and download touch it; journals are
appended to and locked, which an object store cannot do.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from harness.errors import HarnessError
from harness.extras import Untyped, install_command
from harness.files import lock_file
from harness.secrets import holds_key, without_secrets

MANIFEST: Final = "manifest.json"
_PROBE: Final = ".probe"  # an empty file that shows whether an address can be written to
SCHEMA: Final = "harness.manifest/1"
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(?:::[A-Za-z][A-Za-z0-9+.-]*)*://")
_BLOCK: Final = 1 << 20
_KEPT: Final = 3  # states of one copy in the cache
_TRIES: Final = 3  # a copy may be replaced while it is fetched
_LARGEST_MANIFEST: Final = 50_000_000
_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded:
    """What an upload did.

    Attributes:
        url: where the copy is.
        sent: number of files that were sent.
        kept: number of files that were there already.
        bytes: of those that were sent.
    """

    url: str
    sent: int
    kept: int
    bytes: int

    def __str__(self) -> str:
        rest = f", {self.kept} were there" if self.kept else ""
        return f"uploaded to {self.url}: {self.sent} files, {self.bytes / 1e6:.1f} MB{rest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Manifest:
    """What a copy holds.

    Attributes:
        whole: whether all of it is there.
        of: what it is a copy of; another run is never written over it.
        files: name with `/` -> file.
    """

    whole: bool
    of: str
    files: Mapping[str, _File]

    def as_bytes(self) -> bytes:
        files = {name: {"bytes": file.bytes, "sha256": file.sha256} for name, file in sorted(self.files.items())}
        document = {"schema": SCHEMA, "whole": self.whole, "of": self.of, "files": files}
        return json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n"


def is_remote(place: str | Path) -> bool:
    """Whether a place is an address and no path of this machine."""
    return _SCHEME.match(str(place)) is not None


def check_address(url: str) -> None:
    """Refuse an address that cannot be written to, before anything is spent on what is to be uploaded there.

    Raises HarnessError: it holds a credential, nothing can open it, or the store refuses.
    """
    with _report(url, "cannot be written to"):
        place = _Place(url)
        _read_manifest(place)
        place.write(_PROBE, b"")
        with suppress(Exception):  # who may write need not be allowed to delete
            place.remove(_PROBE)


def join_address(url: str, *names: str) -> str:
    """An address below another one."""
    scheme, _, rest = url.partition("://")
    path = "/".join((rest.rstrip("/"), *names))
    return f"{scheme}://{path if rest else path.removeprefix('/')}"


def upload_folder(folder: Path, url: str, *, of: str) -> Uploaded:
    """Copy a folder to an address, its manifest last; hidden files and folders are left out.

    Args:
        folder: a whole folder. It is only read.
        url: the address; of an earlier copy, only what has changed is sent.
        of: what the folder is; a copy of something else is not replaced.

    Raises:
        HarnessError: the copy there is of something else, a file changed meanwhile, or the store refuses.
    """
    local = {name: _measure(path) for name, path in _list_files(folder)}
    with _report(url, "the upload failed"):
        place = _Place(url)
        old = _read_manifest(place)
        if old is None and place.holds_others():
            raise HarnessError(
                "this address holds files and no manifest, so they are not a copy of a run",
                where=show_address(url),
                remedy="give an address of its own, such as one more level",
            )
        if old is not None and old.of != of:
            raise HarnessError(
                "this address holds the copy of another run",
                where=show_address(url),
                remedy="give another address, or delete what is there",
            )
        there: Mapping[str, _File] = {} if old is None else old.files
        kept = {name: file for name, file in local.items() if there.get(name) == file}
        changed = [name for name in local if name not in kept]
        gone = [name for name in there if name not in local]
        if changed or gone or old is None or not old.whole:
            place.write(MANIFEST, _Manifest(whole=False, of=of, files=kept).as_bytes())
            for name in changed:
                place.send(folder / name, name)
            for name, path in _list_files(folder):
                if name in changed and _measure(path) != local[name]:
                    raise HarnessError(
                        "this file was changed while it was uploaded",
                        where=str(path),
                        remedy="wait until nothing writes to the folder; the same command uploads it again",
                    )
            for name in gone:
                place.remove(name)
            place.write(MANIFEST, _Manifest(whole=True, of=of, files=local).as_bytes())
    sent = sum(local[name].bytes for name in changed)
    return Uploaded(url=show_address(url), sent=len(changed), kept=len(kept), bytes=sent)


def measure_folder(folder: Path) -> str:
    """A hash of the files that an upload of a folder would send."""
    files = {name: _measure(path) for name, path in _list_files(folder)}
    return hashlib.sha256(_Manifest(whole=True, of="", files=files).as_bytes()).hexdigest()


def fetch_folders(place: str) -> list[Path]:
    """The local copies of the folders at an address; a pattern such as `s3://b/runs/*` means all whole copies.

    Raises HarnessError: there is no copy, one is not whole, or the store refuses.
    """
    if not re.search(r"[*?\[]", place):
        return [fetch_folder(place)]
    with _report(place, "cannot be read"):
        found = [join_address(place.partition("://")[0] + "://" + path) for path in _Place(place).expand()]
    if not found:
        raise HarnessError("no copy of a run matches", where=show_address(place), remedy=f"a copy holds {MANIFEST}")
    return [fetch_folder(url) for url in found]


def find_local(place: Path | str) -> Path:
    """A path of this machine as it is; for an address, the local copy of its folder. Raises as `fetch_folder`."""
    return fetch_folder(str(place)) if is_remote(place) else Path(place)


def list_addresses(url: str, depth: int) -> list[str]:
    """The addresses of the copies at an address and below it; what is hidden, such as shards, is left out.

    Args:
        url: of a copy, or of a folder of copies.
        depth: how many levels below it are searched.

    Raises HarnessError: the store refuses.
    """
    with _report(url, "cannot be read"):
        return [join_address(url, *path.split("/")[1:]) for path in _Place(url).find_below(depth)]


def fetch_folder(url: str, target: Path | None = None) -> Path:
    """The local copy of the folder at an address: fetched if it is not in the cache, and checked.

    Args:
        url: the address.
        target: where to put it, instead of the cache; only what differs is fetched.

    Raises HarnessError: there is no copy, it is not whole, it is not what its manifest says, or the store refuses.
    """
    from platformdirs import user_cache_path

    name = PurePosixPath(url.rstrip("/")).name or "run"
    own = hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:16]
    base = user_cache_path("harness", appauthor=False) / "runs" / own
    with _report(url, "cannot be read"), lock_file(base / ".lock"):
        place = _Place(url)
        for attempt in range(_TRIES):
            manifest = _require_whole(_read_manifest(place), url)
            state = hashlib.sha256(manifest.as_bytes()).hexdigest()[:16]
            folder = target or base / state / name
            try:
                _fetch(place, manifest, folder, base)
            except _ChangedError as changed:
                if attempt + 1 < _TRIES and _read_manifest(place) != manifest:
                    continue
                raise HarnessError(
                    f"{changed.args[0]} is not what the manifest says",
                    where=show_address(url),
                    remedy="the copy is damaged or is being replaced: upload it again from the folder itself",
                ) from None
            if target is None:
                _forget_old(base, state)
            return folder
    raise AssertionError


def show_address(url: str) -> str:
    """An address for a message, without a login and without what may be a signature."""
    return re.sub(r"://[^/?#@]*@", "://", url).partition("?")[0]


class _ChangedError(Exception):
    """A fetched file is not the one of the manifest: args[0] is its name."""


class _Place:
    """An address, opened by fsspec."""

    def __init__(self, url: str) -> None:
        if holds_key(url) or re.search(r"://[^/?#]*@", url):
            raise HarnessError(
                "an address must not hold a login or a key: it is recorded in the run",
                where=show_address(url),
                remedy="put it in the environment, as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            )
        scheme = url.partition("://")[0]
        try:
            import fsspec.core  # pyright: ignore[reportMissingTypeStubs]

            opened: Untyped = fsspec.core
            self._files, root = opened.url_to_fs(url, use_listings_cache=False)
        except ImportError as error:
            install = install_command("fsspec")
            known = "" if scheme in ("s3", "fsspec") or "fsspec" in str(error) else f", and the package of {scheme}://"
            raise HarnessError(f"{scheme}:// needs a package: {error}", remedy=f"{install}{known}") from error
        except ValueError as error:
            raise HarnessError(
                f"no file system is known for {scheme}://", where=show_address(url), remedy="such as s3://BUCKET/PATH"
            ) from error
        self.root = str(root).rstrip("/")

    def read(self, name: str, most: int) -> bytes | None:
        """A file's content, no more than this many bytes of it; None if it is missing."""
        self._files.invalidate_cache()
        try:
            with self._files.open(f"{self.root}/{name}", "rb") as file:
                data: bytes = file.read(most)
        except FileNotFoundError:
            return None
        return data

    def write(self, name: str, data: bytes) -> None:
        """Replace a file, in one step where the store has that."""
        self._files.makedirs(self.root, exist_ok=True) if self._is_local() else None
        self._files.pipe_file(f"{self.root}/{name}", data)

    def send(self, path: Path, name: str) -> None:
        """Copy a local file there."""
        target = f"{self.root}/{name}"
        self._files.makedirs(target.rpartition("/")[0], exist_ok=True) if self._is_local() else None
        self._files.put_file(str(path), target)

    def get(self, name: str, path: Path, most: int) -> None:
        """Copy a file here, and no more than one byte over this many of it: then it is another file."""
        with self._files.open(f"{self.root}/{name}", "rb") as source, path.open("wb") as target:
            left = most + 1
            while left and (block := source.read(min(left, _BLOCK))):
                target.write(block)
                left -= len(block)

    def remove(self, name: str) -> None:
        """Delete a file; one that is gone is no error."""
        try:
            self._files.rm_file(f"{self.root}/{name}")
        except FileNotFoundError:
            return

    def holds_others(self) -> bool:
        """Whether anything is there besides hidden folders, such as the shards of this run."""
        try:
            names = [str(path).rstrip("/").rpartition("/")[2] for path in self._files.ls(self.root, detail=False)]
        except (FileNotFoundError, NotADirectoryError):
            return False
        return any(name and not name.startswith(".") for name in names if name != self.root.rpartition("/")[2])

    def expand(self) -> list[str]:
        """The folders with a manifest that the address, a pattern, means; without a scheme."""
        found = sorted(str(path) for path in self._files.glob(f"{self.root}/{MANIFEST}"))
        return [path.removesuffix(f"/{MANIFEST}") for path in found]

    def find_below(self, depth: int) -> list[str]:
        """The copies at the address and some levels below it: "" or "/NAME…"; none in another copy, none hidden."""
        found: list[str] = []
        for level in range(depth + 1):
            pattern = "/".join((self.root, *["*"] * level, MANIFEST))
            for path in sorted(str(each).removesuffix(f"/{MANIFEST}") for each in self._files.glob(pattern)):
                below = path.removeprefix(self.root)
                if "/." not in below and not any(below.startswith(f"{outer}/") for outer in found):
                    found.append(below)
        return found

    def list_below(self, name: str) -> list[str]:
        """The names of the folders with a manifest in a folder."""
        found = sorted(str(path) for path in self._files.glob(f"{self.root}/{name}/*/{MANIFEST}"))
        return [path.split("/")[-2] for path in found]

    def _is_local(self) -> bool:
        """Whether folders must be made: an object store has none."""
        protocol: Untyped = self._files.protocol
        names = (protocol,) if isinstance(protocol, str) else tuple(protocol)
        return not {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss"} & set(names)


def list_copies(url: str, folder: str) -> list[str]:
    """The names of the copies in a folder below an address."""
    with _report(url, "cannot be read"):
        return _Place(url).list_below(folder)


@contextmanager
def _report(url: str, what: str) -> Generator[None]:
    """Raise a HarnessError for whatever a file system of fsspec raises in the body."""
    try:
        yield
    except HarnessError:
        raise
    except Exception as error:
        text = without_secrets(str(error)).replace(url, show_address(url)) or type(error).__name__
        raise HarnessError(
            f"{what}: {type(error).__name__}: {text[:500]}",
            where=show_address(url),
            remedy="check the address, the bucket and the credentials (for s3: AWS_*), and AWS_ENDPOINT_URL_S3",
        ) from error


def _read_manifest(place: _Place) -> _Manifest | None:
    """The manifest of a copy; None if there is none. Raises HarnessError for another file of that name."""
    data = place.read(MANIFEST, _LARGEST_MANIFEST + 1)
    if data is None:
        return None
    try:
        if len(data) > _LARGEST_MANIFEST:
            raise ValueError(f"it has more than {_LARGEST_MANIFEST // 10**6} MB")
        raw: Any = json.loads(data)
        if raw["schema"] != SCHEMA:
            raise ValueError(f"schema {raw['schema']!r}")
        files = {_check_name(name): _parse_file(name, file) for name, file in raw["files"].items()}
        for name in files:
            if folder := next((str(each) for each in PurePosixPath(name).parents if str(each) in files), None):
                raise ValueError(f"it names {folder!r} as a file and as a folder")
        if odd := [name for name, kind in (("whole", bool), ("of", str)) if not isinstance(raw[name], kind)]:
            raise ValueError(f"`{odd[0]}` is {raw[odd[0]]!r:.80}")
        return _Manifest(whole=raw["whole"], of=raw["of"], files=files)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        said = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise HarnessError(
            f"{MANIFEST} is not the manifest of a copy: {said[:300]}",
            where=show_address(place.root),
            remedy="give the address that --upload named",
        ) from None


def _check_name(name: str) -> str:
    """A file's name in a manifest. Raises ValueError if it could lead out of the folder."""
    parts = name.split("/")
    if "\\" in name or "\0" in name or name == MANIFEST or any(not part or part.startswith(".") for part in parts):
        raise ValueError(f"it names {name!r}")
    name.encode()  # half of a pair of surrogates is no name
    return name


def _parse_file(name: str, raw: Mapping[str, Any]) -> _File:
    """A file of a manifest. Raises ValueError for a size or a hash that cannot be."""
    size, sha256 = raw["bytes"], raw["sha256"]
    if type(size) is not int or size < 0:
        raise ValueError(f"{name} has {size!r:.80} bytes")
    if not isinstance(sha256, str) or not _HASH.fullmatch(sha256):
        raise ValueError(f"the sha256 of {name} is {sha256!r:.80}")
    return _File(bytes=size, sha256=sha256)


def _require_whole(manifest: _Manifest | None, url: str) -> _Manifest:
    if manifest is None:
        raise HarnessError(
            "there is no manifest, so this is not known to be a whole copy of a run",
            where=show_address(url),
            remedy="make it with --upload; if the copy was made in another way, fetch it yourself and give its folder",
        )
    if not manifest.whole:
        raise HarnessError(
            "this copy is not whole: an upload is still running or was interrupted",
            where=show_address(url),
            remedy="wait for it, or give the command with --upload again",
        )
    return manifest


def _fetch(place: _Place, manifest: _Manifest, folder: Path, base: Path) -> None:
    """Bring a folder to the state of a manifest.

    Raises:
        _ChangedError: a file is not the manifest's.
        HarnessError: the disk has no room for it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    known = _find_cached(base)
    lacking = [name for name, file in manifest.files.items() if not _has(folder / name, file)]
    wanted, free = sum(manifest.files[name].bytes for name in lacking), shutil.disk_usage(folder).free
    if wanted > free:
        raise HarnessError(
            f"what is to be fetched has {wanted / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB are free here",
            where=show_address(place.root),
            remedy=f"make room on the disk of {folder}",
        )
    for name in lacking:
        path, file = folder / name, manifest.files[name]
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f".{path.name}.{os.getpid()}.fetched")
        try:
            for twin in known.get((path.name, file.bytes), ()):
                if twin != path and _measure(twin) == file:
                    shutil.copyfile(twin, scratch)
                    break
            else:
                try:
                    place.get(name, scratch, file.bytes)
                except FileNotFoundError:
                    raise _ChangedError(name) from None
            if _measure(scratch) != file:
                raise _ChangedError(name)
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)
    for name, path in _list_files(folder):
        if name not in manifest.files:
            path.unlink()


def _has(path: Path, file: _File) -> bool:
    return path.is_file() and path.stat().st_size == file.bytes and _measure(path) == file


def _find_cached(base: Path) -> dict[tuple[str, int], list[Path]]:
    """The files of earlier states of a copy, by name and size."""
    found: dict[tuple[str, int], list[Path]] = {}
    for path in base.glob("*/**/*"):
        if path.is_file():
            found.setdefault((path.name, path.stat().st_size), []).append(path)
    return found


def _forget_old(base: Path, state: str) -> None:
    """Delete all but the last few states of a copy: somebody may still read the last."""
    os.utime(base / state)
    states = sorted((path for path in base.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
    day = time.time() - 24 * 3600
    for path in states[:-_KEPT]:
        if path.stat().st_mtime < day:
            shutil.rmtree(path, ignore_errors=True)


def _list_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files of a folder with their names, without hidden ones, such as locks and shards, and without links."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        hidden = any(part.startswith(".") for part in name.split("/"))
        if not hidden and path.is_file() and not path.is_symlink() and name != MANIFEST:
            yield name, path


def _measure(path: Path) -> _File:
    hashed, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            hashed.update(block)
            size += len(block)
    return _File(bytes=size, sha256=hashed.hexdigest())
