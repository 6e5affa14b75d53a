"""The server of the soak, in a process of its own: the model and the judge, with every fault of `soak_plan`.

`python -m benchmarks.soak_server SEED RATE`: RATE calls a second are answered, in bursts of 10, and the rest refused.
So is every call in one second of each twenty, as by a server that is overloaded for a moment.

Prints its address. Each line of its input is answered by a line of counts; `again` also forgets how often each request
was asked, for a run that was killed and goes on.
"""

import json
import re
import sys
import time
from collections import Counter
from typing import Any

from benchmarks.soak_plan import TRIES, Role, find_ending, find_fault, make_refusal, make_reply
from benchmarks.storm_server import Bucket
from harness.testing.faults import Reply
from harness.testing.server import Call, ChatServer

BURST = 10
OVERLOADED, CYCLE = 1.0, 20.0  #: seconds in which all is refused, of how many
_SAMPLE = re.compile(r"Sample (\d+):")


class Player:
    """What the server plays, and the counts of it.

    Attributes:
        replies: by role and name, as in `soak_plan.Expected`.
        refusals: by name.
        finished: samples whose answer has its ending.
        repeats: calls for a request that has had an answer: each is one that the client lost, or asked twice.
    """

    def __init__(self, seed: int, rate: float, *, overloaded: float = OVERLOADED) -> None:
        self._seed = seed
        self._overloaded = overloaded
        self._bucket = Bucket(rate, BURST)
        self._asked: Counter[tuple[Role, int]] = Counter()
        self._ended: set[tuple[Role, int]] = set()
        self.replies: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.finished = self.repeats = 0

    def __call__(self, call: Call) -> Reply:
        found = _SAMPLE.search(call.text)
        if found is None:
            raise ValueError(f"a call names no sample: {call.text[:200]!r}")
        sample = int(found[1])
        role: Role = "model"
        if call.model.endswith("judge"):
            role = "repair" if any(part.role == "assistant" for part in call.parts) else "judge"
        key = (role, sample)
        if time.monotonic() % CYCLE < self._overloaded or not self._bucket.take():
            name, reply = make_refusal(self.refusals.total())
            self.refusals[name] += 1
            return reply
        self.repeats += key in self._ended
        attempt = self._asked[key]
        self._asked[key] += 1
        fault = find_fault(self._seed, role, sample, attempt)
        name = fault or find_ending(self._seed, role, sample)
        if (not fault or attempt == TRIES - 1) and role == "model":
            self.finished += 1
        if not fault and name != "bad request":
            self._ended.add(key)
        self.replies[f"{role}: {name}"] += 1
        return make_reply(self._seed, role, sample, name)

    def start_again(self) -> None:
        """Answer each request as if it had not been asked before."""
        self._asked.clear()

    def count(self) -> dict[str, Any]:
        """The counts so far."""
        return {
            "replies": dict(self.replies),
            "refusals": dict(self.refusals),
            "finished": self.finished,
            "repeats": self.repeats,
        }


def main() -> None:
    player = Player(int(sys.argv[1]), float(sys.argv[2]))
    with ChatServer(latency=0.05) as server:

        def play(call: Call) -> Reply:
            server.calls.clear()  # an hour of calls is not needed
            return player(call)

        server.play = play
        print(server.base_url, flush=True)
        for line in sys.stdin:
            if line.strip() == "again":
                player.start_again()
            print(json.dumps(player.count()), flush=True)


if __name__ == "__main__":
    main()
