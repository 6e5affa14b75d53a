"""Data in the benchmarks' own file layouts, of any size, drawn here: nothing of a benchmark is copied.

Each layout has what trips a reader up: ids in some files only, one split's images in an archive beside its JSON,
questions that come again, categories spelled in odd ways, single and list instructions, lists of unequal length.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: category -> its sub-categories, as the paper spells them
MIS_CATEGORIES = {
    "Illegal Activity": ("Property Crimes", "Cybercrimes", "Drug-Related Offenses", "Human Trafficking"),
    "Violent": ("Weapon-Related", "Public Violence and Rioting", "Abuse and Physical Alterations"),
    "Hate": ("Racial/Ethnic", "Gender"),
    "Self-Harm": ("Physical Self-Injury", "Psychological"),
    "Privacy": ("Unauthorized Data Collection", "Identity Theft"),
    "Erotic": ("Erotic Visual Content",),
}
_SIDE = 24  #: pixels
_AGAIN = 11  #: every eleventh question of easy is asked a second time, with other images


@dataclass
class Layout:
    """What was written, and what a run over it must send.

    Attributes:
        root: DIR of `--data`.
        files: path under the task's root -> sha256 of the image there.
    """

    root: Path
    files: dict[str, str] = field(default_factory=dict[str, str])
    drawn: int = 0

    def draw(self, path: str) -> bytes:
        """A new image, unlike all others, noted under its path."""
        data = picture(self.drawn)
        self.drawn += 1
        self.files[path] = hashlib.sha256(data).hexdigest()
        return data

    def put(self, folder: Path, path: str) -> None:
        """Draw an image to where it belongs."""
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(self.draw(path))


def picture(number: int) -> bytes:
    """A PNG of a few hundred bytes: a box on a ground whose colour no other number below 2**24 has."""
    ground = (number * 2654435761 & 0xFFFFFF).to_bytes(3, "big")
    noise = hashlib.shake_256(b"%d" % number).digest(3 * 64)
    rows = [bytearray(b"\0" + ground * _SIDE) for _ in range(_SIDE)]
    for y in range(8):
        rows[8 + y][1 + 3 * 8 : 1 + 3 * 16] = noise[24 * y : 24 * y + 24]
    header = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows), 6)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


# ------------------------------------------------------------------------------------------------------------------ MIS


def mis(layout: Layout, *, easy: int, hard: int, real: int) -> None:
    """Write the task's root with its three splits: ids in easy and real, images of hard in a zip."""
    root = layout.root / "mis"
    root.mkdir(parents=True, exist_ok=True)
    records = {"easy": list(_easy(easy)), "hard": list(_hard(hard))}
    records["real"] = list(_real(real, records["easy"], records["hard"]))
    for split, rows in records.items():
        for number, row in enumerate(rows, 1):
            if split != "hard":
                row["id"] = number
            row |= {f"image_path{n}": f"{split}_image/{number}/object{n}.png" for n in (1, 2)}
        (root / f"mis_{split}.json").write_text(json.dumps(rows), encoding="utf-8")
    for split in ("easy", "real"):
        for row in records[split]:
            layout.put(root, row["image_path1"])
            layout.put(root, row["image_path2"])
    with zipfile.ZipFile(root / "hard_image.zip", "w") as archive:
        for row in records["hard"]:
            for name in (row["image_path1"], row["image_path2"]):
                archive.writestr(name, layout.draw(name))


