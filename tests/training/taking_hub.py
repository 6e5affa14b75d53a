"""A stand-in of the hub that takes data sets: the part of its HTTP API that its client speaks when it pushes.

    with TakingHub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        push(folder, "someone/new-set")
    hub.repos["someone/new-set"].files        # what lies there now

Every request is kept in `asked`, in order. A file above LARGE goes the way of large files: its place is asked for, its
bytes are put there, and the commit names its sha256.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.threaded import ThreadedApp

LARGE = 600
TOKEN = "hf_a_token_of_the_tests"


@dataclass
class Repo:
    """A data set on the hub; `states` is how it stood at each commit: visibility and gate."""

    visibility: str = "public"
    gated: str | bool = False
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    commits: list[str] = field(default_factory=list[str])
    states: list[tuple[str, str | bool]] = field(default_factory=list[tuple[str, "str | bool"]])


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    token: str


class TakingHub(ThreadedApp):
    """See the module.

    Attributes:
        owner: of the token.
        refuse: a part of a path -> status that it answers with.
        stored: sha256 -> bytes of large files.
    """

    def __init__(self) -> None:
        super().__init__()
        self.owner = "someone"
        self.repos: dict[str, Repo] = {}
        self.asked: list[Asked] = []
        self.refuse: dict[str, int] = {}
        self.stored: dict[str, bytes] = {}

    def puts(self) -> list[str]:
        """Large files whose bytes were sent."""
        return [each.path for each in self.asked if each.path.startswith("/large/")]

    def build(self) -> web.Application:
        app = web.Application(client_max_size=1 << 26, middlewares=[self._guard])
        name = "{owner}/{name}"
        app.router.add_post("/api/repos/create", self._create)
        app.router.add_put(f"/api/datasets/{name}/settings", self._settings)
        app.router.add_post("/api/validate-yaml", self._yaml)
        app.router.add_post(f"/api/datasets/{name}/preupload/{{revision}}", self._preupload)
        app.router.add_post(f"/datasets/{name}.git/info/lfs/objects/batch", self._batch)
        app.router.add_put("/large/{sha256}", self._large)
        app.router.add_post(f"/api/datasets/{name}/commit/{{revision}}", self._commit)
        app.router.add_get(f"/api/datasets/{name}/tree/{{revision}}", self._tree)
        app.router.add_get(f"/api/datasets/{name}", self._info)
        app.router.add_get(f"/api/datasets/{name}/revision/{{revision}}", self._info)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Note the request, refuse what is to be refused, and let nobody in without the token."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        self.asked.append(Asked(request.method, request.path, token))
        for part, status in self.refuse.items():
            if part in request.path:
                return web.json_response({"error": f"no to {part}"}, status=status)
        if token != TOKEN and not request.path.startswith("/large/"):
            return web.json_response({"error": "Invalid username or password."}, status=401)
        if "owner" in request.match_info and self._name(request) not in self.repos:
            return web.Response(status=404, headers={"x-error-code": "RepoNotFound"})
        response: web.StreamResponse = await handler(request)
        return response

    def _name(self, request: web.Request) -> str:
        return "{owner}/{name}".format(**request.match_info)

    def _repo(self, request: web.Request) -> Repo:
        return self.repos[self._name(request)]

    async def _create(self, request: web.Request) -> web.Response:
        asked = await request.json()
        assert asked["type"] == "dataset"
        name = f"{asked['organization'] or self.owner}/{asked['name']}"
        answer = {"url": f"{self.url}/datasets/{name}"}
        if name in self.repos:
            return web.json_response(answer | {"error": "You already created this dataset repo"}, status=409)
        self.repos[name] = Repo(visibility=asked.get("visibility", "public"))
        return web.json_response(answer)

    async def _settings(self, request: web.Request) -> web.Response:
        asked, repo = await request.json(), self._repo(request)
        repo.visibility = asked.get("visibility", repo.visibility)
        repo.gated = asked.get("gated", repo.gated)
        return web.json_response({})

    async def _yaml(self, request: web.Request) -> web.Response:
        asked = await request.json()
        assert asked["content"].startswith("---\n")
        return web.json_response({"errors": [], "warnings": []})

    async def _preupload(self, request: web.Request) -> web.Response:
        asked = await request.json()
        files = [
            {
                "path": each["path"],
                "uploadMode": "lfs" if each["size"] > LARGE else "regular",
                "shouldIgnore": False,
                "oid": self._oid(self._repo(request), each["path"]),
            }
            for each in asked["files"]
        ]
        return web.json_response({"files": files})

    def _oid(self, repo: Repo, path: str) -> str | None:
        """What the hub knows a file by: a large one by its sha256, any other as git does."""
        data = repo.files.get(path)
        if data is None:
            return None
        if len(data) > LARGE:
            return hashlib.sha256(data).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()

    async def _batch(self, request: web.Request) -> web.Response:
        asked = await request.json()
        assert (asked["operation"], asked["hash_algo"]) == ("upload", "sha256")
        objects = [self._object(each) for each in asked["objects"]]
        return web.json_response({"transfer": "basic", "objects": objects})

    def _object(self, asked: dict[str, Any]) -> dict[str, Any]:
        found = {"oid": asked["oid"], "size": asked["size"]}
        if asked["oid"] in self.stored:
            return found
        return {**found, "actions": {"upload": {"href": f"{self.url}/large/{asked['oid']}", "header": {}}}}

    async def _large(self, request: web.Request) -> web.Response:
        data = await request.read()
        assert hashlib.sha256(data).hexdigest() == request.match_info["sha256"]
        self.stored[request.match_info["sha256"]] = data
        return web.Response()

    async def _commit(self, request: web.Request) -> web.Response:
        repo, lines = self._repo(request), (await request.read()).splitlines()
        for line in lines:
            said = json.loads(line)
            value = said["value"]
            match said["key"]:
                case "header":
                    repo.commits.append(value["summary"])
                case "file":
                    repo.files[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    repo.files[value["path"]] = self.stored[value["oid"]]
                case "deletedFile":
                    del repo.files[value["path"]]
                case _:
                    raise AssertionError(said["key"])
        repo.states.append((repo.visibility, repo.gated))
        oid = f"{len(repo.commits):040x}"
        url = f"{self.url}/datasets/{self._name(request)}/commit/{oid}"
        return web.json_response({"commitUrl": url, "commitOid": oid, "pullRequestUrl": None})

    async def _tree(self, request: web.Request) -> web.Response:
        files = self._repo(request).files
        entries = [{"type": "file", "path": path, "oid": "0" * 40, "size": len(data)} for path, data in files.items()]
        return web.json_response(entries)

    async def _info(self, request: web.Request) -> web.Response:
        repo = self._repo(request)
        siblings = [{"rfilename": path} for path in repo.files]
        sha = f"{len(repo.commits):040x}"
        return web.json_response(
            {"id": self._name(request), "sha": sha, "private": repo.visibility == "private", "siblings": siblings}
        )
