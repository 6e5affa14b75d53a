"""How many have decided on what, and how far they agree, in words."""

from __future__ import annotations

from harness.cli.table import indented, table
from harness.stats.agreement import Agreement
from harness_builder.review import Agreed, Queue, agreed


def told(queue: Queue) -> str:
    """Each reviewer's numbers, and the agreement of those who have candidates in common."""
    names = queue.reviewers
    if not names:
        return "nobody has decided anything yet"
    standing = {name: queue.desk(name).standing() for name in names}
    rows = [
        [name, str(len(each.decided)), str(len(each.skipped) + len(each.left_out)), str(len(each.open))]
        for name, each in standing.items()
    ]
    text = table(["REVIEWER", "DECIDED", "PASSED OVER", "OPEN"], rows)
    found = [each for each in agreed(queue.reviews(first=True)) if each.candidates]
    if not found:
        return text
    shared = [[each.about, str(each.candidates), _alpha(each), _same(each)] for each in found]
    head = ["ABOUT", "IN COMMON", "ALPHA", "SAME ANSWER"]
    return (
        f"{text}\n\nagreement, by answers given before the model's opinion was shown:\n{indented(table(head, shared))}"
    )


def _alpha(each: Agreed) -> str:
    return _number(each.alpha, "{:.2f}")


def _same(each: Agreed) -> str:
    """Of each two reviewers."""
    pairs = [pair for pair in each.pairs if pair.same.n]
    return ", ".join(f"{pair.left} and {pair.right} {_number(pair.same, '{:.0%}')}" for pair in pairs)


def _number(found: Agreement, form: str) -> str:
    """The value with its interval; why there is none where there is none."""
    if found.value is None:
        return found.why.value if found.why else "none"
    value = form.format(found.value)
    if found.ci95 is None:
        return value
    low, high = (form.format(end) for end in found.ci95)
    return f"{value} [{low}, {high}]"
