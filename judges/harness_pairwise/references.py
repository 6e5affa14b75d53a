"""The answers to compare with: what a task gives with a sample, or what stands in a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from harness import HarnessError, Json, MissingData, Sample, open_files, rows
from harness.keys import digest
from harness.readers import Row

#: How an answer of another run may have ended to be a reference: blocked and empty ones are blank.
ANSWERED: Final = frozenset({"answered", "empty", "input_blocked", "output_blocked"})
Place = tuple[str, str]  #: split and sample id


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """Answers by split and sample id; a split that is empty stands for any.

    Attributes:
        texts: (split, id) -> answer.
        cut: those that were cut off before any text: not known, unlike those that are blank.
        digest: of all of them; empty where no file was given.
    """

    texts: Mapping[Place, str]
    cut: frozenset[Place] = frozenset()
    digest: str = ""

    def of(self, sample: Sample) -> str:
        """What a sample's answer is compared with: the file's where it has one, else the task's own.

        Raises:
            HarnessError: there is neither, or the file's was cut off before any text.
        """
        for split in (sample.split, ""):
            if (split, sample.id) in self.cut:
                raise HarnessError(
                    f"the reference answer to sample {sample.id} was cut off before any text",
                    remedy="a larger --max-tokens in the run it is from leaves room for one",
                )
            if (split, sample.id) in self.texts:
                return self.texts[split, sample.id]
        own = cast("Mapping[str, Json]", sample.target or {}).get("reference")
        if isinstance(own, str):
            return own
        raise HarnessError(
            f"sample {sample.id} of {sample.split} has no reference answer", remedy="-T pairwise.reference=FILE.jsonl"
        )


def no_references() -> References:
    """What a run without a file compares with: the tasks' own references alone."""
    return References(texts={})


def read_references(file: Path) -> References:
    """The answers in a JSONL file: `id`, `text` (or `reference`, `response`, `answer`) and, where there are several
    splits, `split`; or the responses.jsonl of a run folder, of which the last answer to each sample counts.

    Raises:
        MissingData: there is no such file.
        BadData: it is not JSON lines of such records.
        HarnessError: it holds no answer.
    """
    if not file.is_file():
        raise MissingData("there is no such file of references", where=str(file))
    real = file.resolve()
    # The last answer to a sample counts, whether it was cut off or not.
    found = {_place(row): row for row in rows(open_files(real.parent), real.name) if _counts(row)}
    if not found:
        raise HarnessError("the file holds no answer to compare with", where=str(file))
    texts = {place: _text(row) for place, row in sorted(found.items())}
    cut = [place for place, text in texts.items() if not text.strip() and _cut(found[place])]
    told = [[*place, text] for place, text in texts.items()] + [[*place, None] for place in cut]
    return References(texts=texts, cut=frozenset(cut), digest=digest(told))


def _counts(row: Row) -> bool:
    return row.text("outcome", default="answered") in ANSWERED and row.values.get("epoch") in (None, 0)


def _place(row: Row) -> Place:
    return (row.text("split", default=""), row.key("id"))


def _text(row: Row) -> str:
    names = [name for name in ("text", "reference", "response", "answer") if row.has(name)]
    blocked = row.text("outcome", default="answered") not in {"answered", "empty"}
    return "" if blocked else row.text(*names or ["text"], default="" if names else None)


def _cut(row: Row) -> bool:
    """Whether the budget was spent before any text: a blocked answer is blank for another reason."""
    flags = row.values.get("flags")
    return row.text("outcome", default="answered") == "empty" and isinstance(flags, list) and "truncated" in flags
