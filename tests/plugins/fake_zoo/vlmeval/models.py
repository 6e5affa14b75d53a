"""The animals."""

import asyncio
import contextlib
import hashlib
import json
import os
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

from vlmeval.base import BaseAPI, BaseModel


def texts(message):
    return " ".join(item["value"] for item in message if item["type"] == "text")


def seen(message):
    """What a model saw, part by part: the words, or the sha256 of the image's file."""
    return [
        item["value"] if item["type"] == "text" else hashlib.sha256(Path(item["value"]).read_bytes()).hexdigest()
        for item in message
    ]


class Echo(BaseAPI):
    """Says what it was sent, and with which settings; reads the temperature, only keeps the limit."""

    def __init__(self, model, key=None, temperature=0.5, max_tokens=7, api_base="http://127.0.0.1:9/v1", **kwargs):
        self.model, self.key, self.api_base = model, key, api_base
        self.temperature, self.max_tokens = temperature, max_tokens
        super().__init__(**kwargs)

    def generate_inner(self, inputs, **kwargs):
        print("API Key:", self.key)
        said = {"parts": seen(inputs), "temperature": self.temperature, "kwargs": kwargs, "retry": self.retry}
        return 0, json.dumps(said), "Succeeded!"


class Served(BaseAPI):
    """Gives what a server said, as the classes over HTTP do; the text of the question is the server's answer."""

    def __init__(self, **kwargs):
        self.api_base = "http://127.0.0.1:9/v1/chat/completions"
        super().__init__(**kwargs)

    def generate_inner(self, inputs, **kwargs):
        status, body = json.loads(texts(inputs))
        response = SimpleNamespace(status_code=status, text=json.dumps(body), headers={"retry-after": "7"})
        answer = self.fail_msg
        with contextlib.suppress(Exception):
            answer = body["choices"][0]["message"]["content"].strip()
        return (0 if status < 300 else status), answer, response


class Posting(BaseAPI):
    """Posts through `requests`, and makes a text of any error."""

    def __init__(self, api_base="http://127.0.0.1:9/v1", **kwargs):
        self.api_base = api_base
        super().__init__(**kwargs)

    def generate_inner(self, inputs, **kwargs):
        import requests

        try:
            response = requests.post(
                self.api_base, json={"prompt": texts(inputs)}, headers={"api-key": "k"}, timeout=60
            )
        except Exception as error:
            return -1, self.fail_msg, str(error)
        answer = self.fail_msg
        with contextlib.suppress(Exception):
            answer = response.json()["choices"][0]["message"]["content"].strip()
        return (0 if response.status_code < 300 else response.status_code), answer, response


class Asking(BaseAPI):
    """Posts through httpx as SDKs do: tries again by itself, and raises an error of its own."""

    def __init__(self, api_base="http://127.0.0.1:9/v1", at_once=False, **kwargs):
        self.api_base = api_base
        self.at_once = at_once
        super().__init__(**kwargs)

    def generate_inner(self, inputs, **kwargs):
        import httpx

        for _ in range(2):
            with contextlib.suppress(Exception):
                return self._read(
                    asyncio.run(self._posted(texts(inputs))) if self.at_once else self._post(texts(inputs))
                )
        raise httpx.ConnectError("Connection error.")

    def _post(self, prompt):
        import httpx

        with httpx.Client(timeout=60) as client:
            return client.post(self.api_base, json={"prompt": prompt})

    async def _posted(self, prompt):
        import httpx

        async with httpx.AsyncClient(timeout=60) as client:
            return await client.post(self.api_base, json={"prompt": prompt})

    def _read(self, response):
        assert response.elapsed.total_seconds() >= 0
        return 0, response.json()["choices"][0]["message"]["content"].strip(), response


class Habits(BaseAPI):
    """Does what the text of the question says."""

    def generate_inner(self, inputs, **kwargs):
        word = texts(inputs)
        if word == "raise":
            raise ConnectionError("nobody there")
        return {
            "fail": (-1, self.fail_msg, "no reason"),
            "words": (-1, "Error: the server said no", ""),
            "empty": (0, "", ""),
            "long": (0, self.fail_msg + "Input string longer than context window. ", "Length Exceeded. "),
        }.get(word, (0, word, ""))


class Crowd(BaseAPI):
    """Answers once `most` callers are inside at the same time."""

    def __init__(self, most=3, **kwargs):
        self.barrier = threading.Barrier(most, timeout=20)
        super().__init__(**kwargs)

    def generate_inner(self, inputs, **kwargs):
        self.barrier.wait()
        return 0, "together", ""


class Local(BaseModel):
    """Runs here, one at a time; does what the text of the question says."""

    INTERLEAVE = True

    def __init__(self, model_path, do_sample=False, max_new_tokens=11, **kwargs):
        self.model_path = model_path
        self.kwargs = {"do_sample": do_sample, "max_new_tokens": max_new_tokens, **kwargs}
        self.inside = threading.Lock()

    def generate_inner(self, message, dataset=None):
        assert self.inside.acquire(blocking=False), "two at a time"
        try:
            return self.say(texts(message))
        finally:
            self.inside.release()

    def say(self, word):
        print("a local model thinks aloud")
        sys.stdout.flush()
        os.write(1, b"and past Python\n")
        if word == "crash":
            sys.stderr.write("CUDA error: sk-verysecretkey is not a device\n")
            sys.stderr.flush()
            os.kill(os.getpid(), 9)
        if word == "raise":
            raise RuntimeError("wrong shape")
        if word == "exit":
            sys.exit(3)
        if word == "nothing":
            return None
        if word == "main":
            return str(threading.current_thread() is threading.main_thread())
        if word == "sleep":
            time.sleep(600)
        said = json.dumps({"path": self.model_path, **self.kwargs})
        return said if self.kwargs["max_new_tokens"] > 1 else said[:4]


class Once(BaseModel):
    """Dies at its first question of all, in this folder; then answers."""

    INTERLEAVE = True

    def __init__(self, mark):
        self.mark = mark

    def generate_inner(self, message, dataset=None):
        if not Path(self.mark).exists():
            Path(self.mark).touch()
            os._exit(5)
        return "alive"


class Single(BaseModel):
    """Takes the first image only, as it says by INTERLEAVE."""

    def generate_inner(self, message, dataset=None):
        return "one"


class Broken(BaseModel):
    """Cannot be opened."""

    def __init__(self):
        print("please install the other package")
        sys.exit(-1)
