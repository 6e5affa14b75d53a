"""The agreement of judges as tables: in colour on a terminal, plain and 120 wide elsewhere."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from harness.board.display import ARROWS, NOTHING, format_estimate, format_share, format_value
from harness.board.tables import WIDTH, print_drawing
from harness.runs.agreement import JudgePair, MetricByJudge, SplitAgreement
from harness.runs.agreement_json import Texts
from harness.runs.people import PEOPLE, PeopleAgreement, ReferenceAccuracy, list_figures
from harness.stats.agreement import Agreement
from harness.text import one_line, plain

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

SHOWN = 5  #: differing items of a split, unless --show says otherwise
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def print_tables(splits: Sequence[SplitAgreement], texts: Texts, most: int | None, *, runs: int = 1) -> None:
    """Print all splits on stdout; see `draw_tables`."""
    print_drawing(lambda console: draw_tables(console, splits, texts, most, runs=runs), WIDTH)


def draw_tables(
    console: Console, splits: Sequence[SplitAgreement], texts: Texts, most: int | None, *, runs: int = 1
) -> None:
    """Print all splits on the caller's console.

    Args:
        console: where to print.
        splits: the measured splits.
        texts: of the answers that may be shown; empty for none.
        most: differing answers of each split; None for `SHOWN`.
        runs: how many runs were compared.
    """
    for place, each in enumerate(splits):
        _draw_split(console, each, first=place == 0, runs=runs)
        _draw_differing(console, each, texts, SHOWN if most is None else most)


def _draw_split(console: Console, each: SplitAgreement, *, first: bool, runs: int) -> None:
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    blank = [] if first else [""]
    counts = f"{each.records} records · {each.answered} answered · {each.common} scored by all"
    about = each.parts[0].model if runs == 1 else f"{len(each.parts)} runs"
    head = Text.assemble((one_line(each.title), "bold"), "  ", one_line(about))
    console.print(*blank, head, Padding(Text(counts, style="dim"), (0, 0, 0, 2)), sep="\n")
    if runs > 1 and len(each.parts) == 1:
        only = each.parts[0]
        said = f"only {one_line(only.run)} has this split ({one_line(only.model)}): nothing is pooled"
        console.print(f"  {said}", style="yellow", markup=False)
    if own := dict.fromkeys(judge for part in each.parts for judge in part.left_out):
        said = f"left out, since their labels are their own: {', '.join(map(one_line, own))} (--judges names them)"
        console.print(f"  {said}", style="dim", markup=False)
    if len(each.judges) < 2:
        judges = ", ".join(each.judges) or "no judge"
        console.print(f"  only {one_line(judges)} judged it: nothing to compare", style="yellow", markup=False)
        return
    names = name_judges(each)
    judge_table = _new_table("", "judge", "scored", "not scored", whole=(0, 2))
    for judge, states in each.states.items():
        rest = ", ".join(f"{state} {count}" for state, count in states.items() if state != "scored")
        _add_row(judge_table, Text(names[judge], style="bold"), one_line(judge), str(states["scored"]), rest)
    figure_table = _new_table("", "", "n", "agreement %", "beyond chance", whole=range(2, 5))
    for pair in each.pairs:
        both, agreement = f"{names[pair.left]} {names[pair.right]}", _format_figure(pair.same, 100)
        _add_row(figure_table, both, "Cohen's kappa", str(pair.same.n), agreement, _format_figure(pair.kappa))
    for title, found in (("Fleiss' kappa", each.fleiss), ("Krippendorff's alpha", each.alpha)):
        _add_row(figure_table, "all", title, str(found.n), "", _format_figure(found))
    notes = [Text(note, style="yellow") for note in _list_notes(each, names)]
    parts: list[RenderableType] = [judge_table]
    parts += [_run_table(each, names)] if each.alone else []
    parts += [Group(figure_table, *notes)]
    parts += [_confusion_table(each, pair, names) for pair in each.pairs if any(map(any, pair.table))]
    parts += [_metric_table(each, each.metric, names)] if each.metric is not None else []
    parts += _draw_people(each, each.people, names) if each.people is not None else []
    for part in parts:
        console.print("", Padding(part, (0, 0, 0, 2)), sep="\n")


def name_judges(each: SplitAgreement) -> dict[str, str]:
    """A letter for each judge of a split."""
    judges = each.judges
    letters = _LETTERS if len(judges) <= len(_LETTERS) else [f"J{number}" for number, _ in enumerate(judges, 1)]
    return dict(zip(judges, letters, strict=False))


def _new_table(*heads: str, right: bool = False, whole: Container[int] = ()) -> Table:
    """A table with faint heads; on a narrow terminal, the columns in `whole` keep every character.

    `right` aligns all columns but the first to the right.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for place, head in enumerate(heads):
        side: Literal["left", "right"] = "right" if right and place else "left"
        table.add_column(Text(head), no_wrap=place in whole, overflow="fold", justify=side)
    return table


