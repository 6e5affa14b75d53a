"""What a task file may hold, as a JSON Schema (`docs/task.schema.json`), and the check of a file against it.

The check knows the parts of JSON Schema that this schema uses. It names file, line and key, and the nearest key that
there is. Each `oneOf` here is a choice between kinds of values (a text, a list, a mapping), so that a message can speak
of the one that was meant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final, cast

from harness.errors import HarnessError, UnknownName
from harness.settings import nearest
from harness.types import Json
from harness.yaml_files import Place, YamlText

Schema = Mapping[str, Any]
KINDS: Final = ("attack", "over-refusal", "choice", "yes-no", "exact", "contains", "comparison")
LAYOUTS: Final = ("table", "vlmevalkit", "garak", "pyrit")


def _text(about: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": about, "minLength": 1, **more}


def _flag(about: str) -> dict[str, Any]:
    return {"type": "boolean", "description": about}


def _object(about: str, properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "object", "description": about, "properties": dict(properties)}
    return {**found, "required": list(required), "additionalProperties": False}


def _map(about: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "description": about, "additionalProperties": dict(values), "minProperties": 1}


def _list(about: str, items: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "description": about, "items": dict(items), "minItems": 1}


def _one_of(about: str, *kinds: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": about, "oneOf": [dict(kind) for kind in kinds]}


_WORD: Final = {"type": "string", "minLength": 1}
_SCALAR: Final = {"type": ["string", "number", "boolean"]}
_NUMBER: Final = {"type": "integer", "minimum": 0}
_LABELS: Final = _one_of("one label, or several", _WORD, _list("labels", _WORD))
_FILES: Final = _one_of(
    "a file below the data's folder, or several; the name of a parquet or JSON file may hold *",
    _WORD,
    _list("files", _WORD),
)
_TEMPLATE: Final = _one_of(
    "a column; a text with {{ column }} in it; or a file beside this one with such a text",
    _WORD,
    _object("a file with a text", {"file": _text("its name, such as question.j2")}, "file"),
)
_IMAGE: Final = _one_of(
    "a column; a path with {{ column }} in it; or a column with how to read it",
    _WORD,
    _object(
        "a column with images",
        {
            "column": _text("the column; a list in it is several images"),
            "as": {"enum": ["path", "base64"], "description": "what a cell holds; path unless it says otherwise"},
            "folder": _text("in front of a path, such as images"),
            "suffix": _text("behind a path, such as .png"),
            "optional": _flag("records may have none"),
            "list": _flag("the cell is the text of a list, such as ['a.png', 'b.png']"),
        },
        "column",
    ),
)
_FIELD: Final = _one_of(
    "what a field of the judge's reply holds: text, true-false, or one of some words",
    {"enum": ["text", "true-false"]},
    _list("the words to choose from", _WORD),
)
_SCORING: Final[Mapping[str, Any]] = {
    "kind": {
        "enum": list(KINDS),
        "description": "a usual kind, with its labels, metrics, and what a block and an empty answer count as",
    },
    "group": {
        "enum": ["safety", "over-refusal", "ability"],
        "description": "what kind of question it is; the kind says it",
    },
    "judges": _one_of(
        "packaged rubrics, the first is the default: names, or name -> label -> label of this task",
        _list("names", _WORD),
        {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {
                "oneOf": [{"type": "null"}, {"type": "object", "additionalProperties": _WORD}],
            },
        },
    ),
    "metrics": _map(
        "name -> share of some labels; the first is the main one unless another says main",
        _object(
            "a share",
            {
                "labels": _LABELS,
                "better": {"enum": ["lower", "higher", "neither"], "description": "which direction is good"},
                "main": _flag("the number that a leaderboard ranks by"),
                "description": _text("one sentence for readers of a report"),
            },
            "labels",
            "better",
        ),
    ),
    "labels": _list("all labels of a verdict; those of the metrics unless it says more", _WORD),
    "blocked_as": _text("the label of a request or an answer that a filter stopped"),
    "empty_as": _text("the label of an empty answer; that of a block unless it says otherwise"),
}
_SPLIT: Final = _object(
    "one split",
    {
        "files": _FILES,
        "where": _map("only records with this value, or one of these, in a column", {
            "oneOf": [_SCALAR, _list("values", _SCALAR)]
        }),
        "n": {**_NUMBER, "description": "published number of samples; another number is a warning"},
        "selected": _flag("whether the task's bare name runs it; true unless it says false"),
        "description": _text("one sentence on what it asks"),
        **_SCORING,
    },
)  # fmt: skip
SCHEMA: Final[Schema] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "task.schema.json",
    "title": "A task without Python: harness run --tasks FILE.yaml. See docs/tasks-without-python.md",
    **_object(
        "a task",
        {
            "description": _text("one line on what it asks"),
            "version": _text("raised when the same file would mean another task"),
            "licence": _text("of the data, as its publisher states it"),
            "url": _text("its page; where to ask for access if it is gated"),
            "size": _text("of the data, such as 3 GB"),
            "gated": _flag("access must be asked for, at the url"),
            "paper": _object(
                "where it was published",
                {
                    "title": _text("as the paper prints it"),
                    "key": _text("BibTeX key", pattern="^[A-Za-z][A-Za-z0-9_.:-]*$"),
                    "authors": _list("in order, Given Family", _WORD),
                    "year": {"type": "integer", "minimum": 1900, "maximum": 2200, "description": "of publication"},
                    "venue": _text("the proceedings"),
                    "journal": _text("the journal"),
                    "arxiv": _text('its arXiv id, in quotes: "2501.18533"'),
                    "url": _text("its page"),
                },
                "title",
            ),
            "published": _text("YAML file beside this one of numbers that others published"),
            "data": _object(
                "where the records are",
                {
                    "files": _FILES,
                    "layout": {
                        "enum": list(LAYOUTS),
                        "description": "how the records are written; table unless it says otherwise",
                    },
                    "hub": _text("a data set of the Hugging Face hub, OWNER/NAME", pattern="^[\\w.-]+(/[\\w.-]+)?$"),
                    "revision": _text("commit of the hub's set that n was counted with"),
                    "fetch": _list("patterns of the hub's files to fetch; all unless it says otherwise", _WORD),
                    "images": {
                        "enum": ["checked", "as they come"],
                        "description": "checked: an image that is missing ends the listing; else it is a bad sample",
                    },
                },
                "files",
            ),
            "id": _text("the column with each record's name; without it records are numbered"),
            "question": _TEMPLATE,
            "images": _one_of("what is shown, in order", *_IMAGE["oneOf"], _list("several", _IMAGE)),
            "order": {
                "enum": ["images first", "question first", "marks"],
                "description": "images before the text, behind it, or each at its <image> in the text",
            },
            "system": _TEMPLATE,
            "category": _text("the column of the breakdown that every report shows"),
            "cluster": _text("the column of what belongs together: it is resampled and paired as one"),
            "tags": _one_of(
                "columns that are kept with each sample", _list("columns", _WORD), _map("tag -> column", _WORD)
            ),
            "by": _list("breakdowns: category, or tags", _WORD),
            "target": _one_of(
                "what a judge compares with: a column or a template, or name -> one of these",
                _WORD,
                _map("name -> column or template", _WORD),
            ),
            "choices": _one_of(
                "the options: a column or a template with a list, a column for each, or the same texts for each record",
                _WORD,
                _list("columns", _WORD),
                _object("fixed options", {"texts": _list("the options", _WORD)}, "texts"),
            ),
            "answer": _text(
                "the right answer, a column or a template: letter, number from 0, or text of an option; yes or no; "
                "what an answer equals (kind exact) or holds (kind contains)"
            ),
            "generation": _object(
                "how an answer is sampled, unless the user says otherwise",
                {
                    "temperature": {"type": "number", "minimum": 0, "description": "0 takes the likeliest"},
                    "max_tokens": {"type": "integer", "minimum": 1, "description": "most tokens of an answer"},
                    "top_p": {"type": "number", "minimum": 0, "maximum": 1, "description": "nucleus sampling"},
                    "stop": _list("texts that end an answer", {**_WORD, "x-blank": True}),
                },
            ),
            "rubric": _object(
                "a rubric of its own: a template beside this file",
                {
                    "template": _text("its name, such as rubric.j2"),
                    "labels": _one_of(
                        "all labels, or label -> one sentence on what it means",
                        _list("labels", _WORD),
                        _map("label -> meaning", _WORD),
                    ),
                    "fields": _map("fields of the judge's reply, in order; reason and label unless it says so", _FIELD),
                    "label": _text("the field with the label"),
                    "parse": _object(
                        "read the label out of a reply that is no JSON",
                        {
                            "pattern": _text("a regular expression whose group 1 is the label, or a key of words"),
                            "words": _map("what the pattern finds -> label", _WORD),
                        },
                        "pattern",
                    ),
                    "images": _flag("show the sample's images"),
                    "values": _list("parts of the target that the template shows, as variables", _WORD),
                    "map": _map("its label -> label of this task", _WORD),
                },
                "template",
                "labels",
            ),
            "splits": _one_of(
                "splits by name, or the column that says which split a record is of",
                {
                    **_object(
                        "a column",
                        {
                            "column": _text("the column"),
                            "values": _one_of(
                                "its values, which name the splits; or value -> what else holds for the split",
                                _list("values", _WORD),
                                _map("value -> split", {**_SPLIT, "type": ["object", "null"]}),
                            ),
                            "others": {
                                "enum": ["refused", "left out"],
                                "description": "records with another value; refused unless it says otherwise",
                            },
                        },
                        "column",
                        "values",
                    ),
                },
                _map("name -> split", {**_SPLIT, "type": ["object", "null"]}),
            ),
            "n": {**_NUMBER, "description": "published number of samples; another number is a warning"},
            **_SCORING,
        },
        "description",
        "data",
    ),
}
_NAMES: Final = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "empty",
    "date": "a date",
    "other": "a value of a tag (!!…)",
}


def check_schema(text: YamlText) -> dict[str, Any]:
    """The content of a task file. Raises HarnessError with file, line and key for what the schema does not allow."""
    _check(text, (), text.value, SCHEMA)
    return cast("dict[str, Any]", text.value)


def _check(text: YamlText, place: Place, value: Json, schema: Schema) -> None:
    if "oneOf" in schema:
        _check(text, place, value, _choose(text, place, value, schema["oneOf"]))
        return
    kinds = [schema["type"]] if isinstance(schema.get("type"), str) else list(schema.get("type", ()))
    if kinds and _kind(value) not in kinds and not ("number" in kinds and _kind(value) == "integer"):
        raise _mismatch(text, place, value, kinds, str(schema.get("description", "")))
    if "enum" in schema and value not in schema["enum"]:
        known = [str(each) for each in schema["enum"]]
        if isinstance(value, list | dict):  # not shown: anchors can make it as large as they like
            raise _mismatch(text, place, value, ["string"], f"one of {', '.join(known)}")
        raise HarnessError(
            f"{value!r} is not one of its values", where=text.find(place), remedy=nearest(str(value), known)
        )
    if isinstance(value, str):
        if not value.strip() and not schema.get("x-blank"):
            raise HarnessError("the text is blank", where=text.find(place), remedy=_about(schema))
        if "pattern" in schema and not re.search(schema["pattern"], value):
            raise HarnessError(f"{value!r} does not have its form", where=text.find(place), remedy=_about(schema))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        least, most = schema.get("minimum", value), schema.get("maximum", value)
        if not least <= value <= most:
            remedy = f"at least {least:g}" + (f", at most {most:g}" if "maximum" in schema else "")
            raise HarnessError(f"{value} is out of range", where=text.find(place), remedy=remedy)
    elif isinstance(value, list):
        items = cast("Sequence[Json]", value)
        if len(items) < schema.get("minItems", 0):
            raise HarnessError(
                "the list is empty", where=text.find(place), remedy=f"write at least one: {_about(schema)}"
            )
        for number, item in enumerate(items):
            _check(text, (*place, number), item, schema["items"])
    elif isinstance(value, dict):
        _check_keys(text, place, cast("Mapping[Any, Json]", value), schema)


def _check_keys(text: YamlText, place: Place, value: Mapping[Any, Json], schema: Schema) -> None:
    known: Mapping[str, Schema] = schema.get("properties", {})
    others = schema.get("additionalProperties", False)
    if not value and schema.get("minProperties"):
        raise HarnessError(
            "the mapping is empty", where=text.find(place), remedy=f"write at least one: {_about(schema)}"
        )
    for key, each in value.items():
        if not isinstance(key, str):
            what = f"the key {key!r} is {_NAMES[_kind(key)]}, not a text"
            raise HarnessError(what, where=text.find((*place, str(key))), remedy=_quote(key))
        if key not in known and others is False:
            owner = f"{place[-1]} has" if place else "a task file has"
            raise UnknownName(f"{owner} no key {key!r}", where=text.find((*place, key)), remedy=nearest(key, known))
        _check(text, (*place, key), each, known.get(key) or others)
    for key in schema.get("required", ()):
        if key not in value:
            what = f"{place[-1]} needs {key}" if place else f"a task file needs {key}"
            raise HarnessError(what, where=text.find(place), remedy=f"write {key}: {_about(known[key])}")


def _choose(text: YamlText, place: Place, value: Json, kinds: Sequence[Schema]) -> Schema:
    """The one of these schemas that a value of this kind means; of two for mappings the one whose keys are there."""
    found = [each for each in kinds if _takes(each, value)]
    if not found:
        names = dict.fromkeys(name for each in kinds for name in _list_types(each))
        raise _mismatch(
            text,
            place,
            value,
            list(names),
            next((str(each["description"]) for each in kinds if each.get("description")), ""),
        )
    if len(found) > 1 and isinstance(value, dict):
        keys = cast("dict[str, Json]", value).keys()
        found = [each for each in found if set(each.get("required", ())) & keys] or found[-1:]
    return found[0]


def _takes(schema: Schema, value: Json) -> bool:
    kind = _kind(value)
    return kind in _list_types(schema) or (kind == "integer" and "number" in _list_types(schema))


def _list_types(schema: Schema) -> list[str]:
    if "oneOf" in schema:
        return [name for each in schema["oneOf"] for name in _list_types(each)]
    kinds: Any = schema.get("type", "string")  # an enum of texts
    return [kinds] if isinstance(kinds, str) else list(kinds)


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "object"
        case date():
            return "date"
        case _:
            return "other"


def _mismatch(text: YamlText, place: Place, value: Json, kinds: Sequence[str], about: str) -> HarnessError:
    wanted = " or ".join(_NAMES[kind] for kind in kinds)
    is_now = _NAMES[_kind(value)]
    quoted = "string" in kinds and _kind(value) in ("integer", "number", "boolean", "date")
    remedy = _quote(value) if quoted else f"write {wanted}" + (f": {about}" if about and place else "")
    if not place:
        remedy = "begin lines with keys, such as description: and data:; harness tasks new FILE.yaml writes one"
    return HarnessError(
        f"{'the file' if not place else 'the value'} is {is_now}, not {wanted}", where=text.find(place), remedy=remedy
    )


def _quote(value: object) -> str:
    if isinstance(value, bool):
        word = "yes" if value else "no"
        return f'write it in quotes, such as "{word}": YAML takes yes, no, on and off for true and false'
    return f'write it in quotes: "{value}"'


def _about(schema: Schema) -> str:
    return str(schema.get("description") or f"write {' or '.join(_NAMES[kind] for kind in _list_types(schema))}")
