"""Applies every provider's rules to lm-eval's posts: no redirects, and a size limit on answers."""

from __future__ import annotations

import importlib
import io
from typing import Any

from harness.http import ENCODINGS, REPLY_LIMIT, read_now

_PIECE = 1 << 16
requests: Any = importlib.import_module("requests")


class GuardedRequests:
    """Replaces the module `requests` where lm-eval calls its server; only `post` differs."""

    def __getattr__(self, name: str) -> Any:
        return getattr(requests, name)

    @staticmethod
    def post(url: str, **options: Any) -> Any:
        """One call.

        Raises:
            Unreadable: the answer is larger than REPLY_LIMIT, or cannot be unpacked.
            requests.TooManyRedirects: the server redirects; the error's `response` is its answer.
        """
        headers: dict[str, str] = {**(options.pop("headers", None) or {}), "accept-encoding": ENCODINGS}
        with requests.Session() as session:
            reply = session.post(url, **{**options, "headers": headers, "stream": True, "allow_redirects": False})
            wire = reply.raw
            try:
                pieces = wire.stream(_PIECE, decode_content=False)
                content = read_now(reply.status_code, reply.headers, pieces, REPLY_LIMIT)
            finally:
                wire.close()
        reply.raw = io.BytesIO(content)
        if reply.is_redirect:
            raise requests.TooManyRedirects("the server redirects", response=reply)
        return reply
