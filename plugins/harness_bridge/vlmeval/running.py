"""Runs VLMEvalKit in its own process and answers its questions with our model."""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, cast

import anyio
import anyio.to_thread
import click

from harness import (
    BadImage,
    Failure,
    Generation,
    HarnessError,
    Image,
    Json,
    Message,
    Model,
    ModelInfo,
    Policy,
    Request,
    Response,
    Text,
)
from harness.errors import unwrap_groups
from harness.http.status import as_list, as_mapping
from harness.images import BYTE_LIMIT, inline_image, open_image
from harness.keys import short
from harness.models import ModelSpec, open_metered, resolve
from harness.subprocesses import ChildProcess, PipeClosed, open_child
from harness.text import one_line

VARIABLE = "HARNESS_VLMEVAL_PYTHON"
INSTALL = "pip install 'vlm-safety-harness[vlmeval]'"
JUDGE = ("--judge", "exact_matching")
USUAL = Generation(temperature=0.0, max_tokens=2048)  #: defaults of the flags
_LAUNCHER = Path(__file__).with_name("launcher.py")
_LONGEST_LINE = 256 << 20
_HELP = frozenset({"-h", "--help"})  # writes nothing
_ROLES = frozenset({"system", "user", "assistant"})
Role = Literal["system", "user", "assistant"]
_OURS = ("--model", "--config", "--base-url")


@dataclass(frozen=True, slots=True, kw_only=True)
class KitRun:
    """A finished run of VLMEvalKit.

    Attributes:
        model: the model's name in VLMEvalKit.
        folder: folder of its results.
        outcomes: count of answers by outcome.
        reasons: count of failures by reason.
        failed: data set without a result -> why.
        help: whether VLMEvalKit only printed its help.
    """

    model: str
    folder: Path
    outcomes: Counter[str] = field(default_factory=Counter[str])
    reasons: Counter[str] = field(default_factory=Counter[str])
    failed: Mapping[str, str] = field(default_factory=dict[str, str])
    help: bool = False


def run_vlmeval(spec: ModelSpec, policy: Policy, settings: Generation, *, python: str, flags: Sequence[str]) -> KitRun:
    """Open the model and run VLMEvalKit with it.

    Raises:
        HarnessError: the flags name a model or no data, the model does not open or answer, VLMEvalKit is missing, or no
            data set has a result.
    """
    name, helped = name_model(spec, settings), not _HELP.isdisjoint(flags)
    if named := [flag for flag in _OURS if _flag_value(flags, flag) is not None]:
        raise HarnessError(f"{named[0]} is among VLMEvalKit's flags", remedy="name the model by the bridge's --model")
    if _flag_value(flags, "--data") is None and not helped:
        raise HarnessError(
            "--data is not among VLMEvalKit's flags", remedy="add it after the --, such as --data MMStar"
        )
    flags = flags if _flag_value(flags, "--judge") is not None else (*flags, *JUDGE)
    python = python or os.environ.get(VARIABLE, "") or sys.executable
    started = time.time()
    answers = Answers(settings)
    anyio.run(_run, spec, policy, answers, python, (name, *flags))
    folder = Path(os.environ.get("MMEVAL_ROOT") or _flag_value(flags, "--work-dir") or "outputs") / name
    return KitRun(
        help=helped,
        model=name,
        folder=folder,
        outcomes=answers.outcomes,
        reasons=answers.reasons,
        failed={} if helped else _find_failures(folder, started),
    )


def name_model(spec: ModelSpec, settings: Generation) -> str:
    """The model's name in VLMEvalKit; other settings get another name, since it reuses answers by name."""
    plain = re.sub(r"[^A-Za-z0-9_+=-]+", "-", spec.ref)  # no dots: VLMEvalKit parses file formats from names
    changed = {**resolve(spec).overrides, **({} if settings == USUAL else {"settings": asdict(settings)})}
    return f"{plain}-{short(changed, 6)}" if changed else plain


class Answers:
    """Answers questions and counts the outcomes."""

    def __init__(self, settings: Generation) -> None:
        self._settings = settings
        self.outcomes: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()

    async def answer(self, model: Model, turns: Json) -> str:
        """The answer's text; "" for a failure. Raises HarnessError if nothing will work."""
        asked = await anyio.to_thread.run_sync(build_request, turns, self._settings, model.info)
        result = asked if isinstance(asked, Failure) else await model.generate(asked)
        if isinstance(result, Response):
            self.outcomes["answered" if result.text else "empty"] += 1
            return result.text
        self.outcomes[result.outcome] += 1
        self.reasons[one_line(": ".join(filter(None, (result.reason, result.message))), 200)] += 1
        return ""


async def _run(spec: ModelSpec, policy: Policy, answers: Answers, python: str, arguments: Sequence[str]) -> None:
    command = (python, str(_LAUNCHER), *arguments)
    remedy = "give --python INTERPRETER"
    async with (
        open_metered(spec, policy, tell=_tell) as model,
        open_child(command, keep_stderr=False, remedy=remedy) as child,
    ):
        ended = await _answer_questions(child, model, answers)
        for note in model.info.notes:
            _tell(note)
    if ended == "not_installed":
        install = INSTALL if python == sys.executable else f"{python} -m pip install ms-vlmeval"
        raise HarnessError(
            "VLMEvalKit is not installed", where=python, remedy=f"{install}, or give --python INTERPRETER"
        )
    if ended != "done":
        raise HarnessError(f"VLMEvalKit ended with {ended}", remedy="see its output above")


