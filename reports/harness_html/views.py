"""The content of the page's templates, made from boards: tables of cells, sections, and the methods paragraph.

Nothing is HTML yet: the templates escape all text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from harness import Results
from harness.board import words
from harness.board.corrected import (
    ADDS_NOTHING,
    CorrectedNumber,
    count_things,
    describe_annotator,
)
from harness.board.display import ARROWS, NOTHING, format_estimate, format_interval, format_share, format_value
from harness.board.leaderboard import Board, Mean, find_standing, list_flags
from harness.board.published import PublishedRow
from harness.board.rows import Ends, Measure, Row
from harness.board.suites import SuiteGroup
from harness.contracts import BUILT
from harness.text import one_line

from .figures import Figure, Looks
from .figures.readings import format_counts, shorten
from .terms import Glossary, TaskNote

_WIDTH: Final = 100.0  #: width of a whisker, in its own units
_LEAST: Final = 1.5  #: least length of its line, so that a point is visible
_IN_HEAD: Final = 80  #: characters of a board's name over its column in the overview
_OWN_SETTINGS: Final = "with the providers' settings"
_OUTCOMES: Final = (
    "Every sample ends in one outcome: blocked and empty answers count as each benchmark says, and what is unresolved "
    "(errors, broken samples, judges that failed) is outside the denominator, counted beside the number, and turned "
    "into bounds."
)
_INTERVALS: Final = (
    "Intervals are 95% Wilson intervals at the effective sample size, clustered by what belongs together and stretched "
    "over those bounds; a rank counts the models whose whole interval is better."
)
_BY_PEOPLE: Final = (
    "A number by people rests on labels that people gave a random part of the answers, drawn by the judge's labels; "
    "its interval holds the judge's errors and the draw. It changes no rank, since not every model has labels."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whisker:
    """An interval as a small line in a table cell: positions of its parts, 0 to 100."""

    low: float
    high: float
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The values at the left and right ends of the whiskers of one column."""

    left: float
    right: float

    @classmethod
    def of(cls, measures: Iterable[Measure]) -> Scale:
        """The whole range for percent and shares, else the column's range."""
        given = [measure for measure in measures if measure.value is not None]
        units = {measure.unit for measure in given}
        if units <= {"%", "0-1"}:
            return cls(left=0.0, right=100.0 if units == {"%"} else 1.0)
        own = [(*measure.ci95, measure.value) for measure in given]
        own += [(*each.ci95, each.value) for measure in given if (each := measure.corrected) is not None]
        ends = [end for numbers in own for end in numbers if end is not None]
        return cls(left=min(ends), right=max(ends))

    def draw(self, number: float | None, ends: Ends) -> Whisker | None:
        """A number with its interval; None without a number."""
        if number is None:
            return None
        low, high = (number if end is None else end for end in ends)
        left, right, value = self._place(low), self._place(high), self._place(number)
        if right - left < _LEAST:
            left, right = max(0.0, value - _LEAST / 2), value + _LEAST / 2
        return Whisker(low=left, high=right, value=value)

    def _place(self, value: float) -> float:
        width = self.right - self.left
        return round(_WIDTH * min(1.0, max(0.0, (value - self.left) / width)) if width else _WIDTH / 2, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleNumber:
    """What people's labels say of a number: shown value and interval, their drawing, and what they rest on."""

    text: str
    interval: str
    labels: str
    whisker: Whisker | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One number.

    Attributes:
        text: the displayed value.
        interval: the displayed interval; empty for none.
        sort: the full value; None sorts last.
        whisker: its drawing; None for none.
        mark: `best`, `second` or nothing.
        note: why it has no rank; empty if ranked.
        main: whether it is its board's main number.
        why: why there is no value; empty if there is one.
        people: what people's labels say of it; None where they give no number.
        counts: `HITS of DIVIDED BY`, in whole numbers, and what is unresolved; empty where it is another kind of sum.
        row: in the overview, the row of a board that it is of.
    """

    text: str = NOTHING
    interval: str = ""
    sort: float | None = None
    whisker: Whisker | None = None
    mark: str = ""
    note: str = ""
    main: bool = False
    why: str = ""
    people: PeopleNumber | None = None
    counts: str = ""
    row: Row | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A column of numbers.

    Attributes:
        name: of the metric, or of the board in the overview.
        metric: the metric with its unit.
        arrow: its direction.
        term: anchor of its definition.
        anchor: of the board that it links to; empty for none.
        task: of that board.
        topic: what that board asks about.
        suite: the suite that the column stands under; empty for none.
        optional: whether a reader may hide the column.
    """

    name: str
    metric: str
    arrow: str
    term: str
    anchor: str = ""
    task: str = ""
    topic: str = ""
    suite: str = ""
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadGroup:
    """A head over several columns of the overview.

    Attributes:
        name: of the suite, or the topic.
        term: anchor of its definition.
        count: columns below it.
        suite: whether it is a suite's.
    """

    name: str
    term: str
    count: int
    suite: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A caution on a row: its kind, what it says there, and the anchor of its definition."""

    kind: str
    told: str
    term: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One run behind a mean over seeds: its name, its seed, its value in each column, and the viewer's name of it."""

    model: str
    seed: str
    values: Sequence[str]
    shown_as: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One model.

    Attributes:
        model: its name.
        kind: `local weights` or `API`.
        cells: one per column.
        facts: the other columns of the row.
        flags: cautions on its numbers.
        unranked: why it has no rank; empty if ranked.
        rank: rank in its class; None if unranked, or the table has several classes.
        held_out: categories that its training left out.
        members: the runs that it is a mean of; empty for a single run.
        number: of the model in figures, by which a filter finds it there.
        look: its mark in figures, as a small drawing; empty where the table has no marks.
        shown_as: the viewer's name of its run; empty without a viewer, and for a mean over seeds.
        judge: id of the judge of its numbers; empty for none, or where they have several.
    """

    model: str
    kind: str
    cells: Sequence[Cell]
    facts: Sequence[str] = ()
    flags: Sequence[Flag] = ()
    unranked: str = ""
    rank: int | None = None
    held_out: Sequence[str] = ()
    members: Sequence[Member] = ()
    number: int = 0
    look: str = ""
    shown_as: str = ""
    judge: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Lines under heads.

    Attributes:
        heads: the columns of numbers.
        lines: one per model.
        facts: the columns after the numbers: (name, anchor of its definition).
        ranks: whether lines have ranks.
        groups: heads over columns of one suite or topic; empty for none.
        shared: facts that are the same in all lines: (name, anchor of its definition, text).
        flags: cautions that all lines have.
    """

    heads: Sequence[Head]
    lines: Sequence[Line]
    facts: Sequence[tuple[str, str]] = ()
    ranks: bool = False
    groups: Sequence[HeadGroup] = ()
    shared: Sequence[tuple[str, str, str]] = ()
    flags: Sequence[Flag] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelling:
    """What people's labels say of one metric of one model, in words; or of several of which they say nothing.

    Attributes:
        model: the row's name.
        metric: its name and unit; several where one reason holds for all.
        judged: the judge's number with its interval; empty for several metrics.
        people: people's number with its interval, or why there is none.
        labels: how many answers are labelled, of how many.
        agreement: how far people agree.
        annotators: each person's own estimate.
        parts: the cells of the draw.
        remarks: reasons to doubt it.
    """

    model: str
    metric: str
    judged: str
    people: str
    labels: str
    agreement: str
    annotators: Sequence[str]
    parts: Sequence[str]
    remarks: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One board in full.

    Attributes:
        anchor: the id for links.
        board: the board.
        table: all its metrics.
        published: published rows of others.
        task: what the board's task is.
        topic: what it asks about; empty for another kind.
        suites: names of the suites that it belongs to.
        judge: who judged, in words.
        labels: the labels that answers got: (label, anchor of its definition).
        facts: facts shared by all rows: (name, text).
        notes: notes to read before comparing rows.
        labelled: what people's labels say, metric by metric.
        figures: drawn of this board.
    """

    anchor: str
    board: Board
    table: Table
    published: Sequence[PublishedRow]
    task: TaskNote
    topic: str
    judge: str
    labels: Sequence[tuple[str, str]]
    facts: Sequence[tuple[str, str]]
    notes: Sequence[str]
    labelled: Sequence[Labelling] = ()
    figures: Sequence[Figure] = ()
    suites: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionGroup:
    """The sections of one suite, or those of one topic that belong to no suite.

    Attributes:
        name: of the suite, or the topic.
        suite: whether it is a suite's.
        sections: all of them, those whose tables stand elsewhere too.
        own: those whose tables stand here.
        reference: where the other tables stand; empty where all are here.
    """

    name: str
    suite: bool
    sections: Sequence[Section]
    own: Sequence[Section]
    reference: str = ""


def group_sections(sections: Sequence[Section], groups: Sequence[SuiteGroup]) -> list[SectionGroup]:
    """The sections that are no parts of another by suite, then the rest by what they ask about."""
    named = {section.board.name: section for section in sections if not section.board.part_of}
    found: list[SectionGroup] = []
    for group in groups:
        inside = [named[board.name] for board in group.boards if board.name in named]
        own = [section for section in inside if section.board.name not in group.above]
        if group.suite and inside:
            apart = replace(group, above={name: suite for name, suite in group.above.items() if name in named})
            each = SectionGroup(name=group.suite, suite=True, sections=inside, own=own, reference=apart.reference)
            found.append(each)
        elif not group.suite:
            found += [
                SectionGroup(name=topic, suite=False, sections=those, own=those)
                for topic, those in order_by_topic(inside)
            ]
    return found


def order_by_topic(sections: Sequence[Section]) -> list[tuple[str, list[Section]]]:
    """The sections by what they ask about, in the order of reading; other kinds last."""
    topics = sorted({section.topic for section in sections}, key=_place_topic)
    return [(topic, [section for section in sections if section.topic == topic]) for topic in topics]


def _place_topic(topic: str) -> tuple[int, str]:
    known = list(words.TOPICS)
    return (known.index(topic) if topic in known else len(known), topic)


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
    shown = [section for section in sections if not section.board.part_of and section.board.measures]
    models: dict[str, dict[str, Row]] = {}
    for section in shown:
        for row in section.board.rows:
            models.setdefault(row.model, {}).setdefault(section.anchor, row)
    topics = {section.board.title: section.topic for section in sections}
    heads: list[Head] = []
    groups: list[HeadGroup] = []
    columns: list[Section | str] = []  # a board, or a suite whose mean stands there
    for group in grouped:
        inside = [section for section in group.sections if section.board.measures]
        if not inside:
            continue
        suite_name, topic = (group.name, "") if group.suite else ("", group.name)
        for section in inside:
            measure = section.board.measures[0]
            head = _build_head(section.board.name, measure, section.board.name, section.task, glossary)
            heads.append(
                replace(
                    head,
                    name=shorten(head.name, _IN_HEAD),
                    anchor=section.anchor,
                    task=section.board.task,
                    topic=section.topic,
                    suite=suite_name,
                )
            )
            columns.append(section)
        count = len(inside)
        for suite in dict.fromkeys(mean.suite for mean in means) if group.name else ():
            own = [mean for mean in means if mean.suite == suite]
            titles = {title for mean in own for title in (*mean.of, *mean.missing)}
            asked = {topics.get(title.removesuffix(":all"), "") for title in titles}
            if (suite.partition(BUILT)[0] == suite_name) if group.suite else (asked == {topic}):
                text = f"Unweighted mean of {', '.join(sorted(titles))}; there is none while a part is missing."
                term = glossary.add("Metrics", f"mean of {suite}", text)
                arrow = ARROWS.get(own[0].better or "", "")
                unit = " %" if own[0].unit == "%" else ""
                about = next(iter(asked)) if len(asked) == 1 else ""
                head = Head(name=suite, metric=f"mean{unit}", arrow=arrow, term=term.anchor)
                heads.append(replace(head, topic=about, suite=suite_name))
                columns.append(suite)
                count += 1
        if group.suite:
            about = f"suite: {described.get(suite_name) or 'tasks that were run under this name'}"
            term = glossary.add("Columns", f"suite {suite_name}", f"{about[0].upper()}{about[1:]}.")
        else:
            about = words.TOPICS.get(topic, "another kind of question, or a kind that the results do not name")
            term = glossary.add("Columns", topic or "other", f"{about[0].upper()}{about[1:]}.")
        groups.append(HeadGroup(name=group.name or "other", term=term.anchor, count=count, suite=group.suite))
    by_suite = _match_means(means, models)
    lines: list[Line] = []
    for model, rows in models.items():
        cells: list[Cell] = []
        for column in columns:
            if isinstance(column, str):
                cells.append(_build_mean_cell(by_suite.get((column, model))))
            elif (mine := rows.get(column.anchor)) is None:
                cells.append(Cell())
            else:
                cells.append(replace(_build_cell(column.board, mine, mine.main, None), row=mine))
        cautions: dict[str, list[str]] = {}  # one per kind, with all their texts
        for caution in dict.fromkeys(caution for row in rows.values() for caution in row.cautions):
            cautions.setdefault(caution.kind, []).append(caution.told)
        line = Line(
            model=model,
            kind=_name_kind(next(iter(rows.values()))),
            cells=cells,
            flags=[
                Flag(kind=kind, told="; ".join(texts), term=glossary.flag(kind).anchor)
                for kind, texts in cautions.items()
            ],
            held_out=tuple(dict.fromkeys(name for row in rows.values() for name in row.held_out)),
            unranked="in no table" if all(row.unranked for row in rows.values()) else "",
            number=looks.of(next(iter(rows.values()))).number,
            look=looks.draw(next(iter(rows.values()))),
        )
        lines.append(line)
    kinds = {line.kind for line in lines}
    table = Table(
        heads=heads,
        lines=lines,
        groups=groups if any(group.name != "other" or group.suite for group in groups) else (),
        shared=[("Answered by", glossary.fact("Answered by").anchor, kinds.pop())] if len(kinds) == 1 else (),
    )
    return _lift_flags(table)


def _match_means(means: Sequence[Mean], models: Mapping[str, Mapping[str, Row]]) -> dict[tuple[str, str], Mean]:
    """(suite, line of the overview) -> its mean, where one line and one mean alone are of that model."""
    lines: dict[tuple[str, str], set[str]] = {}
    for model, rows in models.items():
        for row in rows.values():
            lines.setdefault((row.ref, row.strategy), set()).add(model)
    counts = Counter((mean.suite, mean.ref, mean.strategy) for mean in means)
    return {
        (mean.suite, model): mean
        for mean in means
        for model in lines.get((mean.ref, mean.strategy), ())
        if len(lines[mean.ref, mean.strategy]) == 1 and counts[mean.suite, mean.ref, mean.strategy] == 1
    }


def build_section(
    board: Board,
    anchor: str,
    published: Sequence[PublishedRow],
    task: TaskNote,
    glossary: Glossary,
    looks: Looks,
    figures: Sequence[Figure] = (),
    shown: Sequence[Sequence[str]] = (),
) -> Section:
    """A board in full; `shown` are a viewer's names of the runs of each of the results."""
    names = [measure.name for measure in board.measures]
    main = Scale.of(each for row in board.rows for each in row.measures if each.main)
    lines: list[Line] = []
    for row in board.rows:
        measures = {measure.name: measure for measure in reversed(row.measures)}
        again = f" in {row.epochs} epochs" if row.epochs > 1 else ""
        samples = f"{row.n}{again}{' (subset)' if row.subset is not None else ''}"
        who = ", ".join(filter(None, (_name_kind(row), row.model_revision)))
        runs = shown[row.run] if shown else ()
        members = [
            Member(
                model=ref,
                seed=seed,
                values=[
                    format_value(measure.by_seed[place], measure.unit)
                    if (measure := measures.get(name)) is not None and place < len(measure.by_seed)
                    else NOTHING
                    for name in names
                ],
                shown_as=runs[place] if place < len(runs) else "",
            )
            for place, (ref, seed) in enumerate(row.seeds)
        ]
        line = Line(
            model=row.model,
            kind=_name_kind(row),
            cells=[_build_cell(board, row, measures.get(name), main) for name in names],
            facts=(samples, format_share(row.coverage), str(row.blocked), who, row.finished[:10]),
            held_out=row.held_out,
            flags=[Flag(kind=each.kind, told=each.told, term=glossary.flag(each.kind).anchor) for each in row.cautions],
            unranked=row.unranked,
            rank=row.rank,
            members=members,
            number=looks.of(row).number,
            shown_as=runs[0] if runs and not members else "",
            judge=row.judge.id,
        )
        lines.append(line)
    heads = [
        replace(_build_head(measure.name, measure, board.name, task, glossary), optional=not measure.main)
        for measure in board.measures
    ]
    table = Table(
        heads=heads,
        lines=lines,
        facts=[(name, glossary.fact(name).anchor) for name in words.FACTS],
        ranks=any(row.rank is not None for row in board.rows),
    )
    table = _lift_facts(_lift_flags(table))
    said = tuple(f": {flag.told}." for flag in table.flags)  # of all rows, above the table
    used = dict.fromkeys(label for row in board.rows for label, count in row.labels.items() if count)
    known = list(dict.fromkeys((*used, *(label for label in task.meanings if not used))))
    return Section(
        anchor=anchor,
        board=board,
        table=table,
        published=published,
        task=task,
        topic=task.topic,
        judge=_join(list(dict.fromkeys(row.judge.told for row in board.rows if row.judge.id))),
        labels=[(label, glossary.label(label, task.meanings.get(label, ""), board.name).anchor) for label in known],
        facts=tuple(_list_shared(board).items()),
        notes=[note for note in (*board.notes, *list_flags(board)) if not said or not note.endswith(said)],
        labelled=tuple(line for row in board.rows for line in _list_labels(row)),
        figures=figures,
    )


def describe_benchmark(section: Section) -> list[str]:
    """What a benchmark is, in sentences: what it asks, its paper, its licence."""
    task = section.task
    sentences = [task.description, f"Paper: {task.paper}." if task.paper else "Paper: none is named."]
    return [*sentences, f"Licence of its data: {task.licence or 'none is named'}."]


def _lift_flags(table: Table) -> Table:
    """The table with the flags that two or more lines all have said once, above it."""
    if len(table.lines) < 2:
        return table
    shared = [flag for flag in table.lines[0].flags if all(flag in line.flags for line in table.lines)]
    lines = [replace(line, flags=[flag for flag in line.flags if flag not in shared]) for line in table.lines]
    return replace(table, lines=lines, flags=shared)


def _lift_facts(table: Table) -> Table:
    """The table with the facts that are the same in all lines said once, above it."""
    places = range(len(table.facts))
    same = [place for place in places if len({line.facts[place] for line in table.lines}) == 1]
    kept = [place for place in places if place not in same]
    return replace(
        table,
        facts=[table.facts[place] for place in kept],
        lines=[replace(line, facts=[line.facts[place] for place in kept]) for line in table.lines],
        shared=[(*table.facts[place], text) for place in same if (text := table.lines[0].facts[place])],
    )


def place_figures(
    figures: Sequence[Figure], boards: Sequence[Board], anchors: Sequence[str]
) -> tuple[Figure | None, dict[str, list[Figure]], list[Figure]]:
    """The headline figure, the figures of each board by its anchor, and those that belong to none.

    A figure of a whole task stands beside the first table of the task.
    """
    homes: dict[tuple[str, str], str] = {}  # task, and name of a board or nothing -> the first anchor that has it
    for board, anchor in zip(boards, anchors, strict=True):
        for name in (board.name, ""):
            homes.setdefault((board.task, name), anchor)
    headline, placed, rest = None, dict[str, list[Figure]](), list[Figure]()
    for figure in figures:
        home = homes.get((figure.task, figure.board))
        if figure.headline:
            headline = figure
        elif home is not None:
            placed.setdefault(home, []).append(figure)
        else:
            rest.append(figure)
    return headline, placed, rest


def _list_labels(row: Row) -> Iterator[Labelling]:
    """A line for each metric with a number by people, and one for each reason that others have none."""
    missing: dict[str, Labelling] = {}
    for measure in row.measures:
        found = measure.corrected
        if found is None:
            continue
        line = _describe_labels(row, measure, found)
        if found.value is not None:
            yield line
        elif (same := missing.get(found.why)) is None:
            missing[found.why] = replace(line, judged="", annotators=())
        else:
            missing[found.why] = replace(same, metric=f"{same.metric}, {line.metric}")
    yield from missing.values()


def _describe_labels(row: Row, measure: Measure, found: CorrectedNumber) -> Labelling:
    unit = measure.unit
    remarks = [*([ADDS_NOTHING] if found.adds_nothing else []), *found.notes]
    parts: list[str] = []
    for part in found.parts:
        share = "" if part.value is None or found.value is None else f": {format_value(part.value, unit)}"
        count = f"{part.answers}, known" if part.known else f"{part.labels} of {part.answers}"
        parts.append(f"{part.name} {count}{share}")
    return Labelling(
        model=row.model,
        metric=f"{measure.name}{' %' if unit == '%' else ''}",
        judged=format_estimate(measure.value, measure.ci95, unit),
        people=f"none: {found.why}" if found.value is None else format_estimate(found.value, found.ci95, unit),
        labels=f"{found.labels} of {found.of}" if found.of else str(found.labels),
        agreement=found.agreement,
        annotators=[describe_annotator(who, own, unit) for who, own in found.annotators.items()],
        parts=parts,
        remarks=remarks,
    )


def _build_head(name: str, measure: Measure, place: str, task: TaskNote, glossary: Glossary) -> Head:
    unit = " %" if measure.unit == "%" else ""
    definition = measure.definition or task.definitions.get(measure.name, "")
    term = glossary.metric(measure.name, definition, measure.unit, measure.better, place)
    return Head(name=name, metric=f"{measure.name}{unit}", arrow=ARROWS.get(measure.better, ""), term=term.anchor)


def _build_cell(board: Board, row: Row, measure: Measure | None, scale: Scale | None) -> Cell:
    """A number of a row; the main one with its mark, or why it has no rank, and drawn where there is a scale."""
    if measure is None:
        return Cell()
    drawn = scale if measure.main else None
    found = measure.corrected
    people = None
    if found is not None and found.value is not None:
        people = PeopleNumber(
            text=format_value(found.value, measure.unit),
            interval=format_interval(found.ci95, measure.unit),
            labels=count_things(found.labels, "label"),
            whisker=None if drawn is None else drawn.draw(found.value, found.ci95),
        )
    return Cell(
        text=format_value(measure.value, measure.unit),
        interval=format_interval(measure.ci95_worst, measure.unit),
        sort=measure.value,
        whisker=None if drawn is None else drawn.draw(measure.value, measure.ci95_worst),
        mark=find_standing(board, row) if measure.main else "",
        note=row.unranked if measure.main else "",
        main=measure.main,
        why=one_line(measure.why, 200),
        people=people,
        counts=_describe_counts(measure),
    )


def _describe_counts(measure: Measure) -> str:
    """What a number counts, of what it divides by, and what is unresolved; empty if these are no whole numbers."""
    counts = format_counts(measure)
    return f"{counts}, {measure.unresolved:g} unresolved" if counts and measure.unresolved else counts


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


def _name_kind(row: Row) -> str:
    return "local weights" if row.local else "API"


def _list_shared(board: Board) -> dict[str, str]:
    """Facts shared by the whole class: wording, data, settings."""
    row = next((row for row in board.rows if row.judge.id), board.rows[0])
    settings = {name: value for name, value in row.settings.items() if value not in (None, [], "")}
    facts = {
        "Judge": row.judge.id,
        "Input wording": words.WORDINGS.get(row.fidelity, row.fidelity),
        "Data": f"{row.source} {replace(row, revision=row.revision[:12]).data_revision}".strip(),
        "Data hash": row.data[:12],
        "Settings": ", ".join(f"{name} {value}" for name, value in settings.items()),
    }
    return {name: one_line(text) for name, text in facts.items() if text}


def describe_methods(results: Sequence[Results], boards: Sequence[Board], means: Sequence[Mean]) -> list[str]:
    """The methods paragraph: the actual runs, in sentences for a paper; empty without runs."""
    rows = [row for board in boards for row in board.rows]
    if not rows:
        return []
    versions = _join({str(each["harness"]) for each in results})
    days = sorted(str(each[key])[:10] for each in results for key in ("started", "finished") if each.get(key))
    models = _count(len({str(each["model"]["ref"]) for each in results}), "model")
    when = f"on {days[0]}" if days[0] == days[-1] else f"between {days[0]} and {days[-1]}"
    splits: dict[str, dict[str, None]] = {}
    for board in boards:
        splits.setdefault(board.task, {})[board.split] = None
    asked = _join([f"{task} ({', '.join(names)})" for task, names in splits.items()])
    judges = _join({row.judge.told for row in rows if row.judge.id})
    given: Mapping[str, set[str]] = {
        name: {str(row.settings[name]) for row in rows if row.settings.get(name) is not None}
        for name in ("temperature", "max_tokens")
    }
    clauses = [f"at temperature {_join(given['temperature'])}"] if given["temperature"] else []
    clauses += [f"with at most {_join(given['max_tokens'])} tokens"] if given["max_tokens"] else []
    if any("temperature" in row.settings and row.settings["temperature"] is None for row in rows):
        clauses.append("with their provider's own sampling where they refuse a temperature")
    sentences = [
        f"{models} ran under vlm-safety-harness {versions} {when}.",
        f"The splits asked were those of {asked}.",
        f"Answers were generated {', '.join(clauses) if clauses else _OWN_SETTINGS}.",
        f"They were judged by {judges}." if judges else "Nobody has judged them.",
        _OUTCOMES,
        _INTERVALS,
    ]
    if any(board.shows_corrected for board in boards):
        sentences.append(_BY_PEOPLE)
    if means:
        suites = _join({mean.suite for mean in means})
        sentences.append(f"The mean of {suites} is unweighted, and null while a part is missing.")
    reasons = Counter(row.unranked for row in rows if row.unranked)
    if unranked := reasons.total():
        shown = f"{unranked} of {_count(len(rows), 'result')} {'are' if unranked > 1 else 'is'} shown unranked"
        sentences.append(f"{shown}: {'; '.join(f'{why} ({number})' for why, number in reasons.most_common())}.")
    return [one_line(sentence, 2000) for sentence in sentences]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _join(names: set[str] | Sequence[str]) -> str:
    """`a, b and c`; names of a set in their order."""
    ordered = sorted(names) if isinstance(names, set) else names
    return ", ".join(ordered[:-1]) + " and " + ordered[-1] if len(ordered) > 1 else "".join(ordered)
