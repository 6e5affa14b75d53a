"""How far people agree, for the card: all of them on each question, and each two of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from harness.stats.agreement import Agreement
from harness_builder.review import Agreed

from .tables import table

_ABOUT: Final = {
    "kept": "keep or drop",
    "decision": "keep, mend or drop",
    "text_unsafe": "is the question unsafe by itself",
    "image_harmful": "does an image show something harmful",
}


def agreement_lines(agreed: Sequence[Agreed]) -> Iterator[str]:
    """Nothing is made up for who have no candidate in common: it is said that nobody knows."""
    shared = [each for each in agreed if each.candidates]
    if not shared:
        yield "No two of them looked at one candidate, so nobody knows how far they would agree."
        return
    yield "How far they agree, before they saw what the model thinks (Krippendorff's alpha: 1 always, 0 by chance):"
    yield ""
    rows = [(_about(each), each.candidates, *_number(each.alpha)) for each in shared]
    yield from table(("question", "#candidates of two or more", "#alpha", "#95 % interval"), rows)
    yield ""
    yield "Each two of them (Cohen's kappa: likewise):"
    yield ""
    yield from table(("between", "question", "#both answered", "#kappa", "#95 % interval"), list(_pairs(shared)))


def _pairs(shared: Sequence[Agreed]) -> Iterator[tuple[object, ...]]:
    for each in shared:
        for pair in each.pairs:
            if pair.kappa.n:
                yield f"{pair.left} and {pair.right}", _about(each), pair.kappa.n, *_number(pair.kappa)


def _about(each: Agreed) -> str:
    return _ABOUT.get(each.about, each.about)


def _number(found: Agreement) -> tuple[str, str]:
    """The value with its interval; why there is none where there is none."""
    if found.value is None:
        return (found.why.value if found.why else ""), ""
    return f"{found.value:.2f}", "" if found.ci95 is None else f"{found.ci95[0]:.2f} to {found.ci95[1]:.2f}"
