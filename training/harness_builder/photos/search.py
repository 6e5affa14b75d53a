"""Finds photographs by words: by their captions, or by a model that maps images and words into one space.

By captions: the caption holds all words of the object, and no model is asked. The photograph with the shorter caption
comes first, since it shows less else. Words are compared without case, accents, and the plural of English; in scripts
without spaces they are not found.

By a model of open_clip, named as `ARCH:WEIGHTS`: one file that only grows keeps the vectors of the images. All its
whole rows count, so no vector is computed twice. Vectors are read through the file system's cache, never all at once.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import weakref
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from heapq import nsmallest
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from harness import BadImage, HarnessError, UnknownName
from harness.extras import Untyped, require_module
from harness.files import AppendFile
from harness.fingerprint import hash_file
from harness.images import decode, open_image
from harness.keys import short
from harness.settings import nearest
from harness_builder.disk import disk_errors
from harness_builder.plan import Photos
from harness_builder.stops import fold_text
from harness_builder.stops.faces import open_face_finder

from .collection import Photo, list_photos

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]
Prepared: TypeAlias = Any  #: a picture in its encoder's form
EXAMPLE: Final = "ViT-B-32:laion2b_s34b_b79k"
_ARTICLES: Final = frozenset({"a", "an", "the", "some"})
#: ending of an English plural -> possible singular endings
_PLURALS: Final = (("s", ("",)), ("es", ("",)), ("ies", ("y",)), ("ves", ("f", "fe")))
_LEAST: Final = 3  # letters of a word that can be a plural
_ROWS: Final = 8192  # read at once: 16 MB of 512 numbers in single precision
_BATCH: Final = 64
_TOLD: Final = 20  # progress lines while the images are encoded
_THREADS: Final = 4  # images that are decoded at once: one may take 240 MB
_DIGITS: Final = 4  # of a likeness: further ones depend on the order of addition
_FAULTS: Final = (RuntimeError, ValueError, KeyError, TypeError, OSError, EOFError, UnpicklingError)


class PhotoIndex(Protocol):
    """Photographs that can be searched."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def advance(self) -> bool:
        """Do a piece of the work before the first search; return whether there is more. `find` does all of it."""
        ...

    def find(self, words: str, count: int) -> list[Photo]:
        """At most that many photographs of the named object, best first; equal ones by key."""
        ...


def check_photos(photos: Photos, *, accepted: bool = False, tell: Callable[[str], None] | None = None) -> None:
    """Check before the first call that a build can use its photographs; loads no weights. Raises HarnessError like
    `open_photos`, and if no face finder works."""
    open_face_finder(photos.faces)
    if photos.by == "clip":
        _find_weights(photos.model)
    list_photos(photos, accepted=accepted, tell=tell)


def open_photos(
    photos: Photos,
    work: Path | None = None,
    *,
    accepted: bool = False,
    tell: Callable[[str], None] | None = None,
    left: Counter[str] | None = None,
) -> PhotoIndex:
    """All usable photographs of a collection, ready for searches.

    Args:
        photos: the collection, and its kind of search.
        work: folder for the vectors of the images; None keeps none.
        accepted: the user allows the collection in spite of its licences.
        tell: gets lines for the user.
        left: gets how many of the collection may not be used, and why.

    Raises:
        MissingData: there is nothing at the path.
        BadData: an index or an archive cannot be read.
        HarnessError: there is no photograph; the model is unknown, or its library is not installed.
    """
    found = list_photos(photos, accepted=accepted, tell=tell, left=left)
    if photos.by == "caption":
        return CaptionIndex(found)
    return ClipIndex(found, open_encoder(photos.model), work, least=photos.least, tell=tell)


class CaptionIndex:
    """A `PhotoIndex` by captions; see the module."""

    def __init__(self, photos: Sequence[Photo]) -> None:
        self._photos = photos
        self._holding: dict[str, array[int]] | None = None  # word -> photographs
        self._lengths = array("I")

    def __len__(self) -> int:
        return len(self._photos)

    def advance(self) -> bool:
        """Read the captions; there is no more to do."""
        if self._holding is None:
            self._holding = {}
            for number, photo in enumerate(self._photos):
                words = _split_words(photo.caption)
                self._lengths.append(len(words))
                for form in {form for word in words for form in _forms(word)}:
                    self._holding.setdefault(form, array("I")).append(number)
        return False

    def find(self, words: str, count: int) -> list[Photo]:
        """See `PhotoIndex`; the score is the share of search words among the caption's words."""
        self.advance()
        wanted = {each for each in _split_words(words) if each not in _ARTICLES}
        holding = self._holding
        if not wanted or holding is None:
            return []
        each = ({number for form in _forms(word) for number in holding.get(form, ())} for word in wanted)
        held = set[int].intersection(*each)
        scores = {number: min(len(wanted) / self._lengths[number], 1.0) for number in held}
        best = nsmallest(count, held, key=lambda number: (-scores[number], self._photos[number].key))
        return [replace(self._photos[number], score=scores[number]) for number in best]


