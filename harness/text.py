"""Text of strangers, such as the names of models and data sets, made safe for what shows it.

On the terminal it may hold escape sequences; in Markdown it may try to be a link, a mention, an image, HTML or a new
table column; in LaTeX it may hold a command; in a spreadsheet a cell that begins like a formula would be one. Every
escape is exact: what is shown is the text. Sheets that come back from people are read here too.

Patterns are texts, compiled when first used: each command imports this module, and few need more than `plain`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from harness.errors import BadData

_CONTROLS = {*range(0x20), *range(0x7F, 0xA0)} - {ord("\n"), ord("\t")}
_DIRECTION = {0x061C, 0x200E, 0x200F, 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}
_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), "\N{REPLACEMENT CHARACTER}")
_TABLE: dict[int, str | None] = {**dict.fromkeys(_CONTROLS | _DIRECTION, None), **_SURROGATES}

#: what a spreadsheet takes for the beginning of a formula
FORMULA: Final = ("=", "+", "-", "@")
_ROWS_NAMED: Final = 20  # wrong rows of a sheet that an error names
_CELL_LIMIT: Final = 1 << 24  # characters of one cell

# Letters, digits and what means nothing to Markdown stay as they are, so that the raw file reads well. An underscore
# inside a word is no emphasis; `](`, `://`, `www.` and `@` would make links and mentions.
_MARKDOWN: Final = r"(?i)[^\w\s./:+=,;?'\"()[\]%↓↑→—·-]|(?<=\])\(|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=www)\."

_TEX: Final = {
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
_LIGATURES: Final = r"(?<=-)(?=-)|(?<=')(?=')|(?<=,)(?=,)|(?<=[!?])(?=`)"
_TEX_LETTERS: Final = frozenset("ßæøåÆØÅœŒłŁ")
_TEX_ACCENTS: Final = frozenset("\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030b\u030c\u0327")


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts `item2` before `item10`: digits in a row compare as a number, and come before other text."""
    key: list[tuple[int, int, str]] = []
    for part in re.findall("[0-9]+|[^0-9]+", text):
        digits = part.lstrip("0")
        key.append((0, len(digits), digits) if part[0] in "0123456789" else (1, 0, part))
    return tuple(key)


def plain(text: str) -> str:
    """The text without control characters (line feed and tab stay), direction marks and lone surrogates."""
    return text.translate(_TABLE)


def one_line(text: str, width: int = 300) -> str:
    """The text on one line, shortened to `width` characters."""
    line = " ".join(plain(text).split())
    return line if len(line) <= width else line[: width - 1] + "…"


def say(text: str, *, err: bool = False) -> None:
    """Print a line on the terminal; a name in it may be a stranger's, or a file of any name."""
    import click

    click.echo(plain(text), err=err)


def escape_markdown(text: object) -> str:
    """One line that shows as the text and does nothing else; what has a meaning becomes a character reference."""
    line = " ".join(plain(str(text)).split())
    return re.sub(_MARKDOWN, lambda match: f"&#{ord(match.group())};", line)


def escape_tex(text: str) -> str:
    r"""The text as LaTeX source that prints it, on one line; characters that print nothing are left out.

    What pdfLaTeX's usual fonts lack is kept for XeLaTeX and LuaLaTeX, which ask `\ifdefined\Umathchar`; pdfLaTeX prints
    its code point instead of ending in an error.
    """
    import unicodedata

    def is_known(char: str) -> bool:
        if char.isascii() or char in _TEX or char in _TEX_LETTERS:
            return True
        base, *accents = list(unicodedata.normalize("NFD", char))
        is_letter = ord(char) < 0x180 and base.isascii() and base.isalpha()
        return is_letter and len(accents) == 1 and accents[0] in _TEX_ACCENTS

    def set_both_ways(unknown: str) -> str:
        if not unknown:
            return ""
        points = " ".join(f"U+{ord(char):04X}" for char in unknown)
        return rf"{{\ifdefined\Umathchar {unknown}\else{{[}}{points}{{]}}\fi}}"

    line = " ".join(unicodedata.normalize("NFC", plain(text)).split())
    visible = "".join(char for char in line if not unicodedata.category(char).startswith("C"))
    parts: list[str] = []
    for part in re.split(_LIGATURES, visible):
        out: list[str] = []
        unknown = ""
        for char in part:
            if not is_known(char):
                unknown += char
                continue
            out += [set_both_ways(unknown), _TEX.get(char, char)]
            unknown = ""
        parts.append("".join([*out, set_both_ways(unknown)]))
    return "{}".join(parts)


def escape_cell(text: str) -> str:
    """The text without control characters; with an apostrophe in front if it begins like a formula."""
    text = plain(text)
    return f"'{text}" if text.lstrip().startswith(FORMULA) else text


def restore_cell(text: str) -> str:
    """The text that `escape_cell` got, but for control characters."""
    return text[1:] if text.startswith("'") and text[1:].lstrip().startswith(FORMULA) else text


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetRow:
    """One row that is not empty; `number` is the one a spreadsheet shows next to it, cells are found by column."""

    number: int
    cells: Mapping[str, str]


def read_sheet(data: bytes, where: str) -> tuple[tuple[str, ...], tuple[SheetRow, ...]]:
    """The columns and the rows of a CSV file, with commas, semicolons or tabs between cells.

    Args:
        data: the file, in UTF-8.
        where: its name, for errors.

    Raises:
        BadData: it is not UTF-8 or not CSV, or two columns have one name.
    """
    import csv
    import io

    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadData(
            f"the file is not UTF-8 at byte {error.start}", where=where, remedy="save it as CSV UTF-8"
        ) from None
    head = text.partition("\n")[0]
    before = csv.field_size_limit(_CELL_LIMIT)
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count), strict=True))
    except csv.Error as error:
        raise BadData(f"not CSV: {error}", where=where) from None
    finally:
        csv.field_size_limit(before)
    names = tuple(name.strip().casefold() for name in lines[0]) if lines else ()
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise BadData(f"two columns are called {twice[0]!r}", where=where)
    rows: list[SheetRow] = []
    for number, line in enumerate(lines[1:], 2):
        cells = {name: restore_cell(cell.strip()) for name, cell in zip(names, line, strict=False)}
        if any(cells.values()):
            rows.append(SheetRow(number=number, cells=cells))
    return names, tuple(rows)


def format_row_errors(problems: Sequence[str], count: int | None = None) -> str:
    """What is wrong with a sheet, in the order of its rows; of many problems the first ones.

    Args:
        problems: each begins with `row N:`.
        count: wrong rows, where a problem is said once for several; None for one each.
    """
    ordered = sorted(problems, key=lambda each: int(each.partition(":")[0].removeprefix("row ")))
    more = [f"… and {len(ordered) - _ROWS_NAMED} more"] if len(ordered) > _ROWS_NAMED else []
    count = len(ordered) if count is None else count
    rows = "1 row is wrong" if count == 1 else f"{count} rows are wrong"
    return "\n  ".join([f"{rows}:", *ordered[:_ROWS_NAMED], *more])
