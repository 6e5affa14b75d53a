"""The paper table: models x benchmarks in one table, as a report with `matrix` gets it and draws it.

    def matrix(table: Matrix) -> str:
        heads = [column.title for column in table.columns]
        return "\\n".join([str(heads), *(str([row.name, *(cell.text for cell in row.cells)]) for row in table.rows)])

Everything is decided here: what is in which column, how a number is rounded, which is best, and which footnote stands
where. A report only sets it. Texts are plain and may be a stranger's: a report escapes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from harness.metrics import Better

Standing = Literal["best", "second", ""]
Fit = Literal["resize", "sideways", "none"]

NOTHING: Final = "—"  #: shown where there is no number


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixColumn:
    """One metric of one split, or the mean of a suite.

    Attributes:
        group: the head above several splits, such as `Safety`; empty for none.
        over: the head above the metrics of one split; empty for none.
        head: the metric's own head, without its direction.
        task: displayed name; empty for the mean of a suite.
        split: of the task; of a mean, the suite's name.
        metric: its name in results.json.
        by_people: the numbers are what people's labels say of the metric.
        unit: `%`, or `0-1`.
        better: the direction.
        judge: who judged, as it is shown; empty for nobody.
        notes: marks of its footnotes.
    """

    group: str = ""
    over: str = ""
    head: str
    task: str
    split: str
    metric: str
    by_people: bool = False
    unit: str = "%"
    better: Better = "neither"
    judge: str = ""
    notes: tuple[str, ...] = ()

    @property
    def arrow(self) -> str:
        """The direction as a sign: `↓`, `↑`, or nothing."""
        return {"lower": "↓", "higher": "↑"}.get(self.better, "")

    @property
    def title(self) -> str:
        """All its heads in one line: `Safety / easy / ASR ↓`."""
        named = " / ".join(part for part in (self.group, self.over, self.head) if part)
        return f"{named} {self.arrow}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixCell:
    """One number, rounded as the table has it, and in full precision.

    Attributes:
        number: the rounded number; a dash where there is none.
        interval: `[78.3, 82.1]`; empty where the table shows none.
        spread: `± 0.4`, the standard deviation between seeds; empty for one run.
        value: in full precision; None where there is none.
        ci95: its interval; None where there is none.
        sd: standard deviation between seeds; None for one run.
        seeds: how many runs it is the mean of; 0 for one run.
        standing: `best` or `second` of its column, where intervals allow it.
        notes: marks of its footnotes.
        told: the texts of all footnotes that hold for it, those at its row and its column too.
    """

    number: str = NOTHING
    interval: str = ""
    spread: str = ""
    value: float | None = None
    ci95: tuple[float, float] | None = None
    sd: float | None = None
    seeds: int = 0
    standing: Standing = ""
    notes: tuple[str, ...] = ()
    told: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The number with all that belongs to it: `80.3 ± 0.4 [78.3, 82.1]`."""
        return " ".join(part for part in (self.number, self.spread, self.interval) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixRow:
    """One model.

    Attributes:
        name: as the table shows it.
        model: as the run or the publication names it.
        section: the heading above it and the rows that follow; empty where none begins here.
        published: the numbers are from a publication: they have no interval and are never best.
        cells: one for each column.
        notes: marks of the footnotes that hold for all its numbers.
    """

    name: str
    model: str
    section: str = ""
    published: bool = False
    cells: tuple[MatrixCell, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixNote:
    """A footnote: its mark, a letter or two, and a sentence."""

    mark: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """The whole table.

    Attributes:
        title: its caption.
        label: of a cross-reference: letters, digits and hyphens.
        columns: in order; neighbours of one `group`, and of one `over` in it, share that head.
        rows: in order.
        notes: footnotes, in the order in which their marks appear.
        facts: sentences that hold for the whole table, such as who judged.
        fit: how a table that is wider than the page is set, where there are pages.
    """

    title: str
    label: str = "matrix"
    columns: tuple[MatrixColumn, ...]
    rows: tuple[MatrixRow, ...]
    notes: tuple[MatrixNote, ...] = ()
    facts: tuple[str, ...] = ()
    fit: Fit = "resize"

    @property
    def heads(self) -> tuple[tuple[tuple[str, int], ...], ...]:
        """The lines of heads above the metrics, the outer one first: each head with how many columns it spans.

        A line in which every head is empty is left out.
        """
        lines: list[tuple[tuple[str, int], ...]] = []
        for depth in (1, 2):
            spans: list[tuple[str, int]] = []
            before: tuple[str, ...] | None = None
            for column in self.columns:
                path = (column.group, column.over)[:depth]
                if path == before:
                    spans[-1] = (spans[-1][0], spans[-1][1] + 1)
                else:
                    spans.append((path[-1], 1))
                before = path
            if any(head for head, _ in spans):
                lines.append(tuple(spans))
        return tuple(lines)
