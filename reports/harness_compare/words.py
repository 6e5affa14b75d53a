"""What every format of a comparison says in the same words, and the texts of its flips. Nothing here is escaped yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from harness import Comparison
from harness.board.display import ARROWS, NOTHING, format_interval, format_share, format_value
from harness.board.rows import TOY_DATA
from harness.runs.comparing.comparison import ALPHA, Flip, MetricChange, SplitComparison
from harness.runs.stored import open_run
from harness.store.reader import Answer
from harness.types import Json

Texts = Mapping[tuple[str, str], Answer]  #: (letter of the run, item) -> question and answer

_TESTS: Final = {"mcnemar": "McNemar's exact test", "interval": "the level at which the interval touches 0"}
_LEGEND: Final = (
    "n: what both are divided by, of the pairs resolved in both. Difference: run - baseline. Brackets: 95% interval;"
    " worst case: stretched over all that the unresolved could have been."
)


def format_signed(value: float | None, unit: str) -> str:
    """A difference with its sign."""
    if value is None:
        return NOTHING
    text = format_value(value, unit)
    return text.replace("-", "") if not float(text) else text if value < 0 else f"+{text}"


def format_p(p: float | None) -> str:
    """A p-value: two digits, and never 0."""
    if p is None:
        return NOTHING
    if p < 0.0001:
        return "<0.0001"
    return f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


def format_metric(change: MetricChange) -> str:
    """A metric's name with unit and direction."""
    found = change.paired
    return f"{found.metric} {'% ' if found.unit == '%' else ''}{ARROWS[found.better]}".rstrip()


def format_change(change: MetricChange, *, is_open: bool) -> list[str]:
    """The cells of a metric: n, both values, the difference, its interval, and where `is_open` the worst case.

    n is what both sides are divided by; the baseline's comes first where they differ. The worst case is the interval
    stretched over what is unresolved; empty where nothing is.
    """
    found, unit = change.paired, change.paired.unit
    run, baseline = (f"{side:g}" for side in found.denominators)
    worst = (format_interval(found.ci95_worst, unit) or NOTHING) if found.unresolved else ""
    return [
        baseline if baseline == run else f"{baseline}/{run}",
        format_value(change.baseline, unit),
        format_value(change.value, unit),
        format_signed(found.difference, unit),
        format_interval(found.ci95, unit) or NOTHING,
        *([worst] if is_open else []),
    ]


def has_open(each: SplitComparison) -> bool:
    """Whether a worst case has to be shown next to an interval."""
    return any(change.paired.unresolved for change in (*each.changes.values(), *each.by.values()))


def describe_counts(found: Comparison, each: SplitComparison) -> Iterator[str]:
    """What is said above the numbers of a split."""
    counts, base = each.counts, found.baseline.letter
    missing = counts.common - counts.resolved
    yield f"{counts.common} common items, {counts.resolved} resolved in both ({missing} not)"
    yield describe_unresolved(found, each)
    if counts.only_baseline or counts.only_other:
        yield f"left out: {counts.only_baseline} only in {base}, {counts.only_other} only in {each.run}"
    if each.epochs != (1, 1):
        yield f"epochs {base} {each.epochs[0]}, {each.run} {each.epochs[1]}"
    yield f"judge {' and '.join(list_judges(each))}"
    if each.main.paired.estimated is not None:
        judged, of = each.main.paired.estimated
        yield f"estimated for {of} pairs from {judged} judged in both"


def list_judges(each: SplitComparison) -> list[str]:
    """Whose verdicts count, the baseline's first."""
    return list(dict.fromkeys((each.judge_baseline or "none", each.judge_other or "none")))


def describe_unresolved(found: Comparison, each: SplitComparison) -> str:
    """How much of the common items is unresolved on each side."""
    counts = each.counts
    sides = ((found.baseline.letter, counts.unresolved_baseline), (each.run, counts.unresolved_other))
    shares = [
        (letter, count, format_share(count / counts.common) if counts.common else NOTHING) for letter, count in sides
    ]
    return "unresolved " + ", ".join(f"{letter} {count} ({part})" for letter, count, part in shares)


def describe_conclusion(found: Comparison, each: SplitComparison) -> str:
    """What the main metric says, by which test, and the smallest difference that could have been seen."""
    change, result = each.main, each.main.paired
    said = change.finding.value
    if change.finding.shown:
        said = f"{each.run} is {said}"
    if each.pooled_in:
        return f"{result.metric}: {said}: {each.pooled_in} holds its items and is tested"
    if result.p is None or result.test is None:
        return f"{result.metric}: {said}{f': {result.why}' if result.why else ''}"
    points = " points" if result.unit == "%" else ""
    over = f", {format_p(change.p_holm)} after Holm over {found.family}" if found.family > 1 else ""
    return (
        f"{result.metric}: {said} (p {format_p(result.p)} by {_TESTS[result.test]}{over});"
        f" {result.clusters} clusters could show a difference of {format_value(result.detectable, result.unit)}{points}"
    )


