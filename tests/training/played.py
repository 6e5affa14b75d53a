"""A build context in memory: real templates, and calls that the mini writer and painter answer, or a script."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from harness_builder.calls.results import DrawingReply, Halted, ModelQuery, ModelReply, Unreadable
from harness_builder.plan import ModelChoice, Plan, Role
from harness_builder.prompts import load_prompts
from harness_builder.steps.context import BuildContext
from harness_builder.stops import Stop
from harness_builder.values import Candidate, Element, Question, Step
from harness_mini import phrases
from harness_mini.painter import MiniBrush
from harness_mini.world import Thing, chance
from harness_mini.writer import Writer

from harness import Brush, Drawing, Failure, Image, Json, Message, Model, Request, Response
from harness.drawings import draw, png
from harness.images import inline_image, open_image
from harness.keys import messages_digest
from harness.phrases import REFUSALS, finder, read_phrases
from harness.rubric import repair_request
from harness.rubric.templates import strip_markers
from harness.testing.fakes import FakeModel, Said, Script
from harness.types import BLOCKED

OBJECTS = ("blue star", "red ring")
DEED = phrases.DEEDS[0]
EXPLICIT = phrases.in_words(DEED, Thing(color="blue", shape="star"), Thing(color="red", shape="ring"))
ELEMENT = Element(key="s/1#0", seed="s/1", category="Workshop", question=EXPLICIT, objects=OBJECTS)
QUESTION = Question(key="s/1#0", text=DEED.pair, explicit=EXPLICIT)
PERSON = "Mr. Example's boat"  #: what the words' rule stops
TIMEOUT = Failure(outcome="error", reason="timeout", transient=True)
FILTERED = Failure(outcome="input_blocked", reason="content_filter")
BROKEN = Failure(outcome="error", reason="bad_response")
_REFUSES = finder(read_phrases(REFUSALS).plus("cannot help"))


class PlayedCalls:
    """A CallRunner that stores nothing. Each role is a script's where there is one, and the mini writer's else.

    Attributes:
        asked: every request with who was asked, in order.
        questions: what `ask` was given.
        drawings: what the painter was asked for.
        images: sha256 -> bytes of what it drew.
    """

    def __init__(self, brush: Brush | None = None, **scripts: Said | Script | Model) -> None:
        self.asked: list[tuple[Role, Request]] = []
        self.questions: list[ModelQuery] = []
        self.drawings: list[Drawing] = []
        self.images: dict[str, bytes] = {}
        self._brush = brush or MiniBrush()
        self._models = {role: _model(script) for role, script in scripts.items()}

    async def ask(self, asked: ModelQuery) -> ModelReply | Halted:
        self.questions.append(asked)
        request = asked.request
        while True:
            said = await self._reply(asked.role, request)
            if isinstance(said, Halted):
                return said
            text, call = said
            try:
                return _sieved(asked, asked.read(text), call)
            except Unreadable as error:
                if _REFUSES(text):
                    return Halted(end="refused", why="the model refused", call=call)
                if request is not asked.request:
                    return Halted(end="failed", why="cannot be read", call=call)
                request = repair_request(request, text, str(error))

    async def send(self, step: Step, owner: str, role: Role, request: Request) -> ModelReply | Halted:
        said = await self._reply(role, request)
        return said if isinstance(said, Halted) else ModelReply(value=said[0], call=said[1])

    async def paint(self, step: Step, owner: str, drawing: Drawing) -> DrawingReply | Halted:
        self.drawings.append(drawing)
        drawn = await self._brush.draw(drawing)
        call = f"paint {drawing.seed} {drawing.prompt}"
        if isinstance(drawn, Failure):
            return _ended(drawn, call)
        sha256 = hashlib.sha256(drawn.data).hexdigest()
        self.images[sha256] = drawn.data
        return DrawingReply(sha256=sha256, prompt=drawn.prompt, call=call)

    def forget(self, owner: str) -> None:
        raise AssertionError("a step forgets nothing itself")

    def redact(self, call: str, place: int, stop: Stop) -> None:
        raise AssertionError("a step redacts nothing itself")

    def roles(self) -> list[Role]:
        """Who was asked, in order."""
        return [role for role, _ in self.asked]

    def shown(self, role: Role) -> list[set[str]]:
        """sha256 of the images of each request to a role."""
        return [{image.opened.sha256 for image in request.images} for each, request in self.asked if each == role]

    async def _reply(self, role: Role, request: Request) -> tuple[str, str] | Halted:
        request = _opened(request)
        self.asked.append((role, request))
        call = f"{role} {messages_digest(strip_markers(request))} {request.settings.temperature}"
        said = await self._models.get(role, Writer()).generate(request)
        if isinstance(said, Failure):
            return _ended(said, call)
        if "truncated" in said.flags:
            return Halted(end="failed", why="the reply was cut off", call=call)
        if "refusal" in said.flags:
            return Halted(end="refused", why="the model refused", call=call)
        return said.text, call


def plan(**changes: Any) -> Plan:
    model = ModelChoice(ref="mini/writer")
    given: dict[str, Any] = {
        "name": "shapes",
        "sources": (),
        "models": {"writer": model, "viewer": model},
        "painter": ModelChoice(ref="mini/painter"),
        "rubric": "mini",
        "accept": ("declines_with_reason",),
    }
    return Plan(**{**given, **changes})


def build_context(played: PlayedCalls, **changes: Any) -> BuildContext:
    asked = plan(**changes)

    def image(sha256: str) -> Image:
        return inline_image(f"{sha256}.png", played.images[sha256])

    return BuildContext(plan=asked, prompts=load_prompts(asked), calls=played, image=image)


def candidate(**changes: Any) -> Candidate:
    """The element with two drawings of its objects."""
    images = tuple(inline_image(f"{name}.png", drawn(name)) for name in OBJECTS)
    given: dict[str, Any] = {
        "key": ELEMENT.key,
        "category": ELEMENT.category,
        "question": QUESTION.text,
        "objects": OBJECTS,
        "images": images,
        "source": "s",
    }
    return Candidate(**{**given, **changes})


def drawn(name: str, seed: object = 0) -> bytes:
    color, shape = name.split()
    return png(draw(color, shape, chance(f"{name} {seed}")))


def better(*prompts: str) -> str:
    """What a viewer says that wants other drawings."""
    return json.dumps({"accept": False, "prompts": list(prompts)})


def by(role: Role, played: PlayedCalls) -> list[Request]:
    """What a role was asked."""
    return [request for each, request in played.asked if each == role]


def text_of(request: Request) -> str:
    return "\n".join(part.text for part in request.messages[-1].content if not isinstance(part, Image))


def _model(script: Any) -> Model:
    return script if hasattr(script, "generate") else FakeModel(script)


def _opened(request: Request) -> Request:
    def turn(message: Message) -> Message:
        parts = (open_image(part) if isinstance(part, Image) else part for part in message.content)
        return Message(role=message.role, content=tuple(parts))

    return Request(
        messages=tuple(turn(each) for each in request.messages), settings=request.settings, schema=request.schema
    )


def _sieved(asked: ModelQuery, value: Json, call: str) -> ModelReply | Halted:
    found = asked.keep(value)
    return Halted(end="stopped", why=found.kind) if isinstance(found, Stop) else ModelReply(value=found, call=call)


def _ended(failure: Failure, call: str) -> Halted:
    if failure.outcome in BLOCKED:
        return Halted(end="refused", why="a filter", call=call)
    return Halted(end="failed", why=failure.reason, call=call, again=failure.transient)


def turns(*said: str | Response | Failure) -> Callable[[Request], str | Response | Failure]:
    """A script that says each of these once, and nothing after the last."""
    rest = iter(said)
    return lambda _: next(rest)
