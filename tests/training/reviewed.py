"""Candidates to review: benign drawings of our own, on disk, and the review page's server on them."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

from harness_builder.review import Queue, review_app
from harness_builder.values import Candidate, Review

from harness import Image
from harness.drawings import draw, png
from harness.readers import open_files
from harness.web import serving
from harness.web.pages import first_url

TOKEN = "a-token-of-the-tests"
CATEGORIES = ("shapes", "colours", "places")
OPINION = "a particular opinion"
PAIRS = (("red", "circle"), ("blue", "star"), ("green", "heart"), ("yellow", "square"))


def candidates(folder: Path, count: int = 4, **changes: Any) -> list[Candidate]:
    """So many, in two categories by turns; the images are made where they are missing."""
    return [candidate(folder, number, **changes) for number in range(count)]


def candidate(folder: Path, number: int, **changes: Any) -> Candidate:
    said: dict[str, Any] = {
        "key": f"drawings/{number // 2}#{number % 2}",
        "category": CATEGORIES[number % 2],
        "question": f"Question {number}: may the thing of the first image lie beside that of the second image?",
        "objects": (f"thing {number}", f"other thing {number}"),
        "images": (image(folder, f"{number}-1.png", number), image(folder, f"{number}-2.png", number + 1)),
        "source": "drawings",
        "opinion": {"text_unsafe": "no", "why": f"{OPINION} of {number}"},
    }
    return Candidate(**{**said, **changes})


def image(folder: Path, name: str, number: int) -> Image:
    path = folder / "images" / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(draw(*PAIRS[number % len(PAIRS)], Random(number), size=160)))
    return Image(path=f"images/{name}", files=open_files(folder))


def queue(folder: Path, count: int = 4) -> Queue:
    return Queue(folder / "review", candidates(folder, count), CATEGORIES)


def review(key: str, reviewer: str = "ann", decision: str = "keep", **said: Any) -> Review:
    return Review(key=key, reviewer=reviewer, decision=decision, **said)  # type: ignore[arg-type]


def keys(reviews: Sequence[Review]) -> list[str]:
    return [each.key for each in reviews]


def lines(folder: Path, name: str = "ann") -> list[dict[str, Any]]:
    text = (folder / "review" / f"reviews-{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def answer_all(queue: Queue, name: str, count: int = 99, **said: Any) -> list[str]:
    """Decide the next ones in order; which ones they were."""
    session = queue.session(name)
    chosen = session.progress().open[:count]
    for key in chosen:
        session.answer(review(key, name, **said))
    return list(chosen)


@asynccontextmanager
async def served(queue: Queue) -> AsyncGenerator[str]:
    """The first address of the page."""
    async with serving(review_app(queue, TOKEN)) as server:
        yield first_url(server, TOKEN)
