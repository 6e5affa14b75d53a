"""Results in a model's card, between two marks: what stood there before is replaced."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from harness import Results, plugins
from harness.board.table import render

CARD: Final = "README.md"
BEGIN: Final = "<!-- results -->"
END: Final = "<!-- /results -->"


def add(folder: Path, every: Sequence[Results]) -> None:
    """Put the results of a model, and of its base before it, into the card of the model's folder."""
    card = folder / CARD
    text = card.read_text(encoding="utf-8") if card.is_file() else ""
    named = [*every[:-1], _named(every[-1], folder.name)]
    card.write_text(with_results(text, _drawn(named)), encoding="utf-8")


def with_results(card: str, results: str) -> str:
    """A card with results between its marks; one without marks gets them at its end."""
    start, end = card.find(BEGIN), card.find(END)
    if not 0 <= start < end:
        return f"{card.rstrip()}\n\n## Results\n\n{BEGIN}\n{results}\n{END}\n".lstrip()
    return f"{card[: start + len(BEGIN)]}\n{results}\n{card[end:]}"


def _named(results: Results, name: str) -> dict[str, Any]:
    """Results whose model is called by its folder's name: a path of this machine says nothing to readers."""
    model: dict[str, Any] = dict(results["model"])
    return {**results, "model": {**model, "ref": name}}


def _drawn(every: Sequence[Results]) -> str:
    offered = {report.name: report for report, _ in plugins.current().offers("reports")}
    if "markdown" in offered and offered["markdown"].render is not None:
        return str(offered["markdown"].render(every)).strip()
    return f"```text\n{render(every)}```"
