"""The types of the public API, as a caller sees them. Never run: mypy and pyright check this file (`make check`)."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Literal, assert_type

import pandas as pd

import harness

State = Literal["complete", "incomplete", "running", "pending", "failed"]

run = harness.run("mini/base", ["mis:mini"], limit=8, judge="keyword", judge_settings={"temperature": 0})
assert_type(run, harness.Run)
assert_type(run.folder, Path)
assert_type(run.exit_code, int)
assert_type(run.notes, tuple[str, ...])
assert_type(run.results, Mapping[str, Any])
assert_type(run.state, State)
assert_type(run.samples(), pd.DataFrame)
assert_type(run.samples(texts=True), pd.DataFrame)
assert_type(run.metrics(), pd.DataFrame)
assert_type(run.metrics(by="category"), pd.DataFrame)
assert_type(run.to_frame(), pd.DataFrame)

loaded = harness.load_run("runs/mini-base")
assert_type(loaded, harness.Run)
assert_type(harness.load_run(Path("runs/mini-base")), harness.Run)

assert_type(harness.judge_run(loaded, judge=["keyword"], primary=True, sample=10), harness.Run)
assert_type(harness.judge_run("runs/mini-base", combine="majority"), harness.Run)

verified = harness.verify_run(loaded)
assert_type(verified, harness.VerifiedRun)
assert_type(verified.state, Literal["same", "differs", "unverifiable"])
assert_type(verified.notes, tuple[str, ...])

assert_type(
    harness.report([loaded, "runs/other"], "html", output=Path("board.html")), str | bytes | Mapping[str, bytes]
)

agreement = harness.agree(loaded, "runs/other", tasks="mis:mini", judges=["keyword"])
assert_type(agreement, harness.JudgeAgreement)
assert_type(agreement.runs, Mapping[str, str])
assert_type(agreement.to_frame(), pd.DataFrame)

listed = harness.list_runs("runs")
assert_type(listed, tuple[harness.ListedRun, ...])
assert_type(listed[0].cost_usd, float | None)
assert_type(listed[0].state, State | Literal["unreadable"])

gate = harness.check_gate([loaded, "runs/other"], max={"ASR:mis:mini": 5}, no_worse_than=run, allow_subset=True)
assert_type(gate, harness.GateResult)
assert_type(gate.passed, bool)
assert_type(gate.exit_code, int)
planned = harness.plan_power("mis:mini", {"limit": 5.0}, against=["runs/other"], rate=3.0)
assert_type(planned, list[harness.PowerRow])
assert_type(planned[0].samples, int | None)

assert_type(harness.compare(loaded, run), harness.Comparison)
assert_type(harness.compare(loaded, [run, "runs/other"], by="category").to_frame(), pd.DataFrame)
assert_type(harness.merge_shards("runs/mini-base", data=Path("data")), harness.Run)
swept = harness.sweep({"models": ["mini/base"]}, executor="local", only=["a"])
assert_type(swept, harness.Sweep)
assert_type(swept.cost_usd, float | None)
assert_type(swept.counts, dict[str, int])

# values
message = harness.Message(role="user", content=(harness.Text(text="x"),))
request = harness.Request(messages=(message,), settings=harness.Generation(temperature=None, max_tokens=8))
assert_type(request.images, tuple[harness.Image, ...])
usage = harness.Usage(input_tokens=3)
response = harness.Response(text="x", usage=usage)
assert_type(response.flags, frozenset[str])
failure = harness.Failure(outcome="error", reason="http_500", transient=True)
assert_type(failure.retry_after, float | None)
sample = harness.Sample(id="1", split="all", request=request, turns=(message,))
assert_type(sample.tags, Mapping[str, str])
verdict = harness.Verdict(label="safe")
assert_type(verdict.label, str)
unscored = harness.Unscored(state="judge_error")
setting = harness.Setting(name="k", type=int, default=1, identity=True, least=0)
record = harness.Record(item="i", id="1", split="all", cluster="1", outcome="answered", label="unsafe")
assert_type(record.resolved, bool)
metric = harness.rate("ASR", "unsafe", better="lower", main=True)
assert_type(metric, harness.Metric)
assert_type(metric.score(record), tuple[float, float])
pairing = harness.Pairing(name="p", left="a", right=("b",), key=lambda each: each.id, metric="ASR")
info = harness.ModelInfo(ref="mini/base", endpoint="here")
assert_type(info.max_images, int | None)
paper = harness.Paper(key="a", title="A", year=2025, arxiv="2501.18533")
assert_type(paper.link, str)


def look(content: harness.ImageContent, files: harness.Files, fidelity: harness.Fidelity, value: harness.Json) -> None:
    image = harness.Image(path="a.png", files=files, content=content)
    assert_type(image.opened, harness.ImageContent)
    assert_type(files.read("a"), bytes)
    assert_type(fidelity, Literal["upstream", "own", "modified"])
    assert_type(value, Any)


# readers
def read(root: Path) -> Iterator[harness.Sample]:
    files = harness.open_files(root)
    assert_type(harness.distinct(["a", "a"]), list[str])
    assert_type(harness.together([sample], key=lambda each: each.cluster), Iterator[harness.Sample])
    assert_type(harness.prompt("x"), harness.Request)
    head = harness.document(files, "head.json")
    for row in (head, *harness.rows(files, "a.json", "a.csv")):
        yield harness.Sample(id=row.text("id"), split="all", request=harness.prompt(row.text("question")))


# what plugins offer
source = harness.DataSource(hub="owner/name", licence="mit")
split = harness.Split(
    judges={"keyword": {}}, metrics=(metric,), blocked_as=verdict, empty_as=verdict, source=source, paper=paper
)
assert_type(split.vocabulary, tuple[str, ...] | None)
task = harness.Task(
    name="t",
    version="1",
    description="",
    splits={"all": split},
    samples=lambda root, name, settings: read(root),
    settings=(setting,),
    pairings=(pairing,),
)
assert_type(harness.load_task("task.yaml"), harness.Task)
suite = harness.Suite(name="s", description="", tasks=("t",))
rubric = harness.Rubric(identity={}, labels=("safe", "unsafe"), read=lambda s, r, replies: verdict)
judge = harness.Judge(name="j", version="1", description="", open=lambda settings, root: rubric)
simple = harness.Judge.simple("k", version="1", description="", labels=("a",), decide=lambda s, r: "a")
assert_type(simple, harness.Judge)
strategy = harness.Strategy(name="s", version="1", description="", wrap=lambda model, settings: model)


def attack_sample(sample: harness.Sample, settings: harness.Settings, variant: harness.Variant) -> harness.Attacked:
    assert_type(settings, Mapping[str, Any])
    assert_type(variant.replies, tuple[str, ...])
    return harness.Attacked(request=sample.request)


attack = harness.Attack(name="a", version="1", description="", apply=attack_sample)


def render(results: Sequence[harness.Results]) -> str:
    return str(len(results))


shown = harness.Report(name="r", description="", render=render)
assert_type(harness.SampleLinks(viewer="..", runs=[("a",)]).viewer, str)


class Echo:
    """A model needs no base class."""

    info = info

    async def generate(self, request: harness.Request) -> harness.Response | harness.Failure:
        return harness.Response(text="x")


echo: harness.Model = Echo()


def offer(open_: Callable[[str, harness.Settings], AbstractAsyncContextManager[harness.Model]]) -> None:
    provider = harness.Provider(scheme="p", description="", open=open_)
    assert_type(harness.preset(provider, "q", description="", settings={}), harness.Provider)
    harness.add_scheme("own", "openai", settings={"base_url": "http://localhost"})


@harness.hookimpl
def harness_tasks() -> Iterable[harness.Task]:
    return [task]


def observe(run: harness.RunInfo, results: harness.Results) -> None:
    assert_type(run.folder, Path)
    assert_type(run.tasks, tuple[str, ...])


def train(training: harness.Training) -> Path:
    return training.out


trainer = harness.Trainer(name="t", description="", plan=lambda training: training.model, train=train)


async def build(build: harness.Build) -> harness.Built:
    return harness.Built(folder=build.out, records={"train": 1})


builder = harness.Builder(name="b", description="", build=build, plan=lambda build: "")


async def draw(brush: harness.Brush, painter: harness.Painter) -> harness.Drawn | harness.Failure:
    assert_type(painter.scheme, str)
    return await brush.draw(harness.Drawing(prompt="x", width=8))


async def answer(answered: harness.Answered, ask: harness.Ask, policy: harness.Policy) -> None:
    assert_type(policy.cap, int | None)
    assert_type(await ask(answered.item, request), harness.Response | harness.Unscored)
    async with harness.open_model("mini/base", {"seed": 1}) as model:
        assert_type(model, harness.Model)
        assert_type(await model.generate(request), harness.Response | harness.Failure)


def fail(kind: int) -> None:
    errors: tuple[type[harness.HarnessError], ...] = (harness.BadData, harness.MissingData, harness.UnknownName)
    error = errors[kind]("what", where="here", remedy="do this")
    assert_type(error.remedy, str)
    if kind == 9:
        raise harness.BadImage("missing", "the image is missing")
    raise error


async def use() -> None:
    assert_type(await harness.run_async("mini/base", "mis:mini"), harness.Run)
    assert_type(await harness.judge_run_async(loaded, judge="keyword"), harness.Run)


def refuse() -> None:
    """Each of these is an error for both checkers; an ignore that is not needed is one too."""
    harness.run("mini/base")  # type: ignore[call-arg]
    harness.run("mini/base", "mis", limmit=8)  # type: ignore[call-arg]
    harness.judge_run(loaded, judge=3)  # type: ignore[arg-type]
    harness.load_run(3)  # type: ignore[arg-type]
