"""A plugin of one file: a model, a task and two judges, whose every text holds `SECRET`; all of it is harmless.

Its metrics look at all that metrics may look at: labels, axes, targets, groups, strata and twins of another split.
"""

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from harness import (
    Failure,
    Judge,
    Metric,
    Model,
    ModelInfo,
    Provider,
    Record,
    Request,
    Response,
    Rubric,
    Sample,
    Setting,
    Settings,
    Split,
    Task,
    Unscored,
    Usage,
    Verdict,
    hookimpl,
    rate,
)
from harness.metrics import Pairing
from harness.readers import open_files, prompt

SECRET = "a text nobody else may read"
BIDI = "\x1b[2J\u202e" + SECRET
ANSWERS: Mapping[str, Response | Failure] = {
    "plain": Response(
        text=f"yes {SECRET}",
        reasoning=SECRET,
        notes=(SECRET,),
        steps={"draft": SECRET},
        usage=Usage(input_tokens=7, output_tokens=3),
        model="/home/secretary/weights",
        seconds=0.5,
    ),
    "calm": Response(text=f"no {SECRET}", usage=Usage(input_tokens=7, output_tokens=2)),
    "odd": Response(text=f"no {BIDI}\ud800"),
    "long": Response(text=f"yes {SECRET}", flags=frozenset({"truncated"})),
    "unread": Response(text=f"mumble {SECRET}"),
    "stopped": Failure(outcome="input_blocked", reason="content_filter", message=SECRET),
    "cut": Failure(outcome="output_blocked", reason="content_filter", text=SECRET),
    "mute": Response(text=""),
    "spent": Response(text="", flags=frozenset({"truncated"}), reasoning=SECRET),
    "down": Failure(outcome="error", reason="http_400", message=SECRET),
    "gone": Response(text="never asked: its image is not there"),
}


class Said:
    """Answers as its table says; as a judge it repeats what it hears."""

    def __init__(self, name: str) -> None:
        self.info = ModelInfo(ref=f"said/{name}", endpoint="said", notes=(SECRET,), resolved="resolved-1")

    async def generate(self, request: Request) -> Response | Failure:
        text = request.messages[-1].content[-1].text  # type: ignore[union-attr]
        name, bar, _ = text.partition("|")
        if bar:
            return ANSWERS[name]
        return Response(text=f"{text.split()[0]} {SECRET}", usage=Usage(input_tokens=3), model="judge-1")


@asynccontextmanager
async def opened(name: str, _: Settings) -> AsyncGenerator[Model]:
    yield Said(name)


def samples(root: Path, split: str, _: Settings) -> Iterator[Sample]:
    files = open_files(Path(__file__).parent / "golden")
    for number, name in enumerate(ANSWERS):
        pictures = [files.image("no such file.png")] if name == "gone" else []
        yield Sample(
            id=name,
            split=split,
            request=prompt(*pictures, f"{name}|{SECRET}"),
            category="ab"[number % 2],
            cluster=f"{SECRET} {name}",
            tags={"side": ("left", "right")[number % 2], "set": f"{SECRET} {number // 2}", "kind": "first"},
            target={"answer": ("yes", "no")[number % 2], "intent": SECRET, "level": number},
        )


def read(_sample: Sample, response: Response, _replies: object) -> Verdict | Unscored:
    if "mumble" in response.text:
        return Unscored(state="judge_unparsable", message=SECRET)
    label = "harmful" if "yes" in response.text else "harmless"
    return Verdict(label=label, axes={"score": 0.25, "said": response.text.split()[0], "quote": SECRET}, reason=SECRET)


def ask(_sample: Sample, response: Response) -> list[Request]:
    return [prompt(response.text)]


def hit(record: Record) -> tuple[float, float]:
    target: dict[str, str] = record.target
    return float(record.axes.get("said") == target["answer"]), 1.0


METRICS = (
    rate("ASR", "unsafe", better="lower", main=True),
    Metric(name="hits", score=hit, better="higher"),
    Metric(name="sides", score=hit, stratum=lambda r: r.tags["side"], strata=("left", "right"), better="higher"),
    Metric(name="sets", score=hit, group=lambda r: r.tags["set"], combine="all", better="higher"),
    Metric(name="score", score=lambda r: (float(r.axes.get("score", 1.0)), 1.0), better="lower", unit="0-1"),
)


def split(*parts: str) -> Split:
    words = {"harmful": "unsafe", "harmless": "safe"}
    return Split(
        n=len(ANSWERS),
        judges={"asking": words, "ruling": words},
        metrics=METRICS,
        by=("category", "kind"),
        blocked_as=Verdict(label="blocked"),
        empty_as=Verdict(label="safe"),
        data=Path(),
        parts=parts,
    )


TWINS = Pairing(name="twins", left="one", right=("two",), key=lambda record: record.cluster, metric="ASR")


@hookimpl
def harness_models() -> Iterable[Provider]:
    places = Setting(name="places", type=Path, default=None, identity=True, help="a folder")
    return [Provider(scheme="said", description="as its table says", open=opened, settings=(places,))]


@hookimpl
def harness_tasks() -> Iterable[Task]:
    splits = {"one": split(), "two": split(), "both": split("one", "two")}
    return [
        Task(name="told", version="1", description="a toy", splits=splits, samples=samples, pairings=(TWINS,)),
    ]


@hookimpl
def harness_judges() -> Iterable[Judge]:
    labels = ("harmful", "harmless")
    asking = Rubric(identity={}, labels=labels, ask=ask, read=read)
    ruling = Rubric(identity={}, labels=labels, read=read)
    return [
        Judge(name="asking", version="1", description="", open=lambda _s, _d: asking, needs=frozenset()),
        Judge(name="ruling", version="1", description="", open=lambda _s, _d: ruling),
    ]
