"""A comparison as text: on the terminal, as Markdown for a pull request, and as a LaTeX table for a paper.

All formats use the same sentences: the functions below `render_latex` make them, unescaped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness import Comparison
from harness.board import sheet
from harness.board.display import NOTHING, format_head, format_interval, format_share, format_value
from harness.board.rows import TOY_DATA
from harness.board.tables import WIDTH, print_drawing, render_drawing
from harness.runs.comparing.comparison import ALPHA, Finding, Flip, MetricChange, PeopleChange, SplitComparison
from harness.runs.stored import open_run
from harness.store.reader import Answer
from harness.text import escape_markdown, escape_tex, one_line, plain
from harness.types import Json

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from harness.stats.common_errors import ErrorRate

_COLOURS: Final = {
    Finding.BETTER: "green",
    Finding.WORSE: "red",
    Finding.OPEN_BETTER: "yellow",
    Finding.OPEN_WORSE: "yellow",
}
_TEX_ARROWS: Final = {"lower": r"$\downarrow$", "higher": r"$\uparrow$", "neither": ""}

Texts = Mapping[tuple[str, str], Answer]  #: (letter of the run, item) -> question and answer

_TESTS: Final = {"mcnemar": "McNemar's exact test", "interval": "the level at which the interval touches 0"}
_LEGEND: Final = (
    "n: the denominator of both numbers, over the items that both runs resolved. Difference: run - baseline. Brackets:"
    " 95% interval; worst case: the interval that covers every outcome of the unresolved items."
)


def print_terminal(found: Comparison, texts: Texts, most: int) -> None:
    """Print a comparison on stdout, in colour on a terminal; lists `most` flips of each way."""
    print_drawing(lambda console: _draw(console, found, texts, most), WIDTH)


def render_terminal(found: Comparison, texts: Texts, most: int, width: int = WIDTH) -> str:
    """The text of `print_terminal`, without colour."""
    return render_drawing(lambda console: _draw(console, found, texts, most), width)


def _draw(console: Console, found: Comparison, texts: Texts, most: int) -> None:
    from rich.table import Table
    from rich.text import Text

    runs = Table.grid(padding=(0, 2))
    for _ in range(3):
        runs.add_column(overflow="fold")
    for side in found.runs:
        runs.add_row(Text(side.letter, style="bold"), *(Text(one_line(each)) for each in (side.name, side.folder)))
    console.print(runs)
    for note in list_notes(found):
        _print_line(console, note, style="yellow")
    for aside in list_asides(found):
        _print_line(console, aside, style="dim")
    for each in found.splits:
        console.print()
        _print_line(console, f"{each.title}: {each.run} beside {found.baseline.letter}", style="bold", indent=0)
        _print_line(console, " · ".join(describe_counts(found, each)), style="dim")
        metrics = {format_metric(change): change for change in each.changes.values()}
        _print(console, _build_table(found, each, "", metrics), indent=2)
        _print_line(console, describe_conclusion(found, each), style=_COLOURS.get(each.main.finding, ""))
        for told in describe_people(found, each):
            _print_line(console, told)
        if each.by:
            console.print()
            head = f"{format_metric(each.main)} by {found.by}"
            _print(console, _build_table(found, each, head, each.by), indent=2)
        for missing in explain_missing(each):
            _print_line(console, missing, style="dim")
        for text, flips in describe_flips(found, each):
            more = "" if most >= len(flips) else f", {min(most, len(flips))} listed (--show N)"
            _print_line(console, f"{text}{more}")
            for flip in flips[:most]:
                _print_line(console, f"{flip.item}  {flip.baseline_label} → {flip.other_label}", indent=4)
                for name, content in list_texts(found, each, flip, texts):
                    _print_line(console, name, style="dim", indent=6)
                    _print(console, Text(plain(content).strip()), indent=8)
    console.print()
    _print_line(console, describe_tests(found), style="dim", indent=0)


def _build_table(found: Comparison, each: SplitComparison, head: str, changes: Mapping[str, MetricChange]) -> Table:
    """Changes by name; a narrow terminal shortens names, never numbers."""
    from rich.table import Table
    from rich.text import Text

    base, run, is_open = found.baseline.letter, each.run, has_open(each)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column(Text(one_line(head)), overflow="fold", min_width=8)
    for title in ("n", base, run, f"{run} - {base}"):
        table.add_column(title, justify="right", no_wrap=True)
    for title in ("95% interval", *(("worst case",) if is_open else ())):
        table.add_column(title, no_wrap=True)
    for name, change in changes.items():
        cells = (one_line(name), *format_change(change, is_open=is_open))
        table.add_row(*map(Text, cells), style="bold" if change.main else "")
    return table


def _print_line(console: Console, text: str, *, style: str = "", indent: int = 2) -> None:
    from rich.text import Text

    _print(console, Text(one_line(text, 2000), style=style), indent=indent)


def _print(console: Console, content: Table | Text, *, indent: int) -> None:
    from rich.padding import Padding

    console.print(Padding(content, (0, 0, 0, indent)))


def render_markdown(found: Comparison, texts: Texts, most: int) -> str:
    """A comparison as Markdown; lists `most` flips of each way."""
    runs = [f"- **{side.letter}** {escape_markdown(side.name)} ({escape_markdown(side.folder)})" for side in found.runs]
    notes = [f"- **{escape_markdown(note)}**" for note in list_notes(found)]
    notes += [f"- {escape_markdown(aside)}" for aside in list_asides(found)]
    blocks = ["\n".join(runs), "\n".join(notes)]
    for each in found.splits:
        metrics = {format_metric(change): change for change in each.changes.values()}
        by = f"{format_metric(each.main)} by {found.by}"
        blocks += [
            f"### {escape_markdown(each.title)}: {each.run} beside {found.baseline.letter}",
            escape_markdown(" · ".join(describe_counts(found, each))),
            _tabulate_markdown(found, each, "Metric", metrics),
            f"**{escape_markdown(describe_conclusion(found, each))}**",
            "\n".join(f"- {escape_markdown(told)}" for told in describe_people(found, each)),
            _tabulate_markdown(found, each, by, each.by) if each.by else "",
            "\n".join(f"- {escape_markdown(text)}" for text in explain_missing(each)),
            "\n".join(_list_flips(found, each, texts, most)),
        ]
    blocks.append(f"<sub>{escape_markdown(describe_tests(found))}</sub>")
    return "\n\n".join(block for block in blocks if block) + "\n"


def _tabulate_markdown(found: Comparison, each: SplitComparison, head: str, changes: Mapping[str, MetricChange]) -> str:
    base, run, is_open = found.baseline.letter, each.run, has_open(each)
    heads = [head, "n", base, run, f"{run} - {base}", "95% interval", *(["Worst case"] if is_open else [])]
    lines = [[escape_markdown(text) for text in heads], ["---", *["---:"] * (len(heads) - 1)]]
    for name, change in changes.items():
        lines.append([escape_markdown(cell) for cell in (name, *format_change(change, is_open=is_open))])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _list_flips(found: Comparison, each: SplitComparison, texts: Texts, most: int) -> Iterator[str]:
    for text, flips in describe_flips(found, each):
        more = "" if most >= len(flips) else f", {min(most, len(flips))} listed"
        yield f"- {escape_markdown(text)}{more}"
        for flip in flips[:most]:
            item, before, after = map(escape_markdown, (flip.item, flip.baseline_label, flip.other_label))
            yield f"  - {item}: {before} → {after}"
            for name, content in list_texts(found, each, flip, texts):
                yield f"    - {name}: {escape_markdown(content)}"


def render_latex(found: Comparison) -> str:
    """One booktabs table of all metrics; every name is escaped."""
    base = found.baseline.letter
    others = "/".join(side.letter for side in found.runs[1:])
    is_open = any(has_open(each) for each in found.splits)
    heads = ["Metric", "$n$", base, others, "Diff.", r"95\% interval", *(["Worst case"] if is_open else []), "$p$"]
    runs = "; ".join(f"{side.letter}: {escape_tex(side.name)}" for side in found.runs)
    judges = dict.fromkeys(judge for each in found.splits for judge in list_judges(each))
    facts = (*list_notes(found), *list_asides(found), f"judge {', '.join(judges)}")
    told = " ".join(f"{escape_tex(fact[:1].upper() + fact[1:])}." for fact in facts)
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            r"\begin{table}[t]",
            r"\centering\footnotesize\setlength{\tabcolsep}{4pt}",
            rf"\caption{{{runs}. {told} {escape_tex(describe_tests(found))}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}",
            r"\toprule",
            " & ".join(heads) + r" \\",
            *(line for each in found.splits for line in _tabulate_latex(found, each, len(heads), is_open=is_open)),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _tabulate_latex(found: Comparison, each: SplitComparison, columns: int, *, is_open: bool) -> Iterator[str]:
    unresolved = describe_unresolved(found, each)
    counts = f"{each.counts.resolved} of {each.counts.common} resolved in both; {unresolved}"
    title = f"{each.title}, {each.run} beside {found.baseline.letter}: {counts}"
    yield r"\midrule"
    yield rf"\multicolumn{{{columns}}}{{l}}{{{escape_tex(title)}}} \\"
    by = ((f"{each.main.paired.metric}: {name}", change) for name, change in each.by.items())
    for name, change in (*each.changes.items(), *by):
        percent = r"\% " if change.paired.unit == "%" else ""
        head = f"{escape_tex(name)} {percent}{_TEX_ARROWS[change.paired.better]}".rstrip()
        n, *numbers = format_change(change, is_open=is_open)
        p = format_p(change.p_holm) if change.main else ""
        maths = ("--" if text == NOTHING else f"${text}$" if text else "" for text in (*numbers, p))  # a minus is one
        cells = [rf"\textbf{{{head}}}" if change.main else head, n, *maths]
        yield " & ".join(cells) + r" \\"
        if change.people is not None and change.people.difference is not None:
            yield from _tabulate_people(change, change.people, is_open=is_open)
    comments = (
        *describe_counts(found, each),
        describe_conclusion(found, each),
        *describe_people(found, each),
        *explain_missing(each),
        *(text for text, _ in describe_flips(found, each)),
    )
    yield from (f"% {escape_tex(comment)}" for comment in comments)


def _tabulate_people(change: MetricChange, people: PeopleChange, *, is_open: bool) -> Iterator[str]:
    """Rows below the metric's: the number of labels in place of n, and no p; the main metric's under common errors."""
    unit, rest = change.paired.unit, [""] * (1 + is_open)
    numbers = (
        format_value(people.baseline, unit),
        format_value(people.value, unit),
        format_signed(people.difference, unit),
        format_interval(people.ci95, unit),
    )
    labels = f"{people.labels[0]}/{people.labels[1]}"
    yield " & ".join(["by people (labels)", labels, *(f"${text}$" for text in numbers), *rest]) + r" \\"
    common = people.common
    if not change.main or common is None or common.value is None or common.ci95 is None:
        return
    tests = [errors.p if errors else None for errors in (common.sensitivity, common.specificity)]
    shown = (format_signed(common.value, unit), format_interval(common.ci95, unit))
    head = f"common errors ({', '.join(f'${format_p(p)}$' if p is not None else '--' for p in tests)})"
    yield " & ".join([head, "", "", "", *(f"${text}$" for text in shown), *rest]) + r" \\"


def render_csv(found: Comparison) -> str:
    """One line for each metric and group, as `Comparison.to_frame` has them; no text can act as a formula."""
    rows = found.list_rows()
    return sheet.render_csv(list(rows[0]) if rows else [], rows)


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
    return format_head(change.paired.metric, change.paired.unit, change.paired.better)


def format_change(change: MetricChange, *, is_open: bool) -> list[str]:
    """The cells of a metric: n, both values, the difference, its interval, and if `is_open` the worst case.

    n is the denominator of both sides; the baseline's comes first if they differ. The worst case is the interval
    stretched over the unresolved items; empty if there are none.
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
    """Whether to show a worst case next to an interval."""
    return any(change.paired.unresolved for change in (*each.changes.values(), *each.by.values()))


