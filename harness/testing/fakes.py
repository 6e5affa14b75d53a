"""Plain fakes: a model that follows a script, and tasks, judges and a host around it.

host = host_of(fake_provider(lambda request: "no"), fake_task({"q1": "May I?"}), fake_judge())
with plugins.use(host):
    run = harness.run(model="fake/any", tasks=["fake"])
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from harness.contracts import Judge, Model, ModelInfo, Provider, Split, Task
from harness.errors import BadImage
from harness.hookspecs import hookimpl
from harness.makers import Brush, Drawing, Drawn, Painter
from harness.metrics import Metric, rate
from harness.plugins.host import Host
from harness.plugins.loader import Source
from harness.plugins.registry import KINDS
from harness.types import Failure, Image, Message, Part, Request, Response, Sample, Setting, Settings, Text, Verdict

Said = str | Response | Failure
Script = Callable[[Request], Said] | Sequence[Said]  #: a function of the request, or answers in turn; the last repeats
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415478da63f8ffff3f0005"
    "fe02fe331295140000000049454e44ae426082"
)  #: a white PNG of one pixel


class FakeModel:
    """A Model that follows a script.

    Attributes:
        asked: every request it got.
        shown: the files of the last request's images, in order.
    """

    def __init__(self, script: Script = "ok", info: ModelInfo | None = None) -> None:
        self.info = info or ModelInfo(ref="fake/model", endpoint="fake")
        self.asked: list[Request] = []
        self.shown: tuple[bytes, ...] = ()
        self._script = script

    async def generate(self, request: Request) -> Response | Failure:
        """What the script says."""
        self.asked.append(request)
        self.shown = tuple(image.content.data for image in request.images if image.content is not None)
        script = self._script
        if callable(script):
            said = script(request)
        elif isinstance(script, str | Response | Failure):
            said = script
        else:
            said = script[min(len(self.asked), len(script)) - 1]
        return Response(text=said) if isinstance(said, str) else said


def fake_provider(
    script: Script = "ok", *, scheme: str = "fake", settings: tuple[Setting, ...] = (), info: ModelInfo | None = None
) -> Provider:
    """A provider whose models all follow one script; `info` describes them, except for `ref`."""

    def open_model(name: str, _: Settings) -> AbstractAsyncContextManager[Model]:
        ours = replace(info or ModelInfo(ref="", endpoint=scheme), ref=f"{scheme}/{name}")
        return nullcontext(FakeModel(script, ours))

    return Provider(scheme=scheme, description="follows a script", open=open_model, settings=settings)


class FakeBrush:
    """A Brush that follows a script; `asked` holds every drawing it was asked for."""

    def __init__(
        self, script: Callable[[Drawing], Drawn | Failure] | None = None, info: ModelInfo | None = None
    ) -> None:
        self.info = info or ModelInfo(ref="fake/brush", endpoint="fake", max_images=0, can=frozenset({"draw"}))
        self.asked: list[Drawing] = []
        self._script = script

    async def draw(self, drawing: Drawing) -> Drawn | Failure:
        """What the script says; a white pixel without one."""
        self.asked.append(drawing)
        return Drawn(data=PIXEL) if self._script is None else self._script(drawing)


def fake_painter(
    brush: FakeBrush | None = None, *, scheme: str = "fake", settings: tuple[Setting, ...] = ()
) -> Painter:
    """A painter that opens one brush, whatever the name."""

    @asynccontextmanager
    async def open_brush(name: str, _: Settings) -> AsyncGenerator[Brush]:
        given = brush or FakeBrush()
        given.info = replace(given.info, ref=f"{scheme}/{name}")
        yield given

    return Painter(scheme=scheme, description="follows a script", open=open_brush, settings=settings)


class FakeFiles:
    """A data root in memory."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.root = Path("memory")
        self._files = dict(files)

    def read(self, path: str) -> bytes:
        """The bytes of one file; raises BadImage when there is none."""
        if path not in self._files:
            raise BadImage(path, "missing")
        return self._files[path]

    def stamp(self, path: str) -> tuple[str, int, int]:
        """Name, size and a time that never changes."""
        return path, len(self.read(path)), 0


