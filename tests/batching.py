"""Local servers that speak the batch APIs of the vendors, above the servers that answer live calls.

A batch is played when it ends: each of its requests gets what a live call of the same body would get. What happens to a
batch is up to the test: how many looks it stays open, which requests expire, whose line is torn, whose file vanishes.
`paid` counts how often each question was answered, live or in a batch: it is the witness that nothing is asked twice.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

from harness.testing.faults import Reply
from harness.testing.messages import MessagesServer, message
from harness.testing.server import Call, ChatServer, SeenPart, image_part
from tests.plugins import gemini_asking

Fate = Literal["answered", "expired", "missing", "torn", "garbled"]


@dataclass(slots=True, kw_only=True)
class Batch:
    """One batch of a server.

    Attributes:
        id: as the server calls it.
        requests: name and body of each.
        metadata: what came with it.
        created: Unix time.
        looks: how often it was looked at.
        failed: why it was refused as a whole: (code, message).
        cancelled: whether its end was asked for.
        answers: name -> reply; None for a request that was not run. Known once it has ended.
    """

    id: str
    requests: list[tuple[str, bytes]]
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    created: int = field(default_factory=lambda: int(time.time()))
    looks: int = 0
    failed: tuple[str, str] | None = None
    cancelled: bool = False
    answers: dict[str, Reply | None] | None = None


class BatchPlay(ChatServer):
    """The part that all vendors share.

    Attributes:
        looks: how often a batch is looked at before it has ended.
        fate: what becomes of a request: (its name, its body) -> a Fate.
        refuse: (batch) -> why it fails as a whole, or None.
        vanished: ids of batches whose results are gone.
        hook: called with the name of each step of a batch; a test kills the client there.
        show: changes what is said of a batch, made, looked at or listed.
        write: changes the lines of results.
        lost_answers: how many batches are made with an answer that gets lost at a gateway.
        batches: each batch by its id.
        paid: how often each question was answered.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.looks = 1
        self.fate: Callable[[str, bytes], Fate] = lambda _name, _body: "answered"
        self.refuse: Callable[[Batch], tuple[str, str] | None] = lambda _batch: None
        self.vanished: set[str] = set()
        self.hook: Callable[[str], None] = lambda _step: None
        self.show: Callable[[dict[str, Any]], Any] = lambda said: said
        self.write: Callable[[list[bytes]], list[bytes]] = lambda lines: lines
        self.lost_answers = 0
        self.batches: dict[str, Batch] = {}
        self.paid = Counter[str]()
        self.files: dict[str, bytes] = {}
        self.steps: list[str] = []

    def translate(self, reply: str | Reply) -> str | Reply:
        """A reply of Chat Completions in the vendor's own form."""
        return reply

    def as_chat(self, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """Parameters, with the form of an answer where Chat Completions has it."""
        return parameters

    def step(self, name: str) -> None:
        self.steps.append(name)
        self.hook(name)

    def question(self, call: Call) -> str:
        """What a call asks, whatever its parameters; the marker of a judge's prompt is drawn anew each time."""
        shown = "\n".join(re.sub(r"\b[0-9a-f]{16}\b", "#", part.value) for part in call.parts)
        return hashlib.sha256(f"{call.model}\n{shown}".encode()).hexdigest()[:16]

    def pay(self, call: Call) -> Reply:
        played = self.play(call) if callable(self.play) else self.play
        reply = self.make_answer(played) if isinstance(played, str) else played
        if reply.status < 300:
            self.paid[self.question(call)] += 1
        return reply

    def look(self, batch: Batch) -> str:
        """How far a batch is, after one more look: open, ended or failed."""
        batch.looks += 1
        batch.failed = batch.failed or self.refuse(batch)
        if batch.failed:
            return "failed"
        if batch.looks <= self.looks and not batch.cancelled:
            return "open"
        if batch.answers is None:
            batch.answers = {}
            for name, body in batch.requests:
                fate = "expired" if batch.cancelled else self.fate(name, body)
                if fate == "expired":
                    batch.answers[name] = None
                elif fate != "missing":
                    reply = self.reply_to(body)
                    if fate == "garbled":
                        reply = Reply(status=200, body=b'{"choices": "nonsense", "content": 3}')
                    batch.answers[name] = Reply(status=-1, body=reply.body) if fate == "torn" else reply
        return "ended"

    def reply_to(self, body: bytes) -> Reply:
        try:
            model, parts, parameters = self.read(body)
        except ValueError as fault:
            return self.make_error(400, str(fault))
        return self.pay(
            Call(path="batch", model=model, parts=parts, parameters=parameters, digest=hashlib.sha256(body).hexdigest())
        )

    async def _find_reply(self, request: web.BaseRequest) -> Reply:
        reply = await super()._find_reply(request)
        if self.calls and reply.status < 300:
            self.paid[self.question(self.calls[-1])] += 1
        return reply

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        found = await self.handle_batch(request)
        return await super()._handle(request) if found is None else found

    async def handle_batch(self, request: web.BaseRequest) -> web.StreamResponse | None:
        raise NotImplementedError

    def add(self, requests: list[tuple[str, bytes]], metadata: Mapping[str, str] | None = None) -> Batch:
        batch = Batch(id=f"batch_{len(self.batches) + 1}", requests=requests, metadata=metadata or {})
        self.batches[batch.id] = batch
        return batch

    def gone(self, what: str) -> web.Response:
        reply = self.make_error(404, f"No such object: {what}")
        return web.Response(status=404, body=reply.body, content_type="application/json")


class OpenAIBatchServer(BatchPlay):
    """OpenAI's files and batches."""

    async def handle_batch(self, request: web.BaseRequest) -> web.StreamResponse | None:
        path = request.path.removeprefix("/v1")
        if path == "/files" and request.method == "POST":
            self.step("upload")
            return web.json_response(await self._upload(request))
        if path.startswith("/files/"):
            return self._download(path.split("/")[2])
        if path == "/batches" and request.method == "POST":
            given = json.loads(await request.content.read())
            self.step("create")
            assert given["endpoint"] == "/v1/chat/completions", given
            assert given["completion_window"] == "24h", given
            lines = [json.loads(line) for line in self.files[given["input_file_id"]].splitlines()]
            assert all(line["method"] == "POST" and line["url"] == given["endpoint"] for line in lines)
            assert len({line["custom_id"] for line in lines}) == len(lines)
            requests = [(line["custom_id"], json.dumps(line["body"]).encode()) for line in lines]
            batch = self.add(requests, given.get("metadata"))
            self.step("created")
            if self.lost_answers:
                self.lost_answers -= 1
                return web.json_response({"error": {"message": "gateway timeout"}}, status=504)
            return web.json_response(self._show(batch, "validating"))
        if path == "/batches":
            newest = sorted(self.batches.values(), key=lambda batch: int(batch.id[6:]), reverse=True)
            shown = [self._show(batch, "in_progress") for batch in newest]
            return web.json_response({"object": "list", "data": shown, "has_more": False})
        if path.startswith("/batches/"):
            batch = self.batches.get(path.split("/")[2])
            if batch is None:
                return self.gone(path)
            if path.endswith("/cancel"):
                batch.cancelled = True
                return web.json_response(self._show(batch, "cancelling"))
            self.step("poll")
            state = self.look(batch)
            expired = batch.answers is not None and None in batch.answers.values()
            word = {"open": "in_progress", "failed": "failed"}.get(state, "expired" if expired else "completed")
            return web.json_response(self._show(batch, "cancelled" if batch.cancelled and state == "ended" else word))
        return None

    async def _upload(self, request: web.BaseRequest) -> dict[str, Any]:
        request._client_max_size = 0  # the vendor takes 200 MB
        form = await request.post()
        assert form["purpose"] == "batch", dict(form)
        file: Any = form["file"]
        name = f"file-{len(self.files) + 1}"
        self.files[name] = file.file.read()
        return {
            "id": name, "object": "file", "bytes": len(self.files[name]), "created_at": 1, "filename": file.filename,
            "purpose": "batch", "status": "processed",
        }  # fmt: skip

    def _show(self, batch: Batch, status: str) -> Any:
        ended = status in ("completed", "expired", "cancelled")
        errors = None
        if batch.failed:
            code, message = batch.failed
            errors = {"object": "list", "data": [{"code": code, "message": message, "line": 1, "param": None}]}
        answers = batch.answers or {}
        good = [name for name, reply in answers.items() if reply is not None and reply.status < 300]
        return self.show({
            "id": batch.id, "object": "batch", "endpoint": "/v1/chat/completions", "input_file_id": "file-x",
            "completion_window": "24h", "status": status, "created_at": batch.created, "errors": errors,
            "metadata": dict(batch.metadata),
            "output_file_id": f"out-{batch.id}" if ended and good else None,
            "error_file_id": f"err-{batch.id}" if ended and len(good) < len(answers) else None,
            "request_counts": {"total": len(batch.requests), "completed": len(good), "failed": 0},
        })  # fmt: skip

    def _download(self, name: str) -> web.Response:
        kind, _, batch_id = name.partition("-")
        batch = self.batches.get(batch_id)
        if batch is None or batch_id in self.vanished or batch.answers is None:
            return self.gone(name)
        self.step("download")
        lines: list[bytes] = []
        for request, reply in reversed(batch.answers.items()):
            good = reply is not None and reply.status < 300
            if good == (kind == "out"):
                lines.append(self._line(request, reply))
        return web.Response(body=b"".join(line + b"\n" for line in self.write(lines)))

    def _line(self, name: str, reply: Reply | None) -> bytes:
        if reply is None:
            error = {"code": "batch_expired", "message": "This request could not be executed before the window."}
            return json.dumps({"id": "batch_req_1", "custom_id": name, "response": None, "error": error}).encode()
        response = {"status_code": 200, "request_id": "r", "body": "#"}
        if reply.status >= 0:
            response["status_code"] = reply.status
        line = json.dumps({"id": "batch_req_1", "custom_id": name, "response": response, "error": None})
        whole = line.replace('"#"', reply.body.decode()).encode()
        return whole[:-40] if reply.status < 0 else whole


def read_chat(reply: Reply) -> tuple[str, str]:
    """The text and the finish reason of a reply of Chat Completions; an error's message and `error`."""
    body = json.loads(reply.body)
    if reply.status >= 300:
        return str(body["error"]["message"]), "error"
    [choice] = body["choices"]
    return choice["message"]["refusal"] or choice["message"]["content"] or "", choice["finish_reason"]


class AnthropicBatchServer(BatchPlay, MessagesServer):
    """Anthropic's message batches."""

    def translate(self, reply: str | Reply) -> str | Reply:
        if isinstance(reply, str):
            return reply
        text, finish = read_chat(reply)
        if finish == "error":
            return self.make_error(reply.status, text)
        stop = {"content_filter": "refusal", "length": "max_tokens"}.get(finish, "end_turn")
        return message(*([text] if text else []), stop=stop)

    def as_chat(self, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        form = parameters.get("output_config", {}).get("format")
        return {**parameters, "response_format": {"json_schema": {"schema": form and form["schema"]}}}

    async def handle_batch(self, request: web.BaseRequest) -> web.StreamResponse | None:
        path = request.path.removeprefix("/v1/messages/batches")
        if path == request.path:
            return None
        if not path and request.method == "POST":
            given = json.loads(await request.content.read())["requests"]
            self.step("create")
            assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", each["custom_id"]) for each in given)
            batch = self.add([(each["custom_id"], json.dumps(each["params"]).encode()) for each in given])
            self.step("created")
            if self.lost_answers:
                self.lost_answers -= 1
                return web.json_response({"type": "error", "error": {"type": "timeout_error"}}, status=504)
            return web.json_response(self._show(batch, ended=False))
        if not path:
            newest = sorted(self.batches.values(), key=lambda batch: int(batch.id[6:]), reverse=True)
            shown = [self._show(batch, ended=False) for batch in newest]
            last = {"first_id": None, "last_id": None}
            return web.json_response({"data": shown, "has_more": False, **last})
        batch = self.batches.get(path.split("/")[1])
        if batch is None:
            return self.gone(path)
        if path.endswith("/cancel"):
            batch.cancelled = True
            return web.json_response(self._show(batch, ended=False))
        if path.endswith("/results"):
            if batch.id in self.vanished or batch.answers is None:
                return self.gone(path)
            self.step("download")
            lines = [self._line(*each) for each in reversed(batch.answers.items())]
            return web.Response(body=b"".join(self.write(lines)))
        self.step("poll")
        return web.json_response(self._show(batch, ended=self.look(batch) == "ended"))

    def _show(self, batch: Batch, *, ended: bool) -> Any:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(batch.created))
        done = len(batch.answers or {}) if ended else 0
        counts = {
            "processing": len(batch.requests) - done,
            "succeeded": done,
            "errored": 0,
            "canceled": 0,
            "expired": 0,
        }
        return self.show({
            "id": batch.id, "type": "message_batch", "processing_status": "ended" if ended else "in_progress",
            "request_counts": counts, "created_at": at, "expires_at": at, "ended_at": at if ended else None,
            "archived_at": None, "cancel_initiated_at": None,
            "results_url": f"{self.url}/v1/messages/batches/{batch.id}/results" if ended else None,
        })  # fmt: skip

    def _line(self, name: str, reply: Reply | None) -> bytes:
        if reply is None:
            result: dict[str, Any] = {"type": "expired"}
        elif reply.status >= 300:
            result = {"type": "errored", "error": json.loads(reply.body)}
        else:
            result = {"type": "succeeded", "message": "#"}
        line = json.dumps({"custom_id": name, "result": result})
        whole = line if reply is None else line.replace('"#"', reply.body.decode())
        return (whole[:-40] if reply is not None and reply.status < 0 else whole).encode() + b"\n"


class GeminiBatchServer(BatchPlay):
    """Google's files, jobs and live calls; it takes /v1 and /v1beta alike."""

    models: Mapping[bytes, str] = {}

    @property
    def url(self) -> str:
        return self.base_url.removesuffix("/v1")

    def translate(self, reply: str | Reply) -> str | Reply:
        if isinstance(reply, str):
            return reply
        text, finish = read_chat(reply)
        if finish == "error":
            return self.make_error(reply.status, text)
        return gemini_asking.said(text, finish={"content_filter": "SAFETY", "length": "MAX_TOKENS"}.get(finish, "STOP"))

    def as_chat(self, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        schema = parameters.get("generationConfig", {}).get("responseJsonSchema")
        return {**parameters, "response_format": {"json_schema": {"schema": schema}}}

    def make_answer(self, text: str) -> Reply:
        return gemini_asking.said(text)

    def make_error(self, status: int, message: str) -> Reply:
        return gemini_asking.error(status, message)

    def read(self, body: bytes) -> tuple[str, tuple[SeenPart, ...], Mapping[str, Any]]:
        payload = json.loads(body)
        parts: list[SeenPart] = []
        for turn in [{"role": "system", **payload.get("systemInstruction", {"parts": []})}, *payload["contents"]]:
            for part in turn["parts"]:
                data = part.get("inlineData")
                shown = SeenPart(role=turn["role"], kind="text", value=part.get("text", ""))
                parts.append(shown if data is None else image_part(turn["role"], data["data"], ""))
        return payload.get("model", ""), tuple(parts), payload

    async def handle_batch(self, request: web.BaseRequest) -> web.StreamResponse | None:
        body, path = await request.content.read(), re.sub(r"^/(upload/)?v1(beta)?/", "/\\1", request.path)
        if path == "/upload/files":
            return self._upload(request, body)
        if found := re.fullmatch(r"/models/(.+):generateContent", path):
            return self._send(self.reply_to(json.dumps({**json.loads(body), "model": found[1]}).encode()))
        if found := re.fullmatch(r"/models/(.+):batchGenerateContent", path):
            self.step("create")
            given = json.loads(body)["batch"]
            lines = [json.loads(line) for line in self.files[given["inputConfig"]["fileName"]].splitlines()]
            requests = [(line["key"], json.dumps({**line["request"], "model": found[1]}).encode()) for line in lines]
            batch = self.add(requests, {"name": given["displayName"]})
            self.step("created")
            return web.json_response(self._show(batch, "BATCH_STATE_PENDING"))
        if path == "/batches":
            newest = sorted(self.batches.values(), key=lambda batch: int(batch.id[6:]), reverse=True)
            return web.json_response({"operations": [self._show(batch, "BATCH_STATE_RUNNING") for batch in newest]})
        if found := re.fullmatch(r"/files/(.+):download", path):
            batch = self.batches.get(found[1])
            if batch is None or batch.answers is None or batch.id in self.vanished:
                return self.gone(path)
            self.step("download")
            lines = [self._line(*each) for each in reversed(batch.answers.items())]
            return web.Response(body=b"".join(self.write(lines)))
        if found := re.fullmatch(r"/batches/(\w+)(:cancel)?", path):
            batch = self.batches.get(found[1])
            if batch is None:
                return self.gone(path)
            batch.cancelled |= bool(found[2])
            self.step("poll")
            word = {"open": "RUNNING", "failed": "FAILED", "ended": "SUCCEEDED"}[self.look(batch)]
            word = "CANCELLED" if batch.cancelled and word == "SUCCEEDED" else word
            return web.json_response(self._show(batch, f"BATCH_STATE_{word}"))
        return self.gone(path)

    def _send(self, reply: Reply) -> web.Response:
        return web.Response(status=reply.status, body=reply.body, content_type="application/json")

    def _upload(self, request: web.BaseRequest, body: bytes) -> web.Response:
        if request.headers["X-Goog-Upload-Command"] == "start":
            name = f"files/{len(self.files) + 1}"
            self.files[name] = b""
            return web.Response(headers={"x-goog-upload-url": f"{self.url}/upload/v1beta/files?name={name}"})
        self.step("upload")
        name = request.query["name"]
        self.files[name] += body
        return web.json_response(
            {"file": {"name": name, "mimeType": "jsonl", "sizeBytes": str(len(self.files[name])), "state": "ACTIVE"}},
            headers={"x-goog-upload-status": "final"},
        )

    def _show(self, batch: Batch, state: str) -> Any:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(batch.created))
        ended = state == "BATCH_STATE_SUCCEEDED"
        shown: dict[str, Any] = {
            "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch",
            "name": f"batches/{batch.id}", "displayName": batch.metadata["name"], "state": state, "createTime": at,
            "model": "models/m", "updateTime": at,
        }  # fmt: skip
        if ended:
            shown["output"] = {"responsesFile": f"files/{batch.id}"}
        return self.show({"name": f"batches/{batch.id}", "metadata": shown, "done": ended})

    def _line(self, name: str, reply: Reply | None) -> bytes:
        if reply is None:
            line = json.dumps({"key": name, "error": {"code": 1, "message": "cancelled"}})
        elif reply.status >= 300:
            line = json.dumps({"key": name, "error": json.loads(reply.body)["error"]})
        else:
            line = json.dumps({"key": name, "response": "#"}).replace('"#"', reply.body.decode())
            line = line[:-40] if reply.status < 0 else line
        return line.encode() + b"\n"