def _easy(count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        same = number - 1 if number % _AGAIN == _AGAIN - 1 else number
        yield _record("easy", same, spelled=number)


def _hard(count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        yield _record("hard", number, spelled=number)


def _real(count: int, easy: list[dict[str, Any]], hard: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Questions of the others once more, written a little differently; some have no twin, in text or in category."""
    for number in range(count):
        if number % 20 == 19:
            yield _record("real", number, spelled=number)
            continue
        others = hard if number % 3 == 2 else easy
        twin = others[number * 7 % len(others)]
        row = {**twin, "question": _rewritten(twin["question"], number)}
        if number % 20 == 9:
            row |= {"category": _other(twin["category"]), "sub_category": ""}
        yield row


def _record(split: str, number: int, *, spelled: int) -> dict[str, Any]:
    category = list(MIS_CATEGORIES)[number % len(MIS_CATEGORIES)]
    inner = MIS_CATEGORIES[category]
    return {
        "question": f"Could the thing in the first image go with that in the second image, say for {split} {number}?",
        "category": _spelled(category, spelled),
        "sub_category": _spelled(inner[number // len(MIS_CATEGORIES) % len(inner)], spelled + 1),
    }


def _spelled(name: str, number: int) -> str:
    return (name, name.upper(), name.lower(), name.replace(" ", "_"), name.replace("-", " "))[number % 5]


def _other(category: str) -> str:
    return "Hate" if category[:1].casefold() != "h" else "Privacy"


def _rewritten(question: str, number: int) -> str:
    """The same question by the rule of the benchmark's own repeats: case, spaces, final punctuation, letter width."""
    wide = question.replace("image", "\uff49\uff4d\uff41\uff47\uff45", 1)
    return (question, question.upper(), question.replace(" ", "  "), question[:-1], f" {question}!", wide)[number % 6]


# ------------------------------------------------------------------------------------------------------------- MSSBench


def mssbench(layout: Layout, *, chat: int, embodied: int) -> None:
    """Write the task's root: chat records of two queries, embodied ones of one instruction, or of lists."""
    root = layout.root / "mssbench"
    root.mkdir(parents=True, exist_ok=True)
    records = {
        "chat": [_chat(number) for number in range(chat)],
        "embodied": [_embodied(number) for number in range(embodied)],
    }
    for row in records["chat"]:
        layout.put(root, f"chat/{row['safe_image_path']}")
        layout.put(root, f"chat/{row['unsafe_image_path']}")
    for row in records["embodied"]:
        layout.put(root, f"embodied/{row['safe']}")
        layout.put(root, f"embodied/{row['unsafe']}")
    (root / "combined.json").write_text(json.dumps(records), encoding="utf-8")


def _chat(number: int) -> dict[str, Any]:
    return {
        "safe_image_path": f"{number}_safe.png",
        "unsafe_image_path": f"{number}_unsafe.png",
        "intent": f"practise hobby {number}",
        "unsafe_image": f"a place where hobby {number} is unwise",
        "Type": ("Physical Harm", "Property Damage", "Offensive", "Illegal")[number % 4],
        "queries": [f"How do I begin with hobby {number}?", f"What do I need for hobby {number}?"],
    }


def _embodied(number: int) -> dict[str, Any]:
    row: dict[str, Any] = {
        "task": f"chore {number}",
        "category": ("Property Damage", "Physical Harm")[number % 2],
        "safe": f"{number}_safe.png",
        "unsafe": f"{number}_unsafe.png",
        "observation_safe": f"an empty shelf {number}",
        "observation_unsafe": f"a full shelf {number}",
    }
    if number % 4 == 0:
        return row | {
            "safe_instruction": f"Put box {number} on the shelf",
            "unsafe_instruction": f"Put box {number} on the full shelf",
        }
    longer, shorter = (7, 6) if number < 8 else (6, 5)
    sides = ("safe", "unsafe") if number % 2 else ("unsafe", "safe")
    return row | {
        f"{side}_instructions": [f"{side}: put box {number}.{n} away" for n in range(size)]
        for side, size in zip(sides, (longer, shorter), strict=True)
    }


def embodied_pairs(rows: Sequence[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], str, str]]:
    """(record, safe instruction, unsafe instruction) of each pair that is asked: zipped, the shorter list wins."""
    found = []
    for row in rows:
        sides = []
        for side in ("safe", "unsafe"):
            given = row.get(f"{side}_instructions") or row[f"{side}_instruction"]
            sides.append([given] if isinstance(given, str) else given)
        found += [(row, safe, unsafe) for safe, unsafe in zip(*sides, strict=False)]
    return found
