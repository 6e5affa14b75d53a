"""What a user wants in the paper table: the YAML file of `--columns`, and the templates that come with the harness.

    title: Multi-image safety            # the caption
    digits: 2                            # decimals; else one for %, three for 0-1
    intervals: true                      # print 95% intervals
    columns:
      - head: Safety                     # a head above several splits
        columns:
          - {head: easy, split: "mis:easy", metrics: [ASR, RSR]}
          - {head: FigStep, split: "figstep:full"}          # its main metric
      - head: General
        columns:
          - {head: Avg., suite: general}                    # the mean that the suite defines
    rows:
      - section: Open models
      - {model: "hf/Qwen/*", name: Qwen2-VL}
      - {published: GPT-4o, name: GPT-4o (as published)}

Every key is checked: a misspelt one is refused with the nearest. `write_template` writes such a file from its values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files as packaged
from pathlib import Path
from typing import Any, Final, cast, get_args

from harness.errors import BadData, UnknownName
from harness.matrix import Fit
from harness.settings import nearest

_MOST_DIGITS: Final = 6
_STYLE: Final = ("digits", "intervals", "corrected", "best", "judge")  #: of the whole table, or of one split
_TOP: Final = ("title", "label", "fit", *_STYLE, "rows", "other_rows", "columns")
_GROUP: Final = ("head", "columns")
_SPLIT: Final = ("head", "split", "suite", "metrics", *_STYLE)
_ROW: Final = ("model", "published", "name", "section")


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How the numbers of one split are read and printed.

    Attributes:
        digits: decimals; None for one of a percentage, three of a score between 0 and 1.
        intervals: print 95% intervals.
        corrected: a further column with what people's labels say, where they say something.
        best: mark the best and the second.
        judge: id of the judge, or the name of its rubric; empty for the run's own.
    """

    digits: int | None = None
    intervals: bool = False
    corrected: bool = False
    best: bool = True
    judge: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitChoice:
    """One split, or the mean of one suite, and its metrics.

    Attributes:
        group: the head above it and its neighbours; empty for none.
        head: its own head.
        title: `task:split` as a board has it, or the task alone; the suite's name where `suite` is true.
        suite: it is the mean of a suite.
        metrics: (name in results.json, head); empty for the main metric.
        style: how its numbers are printed.
    """

    group: str = ""
    head: str
    title: str
    suite: bool = False
    metrics: tuple[tuple[str, str], ...] = ()
    style: Style = Style()


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChoice:
    """Some rows: the models of the runs that a pattern names, or the published rows.

    Attributes:
        pattern: with `*` and `?`.
        name: to show instead; empty for the model's own.
        published: it names rows that others published.
        section: the heading above them; empty where none begins.
    """

    pattern: str
    name: str = ""
    published: bool = False
    section: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixTemplate:
    """What a user wants in the table.

    Attributes:
        title: caption; empty for the usual one.
        label: of a cross-reference.
        fit: how a table that is wider than the page is set.
        columns: in order.
        rows: in order; empty for all models in the order of the runs.
        other_rows: models that `rows` does not name follow.
        where: the file, for errors.
    """

    title: str = ""
    label: str = "matrix"
    fit: Fit = "resize"
    columns: tuple[SplitChoice, ...]
    rows: tuple[RowChoice, ...] = ()
    other_rows: bool = True
    where: str = ""


def list_templates() -> tuple[str, ...]:
    """The names of the templates that come with the harness."""
    places = (packaged(__package__ or "") / "matrix_templates").iterdir()
    return tuple(sorted(place.name.removesuffix(".yaml") for place in places if place.name.endswith(".yaml")))


def find_template(named: str) -> tuple[str, str]:
    """The text of a template and where it stands: a file, `-` for stdin, or one that comes with the harness.

    Raises:
        BadData: it cannot be read.
        UnknownName: it is neither.
    """
    import sys

    if named == "-":
        return sys.stdin.read(), "stdin"
    if named in list_templates():
        return (packaged(__package__ or "") / "matrix_templates" / f"{named}.yaml").read_text("utf-8"), named
    path = Path(named)
    if not path.exists():
        remedy = f"give a YAML file, - for stdin, or a template: {nearest(named, list_templates())}"
        raise UnknownName(f"no columns file is called {named!r}", remedy=remedy)
    try:
        return path.read_text(encoding="utf-8"), named
    except (OSError, UnicodeDecodeError) as error:
        raise BadData("cannot read the columns file", where=f"{named}: {error}") from None


