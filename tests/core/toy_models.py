"""A plugin of one file: `toy/NAME`, a local model that does what its request or its name says; imports nothing heavy.

Requests: `say X`, `env X` (says that variable), `fail`, `bug`, `forbid`, `note X`, `flood`, `hold X` (until the FIFO X
is written to); `die`,
`refuse`, `break` (a task of the model's raises), `shut` (it closes its pipes and stays), `garble` (what it sends is no
frame), `orphan` (it dies, and what it started holds its pipes until the FIFO `gate` is written to), each of these also
with `once X`.

Names: `plain`, `closed`, `crashing` and `broken` (cannot be opened), `late` (opens in the first process alone), `odd`
(other files in each process). Openings and closings are noted in the file `story`, where there is one.
"""

import fcntl
import hashlib
import json
import os
import signal
import stat
import sys
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.abc
import anyio.to_thread

from harness import Failure, HarnessError, Model, ModelInfo, Provider, Request, Response, Setting, Settings, hookimpl
from harness.errors import Forbidden

SETTINGS = (
    Setting(name="folder", type=Path, default=Path(), identity=False, help="where it leaves and looks for files"),
    Setting(name="tone", type=str, default=None, identity=True, help="of its answers", choices=("loud", "low")),
    Setting(name="images_per_prompt", type=int, default=None, identity=False, help="most images of one request"),
)


class Toy:
    """Answers with what it knows of itself, as JSON."""

    def __init__(self, name: str, settings: Settings, tasks: anyio.abc.TaskGroup) -> None:
        self._settings = settings
        self._tasks = tasks
        files = {"weights": str(os.getpid())} if name == "odd" else {"weights": "abc"}
        self.info = ModelInfo(ref=f"toy/{name}", endpoint="toy", local=True, concurrency=2, fingerprint=files)

    async def generate(self, request: Request) -> Response | Failure:
        text = request.messages[-1].content[-1].text  # type: ignore[union-attr]
        verb, _, rest = text.partition(" ")
        if rest.startswith("once ") and not self._first(rest):
            verb = "say"
        if verb == "die":
            sys.stderr.write("\x1b[31mfatal: no more\x1b[0m\n")
            os.kill(os.getpid(), signal.SIGKILL)
        if verb == "forbid":
            raise Forbidden("not for you", where="toy")
        if verb == "refuse":
            raise HarnessError("no memory for it", where="toy", remedy="use less")
        if verb in {"shut", "garble", "orphan"}:
            self._leave(verb)
        if verb == "break":
            self._tasks.start_soon(_broken)
            await anyio.sleep_forever()
        if verb == "flood":
            os.write(2, b"x" * (64 << 20))
        if verb == "hold":
            await anyio.to_thread.run_sync((self._folder / rest).read_bytes, abandon_on_cancel=True)
        return self._answer(verb, rest, request)

    def _answer(self, verb: str, rest: str, request: Request) -> Response | Failure:
        if verb == "env":
            rest = os.environ.get(rest, "")
        if verb == "fail":
            return Failure(outcome="error", reason="http_500", message="\ud800", transient=True, retry_after=1.5)
        if verb == "bug":
            raise ValueError("a bug of the model's")
        if verb == "note":
            notes = (*self.info.notes, rest)
            self.info = ModelInfo(**{name: getattr(self.info, name) for name in self.info.__slots__} | {"notes": notes})
        images = [hashlib.sha256(image.opened.data).hexdigest() for image in request.images]
        encoded = [image.opened.encoded.decode() for image in request.images]
        known = {
            "host": os.environ.get("PLAYED_HOST"),
            "pid": os.getpid(),
            "devices": os.environ.get("CUDA_VISIBLE_DEVICES"),
            "images": images,
        }
        settings = {name: str(value) for name, value in self._settings.items()}
        return Response(text=json.dumps({**known, "said": rest, "encoded": encoded, "settings": settings}))

    def _leave(self, verb: str) -> None:
        if verb == "shut":
            os.closerange(3, 256)
            signal.pause()
        if verb == "garble":
            for pipe in filter(_is_written_to, range(3, 64)):
                os.write(pipe, b"\0\0\0\1{")
            signal.pause()
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.setsid()
            os.write(writing, b"gone")
            (self._folder / "gate").read_bytes()
            os._exit(0)
        os.read(reading, 4)
        os.kill(os.getpid(), signal.SIGKILL)

    def _first(self, name: str) -> bool:
        try:
            (self._folder / name).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    @property
    def _folder(self) -> Path:
        return self._settings["folder"]


@asynccontextmanager
async def opened(name: str, settings: Settings) -> AsyncGenerator[Model]:
    print("a library prints")
    _note(settings, f"open {name}")
    async with anyio.create_task_group() as tasks:
        toy = Toy(name, settings, tasks)
        if name == "closed" or (name == "late" and not toy._first("late")):
            raise HarnessError("this model is not for you", where="the hub", remedy="ask for access")
        if name == "crashing":
            sys.stderr.write("\x1b[31mfatal: no more\x1b[0m\n")
            os.kill(os.getpid(), signal.SIGKILL)
        if name == "broken":
            raise ValueError("a bug of the provider's")
        yield toy
    _note(settings, f"close {name}")


def _is_written_to(number: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(number).st_mode) and bool(fcntl.fcntl(number, fcntl.F_GETFL) & os.O_WRONLY)
    except OSError:
        return False


async def _broken() -> None:
    raise RuntimeError("the model broke")


def _note(settings: Settings, line: str) -> None:
    """Append to `story` in the folder, where somebody put that file."""
    if (settings["folder"] / "story").exists():
        with (settings["folder"] / "story").open("a") as file:
            file.write(f"{line}\n")


@hookimpl
def harness_models() -> Iterable[Provider]:
    """Offer `toy/NAME`."""
    return [Provider(scheme="toy", description="does as it is told", open=opened, settings=SETTINGS, local=True)]
