"""Limits of an image's size, set where a processor has such a knob and refused where it has none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from harness import HarnessError
from harness.local import Profile, counts_area

NAMES: Final = ("min_pixels", "max_pixels", "max_patches", "longest_edge")


def limit(pictures: Any, settings: Mapping[str, Any], profile: Profile | None) -> None:
    """Set what was asked for, else what the profile says.

    Args:
        pictures: the image processor; None for a text model.
        settings: of the provider.
        profile: of the model's family.

    Raises:
        HarnessError: a limit is asked for that the processor does not know.
    """
    for name in NAMES:
        wanted = settings[name]
        if wanted is None and profile is not None and name != "min_pixels":
            wanted = getattr(profile, name).value
        if wanted is None:
            continue
        if wanted < 1 or not _SET[name](pictures, name, wanted):
            raise HarnessError(f"the model's processor takes no {name}={wanted}", remedy=_remedy(pictures, name))


def _area(pictures: Any, name: str, pixels: int) -> bool:
    """The Qwen-VL processors: their `size` holds areas under the names of edges."""
    if not counts_area(pictures):
        return False
    size = {edge: pictures.size[edge] for edge in ("shortest_edge", "longest_edge")}
    edge = "shortest_edge" if name == "min_pixels" else "longest_edge"
    pictures.size = type(pictures.size)(**{**size, edge: pixels})
    return True


def _tiles(pictures: Any, _: str, number: int) -> bool:
    """Processors that cut an image into at most so many tiles, as InternVL's. Mllama's model counts on its four."""
    if not isinstance(getattr(pictures, "max_patches", None), int):
        return False
    pictures.max_patches = number
    return True


def _edge(pictures: Any, _: str, pixels: int) -> bool:
    """Processors that scale an image to its longest side before they cut it: those of Idefics3 and SmolVLM."""
    size = getattr(pictures, "size", None)
    if counts_area(pictures) or size is None or list(_given(size)) != ["longest_edge"]:
        return False
    pictures.size = type(pictures.size)(longest_edge=pixels)
    return True


def _given(size: Any) -> list[str]:
    return [name for name in ("height", "width", "shortest_edge", "longest_edge") if size.get(name) is not None]


_SET: Final[Mapping[str, Callable[[Any, str, int], bool]]] = {
    "min_pixels": _area,
    "max_pixels": _area,
    "max_patches": _tiles,
    "longest_edge": _edge,
}


def _remedy(pictures: Any, name: str) -> str:
    known = ["min_pixels", "max_pixels"] if counts_area(pictures) else []
    known += ["max_patches"] if hasattr(pictures, "max_patches") else []
    known += ["longest_edge"] if pictures is not None and _given(pictures.size) == ["longest_edge"] else []
    return f"leave out -M {name}; this model takes {', '.join(known) or 'no limit of its images'}"
