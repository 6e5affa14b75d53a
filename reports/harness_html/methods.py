"""The methods paragraph of the page: what was run, in sentences for a paper."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from harness import Results
from harness.board.corrected import count_things
from harness.board.leaderboard import Board
from harness.board.suites import Mean
from harness.text import one_line

_OWN_SETTINGS: Final = "with the providers' settings"
_OUTCOMES: Final = (
    "Every sample ends in one outcome: blocked and empty answers count as each benchmark says, and what is unresolved "
    "(errors, broken samples, judges that failed) is outside the denominator, counted beside the number, and turned "
    "into bounds."
)
_INTERVALS: Final = (
    "Intervals are 95% Wilson intervals at the effective sample size, clustered by what belongs together and stretched "
    "over those bounds; a rank counts the models whose whole interval is better."
)
_BY_PEOPLE: Final = (
    "A number by people rests on labels that people gave a random part of the answers, drawn by the judge's labels; "
    "its interval holds the judge's errors and the draw. It changes no rank, since not every model has labels."
)


def describe_methods(results: Sequence[Results], boards: Sequence[Board], means: Sequence[Mean]) -> list[str]:
    """The methods paragraph: the actual runs, in sentences for a paper; empty without runs."""
    rows = [row for board in boards for row in board.rows]
    if not rows:
        return []
    versions = join_names({str(each["harness"]) for each in results})
    days = sorted(str(each[key])[:10] for each in results for key in ("started", "finished") if each.get(key))
    models = count_things(len({str(each["model"]["ref"]) for each in results}), "model")
    when = f"on {days[0]}" if days[0] == days[-1] else f"between {days[0]} and {days[-1]}"
    splits: dict[str, dict[str, None]] = {}
    for board in boards:
        splits.setdefault(board.task, {})[board.split] = None
    asked = join_names([f"{task} ({', '.join(names)})" for task, names in splits.items()])
    judges = join_names({row.judge.told for row in rows if row.judge.id})
    given: Mapping[str, set[str]] = {
        name: {str(row.settings[name]) for row in rows if row.settings.get(name) is not None}
        for name in ("temperature", "max_tokens")
    }
    clauses = [f"at temperature {join_names(given['temperature'])}"] if given["temperature"] else []
    clauses += [f"with at most {join_names(given['max_tokens'])} tokens"] if given["max_tokens"] else []
    if any("temperature" in row.settings and row.settings["temperature"] is None for row in rows):
        clauses.append("with their provider's own sampling where they refuse a temperature")
    sentences = [
        f"{models} ran under vlm-safety-harness {versions} {when}.",
        f"The splits asked were those of {asked}.",
        f"Answers were generated {', '.join(clauses) if clauses else _OWN_SETTINGS}.",
        f"They were judged by {judges}." if judges else "Nobody has judged them.",
        _OUTCOMES,
        _INTERVALS,
    ]
    if any(board.shows_corrected for board in boards):
        sentences.append(_BY_PEOPLE)
    if means:
        suites = join_names({mean.suite for mean in means})
        sentences.append(f"The mean of {suites} is unweighted, and null while a part is missing.")
    reasons = Counter(row.unranked for row in rows if row.unranked)
    if unranked := reasons.total():
        shown = f"{unranked} of {count_things(len(rows), 'result')} {'are' if unranked > 1 else 'is'} shown unranked"
        sentences.append(f"{shown}: {'; '.join(f'{why} ({number})' for why, number in reasons.most_common())}.")
    return [one_line(sentence, 2000) for sentence in sentences]


def join_names(names: set[str] | Sequence[str]) -> str:
    """`a, b and c`; names of a set in their order."""
    ordered = sorted(names) if isinstance(names, set) else names
    return ", ".join(ordered[:-1]) + " and " + ordered[-1] if len(ordered) > 1 else "".join(ordered)
