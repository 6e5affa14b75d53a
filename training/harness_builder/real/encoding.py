"""The models of open_clip: a name and its weights, as `ARCH:WEIGHTS`."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from harness import HarnessError, UnknownName
from harness.fingerprint import of_file
from harness.settings import nearest

from .clip import Encoder, Prepared
from .vectors import Floats

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Untyped: TypeAlias = Any
INSTALL: Final = "pip install 'vlm-safety-harness[build]'"
EXAMPLE: Final = "ViT-B-32:laion2b_s34b_b79k"
_FAULTS: Final = (RuntimeError, ValueError, KeyError, TypeError, OSError, EOFError, UnpicklingError)


def open_encoder(ref: str) -> Encoder:
    """The model, on a GPU where there is one.

    Args:
        ref: name of a model of open_clip and, after the first colon, one of its tags, or a file of weights.

    Raises:
        UnknownName: open_clip has no such model, or no such weights of it.
        HarnessError: it is not installed, or the weights cannot be had or read.
    """
    library, arch, weights = _known(ref)
    return OpenClip(library, arch, weights, _name(arch, weights))


def check_encoder(ref: str) -> None:
    """Find what is wrong with a model's name, before its weights are needed. Raises as `open_encoder`."""
    _known(ref)


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
            what = f"the weights of {arch} cannot be loaded: {_first_line(error)}"
            raise HarnessError(what, where=weights, remedy=f"give weights of {arch}, by a tag or a file") from error
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
            return _plain(self._model.encode_image(torch.stack(list(pictures)).to(self._device), normalize=True))

    def words(self, text: str) -> Floats:
        """The vector of a photograph of what the text names."""
        import torch

        with torch.inference_mode():
            tokens = self._tokens([f"a photo of {text}"]).to(self._device)
            vector: Floats = _plain(self._model.encode_text(tokens, normalize=True))[0]
            return vector


def _known(ref: str) -> tuple[Untyped, str, str]:
    """The library, a model that it has, and weights of it."""
    arch, _, weights = ref.partition(":")
    if not arch or not weights:
        what = f"photographs by `clip` need a model and its weights, not {ref!r}"
        raise HarnessError(what, where="real.model", remedy=f"name one as ARCH:WEIGHTS, such as {EXAMPLE}")
    try:
        library: Untyped = importlib.import_module("open_clip")
    except ImportError as error:
        raise HarnessError("open_clip needs the extra `build`", where=str(error), remedy=INSTALL) from error
    known: list[str] = library.list_models()
    if arch not in known:
        raise UnknownName(f"open_clip has no model {arch!r}", where="real.model", remedy=nearest(arch, known))
    tags: list[str] = library.list_pretrained_tags_by_model(arch)
    spelled = {tag.casefold().replace("-", "_") for tag in tags}
    if not Path(weights).is_file() and weights.casefold().replace("-", "_") not in spelled:
        what = f"open_clip has no weights {weights!r} of {arch}, and there is no such file"
        raise UnknownName(what, where="real.model", remedy=nearest(weights, tags) or f"there are {', '.join(tags)}")
    return library, arch, weights


def _name(arch: str, weights: str) -> str:
    file = Path(weights)
    return f"{arch}:sha256-{str(of_file(file)['sha256'])[:16]}" if file.is_file() else f"{arch}:{weights}"


def _plain(tensor: Untyped) -> Floats:
    array: Floats = tensor.float().cpu().numpy().astype(np.float32)
    return array


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
