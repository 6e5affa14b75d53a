r"""Text of strangers in LaTeX: a name with a command in it is set as it is written, and runs nothing.

What pdfLaTeX's usual fonts lack is kept for XeLaTeX and LuaLaTeX, which ask `\ifdefined\Umathchar`; pdfLaTeX sets its
code point instead of ending in an error.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from harness.terminal import plain

_COMMANDS: Final = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "^": r"\textasciicircum{}",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "%": r"\%",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    "[": "{[}",  # these three are options of the `\\` before them, where they begin a cell
    "]": "{]}",
    "*": "{*}",
    "\N{EN DASH}": r"\textendash{}",
    "—": r"\textemdash{}",
    "…": r"\ldots{}",
    "\N{MINUS SIGN}": "$-$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "±": r"$\pm$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "→": r"$\rightarrow$",
    "κ": r"$\kappa$",
}
#: runs that fonts would join into another character
_LIGATURES: Final = re.compile(r"(?<=-)(?=-)|(?<=')(?=')|(?<=,)(?=,)|(?<=[!?])(?=`)")
_KNOWN: Final = frozenset("ßæøåÆØÅœŒłŁ")
_ACCENTS: Final = frozenset("\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030b\u030c\u0327")


def escape(text: str) -> str:
    """The text as LaTeX source that prints it, on one line; characters that print nothing are left out."""
    line = " ".join(unicodedata.normalize("NFC", plain(text)).split())
    visible = "".join(char for char in line if not unicodedata.category(char).startswith("C"))
    parts = re.split(_LIGATURES, visible)
    return "{}".join(_set(part) for part in parts)


def _set(text: str) -> str:
    """Known characters by their commands, each run of unknown ones by both ways of setting it."""
    out: list[str] = []
    unknown = ""
    for char in text:
        if not _is_known(char):
            unknown += char
            continue
        out += [_either(unknown), _COMMANDS.get(char, char)]
        unknown = ""
    return "".join([*out, _either(unknown)])


def _is_known(char: str) -> bool:
    if char.isascii() or char in _COMMANDS or char in _KNOWN:
        return True
    base, *accents = list(unicodedata.normalize("NFD", char))
    return ord(char) < 0x180 and base.isascii() and base.isalpha() and len(accents) == 1 and accents[0] in _ACCENTS


def _either(unknown: str) -> str:
    if not unknown:
        return ""
    points = " ".join(f"U+{ord(char):04X}" for char in unknown)
    return rf"{{\ifdefined\Umathchar {unknown}\else{{[}}{points}{{]}}\fi}}"
