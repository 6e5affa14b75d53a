"""What an index says of a photograph: caption, licence, origin. Columns may be in capitals, as LAION's are."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from harness import Json
from harness_builder.licences import UNKNOWN

_CAPTION: Final = ("caption", "text")
_LICENCE: Final = ("licence", "license")
_URL: Final = ("url",)
_AUTHOR: Final = ("author", "creator")
_UNSAID: Final = frozenset({"", "?", "-", "n/a", "none", "null", "nan"})
_PAGE: Final = re.compile(r"creativecommons\.org/(?:licenses/([a-z-]+)/(\d\.\d)|publicdomain/(zero)/1\.0)")
_BY: Final = re.compile(r"(?:cc|creative commons)[\s-]*(by(?:[\s-]+(?:nc|nd|sa))*)[\s-]*v?(\d\.\d)?")
_ZERO: Final = re.compile(r"cc[\s-]*(?:0|zero)(?:[\s-]*v?1\.0)?")


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
        licence=sys.intern(spelled(licence)) if isinstance(licence, str) else UNKNOWN,
        url=first(folded, _URL),
        author=first(folded, _AUTHOR),
    )


def first(folded: Mapping[str, Json], names: Iterable[str]) -> str:
    """The first of these fields that holds a text, in one line; empty where none does."""
    found = (folded.get(name) for name in names)
    text = next((" ".join(each.split()) for each in found if isinstance(each, str) and each.strip()), "")
    return text.encode("utf-8", "replace").decode()  # half a character would break the file that it is written to


def spelled(licence: str) -> str:
    """A licence as SPDX spells it, where it is one of Creative Commons by its name or its page; empty for unsaid."""
    plain = " ".join(licence.split()).casefold()
    if plain in _UNSAID:
        return ""
    if page := _PAGE.search(plain):
        return "cc0-1.0" if page[3] else f"cc-{page[1]}-{page[2]}"
    if _ZERO.fullmatch(plain):
        return "cc0-1.0"
    if found := _BY.fullmatch(plain):
        name = "-".join(re.split(r"[\s-]+", found[1]))
        return f"cc-{name}-{found[2]}" if found[2] else f"cc-{name}"
    return plain