def describe_counts(found: Comparison, each: SplitComparison) -> Iterator[str]:
    """The sentences above the numbers of a split."""
    counts, base = each.counts, found.baseline.letter
    missing = counts.common - counts.resolved
    yield f"{counts.common} common items, {counts.resolved} resolved in both ({missing} not)"
    yield describe_unresolved(found, each)
    if counts.only_baseline or counts.only_other:
        yield f"left out: {counts.only_baseline} only in {base}, {counts.only_other} only in {each.run}"
    if each.epochs != (1, 1):
        yield f"epochs {base} {each.epochs[0]}, {each.run} {each.epochs[1]}"
    yield f"judge {' and '.join(list_judges(each))}"
    yield from describe_seeds(found, each)
    if each.main.paired.estimated is not None:
        judged, of = each.main.paired.estimated
        yield f"estimated for {of} pairs from {judged} judged in both"


def list_judges(each: SplitComparison) -> list[str]:
    """The judges whose verdicts count, the baseline's first."""
    return list(dict.fromkeys((each.judge_baseline or "none", each.judge_other or "none")))


def describe_unresolved(found: Comparison, each: SplitComparison) -> str:
    """The number and share of common items that are unresolved on each side."""
    counts = each.counts
    sides = ((found.baseline.letter, counts.unresolved_baseline), (each.run, counts.unresolved_other))
    shares = [
        (letter, count, format_share(count / counts.common) if counts.common else NOTHING) for letter, count in sides
    ]
    return "unresolved " + ", ".join(f"{letter} {count} ({part})" for letter, count, part in shares)


