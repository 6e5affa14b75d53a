"""One zip for a paper's supplement: the same run gives the same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from harness.errors import HarnessError
from harness.types import Json

MANIFEST: Final = "MANIFEST.json"
README: Final = "README.txt"
_TIME: Final = (1980, 1, 1, 0, 0, 0)  #: the first that a zip can hold
_CHUNK: Final = 1 << 20


def manifest(folder: Path, about: Mapping[str, Json]) -> dict[str, Json]:
    """What an archive says of itself: sha256 and size of each of its files.

    Args:
        folder: with all its files but the manifest.
        about: what else is said.
    """
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return {
        "schema": "harness.export/1",
        **about,
        "files": {name: {"sha256": _sha256(folder / name), "bytes": (folder / name).stat().st_size} for name in names},
    }


def pack(folder: Path, name: str, output: Path) -> None:
    """Write all files of a folder into a zip, under `name`.

    Raises:
        HarnessError: it cannot be written.
    """
    scratch = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(scratch, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                _add(archive, path, f"{name}/{path.relative_to(folder)}")
        scratch.replace(output)
    except OSError as error:
        with suppress(OSError):
            scratch.unlink()
        raise HarnessError("cannot write the archive", where=str(error), remedy="give another --output") from None


def write_manifest(folder: Path, about: Mapping[str, Json]) -> dict[str, Any]:
    """Put the manifest beside the files it lists; what it says."""
    made = manifest(folder, about)
    (folder / MANIFEST).write_text(json.dumps(made, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return made


def changed_since(folder: Path) -> list[str]:
    """The files of an unpacked archive that are gone or no longer those its manifest lists; none without a manifest."""
    try:
        listed: Mapping[str, Mapping[str, Json]] = json.loads((folder / MANIFEST).read_bytes())["files"]
        return sorted(name for name, about in listed.items() if not _is_still(folder, name, about))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return [MANIFEST]


def _is_still(folder: Path, name: str, about: Mapping[str, Json]) -> bool:
    path = folder / name
    inside = path.resolve().is_relative_to(folder.resolve())
    return inside and path.is_file() and _sha256(path) == about["sha256"]


def _add(archive: zipfile.ZipFile, path: Path, name: str) -> None:
    info = zipfile.ZipInfo(name, _TIME)
    info.compress_type, info.external_attr, info.create_system = zipfile.ZIP_DEFLATED, 0o100644 << 16, 3
    info.file_size = path.stat().st_size  # so that a file of more than 2 GiB is written as one
    with path.open("rb") as source, archive.open(info, "w") as member:
        while chunk := source.read(_CHUNK):
            member.write(chunk)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
