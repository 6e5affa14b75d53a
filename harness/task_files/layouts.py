"""The layouts of other tools' files: which columns they have, and how their entries become records.

A garak report and a PyRIT export hold requests that were sent, with what came back. Only the requests are read: what
another model answered is no part of a task. Each request is one record with these columns:

    garak    id probe family goal prompt system images previous language
    pyrit    id prompt original seed category system images previous labels
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Final, cast

from harness.errors import BadData
from harness.keys import text_hash
from harness.readers import Row
from harness.types import Json

LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
HINTED: Final = "{% if row.get('hint') %}Hint: {{ row.get('hint') }}\n{% endif %}{{ question }}"
PREVIOUS: Final = "previous"  #: the column with the turns before the last one


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a layout says where a task file says nothing.

    Attributes:
        defaults: keys of a task file.
        columns: of its records; empty for those of the file.
    """

    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])
    columns: tuple[str, ...] = ()


KNOWN: Final[Mapping[str, Layout]] = {
    "table": Layout(),
    "vlmevalkit": Layout(
        defaults={
            "id": "index",
            "question": HINTED,
            "images": {"column": "image", "as": "base64"},
            "answer": "answer",
        }
    ),
    "garak": Layout(
        defaults={
            "id": "id",
            "question": "prompt",
            "images": {"column": "images", "optional": True},
            "system": "system",
            "category": "probe",
            "target": {"goal": "goal"},
        },
        columns=("id", "probe", "family", "goal", "prompt", "system", "images", PREVIOUS, "language"),
    ),
    "pyrit": Layout(
        defaults={
            "id": "id",
            "question": "prompt",
            "images": {"column": "images", "optional": True},
            "system": "system",
            "category": "category",
            "cluster": "seed",
            "target": {"intent": "original"},
        },
        columns=("id", "prompt", "original", "seed", "category", "system", "images", PREVIOUS, "labels"),
    ),
}


def arrange(rows: Iterable[Row], layout: str) -> Iterator[Row]:
    """The records of a file in a layout. Raises BadData for entries that it does not have."""
    if layout == "garak":
        return _read_garak(rows)
    return _read_pyrit(rows) if layout == "pyrit" else iter(rows)


def _read_garak(rows: Iterable[Row]) -> Iterator[Row]:
    """Each attempt of a report, or each hit of a hit log, once: a report repeats an attempt when it was evaluated."""
    seen: set[str] = set()
    number, other = 0, ""
    for row in rows:
        kind = row.values.get("entry_type", "hit" if "attempt_id" in row.values else "")
        if kind not in ("attempt", "hit"):
            other = other or row.place
            continue
        name = row.text("uuid" if kind == "attempt" else "attempt_id", default=f"attempt-{row.number}")
        if name in seen:
            continue
        seen.add(name)
        probe = row.text("probe_classname" if kind == "attempt" else "probe", default="")
        turns = _list_garak_turns(row)
        prompt, before = turns[-1], turns[:-1]
        if prompt["role"] != "user":
            raise BadData(
                "its prompt does not end with a user's turn",
                where=f"{row.place}, field prompt",
                remedy="remove this attempt from the file: a model is asked what a user says",
            )
        if not prompt["text"] and not prompt["images"]:
            continue  # probes of empty prompts: nothing is asked
        number += 1
        yield Row(
            values={
                "id": name,
                "probe": probe,
                "family": probe.partition(".")[0],
                "goal": row.values.get("goal"),
                "prompt": prompt["text"],
                "language": prompt["language"],
                "images": prompt["images"] or None,
                "system": next((each["text"] for each in before if each["role"] == "system"), None),
                PREVIOUS: [each for each in before if each["role"] != "system"] or None,
            },
            place=row.place,
            number=number,
        )
    if not number:
        what = "no entry of it is an attempt of garak" if other else "the file holds no attempts"
        raise BadData(what, where=other, remedy="name a report (garak.UUID.report.jsonl) or a hit log (….hitlog.jsonl)")


