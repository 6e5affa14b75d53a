"""The published sets that the methods learn from: how they are known again, what they are called, and their terms.

Names of data go into `trained_on` of training.json, where leaderboards look for the siblings of a test. So a set that
is the published one always gets the same name, and no other set takes that name for its place in a method. Data are
called as they say themselves, else by the published set's name if they show that they are it, else by the folder or the
file they lie in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from harness.data import provenance
from harness_mirage.methods import Ingredient

M4: Final = "lmms-lab/M4-Instruct-Data"
#: id on the hub -> the licence that its card states
LICENCES: Final[Mapping[str, str]] = {
    "Tuwhy/MIS_Train": "apache-2.0",
    M4: "cc-by-4.0, and the terms of use of OpenAI",
    "PKU-Alignment/PKU-SafeRLHF": "cc-by-nc-4.0: no commercial use",
    "ys-zong/VLGuard": "MIT; access must be asked for",
    "liuhaotian/LLaVA-Instruct-150K": "cc-by-4.0, and the terms of use of OpenAI",
}
#: id on the hub -> the file of records by whose name the set is known
_FILES: Final[Mapping[str, str]] = {
    "Tuwhy/MIS_Train": "mis_train.json",
    M4: "m4_instruct_annotations.json",
    "ys-zong/VLGuard": "train.json",
    "liuhaotian/LLaVA-Instruct-150K": "llava_instruct_150k.json",
}
_LONGEST: Final = 200  #: characters of a LICENSE's first line


def name_data(ingredient: Ingredient, path: Path, files: Iterable[str]) -> tuple[str, ...]:
    """The names of an ingredient's data.

    Args:
        ingredient: whose `source` is the published name of the set at `hub`, or without one the user's own word.
        path: of the data.
        files: of them, that hold the records.

    Raises:
        BadData: the record of where they come from cannot be read.
    """
    files = tuple(files)
    if stated := _read_names(path, files):
        return tuple(dict.fromkeys(_use_published_name(ingredient, name) for name in stated))
    known = _FILES.get(ingredient.hub) in {PurePosixPath(file).name for file in files}
    if ingredient.source and (known or not ingredient.hub):
        return (ingredient.source,)
    return (_use_published_name(ingredient, path.stem if path.is_file() else path.absolute().name),)


def find_licence(ingredient: Ingredient, path: Path, names: tuple[str, ...]) -> str:
    """The licence of data with these names: as they say themselves, else that of the published set if they are it."""
    if path.is_dir():
        if licence := provenance.read(path).licence:
            return licence
        try:
            with (path / "LICENSE").open(encoding="utf-8") as lines:
                first = next((line.strip()[:_LONGEST] for line in lines if line.strip()), "")
        except (OSError, ValueError):
            first = ""
        if first:
            return first
    is_published = bool(ingredient.hub) and names == (ingredient.source or ingredient.hub,)
    return format_terms(ingredient.hub) if is_published else ""


def format_terms(hub: str) -> str:
    """Where a set is published and under which licence; empty for an unknown set."""
    return f"{hub} is published under: {LICENCES[hub]}" if hub in LICENCES else ""


def _read_names(path: Path, files: Collection[str]) -> tuple[str, ...]:
    """What the data say they are: all that a fetch put into them, of a build the parts that the records are from; or
    their place in the hub client's cache."""
    root = path if path.is_dir() else path.parent
    parts = provenance.read(root).parts
    held = set(files) if root == path else {path.name}
    named = [part.name for part in parts if held & part.files.keys() or (root == path and part.kind != "build")]
    cached = () if parts else provenance.find_origin(root)[:1]
    return tuple(name for name in (*named, *cached) if name)


def _use_published_name(ingredient: Ingredient, name: str) -> str:
    """A name, or the published set's own spelling of it."""

    def plain(text: str) -> str:
        return text.casefold().replace("_", "-")

    own = (ingredient.source, ingredient.hub, ingredient.hub.rpartition("/")[2])
    alike = ingredient.hub and plain(name) in map(plain, filter(None, own))
    return (ingredient.source or ingredient.hub) if alike else name
