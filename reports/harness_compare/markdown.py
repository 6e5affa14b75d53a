"""A comparison as Markdown: for a pull request or a README."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from harness import Comparison
from harness.board.display import figure
from harness.markdown import escape
from harness.runs.comparing.values import Change, Compared, Flip

from . import words
from .texts import Texts


def render(found: Comparison, texts: Texts, most: int) -> str:
    """All of it; `most` flips of each way are listed."""
    runs = [f"- **{side.letter}** {escape(side.name)} ({escape(side.folder)})" for side in found.runs]
    notes = [f"- **{escape(note)}**" for note in words.notes(found)]
    asides = [f"- {escape(aside)}" for aside in words.asides(found)]
    sections = [_section(found, each, texts, most) for each in found.splits]
    blocks = ["\n".join(runs), "\n".join([*notes, *asides]), *sections, f"<sub>{escape(words.footnote(found))}</sub>"]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _section(found: Comparison, each: Compared, texts: Texts, most: int) -> str:
    metrics = {words.label(change): change for change in each.changes.values()}
    groups = [_table(found, each, f"{words.label(each.main)} by {found.by}", each.by)] if each.by else []
    blocks = [
        f"### {escape(each.title)}: {each.run} beside {found.baseline.letter}",
        escape(" · ".join(words.counted(found, each))),
        _table(found, each, "Metric", metrics),
        f"**{escape(words.conclusion(found, each))}**",
        *groups,
        "\n".join(f"- {escape(told)}" for told in words.explain_missing(each)),
        "\n".join(_flips(found, each, texts, most)),
    ]
    return "\n\n".join(block for block in blocks if block)


def _table(found: Comparison, each: Compared, head: str, changes: Mapping[str, Change]) -> str:
    base, is_open = found.baseline.letter, words.has_open(each)
    heads = [
        head,
        "n",
        base,
        each.run,
        f"{each.run} - {base}",
        "95% interval",
        *(["Worst case"] if is_open else []),
    ]
    rules = ["---", *["---:"] * (len(heads) - 1)]
    lines = [[escape(text) for text in heads], rules]
    for name, change in changes.items():
        paired, unit = change.paired, change.paired.unit
        cells = [name, words.divided(change), figure(change.baseline, unit), figure(change.value, unit)]
        cells += [words.signed(paired.difference, unit), words.interval(change)]
        cells += [words.worst(change)] if is_open else []
        lines.append([escape(cell) for cell in cells])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _flips(found: Comparison, each: Compared, texts: Texts, most: int) -> Iterator[str]:
    for told, flips in words.ways(found, each):
        more = "" if most >= len(flips) else f", {min(most, len(flips))} listed"
        yield f"- {escape(told)}{more}"
        yield from _listed(found, each, flips[:most], texts)


def _listed(found: Comparison, each: Compared, flips: Sequence[Flip], texts: Texts) -> Iterator[str]:
    for flip in flips:
        yield f"  - {escape(flip.item)}: {escape(flip.baseline_label)} → {escape(flip.other_label)}"
        for name, text in words.unfolded(found, each, flip, texts):
            yield f"    - {name}: {escape(text)}"
