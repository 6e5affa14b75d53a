"""What a reader must hold against a number: flags that stand beside it, whatever its rank."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.board.families import families
from harness.board.values import Caution, Row

TOY_DATA = "toy data: shows the tool, measures nothing"


def cautions(row: Row, task: str, source: str) -> Iterator[Caution]:
    """The cautions on one row.

    Args:
        row: as read from results.
        task: its displayed name.
        source: of the task's data, as the run recorded it.
    """
    if row.toy:
        yield Caution(kind="toy", told=TOY_DATA)
    yield from _own_family(row)
    yield from _trained_on_it(row, task, source)
    if "temperature" in row.settings and row.settings["temperature"] is None:
        yield Caution(kind="sampling", told="provider sampling (no temperature was set)")
    if row.strategy:
        yield Caution(kind="strategy", told=f"answers by the strategy {row.strategy}")
    if row.system:
        yield Caution(kind="system", told="a system prompt stands before each request")
    if len(row.resolved) > 1:
        yield Caution(kind="names", told=f"answered under several names ({', '.join(row.resolved)})")
    if row.drawn is False:
        answers, waiting = row.outcomes["answered"], row.verdicts.get("unjudged", 0)
        told = f"not drawn: the judge has read {answers - waiting} of {answers} answers, which are no random part"
        yield Caution(kind="not_drawn", told=told)
    if row.bare:
        yield Caution(kind="unverifiable", told="not verifiable: its results stand without the answers they count")


def _own_family(row: Row) -> Iterator[Caution]:
    """The judge is of the tested model's family; a model that judges itself is, whatever its name tells."""
    names = (row.ref.partition("/")[2], *row.resolved)
    shared = families(*names) & families(row.judge.model)
    if row.judge.model and (shared or row.judge.model in (row.ref, *names)):
        family = ", ".join(sorted(shared)) or row.ref
        yield Caution(kind="own_family", told=f"judged by a model of its own family ({family})")


def _trained_on_it(row: Row, task: str, source: str) -> Iterator[Caution]:
    """The model was trained on data of the test's source."""
    here = {_plain(re.split(r"[ :(]", task)[0]), _plain(source), _plain(source.rpartition("/")[2])} - {""}
    same = [name for name in row.trained_on if any(_of(_plain(name), own) for own in here)]
    if same:
        yield Caution(kind="trained_on", told=f"trained on data of this test's source ({', '.join(same)})")


def _of(name: str, source: str) -> bool:
    """Whether a training set is the source or a part of it: `mis`, `mis-train`, `owner/mis`."""
    return any(each == source or each.startswith(f"{source}-") for each in (name, name.rpartition("/")[2]))


def _plain(name: str) -> str:
    return name.strip().casefold().replace("_", "-")