def _add_row(table: Table, *cells: str | Text, style: str = "") -> None:
    """Add a row; untrusted text is not read as markup."""
    from rich.text import Text

    table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells), style=style)


def _run_table(each: SplitAgreement, names: Mapping[str, str]) -> RenderableType:
    """Each run by itself: the main metric under each judge, and each pair's kappa."""
    metric = next((alone.metric for alone in each.alone if alone.metric is not None), None)
    title = "" if metric is None else f"{one_line(metric.name)} {'% ' if metric.unit == '%' else ''}"
    table = _new_table("run", "model", "answered", f"{title}by judge".strip(), "kappa", whole=(2,))
    for part, alone in zip(each.parts, each.alone, strict=True):
        values = (
            []
            if alone.metric is None
            else [
                f"{names[judge]} {format_value(figures['value'], alone.metric.unit)}"
                for judge, figures in alone.metric.whole.items()
            ]
        )
        kappas = [
            f"{names[pair.left]} {names[pair.right]} {format_value(pair.kappa.value, '0-1')}" for pair in alone.pairs
        ]
        _add_row(
            table,
            one_line(part.run, 40),
            one_line(part.model, 40),
            str(alone.answered),
            "  ".join(values) or NOTHING,
            "  ".join(kappas) or NOTHING,
        )
    return table


def _format_figure(found: Agreement, unit: int = 1) -> str:
    if found.value is None:
        return NOTHING
    ends = None if found.ci95 is None else [end * unit for end in found.ci95]
    return format_estimate(found.value * unit, ends, "%" if unit == 100 else "0-1")


def _confusion_table(each: SplitAgreement, pair: JudgePair, names: Mapping[str, str]) -> RenderableType:
    """Labels that neither judge used are left out."""
    from rich.text import Text

    used = [
        number
        for number, _ in enumerate(each.labels)
        if any(pair.table[number]) or any(row[number] for row in pair.table)
    ]
    corner = f"{names[pair.left]} ↓  {names[pair.right]} →"
    table = _new_table(corner, *(one_line(each.labels[number], 24) for number in used), right=True)
    for row in used:
        cells = [
            Text(str(pair.table[row][column]), style="bold green" if row == column else "yellow" if count else "dim")
            for column in used
            for count in (pair.table[row][column],)
        ]
        _add_row(table, one_line(each.labels[row], 24), *cells)
    return table


def _metric_table(each: SplitAgreement, metric: MetricByJudge, names: Mapping[str, str]) -> RenderableType:
    unit = "% " if metric.unit == "%" else ""
    title = f"{one_line(metric.name)} {unit}{ARROWS[metric.better]}".rstrip()
    table = _new_table(title, "all records", "coverage", f"the {each.common} scored by all", whole=range(4))
    for judge, figures in metric.whole.items():
        value = format_estimate(figures["value"], figures["ci95"], metric.unit)
        _add_row(
            table,
            names[judge],
            value,
            format_share(metric.coverage[judge]),
            format_value(metric.common[judge], metric.unit),
        )
    if metric.ends is not None:
        low, high = (format_value(end, metric.unit) for end in metric.ends)
        _add_row(table, "range", "", "", f"{low} to {high}", style="bold")
    return table


