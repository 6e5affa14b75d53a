"""A comparison as a LaTeX table for a paper: booktabs, every name escaped."""

from __future__ import annotations

from collections.abc import Iterator

from harness import Comparison
from harness.board.display import NOTHING, figure
from harness.runs.comparing.values import Change, Compared
from harness.tex import escape

from . import words

_ARROWS = {"lower": r"$\downarrow$", "higher": r"$\uparrow$", "neither": ""}


def render(found: Comparison) -> str:
    """One table of all metrics; needs `\\usepackage{booktabs}`."""
    base = found.baseline.letter
    others = "/".join(side.letter for side in found.runs[1:])
    is_open = any(words.has_open(each) for each in found.splits)
    heads = ["Metric", "$n$", base, others, "Diff.", r"95\% interval", *(["Worst case"] if is_open else []), "$p$"]
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            r"\begin{table}[t]",
            r"\centering\footnotesize\setlength{\tabcolsep}{4pt}",
            rf"\caption{{{_caption(found)}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}",
            r"\toprule",
            " & ".join(heads) + r" \\",
            *(line for each in found.splits for line in _split(found, each, len(heads), is_open=is_open)),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _caption(found: Comparison) -> str:
    runs = "; ".join(f"{side.letter}: {escape(side.name)}" for side in found.runs)
    judges = dict.fromkeys(judge for each in found.splits for judge in words.judges(each))
    facts = [*words.notes(found), *words.asides(found), f"judge {', '.join(judges)}"]
    told = " ".join(f"{escape(fact[:1].upper() + fact[1:])}." for fact in facts)
    return f"{runs}. {told} {escape(words.footnote(found))}"


def _split(found: Comparison, each: Compared, columns: int, *, is_open: bool) -> Iterator[str]:
    yield r"\midrule"
    counts = f"{each.counts.resolved} of {each.counts.common} resolved in both; {words.unresolved(found, each)}"
    title = f"{each.title}, {each.run} beside {found.baseline.letter}: {counts}"
    yield rf"\multicolumn{{{columns}}}{{l}}{{{escape(title)}}} \\"
    for name, change in each.changes.items():
        yield _row(name, change, is_open=is_open)
    for name, change in each.by.items():
        yield _row(f"{each.main.paired.metric}: {name}", change, is_open=is_open)
    for told in (
        *words.counted(found, each),
        words.conclusion(found, each),
        *words.explain_missing(each),
        *(way for way, _ in words.ways(found, each)),
    ):
        yield f"% {escape(told)}"


def _row(name: str, change: Change, *, is_open: bool) -> str:
    paired, unit = change.paired, change.paired.unit
    percent = r"\% " if unit == "%" else ""
    cells = [
        f"{escape(name)} {percent}{_ARROWS[paired.better]}".rstrip(),
        words.divided(change),
        *(_number(figure(value, unit)) for value in (change.baseline, change.value)),
        _number(words.signed(paired.difference, unit)),
        _number(words.interval(change)),
        *([_number(words.worst(change))] if is_open else []),
        _number(words.probability(change.p_holm)) if change.main else "",
    ]
    bold = [rf"\textbf{{{cells[0]}}}", *cells[1:]] if change.main else cells
    return " & ".join(bold) + r" \\"


def _number(text: str) -> str:
    """Numbers as mathematics, so that a minus is one."""
    return "--" if text == NOTHING else f"${text}$" if text else ""
