"""How many have decided on what, and how far they agree, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.cli.table import indented, table
from harness.stats.agreement import Agreement
from harness_builder.review import Agreed, Queue, agreed


def told(queue: Queue) -> str:
    """Each reviewer's numbers, and the agreement of those who have candidates in common."""
    names = queue.reviewers
    if not names:
        return "nobody has decided anything yet"
    standing = {name: queue.session(name).progress() for name in names}
    rows = [
        [name, str(len(each.decided)), str(len(each.skipped) + len(each.left_out)), str(len(each.open))]
        for name, each in standing.items()
    ]
    text = table(["REVIEWER", "DECIDED", "PASSED OVER", "OPEN"], rows)
    found = [each for each in agreed(queue.reviews(first=True)) if each.candidates]
    if not found:
        return text
    shared = [[each.about, str(each.candidates), _number(each.alpha, "{:.2f}")] for each in found]
    pairs = table(["BETWEEN", "ABOUT", "BOTH ANSWERED", "KAPPA", "SAME ANSWER"], list(_pairs(found)))
    return (
        f"{text}\n\nagreement, by answers given before the model's opinion was shown:\n"
        f"{indented(table(['ABOUT', 'IN COMMON', 'ALPHA'], shared))}\n\n{indented(pairs)}"
    )


def _pairs(found: Sequence[Agreed]) -> Iterator[list[str]]:
    """Of each two reviewers who have answered the same."""
    for each in found:
        for pair in each.pairs:
            if pair.same.n:
                both = f"{pair.left} and {pair.right}"
                same, kappa = _number(pair.same, "{:.0%}"), _number(pair.kappa, "{:.2f}")
                yield [both, each.about, str(pair.same.n), kappa, same]


def _number(found: Agreement, form: str) -> str:
    """The value with its interval; why there is none where there is none."""
    if found.value is None:
        return found.why.value if found.why else "none"
    value = form.format(found.value)
    if found.ci95 is None:
        return value
    low, high = (form.format(end) for end in found.ci95)
    return f"{value} [{low}, {high}]"