def describe_conclusion(found: Comparison, each: SplitComparison) -> str:
    """What the main metric says, as a sentence, with its test and the smallest detectable difference."""
    change, result = each.main, each.main.paired
    base, metric = found.baseline.letter, result.metric
    if each.pooled_in:
        return f"{metric} is not tested here: {each.pooled_in} holds these items and is tested."
    if result.p is None or result.test is None or result.difference is None:
        return f"Nothing to compare in {metric}{f': {result.why}' if result.why else ''}."
    points = " points" if result.unit == "%" else ""
    over = f", {format_p(change.p_holm)} after Holm over {found.family}" if found.family > 1 else ""
    test = f"p {format_p(result.p)} by {_TESTS[result.test]}{over}"
    could = f"{result.clusters} clusters could show "
    if result.detectable is None:
        could += "no difference, however large"
    else:
        could += f"a difference of {format_value(result.detectable, result.unit)}{points}"
    by = f"{format_value(abs(result.difference), result.unit)}{points}"
    finding = change.finding
    if finding.shown:
        is_better = finding in (Finding.BETTER, Finding.OPEN_BETTER)
        is_open = finding in (Finding.OPEN_BETTER, Finding.OPEN_WORSE)
        unless = ", unless what is unresolved went the other way" if is_open else ""
        way = "lower" if result.difference < 0 else "higher"
        said = f"{each.run} is {'better' if is_better else 'worse'} than {base}{unless}: its {metric} is {by} {way}"
        return f"{said} ({test}); {could}."
    if finding is Finding.UNCLEAR:
        said = f"No difference between {each.run} and {base} is shown in {metric} ({test})"
        return f"{said}. They may still differ: {could}."
    return f"{metric} differs by {by}, and neither direction is better ({test}); {could}."


