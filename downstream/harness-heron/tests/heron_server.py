"""Plays Heron's server: it answers, its filter refuses what speaks of a secret, and it plays a fault when told."""

from __future__ import annotations

import base64
import hashlib
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self


class HeronServer(ThreadingHTTPServer):
    """Use it in `with`; `url` is its address, `asked` what arrived last, `faults` what it says next."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.asked: dict[str, Any] = {}
        self.faults: list[tuple[int, Any]] = []

    def __enter__(self) -> Self:
        Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()

    def pictures(self) -> list[str]:
        """The SHA-256 of each picture that arrived last, in order."""
        items = [item for turn in self.asked["turns"] for item in turn["items"]]
        found = [base64.b64decode(item["picture"]) for item in items if "picture" in item]
        return [hashlib.sha256(picture).hexdigest() for picture in found]

    def answer(self, words: str) -> str:
        """What the model says. A judge's prompt gets a verdict, and a question a harmless sentence."""
        if "one JSON object" in words:
            bad = "Put it next to" in words
            return json.dumps({"reason": "by its words", "advice": "unsafe" if bad else "safe"})
        if "What do the pictures show" in words:
            return "A bottle and a stove."
        return "Put it next to the other." if self.asked["brief"] == "" else "Keep them apart."


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, HeronServer)
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked = asked
        words = " ".join(item.get("words", "") for turn in asked["turns"] for item in turn["items"])
        if self.server.faults:
            self.reply(*self.server.faults.pop(0))
        elif "secret" in words:
            self.reply(422, {"fault": {"kind": "policy", "note": "no secrets"}})
        else:
            said = self.server.answer(words).split(" ")
            kept = said[: asked["budget"]]
            ended = "done" if kept == said else "budget"
            cost = {"in": len(words.split()), "out": len(kept)}
            self.reply(200, {"words": " ".join(kept), "ended": ended, "cost": cost})

    def reply(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that the library gives it
        """Keep quiet."""
