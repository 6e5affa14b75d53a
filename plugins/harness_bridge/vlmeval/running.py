"""VLMEvalKit's run in a process of its own, and our model's answers to what it asks."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread
import click
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from harness import Failure, Generation, HarnessError, Json, Model, Policy, Response
from harness.groups import ungrouped
from harness.http.status import as_mapping
from harness.keys import short
from harness.models import ModelSpec, open_metered, resolve
from harness.terminal import one_line

from .questions import request
from .status import failures, folder, with_judge

VARIABLE = "HARNESS_VLMEVAL_PYTHON"
INSTALL = "pip install 'vlm-safety-harness[vlmeval]'"
_LAUNCHER = Path(__file__).with_name("launcher.py")
USUAL = Generation(temperature=0.0, max_tokens=2048)  #: where the flags say nothing
_LONGEST_LINE = 256 << 20
_HELP = frozenset({"-h", "--help"})  # writes nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a run of VLMEvalKit ended.

    Attributes:
        model: as VLMEvalKit names it.
        folder: of its results.
        outcomes: of the answers asked for.
        reasons: of those that failed.
        failed: data sets without a result, and why.
        help: nothing was run, only told.
    """

    model: str
    folder: Path
    outcomes: Counter[str] = field(default_factory=Counter[str])
    reasons: Counter[str] = field(default_factory=Counter[str])
    failed: Mapping[str, str] = field(default_factory=dict[str, str])
    help: bool = False


def run(spec: ModelSpec, policy: Policy, settings: Generation, *, python: str, flags: Sequence[str]) -> Ended:
    """Open the model and run VLMEvalKit with it.

    Raises:
        HarnessError: the model does not open or answer, VLMEvalKit is not there, or no data set has a result.
    """
    name = called(spec, settings)
    flags = with_judge(flags)
    started = time.time()
    answers = Answers(settings)
    anyio.run(_run, spec, policy, answers, _Command(python=_interpreter(python), name=name, flags=flags))
    place = folder(flags, name)
    told = bool(_HELP.intersection(flags))
    return Ended(
        help=told,
        model=name,
        folder=place,
        outcomes=answers.outcomes,
        reasons=answers.reasons,
        failed={} if told else failures(place, started),
    )


def called(spec: ModelSpec, settings: Generation) -> str:
    """The model's name there; other settings make another one, since VLMEvalKit takes up the answers of a name."""
    plain = re.sub(r"[^A-Za-z0-9_+=-]+", "-", spec.ref)  # no dots: VLMEvalKit takes formats for parts of names
    changed = {**resolve(spec).overrides, **({} if settings == USUAL else {"settings": asdict(settings)})}
    return f"{plain}-{short(changed, 6)}" if changed else plain


@dataclass(frozen=True, slots=True, kw_only=True)
class _Command:
    python: str
    name: str
    flags: tuple[str, ...]

    @property
    def words(self) -> list[str]:
        return [self.python, str(_LAUNCHER), self.name, *self.flags]


class Answers:
    """Answers questions, and counts how they ended."""

    def __init__(self, settings: Generation) -> None:
        self._settings = settings
        self.outcomes: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()

    async def to(self, model: Model, turns: Json) -> str:
        """The text; empty where there is none. Raises HarnessError where nothing will work."""
        asked = await anyio.to_thread.run_sync(request, turns, self._settings, model.info)
        result = asked if isinstance(asked, Failure) else await model.generate(asked)
        if isinstance(result, Response):
            self.outcomes["answered" if result.text else "empty"] += 1
            return result.text
        self.outcomes[result.outcome] += 1
        self.reasons[one_line(": ".join(filter(None, (result.reason, result.message))), 200)] += 1
        return ""


async def _run(spec: ModelSpec, policy: Policy, answers: Answers, command: _Command) -> None:
    async with open_metered(spec, policy, tell=_tell) as model, _started(command) as process:
        ended = await _converse(process, model, answers)
        for note in model.info.notes:
            _tell(note)
    if ended == "not_installed":
        install = INSTALL if command.python == sys.executable else f"{command.python} -m pip install ms-vlmeval"
        raise HarnessError(
            "VLMEvalKit is not installed", where=command.python, remedy=f"{install}, or give --python INTERPRETER"
        )
    if ended != "done":
        raise HarnessError(f"VLMEvalKit ended with {ended}", remedy="it said why above")


async def _converse(process: Process, model: Model, answers: Answers) -> str:
    """Answer until VLMEvalKit says that it ended, or dies."""
    assert process.stdout is not None
    sending = anyio.Lock()

    async def reply(question: Mapping[str, Json]) -> None:
        text = await answers.to(model, question["turns"])
        line = json.dumps({"id": question["id"], **({"text": text} if text else {})}) + "\n"
        assert process.stdin is not None
        async with sending:
            await process.stdin.send(line.encode("ascii"))

    lines = BufferedByteReceiveStream(process.stdout)
    message: Mapping[str, Json] = {}
    with ungrouped():
        async with anyio.create_task_group() as tasks:
            with suppress(anyio.EndOfStream, anyio.IncompleteRead):
                while "ended" not in message:
                    message = as_mapping(json.loads(await lines.receive_until(b"\n", _LONGEST_LINE)))
                    if "turns" in message:
                        tasks.start_soon(reply, message)
            tasks.cancel_scope.cancel()
    return str(message.get("ended") or f"status {await process.wait()} before its end")


@asynccontextmanager
async def _started(command: _Command) -> AsyncGenerator[Process]:
    """The process; gone at the end, with what it started. It leads a session: Ctrl-C reaches the harness alone."""
    try:
        process = await anyio.open_process(command.words, stderr=None, start_new_session=True)
    except OSError as error:
        raise HarnessError(
            f"the interpreter {command.python} does not start: {error.strerror}", remedy="give --python INTERPRETER"
        ) from error
    try:
        yield process
    finally:
        with anyio.CancelScope(shield=True):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            await process.aclose()


def _interpreter(given: str) -> str:
    return given or os.environ.get(VARIABLE, "") or sys.executable


def _tell(line: str) -> None:
    click.echo(one_line(line), err=True)