def _list_garak_turns(row: Row) -> list[dict[str, Any]]:
    """The turns of a prompt: a text (garak 0.10), a message (0.11), or a conversation (since 0.13)."""
    prompt: Json = row.values.get("prompt")
    if isinstance(prompt, str):
        return [{"role": "user", "text": prompt, "images": [], "language": None}]
    found = cast("dict[str, Json]", prompt) if isinstance(prompt, dict) else {}
    turns: Json = found.get("turns", [{"role": "user", "content": found}] if "text" in found else None)
    if not isinstance(turns, list) or not turns:
        raise BadData(
            "field 'prompt' holds neither a text nor turns",
            where=f"{row.place}, field prompt",
            remedy="read it as a table of your own: leave out data.layout and name the columns",
        )
    made: list[dict[str, Any]] = []
    for turn in Row(values={"turns": turns}, place=row.place).rows("turns"):
        content = turn.part("content")
        kind: Json = content.values.get("data_type")
        mime = next(iter(cast("Sequence[Json]", kind)), None) if isinstance(kind, list) else kind
        path = content.text("data_path", default="")
        if path and mime and not str(mime).startswith("image"):
            raise BadData(
                f"the prompt holds {mime}, and only texts and images are asked",
                where=content.place,
                remedy="remove this attempt from the file",
            )
        made.append(
            {
                "role": turn.text("role"),
                "text": content.text("text", default=""),
                "images": [path] if path else [],
                "language": content.values.get("lang"),
            }
        )
    return made


def _read_pyrit(rows: Iterable[Row]) -> Iterator[Row]:
    """Each conversation of an export, up to its last user turn."""
    conversations: dict[str, list[Row]] = {}
    for row in rows:
        conversations.setdefault(row.text("conversation_id"), []).append(row)
    number = 0
    for name, pieces in conversations.items():
        ordered = sorted(pieces, key=_read_sequence)
        last = max((_read_sequence(each) for each in ordered if each.text("role") == "user"), default=None)
        if last is None:
            continue  # of a scorer, or only a system prompt
        turns: dict[tuple[int, str], list[Row]] = {}
        for piece in ordered:
            if _read_sequence(piece) <= last:
                turns.setdefault((_read_sequence(piece), _read_role(piece)), []).append(piece)
        made = {key: _read_turn(key[1], each) for key, each in turns.items()}
        prompt = made.pop((last, "user"))
        first = next(each for each in turns[last, "user"])
        original = "\n".join(
            text
            for each in turns[last, "user"]
            if each.text("original_value_data_type", default="text") == "text"
            and (text := each.text("original_value", default=""))
        )
        harms = _read_value(first, "targeted_harm_categories")
        number += 1
        yield Row(
            values={
                "id": name,
                "prompt": prompt["text"],
                "images": prompt["images"] or None,
                "original": original or prompt["text"],
                "seed": text_hash(original or prompt["text"])[:16],
                "category": ", ".join(map(str, cast("Sequence[Json]", harms))) if isinstance(harms, list) else harms,
                "labels": _read_value(first, "labels"),
                "system": next((each["text"] for each in made.values() if each["role"] == "system"), None),
                PREVIOUS: [each for each in made.values() if each["role"] != "system"] or None,
            },
            place=first.place,
            number=number,
        )
    if not number:
        remedy = "export it with memory.export_conversations(…, export_type='json')"
        raise BadData("no conversation of the file has a user's turn", remedy=remedy)


def _read_sequence(piece: Row) -> int:
    value = piece.values.get("sequence", 0)
    try:
        return int(str(value))
    except ValueError:
        raise BadData(
            f"field 'sequence' is {value!r}, not a number",
            where=f"{piece.place}, field sequence",
            remedy="export the conversations again: it is the place of a piece in its conversation",
        ) from None


def _read_role(piece: Row) -> str:
    role = piece.text("role")
    return "assistant" if role == "simulated_assistant" else "system" if role == "developer" else role


def _read_turn(role: str, pieces: Iterable[Row]) -> dict[str, Any]:
    texts: list[str] = []
    images: list[str] = []
    for piece in pieces:
        kind = piece.text("converted_value_data_type", "original_value_data_type", default="text")
        value = piece.text("converted_value", "original_value", default="")
        if kind == "image_path":
            images.append(value)
        elif kind in ("text", "error"):
            texts.append(value)
        else:
            what = f"the piece is of the kind {kind!r}, and only texts and images are asked"
            raise BadData(
                what,
                where=f"{piece.place}, field converted_value_data_type",
                remedy="remove its conversation from the file",
            )
    return {"role": role, "text": "\n".join(filter(None, texts)), "images": images}


def _read_value(piece: Row, name: str) -> Json:
    """A field that a CSV export holds as a text of JSON or Python."""
    value = piece.values.get(name)
    if isinstance(value, str):
        for text in (value, value.replace("'", '"')):
            try:
                return json.loads(text)
            except ValueError:
                continue
    return value


def relative_path(path: str, root: str, folder: str) -> str:
    """An image's path of another tool: one below the data's folder is taken from there, another by its file's name."""
    pure = PurePath(path)
    if not pure.is_absolute():
        return path
    if pure.is_relative_to(root):
        return str(pure.relative_to(root))
    return str(PurePath(folder or ".") / pure.name)
