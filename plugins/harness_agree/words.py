"""The labels of a split: those its metrics know, and what else a rubric calls them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness import HarnessError, Split, plugins
from harness.data.places import data_folder
from harness.settings import effective


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What may be said of an answer of one split.

    Attributes:
        labels: of the split, in the order of its rubrics.
        meanings: what a person may write, folded -> the labels it can stand for.
    """

    labels: tuple[str, ...]
    meanings: Mapping[str, tuple[str, ...]]

    def meant(self, text: str) -> str:
        """The split's label. Raises ValueError for a word that is none, or that two rubrics mean differently."""
        found = self.meanings.get(_folded(text), ())
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(f"label {text!r} can mean {' or '.join(found)}: write which")
        raise ValueError(f"label {text!r} is none of {', '.join(self.labels)}")


def words(split: Split) -> Words:
    """The labels that the split's rubrics can give; one that cannot be opened here counts by its translation."""
    labels: dict[str, None] = {}
    meanings: dict[str, dict[str, None]] = {}
    for rubric, translation in split.judges.items():
        for said in _labels(rubric) or translation:
            own = translation.get(said, said)
            labels[own] = None
            meanings.setdefault(_folded(said), {})[own] = None
    meanings |= {_folded(own): {own: None} for own in labels}
    return Words(labels=tuple(labels), meanings={said: tuple(own) for said, own in meanings.items()})


def _labels(rubric: str) -> tuple[str, ...]:
    try:
        judge = plugins.current().judge(rubric)
        settings = effective(judge.settings, {}, owner=f"judge {rubric}")
        return judge.open(settings, data_folder(None) / rubric).labels
    except HarnessError:  # it is not installed, or wants a file that is not here
        return ()


def _folded(text: str) -> str:
    """Spreadsheets begin words with a capital."""
    return "_".join(text.casefold().split())
