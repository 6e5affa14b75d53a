"""Images of photographs that lie in the build's folder and that nothing shows any more."""

from __future__ import annotations

from collections.abc import Collection, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from harness import HarnessError
from harness_builder.calls.images import FOLDER, ImageStore
from harness_builder.calls.store import CallStore

_OWNER: Final = "photograph-"  # before the first digits of a hash
_DIGITS: Final = 16


def owner_of(sha256: str) -> str:
    """Whose the calls about a photograph are, by the hash of its image."""
    return f"{_OWNER}{sha256[:_DIGITS]}"


def drop_unused(book: CallStore, used: Collection[str]) -> None:
    """Delete the images of all photographs but these. What was answered of them stays, and they are written again where
    they are chosen again.

    Args:
        book: of the build; an image that no call of a photograph is about is none of a photograph.
        used: sha256 of images that a record shows, or that people are asked about.

    Raises:
        HarnessError: one cannot be deleted.
    """
    asked = set(book.owners(_OWNER))
    names = (path.name.lstrip(".").partition(".")[0] for path in (book.folder / FOLDER).glob("??/*"))
    gone = {name for name in names if owner_of(name) in asked} - set(used)
    with deleting(book.folder):
        ImageStore(book.folder).drop(gone)


@contextmanager
def deleting(work: Path) -> Generator[None]:
    """Raise HarnessError where the image of a photograph cannot be deleted in the body."""
    try:
        yield
    except OSError as error:
        remedy = "delete it, or mend what forbids it, and run it again"
        what = f"the image of a photograph cannot be deleted: {error.strerror}"
        raise HarnessError(what, where=str(error.filename or work), remedy=remedy) from error
