"""Roots with a set that was built, for a task that asks the lines of DIR/<split>.txt."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio

import harness
from harness import plugins
from harness.contracts import Split, Task
from harness.data.built import FILE
from harness.evaluation.options import JudgeOptions
from harness.metrics import rate
from harness.readers import open_files
from harness.runs.run import Run, judge_async
from harness.testing.fakes import fake_judge, fake_provider, fake_sample, host_of
from harness.types import Sample, Settings, Verdict

SAFE = Verdict(label="safe")
REVISION = "k1:0123456789abcdef"


def _split(n: int, **changes: Any) -> Split:
    metrics = (rate("ASR", "unsafe", better="lower"),)
    return Split(
        n=n,
        judges={"fake": {}},
        metrics=metrics,
        by=(),
        blocked_as=SAFE,
        empty_as=SAFE,
        labels=("safe", "unsafe"),
        **changes,
    )


def _read(root: Path, split: str, _settings: Settings) -> Iterator[Sample]:
    if split == "mini":
        yield from (fake_sample(str(n), text=f"question {n}", split=split) for n in range(3))
        return
    try:
        text = open_files(root).read(f"{split}.txt").decode()
    except harness.BadImage:
        raise harness.MissingData(f"{split}.txt is not there") from None
    for line in text.splitlines():
        yield fake_sample(line.replace(" ", "-"), text=line, split=split)


TALK = Task(
    name="talk",
    version="1",
    description="",
    splits={"easy": _split(500), "mini": _split(3, data=Path(__file__).parent, selected=False)},
    samples=_read,
    source=harness.DataSource(hub="owner/talk", url="https://example.org", licence="MIT"),
)
HOST = host_of(TALK, fake_judge(), fake_provider("a yes"))


def root_of(folder: Path, *questions: str) -> Path:
    """A data root with these questions."""
    folder.mkdir(parents=True)
    (folder / "easy.txt").write_text("\n".join(questions))
    return folder


def say_built(root: Path, name: str = "lamps", kind: str = "build", revision: str = REVISION) -> Path:
    """Write what a build writes of a set; the root."""
    part = {"kind": kind, "name": name, "revision": revision, "fetched": "2026-03-01", "files": {}}
    told = {"schema": "harness.source/1", "task": "talk", "licence": "cc0-1.0", "parts": [part]}
    (root / FILE).write_text(json.dumps(told))
    return root


def asked(root: Path, output: Path, *tasks: str, **options: Any) -> Run:
    """A run on a data root."""
    with plugins.use(HOST):
        given = {"talk.data": str(root)}
        return harness.run(
            "fake/m", list(tasks) or ["talk"], task_settings=given, output=output, probe=False, **options
        )


def judged_again(folder: Path) -> Run:
    """The run, judged anew where its data lies."""
    with plugins.use(HOST):
        return anyio.run(judge_async, folder, JudgeOptions(probe=False))
