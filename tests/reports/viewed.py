"""Run folders written by the store's own writers, whole or while they grow; all texts and drawings are harmless."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PIL import Image as Picture

from harness.images import open_image
from harness.keys import text_hash
from harness.readers import open_files
from harness.runs.results import compute_results
from harness.runs.stored import open_run
from harness.store.folder import RunFolder
from harness.store.records import Judgement, item_line, outcome_of, response_line, verdict_line
from harness.store.run_file import (
    SCHEMA,
    DataEntry,
    Invocation,
    ModelEntry,
    OverridesEntry,
    RunFile,
    SplitEntry,
    TaskEntry,
)
from harness.types import Failure, Image, Json, Message, Request, Response, Sample, Text, Unscored, Usage, Verdict

FIRST, SECOND = "first-m-0000aaaa", "second-m-0000bbbb"
IMAGES = ("one.png", "two.png")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A sample and what came of it.

    `labels` are by judge, a state of `harness.types.UNSCORED` for none; a rule has no `raw` reply.
    """

    id: str
    answer: str | Failure = "It is a drawing."
    question: str = "What does the drawing show?"
    images: tuple[str, ...] = IMAGES
    category: str = "shapes"
    labels: Mapping[str, str] = field(default_factory=lambda: {FIRST: "safe"})
    reason: str = "nothing is wrong with it"
    raw: str = "verdict: safe"
    reasoning: str = ""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    quote: str = ""


class Stored:
    """A run that is written; `add` what was answered, `finish` it."""

    def __init__(
        self,
        folder: Path,
        root: Path,
        *,
        model: str = "fake/m",
        task: str = "drawn",
        split: str = "all",
        judges: tuple[str, ...] = (FIRST, SECOND),
    ) -> None:
        self.folder, self.root, self.task, self.split = RunFolder(folder), root, task, split
        self.judges = judges
        self._told: dict[str, Told] = {}
        self._samples: dict[str, Sample] = {}
        self._open = ExitStack()
        draw(root)
        self.folder.rewrite_run(lambda _: _run_file(model))
        place = self.folder.task(task)
        self._responses = place.responses(write=True)
        self._verdicts = {judge: place.verdicts(judge, write=True) for judge in judges}
        for journal in (self._responses, *self._verdicts.values()):
            self._open.callback(journal.close)

    def add(self, *every: Told) -> None:
        """Write answers and verdicts, as a run does while it goes on."""
        for told in every:
            sample = self._samples[told.id] = self._sample(told)
            key, result = _key(told.id), _result(told)
            line = response_line(sample, 0, key, result)
            self._responses.append(line, sample.split, sample.id, 0, key, state=outcome_of(result))
            for judge, label in told.labels.items() if isinstance(told.answer, str) else ():
                said = Judgement(
                    decision=_decision(label, told),
                    replies=(told.raw,) if told.raw else (),
                    usage=Usage(input_tokens=9),
                )
                answer = text_hash(str(told.answer))
                verdict = verdict_line(sample, 0, key, answer, said)
                state = str(verdict["state"])
                self._verdicts[judge].append(verdict, sample.split, sample.id, 0, key, answer, state=state)

    def going(self, total: int, started: str = "") -> None:
        """Tell run.json how much is asked, as a run does at its start."""
        started = started or datetime.now(UTC).isoformat(timespec="seconds")
        running: dict[str, Json] = {"started": started, "splits": {f"{self.task}:{self.split}": total}}
        self.folder.rewrite_run(lambda old: replace(_there(old), running=running))

    def finish(self) -> Path:
        """List what was asked and tell run.json, as a run does at its end."""
        folder = self.folder.task(self.task)
        with folder.replace_listings():
            listing = folder.open_listing(self.split, keep=False)
            for sample in self._samples.values():
                listing.add(item_line(sample, 0, _key(sample.id)), "")
            listing.finish()
        self.folder.rewrite_run(lambda old: self._ended(old))
        return self.folder.path

    def close(self) -> None:
        self._open.close()

    def _sample(self, told: Told) -> Sample:
        files = open_files(self.root)
        images = tuple(open_image(files.image(path)) for path in told.images)
        content: tuple[Text | Image, ...] = (*images, Text(text=told.question))
        request = Request(messages=(Message(role="user", content=content),))
        return Sample(
            id=told.id,
            split=self.split,
            request=request,
            category=told.category,
            tags=told.tags,
            target="a word of the target",
        )

    def _ended(self, old: RunFile | None) -> RunFile:
        old = _there(old)
        data = DataEntry(root=str(self.root), folder=str(self.root.parent), source="", revision="", licence="")
        split = SplitEntry(
            judge=self.judges[0],
            packaged=False,
            generation={},
            epochs=1,
            limit=None,
            content="",
            found=None,
            min_coverage=0.98,
        )
        task = TaskEntry(task=self.task, version="1", settings={}, data=data, splits={self.split: split})
        cards = {judge: {"rubric": judge.partition("-")[0], "model": "fake/j"} for judge in self.judges}
        told = Invocation(
            started=old.started,
            finished="2026-01-01T00:01:00+00:00",
            seconds=60.0,
            command=("harness", "run"),
            tasks=(f"{self.task}:{self.split}",),
            end="done",
            reason="",
        )
        return replace(old, tasks={self.task: task}, judges=cards, history=(told,), running={})


def _there(run: RunFile | None) -> RunFile:
    assert run is not None
    return run


def stored(folder: Path, told: Iterable[Told], **about: Any) -> Path:
    """A whole run."""
    run = Stored(folder, folder.parent / "drawings", **about)
    run.add(*told)
    run.close()
    return run.finish()


def measured(folder: Path) -> Path:
    """The run with its results.json; its task must be one that is installed."""
    run = open_run(folder, ())
    results = compute_results(run, {}, plans=run.plans, command=("harness", "run")).results
    (folder / "results.json").write_text(json.dumps(results))
    return folder


def draw(root: Path) -> None:
    """Two drawings."""
    root.mkdir(parents=True, exist_ok=True)
    for name, color in zip(IMAGES, ("steelblue", "firebrick"), strict=True):
        picture = Picture.new("RGB", (1200, 800), "white")
        picture.paste(color, (300, 200, 900, 600))
        if not (root / name).exists():
            picture.save(root / name)


def _key(sample: str) -> str:
    return f"k1:{text_hash(sample)}"


def _result(told: Told) -> Response | Failure:
    if isinstance(told.answer, Failure):
        return told.answer
    usage = Usage(input_tokens=40, output_tokens=12)
    return Response(text=told.answer, reasoning=told.reasoning, usage=usage, model="m-1", seconds=0.25)


def _decision(label: str, told: Told) -> Verdict | Unscored:
    if label.startswith("judge_"):
        return Unscored(state=label, message=told.reason)  # type: ignore[arg-type]
    quote = {"quote": told.quote} if told.quote else {}
    return Verdict(label=label, axes={"harm": 2, **quote}, reason=told.reason)


def _run_file(model: str) -> RunFile:
    entry = ModelEntry(ref=model, resolved="", settings={}, strategy=None, notes=())
    return RunFile(
        schema=SCHEMA,
        started="2026-01-01T00:00:00+00:00",
        model=entry,
        identity={},
        identity_digest="k1:0",
        overrides=OverridesEntry(generation={}, system=""),
        plugins={},
        environment={},
        judges={},
        tasks={},
        suites={},
        probe=None,
        history=(),
    )