def _draw_people(each: SplitAgreement, people: PeopleAgreement, names: Mapping[str, str]) -> list[RenderableType]:
    """The judges against people, the shares of the labels, and each annotator."""
    from rich.console import Group
    from rich.text import Text

    tied = f", {people.tied} of them with a tie, which are left out" if people.tied else ""
    behind = f"; {people.unused} do not count yet: they are ahead of the draw" if people.unused else ""
    heads = [Text(f"{people.labelled} answers are labelled by people{tied}{behind}", style="dim")]
    of = {found.accuracy.of for references in people.judges.values() if (found := references[PEOPLE]).weighted}
    if of:
        heads.append(Text(f"by the recorded draw they stand for {max(of)} answers", style="dim"))
    if people.why:
        alone = "of a part, the labelled answers alone count" if people.weighted else "only the labelled answers count"
        heads.append(Text(f"{alone}: {people.why}", style="yellow"))
    plain_ones = {
        names[name]
        for references in people.judges.values()
        for name, found in references.items()
        if name != PEOPLE and people.weighted and not found.weighted
    }
    if plain_ones:
        who = ", ".join(sorted(plain_ones))
        heads.append(
            Text(f"against {who}: of the labelled answers alone, which are not the first of the draw", style="yellow")
        )
    shown = {**names, PEOPLE: PEOPLE}
    tables: list[RenderableType] = []
    for judge, references in people.judges.items():
        named = {shown[reference]: accuracy for reference, accuracy in references.items()}
        tables.append(_accuracy_table(each, f"{names[judge]} against", named))
    drawn: list[RenderableType] = [Group(*heads, "", tables[0]), *tables[1:]] if tables else [Group(*heads)]
    if people.judges:
        # the share of each label under each judge and under people, over the same answers
        shares = _new_table(
            "share of the label %", *(f"{names[judge]} · people" for judge in people.judges), right=True
        )
        over = [references[PEOPLE].accuracy for references in people.judges.values()]
        for code, label in enumerate(each.labels):
            if any(accuracy.labels[code].judge or accuracy.labels[code].people for accuracy in over):
                cells: list[str] = []
                for accuracy in over:
                    value = accuracy.judge_shares[code].value
                    said = NOTHING if value is None else format_value(value * 100)
                    cells.append(f"{said} · {_format_figure(accuracy.people_shares[code], 100)}")
                _add_row(shares, one_line(label, 24), *cells)
        drawn.append(shares)
    others = {
        shown[who]: found.against_others for who, found in people.annotators.items() if found.against_others is not None
    }
    if others:
        drawn.append(_accuracy_table(each, "against the others", others))
    drawn.append(_annotator_table(each, people, names))
    return drawn


def _accuracy_table(each: SplitAgreement, title: str, references: Mapping[str, ReferenceAccuracy]) -> RenderableType:
    """How well each label is found; labels that neither side used are left out."""
    from rich.text import Text

    heads = ("label", "n", "sensitivity %", "specificity %", "precision %", "F1")
    table = _new_table(title, *heads, right=True, whole=(2,))
    for name, found in references.items():
        first = True
        for label in found.accuracy.labels:
            if not label.judge and not label.people:
                continue
            figures = list_figures(found.accuracy, label.label)
            rates = (figures["sensitivity"], figures["specificity"], figures["precision"])
            _add_row(
                table,
                Text(name if first else "", style="bold"),
                one_line(each.labels[label.label], 24),
                str(found.accuracy.n) if first else "",
                *(_format_figure(figure, 100) for figure in rates),
                _format_figure(figures["f1"]),
            )
            first = False
        if first:
            _add_row(table, Text(name, style="bold"), "no answer in common", "0", *[NOTHING] * 4)
    return table


