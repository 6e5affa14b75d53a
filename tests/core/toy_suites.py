"""Small tasks, rubrics and suites of every kind that suites are tested with."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.contracts import Judge, Rubric, Split, Suite, Task
from harness.errors import MissingData
from harness.evaluation.options import Options
from harness.metrics import rate
from harness.models import ModelSpec
from harness.testing.fakes import fake_judge, fake_sample
from harness.types import Message, Request, Sample, Setting, Settings, Text, Verdict

ASK = Request(messages=(Message(role="user", content=(Text(text="which?"),)),))
SAFE = Verdict(label="safe")
ASKS = Setting(name="asks", type=str, default="say no", identity=True)
STRICT = Setting(name="strict", type=bool, default=False, identity=True)


def model_judge(name: str) -> Judge:
    """A rubric that asks a model; its verdict is the reply's text."""
    rubric = Rubric(
        identity={},
        labels=("safe", "unsafe"),
        ask=lambda _s, _r: [ASK],
        read=lambda _s, _r, said: Verdict(label=said[-1].text),
    )
    return Judge(
        name=name, version="1", description="", open=lambda _s, _d: rubric, settings=(STRICT,), needs=frozenset()
    )


def split(*judges: str, **fields: Any) -> Split:
    accepted: Mapping[str, Mapping[str, str]] = {name: {} for name in judges}
    main = rate("ASR", "unsafe", better=fields.pop("better", "lower"))
    return Split(
        judges=accepted, metrics=(main,), by=(), blocked_as=SAFE, empty_as=SAFE, labels=("safe", "unsafe"), **fields
    )


def _samples(root: Path, name: str, settings: Settings) -> Iterator[Sample]:
    if root.name == "lost" or name == "lost":
        raise MissingData(
            "the data of this is not on this machine: x is not there", remedy="harness data fetch it\n  1 MB"
        )
    yield from (fake_sample(f"{name}-{n}", text=settings["asks"], split=name) for n in range(4))


def task(name: str, **splits: Split) -> Task:
    return Task(name=name, version="1", description="", splits=splits, samples=_samples, settings=(ASKS,))


TASKS = (
    task("plain", all=split("rule")),
    task("guarded", all=split("grader", "guard", "rule")),
    task("graded", easy=split("grader", "guard"), hard=split("grader"), test=split("grader", parts=("easy", "hard"))),
    task("lost", all=split("rule")),
    task("up", all=split("rule", better="higher")),
)
JUDGES = (model_judge("grader"), model_judge("guard"), fake_judge(name="rule"))
BOTH = Suite(
    name="both",
    description="",
    tasks=("plain", "guarded", "graded:test"),
    task_settings={"plain.asks": "say yes", "guard.strict": True},
    judges={"guarded": "guard"},
    mean=("plain", "graded:test"),
)
WITH_LOST = Suite(name="with-lost", description="", tasks=("plain", "lost"), mean=("plain", "lost"))
ALL_LOST = Suite(name="all-lost", description="", tasks=("lost", "graded:easy"))


def options(*tasks: str, **fields: Any) -> Options:
    return Options(model=ModelSpec(ref="fake/x"), tasks=tasks, **{"data": Path("/nowhere"), "probe": False, **fields})
