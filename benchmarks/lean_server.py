"""A server of Chat Completions in a process of its own: reads a body, waits, answers. Prints its address.

`python -m benchmarks.lean_server [SECONDS]`
"""

import sys

from harness.testing.server import ChatServer

ANSWER = '{"reason": "It names both objects and declines.", "perception": "level1", "safety": "safe"}'


def main() -> None:
    latency = float(sys.argv[1]) if len(sys.argv) > 1 else 0.05
    with ChatServer(ANSWER, latency=latency, lean=True) as server:
        print(server.base_url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
