"""A comparison as text: on the terminal, as Markdown for a pull request, and as a LaTeX table for a paper."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from harness import Comparison
from harness.board.display import NOTHING
from harness.runs.comparing.comparison import Finding, MetricChange, SplitComparison
from harness.text import escape_markdown, escape_tex, one_line, plain

from . import words
from .words import Texts

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

WIDTH: Final = 120  #: columns where there is no terminal
_COLOURS: Final = {
    Finding.BETTER: "green",
    Finding.WORSE: "red",
    Finding.OPEN_BETTER: "yellow",
    Finding.OPEN_WORSE: "yellow",
}
_TEX_ARROWS: Final = {"lower": r"$\downarrow$", "higher": r"$\uparrow$", "neither": ""}


def print_terminal(found: Comparison, texts: Texts, most: int) -> None:
    """Print a comparison on stdout, in colour where that is a terminal; `most` flips of each way are listed."""
    from rich.console import Console

    if sys.stdout.isatty():
        _draw(Console(highlight=False), found, texts, most)
    else:
        sys.stdout.write(render_terminal(found, texts, most))


def render_terminal(found: Comparison, texts: Texts, most: int, width: int = WIDTH) -> str:
    """What `print_terminal` prints, without colour."""
    from rich.console import Console

    out = io.StringIO()
    _draw(Console(file=out, width=width, highlight=False, color_system=None), found, texts, most)
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def _draw(console: Console, found: Comparison, texts: Texts, most: int) -> None:
    from rich.table import Table
    from rich.text import Text

    runs = Table.grid(padding=(0, 2))
    for _ in range(3):
        runs.add_column(overflow="fold")
    for side in found.runs:
        runs.add_row(Text(side.letter, style="bold"), *(Text(one_line(each)) for each in (side.name, side.folder)))
    console.print(runs)
    for note in words.list_notes(found):
        _print_line(console, note, style="yellow")
    for aside in words.list_asides(found):
        _print_line(console, aside, style="dim")
    for each in found.splits:
        _draw_split(console, found, each)
        for text, flips in words.describe_flips(found, each):
            more = "" if most >= len(flips) else f", {min(most, len(flips))} listed (--show N)"
            _print_line(console, f"{text}{more}")
            for flip in flips[:most]:
                _print_line(console, f"{flip.item}  {flip.baseline_label} → {flip.other_label}", indent=4)
                for name, content in words.list_texts(found, each, flip, texts):
                    _print_line(console, name, style="dim", indent=6)
                    _print(console, Text(plain(content).strip()), indent=8)
    console.print()
    _print_line(console, words.describe_tests(found), style="dim", indent=0)


def _draw_split(console: Console, found: Comparison, each: SplitComparison) -> None:
    console.print()
    _print_line(console, f"{each.title}: {each.run} beside {found.baseline.letter}", style="bold", indent=0)
    _print_line(console, " · ".join(words.describe_counts(found, each)), style="dim")
    metrics = {words.format_metric(change): change for change in each.changes.values()}
    _print(console, _build_table(found, each, "", metrics), indent=2)
    _print_line(console, words.describe_conclusion(found, each), style=_COLOURS.get(each.main.finding, ""))
    if each.by:
        console.print()
        head = f"{words.format_metric(each.main)} by {found.by}"
        _print(console, _build_table(found, each, head, each.by), indent=2)
    for text in words.explain_missing(each):
        _print_line(console, text, style="dim")


def _build_table(found: Comparison, each: SplitComparison, head: str, changes: Mapping[str, MetricChange]) -> Table:
    """Changes by name; where the terminal is too narrow the names give way, numbers never do."""
    from rich.table import Table
    from rich.text import Text

    base, run, is_open = found.baseline.letter, each.run, words.has_open(each)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column(Text(one_line(head)), overflow="fold", min_width=8)
    for title in ("n", base, run, f"{run} - {base}"):
        table.add_column(title, justify="right", no_wrap=True)
    for title in ("95% interval", *(("worst case",) if is_open else ())):
        table.add_column(title, no_wrap=True)
    for name, change in changes.items():
        cells = (one_line(name), *words.format_change(change, is_open=is_open))
        table.add_row(*map(Text, cells), style="bold" if change.main else "")
    return table


def _print_line(console: Console, text: str, *, style: str = "", indent: int = 2) -> None:
    from rich.text import Text

    _print(console, Text(one_line(text, 2000), style=style), indent=indent)


def _print(console: Console, content: Table | Text, *, indent: int) -> None:
    from rich.padding import Padding

    console.print(Padding(content, (0, 0, 0, indent)))


def render_markdown(found: Comparison, texts: Texts, most: int) -> str:
    """A comparison as Markdown; `most` flips of each way are listed."""
    runs = [f"- **{side.letter}** {escape_markdown(side.name)} ({escape_markdown(side.folder)})" for side in found.runs]
    notes = [f"- **{escape_markdown(note)}**" for note in words.list_notes(found)]
    notes += [f"- {escape_markdown(aside)}" for aside in words.list_asides(found)]
    blocks = ["\n".join(runs), "\n".join(notes)]
    for each in found.splits:
        metrics = {words.format_metric(change): change for change in each.changes.values()}
        by = f"{words.format_metric(each.main)} by {found.by}"
        blocks += [
            f"### {escape_markdown(each.title)}: {each.run} beside {found.baseline.letter}",
            escape_markdown(" · ".join(words.describe_counts(found, each))),
            _tabulate_markdown(found, each, "Metric", metrics),
            f"**{escape_markdown(words.describe_conclusion(found, each))}**",
            _tabulate_markdown(found, each, by, each.by) if each.by else "",
            "\n".join(f"- {escape_markdown(text)}" for text in words.explain_missing(each)),
            "\n".join(_list_flips(found, each, texts, most)),
        ]
    blocks.append(f"<sub>{escape_markdown(words.describe_tests(found))}</sub>")
    return "\n\n".join(block for block in blocks if block) + "\n"


def _tabulate_markdown(found: Comparison, each: SplitComparison, head: str, changes: Mapping[str, MetricChange]) -> str:
    base, run, is_open = found.baseline.letter, each.run, words.has_open(each)
    heads = [head, "n", base, run, f"{run} - {base}", "95% interval", *(["Worst case"] if is_open else [])]
    lines = [[escape_markdown(text) for text in heads], ["---", *["---:"] * (len(heads) - 1)]]
    for name, change in changes.items():
        lines.append([escape_markdown(cell) for cell in (name, *words.format_change(change, is_open=is_open))])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _list_flips(found: Comparison, each: SplitComparison, texts: Texts, most: int) -> Iterator[str]:
    for text, flips in words.describe_flips(found, each):
        more = "" if most >= len(flips) else f", {min(most, len(flips))} listed"
        yield f"- {escape_markdown(text)}{more}"
        for flip in flips[:most]:
            item, before, after = map(escape_markdown, (flip.item, flip.baseline_label, flip.other_label))
            yield f"  - {item}: {before} → {after}"
            for name, content in words.list_texts(found, each, flip, texts):
                yield f"    - {name}: {escape_markdown(content)}"


def render_latex(found: Comparison) -> str:
    """One booktabs table of all metrics; every name is escaped."""
    base = found.baseline.letter
    others = "/".join(side.letter for side in found.runs[1:])
    is_open = any(words.has_open(each) for each in found.splits)
    heads = ["Metric", "$n$", base, others, "Diff.", r"95\% interval", *(["Worst case"] if is_open else []), "$p$"]
    runs = "; ".join(f"{side.letter}: {escape_tex(side.name)}" for side in found.runs)
    judges = dict.fromkeys(judge for each in found.splits for judge in words.list_judges(each))
    facts = (*words.list_notes(found), *words.list_asides(found), f"judge {', '.join(judges)}")
    told = " ".join(f"{escape_tex(fact[:1].upper() + fact[1:])}." for fact in facts)
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            r"\begin{table}[t]",
            r"\centering\footnotesize\setlength{\tabcolsep}{4pt}",
            rf"\caption{{{runs}. {told} {escape_tex(words.describe_tests(found))}}}",
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
    unresolved = words.describe_unresolved(found, each)
    counts = f"{each.counts.resolved} of {each.counts.common} resolved in both; {unresolved}"
    title = f"{each.title}, {each.run} beside {found.baseline.letter}: {counts}"
    yield r"\midrule"
    yield rf"\multicolumn{{{columns}}}{{l}}{{{escape_tex(title)}}} \\"
    by = ((f"{each.main.paired.metric}: {name}", change) for name, change in each.by.items())
    for name, change in (*each.changes.items(), *by):
        percent = r"\% " if change.paired.unit == "%" else ""
        head = f"{escape_tex(name)} {percent}{_TEX_ARROWS[change.paired.better]}".rstrip()
        n, *numbers = words.format_change(change, is_open=is_open)
        p = words.format_p(change.p_holm) if change.main else ""
        cells = [rf"\textbf{{{head}}}" if change.main else head, n, *map(_format_math, (*numbers, p))]
        yield " & ".join(cells) + r" \\"
    comments = (
        *words.describe_counts(found, each),
        words.describe_conclusion(found, each),
        *words.explain_missing(each),
        *(text for text, _ in words.describe_flips(found, each)),
    )
    yield from (f"% {escape_tex(comment)}" for comment in comments)


def _format_math(text: str) -> str:
    """A number as mathematics, so that a minus is one."""
    return "--" if text == NOTHING else f"${text}$" if text else ""