def describe_seeds(found: Comparison, each: SplitComparison) -> Iterator[str]:
    """How many runs each side has, and how far they differ; nothing where both are one run."""
    if each.runs == (1, 1):
        return
    seeds, unit = each.main.paired.seeds, each.main.paired.unit
    spreads = (None, None) if seeds is None else seeds.spreads[::-1]
    sides = zip((found.baseline.letter, each.run), each.runs, spreads, strict=True)
    told = [
        f"{letter} {f'{count} runs' if count > 1 else '1 run'}"
        + ("" if spread is None else f" (sd {format_value(spread, unit)})")
        for letter, count, spread in sides
    ]
    yield f"seeds: {', '.join(told)}"
    if 1 in each.runs:
        single = found.baseline.letter if each.runs[0] == 1 else each.run
        yield f"no interval holds how much another seed of {single} would change"


def describe_people(found: Comparison, each: SplitComparison) -> Iterator[str]:
    """What people's labels say of each metric's difference, or why nothing; common errors of the main one alone."""
    missing: dict[str, list[str]] = {}
    for name, change in each.changes.items():
        people, unit = change.people, change.paired.unit
        if people is None:
            continue
        if people.difference is None:
            missing.setdefault(people.why, []).append(name)
        else:
            difference = f"{format_signed(people.difference, unit)} {format_interval(people.ci95, unit)}"
            yield f"{name}: by people {difference} ({people.labels[0]} and {people.labels[1]} labels)"
        if people.common is not None and change.main:
            yield from _describe_common_errors(found, each, name, people, unit)
    yield from (f"no difference by people of {', '.join(names)}: {why}" for why, names in missing.items())


