"""Tables in VLMEvalKit's form, listed and run over a fake zoo."""

import base64
import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import harness_choice
import harness_vlmeval
from harness_vlmeval.tasks import TASKS

from harness import Image, Request, Response, Sample, Settings, Text, plugins
from harness.contracts import Task
from harness.data.places import read_samples
from harness.runs.run import Run
from harness.settings import effective
from harness.testing.fakes import PIXEL, fake_provider, host_of
from harness.types import Failure

CELL = base64.b64encode(PIXEL).decode()
LETTERS = "ABCD"


def write(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.DictWriter(lines, list(rows[0]), delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)


def choices(count: int, **more: Callable[[int], object]) -> list[dict[str, Any]]:
    return [
        {
            "index": n,
            "image": CELL,
            "question": f"number {n}",
            **{letter: f"{letter.lower()}{n}" for letter in LETTERS},
            "answer": LETTERS[n % 4],
            "category": ("coarse", "fine")[n % 2],
            **{name: value(n) for name, value in more.items()},
        }
        for n in range(count)
    ]


def task(name: str) -> Task:
    return next(each for each in TASKS if each.name == name)


def settings(of: Task, **given: Any) -> Settings:
    return effective(of.settings, given, owner="task")


def listed(name: str, split: str, root: Path, **given: Any) -> list[Sample]:
    return list(read_samples(task(name), root, split, settings(task(name), **{"any_revision": True, **given})))


def parts(sample: Sample) -> list[str]:
    [message] = sample.request.messages
    return [part.path if isinstance(part, Image) else part.text for part in message.content]


def question(request: Request) -> str:
    return next(part.text for part in request.messages[-1].content if isinstance(part, Text))


def run(
    tmp_path: Path,
    tasks: str,
    say: Callable[[str], str | Response | Failure],
    *,
    any_revision: bool = True,
    **given: Any,
) -> Run:
    """A run of tasks whose data lies under tmp_path/data."""
    import harness

    own = [*harness_vlmeval.harness_judges(), *harness_choice.harness_judges()]
    host = host_of(fake_provider(lambda request: say(question(request))), *TASKS, *own)
    options = {f"{name.partition(':')[0]}.any_revision": any_revision for name in tasks.split(",")}
    with plugins.use(host):
        return harness.run(
            model="fake/m", tasks=tasks.split(","), data=tmp_path / "data", output=tmp_path / "run",
            task_settings=options, probe=False, **given,
        )  # fmt: skip


def split(found: Run, name: str, of: str) -> dict[str, Any]:
    return dict(found.results["tasks"][name]["splits"][of])


def value(found: Run, name: str, of: str, metric: str) -> float:
    return float(split(found, name, of)["metrics"][metric]["value"])


def yes_no(count: int, **more: Callable[[int], object]) -> list[dict[str, Any]]:
    return [
        {"index": n, "image": CELL, "question": f"number {n}", "answer": ("Yes", "No")[n % 2], "category": "random"}
        | {name: make(n) for name, make in more.items()}
        for n in range(count)
    ]