def explain_missing(each: SplitComparison) -> Iterator[str]:
    """Why other metrics, and groups of the main one, have no difference; those of one reason together."""
    named: dict[str, list[str]] = {}
    for name, change in (*each.changes.items(), *each.by.items()):
        if change.paired.why and change is not each.main:
            named.setdefault(change.paired.why, []).append(name)
    yield from (f"no difference of {', '.join(names)}: {why}" for why, names in named.items())


def describe_flips(found: Comparison, each: SplitComparison) -> Iterator[tuple[str, Sequence[Flip]]]:
    """Both ways of flipping: how many items changed how, and these flips."""
    metric, base = each.main.paired.metric, found.baseline.letter
    for letter, other, flips in ((base, each.run, each.flips.only_baseline), (each.run, base, each.flips.only_other)):
        pairs = Counter(f"{flip.baseline_label} → {flip.other_label}" for flip in flips)
        listed = ", ".join(f"{pair} {count}" for pair, count in pairs.most_common(5))
        more = f", {len(pairs) - 5} more" if len(pairs) > 5 else ""
        yield f"{metric} in {letter} and not in {other}: {len(flips)}{f' ({listed}{more})' if listed else ''}", flips


def list_notes(found: Comparison) -> Iterator[str]:
    """What a reader must know before the numbers."""
    yield from (f"not measured alike: {each.text}" for each in found.mismatches)
    yield from (f"could not be compared: {title}: {fault}" for title, fault in found.unscored.items())
    toys = dict.fromkeys(each.title for each in found.splits if each.toy)
    if toys:
        yield f"{TOY_DATA}: {', '.join(toys)}"
    undrawn: dict[str, None] = {}  # judges that have read a part of a split which nothing says is a random one
    for each in found.splits:
        for letter, part in ((found.baseline.letter, each.part_baseline), (each.run, each.part_other)):
            if part is not None and not part.drawn:
                read = f"the judge of {letter} has read {part.read} of {part.answers} answers"
                text = f"not drawn: {each.title}: {read}, which are no random part: the others may be unlike them"
                undrawn[text] = None
    yield from undrawn


def list_asides(found: Comparison) -> Iterator[str]:
    """What belongs to the models, and what was left out."""
    yield from (f"differs: {each.text}" for each in found.differing)
    yield from (f"left out: {each}" for each in found.left_out)


def describe_tests(found: Comparison) -> str:
    """How to read the numbers and the tests."""
    adjusted = f" p is adjusted by Holm over {found.family} main metrics." if found.family > 1 else ""
    by = f" By {found.by}: exploratory, not adjusted." if found.by else ""
    return (
        f"{_LEGEND}{adjusted} A difference is told where p is below {ALPHA:g}. Could show: what a test at 5% finds in 4"
        f" of 5 evaluations.{by}"
    )


def load_texts(found: Comparison, most: int | None) -> Texts:
    """The questions and answers of the first `most` flips of each way, or of all."""
    wanted: set[tuple[str, str]] = set()
    for each in found.splits:
        for way in (each.flips.only_baseline, each.flips.only_other):
            wanted.update((found.baseline.letter, flip.item) for flip in way[:most])
            wanted.update((each.run, flip.other) for flip in way[:most])
    texts: dict[tuple[str, str], Answer] = {}
    for side in found.runs:
        if any(letter == side.letter for letter, _ in wanted):
            run = open_run(Path(side.folder))
            for answer in (answer for title in run.splits for answer in run.answers(title)):
                if (side.letter, answer.item) in wanted:
                    texts[side.letter, answer.item] = answer
    return texts


def list_texts(found: Comparison, each: SplitComparison, flip: Flip, texts: Texts) -> list[tuple[str, str]]:
    """The question and both answers of a flip, by name; nothing where they are not loaded."""
    base = found.baseline.letter
    ours, theirs = texts.get((base, flip.item)), texts.get((each.run, flip.other))
    if ours is None or theirs is None:
        return []
    return [("question", ours.question), (f"answer of {base}", ours.text), (f"answer of {each.run}", theirs.text)]


def add_texts(body: dict[str, Json], texts: Texts) -> dict[str, Json]:
    """The JSON of a comparison with the `question` and the `answers` of each item that it lists."""
    baseline = str(body["baseline"])
    for split in body["splits"] if texts else ():
        for way in split["flips"].values():
            for item in way["items"]:
                ours, theirs = texts[baseline, item["item"]], texts[str(split["run"]), item["item_in_run"]]
                item |= {"question": ours.question, "answers": {"baseline": ours.text, "run": theirs.text}}
    return body
