"""The labels of a split: those its metrics know, and what else a rubric calls them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness import HarnessError, Split, plugins
from harness.data.places import data_folder
from harness.settings import effective


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelMap:
    """The words that label an answer of one split.

    Attributes:
        labels: of the split, in the order of its rubrics.
        meanings: what a person may write, folded -> the labels it can stand for.
    """

    labels: tuple[str, ...]
    meanings: Mapping[str, tuple[str, ...]]

    def find(self, text: str) -> str:
        """The split's label. Raises ValueError for a word that is none, or that two rubrics mean differently."""
        found = self.meanings.get(_fold(text), ())
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(f"label {text!r} can mean {' or '.join(found)}: write which")
        raise ValueError(f"label {text!r} is none of {', '.join(self.labels)}")


def map_labels(split: Split) -> LabelMap:
    """The labels that the split's rubrics can give; one that cannot be opened here counts by its translation."""
    labels: dict[str, None] = {}
    meanings: dict[str, dict[str, None]] = {}
    for rubric, translation in split.judges.items():
        try:
            judge = plugins.current().judge(rubric)
            settings = effective(judge.settings, {}, owner=f"judge {rubric}")
            words = judge.open(settings, data_folder(None) / rubric).labels
        except HarnessError:  # it is not installed, or needs a file that is not here
            words = ()
        for word in words or translation:
            own = translation.get(word, word)
            labels[own] = None
            meanings.setdefault(_fold(word), {})[own] = None
    meanings |= {_fold(own): {own: None} for own in labels}
    return LabelMap(labels=tuple(labels), meanings={word: tuple(own) for word, own in meanings.items()})


def _fold(text: str) -> str:
    """Spreadsheets begin words with a capital."""
    return "_".join(text.casefold().split())
