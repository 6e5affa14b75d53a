"""The overview of the page: models against the main number of each board, by suite and topic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from harness.board import words
from harness.board.display import ARROWS, format_interval, format_value
from harness.board.rows import Row
from harness.board.suites import Mean
from harness.contracts import BUILT

from .figures import Looks
from .figures.readings import shorten
from .sections import Section, SectionGroup
from .tables import Cell, Flag, Head, HeadGroup, Line, Table, build_cell, build_head, lift_flags, name_kind
from .terms import Glossary

_IN_HEAD: Final = 80  #: characters of a board's name over its column


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of the overview: the main number of a board, or the mean of a suite.

    Attributes:
        head: what stands over it.
        section: of the board; None for a mean.
        suite: whose mean it is; empty for a board.
    """

    head: Head
    section: Section | None = None
    suite: str = ""


def build_overview(
    sections: Sequence[Section],
    grouped: Sequence[SectionGroup],
    described: Mapping[str, str],
    means: Sequence[Mean],
    glossary: Glossary,
    looks: Looks,
) -> Table:
    """Models against the main numbers of all boards that are not parts of another, by suite and topic.

    A board of two suites has a column under each. A topic has a mean where a suite defines one over boards of that
    topic alone.

    Args:
        sections: all of the page.
        grouped: those that have columns, by suite and topic.
        described: name of a suite -> what it is.
        means: of suites.
        glossary: receives what the heads mean.
        looks: of the models in figures.
    """
    topics = {section.board.title: section.topic for section in sections}
    columns: list[Column] = []
    heads: list[HeadGroup] = []
    for group in grouped:
        own: list[Column] = []
        for section in group.sections:
            board = section.board
            if board.measures:
                head = build_head(board.name, board.measures[0], board.name, section.task, glossary)
                head = replace(
                    head,
                    name=shorten(head.name, _IN_HEAD),
                    anchor=section.anchor,
                    task=board.task,
                    topic=section.topic,
                    suite=group.name if group.suite else "",
                )
                own.append(Column(head=head, section=section))
        if own:
            own += _list_means(group, means, topics, glossary)
            columns += own
            heads.append(_build_group_head(group, len(own), described, glossary))
    models: dict[str, dict[str, Row]] = {}  # model -> anchor of a section -> its first row there
    for section in sections:
        if not section.board.part_of and section.board.measures:
            for row in section.board.rows:
                models.setdefault(row.model, {}).setdefault(section.anchor, row)
    by_model = _match_means(means, models)
    lines = [_build_line(model, rows, columns, by_model[model], glossary, looks) for model, rows in models.items()]
    kinds = {line.kind for line in lines}
    table = Table(
        heads=[column.head for column in columns],
        lines=lines,
        groups=heads if any(head.name != "other" or head.suite for head in heads) else (),
        shared=[("Answered by", glossary.fact("Answered by").anchor, kinds.pop())] if len(kinds) == 1 else (),
    )
    return lift_flags(table)


def _list_means(
    group: SectionGroup, means: Sequence[Mean], topics: Mapping[str, str], glossary: Glossary
) -> Iterator[Column]:
    """A column for each mean of a suite, or over boards of one topic alone; `topics` are those of all boards."""
    if not group.name:
        return
    for suite in dict.fromkeys(mean.suite for mean in means):
        own = [mean for mean in means if mean.suite == suite]
        titles = {title for mean in own for title in (*mean.of, *mean.missing)}
        asked = {topics.get(title.removesuffix(":all"), "") for title in titles}
        if (suite.partition(BUILT)[0] == group.name) if group.suite else (asked == {group.name}):
            text = f"Unweighted mean of {', '.join(sorted(titles))}; there is none while a part is missing."
            head = Head(
                name=suite,
                metric=f"mean{' %' if own[0].unit == '%' else ''}",
                arrow=ARROWS.get(own[0].better or "", ""),
                term=glossary.add("Metrics", f"mean of {suite}", text).anchor,
                topic=next(iter(asked)) if len(asked) == 1 else "",
                suite=group.name if group.suite else "",
            )
            yield Column(head=head, suite=suite)


def _build_group_head(group: SectionGroup, count: int, described: Mapping[str, str], glossary: Glossary) -> HeadGroup:
    """The head over the columns of a suite or topic."""
    if group.suite:
        word = f"suite {group.name}"
        about = f"suite: {described.get(group.name) or 'tasks that were run under this name'}"
    else:
        unknown = "another kind of question, or a kind that the results do not name"
        word, about = group.name or "other", words.TOPICS.get(group.name, unknown)
    term = glossary.add("Columns", word, f"{about[0].upper()}{about[1:]}.")
    return HeadGroup(name=group.name or "other", term=term.anchor, count=count, suite=group.suite)


def _build_line(
    model: str,
    rows: Mapping[str, Row],
    columns: Sequence[Column],
    means: Mapping[str, Mean],
    glossary: Glossary,
    looks: Looks,
) -> Line:
    """One model with its `rows` by the section's anchor and its `means` by suite."""
    cells: list[Cell] = []
    for column in columns:
        if column.section is None:
            cells.append(_build_mean_cell(means.get(column.suite)))
        elif (row := rows.get(column.section.anchor)) is None:
            cells.append(Cell())
        else:
            cells.append(replace(build_cell(column.section.board, row, row.main, None), row=row))
    cautions: dict[str, list[str]] = {}  # one per kind, with all their texts
    for caution in dict.fromkeys(caution for row in rows.values() for caution in row.cautions):
        cautions.setdefault(caution.kind, []).append(caution.told)
    first = next(iter(rows.values()))
    return Line(
        model=model,
        kind=name_kind(first),
        cells=cells,
        flags=[
            Flag(kind=kind, told="; ".join(texts), term=glossary.flag(kind).anchor) for kind, texts in cautions.items()
        ],
        held_out=tuple(dict.fromkeys(name for row in rows.values() for name in row.held_out)),
        unranked="in no table" if all(row.unranked for row in rows.values()) else "",
        number=looks.of(first).number,
        look=looks.draw(first),
    )


def _match_means(means: Sequence[Mean], models: Mapping[str, Mapping[str, Row]]) -> dict[str, dict[str, Mean]]:
    """Line of the overview -> suite -> its mean, where one line and one mean alone are of that model."""
    lines: dict[tuple[str, str, str], set[str]] = {}
    for model, rows in models.items():
        for row in rows.values():
            lines.setdefault((row.ref, row.strategy, row.attack), set()).add(model)
    counts = Counter((mean.suite, mean.ref, mean.strategy, mean.attack) for mean in means)
    found: dict[str, dict[str, Mean]] = {model: {} for model in models}
    for mean in means:
        if counts[mean.suite, mean.ref, mean.strategy, mean.attack] == 1:
            named = lines.get((mean.ref, mean.strategy, mean.attack), set())
            for model in named if len(named) == 1 else ():
                found[model][mean.suite] = mean
    return found


def _build_mean_cell(mean: Mean | None) -> Cell:
    if mean is None:
        return Cell()
    missing = f"missing: {', '.join(mean.missing)}" if mean.missing else ""
    return Cell(
        text=format_value(mean.value, mean.unit),
        interval=format_interval(mean.ci95_worst, mean.unit),
        sort=mean.value,
        main=True,
        why=missing if mean.value is None else "",
        note="" if mean.complete or mean.value is None else "a part is a subset or incomplete",
    )