def _describe_common_errors(
    found: Comparison, each: SplitComparison, name: str, people: PeopleChange, unit: str
) -> Iterator[str]:
    common, base = people.common, found.baseline.letter
    if common is None:
        return
    if common.value is None:
        yield f"{name}: under common errors no difference: {common.why}"
    else:
        difference = f"{format_signed(common.value, unit)} {format_interval(common.ci95, unit)}"
        wrong = f"which is wrong if the judge errs unlike on {base} and {each.run}"
        yield f"{name}: under common errors {difference}, {wrong}"
    if common.sensitivity is None or common.specificity is None:
        return

    def tell(what: str, errors: ErrorRate) -> str:
        ours, theirs = (format_value(share, "0-1") for share in (errors.second, errors.first))
        return f"{what} {base} {ours}, {each.run} {theirs}, equal: p {format_p(errors.p)}"

    tests = (("sensitivity", common.sensitivity), ("specificity", common.specificity))
    unlike = [what for what, errors in tests if errors.p is not None and errors.p < ALPHA]
    verdict = (
        f"the judge's {' and '.join(unlike)} differ{'s' if len(unlike) == 1 else ''}: use the difference by people"
    )
    few = "few labels find only large differences, so a high p does not show that they are equal"
    told = "; ".join(tell(what, errors) for what, errors in tests)
    yield f"{name}: judge's errors: {told}; {verdict if unlike else few}"


def explain_missing(each: SplitComparison) -> Iterator[str]:
    """Why other metrics, and groups of the main one, have no difference; one sentence per reason."""
    named: dict[str, list[str]] = {}
    for name, change in (*each.changes.items(), *each.by.items()):
        if change.paired.why and change is not each.main:
            named.setdefault(change.paired.why, []).append(name)
    yield from (f"no difference of {', '.join(names)}: {why}" for why, names in named.items())


def describe_flips(found: Comparison, each: SplitComparison) -> Iterator[tuple[str, Sequence[Flip]]]:
    """For each way of flipping: a sentence with counts, and the flips; nothing where a side is several runs."""
    if each.flips is None:
        return
    metric, base = each.main.paired.metric, found.baseline.letter
    for letter, other, flips in ((base, each.run, each.flips.only_baseline), (each.run, base, each.flips.only_other)):
        pairs = Counter(f"{flip.baseline_label} → {flip.other_label}" for flip in flips)
        listed = ", ".join(f"{pair} {count}" for pair, count in pairs.most_common(5))
        more = f", {len(pairs) - 5} more" if len(pairs) > 5 else ""
        yield f"{metric} in {letter} and not in {other}: {len(flips)}{f' ({listed}{more})' if listed else ''}", flips


