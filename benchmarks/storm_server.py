"""A server that allows so many requests a second and refuses the rest with 429, in a process of its own.

`python -m benchmarks.storm_server RATE BURST LATENCY MODE`: a bucket of BURST tokens that fills with RATE a second; an
answer takes LATENCY seconds; MODE `silent` says no more than 429, `asks` adds the time until the next token as
`retry-after-ms`, `blunt` always asks to wait one second. Prints its address; at the end of its input it prints how many
it answered and refused, and how long it took from the first request to the last answer.
"""

import json
import sys
import time

from harness.testing.faults import Reply, answer
from harness.testing.server import Call, ChatServer

TEXT = "It is a drawing of a shape, and there is nothing else to say about it."


class Bucket:
    """Tokens; also the count of what was allowed and what was not."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst = rate, burst
        self.tokens, self.at = burst, time.monotonic()
        self.taken = self.refused = 0
        self.first = self.last = 0.0

    def take(self) -> bool:
        now = time.monotonic()
        self.first = self.first or now
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1:
            self.refused += 1
            return False
        self.tokens -= 1
        self.taken += 1
        self.last = now
        return True

    @property
    def wait(self) -> float:
        return (1 - self.tokens) / self.rate


def reply(bucket: Bucket, mode: str) -> Reply:
    if bucket.take():
        return answer(TEXT)
    headers = {"asks": {"retry-after-ms": f"{1000 * bucket.wait:.0f}"}, "blunt": {"retry-after": "1"}}.get(mode, {})
    body = {"error": {"message": "Rate limit reached for requests", "type": "requests", "code": "rate_limit_exceeded"}}
    return Reply(status=429, body=json.dumps(body).encode(), headers=headers)


def main() -> None:
    rate, burst, latency, mode = float(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
    bucket = Bucket(rate, burst)

    def play(_call: Call) -> Reply:
        return reply(bucket, mode)

    with ChatServer(play, latency=latency, lean=True) as server:
        print(server.base_url, flush=True)
        sys.stdin.read()
    counts = {"taken": bucket.taken, "refused": bucket.refused, "seconds": bucket.last - bucket.first}
    print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    main()
