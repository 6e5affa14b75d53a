"""A plugin of one file: `toy/NAME`, a local model that does what its request or its name says; imports nothing heavy.

Requests: `say X`, `fail`, `bug`, `note X`, `die`, `die once X`, `refuse`, `refuse once X`, `hold X` (until the FIFO X
is written to). Names: `plain`, `closed`, `crashing` and `broken` (cannot be opened), `late` (opens in the first process
alone), `odd` (other files in each process). Openings and closings are noted in the file `story`, where there is one.
"""

import hashlib
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio.to_thread

from harness import Failure, HarnessError, Model, ModelInfo, Provider, Request, Response, Setting, Settings, hookimpl

SETTINGS = (
    Setting(name="folder", type=Path, default=Path(), identity=False, help="where it leaves and looks for files"),
    Setting(name="tone", type=str, default=None, identity=True, help="of its answers", choices=("loud", "low")),
    Setting(name="images_per_prompt", type=int, default=None, identity=False, help="most images of one request"),
)


class Toy:
    """Answers with what it knows of itself, as JSON."""

    def __init__(self, name: str, settings: Settings) -> None:
        self._settings = settings
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
        if verb == "refuse":
            raise HarnessError("no memory for it", where="toy", remedy="use less")
        if verb == "hold":
            await anyio.to_thread.run_sync((self._folder / rest).read_bytes, abandon_on_cancel=True)
        return self._answer(verb, rest, request)

    def _answer(self, verb: str, rest: str, request: Request) -> Response | Failure:
        if verb == "fail":
            return Failure(outcome="error", reason="http_500", message="\ud800", transient=True, retry_after=1.5)
        if verb == "bug":
            raise ValueError("a bug of the model's")
        if verb == "note":
            notes = (*self.info.notes, rest)
            self.info = ModelInfo(**{name: getattr(self.info, name) for name in self.info.__slots__} | {"notes": notes})
        images = [hashlib.sha256(image.opened.data).hexdigest() for image in request.images]
        encoded = [image.opened.encoded.decode() for image in request.images]
        known = {"pid": os.getpid(), "devices": os.environ.get("CUDA_VISIBLE_DEVICES"), "images": images}
        settings = {name: str(value) for name, value in self._settings.items()}
        return Response(text=json.dumps({**known, "said": rest, "encoded": encoded, "settings": settings}))

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
    toy = Toy(name, settings)
    if name == "closed" or (name == "late" and not toy._first("late")):
        raise HarnessError("this model is not for you", where="the hub", remedy="ask for access")
    if name == "crashing":
        sys.stderr.write("\x1b[31mfatal: no more\x1b[0m\n")
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "broken":
        raise ValueError("a bug of the provider's")
    yield toy
    _note(settings, f"close {name}")


def _note(settings: Settings, line: str) -> None:
    """Append to `story` in the folder, where somebody put that file."""
    if (settings["folder"] / "story").exists():
        with (settings["folder"] / "story").open("a") as file:
            file.write(f"{line}\n")


@hookimpl
def harness_models() -> Iterable[Provider]:
    """Offer `toy/NAME`."""
    return [Provider(scheme="toy", description="does as it is told", open=opened, settings=SETTINGS, local=True)]
