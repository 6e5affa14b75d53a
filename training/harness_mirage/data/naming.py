"""What data are called: as they say themselves, else by the published set's name where they show that they are it, else
by the folder or the file they lie in.

The names go into `trained_on` of training.json, where leaderboards look for the siblings of a test. So a set that is
the published one is always called alike, and no set takes its name for standing in its place.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from harness.data import provenance
from harness_mirage.methods import Ingredient

from .licences import LLAVA, M4, MIS, VLGUARD

#: files of records by whose name a published set is known
_FILES: Final[Mapping[str, frozenset[str]]] = {
    MIS: frozenset({"mis_train.json"}),
    M4: frozenset({"m4_instruct_annotations.json"}),
    VLGUARD: frozenset({"train.json"}),
    LLAVA: frozenset({"llava_instruct_150k.json"}),
}


def names(ingredient: Ingredient, path: Path, files: Iterable[str]) -> tuple[str, ...]:
    """The names of an ingredient's data.

    Args:
        ingredient: whose `source` is the published name of the set at `hub`, or without one the user's own word.
        path: of the data.
        files: of them, that hold the records.

    Raises:
        BadData: the record of where they come from cannot be read.
    """
    files = tuple(files)
    said = _said(path, files)
    if said:
        return tuple(dict.fromkeys(_called(ingredient, name) for name in said))
    known = {PurePosixPath(file).name for file in files} & _FILES.get(ingredient.hub, frozenset())
    if ingredient.source and (known or not ingredient.hub):
        return (ingredient.source,)
    return (_called(ingredient, path.stem if path.is_file() else path.absolute().name),)


def is_published(ingredient: Ingredient, path: Path, files: Iterable[str]) -> bool:
    """Whether they are the published set whose place they take, as far as they show it."""
    return bool(ingredient.hub) and names(ingredient, path, files) == (ingredient.source or ingredient.hub,)


def _said(path: Path, files: Collection[str]) -> tuple[str, ...]:
    """Whom the data name: all that a fetch put into them, of what a build put there the parts that the records are
    from; or their place in the hub client's cache."""
    root = path if path.is_dir() else path.parent
    parts = provenance.read(root).parts
    held = set(files) if root == path else {path.name}
    named = [part.name for part in parts if held & part.files.keys() or (root == path and part.kind != "build")]
    cached = () if parts else provenance.origin(root)[:1]
    return tuple(name for name in (*named, *cached) if name)


def _called(ingredient: Ingredient, name: str) -> str:
    """A name; that of the published set in one spelling."""
    own = (ingredient.source, ingredient.hub, ingredient.hub.rpartition("/")[2])
    alike = ingredient.hub and _plain(name) in map(_plain, filter(None, own))
    return (ingredient.source or ingredient.hub) if alike else name


def _plain(name: str) -> str:
    return name.casefold().replace("_", "-")