def list_notes(found: Comparison) -> Iterator[str]:
    """What a reader must know before the numbers."""
    for side in found.runs:
        if side.shards:
            what = f"{side.letter} is shard {', '.join(side.shards)}, a part of a run"
            yield f"{what}: its numbers are not the run's; harness merge makes the run"
    yield from (f"not measured alike: {each.text}" for each in found.mismatches)
    yield from (f"could not be compared: {title}: {fault}" for title, fault in found.unscored.items())
    toys = dict.fromkeys(each.title for each in found.splits if each.toy)
    if toys:
        yield f"{TOY_DATA}: {', '.join(toys)}"
    undrawn: dict[str, None] = {}  # judges that read a part of a split which may not be random
    for each in found.splits:
        for letter, part in ((found.baseline.letter, each.part_baseline), (each.run, each.part_other)):
            if part is not None and not part.drawn:
                read = f"the judge of {letter} has read {part.read} of {part.answers} answers"
                text = f"not drawn: {each.title}: {read}, which are no random part: the others may be unlike them"
                undrawn[text] = None
    yield from undrawn


def list_asides(found: Comparison) -> Iterator[str]:
    """How the models differ, and what was left out."""
    yield from (f"differs: {each.text}" for each in found.differing)
    for letter in (side.letter for side in found.runs[1:]):
        if [each.what for each in found.differing if each.run == letter] == ["the attack"]:
            base = found.baseline.letter
            yield f"the same samples, and only the attack differs: {letter} - {base} is the difference that it makes"
    yield from (f"left out: {each}" for each in found.left_out)


def describe_tests(found: Comparison) -> str:
    """How to read the numbers and the tests."""
    legend = _LEGEND
    if any(side.seeds for side in found.runs):
        legend += (
            " A side of several seeds is their mean, over the items that all runs have resolved; n adds up its runs."
            " Its interval holds the variance between seeds too, with Satterthwaite's degrees of freedom."
        )
    adjusted = f" p is adjusted by Holm over {found.family} main metrics." if found.family > 1 else ""
    by = f" By {found.by}: exploratory, not adjusted." if found.by else ""
    people = [change.people for each in found.splits for change in each.changes.values() if change.people]
    if any(each.difference is not None for each in people):
        by += " By people: from each run's own labels, without a test."
    if any(each.common is not None for each in people):
        by += (
            " Common errors: as if the judge erred alike on both runs, which is wrong if it does not; p is that of"
            " equal sensitivity and of equal specificity."
        )
    return (
        f"{legend}{adjusted} A run is called better or worse if p is below {ALPHA:g}. Could show: the difference that a"
        f" test at 5% finds in 4 of 5 evaluations.{by}"
    )


def load_texts(found: Comparison, most: int | None) -> Texts:
    """The questions and answers of the first `most` flips of each way, or all."""
    wanted: set[tuple[str, str]] = set()
    for each in found.splits:
        for way in () if each.flips is None else (each.flips.only_baseline, each.flips.only_other):
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
    """The question and both answers of a flip, by name; empty if not loaded."""
    base = found.baseline.letter
    ours, theirs = texts.get((base, flip.item)), texts.get((each.run, flip.other))
    if ours is None or theirs is None:
        return []
    return [("question", ours.question), (f"answer of {base}", ours.text), (f"answer of {each.run}", theirs.text)]


def add_texts(body: dict[str, Json], texts: Texts) -> dict[str, Json]:
    """A comparison's JSON with the `question` and `answers` of each listed item."""
    baseline = str(body["baseline"])
    for split in body["splits"] if texts else ():
        flips: Mapping[str, dict[str, Any]] = split["flips"] or {}
        for way in flips.values():
            items: list[dict[str, Any]] = way["items"]
            for item in items:
                ours, theirs = texts[baseline, item["item"]], texts[str(split["run"]), item["item_in_run"]]
                item |= {"question": ours.question, "answers": {"baseline": ours.text, "run": theirs.text}}
    return body
