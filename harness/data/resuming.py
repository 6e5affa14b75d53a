"""Whether what a server goes on with is the file that was begun, so that two files are never stitched into one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import httpx

_RANGE: Final = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


@dataclass(slots=True, kw_only=True)
class Begun:
    """What a server said of a file when it began it.

    Attributes:
        hashed: the file's hash is known, so that a wrong rest is found out in the end.
        mark: a strong ETag, else the time of its last change; empty where it named neither.
        total: size in bytes; None when it did not say.
    """

    hashed: bool
    mark: str = ""
    total: int | None = None

    def learn(self, reply: httpx.Response) -> None:
        """Take down what a reply that begins at the beginning says."""
        etag = reply.headers.get("etag", "")
        strong = "" if etag.startswith("W/") else etag
        length = reply.headers.get("content-length", "")
        self.mark = strong or reply.headers.get("last-modified", "")
        self.total = int(length) if length.isdigit() else None

    def asking(self, at: int) -> dict[str, str]:
        """The headers that ask for the rest from a byte on, or for all of it where the file has changed."""
        if not at:
            return {}
        return {"range": f"bytes={at}-"} | ({"if-range": self.mark} if self.mark else {})

    @property
    def sure(self) -> bool:
        """Whether another file in its place would be noticed."""
        return self.hashed or bool(self.mark)

    def continued(self, reply: httpx.Response, at: int) -> bool:
        """Whether a reply of status 206 goes on with the same file at the byte that was asked for."""
        found = _RANGE.fullmatch(reply.headers.get("content-range", "").strip())
        if found is None:
            return self.hashed
        total = None if found[2] == "*" else int(found[2])
        etag = reply.headers.get("etag", self.mark)
        same = not self.mark.startswith('"') or etag == self.mark
        return int(found[1]) == at and same and (None in (total, self.total) or total == self.total)
