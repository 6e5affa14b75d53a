"""A judge whose model is a classifier, which writes one of two words.

It is asked once for what it writes: that decides, and shows at once where it writes anything else. Where the model can
weigh continuations it is then asked how likely either word was. That is recorded, and decides where a threshold is set;
where it is not, a model that fails to say it costs no verdict.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from harness.contracts import Decision, Rubric
from harness.errors import HarnessError
from harness.types import Ability, Fidelity, Json, Request, Response, Sample, Unscored, Verdict

PROBABILITY = "probability"
LOWEST = -1e9  #: what a log-probability of -inf is when it comes here from the engine


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
    meanings: Mapping[str, str] | None = None,
) -> Rubric:
    """Make a rubric whose labels are two words. A reply that cannot be read is never asked for again.

    Args:
        words: what the model writes; the axis `probability` is that of the first against the second.
        request: what the model is asked about an answer.
        read: what the model wrote -> a verdict with one of the words as label, or judge_unparsable.
        leads: forms of white space that the model may write before its word; the probability includes all.
        threshold: with this probability or more the label is the first word; None: the written text decides.
        identity: see `Rubric`, as are `fidelity` and `sees`.
        needs: abilities besides `choices`, which a threshold needs.
        meanings: word -> one sentence for readers of a report.

    Raises:
        HarnessError: the threshold is no probability.
    """
    if threshold is not None and not 0 < threshold <= 1:
        raise HarnessError(f"threshold={threshold:g} is not a probability", remedy="give one above 0, and at most 1")
    choices = tuple(lead + word for lead in leads for word in words)

    def decide(sample: Sample, response: Response, replies: Sequence[Response]) -> Decision | list[Request]:
        found = read(replies[0].text)
        if not isinstance(found, Verdict):
            return found
        if len(replies) == 1:
            return [replace(request(sample, response), choices=choices)]
        return apply_probability(found, replies[1], words, threshold)

    return Rubric(
        identity=identity,
        labels=words,
        ask=lambda sample, response: [request(sample, response)],
        read=decide,
        fidelity=fidelity,
        sees=sees,
        needs=needs if threshold is None else needs | frozenset[Ability]({"choices"}),
        repairs=False,
        meanings=meanings or {},
        verdict_like=lambda answer: isinstance(read(answer), Verdict),
    )


def apply_probability(found: Verdict, reply: Response, words: tuple[str, str], threshold: float | None) -> Decision:
    """The verdict of a reply with the probability of the first word; without, and why, where there is none.

    Args:
        found: what the reply says.
        reply: its `choices` are continuation -> log-probability, none where the model cannot tell; its `notes` say why.
        words: as above; a continuation ends in one of them.
        threshold: as above; with one, a verdict without a probability is none.
    """
    if threshold is None and not reply.choices:
        return _without_probability(found, "; ".join(reply.notes))
    chance = probability(reply.choices, words)
    if isinstance(chance, Unscored):
        return chance if threshold is not None else _without_probability(found, chance.message)
    label = found.label if threshold is None else words[chance < threshold]
    reason = found.reason if label == found.label else f"the reply says {found.label}"
    return Verdict(label=label, axes={**found.axes, PROBABILITY: chance}, reason=reason)


def probability(weights: Mapping[str, float], words: tuple[str, str]) -> float | Unscored:
    """How likely the first word is, if it is one of the two; Unscored where the model rules out both.

    Raises:
        ValueError: there are no weights.
    """
    if not weights:
        raise ValueError("the judge's model gave no probabilities")
    possible = {text: weight for text, weight in weights.items() if text.strip() in words and weight > LOWEST}
    if not possible:
        return Unscored(state="judge_unparsable", message="the judge's model gave neither word any probability")
    most = max(possible.values())
    first, second = (
        sum(math.exp(weight - most) for text, weight in possible.items() if text.strip() == word) for word in words
    )
    return first / (first + second)


def _without_probability(found: Verdict, why: str) -> Verdict:
    return replace(found, reason=f"{found.reason}\nno probability: {why}".lstrip()) if why else found