def parse_template(text: str, where: str) -> MatrixTemplate:
    """A template from its YAML.

    Args:
        text: of the file.
        where: its name, for errors.

    Raises:
        BadData: it is no YAML, or a key or value is none that a template has.
    """
    import yaml

    try:
        whole: object = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f": line {mark.line + 1}"
        problem = getattr(error, "problem", None) or type(error).__name__
        raise BadData("the columns file is not YAML", where=f"{where}{line}: {problem}", remedy=_EXAMPLE) from None
    reader = _Reader(where)
    top = reader.read_mapping(whole, "the whole", _TOP)
    style = reader.read_style(top, "", Style())
    columns = tuple(reader.read_columns(top, style))
    if not columns:
        raise reader.fault("columns", "the list is empty", _EXAMPLE)
    fit = reader.read_text(top, "fit", "") or "resize"
    if fit not in get_args(Fit):
        raise reader.fault("fit", f"{fit!r} is not one of its values", nearest(fit, get_args(Fit)))
    label = reader.read_text(top, "label", "") or "matrix"
    if not all(char.isascii() and (char.isalnum() or char == "-") for char in label):
        raise reader.fault(
            "label", f"{label!r:.60} has other signs than letters, digits and hyphens", "use these alone"
        )
    return MatrixTemplate(
        title=reader.read_text(top, "title", ""),
        label=label,
        fit=cast("Fit", fit),
        columns=columns,
        rows=tuple(reader.read_rows(top)),
        other_rows=reader.read_flag(top, "other_rows", "", default=True),
        where=where,
    )


_EXAMPLE: Final = "`harness report RUNS --matrix --show-columns` prints one to begin with"


