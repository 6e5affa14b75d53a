"""Records to a batch: texts and images through the processor, and labels on the answers only.

Devices that train together must run the same parts of a model in each step: where its weights are spread, a part that
one of them leaves out is waited for by the others for ever. So there a batch without an image gets a blank one behind
an answer, where no token that is learnt sees it: the losses stay what they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from harness import HarnessError
from harness.local import Frontend
from harness_mirage.models.untyped import Untyped, torch
from harness_mirage.records import Record

from .pictures import blank, opened
from .scripts import Answer, Script

IGNORED: Final = -100  #: a label that no loss is computed on
RECORDS: Final = "records"  #: key of a batch: numbers of its records, for errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Collator:
    """Makes batches, and opens images only then: memory stays flat whatever the mixture's size.

    Attributes:
        frontend: of the model.
        records: of the mixture.
        scripts: of the same records.
        pixels: most pixels of an image.
        mark: stands for the blank image of a batch that has none; empty where such a batch gets none.
    """

    frontend: Frontend
    records: Sequence[Record]
    scripts: Sequence[Script]
    pixels: int | None
    mark: str = ""

    def __call__(self, rows: Sequence[Mapping[str, int]]) -> dict[str, Untyped]:
        """The batch of some records.

        Args:
            rows: each with the number of a record.

        Returns:
            What the processor makes of them, with `labels` (-100 on all that is no answer) and `records`.

        Raises:
            BadData: an image is missing or broken.
            HarnessError: the processor's tokens do not hold an answer.
        """
        numbers = [row["record"] for row in rows]
        batch = self._encoded(numbers)
        ids: list[list[int]] = batch["input_ids"].tolist()
        labels = [self._labels(number, row) for number, row in zip(numbers, ids, strict=True)]
        return {**batch, "labels": torch.tensor(labels), RECORDS: torch.tensor(numbers)}

    def _encoded(self, numbers: Sequence[int]) -> dict[str, Untyped]:
        pictures = [
            [opened(picture, self.pixels, record.place) for picture in record.pictures]
            for record in (self.records[number] for number in numbers)
        ]
        texts = [self.scripts[number].text for number in numbers]
        if self.mark and not any(pictures):
            shortest = texts.index(min(texts, key=len))  # the batch is padded to its longest
            texts[shortest] += self.mark
            pictures[shortest] = [blank()]
        return self.frontend.encode(
            text=texts,
            **({"images": pictures} if any(pictures) else {}),
            return_tensors="pt",
            padding=True,
            padding_side="right",
            add_special_tokens=False,  # the template wrote them
        )

    def _labels(self, number: int, ids: Sequence[int]) -> list[int]:
        """The labels of one row; answers are looked for from the end, each before the one that follows it."""
        labels, end = [IGNORED] * len(ids), len(ids)
        for answer in reversed(self.scripts[number].answers):
            at = _last(ids, answer, end)
            if at is None:
                raise HarnessError(
                    "an answer is not found among the tokens that the processor makes of its record",
                    where=self.records[number].place,
                    remedy="leave out the record; where it is every record, this processor is not known here",
                )
            start, after = at + answer.start, at + len(answer.tokens)
            labels[start:after] = ids[start:after]
            end = start
        return labels


def _last(ids: Sequence[int], answer: Answer, end: int) -> int | None:
    """The last place before `end` where an answer's tokens stand."""
    tokens = list(answer.tokens)
    for at in range(end - len(tokens), -1, -1):
        if ids[at] == tokens[0] and ids[at : at + len(tokens)] == tokens:
            return at
    return None
