"""Which judges of a run a name means: `--judges` of `harness agree`, `--members` of `harness judge --combine`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.errors import UnknownName
from harness.settings import nearest
from harness.types import Json

Cards = Mapping[str, Mapping[str, Json]]  #: judge id -> what run.json says of it


def judges_named(flag: str, names: Sequence[str], cards: Cards) -> tuple[str, ...]:
    """The ids of the judges that some names mean, in the run's order.

    A name is an id, or a rubric: then it means all judges of exactly that rubric. Else it is what an id begins with
    beyond its rubric, such as `mis-openai`.

    Args:
        flag: the names were given to.
        names: at least one.
        cards: of the run's judges.

    Raises:
        UnknownName: a name means none of them.
    """
    meant = {judge for name in names for judge in _meant(flag, name, cards)}
    return tuple(judge for judge in cards if judge in meant)


def _meant(flag: str, name: str, cards: Cards) -> list[str]:
    rubrics = {judge: str(card["rubric"]) for judge, card in cards.items()}
    found = [judge for judge, rubric in rubrics.items() if name in (judge, rubric)]
    found = found or [
        judge for judge, rubric in rubrics.items() if name.startswith(f"{rubric}-") and judge.startswith(f"{name}-")
    ]
    if not found:
        raise UnknownName(f"{flag} {name}: no judge of this run", remedy=nearest(name, {*cards, *rubrics.values()}))
    return found
