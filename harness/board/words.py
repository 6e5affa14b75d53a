"""What the words of a leaderboard mean: flags, marks, the rank, and the facts of a row. Each report takes them here.

`docs/leaderboards.md` has the same words for flags; a test compares them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

#: shown where a plugin does not say what its metric, label or task is
UNDESCRIBED: Final = "not described by its plugin"

RANK_RULE: Final = (
    "A rank is one more than the number of models whose whole interval is better, so models that cannot be told apart "
    "share a rank. The interval covers what unresolved records could still have been."
)

#: kind of caution -> when a row has it
FLAGS: Final[Mapping[str, str]] = {
    "own_family": "the judge is a model of the tested model's own family (by their names, also those the providers "
    "report), or the tested model itself",
    "trained_on": "the model was, as declared, trained on data of the test's source",
    "sampling": "the model refuses a temperature, so that its provider's sampling answered",
    "attack": "an attack changed the questions, such as by moving their words into an image",
    "strategy": "a strategy asked the model in its own way, such as in two steps",
    "system": "a system prompt stood before each request",
    "names": "the provider answered under several names",
    "not_drawn": "the judge has read a part of the answers, and nothing says that it is a random one: it stopped "
    "midway, or people chose",
    "toy": "the data was drawn to show the tool: the numbers measure nothing",
    "unverifiable": "the results.json stands without the run's lines, so that nobody can make it again",
}

#: a mark next to a number -> when it is there
MARKS: Final[Mapping[str, str]] = {
    "best": "the one model of rank 1, where nobody shares that rank",
    "second": "the one model of rank 2, where another stands behind it",
    "†": "not ranked: a subset, incomplete, or not judged",
    "—": "there is no number; the results say why",
}

#: a column of facts -> what it holds
FACTS: Final[Mapping[str, str]] = {
    "n": "samples of the split that were asked",
    "Coverage": "share of the records that count; the rest are errors, broken samples and failed judges",
    "Blocked": "records that the provider's filter stopped, before or after the answer",
    "Answered by": "local weights were read on the machine that ran them, with their commit or hash; an API "
    "was asked over a network, with the names that its provider reported",
    "Date": "day on which the run ended",
}

#: whose words the input of a split is in -> in words
WORDINGS: Final[Mapping[str, str]] = {
    "own": "this harness's own words",
    "upstream": "the words of the benchmark's authors",
    "modified": "the words of the benchmark's authors, changed here",
}

#: what a split asks about -> in words
TOPICS: Final[Mapping[str, str]] = {
    "safety": "whether the model gives harmful answers to harmful requests",
    "over-refusal": "whether the model refuses harmless requests",
    "ability": "whether the model answers ordinary questions correctly",
}

#: direction of a metric -> in words
DIRECTIONS: Final[Mapping[str, str]] = {
    "lower": "Lower is better.",
    "higher": "Higher is better.",
    "neither": "Neither direction is better.",
}


def describe_metric(definition: str, unit: str, better: str) -> str:
    """A metric's definition with its unit and direction: `Share of the … In percent. Lower is better.`"""
    text = definition.strip() or UNDESCRIBED
    units = {"%": "In percent.", "0-1": "From 0 to 1."}
    parts = (text if text.endswith((".", "!", "?")) else f"{text}.", units.get(unit, f"In {unit}." if unit else ""))
    return " ".join(filter(None, (*parts, DIRECTIONS.get(better, ""))))
