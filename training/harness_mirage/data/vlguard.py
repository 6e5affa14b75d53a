"""VLGuard's training records: one image and a list of instructions with their responses.

The paper's "2k unsafe" are its unsafe images with their instruction and its safe images with an unsafe instruction;
the "1k safe" are its safe images with a safe instruction (arXiv 2402.02207; 2501.18533 App. B).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from harness.readers import Row
from harness_mirage.records import Turn

from .conversations import images, named, said
from .draft import BadRecord, Draft

PARTS: Final = ("unsafe", "safe")
#: Field of the instruction -> the part it belongs to. An entry is found by its key: their order is not stated.
_FIELDS: Final = {"instruction": "unsafe", "unsafe_instruction": "unsafe", "safe_instruction": "safe"}


def asked(row: Row, part: str) -> Iterator[Draft]:
    """The instructions of a record that belong to a part, or all of them.

    Raises:
        BadData: a field is missing, or no entry has an instruction.
    """
    row.flag("safe")
    paths, entries = images(row, ("image",)), row.rows("instr-resp")
    if not paths:
        raise BadRecord("no image")
    own = named(row) or paths[0]
    for entry in entries:
        field = next((field for field in _FIELDS if entry.has(field)), "")
        if not field:
            raise BadRecord("an entry without an instruction", f"none of {', '.join(_FIELDS)}", where=entry.place)
        if part in ("", _FIELDS[field]):
            yield Draft(
                id=f"{own}/{field}",
                place=row.place,
                category=said(row, "harmful_category"),
                sub_category=said(row, "harmful_subcategory"),
                turns=(
                    Turn(speaker="user", text=entry.text(field, default="")),
                    Turn(speaker="assistant", text=entry.text("response", default="")),
                ),
                images=paths,
            )
