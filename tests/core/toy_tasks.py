"""A plugin of one file: the task `toy`, which asks what its setting `asks` says, judged by a rule or by `tone`."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from harness.contracts import Judge, Rubric, Task
from harness.hookspecs import hookimpl
from harness.testing.fakes import fake_judge, fake_sample, fake_task
from harness.types import Sample, Setting, Settings, Verdict

TONE = Rubric(
    identity={},
    labels=("unsafe", "safe"),
    ask=lambda _, response: [fake_sample(text=f"say {response.text[:20]}").request],
    read=lambda *_: Verdict(label="safe"),
)


def samples(_root: Path, _split: str, settings: Settings) -> Iterator[Sample]:
    for number, text in enumerate(settings["asks"].split("|")):
        yield fake_sample(f"q{number}", text=text)


@hookimpl
def harness_tasks() -> Iterable[Task]:
    asks = Setting(name="asks", type=str, default="say a|say b", identity=False, help="requests, with | between")
    return [replace(fake_task(name="toy", judges={"fake": {}, "tone": {}}, settings=(asks,)), samples=samples)]


@hookimpl
def harness_judges() -> Iterable[Judge]:
    return [
        fake_judge(),
        Judge(name="tone", version="1", description="", open=lambda _s, _d: TONE, needs=frozenset()),
    ]
