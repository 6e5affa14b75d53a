"""Categories that are left out of training, so that a model can be asked about what it never saw."""

from __future__ import annotations

from collections.abc import Iterable

from harness import UnknownName
from harness.lineage import folded
from harness.settings import nearest

from .draft import Draft


class HoldOut:
    """Tells the records of some categories; capitals, spaces, hyphens and underscores make no difference."""

    def __init__(self, names: Iterable[str]) -> None:
        self._wanted = {folded(name): name.strip() for name in names if name.strip()}
        self._seen: dict[str, str] = {}  # as folded -> as the data spell it

    def holds(self, draft: Draft) -> str:
        """The name under which a record is held out; empty where it stays."""
        if not self._wanted:
            return ""
        held = ""
        for name in (*draft.category.split(";"), *draft.sub_category.split(";")):
            spelled = folded(name)
            if spelled:
                self._seen.setdefault(spelled, name.strip())
                held = held or self._wanted.get(spelled, "")
        return held

    def check(self) -> None:
        """Once all data were read.

        Raises:
            UnknownName: a name is no category of any record.
        """
        for spelled, name in self._wanted.items():
            if spelled not in self._seen:
                close = self._seen.get(_close(spelled, self._seen), "")
                remedy = f"did you mean {close!r}?" if close else nearest(name, self._seen.values())
                raise UnknownName(f"--hold-out {name}: no record has this category or sub-category", remedy=remedy)


def _close(spelled: str, seen: Iterable[str]) -> str:
    import difflib

    return next(iter(difflib.get_close_matches(spelled, list(seen), n=1, cutoff=0.6)), "")
