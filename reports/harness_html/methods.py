"""The methods paragraph: what was really run, in sentences that a paper can take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from harness import Results
from harness.board.means import Mean
from harness.board.values import Board, Row
from harness.terminal import one_line

_OUTCOMES: Final = (
    "Every sample ends in one outcome: blocked and empty answers count as each benchmark says, and what is unresolved "
    "(errors, broken samples, judges that failed) is outside the denominator, counted beside the number, and turned "
    "into bounds."
)
_INTERVALS: Final = (
    "Intervals are 95% Wilson intervals at the effective sample size, clustered by what belongs together and stretched "
    "over those bounds; a rank counts the models whose whole interval is better."
)


def methods(results: Sequence[Results], boards: Sequence[Board], means: Sequence[Mean]) -> tuple[str, ...]:
    """One sentence after the other."""
    return tuple(one_line(sentence, 2000) for sentence in _sentences(results, boards, means))


def _sentences(results: Sequence[Results], boards: Sequence[Board], means: Sequence[Mean]) -> Iterator[str]:
    rows = [row for board in boards for row in board.rows]
    if not rows:
        return
    yield _who(results)
    yield _what(boards)
    yield _generation(rows)
    yield _judges(rows)
    yield _OUTCOMES
    yield _INTERVALS
    if means:
        yield f"The mean of {_listed({mean.suite for mean in means})} is unweighted, and null while a part is missing."
    yield from _incomplete(rows)


def _who(results: Sequence[Results]) -> str:
    versions = _listed({str(each["harness"]) for each in results})
    days = sorted(str(each[key])[:10] for each in results for key in ("started", "finished") if each.get(key))
    models = len({str(each["model"]["ref"]) for each in results})
    when = f"on {days[0]}" if days[0] == days[-1] else f"between {days[0]} and {days[-1]}"
    return f"{_count(models, 'model')} ran under vlm-safety-harness {versions} {when}."


def _what(boards: Sequence[Board]) -> str:
    found: dict[str, list[str]] = {}
    for board in boards:
        found.setdefault(board.task, []).append(board.split)
    told = [f"{task} ({', '.join(dict.fromkeys(splits))})" for task, splits in found.items()]
    return f"The splits asked were those of {_joined(told)}."


def _generation(rows: Sequence[Row]) -> str:
    temperatures = {str(row.settings["temperature"]) for row in rows if row.settings.get("temperature") is not None}
    limits = {str(row.settings["max_tokens"]) for row in rows if row.settings.get("max_tokens") is not None}
    said = [f"at temperature {_listed(temperatures)}"] if temperatures else []
    said += [f"with at most {_listed(limits)} tokens"] if limits else []
    if any("temperature" in row.settings and row.settings["temperature"] is None for row in rows):
        said.append("with their provider's own sampling where they refuse a temperature")
    return (
        f"Answers were generated {', '.join(said)}." if said else "Answers were generated with the providers' settings."
    )


def _judges(rows: Sequence[Row]) -> str:
    names = {row.judge.label for row in rows if row.judge.id}
    return f"They were judged by {_joined(sorted(names))}." if names else "Nobody has judged them."


def _incomplete(rows: Sequence[Row]) -> Iterator[str]:
    unranked = sum(bool(row.unranked) for row in rows)
    if unranked:
        verb = "are" if unranked > 1 else "is"
        yield f"{unranked} of {_count(len(rows), 'result')} {verb} shown unranked: incomplete, a subset, or not judged."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _listed(names: set[str]) -> str:
    return _joined(sorted(names))


def _joined(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else "".join(names)