async def _answer_questions(child: ChildProcess, model: Model, answers: Answers) -> str:
    """Answer until VLMEvalKit ends or dies."""

    async def reply(question: Mapping[str, Json]) -> None:
        text = await answers.answer(model, question["turns"])
        child.send_json({"id": question["id"], **({"text": text} if text else {})})

    with unwrap_groups():
        async with anyio.create_task_group() as tasks:
            try:
                while "ended" not in (message := as_mapping(await child.receive_json(_LONGEST_LINE))):
                    tasks.start_soon(reply, message)
                return str(message["ended"])
            except PipeClosed:
                return f"no result: its process {await child.wait_end()}"
            finally:
                tasks.cancel_scope.cancel()
    raise AssertionError


def _tell(line: str) -> None:
    click.echo(one_line(line), err=True)


def _find_failures(folder: Path, since: float) -> dict[str, str]:
    """The data sets without a result, and why: VLMEvalKit's exit code is 0 even if every data set failed.

    Args:
        folder: the model's folder.
        since: start of the run; older files belong to others.

    Raises:
        HarnessError: no data set has a result, or nothing was written.
    """
    found = [path for path in folder.glob("**/status.json") if path.stat().st_mtime >= since - 1]
    if not found:
        raise HarnessError("VLMEvalKit wrote no status.json", where=str(folder), remedy="see its log")
    newest = max(found, key=lambda path: path.stat().st_mtime)
    sets = as_mapping(as_mapping(json.loads(newest.read_text("utf-8"))).get("datasets"))
    failed: dict[str, str] = {}
    for name, value in sets.items():
        entry = as_mapping(value)
        if error := entry.get("error_message"):
            failed[name] = str(error)
        elif entry.get("skip_reason") == "invalid_dataset":
            failed[name] = "VLMEvalKit knows no such data set"
        elif entry.get("status") != "done":
            failed[name] = f"it stopped at the step {entry.get('status')!r}"
    if len(failed) == len(sets):
        said = "; ".join(f"{name}: {why}" for name, why in failed.items())
        raise HarnessError(f"VLMEvalKit failed on every data set: {said}", where=str(newest))
    return failed


def _flag_value(flags: Sequence[str], name: str) -> str | None:
    """The value of a flag; None if absent."""
    for at, flag in enumerate(flags):
        if flag == name:
            return flags[at + 1] if at + 1 < len(flags) else ""
        if flag.startswith(f"{name}="):
            return flag.partition("=")[2]
    return None


class Unsupported(Exception):
    """The question has a form that no model supports."""


def build_request(turns: Json, settings: Generation, info: ModelInfo) -> Request | Failure:
    """The request, its images opened, or why there is none. Blocking: it reads files."""
    try:
        asked = Request(messages=tuple(_messages(turns)), settings=settings)
    except BadImage as error:
        return Failure(outcome="bad_sample", reason=error.reason, message=str(error))
    except Unsupported as error:
        return Failure(outcome="error", reason="unsupported_request", message=str(error))
    most = info.max_images if "images" in info.can else 0
    what = ""
    if most is not None and len(asked.images) > most:
        what = f"{len(asked.images)} images, and the model takes {most}"
    elif "system" not in info.can and any(message.role == "system" for message in asked.messages):
        what = "the model takes no system message"
    return Failure(outcome="error", reason="unsupported_request", message=what) if what else asked


def _messages(turns: Json) -> Iterator[Message]:
    for turn in map(as_mapping, as_list(turns)):
        role = str(turn.get("role"))
        if role not in _ROLES:
            raise Unsupported(f"a turn with the role {role}")
        parts: list[Text | Image] = []
        for item in map(as_mapping, as_list(turn.get("content"))):
            kind, value = item.get("type"), str(item.get("value"))
            if kind == "text":
                parts.append(Text(text=value))
            elif kind == "image":
                parts.append(open_image(inline_image(Path(value[:200]).name, _read_image(value))))
            else:
                raise Unsupported(f"a part with the type {kind}")
        yield Message(role=cast("Role", role), content=tuple(parts))


def _read_image(value: str) -> bytes:
    if value.startswith("data:image/"):
        try:
            return base64.b64decode(value.partition(",")[2], validate=True)
        except binascii.Error as error:
            raise BadImage("a data URL", "unreadable", str(error)) from None
    if "://" in value[:20]:
        raise BadImage(value, "missing", "addresses are not fetched")
    path = Path(value)
    try:
        if not path.is_file():
            raise BadImage(value, "missing")
        if path.stat().st_size > BYTE_LIMIT:
            raise BadImage(value, "too_many_bytes")
        return path.read_bytes()
    except OSError as error:
        raise BadImage(value, "unreadable", str(error.strerror)) from None
