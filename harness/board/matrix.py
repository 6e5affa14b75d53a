"""Builds the paper table, models x benchmarks in one, from results.

    build_matrix(results)                                     # each split's main metric
    build_matrix(results, parse_template(text, "table.yaml"), tasks=tasks)

Numbers of one column are of one class of comparability (`harness.board.leaderboard`): one judge, wording, revision of
data, and settings. Where they are not, the table is refused with what differs; or, when asked for, the numbers of the
smaller classes have a footnote and are compared with nothing. Best and second are those of the leaderboard's rules,
applied to each column. Each caution is a footnote, once: at the row or the column if it holds for all its numbers.

A row is a model: runs of equal identity fill it together, each split from one run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from harness.board.corrected import count_things
from harness.board.display import format_interval
from harness.board.leaderboard import boards, turn_interval
from harness.board.matrix_cells import (
    MatrixNumber,
    NumberColumn,
    build_cells,
    explain_bar,
    list_cautions,
    place_notes,
    read_corrected,
    write_sentence,
)
from harness.board.matrix_lines import Line, choose_lines, list_lines, name_some, read_references
from harness.board.matrix_template import MatrixTemplate, RowChoice, SplitChoice
from harness.board.published import PublishedRow
from harness.board.rows import JudgeNote, Row
from harness.contracts import BUILT, Results, Task
from harness.errors import BadData, HarnessError, UnknownName
from harness.matrix import Matrix, MatrixColumn, MatrixRow
from harness.settings import effective, nearest
from harness.text import one_line

_TITLE: Final = "Models and benchmarks"
_GROUPS: Final = {"safety": "Safety", "over-refusal": "Over-refusal", "ability": "Ability", "": "Other"}
_PEOPLE: Final = "by people"
_NOT_RUN: Final = "not run"


def build_matrix(
    results: Sequence[Results],
    template: MatrixTemplate | None = None,
    *,
    tasks: Iterable[Task] = (),
    suites: Iterable[str] = (),
    allow_mismatch: bool = False,
) -> Matrix:
    """The paper table of some results.

    Args:
        results: dicts of results.json, one per run.
        template: what the user wants; None for the main metric of each split.
        tasks: all that are offered: their published rows can be shown, and their splits are known.
        suites: names of all that are offered.
        allow_mismatch: mark numbers that do not compare with their column, instead of refusing the table.

    Raises:
        HarnessError: the template names what is not there, or numbers of a column do not compare.
    """
    return _Builder(results, template, tuple(tasks), frozenset(suites)).build(allow_mismatch=allow_mismatch)


def suggest_template(results: Sequence[Results]) -> MatrixTemplate:
    """The template of the table that these results have without one, rows named, for a user to edit."""
    builder = _Builder(results, None)
    rows = tuple(RowChoice(pattern=line.name, name=line.name) for line in builder.lines)
    return replace(builder.template, rows=rows)


class _Builder:
    """Builds one table.

    Args:
        results: of the runs.
        template: what the user wants; None for all.
        tasks: all that are offered.
        suites: names of all that are offered.
    """

    def __init__(
        self,
        results: Sequence[Results],
        template: MatrixTemplate | None,
        tasks: Sequence[Task] = (),
        suites: frozenset[str] = frozenset(),
    ) -> None:
        self.boards = boards(results)
        self.suites = suites
        self.tasks = {task.name: task for task in tasks}
        self.every = list_lines(results, self.boards)
        self.template = template or self._suggest()
        self.lines = choose_lines(self.template, self.every, read_references(self.template, self.tasks))
        self.left_out: list[str] = []
        self.mismatches: dict[str, list[str]] = {}  # title of a column -> what differs in it
        self.remedies: dict[str, None] = {}
        self.facts: dict[str, dict[str, list[str]]] = {}  # what is told -> text -> heads that it holds for

    # -- columns

    def _suggest(self) -> MatrixTemplate:
        """The main metric of each split that is no part of another, by group, then the suites' means."""
        titles: dict[str, str] = {}
        for board in self.boards:
            if not board.part_of and board.measures:
                titles.setdefault(board.title, board.topic if board.topic in _GROUPS else "")
        has_groups = any(titles.values())
        order = list(_GROUPS)
        choices = [
            SplitChoice(group=_GROUPS[group] if has_groups else "", head=title, title=title)
            for title, group in sorted(titles.items(), key=lambda each: order.index(each[1]))
        ]
        parts: dict[str, dict[str, None]] = {}
        for mean in (mean for line in self.every for mean in line.means):
            parts.setdefault(mean.suite, {}).update(dict.fromkeys((*mean.of, *mean.missing)))
        for suite, of in parts.items():
            groups = {_GROUPS[titles[title]] for title in of if title in titles}
            group = groups.pop() if has_groups and len(groups) == 1 else ""
            places = [place for place, choice in enumerate(choices) if choice.group == group]
            place = places[-1] + 1 if group else len(choices)
            choices.insert(place, SplitChoice(group=group, head=suite, title=suite, suite=True))
        return MatrixTemplate(title=_TITLE, columns=tuple(choices))

    def _find_titles(self, choice: SplitChoice) -> tuple[str, ...]:
        """Titles of the boards that a choice names: as it stands, else with any settings of the task.

        Raises UnknownName where neither a run nor a loaded task has such a split.
        """
        titles = dict.fromkeys(board.title for board in self.boards)
        wanted = choice.title.removesuffix(":all")
        if wanted in titles:
            return (wanted,)
        found = tuple(title for title in titles if BUILT not in title and _strip_settings(title) == wanted)
        if found:
            return found
        task, _, split = wanted.partition(":")
        splits = self._list_splits(task.partition("+")[0])
        if splits is not None and (not splits or (split or "all") in splits):
            return ()
        known = [*titles, *(f"{name}:{split}" for name in self.tasks for split in self._list_splits(name) or ())]
        told = f"no run and no task has the column {choice.title!r}"
        raise UnknownName(told, where=self.template.where, remedy=nearest(choice.title, known))

    def _list_splits(self, task: str) -> tuple[str, ...] | None:
        """The splits of a loaded task; empty where only its data say them, None if it is not loaded."""
        found = self.tasks.get(task)
        if found is None:
            return None
        if not callable(found.splits):
            return tuple(found.splits)
        try:
            return tuple(found.splits(effective(found.settings, {}, owner=f"task {task}"), Path(task)))
        except HarnessError:  # its data decide, and are not here
            return ()

    def _build_columns(self, choice: SplitChoice) -> Iterator[NumberColumn]:
        if choice.suite:
            yield from self._build_mean(choice)
            return
        titles = self._find_titles(choice)
        picked: list[tuple[int, Row] | str] = [self._pick(line, titles, choice.style.judge) for line in self.lines]
        present = [each for each in picked if not isinstance(each, str)]
        asked = any(title in line.rows for line in self.lines for title in titles)
        if not present and asked:  # but by none whom the wanted judge judged
            rows = [row for line in self.every for title in titles for _, row in line.rows.get(title, ())]
            known = dict.fromkeys(row.judge.id for row in rows if row.judge.id)
            told = f"no run of {choice.title} was judged by {choice.style.judge!r}"
            raise UnknownName(told, where=self.template.where, remedy=nearest(choice.style.judge, known))
        if not present and not any(self._reference(line, choice) for line in self.lines):
            self.left_out.append(choice.title)
            return
        apart = self._compare(choice.title, [None if isinstance(each, str) else each for each in picked])
        names = choice.metrics or self._main(present, choice)
        for name, head in names:
            measures = [row.find_measure(name) for _, row in present]
            known = dict.fromkeys(measure.name for _, row in present for measure in row.measures)
            if present and not any(measures):
                told = f"{choice.title} has no metric {name!r}"
                raise UnknownName(told, where=self.template.where, remedy=nearest(name, known))
            sample = next((measure for measure in measures if measure is not None), None)
            classes = [number for number, _ in present]  # the judge of the column is that of most of its numbers
            title = max(present, key=lambda each: classes.count(each[0]))[1] if present else None
            task, _, split = (titles[0] if titles else choice.title).partition(":")
            column = MatrixColumn(
                group=choice.group,
                over="" if choice.head == head else choice.head,
                head=head,
                task=task,
                split=split or "all",
                metric=name,
                unit="%" if sample is None else sample.unit,
                better="neither" if sample is None else sample.better,
                judge="" if title is None else title.judge.label,
            )
            numbers = tuple(
                self._read_number(line, each, name, choice, apart.get(place, ""))
                for place, (line, each) in enumerate(zip(self.lines, picked, strict=True))
            )
            judge = JudgeNote() if title is None or choice.style.judge else title.judge
            yield NumberColumn(head=column, style=choice.style, numbers=numbers, judge=judge)
            if choice.style.corrected and any(
                each and each.corrected and each.corrected.value is not None for each in measures
            ):
                people = tuple(read_corrected(each, name, apart.get(place, "")) for place, each in enumerate(picked))
                yield NumberColumn(
                    head=replace(column, head=_PEOPLE, by_people=True, judge="people"),
                    style=choice.style,
                    numbers=people,
                )
        self._add_facts(choice, [row for _, row in present])

    def _main(self, present: Sequence[tuple[int, Row]], choice: SplitChoice) -> tuple[tuple[str, str], ...]:
        """The main metric of a split; of one that only a publication has, its first."""
        mains = dict.fromkeys(row.main.name for _, row in present if row.main is not None)
        if not mains:
            rows = [self._reference(line, choice) for line in self.lines]
            mains = dict.fromkeys(name for row in rows if row is not None for name in list(row.values)[:1])
        if not mains:
            raise BadData(f"{choice.title} has no main metric", where=self.template.where, remedy="name one in metrics")
        return tuple((name, name) for name in mains)

    def _pick(self, line: Line, titles: Sequence[str], judge: str) -> tuple[int, Row] | str:
        """The line's row of a split under the wanted judge; a text says why there is none."""
        if line.published is not None:
            return ""
        found = [each for title in titles for each in line.rows.get(title, ())]
        if not found:
            plain = {_strip_settings(title) for title in titles}
            others = [title for title in line.rows if _strip_settings(title) in plain]
            return f"run with other settings only ({', '.join(others)})" if others else _NOT_RUN
        if not judge:
            own = [each for each in found if each[1].primary]
            if len(own) > 1:
                settings = ", ".join(title for title in titles if title in line.rows)
                told = f"{line.name} was asked more than once for one column"
                raise HarnessError(
                    told, where=settings, remedy="name the one that is meant: split: TASK+SETTING=VALUE:SPLIT"
                )
            return own[0] if own else found[0]
        named = [each for each in found if judge in (each[1].judge.id, each[1].judge.rubric.partition(" (")[0])]
        return named[0] if named else f"not judged by {judge}"

    def _reference(self, line: Line, choice: SplitChoice) -> PublishedRow | None:
        if line.published is None or choice.suite:
            return None
        task, _, split = choice.title.partition(":")
        return line.published.get((task.partition("+")[0], split or "all"))

    def _read_number(
        self, line: Line, picked: tuple[int, Row] | str, name: str, choice: SplitChoice, apart: str
    ) -> MatrixNumber:
        if line.published is not None:
            reference = self._reference(line, choice)
            if reference is None or name not in reference.values:
                return MatrixNumber(value=None, notes=("not published",))
            source = reference.source
            told = [source.title, source.place, source.judge and f"judge: {source.judge}", source.note]
            notes = [f"as published: {'; '.join(part for part in told if part)}"]
            notes += [*reference.slips, *([reference.note] if reference.note else [])]
            return MatrixNumber(value=reference.values[name], bar="published", notes=tuple(notes))
        if isinstance(picked, str):
            return MatrixNumber(value=None, notes=(picked,))
        row = picked[1]
        measure = row.find_measure(name)
        if measure is None:
            return MatrixNumber(value=None, notes=(f"its run has no metric {name}",))
        if measure.value is None:
            return MatrixNumber(value=None, notes=(measure.why or "nothing scored",))
        bar = explain_bar(row)
        unresolved = ""
        if bar and measure.unresolved and (bounds := format_interval(measure.bounds, measure.unit)):
            unresolved = f"; {measure.name} of all records lies in {bounds}"
        notes = [f"not compared: {text}" for text in (bar and bar + unresolved, apart) if text]
        notes += list_cautions(row, measure, renamed=bool(line.shown))
        return MatrixNumber(
            value=measure.value,
            ends=measure.ci95,
            worst=turn_interval(measure.ci95_worst, measure.better),
            sd=measure.spread,
            seeds=len(measure.by_seed),
            bar=bar or apart,
            notes=tuple(dict.fromkeys(notes)),
        )

    def _build_mean(self, choice: SplitChoice) -> Iterator[NumberColumn]:
        """The column of a suite's mean; several names of suites stand with commas between."""
        wanted = [name.strip() for name in choice.title.split(",")]
        found = [next((each for each in line.means if each.suite in wanted), None) for line in self.lines]
        known = dict.fromkeys(mean.suite for line in self.every for mean in line.means)
        if not any(found):
            if not known.keys() | self.suites >= {*wanted}:
                remedy = nearest(choice.title, known.keys() | self.suites)
                told = f"no run has a mean of a suite called {choice.title!r}"
                raise UnknownName(told, where=self.template.where, remedy=remedy)
            self.left_out.append(choice.head)
            return
        apart: dict[int, str] = {}
        parts = dict.fromkeys(title for mean in found if mean is not None for title in (*mean.of, *mean.missing))
        for part in parts:
            rows = [
                self._pick(line, (part,), "") if mean is not None and part in mean.of else _NOT_RUN
                for line, mean in zip(self.lines, found, strict=True)
            ]
            found_apart = self._compare(part, [None if isinstance(each, str) else each for each in rows])
            apart = {**{place: f"of its part {part}, {why}" for place, why in found_apart.items()}, **apart}
        sample = next(mean for mean in found if mean is not None)
        first = {*sample.of, *sample.missing}
        numbers: list[MatrixNumber] = []
        for place, (line, mean) in enumerate(zip(self.lines, found, strict=True)):
            if mean is None:
                why = "not published" if line.published is not None else _NOT_RUN
                numbers.append(MatrixNumber(value=None, notes=(why,)))
                continue
            if mean.value is None:
                numbers.append(MatrixNumber(value=None, notes=(f"missing of the mean: {', '.join(mean.missing)}",)))
                continue
            bar = "" if mean.complete else "a part is a subset or incomplete"
            if {*mean.of, *mean.missing} != first:
                bar = bar or f"the mean of other parts: {', '.join(mean.of)}"
            bar = bar or apart.get(place, "")
            worst = turn_interval(mean.ci95_worst, mean.better or "neither")
            notes = (f"not compared: {bar}",) if bar else ()
            numbers.append(MatrixNumber(value=mean.value, ends=mean.ci95, worst=worst, bar=bar, notes=notes))
        head = MatrixColumn(
            group=choice.group,
            over="" if choice.head == choice.title else choice.head,
            head="mean" if choice.head != choice.title else choice.head,
            task="",
            split=sample.suite,
            metric="mean",
            unit=sample.unit,
            better=sample.better or "neither",
        )
        told = f"{choice.head}: the unweighted mean of {', '.join(parts)}"
        self.facts.setdefault("", {}).setdefault(told, [])
        yield NumberColumn(head=head, style=choice.style, numbers=tuple(numbers))

    # -- what does not compare

    def _compare(self, title: str, picked: Sequence[tuple[int, Row] | None]) -> dict[int, str]:
        """Place of each number that is of another class than most of its column -> how that differs."""
        classes: dict[int, list[int]] = {}
        for place, each in enumerate(picked):
            if each is not None:
                classes.setdefault(each[0], []).append(place)
        if len(classes) < 2:
            return {}
        main, *others = sorted(classes, key=lambda number: -len(classes[number]))
        first = self._describe_class(main, picked, classes[main])
        apart: dict[int, str] = {}
        told = self.mismatches.setdefault(title, [])
        for number in others:
            mine = self._describe_class(number, picked, classes[number])
            names = [
                name
                for name in dict.fromkeys((*first, *mine))
                if first.get(name, "") != mine.get(name, "")
                # samples and data decide nothing where one side is a subset or has no hash
                and (name not in ("samples", "data") or (first.get(name) and mine.get(name)))
            ] or ["class of comparability"]
            said = "; ".join(f"{name} {mine.get(name) or 'unset'}, not {first.get(name) or 'unset'}" for name in names)
            models = [self.lines[place].label for place in classes[number]]
            told.append(f"{name_some(models)}: {said}")
            apart |= dict.fromkeys(classes[number], said)
            if "judge" in names:
                first_judges, *more_judges = (
                    {row.judge.id for _, row in self.lines[place].rows.get(title, ()) if row.judge.id}
                    for each in classes.values()
                    for place in each
                )
                shared = min(first_judges.intersection(*more_judges), default="")
                told_judge = f"`judge: {shared}` in the columns file, which all of {title} have"
                self.remedies[told_judge if shared else "judge all runs alike (harness judge RUN --judge NAME)"] = None
        return apart

    def _describe_class(
        self, number: int, picked: Sequence[tuple[int, Row] | None], places: Sequence[int]
    ) -> dict[str, str]:
        """What the rows of one class share; a subset decides nothing of samples and data."""
        rows = [each[1] for place in places if (each := picked[place]) is not None]
        row = next((row for row in rows if row.subset is None), rows[0])
        task = self.boards[number].task
        settings = task.partition("+")[2]
        found = {**row.basis, "settings of the task": settings}
        if row.subset is not None:
            found |= {"samples": "", "data": ""}
        return found

    # -- the whole

    def build(self, *, allow_mismatch: bool) -> Matrix:
        """The table."""
        columns = [column for choice in self.template.columns for column in self._build_columns(choice)]
        columns = self._leave_out_rows(self._compare_judges(columns))
        if not columns:
            have = dict.fromkeys(one_line(board.title, 60) for board in self.boards)
            remedy = f"the runs have {', '.join(list(have)[:12]) or 'no split'}"
            raise HarnessError("no run has a column of the table", where=self.template.where, remedy=remedy)
        if self.mismatches and not allow_mismatch:
            told = [f"{title}: {each}" for title, every in self.mismatches.items() for each in every]
            where = "".join(f"\n  - {one_line(each, 400)}" for each in told) + "\n"
            remedies = [*self.remedies, "--allow-mismatch marks them with footnotes and compares them with nothing"]
            what = f"numbers of one column do not compare: {count_things(len(told), 'difference')}"
            raise HarnessError(what, where=where, remedy="; or ".join(remedies))
        filled = [sum(number.value is not None for number in column.numbers) for column in columns]
        if len(self.lines) > 1 and max(filled) < 2 and not allow_mismatch:
            raise HarnessError(
                "no two rows share a column, so one table compares nothing",
                remedy="give runs of the same splits; or --allow-mismatch, which prints the table anyway",
            )
        wants_people = any(choice.style.corrected for choice in self.template.columns)
        if wants_people and not any(column.head.by_people for column in columns):
            raise HarnessError(
                "`corrected: true`, but people's labels give no number of these columns",
                where=self.template.where,
                remedy="let people label answers (harness label RUN), or leave `corrected` out",
            )
        notes = place_notes(columns, [line.published is not None for line in self.lines])
        cells = [build_cells(column, marks) for column, marks in zip(columns, notes.cells, strict=True)]
        rows = tuple(
            MatrixRow(
                name=line.label,
                model=line.name,
                section=line.section,
                published=line.published is not None,
                cells=tuple(column[place] for column in cells),
                notes=notes.rows[place],
            )
            for place, line in enumerate(self.lines)
        )
        return Matrix(
            title=self.template.title or _TITLE,
            label=self.template.label,
            columns=tuple(replace(column.head, notes=notes.columns[place]) for place, column in enumerate(columns)),
            rows=rows,
            notes=notes.texts,
            facts=tuple(self._list_facts(columns, rows, notes.whole)),
            fit=self.template.fit,
        )

    def _compare_judges(self, columns: Sequence[NumberColumn]) -> list[NumberColumn]:
        """The columns, with a footnote where one rubric is read by another model than in most of its columns.

        A judge that the template names for a column is meant, whatever the others are.
        """
        judges: dict[str, dict[str, list[NumberColumn]]] = {}
        for column in columns:
            if column.judge.model:
                rubric = column.judge.rubric.partition(" (")[0]
                judges.setdefault(rubric, {}).setdefault(column.judge.label, []).append(column)
        told: dict[int, str] = {}
        for rubric, labels in judges.items():
            main = max(labels, key=lambda label: len(labels[label]))
            for label, others in labels.items():
                if label == main:
                    continue
                titles = dict.fromkeys(f"{each.head.task}:{each.head.split}" for each in others)
                self.mismatches.setdefault(", ".join(titles), []).append(f"judge {label}, in other columns {main}")
                self.remedies[
                    "judge all splits alike (harness judge RUN --judge NAME), or name the judge in its column"
                ] = None
                told |= {
                    id(each): f"judged by {label}; other columns of the rubric {rubric} by {main}" for each in others
                }
        return [
            column
            if id(column) not in told
            else replace(
                column,
                numbers=tuple(
                    each
                    if each.value is None or each.bar == "published"
                    else replace(each, notes=(*each.notes, told[id(column)]))
                    for each in column.numbers
                ),
            )
            for column in columns
        ]

    def _leave_out_rows(self, columns: Sequence[NumberColumn]) -> list[NumberColumn]:
        """The columns without the models that have no number in any of them, unless the template names those."""
        kept = [
            place
            for place, line in enumerate(self.lines)
            if line.named or any(column.numbers[place].notes != (_NOT_RUN,) for column in columns)
        ]
        if columns and len(kept) < len(self.lines):
            gone = [line.label for place, line in enumerate(self.lines) if place not in kept]
            self.facts.setdefault("", {}).setdefault(
                f"Left out, since it has no number of these columns: {name_some(gone)}", []
            )
            self.lines = [self.lines[place] for place in kept]
            columns = [replace(column, numbers=tuple(column.numbers[place] for place in kept)) for column in columns]
        return list(columns)

    def _add_facts(self, choice: SplitChoice, rows: Sequence[Row]) -> None:
        """Note who judged a split, in whose words it asks, on which data, and how much of it."""
        head = choice.title
        for row in rows:
            data = " ".join(part for part in (row.source, row.revision[:12]) if part)
            told = {
                "Judge": row.judge.label if row.judge.id else "none",
                "Wording of the input": row.fidelity,
                "Data": data,
                "Samples": "" if row.subset is not None else str(row.n),
            }
            for name, text in told.items():
                if text:
                    heads = self.facts.setdefault(name, {}).setdefault(text, [])
                    if head not in heads:
                        heads.append(head)

    def _list_facts(
        self, columns: Sequence[NumberColumn], rows: Sequence[MatrixRow], whole: Sequence[str]
    ) -> Iterator[str]:
        cells = [cell for row in rows for cell in row.cells]
        if any(column.head.arrow for column in columns):
            yield "↓ lower is better, ↑ higher is better."
        if any(cell.standing for cell in cells):
            yield (
                "Bold: the best of its column; underlined: the second; each only where no other number's 95% interval"
                " reaches it, stretched over what unresolved records could still have been."
            )
        if any(cell.interval for cell in cells):
            yield "In brackets: 95% intervals."
        if any(cell.spread for cell in cells):
            yield "±: standard deviation between runs that differ in their seed alone; the number is their mean."
        if any(row.published for row in rows):
            yield "Numbers as published are never best and are compared with nothing."
        of_runs = "of all runs: " if any(row.published for row in rows) else ""
        yield from (write_sentence(of_runs + text) for text in whole)
        for name, texts in self.facts.items():
            if name and len(texts) == 1:
                yield f"{name}: {next(iter(texts))}."
            elif name:
                told = (f"{text} ({', '.join(heads)})" for text, heads in texts.items())
                yield f"{name}: {'; '.join(told)}."
        yield from (f"{text}." for text in self.facts.get("", {}))
        if self.left_out:
            yield f"Left out, since no run has it: {', '.join(self.left_out)}."


def _strip_settings(title: str) -> str:
    """`mis+prompts=upstream:easy` as `mis:easy`."""
    found = re.fullmatch(r"([^+:]+)\+.*?(:[^:+=]+)?", title)
    return title if found is None else f"{found[1]}{found[2] or ''}"
