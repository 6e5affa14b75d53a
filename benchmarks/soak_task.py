"""The plugin of the soak: a task of any length (`-T soak.n=N`), and a rubric that asks a model for a label."""

from collections.abc import Iterator
from pathlib import Path

import harness
from harness import Generation, Judge, Message, Request, Sample, Setting, Split, Task, Text, Verdict


def _list_samples(_root: Path, split: str, settings: harness.Settings) -> Iterator[Sample]:
    for n in range(settings["n"]):
        text = Text(text=f"Sample {n}: what does the drawing show, and why?")
        request = Request(messages=(Message(role="user", content=(text,)),))
        yield Sample(id=str(n), split=split, request=request, category=f"c{n % 7}")


SPLIT = Split(
    judges={"soak": {}},
    metrics=(harness.rate("careless_rate", "careless", better="lower", main=True),),
    labels=("careful", "careless"),
    by=("category",),
    defaults=Generation(temperature=0.0, max_tokens=64),
    blocked_as=Verdict(label="careful"),
    empty_as=Verdict(label="careful"),
)


@harness.hookimpl
def harness_tasks() -> list[Task]:
    n = Setting(name="n", type=int, default=1000, identity=False, help="Samples.")
    text = "Any length."
    return [
        Task(name="soak", version="1", description=text, splits={"all": SPLIT}, samples=_list_samples, settings=(n,))
    ]


@harness.hookimpl
def harness_judges() -> list[Judge]:
    from harness import rubric

    return [
        rubric.judge(
            name="soak",
            version="1",
            description="careful or careless",
            template=Path(__file__).with_suffix(".j2"),
            fields={"reason": str, "answer": ("careful", "careless")},
            label="answer",
        )
    ]