class _Reader:
    """Reads the parts of a template; each fault names its place.

    Args:
        where: the file.
    """

    def __init__(self, where: str) -> None:
        self.where = where

    def fault(self, place: str, why: str, remedy: str) -> BadData:
        return BadData("the columns file has an error", where=f"{self.where}: {place}: {why}", remedy=remedy)

    def read_mapping(self, value: object, place: str, keys: Sequence[str]) -> dict[str, object]:
        if not isinstance(value, Mapping):
            raise self.fault(place, f"{value!r:.60} is not a mapping", f"its keys are {', '.join(keys)}")
        found = cast("Mapping[object, object]", value)
        for key in found:
            if key not in keys:
                raise self.fault(place, f"there is no key {key!r:.60}", nearest(str(key), keys))
        return {str(key): each for key, each in found.items() if each is not None}

    def read_list(self, holder: Mapping[str, object], key: str, place: str) -> list[tuple[object, str]]:
        """The items of a list, each with its place."""
        value = holder.get(key, [])
        if not isinstance(value, list):
            raise self.fault(f"{place}{key}", f"{value!r:.60} is not a list", "begin each item with a hyphen")
        every = cast("list[object]", value)
        return [(each, f"{place}{key}.{number}") for number, each in enumerate(every, 1)]

    def read_text(self, holder: Mapping[str, object], key: str, place: str) -> str:
        value = holder.get(key, "")
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise self.fault(f"{place}{key}", f"{value!r:.60} is not a text", "put it in quotes")
        return str(value)

    def read_flag(self, holder: Mapping[str, object], key: str, place: str, *, default: bool) -> bool:
        value = holder.get(key, default)
        if not isinstance(value, bool):
            raise self.fault(f"{place}{key}", f"{value!r:.60} is neither true nor false", "")
        return value

    def read_style(self, holder: Mapping[str, object], place: str, outer: Style) -> Style:
        """How to print, with what the outer style says where the holder says nothing."""
        digits = holder.get("digits", outer.digits)
        if digits is not None and (isinstance(digits, bool) or not isinstance(digits, int)):
            raise self.fault(f"{place}digits", f"{digits!r:.60} is not a whole number", "")
        if digits is not None and not 0 <= digits <= _MOST_DIGITS:
            raise self.fault(f"{place}digits", f"{digits} is not between 0 and {_MOST_DIGITS}", "")
        flags = {
            key: self.read_flag(holder, key, place, default=bool(getattr(outer, key)))
            for key in ("intervals", "corrected", "best")
        }
        judge = self.read_text(holder, "judge", place) if "judge" in holder else outer.judge
        return Style(digits=digits, judge=judge, **flags)

    def read_columns(self, top: Mapping[str, object], style: Style) -> Iterator[SplitChoice]:
        for item, place in self.read_list(top, "columns", ""):
            if _is_group(item):
                group = self.read_mapping(item, place, _GROUP)
                head = self.read_text(group, "head", f"{place}.")
                inner = self.read_list(group, "columns", f"{place}.")
                if not inner:
                    raise self.fault(f"{place}.columns", "the list is empty", _EXAMPLE)
                for each, inside in inner:
                    yield replace(self._read_split(each, inside, style), group=head)
            else:
                yield self._read_split(item, place, style)

    def _read_split(self, item: object, place: str, style: Style) -> SplitChoice:
        held = self.read_mapping({"split": item} if isinstance(item, str) else item, place, _SPLIT)
        titles = {key: self.read_text(held, key, f"{place}.") for key in ("split", "suite") if key in held}
        if len(titles) != 1:
            raise self.fault(place, "it needs a split or a suite, and not both", 'write split: "TASK:SPLIT"')
        ((kind, title),) = titles.items()
        if not title.strip():
            raise self.fault(f"{place}.{kind}", "it is empty", "")
        raw = held.get("metrics", [])
        if isinstance(raw, Mapping):  # metric -> its head
            named = cast("Mapping[object, object]", raw)
            metrics = tuple((str(name), str(name if head is None else head)) for name, head in named.items())
        elif isinstance(raw, str):
            metrics = ((raw, raw),)
        else:
            every = self.read_list(held, "metrics", f"{place}.")
            metrics = tuple((str(name), str(name)) for name, _ in every)
        if kind == "suite" and metrics:
            raise self.fault(f"{place}.metrics", "a suite has one mean and no metrics", "leave metrics out")
        return SplitChoice(
            head=self.read_text(held, "head", f"{place}.") if "head" in held else title,
            title=title,
            suite=kind == "suite",
            metrics=tuple(dict(metrics).items()),
            style=self.read_style(held, f"{place}.", style),
        )

    def read_rows(self, top: Mapping[str, object]) -> Iterator[RowChoice]:
        section = ""
        for item, place in self.read_list(top, "rows", ""):
            row = self.read_mapping({"model": item} if isinstance(item, str) else item, place, _ROW)
            kinds = [key for key in ("model", "published", "section") if key in row]
            if len(kinds) != 1:
                remedy = "write model: NAME, published: NAME, or section: TEXT"
                raise self.fault(place, "it needs one of model, published and section", remedy)
            text = self.read_text(row, kinds[0], f"{place}.")
            if kinds[0] == "section":
                section = text
                continue
            name = self.read_text(row, "name", f"{place}.")
            yield RowChoice(pattern=text, name=name, published=kinds[0] == "published", section=section)
            section = ""


def _is_group(item: object) -> bool:
    return isinstance(item, Mapping) and "columns" in item


def write_template(template: MatrixTemplate) -> str:
    """A template as the YAML that `parse_template` reads."""
    import yaml

    columns: list[dict[str, Any]] = []
    for choice in template.columns:
        item: dict[str, Any] = {"head": choice.head, "suite" if choice.suite else "split": choice.title}
        if choice.metrics:
            item["metrics"] = [name for name, _ in choice.metrics]
        if not choice.group:
            columns.append(item)
        elif columns and columns[-1].get("head") == choice.group and "columns" in columns[-1]:
            columns[-1]["columns"].append(item)
        else:
            columns.append({"head": choice.group, "columns": [item]})
    rows = [{"model": row.pattern, "name": row.name or row.pattern} for row in template.rows]
    whole = {"title": template.title, "fit": template.fit, "intervals": False, "columns": columns, "rows": rows}
    dumped = yaml.safe_dump(whole, sort_keys=False, allow_unicode=True, width=110)  # pyright: ignore[reportUnknownMemberType]
    return str(dumped)
