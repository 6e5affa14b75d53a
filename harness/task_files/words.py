"""A text of a sample: a column, or a template over the columns of its record.

Templates are filled in by the sandbox of judges' templates: no loader, no globals, an unknown name is an error. Columns
are values to them, so template syntax in the data is shown as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite

from harness.errors import BadData, HarnessError
from harness.readers import Row
from harness.rubric.templates import FAULTS, sandbox
from harness.types import Json

EXTRA = ("row", "options")  #: names besides the columns: the whole record, and the options of a choice


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """How a text is made.

    Attributes:
        columns: that it shows.
        fill: record, and values besides its columns -> the text.
        uses: names of `EXTRA` that it shows.
        template: its text; empty for a column.
    """

    columns: tuple[str, ...]
    fill: Callable[[Row, Mapping[str, Json]], str]
    uses: frozenset[str] = frozenset()
    template: str = ""


def is_template(text: str) -> bool:
    """Whether a text is a template and no column."""
    return "{{" in text or "{%" in text


def compile_words(text: str, where: str) -> Words:
    """A column, or a template. Raises HarnessError for a template that cannot be read."""
    return compile_template(text, where) if is_template(text) else name_column(text)


def name_column(column: str) -> Words:
    """A column."""
    return Words(columns=(column,), fill=lambda row, _: read_text(row, column))


def compile_template(text: str, where: str) -> Words:
    """A template, also one that shows no column. Raises HarnessError if it cannot be read."""
    from jinja2 import TemplateError
    from jinja2.meta import find_undeclared_variables

    try:
        used = find_undeclared_variables(sandbox().parse(text))
        compiled = sandbox().from_string(text)
    except (TemplateError, *FAULTS) as error:
        raise HarnessError(
            f"the template cannot be read: {error}",
            where=where,
            remedy="it is a template of Jinja: {{ column }} shows a column",
        ) from None

    def fill(row: Row, more: Mapping[str, Json]) -> str:
        values = {name: "" if value is None else value for name, value in row.values.items()}
        try:
            return compiled.render({**values, "row": values, **more})
        except (TemplateError, *FAULTS) as error:
            raise BadData(
                f"the template of {where} cannot be filled in: {error}",
                where=row.place,
                remedy="correct the template, or what the record holds",
            ) from None

    columns = tuple(sorted(used - set(EXTRA)))
    return Words(columns=columns, fill=fill, uses=frozenset(used & set(EXTRA)), template=text)


def read_value(row: Row, column: str) -> Json:
    """A value as it is; the NaN that stands for nothing in a table of numbers is null."""
    value = row.values.get(column)
    return None if isinstance(value, float) and not isfinite(value) else value


def read_text(row: Row, column: str, *, default: str | None = "") -> str:
    """A value as text; numbers and truth values as they are written in JSON. Raises BadData for lists and objects."""
    value = read_value(row, column)
    if value is None:
        if default is None:
            raise BadData(
                f"field {column!r} is missing",
                where=f"{row.place}, field {column}",
                remedy="write a value there, or name another column in the task file",
            )
        return default
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return str(int(value)) if value.is_integer() else repr(value)
        case _:
            kind = "a list" if isinstance(value, list) else "an object"
            raise BadData(
                f"field {column!r} is {kind}, not a text",
                where=f"{row.place}, field {column}",
                remedy="write a text there, or make one of it by a template: {{ NAME | join(', ') }}",
            )
