"""Stand-ins of the places data is published in: a hub, GitHub's archives, and plain files, on one local server.

    with Published() as place:
        place.sets["someone/shapes"] = DataSet({"a.json": b"[]"})      # HF_ENDPOINT=place.url
        place.archives["someone/code"] = {"data/a.csv": b"x"}          # place.archive_url for harness.data.fetching
        place.files["a.tsv"] = b"…"                                    # place.url + "/files/a.tsv"

Every request is kept in `asked`. A large file is served the way the hub does it: by a redirect to another host name.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from dataclasses import dataclass, field

from aiohttp import web

from tests.threaded import ThreadedApp

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = 1000  #: bytes from which a file of the hub is kept apart, known by its sha256


@dataclass
class DataSet:
    """One data set; `gate` is who may read its files: a token, or an empty text for everybody."""

    files: dict[str, bytes]
    commit: str = COMMIT
    gate: str = ""
    private: bool = False
    listed: dict[str, bytes] = field(default_factory=dict)  #: what the list says instead of what is served


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    range: str
    token: str
    host: str


def tar_gz(
    files: dict[str, bytes], commit: str = COMMIT, top: str = "code-0123456/", links: dict[str, str] | None = None
) -> bytes:
    """An archive as GitHub makes it: one top folder, the commit in its head."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz", format=tarfile.PAX_FORMAT, pax_headers={"comment": commit}) as archive:
        for path, data in files.items():
            info = tarfile.TarInfo(top + path)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for path, target in (links or {}).items():
            info = tarfile.TarInfo(top + path)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return made.getvalue()


