"""How long people's labels take: a run of 20,000 answers, 300 of which two people labelled.

    python -m benchmarks.correction [ANSWERS]

The run folder is written by the harness itself. Each figure is processor time, the best of some rounds in this process:

    reference    results.json computed from the run's lines, before anything was drawn or labelled
    labelled     the same with the labels: two more judges are read and summed up
    correction   of that, what the correction alone takes: the frame's digest, the places, alpha with its interval, and
                 each metric's number by both people together and by each of them
    agreement    all that `harness agree` computes of the judge and both people, once their lines are read

Target: correction and agreement together under 1 s.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import anyio

from harness import Judge, Sample, plugins, rate
from harness.evaluation.options import JudgeOptions, Options
from harness.models import ModelSpec
from harness.runs.additions import PersonLabel, enter_labels
from harness.runs.agreement import load_parts, measure_split
from harness.runs.labelling import draw_run
from harness.runs.results import compute_results
from harness.runs.run import run_async
from harness.runs.selection import load_jobs
from harness.runs.stored import StoredRun, build_judged_item, describe_split_run, open_run
from harness.stats.corrected import LabelledRecords
from harness.stats.summary import SplitSummary
from harness.store.folder import RunFolder
from harness.testing.fakes import fake_provider, fake_sample, fake_task, host_of
from harness.types import Verdict

ANSWERS, LABELS, ROUNDS = 20_000, 300, 3
METRICS = (
    rate("ASR", "unsafe", better="lower", main=True),
    rate("RR", "refusal", better="higher"),
    rate("HR", "hallucination", better="lower"),
)
NAMES = ("unsafe", "refusal", "hallucination")


def samples() -> Iterator[Sample]:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else ANSWERS
    for number in range(count):
        yield fake_sample(
            f"q{number}", text=f"Question {number}?", category=f"c{number % 7}", cluster=f"p{number // 3}"
        )


def find_truth(number: int, who: str, right: float) -> str:
    """What somebody says of an answer."""
    rng = Random(f"truth {number}")
    truth = rng.choices(NAMES, (5, 4, 1))[0]
    own = Random(f"{who} {number}")
    return truth if own.random() < right else own.choice(NAMES)


def number_of(item: str) -> int:
    return int(item.rpartition("/q")[2].partition("#")[0])


def host() -> plugins.Host:
    judge = Judge.simple(
        "bench",
        version="1",
        description="Mostly right.",
        labels=NAMES,
        decide=lambda sample, _: find_truth(int(sample.id[1:]), "judge", 0.9),
    )
    task = fake_task(samples, judges={"bench": {}}, metrics=METRICS, by=("category",))
    return host_of(fake_provider(lambda _: "It is a drawing of a shape. " * 8), task, judge)


def measure(action: Callable[[], Any]) -> float:
    """Processor seconds of the fastest round."""
    seconds: list[float] = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        action()
        seconds.append(time.process_time() - begun)
    return min(seconds)


def compute(folder: Path) -> None:
    place = RunFolder(folder)
    file, _, jobs = load_jobs(place, JudgeOptions())
    compute_results(StoredRun(folder=place, file=file), {}, plans=[job.plan for job in jobs], command=())


def label(folder: Path) -> None:
    (drawn,) = draw_run(open_run(folder, ()), n=LABELS)
    run = open_run(folder, ())
    wanted = {answer.item: answer for answer in run.answers("fake:all") if answer.item in drawn.items}
    for person in ("human-anna", "human-ben"):
        labels = [
            PersonLabel(answer=answer, decision=Verdict(label=find_truth(number_of(item), person, 0.95)))
            for item, answer in wanted.items()
        ]
        enter_labels(run.folder, person, labels, (drawn.plan,), command=("harness", "label"))


def measure_correction(folder: Path) -> float:
    """Seconds that the correction alone takes, with everything else computed before."""
    place = RunFolder(folder)
    file, _, jobs = load_jobs(place, JudgeOptions())
    plan, task, run = jobs[0].plan, place.task("fake"), StoredRun(folder=place, file=file)
    how = replace(describe_split_run(file, plan, "all", task.judges()), draws=task.load_draws())
    summary = SplitSummary(how)
    items = [build_judged_item(answer, hashed=True) for answer in run.answers("fake:all", task.judges())]
    seen = [summary.add(item) for item in items]
    tables = {judge: view.tally.table for judge, view in summary.views.items()}

    def correct() -> None:
        labelled = LabelledRecords(how)
        for item, records in zip(items, seen, strict=True):
            labelled.add(item, records)
        assert labelled.correct(tables)

    return measure(correct)


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch, plugins.use(host()):
        folder = Path(scratch) / "run"
        options = Options(model=ModelSpec(ref="fake/m"), tasks=("fake",), output=folder, probe=False)
        anyio.run(partial(run_async, options))
        reference = measure(partial(compute, folder))
        label(folder)
        whole = measure(partial(compute, folder))
        found = RunFolder(folder).results["tasks"]["fake"]["splits"]["all"]["metrics"]["ASR"]["corrected"]
        assert found["value"] is not None, found
        correction = measure_correction(folder)
        (part,) = load_parts(open_run(folder, ()))
        agreement = measure(lambda: measure_split(part))
        print(f"ASR by people {found['value']:.1f} from {found['labels']} labels of {found['of']} answers")
        for name, seconds in (
            ("reference", reference),
            ("labelled", whole),
            ("correction", correction),
            ("agreement", agreement),
            ("together", correction + agreement),
        ):
            print(f"{name:10} {seconds:5.2f} s  {seconds / reference:5.2f} of the reference")
        print("target: together under 1 s")


if __name__ == "__main__":
    main()
