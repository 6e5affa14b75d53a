"""The checks of providers and painters: what a run and a builder rely on.

A model is asked through the same `generate` as in a run. What it does with images is seen in two ways: the images note
when their bytes are read, and `shown` gives what arrived, if a test server or the model itself can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

import anyio

from harness import lineage
from harness.contracts import Model, Provider
from harness.errors import BadImage
from harness.images import inline_image, open_image
from harness.keys import canonical
from harness.makers import Drawing, Drawn, Painter
from harness.replicas.placement import SETTINGS as LOCAL
from harness.settings import effective
from harness.types import Failure, Generation, Image, ImageContent, Message, Part, Request, Response, Settings, Text

from .fakes import fake_image
from .problems import Problems, check_described

IMAGES: Final = 3  #: of a request, if the model takes so many: with two, a swap and a reversal look alike
SECONDS: Final = 60.0  #: for opening a model, and for one answer
LONGEST_TOKEN: Final = 40  #: characters; no tokenizer has a longer one of plain words
WORDS: Final = "Describe in many long sentences everything that there is to see here, and leave nothing out."
Shown = Callable[[], Sequence[str]]  #: sha256 of each image's file that the last request brought, in order
HOSTILE = ("", " ", "{{ 7 * 7 }}", "\x00\x1b[2J\u202e\ud800", "star " * 5000)
_SMALL = Drawing(prompt="a red star", seed=1, width=64, height=64)


def check_provider(
    provider: Provider,
    name: str = "",
    *,
    settings: Mapping[str, Any] | None = None,
    shown: Shown | None = None,
    limit: Callable[[], object] | None = None,
    seconds: float = SECONDS,
) -> None:
    """Check that a provider keeps its contract; with the name of a model, it is opened and asked.

    Args:
        provider: the descriptor.
        name: a model that can be asked here and now; empty checks the descriptor only.
        settings: of the provider, by name.
        shown: gives the images that arrived with the last request, if that can be known, such as
            `lambda: server.calls[-1].images` of a `ChatServer`.
        limit: gives the `max_tokens` that arrived with the last request, if that can be known, such as
            `lambda: server.calls[-1].parameters.get("max_tokens")`.
        seconds: for opening the model, and for each answer.
    """
    problems = Problems(f"provider {provider.scheme!r}")
    check_described(problems, "none needed", provider.description, provider.settings)
    for setting in (*lineage.SETTINGS, *(LOCAL if provider.local else ())):
        taken = setting.name in {own.name for own in provider.settings}
        problems.require(not taken, f"declares {setting.name!r}, which it has from the core")
    if name:
        with problems.at(f"model {name}"):
            values = effective(provider.settings, settings or {}, owner=f"provider {provider.scheme}")
            check = _ModelCheck(
                problems=problems, provider=provider, name=name, shown=shown, limit=limit, seconds=seconds
            )
            anyio.run(check.run, values)
    problems.raise_found()


@dataclass(kw_only=True)
class _ModelCheck:
    """One model that is opened and asked."""

    problems: Problems
    provider: Provider
    name: str
    shown: Shown | None
    limit: Callable[[], object] | None
    seconds: float
    failures: list[Failure] = field(default_factory=list[Failure])
    answers: int = 0
    step: str = "does not open"
    scope: anyio.CancelScope = field(init=False)

    async def run(self, values: Mapping[str, Any]) -> None:
        """Open the model, ask it, and close it; a step that takes too long ends the check."""
        # One scope around all: a provider's own task groups must lie wholly inside of it.
        with anyio.move_on_after(self.seconds) as self.scope:
            try:
                opened = self.provider.open(self.name, values)
                async with opened as model:
                    self.step = ""
                    await self._ask(model)
                    self.step = "does not close"
            except Exception as error:
                if not self.step:
                    raise
                self.problems.add(f"{self.step}: {type(error).__name__}: {error}")
        if self.scope.cancelled_caught:
            self.problems.add(f"{self.step or 'does not answer'}: nothing came in {self.seconds:g} s")

    async def _ask(self, model: Model) -> None:
        problems, info, ref = self.problems, model.info, f"{self.provider.scheme}/{self.name}"
        problems.require(info.ref == ref, f"info.ref is {info.ref!r}, not {ref!r}")
        problems.require(info.endpoint, "info.endpoint is empty: nothing to share slots by")
        problems.require(info.concurrency is None or info.concurrency > 0, "info.concurrency is not positive")
        canonical(dict(info.fingerprint))
        problems.require(model.info == info, "info is another one when read again")
        most = IMAGES if info.max_images is None else min(IMAGES, info.max_images)
        for count in sorted({0, most if "images" in info.can else 0}):
            with problems.at(f"a request with {count} images"):
                await self._ask_with_images(model, count)
        with problems.at("a request with max_tokens=1"):
            await self._ask_for_one_token(model)
        if self.failures and not self.answers:
            first = self.failures[0]
            problems.add(f"answers nothing: each request is a Failure ({first.reason}: {first.message})")

    async def _ask_with_images(self, model: Model, count: int) -> None:
        read: list[str] = []
        images = [_watch_reads(fake_image(f"{n}.png", _png(n)), read) for n in range(count)]
        said = await self._answer(model, Request(messages=(_user(*images, Text(text="What is this?")),)))
        if not isinstance(said, Response):
            return
        self.problems.require(said.seconds >= 0, "took less than no time")
        sent = [image.opened.sha256 for image in images]
        if self.shown is not None:
            self._compare(sent, list(self.shown()), "shows the model")
        else:
            self._compare(sent, list(dict.fromkeys(read)), "reads")

    def _compare(self, sent: Sequence[str], seen: Sequence[str], does: str) -> None:
        """Require that all images that were sent were seen, in their order."""
        missing = len(set(sent) - set(seen))
        self.problems.require(
            not missing, f"{does} {len(sent) - missing} of {len(sent)} images: none may be left out without a word"
        )
        if not missing:
            self.problems.require(list(seen) == list(sent), f"{does} the images in another order")

    async def _ask_for_one_token(self, model: Model) -> None:
        request = Request(messages=(_user(Text(text=WORDS)),), settings=Generation(max_tokens=1))
        said = await self._answer(model, request)
        if isinstance(said, Response) and "max_tokens" not in model.info.dropped:
            length = len(said.text)
            self.problems.require(length <= LONGEST_TOKEN, f"answers {length} characters, so it ignores the limit")
            arrived = 1 if self.limit is None else self.limit()
            self.problems.require(arrived == 1, f"sends {arrived!r} as the limit")

    async def _answer(self, model: Model, request: Request) -> object:
        """The answer; None for one that raised or has a wrong type, which are breaches."""
        self.scope.deadline = anyio.current_time() + self.seconds
        try:
            said: object = await model.generate(request)
        except Exception as error:  # noqa: BLE001 - a call that failed is a Failure, never an exception
            self.problems.add(f"does not answer: it raised {type(error).__name__}: {error}")
            return None
        self.problems.require_type(said, (Response, Failure), "answers with a")
        if isinstance(said, Response):
            text = cast("object", said.text)
            self.problems.require_type(text, str, "the text of its Response is a")
            self.answers += 1
            return said if isinstance(text, str) else None
        self.failures += [said] if isinstance(said, Failure) else []  # pyright: ignore[reportUnnecessaryIsInstance]
        return said


class WatchedContent(ImageContent):
    """An opened image that notes its hash in `note` whenever its bytes are read."""

    __slots__ = ("_note",)

    def __init__(self, *, note: list[str] | None = None, **fields: Any) -> None:
        super().__init__(**fields)
        object.__setattr__(self, "_note", [] if note is None else note)

    def __getattribute__(self, name: str) -> Any:
        if name in {"data", "encoded"}:
            note: list[str] = object.__getattribute__(self, "_note")
            note.append(object.__getattribute__(self, "sha256"))
        return object.__getattribute__(self, name)


def _watch_reads(image: Image, note: list[str]) -> Image:
    content = open_image(image).opened
    names = ("data", "encoded", "sha256", "mime", "width", "height")
    return replace(image, content=WatchedContent(note=note, **{name: getattr(content, name) for name in names}))


def _png(number: int) -> bytes:
    """A picture; each number gives another one."""
    import io

    import PIL.Image

    file = io.BytesIO()
    PIL.Image.new("RGB", (64, 64 + number), (40 * number + 20, 90, 160)).save(file, "PNG")
    return file.getvalue()


def _user(*parts: Part) -> Message:
    return Message(role="user", content=parts)


def check_painter(
    painter: Painter, name: str = "", *, settings: Mapping[str, Any] | None = None, prompt: str = _SMALL.prompt
) -> None:
    """Check that a painter keeps its contract; with the name of a model, it is opened and asked to draw.

    Args:
        painter: the descriptor.
        name: a model that can draw here and now; empty checks the descriptor only.
        settings: of the painter, by name.
        prompt: what it must be able to draw.
    """
    problems = Problems(f"painter {painter.scheme!r}")
    check_described(problems, "none needed", painter.description, painter.settings)
    if name:
        with problems.at(f"model {name}"):
            values = effective(painter.settings, settings or {}, owner=f"painter {painter.scheme}")
            anyio.run(_check_brush, problems, painter, name, values, replace(_SMALL, prompt=prompt))
    problems.raise_found()


async def _check_brush(problems: Problems, painter: Painter, name: str, values: Settings, drawing: Drawing) -> None:
    async with painter.open(name, values) as brush:
        info, ref = brush.info, f"{painter.scheme}/{name}"
        problems.require(info.ref == ref, f"info.ref is {info.ref!r}, not {ref!r}")
        problems.require(info.endpoint, "info.endpoint is empty: nothing to share slots by")
        problems.require("draw" in info.can, "info.can does not hold 'draw'")
        problems.require(info.local is painter.local, "info.local and the painter's local differ")
        problems.require(info.concurrency is None or info.concurrency > 0, "info.concurrency is not positive")
        canonical(dict(info.fingerprint))
        with problems.at("a drawing"):
            first, again = await brush.draw(drawing), await brush.draw(drawing)
            problems.require(isinstance(first, Drawn), f"cannot draw {drawing.prompt!r}: {first}")
            _check_drawn(problems, first)
            if isinstance(first, Drawn) and isinstance(again, Drawn) and "seed" not in brush.info.dropped:
                same = first.data == again.data
                problems.require(same, "one prompt and seed give two images, and seed is not dropped")
        for odd in HOSTILE:
            with problems.at(f"prompt {odd[:20]!r}"):
                _check_drawn(problems, await brush.draw(replace(drawing, prompt=odd)))


def _check_drawn(problems: Problems, drawn: object) -> None:
    problems.require_type(drawn, (Drawn, Failure), "gives a")
    if not isinstance(drawn, Drawn):
        return
    problems.require(drawn.seconds >= 0, "took less than no time")
    try:
        open_image(inline_image("drawn", drawn.data))
    except BadImage as broken:
        problems.add(f"what it drew is not an image: {broken}")
