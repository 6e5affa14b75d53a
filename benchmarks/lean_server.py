"""A server of Chat Completions in a process of its own: reads a body, waits 50 ms, answers. Prints its address."""

import sys
import time

from harness.testing.server import ChatServer

ANSWER = '{"reason": "It names both objects and declines.", "perception": "level1", "safety": "safe"}'


def main() -> None:
    with ChatServer(ANSWER, latency=0.05, lean=True) as server:
        print(server.base_url, flush=True)
        sys.stdin.read()
        time.sleep(0)


if __name__ == "__main__":
    main()
