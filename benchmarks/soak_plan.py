"""What the server of the soak answers, drawn by a hash of the request, and what must come out of it.

The draw of a try knows the seed, who is asked, the sample, and how often it was asked before. So the outcome of each
sample, the state of each verdict and the number of calls are known before the run. Refusals with 429 and 529 are not
drawn: a client answers them with a slower pace, and one that is refused at random, however slowly it asks, stands
still. The server refuses what is over its rate, as real ones do; no outcome depends on it.
"""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from harness.testing import faults
from harness.testing.faults import Reply

Role = Literal["model", "judge", "repair"]  #: a repair asks a judge again whose reply could not be read
SHARE: Final = 0.05  #: of each fault among the calls
TRIES: Final = 6  #: of a call, as `harness.limits.Policy` has it
LABELS: Final = ("careful", "careless")
TOKENS: Final = (12, 7)  #: in and out, of each answer that reports tokens
_FLAGGED: Final = "It is a drawing of a shape, as the question says."
_PROSE: Final = "I think that this answer is fine."

#: faults that are worth another try
PASSING: Final[Mapping[str, Callable[[], Reply]]] = {
    "server error": faults.server_error,
    "connection reset": lambda: Reply(fault="drop"),
    "stall": lambda: Reply(fault="stall"),
    "half a body": lambda: Reply(fault="cut"),
    "not JSON": faults.not_json,
    "wrong shape": faults.wrong_shape,
}
#: how a call can end: share and reply; what is left of the calls gets a good answer
ENDINGS: Final[Mapping[Role, Mapping[str, tuple[float, Callable[[], Reply]]]]] = {
    "model": {
        "prompt filtered": (SHARE, faults.filtered_azure),
        "answer filtered": (SHARE, lambda: faults.answer("Mix the", finish="content_filter")),
        "empty": (SHARE, lambda: faults.answer("")),
        "truncated": (SHARE, lambda: faults.answer("It is a", finish="length")),
        "bad request": (SHARE, faults.bad_request),
    },
    "judge": {
        "refused": (SHARE, lambda: faults.answer(None, refusal="I can't help with that.")),
        "blocked": (SHARE, faults.filtered_openai),
        "unparsable": (2 * SHARE, lambda: faults.answer(_PROSE)),
        "bad request": (SHARE, faults.bad_request),
    },
    "repair": {"unparsable": (0.5, lambda: faults.answer(_PROSE))},
}
_OUTCOMES: Final = {"prompt filtered": "input_blocked", "answer filtered": "output_blocked", "empty": "empty"}
_STATES: Final = {"refused": "judge_refused", "blocked": "judge_blocked", "unparsable": "judge_unparsable"}
#: endings of a model's call that no judge sees, and endings without tokens
_FREE: Final = frozenset({"prompt filtered", "blocked", "bad request", "gave up"})


def draw(seed: int, role: Role, sample: int, what: str) -> float:
    """A number from 0 to 1 that depends on these alone."""
    text = f"{seed}/{role}/{sample}/{what}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) / 2**64


def find_fault(seed: int, role: Role, sample: int, attempt: int) -> str:
    """The fault that a try meets, the first being 0; empty if it gets the ending."""
    number = int(draw(seed, role, sample, f"try {attempt}") / SHARE)
    return list(PASSING)[number] if number < len(PASSING) else ""


def find_ending(seed: int, role: Role, sample: int) -> str:
    """What the call ends with once a try meets no fault."""
    place = draw(seed, role, sample, "ending")
    for name, (share, _reply) in ENDINGS[role].items():
        if place < share:
            return name
        place -= share
    return "answered"


def find_label(seed: int, sample: int) -> str:
    """The label that the judge gives where it gives one."""
    return LABELS[draw(seed, "judge", sample, "label") < 0.5]


def make_reply(seed: int, role: Role, sample: int, name: str) -> Reply:
    """The reply of a fault, of an ending, or of a good call."""
    if name in PASSING:
        return PASSING[name]()
    if name in ENDINGS[role]:
        return ENDINGS[role][name][1]()
    if role == "model":
        return faults.answer(_FLAGGED)
    return faults.answer(json.dumps({"reason": "as drawn", "answer": find_label(seed, sample)}))


def make_refusal(number: int) -> tuple[str, Reply]:
    """The server's refusals in turn: 429 with and without Retry-After, and 529."""
    kind = number % 3
    if kind == 0:
        return "429 with Retry-After", faults.throttled(1)
    return ("429", faults.throttled()) if kind == 1 else ("529", faults.server_error(529))


def list_tries(seed: int, role: Role, sample: int) -> Iterator[str]:
    """What each try of a call gets; the last is its ending, or `gave up` after the last fault."""
    for attempt in range(TRIES):
        fault = find_fault(seed, role, sample, attempt)
        yield fault or find_ending(seed, role, sample)
        if not fault:
            return
    yield "gave up"


@dataclass(slots=True, kw_only=True)
class Expected:
    """What a run over a number of samples must give.

    Attributes:
        outcomes: of the answers.
        verdicts: states of judging.
        labels: of the scored answers alone.
        replies: what the server must have sent, by role and name; refusals are not among them.
        tokens: calls that report tokens, of the model and of the judge.
    """

    outcomes: Counter[str] = field(default_factory=Counter[str])
    verdicts: Counter[str] = field(default_factory=Counter[str])
    labels: Counter[str] = field(default_factory=Counter[str])
    replies: Counter[str] = field(default_factory=Counter[str])
    tokens: Counter[str] = field(default_factory=Counter[str])

    def ask(self, seed: int, role: Role, sample: int) -> str:
        """Count one call with its tries, and return its ending."""
        *before, ending = list_tries(seed, role, sample)
        for name in before if ending == "gave up" else [*before, ending]:
            self.replies[f"{role}: {name}"] += 1
        if ending not in _FREE:
            self.tokens["model" if role == "model" else "judge"] += 1
        return ending


def predict(seed: int, samples: int) -> Expected:
    """What a run over so many samples must give."""
    expected = Expected()
    for sample in range(samples):
        ending = expected.ask(seed, "model", sample)
        failed = ending in ("bad request", "gave up")
        outcome = "error" if failed else _OUTCOMES.get(ending, "answered")
        expected.outcomes[outcome] += 1
        if outcome != "answered":
            continue
        ending = expected.ask(seed, "judge", sample)
        if ending == "unparsable":
            ending = expected.ask(seed, "repair", sample)
        failed = ending in ("bad request", "gave up")
        state = "judge_error" if failed else _STATES.get(ending, "scored")
        expected.verdicts[state] += 1
        if state == "scored":
            expected.labels[find_label(seed, sample)] += 1
    return expected


def choose_seed() -> int:
    """A seed that nobody chose."""
    return random.SystemRandom().randrange(10**6)
