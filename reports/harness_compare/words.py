"""What every format says in the same words; nothing here is escaped yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from harness import Comparison
from harness.board.cautions import TOY_DATA
from harness.board.display import ARROWS, NOTHING, figure, share, span
from harness.runs.comparing.values import ALPHA, Change, Compared, Flip

from .texts import Texts

_TESTS = {"mcnemar": "McNemar's exact test", "interval": "the level at which the interval touches 0"}
LEGEND = (
    "n: what both are divided by, of the pairs resolved in both. Difference: run - baseline. Brackets: 95% interval;"
    " worst case: stretched over all that the unresolved could have been."
)


def signed(value: float | None, unit: str) -> str:
    """A difference with its sign."""
    if value is None:
        return NOTHING
    text = figure(value, unit)
    return text.replace("-", "") if not float(text) else text if value < 0 else f"+{text}"


def probability(p: float | None) -> str:
    """A p-value: two digits, and never 0."""
    if p is None:
        return NOTHING
    if p < 0.0001:
        return "<0.0001"
    return f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


def label(change: Change) -> str:
    """A metric's name with unit and direction."""
    found = change.paired
    return f"{found.metric} {'% ' if found.unit == '%' else ''}{ARROWS[found.better]}".rstrip()


def divided(change: Change) -> str:
    """What both sides were divided by; the baseline first where they differ."""
    run, baseline = (f"{side:g}" for side in change.paired.denominators)
    return baseline if baseline == run else f"{baseline}/{run}"


def interval(change: Change) -> str:
    """The difference's interval."""
    return span(change.paired.ci95, change.paired.unit) or NOTHING


def worst(change: Change) -> str:
    """The interval stretched over what is unresolved; empty where nothing is."""
    found = change.paired
    return (span(found.ci95_worst, found.unit) or NOTHING) if found.unresolved else ""


def detectable(change: Change) -> str:
    """The smallest difference that could have been seen."""
    return figure(change.paired.detectable, change.paired.unit)


def has_open(each: Compared) -> bool:
    """Whether a worst case has to stand beside an interval."""
    return any(change.paired.unresolved for change in (*each.changes.values(), *each.by.values()))


def counted(found: Comparison, each: Compared) -> Iterator[str]:
    """What stands beside the numbers of a split."""
    counts, base = each.counts, found.baseline.letter
    missing = counts.common - counts.resolved
    yield f"{counts.common} common items, {counts.resolved} resolved in both ({missing} not)"
    yield unresolved(found, each)
    if counts.only_baseline or counts.only_other:
        yield f"left out: {counts.only_baseline} only in {base}, {counts.only_other} only in {each.run}"
    if each.epochs != (1, 1):
        yield f"epochs {base} {each.epochs[0]}, {each.run} {each.epochs[1]}"
    yield f"judge {' and '.join(judges(each))}"
    if each.main.paired.estimated is not None:
        judged, of = each.main.paired.estimated
        yield f"estimated for {of} pairs from {judged} judged in both"


def judges(each: Compared) -> list[str]:
    """Whose verdicts count, the baseline's first."""
    return list(dict.fromkeys((each.judge_baseline or "none", each.judge_other or "none")))


def unresolved(found: Comparison, each: Compared) -> str:
    """How much of the common items is unresolved on each side."""
    counts = each.counts
    sides = ((found.baseline.letter, counts.unresolved_baseline), (each.run, counts.unresolved_other))
    return "unresolved " + ", ".join(f"{letter} {count} ({_share(count, counts.common)})" for letter, count in sides)


def _share(part: int, whole: int) -> str:
    return share(part / whole) if whole else NOTHING


def conclusion(found: Comparison, each: Compared) -> str:
    """What the main metric says, by which test, and what could have been seen."""
    change, result = each.main, each.main.paired
    said = change.finding.value
    if change.finding.shown:
        said = f"{each.run} is {said}"
    if each.pooled_in:
        return f"{result.metric}: {said}: {each.pooled_in} holds its items and is tested"
    if result.p is None or result.test is None:
        return f"{result.metric}: {said}{f': {result.why}' if result.why else ''}"
    points = " points" if result.unit == "%" else ""
    over = f", {probability(change.p_holm)} after Holm over {found.family}" if found.family > 1 else ""
    return (
        f"{result.metric}: {said} (p {probability(result.p)} by {_TESTS[result.test]}{over});"
        f" {result.clusters} clusters could show a difference of {detectable(change)}{points}"
    )


def explain_missing(each: Compared) -> Iterator[str]:
    """Why other metrics, and groups of the main one, have no difference; those of one reason together."""
    named: dict[str, list[str]] = {}
    for name, change in (*each.changes.items(), *each.by.items()):
        if change.paired.why and change is not each.main:
            named.setdefault(change.paired.why, []).append(name)
    yield from (f"no difference of {', '.join(names)}: {why}" for why, names in named.items())


def ways(found: Comparison, each: Compared) -> Iterator[tuple[str, Sequence[Flip]]]:
    """Both ways of flipping: what is said of each, and its flips."""
    metric, base = each.main.paired.metric, found.baseline.letter
    for letter, other, flips in ((base, each.run, each.flips.only_baseline), (each.run, base, each.flips.only_other)):
        pairs = Counter(f"{flip.baseline_label} → {flip.other_label}" for flip in flips)
        told = ", ".join(f"{pair} {count}" for pair, count in pairs.most_common(5))
        more = f", {len(pairs) - 5} more" if len(pairs) > 5 else ""
        yield f"{metric} in {letter} and not in {other}: {len(flips)}{f' ({told}{more})' if told else ''}", flips


def unfolded(found: Comparison, each: Compared, flip: Flip, texts: Texts) -> list[tuple[str, str]]:
    """What was asked and answered, by name; nothing where it is not to be shown."""
    base = found.baseline.letter
    ours, theirs = texts.get((base, flip.item)), texts.get((each.run, flip.other))
    if ours is None or theirs is None:
        return []
    return [("question", ours.question), (f"answer of {base}", ours.text), (f"answer of {each.run}", theirs.text)]


def notes(found: Comparison) -> Iterator[str]:
    """What a reader must know before the numbers."""
    yield from (f"not measured alike: {each.told}" for each in found.mismatches)
    yield from (f"could not be compared: {title}: {fault}" for title, fault in found.unscored.items())
    toys = dict.fromkeys(each.title for each in found.splits if each.toy)
    if toys:
        yield f"{TOY_DATA}: {', '.join(toys)}"
    yield from dict.fromkeys(told for each in found.splits for told in undrawn(found, each))


def undrawn(found: Comparison, each: Compared) -> Iterator[str]:
    """Judges that have read a part of a split which nothing says is a random one."""
    for letter, part in ((found.baseline.letter, each.part_baseline), (each.run, each.part_other)):
        if part is not None and not part.drawn:
            yield (
                f"not drawn: {each.title}: the judge of {letter} has read {part.read} of {part.answers} answers, which"
                " are no random part: the others may be unlike them"
            )


def asides(found: Comparison) -> Iterator[str]:
    """What belongs to the models, and what was left out."""
    yield from (f"differs: {each.told}" for each in found.differing)
    yield from (f"left out: {each}" for each in found.left_out)


def footnote(found: Comparison) -> str:
    """How to read the tests."""
    adjusted = f" p is adjusted by Holm over {found.family} main metrics." if found.family > 1 else ""
    by = f" By {found.by}: exploratory, not adjusted." if found.by else ""
    return (
        f"{LEGEND}{adjusted} A difference is told where p is below {ALPHA:g}. Could show: what a test at 5% finds in 4"
        f" of 5 evaluations.{by}"
    )