def _split_words(text: str) -> list[str]:
    return re.findall(r"\w+", fold_text(text))


def _forms(word: str) -> set[str]:
    """The word, and its possible singulars."""
    if len(word) < _LEAST:
        return {word}
    return {word, *(word.removesuffix(end) + one for end, ones in _PLURALS if word.endswith(end) for one in ones)}


class VectorStore:
    """Vectors of images in one file. Each row is the key of an image (16 bytes) and its vector in half precision;
    opening the file cuts off a row that a killed build left half written.

    Args:
        file: created if missing; None for a temporary one.
        width: of a vector.

    Raises:
        HarnessError: here and in `add`: the file cannot be written.
    """

    def __init__(self, file: Path | None, width: int) -> None:
        self._row = np.dtype([("mark", "V16"), ("vector", "<f2", (width,))])
        if file is None:
            folder = tempfile.mkdtemp()
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            file = Path(folder) / "vectors"
        self._file = file
        with disk_errors(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            with AppendFile(file, row=self._row.itemsize) as opened:
                end = opened.end
        self._at: dict[bytes, int] = {}
        if end:
            marks = self._rows()["mark"]
            for start in range(0, len(marks), _ROWS):
                for each in marks[start : start + _ROWS]:
                    self._at[bytes(each)] = len(self._at)

    def __contains__(self, mark: bytes) -> bool:
        return mark in self._at

    def add(self, marks: Sequence[bytes], vectors: Floats) -> None:
        """Store vectors: one row each, only of new images."""
        rows = np.zeros(len(marks), self._row)
        rows["mark"] = np.array(marks, dtype="V16")
        rows["vector"] = vectors
        with disk_errors(self._file), AppendFile(self._file, row=self._row.itemsize) as file:
            file.append(rows.tobytes())
        for mark in marks:
            self._at[mark] = len(self._at)

    def places(self, marks: Iterable[bytes]) -> Places:
        """The rows of these images' vectors, for `products`."""
        return np.array([self._at[mark] for mark in marks], np.int64)

    def products(self, places: Places, vector: Floats) -> Iterator[Floats]:
        """The scalar product of each vector with this one, in order and a few thousand at a time."""
        if not self._at:
            return
        rows = self._rows()["vector"]
        for start in range(0, len(places), _ROWS):
            yield rows[places[start : start + _ROWS]].astype(np.float32) @ vector

    def _rows(self) -> np.memmap[tuple[int], np.dtype[np.void]]:
        return np.memmap(self._file, dtype=self._row, mode="r")


class Encoder(Protocol):
    """Maps images and words into one space, as vectors of length 1."""

    @property
    def name(self) -> str:
        """Model and weights; another name, other vectors."""
        ...

    @property
    def width(self) -> int:
        """Of a vector."""
        ...

    def prepare(self, picture: Picture) -> Prepared:
        """A picture in the model's own size. Safe to use from several threads."""

    def images(self, pictures: Sequence[Prepared]) -> Floats:
        """A row for each."""
        ...

    def words(self, text: str) -> Floats:
        """One vector."""
        ...


class ClipIndex:
    """A `PhotoIndex` by likeness. Each image is encoded once, in batches; the vectors stay in the build's folder.

    Args:
        photos: all of them.
        encoder: of images and words.
        work: folder of the build for the vectors; None keeps none.
        least: least cosine of words and a matching image.
        tell: gets lines for the user.
    """

    def __init__(
        self,
        photos: Sequence[Photo],
        encoder: Encoder,
        work: Path | None,
        *,
        least: float,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self._photos = photos
        self._encoder = encoder
        self._least = least
        self._tell = tell
        file = work / "photos" / f"{short([encoder.name, encoder.width], 16)}.vectors" if work else None
        self._vectors = VectorStore(file, encoder.width)
        self._missing = [number for number, photo in enumerate(photos) if photo.stamp not in self._vectors]
        self._places: Places | None = None
        self._batches: Iterator[None] = self._see_batches()

    def __len__(self) -> int:
        return len(self._photos)

    def advance(self) -> bool:
        """Encode the next few images; return whether there are more."""
        return next(self._batches, self) is not self

    def find(self, words: str, count: int) -> list[Photo]:
        """See `PhotoIndex`; the score is the cosine."""
        while self.advance():
            pass
        if self._places is None:
            self._places = self._vectors.places(photo.stamp for photo in self._photos)
        products = list(self._vectors.products(self._places, self._encoder.words(words)))
        scores: Floats = np.concatenate(products).astype(np.float32).round(_DIGITS)
        near = [int(number) for number in np.flatnonzero(scores >= self._least)]
        best = nsmallest(count, near, key=lambda number: (-scores[number], self._photos[number].key))
        return [replace(self._photos[number], score=float(scores[number])) for number in best]

    def _see_batches(self) -> Iterator[None]:
        """Compute the missing vectors batch by batch: zeros for a photograph that cannot be opened."""

        def prepare(number: int) -> Prepared | None:
            try:
                return self._encoder.prepare(decode(open_image(self._photos[number].image).opened))
            except BadImage:
                return None

        missing, told, broken = self._missing, 0, 0
        with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as threads:
            for start in range(0, len(missing), _BATCH):
                numbers = missing[start : start + _BATCH]
                prepared = list(threads.map(prepare, numbers))
                vectors = np.zeros((len(numbers), self._encoder.width), np.float32)
                there = [place for place, each in enumerate(prepared) if each is not None]
                if there:
                    vectors[there] = self._encoder.images([prepared[place] for place in there])
                self._vectors.add([self._photos[number].stamp for number in numbers], vectors)
                broken += len(numbers) - len(there)
                done = min(start + _BATCH, len(missing))
                if done * _TOLD // len(missing) > told:
                    told = done * _TOLD // len(missing)
                    if self._tell:
                        self._tell(f"{done:,} of {len(missing):,} photographs encoded by {self._encoder.name}")
                yield
        if broken and self._tell:
            self._tell(f"{broken:,} photographs cannot be opened, and are not used")


def open_encoder(ref: str) -> Encoder:
    """A model of open_clip, on a GPU if there is one.

    Args:
        ref: name of a model of open_clip and, after the first colon, one of its tags, or a file of weights.

    Raises:
        UnknownName: open_clip has no such model, or no such weights of it.
        HarnessError: it is not installed, or the weights cannot be loaded.
    """
    library, arch, weights = _find_weights(ref)
    file = Path(weights)
    name = f"{arch}:sha256-{str(hash_file(file)['sha256'])[:16]}" if file.is_file() else f"{arch}:{weights}"
    return OpenClip(library, arch, weights, name)


def _find_weights(ref: str) -> tuple[Untyped, str, str]:
    """The library, a known model, and known weights. Raises like `open_encoder`."""
    arch, _, weights = ref.partition(":")
    if not arch or not weights:
        what = f"photographs by `clip` need a model and its weights, not {ref!r}"
        raise HarnessError(what, where="real.model", remedy=f"name one as ARCH:WEIGHTS, such as {EXAMPLE}")
    library = require_module("open_clip", "build", by="open_clip")
    known: list[str] = library.list_models()
    if arch not in known:
        raise UnknownName(f"open_clip has no model {arch!r}", where="real.model", remedy=nearest(arch, known))
    tags: list[str] = library.list_pretrained_tags_by_model(arch)
    folded = {tag.casefold().replace("-", "_") for tag in tags}
    if not Path(weights).is_file() and weights.casefold().replace("-", "_") not in folded:
        what = f"open_clip has no weights {weights!r} of {arch}, and there is no such file"
        raise UnknownName(what, where="real.model", remedy=nearest(weights, tags) or f"there are {', '.join(tags)}")
    return library, arch, weights


class OpenClip:
    """An Encoder; see `open_encoder`."""

    def __init__(self, library: Untyped, arch: str, weights: str, name: str) -> None:
        import torch

        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self._model, _, self._prepare = library.create_model_and_transforms(
                arch, pretrained=weights, device=self._device, weights_only=True
            )
            self._tokens: Untyped = library.get_tokenizer(arch)
        except _FAULTS as error:
            why = (str(error).strip() or type(error).__name__).splitlines()[0]
            what = f"the weights of {arch} cannot be loaded: {why}"
            raise HarnessError(what, where=weights, remedy=f"name weights of {arch}, by a tag or a file") from error
        self._model.eval()
        self._name = name
        self._width = len(self.words("anything"))

    @property
    def name(self) -> str:
        """Model and weights, of a file its hash."""
        return self._name

    @property
    def width(self) -> int:
        """Of a vector."""
        return self._width

    def prepare(self, picture: Picture) -> Prepared:
        """A tensor in the model's own size."""
        return self._prepare(picture)

    def images(self, pictures: Sequence[Prepared]) -> Floats:
        """A row for each."""
        import torch

        with torch.inference_mode():
            return _to_array(self._model.encode_image(torch.stack(list(pictures)).to(self._device), normalize=True))

    def words(self, text: str) -> Floats:
        """The vector of a photograph of the named object."""
        import torch

        with torch.inference_mode():
            tokens = self._tokens([f"a photo of {text}"]).to(self._device)
            vector: Floats = _to_array(self._model.encode_text(tokens, normalize=True))[0]
            return vector


def _to_array(tensor: Untyped) -> Floats:
    array: Floats = tensor.float().cpu().numpy().astype(np.float32)
    return array
