"""What an index says of a photograph: caption, licence, origin. Columns may be in capitals, as LAION's are."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from harness import Json
from harness_builder.licence_names import UNKNOWN, normalize_licence

_CAPTION: Final = ("caption", "text")
_LICENCE: Final = ("licence", "license")
_URL: Final = ("url",)
_AUTHOR: Final = ("author", "creator")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What an index says of a photograph; each empty where it says nothing."""

    caption: str = ""
    licence: str = ""
    url: str = ""
    author: str = ""

    def over(self, other: Said) -> Said:
        """This, and where it says nothing what the other says."""
        return Said(
            caption=self.caption or other.caption,
            licence=self.licence or other.licence,
            url=self.url or other.url,
            author=self.author or other.author,
        )


def said(values: Mapping[str, Json]) -> Said:
    """What a record says; fields that nobody asked for are not read."""
    folded = {name.casefold(): value for name, value in values.items()}
    licence = next((folded[name] for name in _LICENCE if folded.get(name) is not None), "")
    return Said(
        caption=first(folded, _CAPTION),
        licence=sys.intern(normalize_licence(licence)) if isinstance(licence, str) else UNKNOWN,
        url=first(folded, _URL),
        author=first(folded, _AUTHOR),
    )


def first(folded: Mapping[str, Json], names: Iterable[str]) -> str:
    """The first of these fields that holds a text, in one line; empty where none does."""
    found = (folded.get(name) for name in names)
    text = next((" ".join(each.split()) for each in found if isinstance(each, str) and each.strip()), "")
    return text.encode("utf-8", "replace").decode()  # half a character would break the file that it is written to