class Published(ThreadedApp):
    """See the module.

    Attributes:
        hold: how many bytes of a path are given before the connection hangs.
        cut: how many bytes of a path are given, once, before the connection breaks.
        refuse: statuses that a path answers with first, one after the other.
        ranges: whether a download can be gone on with.
        pause: seconds that a refusing reply asks to wait, as it stands in `Retry-After`; empty for none.
        marks: path -> the ETag it is given with; those that are not named have none.
        turn: path -> what is served of it after it was cut.
        remark: path -> the ETag it has after it was cut.
        shift: how many bytes later than asked for the rest begins.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sets: dict[str, DataSet] = {}
        self.archives: dict[str, bytes] = {}
        self.files: dict[str, bytes] = {}
        self.asked: list[Asked] = []
        self.hold: dict[str, int] = {}
        self.cut: dict[str, int] = {}
        self.refuse: dict[str, list[int]] = {}
        self.ranges = True
        self.pause = ""
        self.marks: dict[str, str] = {}
        self.turn: dict[str, bytes] = {}
        self.remark: dict[str, str] = {}
        self.shift = 0
        self.held = threading.Event()  #: a connection hangs

    @property
    def archive_url(self) -> str:
        return self.url + "/archives/{repository}/{commit}"

    def downloads(self) -> list[Asked]:
        """Requests for files, not for lists."""
        return [each for each in self.asked if "/api/" not in each.path]

    def build(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/api/datasets/{owner}/{name}", self._info)
        app.router.add_get("/api/datasets/{owner}/{name}/revision/{revision}", self._info)
        app.router.add_get("/api/datasets/{owner}/{name}/tree/{revision}", self._tree)
        app.router.add_get("/datasets/{owner}/{name}/resolve/{revision}/{path:.+}", self._resolve)
        app.router.add_get("/large/{owner}/{name}/{path:.+}", self._large)
        app.router.add_get("/archives/{owner}/{name}/{commit}", self._archive)
        app.router.add_get("/files/{path:.+}", self._file)
        return app

    def _note(self, request: web.Request) -> None:
        head = request.headers
        token = head.get("authorization", "").removeprefix("Bearer ")
        self.asked.append(Asked(request.method, request.path, head.get("range", ""), token, request.host))

    def _set(self, request: web.Request) -> DataSet | web.Response:
        """The data set that is asked for, or what the hub says instead."""
        self._note(request)
        name = "{owner}/{name}".format(**request.match_info)
        if "/api/" in request.path and (refused := self._refused(name)) is not None:
            return refused
        found = self.sets.get(name)
        if found is None or found.private:
            return web.Response(status=401, headers={"x-error-code": "RepoNotFound"})
        if request.match_info.get("revision", found.commit) not in (found.commit, "main"):
            return web.Response(status=404, headers={"x-error-code": "RevisionNotFound"})
        return found

    async def _info(self, request: web.Request) -> web.StreamResponse:
        found = self._set(request)
        if isinstance(found, web.Response):
            return found
        name = "{owner}/{name}".format(**request.match_info)
        gated = "auto" if found.gate else False
        return web.json_response({"id": name, "sha": found.commit, "private": False, "gated": gated, "siblings": []})

    async def _tree(self, request: web.Request) -> web.StreamResponse:
        """Two entries a page, so that every list of some length has several."""
        found = self._set(request)
        if isinstance(found, web.Response):
            return found
        entries = [_entry(path, data) for path, data in {**found.files, **found.listed}.items()]
        folders = {path.rpartition("/")[0] for path in found.files if "/" in path}
        entries += [{"type": "directory", "path": path, "oid": "0" * 40, "size": 0} for path in folders]
        at = int(request.query.get("cursor", 0))
        headers: dict[str, str] = {}
        if at + 2 < len(entries):
            headers["link"] = f'<{self.url}{request.path}?recursive=true&cursor={at + 2}>; rel="next"'
        return web.json_response(entries[at : at + 2], headers=headers)

    async def _resolve(self, request: web.Request) -> web.StreamResponse:
        found = self._set(request)
        if isinstance(found, web.Response):
            return found
        path = request.match_info["path"]
        if found.gate and self.asked[-1].token != found.gate:
            status = 403 if self.asked[-1].token else 401
            return web.Response(status=status, headers={"x-error-code": "GatedRepo"})
        data = found.files[path]
        headers = {"x-repo-commit": found.commit, "etag": f'"{hashlib.sha256(data).hexdigest()}"'}
        if len(data) < LARGE:
            return await self._give(request, path, data, headers)
        headers |= {"x-linked-size": str(len(data)), "x-linked-etag": headers["etag"]}
        at = f"http://localhost:{self.port}/large/{request.match_info['owner']}/{request.match_info['name']}/{path}"
        return web.Response(status=302, headers={**headers, "location": at})

    async def _large(self, request: web.Request) -> web.StreamResponse:
        self._note(request)
        path = request.match_info["path"]
        return await self._give(request, path, self.sets["{owner}/{name}".format(**request.match_info)].files[path])

    async def _archive(self, request: web.Request) -> web.StreamResponse:
        self._note(request)
        name = "{owner}/{name}".format(**request.match_info)
        if name not in self.archives:
            return web.Response(status=404)
        return await self._give(request, name, self.archives[name])

    async def _file(self, request: web.Request) -> web.StreamResponse:
        self._note(request)
        path = request.match_info["path"]
        return await self._give(request, path, self.files[path]) if path in self.files else web.Response(status=404)

    def _refused(self, path: str) -> web.Response | None:
        if not self.refuse.get(path):
            return None
        headers = {"retry-after": self.pause} if self.pause else {}
        return web.Response(status=self.refuse[path].pop(0), headers=headers)

    async def _give(
        self, request: web.Request, path: str, data: bytes, headers: dict[str, str] | None = None
    ) -> web.StreamResponse:
        """The bytes, from where they are asked for, up to where the path hangs or breaks."""
        if (refused := self._refused(path)) is not None:
            return refused
        headers = {**(headers or {}), **({"etag": self.marks[path]} if path in self.marks else {})}
        wanted = self.asked[-1].range if self.ranges else ""
        if request.headers.get("if-range", self.marks.get(path)) != self.marks.get(path):
            wanted = ""
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        at = int(first or 0)
        if at and at >= len(data):
            return web.Response(status=416)
        if at:
            at += self.shift
            headers["content-range"] = f"bytes {at}-{len(data) - 1}/{len(data)}"
        if last:
            data = data[: int(last) + 1]
        reply = web.StreamResponse(status=206 if at or last else 200, headers=headers)
        reply.content_length = len(data) - at
        await reply.prepare(request)
        if path in self.cut:
            await reply.write(data[at : self.cut.pop(path)])
            self.files[path] = self.turn.pop(path, data)
            self.marks |= {path: self.remark.pop(path)} if path in self.remark else {}
            assert request.transport is not None
            request.transport.close()
        elif path in self.hold:
            await reply.write(data[at : self.hold[path]])
            self.held.set()
            await self._ended.wait()
        else:
            await reply.write(data[at:])
        return reply


def _entry(path: str, data: bytes) -> dict[str, object]:
    oid = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    entry: dict[str, object] = {"type": "file", "path": path, "size": len(data), "oid": oid}
    if len(data) >= LARGE:
        entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
    return entry
