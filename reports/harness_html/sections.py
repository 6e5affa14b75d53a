"""The sections of the page: each board in full, and the order in which a reader meets them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from harness.board import words
from harness.board.corrected import ADDS_NOTHING, describe_annotator
from harness.board.display import NOTHING, format_estimate, format_share, format_value
from harness.board.leaderboard import Board, list_flags
from harness.board.published import PublishedRow
from harness.board.rows import Row
from harness.board.suites import SuiteGroup
from harness.text import one_line

from .figures import Figure, Looks
from .methods import join_names
from .tables import Flag, Line, Member, Scale, Table, build_cell, build_head, lift_facts, lift_flags, name_kind
from .terms import Glossary, TaskNote


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
    places = {topic: place for place, topic in enumerate(words.TOPICS)}
    topics = sorted({section.topic for section in sections}, key=lambda topic: (places.get(topic, len(places)), topic))
    return [(topic, [section for section in sections if section.topic == topic]) for topic in topics]


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


def build_section(
    board: Board,
    anchor: str,
    published: Sequence[PublishedRow],
    task: TaskNote,
    glossary: Glossary,
    looks: Looks,
    figures: Sequence[Figure] = (),
    shown: Sequence[Sequence[str]] = (),
    suites: Sequence[str] = (),
) -> Section:
    """A board in full; `shown` are a viewer's names of the runs of each of the results, `suites` those it is in."""
    names = [measure.name for measure in board.measures]
    main = Scale.of(each for row in board.rows for each in row.measures if each.main)
    lines: list[Line] = []
    for row in board.rows:
        measures = {measure.name: measure for measure in reversed(row.measures)}
        again = f" in {row.epochs} epochs" if row.epochs > 1 else ""
        samples = f"{row.n}{again}{' (subset)' if row.subset is not None else ''}"
        who = ", ".join(filter(None, (name_kind(row), row.model_revision)))
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
            kind=name_kind(row),
            cells=[build_cell(board, row, measures.get(name), main) for name in names],
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
        replace(build_head(measure.name, measure, board.name, task, glossary), optional=not measure.main)
        for measure in board.measures
    ]
    table = Table(
        heads=heads,
        lines=lines,
        facts=[(name, glossary.fact(name).anchor) for name in words.FACTS],
        ranks=any(row.rank is not None for row in board.rows),
    )
    table = lift_facts(lift_flags(table))
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
        judge=join_names(list(dict.fromkeys(row.judge.told for row in board.rows if row.judge.id))),
        labels=[(label, glossary.label(label, task.meanings.get(label, ""), board.name).anchor) for label in known],
        facts=tuple(_list_shared(board).items()),
        notes=[note for note in (*board.notes, *list_flags(board)) if not said or not note.endswith(said)],
        labelled=tuple(line for row in board.rows for line in _list_labels(row)),
        figures=figures,
        suites=suites,
    )


def _list_labels(row: Row) -> Iterator[Labelling]:
    """A line for each metric with a number by people, and one for each reason that others have none."""
    missing: dict[str, Labelling] = {}
    for measure in row.measures:
        found = measure.corrected
        if found is None:
            continue
        unit = measure.unit
        parts: list[str] = []
        for part in found.parts:
            share = "" if part.value is None or found.value is None else f": {format_value(part.value, unit)}"
            count = f"{part.answers}, known" if part.known else f"{part.labels} of {part.answers}"
            parts.append(f"{part.name} {count}{share}")
        line = Labelling(
            model=row.model,
            metric=f"{measure.name}{' %' if unit == '%' else ''}",
            judged=format_estimate(measure.value, measure.ci95, unit),
            people=f"none: {found.why}" if found.value is None else format_estimate(found.value, found.ci95, unit),
            labels=f"{found.labels} of {found.of}" if found.of else str(found.labels),
            agreement=found.agreement,
            annotators=[describe_annotator(who, own, unit) for who, own in found.annotators.items()],
            parts=parts,
            remarks=[*([ADDS_NOTHING] if found.adds_nothing else []), *found.notes],
        )
        if found.value is not None:
            yield line
        elif (same := missing.get(found.why)) is None:
            missing[found.why] = replace(line, judged="", annotators=())
        else:
            missing[found.why] = replace(same, metric=f"{same.metric}, {line.metric}")
    yield from missing.values()


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