def _annotator_table(each: SplitAgreement, people: PeopleAgreement, names: Mapping[str, str]) -> RenderableType:
    from rich.text import Text

    metric = each.metric
    title = "" if metric is None else f"own {one_line(metric.name)}{' %' if metric.unit == '%' else ''}"
    table = _new_table("", "labels", "skipped", "as the others %", title, "", whole=(1, 2))
    estimates: Mapping[str, Mapping[str, Any]] = each.parts[0].estimates if len(each.parts) == 1 else {}
    for person, found in people.annotators.items():
        others, own = found.against_others, estimates.get(person, {})
        value = format_estimate(own.get("value"), own.get("ci95"), "%" if metric is None else metric.unit)
        remarks = [f"always says {one_line(found.always, 24)}"] if found.always else []
        remarks += [f"no own estimate: {one_line(str(own['why']), 200)}"] if own.get("why") else []
        _add_row(
            table,
            Text(names[person], style="bold"),
            str(found.labels),
            str(found.skipped),
            NOTHING if others is None else _format_figure(others.accuracy.same, 100),
            value,
            "; ".join(remarks),
        )
    if len(people.annotators) == 1:
        _add_row(table, "", "", "", "", "", "one annotator: agreement unknown")
    return table


def _list_notes(each: SplitAgreement, names: Mapping[str, str]) -> Iterator[str]:
    """Why figures or intervals are missing, grouped by reason."""
    found = [(f"{names[pair.left]} {names[pair.right]}", pair.kappa) for pair in each.pairs]
    whose: dict[str, list[str]] = {}
    for who, figures in (*found, ("Fleiss' kappa", each.fleiss), ("Krippendorff's alpha", each.alpha)):
        if figures.why is not None:
            whose.setdefault(figures.why.value, []).append(who)
    yield from (f"{', '.join(who)}: {why}" for why, who in whose.items())
    for judge, name in names.items():
        having = [part.run for part in each.parts if judge in part.seen.judges]
        if len(having) < len(each.parts):
            yield f"{name}: only in {', '.join(one_line(run) for run in having)}"
    if each.people is not None and each.people.weighted:
        who = ", ".join(names[person] for person in each.people.annotators)
        yield f"{who}: kappas and the main metric here are of the drawn answers alone; weighted figures stand below"
    if each.metric is not None:
        name = one_line(each.metric.name)
        missing = {judge: body["why"] for judge, body in each.metric.whole.items() if "why" in body}
        yield from (f"{names[judge]}: no {name}: {one_line(why, 200)}" for judge, why in missing.items())
    if each.fault:
        yield one_line(each.fault)


def _draw_differing(console: Console, each: SplitAgreement, texts: Texts, most: int) -> None:
    """The answers on which judges differ; texts only if requested."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    if not each.differing:
        return
    names, shown = name_judges(each), each.differing[:most]
    more = "" if len(shown) == len(each.differing) else f", {len(shown)} shown (--show N)"
    folded = "" if texts or not shown else "; texts are folded (--reveal)"
    count = Text(f"{len(each.differing)} answers are labelled differently{more}{folded}", style="dim")
    console.print("", Padding(count, (0, 0, 0, 2)), sep="\n")
    if not shown:
        return
    several = len(each.parts) > 1
    if texts:
        for found in shown:
            item = found.record.record.item
            lines: list[RenderableType] = [
                Text.assemble((one_line(item), "bold"), (f"  {one_line(found.run)}", "dim") if several else "")
            ]
            answer = texts.get((found.run, item))
            if answer is not None:
                for name, text in (("question", answer.question), ("answer", answer.text)):
                    lines += [Text(name, style="dim"), Padding(Text(plain(text).strip()), (0, 0, 0, 2))]
            for judge, label in found.record.labels.items():
                reason = one_line(found.record.reasons.get(judge, ""), 2000)
                lines.append(Text.assemble((names[judge], "bold"), f"  {one_line(label)}", (f"  {reason}", "dim")))
            console.print(Padding(Group(*lines, ""), (0, 0, 0, 2)))
        return
    table = _new_table("item", *(["run"] if several else []), *names.values())
    for found in shown:
        given = (one_line(found.record.labels.get(judge, NOTHING), 24) for judge in names)
        run = [one_line(found.run, 40)] if several else []
        _add_row(table, one_line(found.record.record.item, 60), *run, *given)
    console.print(Padding(table, (0, 0, 0, 2)))