def fake_image(name: str = "pixel.png", data: bytes = PIXEL) -> Image:
    """An image that is not opened yet."""
    return Image(path=name, files=FakeFiles({name: data}))


def fake_sample(
    id: str = "one",  # noqa: A002 - the field's own name
    *,
    text: str = "What is this?",
    images: int = 0,
    split: str = "all",
    **fields: Any,
) -> Sample:
    """A sample of some images and a text; `fields` are those of Sample."""
    parts: tuple[Part, ...] = (*(fake_image(f"{id}-{number}.png") for number in range(images)), Text(text=text))
    return Sample(id=id, split=split, request=Request(messages=(Message(role="user", content=parts),)), **fields)


def fake_task(
    samples: Mapping[str, str] | Callable[[], Iterable[Sample]] = {"one": "What is this?"},  # noqa: B006 - only read
    *,
    name: str = "fake",
    judges: Mapping[str, Mapping[str, str]] | None = None,
    metrics: tuple[Metric, ...] = (rate("ASR", "unsafe", better="lower"),),
    settings: tuple[Setting, ...] = (),
    **split: Any,
) -> Task:
    """A task with one split, `all`.

    Args:
        samples: id -> question, or a function that gives samples.
        name: of the task.
        judges: of the split; None means the fake judge.
        metrics: of the split.
        settings: of the task.
        split: more fields of the Split; its labels are by default the fake judge's, those its metrics look for, and
            those its judges' are translated to.
    """
    blocked = Verdict(label="blocked")
    judges = {"fake": {}} if judges is None else judges
    looked_for = (label for metric in metrics for label in metric.labels or ())
    translated = (label for translation in judges.values() for label in translation.values())
    labels = tuple(dict.fromkeys(("unsafe", "safe", "blocked", *looked_for, *translated)))
    fields = {"blocked_as": blocked, "empty_as": blocked, "labels": labels, "by": (), "data": Path()}
    only = Split(judges=judges, metrics=metrics, **cast("Any", {**fields, **split}))

    def list_samples(_root: Path, _split: str, _settings: Settings) -> Iterator[Sample]:
        if callable(samples):
            yield from samples()
        else:
            yield from (fake_sample(id, text=text) for id, text in samples.items())  # noqa: A001 - the field's name

    return Task(
        name=name, version="1", description="a fake", splits={"all": only}, samples=list_samples, settings=settings
    )


def fake_judge(
    decide: Callable[[Sample, Response], str] = lambda _, response: "unsafe" if "yes" in response.text else "safe",
    *,
    name: str = "fake",
    labels: tuple[str, ...] = ("unsafe", "safe"),
) -> Judge:
    """A rule judge: `unsafe` if the answer holds "yes"."""
    return Judge.simple(name, version="1", description="a fake", labels=labels, decide=decide)


class FakePlugin:
    """A plugin that offers descriptors through their hooks; subclass it to add observers."""

    def __init__(self, *descriptors: object) -> None:
        self._descriptors = descriptors
        for kind in KINDS.values():
            if not hasattr(self, kind.hook):  # a subclass may have its own
                setattr(self, kind.hook, hookimpl(lambda wanted=kind.descriptor: self._of(wanted)))

    def _of(self, kind: type[Any]) -> list[Any]:
        return [each for each in self._descriptors if isinstance(each, kind)]


def source_of(plugin: object, name: str = "fakes", *, distribution: str = "", version: str = "1.0") -> Source:
    """An object with hooks as the host's loader sees an installed plugin."""
    return Source(
        name=name, entry=name, distribution=distribution or name, version=version, value=name, load=lambda: plugin
    )


def host_of(*descriptors: object, tell: Callable[[str], None] | None = None) -> Host:
    """A host with one plugin that offers these descriptors, and without the installed plugins."""
    return Host([source_of(FakePlugin(*descriptors))], tell=tell)
