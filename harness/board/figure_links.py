"""Figures in a text report: what `--figures DIR` wrote, linked at the report's end.

A report whose file is Markdown or LaTeX needs no figures of its own: it links those of the report that draws them. A
title and a caption are read from the drawing, whose `aria-label` and `desc` hold them.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from harness.text import escape_markdown, escape_tex, one_line

_FLOATS: Final = 12  #: figures before LaTeX must place them: it holds few that wait


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedFigure:
    """One figure: its path without suffix as the report spells it, its title, and its caption."""

    path: str
    title: str
    caption: str


def link_figures(files: Mapping[str, bytes], folder: str, suffix: str) -> str:
    """The end of a report that links the figures.

    Args:
        files: name of a file -> its bytes, as a report with figures gives them.
        folder: where they lie, seen from the report.
        suffix: of the report; nothing is linked where it is not one of `LINKED`.
    """
    figures: list[LinkedFigure] = []
    for name, body in files.items() if suffix in LINKED else ():
        stem, dot, ending = name.rpartition(".")
        if not dot or ending != "svg":
            continue
        try:
            root = ET.fromstring(body)  # noqa: S314 -- drawn by a report a moment ago
        except ET.ParseError:
            continue
        caption = next((each.text or "" for each in root if each.tag.rpartition("}")[2] == "desc"), "")
        title = one_line(root.get("aria-label") or stem)
        figures.append(LinkedFigure(path=f"{folder}/{stem}", title=title, caption=one_line(caption, 10_000)))
    return LINKED[suffix](figures) if figures else ""


def _link_in_markdown(figures: list[LinkedFigure]) -> str:
    blocks = ["### Figures"]
    for each in figures:
        title = escape_markdown(each.title)
        blocks.append(f"![{title}]({quote(each.path)}.svg)")
        blocks.append(f"**{title}.** {escape_markdown(each.caption)}".rstrip())
    return "\n" + "\n\n".join(blocks) + "\n"


def _link_in_latex(figures: list[LinkedFigure]) -> str:
    r"""A float per figure; `\includegraphics` of the package graphicx knows PNG and not SVG."""
    blocks: list[str] = []
    for each in figures:
        # braces around the path, since its folder's name may hold dots
        label = each.path.rpartition("/")[2]
        blocks.append(
            "\\begin{figure}\n\\centering\n"
            f"\\includegraphics[width=\\columnwidth]{{{{{each.path}}}.png}}\n"
            f"\\caption{{\\textbf{{{escape_tex(each.title)}.}} {escape_tex(each.caption)}}}\n"
            f"\\label{{fig:{label}}}\n\\end{{figure}}"
        )
    for place in range(_FLOATS, len(blocks), _FLOATS):
        blocks[place] = f"\\clearpage\n{blocks[place]}"
    return "\n" + "\n\n".join(blocks) + "\n"


#: suffix of a report that can link figures -> how it does
LINKED: Final[Mapping[str, Callable[[list[LinkedFigure]], str]]] = {
    ".md": _link_in_markdown,
    ".tex": _link_in_latex,
}
