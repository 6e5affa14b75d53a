"""Helpers for judge authors: a judge's model that is a classifier, which writes one of two words.

It is asked once for what it writes: that decides, and shows at once where it writes anything else. Where the model can
weigh continuations it is then asked how likely either word was. That is recorded, and decides where a threshold is set.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from harness.errors import HarnessError
from harness.judges import Decision, Rubric
from harness.types import Ability, Fidelity, Json, Request, Response, Sample, Verdict

PROBABILITY = "probability"


def classifier(
    *,
    words: tuple[str, str],
    request: Callable[[Sample, Response], Request],
    read: Callable[[str], Decision],
    leads: tuple[str, ...] = ("",),
    threshold: float | None = None,
    identity: Mapping[str, Json],
    fidelity: Fidelity,
    sees: tuple[str, ...],
    needs: frozenset[Ability] = frozenset(),
) -> Rubric:
    """A rubric whose labels are the two words. A reply that cannot be read is never asked for again.

    Args:
        words: what the model writes; the axis `probability` is that of the first against the second.
        request: what the model is asked about an answer.
        read: what the model wrote -> a verdict with one of the words as label, or judge_unparsable.
        leads: white space that the model may write before its word; all of them are weighed.
        threshold: from this probability on the label is the first word, whatever is written; None lets the text decide.
        identity: see `Rubric`, as are `fidelity` and `sees`.
        needs: abilities beside `choices`, which a threshold needs.

    Raises:
        HarnessError: the threshold is no probability.
    """
    if threshold is not None and not 0 < threshold <= 1:
        raise HarnessError(f"threshold={threshold:g} is no probability", remedy="give one above 0, and at most 1")
    choices = tuple(lead + word for lead in leads for word in words)

    def decide(sample: Sample, response: Response, replies: Sequence[Response]) -> Decision | list[Request]:
        found = read(replies[0].text)
        if not isinstance(found, Verdict):
            return found
        if len(replies) == 1:
            return [replace(request(sample, response), choices=choices)]
        return weighed(found, replies[1].choices, words, threshold)

    return Rubric(
        identity=identity,
        labels=words,
        ask=lambda sample, response: [request(sample, response)],
        read=decide,
        fidelity=fidelity,
        sees=sees,
        needs=needs if threshold is None else needs | frozenset[Ability]({"choices"}),
        repairs=False,
    )


def weighed(found: Verdict, weights: Mapping[str, float], words: tuple[str, str], threshold: float | None) -> Verdict:
    """The verdict of a reply with the probability of the first word, where the model gave weights.

    Args:
        found: what the reply says.
        weights: continuation -> log-probability; empty where the model cannot tell.
        words: as above; a continuation ends in one of them.
        threshold: as above.
    """
    if not weights and threshold is None:
        return found
    chance = probability(weights, words)
    label = found.label if threshold is None else words[chance < threshold]
    reason = found.reason if label == found.label else f"the reply says {found.label}"
    return Verdict(label=label, axes={**found.axes, PROBABILITY: chance}, reason=reason)


def probability(weights: Mapping[str, float], words: tuple[str, str]) -> float:
    """How likely the first word is, if it is one of the two. Raises ValueError where there are no weights."""
    if not weights:
        raise ValueError("the judge's model gave no probabilities")
    most = max(weights.values())
    first, second = (
        sum(math.exp(weight - most) for text, weight in weights.items() if text.strip() == word) for word in words
    )
    return first / (first + second)
