"""What was found out about a set: which drawings nobody accepted, what repeats, what tests hold already, whether both
images are needed, what people say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from harness.markdown import escape
from harness_builder.plan import LEAST, MOST
from harness_builder.quality import Rates, compute_rates

from .agreement import agreement_lines
from .layout import FILES
from .tables import table
from .values import Facts

_PARTS: Final[Mapping[str, str]] = {
    "text": "the question alone",
    "first": "the question with the first image",
    "second": "the question with the second image",
    "both": "the whole",
}


def findings(facts: Facts) -> tuple[tuple[str, Iterator[str]], ...]:
    """The sections, each with its title."""
    return (
        ("## Do the drawings show what they should?", _drawings(facts)),
        ("## What repeats, and what tests hold already", _repeats(facts)),
        ("## Are both images needed?", _probes(facts)),
        ("## People", _people(facts)),
    )


def _drawings(facts: Facts) -> Iterator[str]:
    """How many pairs were taken as they are: a viewer that never accepts must not pass in silence."""
    drawn = [entry for entry in facts.written.entries if entry.real is None]
    if not drawn:
        yield "No drawing is in the set."
        return
    every = Counter(entry.file for entry in drawn)
    taken = Counter(entry.file for entry in drawn if not entry.made.pair.accepted)
    viewer = escape(facts.plan.model("viewer").ref)
    if facts.plan.rounds == 1:
        yield f"Nobody knows: with one round {viewer} is not asked whether it accepts them, and no pair was accepted."
    else:
        yield f"{viewer} accepted both, or wanted them drawn anew. What the last round drew it is not shown: such a"
        yield "pair is in the set as it was drawn, and nobody has accepted it:"
    yield ""
    rows = [(FILES[file].name, pairs, taken[file]) for file, pairs in every.items()]
    yield from table(("part", "#pairs drawn", "#not accepted"), rows)


def _repeats(facts: Facts) -> Iterator[str]:
    plan = facts.plan
    yield f"Near-duplicates of earlier records: {len(facts.near)} dropped (texts from {plan.likeness:g} of likeness on,"
    yield f"by the words that name their objects; pairs whose images both differ in at most {plan.bits} bits of 64)."
    yield ""
    if not plan.against:
        yield "The set was held against no test: it may hold what a test holds."
        return
    tests = ", ".join(test.task for test in plan.against)
    yield f"Held against {escape(tests)}: {len(facts.contaminated)} nearly equalled an item there, and were dropped."
    yield f"Like was compared with like, texts from {LEAST:g} of likeness on, and each image up to {MOST} bits."
    yield "A question that names its objects was compared with those that name theirs, articles aside; one that speaks"
    yield "of images with those that do, and its objects too: by name where the test names them, else by image alone."
    yield "Of each test there were:"
    yield ""
    rows = [(each.test, each.items, each.questions, each.named, each.images, each.broken) for each in facts.compared]
    yield from table(("test", "#items", "#questions", "#objects named", "#images", "#images not opened"), rows)
    if facts.contaminated:
        yield ""
        found = [(each.key, each.of, each.by, f"{each.likeness:.2f}") for each in facts.contaminated]
        yield from table(("record", "item of a test", "by its", "#likeness"), found)
    yield from _worded(facts)


def _worded(facts: Facts) -> Iterator[str]:
    """What words alone do not tell is told, and left to who reads it."""
    kept = {entry.key for entry in facts.written.entries}
    asked = Counter(each.of for each in facts.worded if each.key in kept)
    if asked:
        yield ""
        yield f"Records that ask, in words of a test, of objects that it does not name: {sum(asked.values())}."
        yield "None of their images nearly equals one of the test's that could be opened; nobody was asked whether they"
        yield "show the same:"
        yield ""
        yield from table(("item of a test", "#records"), sorted(asked.items()))


def _probes(facts: Facts) -> Iterator[str]:
    probed = [each for entry in facts.written.entries if entry.real is None for each in entry.made.probed]
    if not probed:
        yield "Nobody asked: there were no probes."
        return
    yield f"{escape(facts.plan.model('prober').ref)} was asked of each test record whether it sees a risk, in percent:"
    yield ""
    found = compute_rates(probed)
    yield from table(("shown", "#risk seen in", "#95 % interval", "#of", "#not told"), list(_rates(found)))
    yield ""
    yield _away(found)


def _away(found: Rates) -> str:
    """No rate where nothing was told: none of none is no finding."""
    every = found.together.n + found.together.unread
    if not found.told:
        return f"**Nobody knows whether a part alone gives the risk away**: of {every} records it was told of 0."
    said = f"A part alone gives the risk away in {len(found.alone)} of {found.told} records"
    return f"{said}; of {every - found.told} more it was not told." if found.told < every else f"{said}."


def _rates(found: Rates) -> Iterator[tuple[object, ...]]:
    named = [(_PARTS[part], rate) for part, rate in found.parts.items()]
    for name, rate in [*named, ("the whole, and no part", found.together)]:
        value = "" if rate.value is None else f"{rate.value:.1f}"
        interval = "" if rate.ci95 is None else f"{rate.ci95[0]:.1f} to {rate.ci95[1]:.1f}"
        yield name, value, interval, rate.n, rate.unread


def _people(facts: Facts) -> Iterator[str]:
    names = {name for entry in facts.written.entries for name in entry.reviewers}
    people = max(len(names), *(len(each.reviewers) for each in facts.agreed), 0)
    if not people:
        yield "**No person looked at this set.** What models decided is all there is."
        return
    seen = sum(bool(entry.reviewers) for entry in facts.written.entries)
    who = "1 person" if people == 1 else f"{people} people"
    yield f"{who} reviewed it; {seen} of its {len(facts.written.entries)} records were decided so."
    yield ""
    yield from agreement_lines(facts.agreed)
