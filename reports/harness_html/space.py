"""A Hugging Face Space of static files: the page, its data, and the card the hub reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness import Results
from harness.board.leaderboard import boards

from . import data, drawn
from .page import TITLE, page

_CARD = """\
---
title: {title}
emoji: 🛡️
colorFrom: blue
colorTo: gray
sdk: static
app_file: index.html
pinned: false
---

{title} of vision-language models, made with vlm-safety-harness. `index.html` is the page, `leaderboard.csv` and
`leaderboard.json` its numbers, `figures/` its figures.

To serve it: make a Space whose SDK is `static`, and push this folder to it.
"""


def files(results: Sequence[Results]) -> Mapping[str, bytes]:
    """File name -> bytes."""
    made = boards(results)
    texts = {
        "README.md": _CARD.format(title=TITLE),
        "index.html": page(results),
        "leaderboard.csv": data.as_csv(made),
        "leaderboard.json": data.as_json(made),
    }
    pictures = {f"figures/{name}": body for name, body in drawn.files(results).items()} if drawn.there() else {}
    return {**{name: text.encode() for name, text in texts.items()}, **pictures}
