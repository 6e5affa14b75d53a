"""How long `harness agree` computes over 20,000 answers of which two people have labelled 300, and the correction.

    python -m benchmarks.agreement_speed

The answers are in memory: two judges have labelled all, and two people those that were drawn. The reference is the main
metric of the same records under one judge, as results.json has it. Times are those of this process, since other work
may share the machine. Targets: all together under 1 s, and the agreement under 12 times the reference.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from random import Random
from statistics import median
from typing import Any

import numpy as np

from harness import Record
from harness.runs.agreement import SplitInRun, measure_split
from harness.runs.stored import UNJUDGED, JudgedRecord, JudgedSplit
from harness.stats.correction import LabelledAnswers, correct
from harness.stats.draw import FrameAnswer, draw_answers
from harness.stats.tally import Tally
from harness.usual import attack

ANSWERS, LABELS, ROUNDS = 20_000, 300, 5
TARGET_SECONDS, TARGET_RATIO = 1.0, 12.0
JUDGES, PEOPLE = ("rule-0000", "model-0000"), ("human-anna", "human-ben")
SPLIT = attack({"rule": {}}, n=ANSWERS, images=0)


def main() -> None:
    split = build_split(Random(1))
    part = SplitInRun(run="run", model="bench/model", seen=split, estimates={})
    measure_split(part)  # imports
    alone = clock(lambda: tally(split))
    agreed = clock(lambda: measure_split(part))
    sample = build_sample(split)
    corrected = clock(lambda: correct(sample))
    print(f"{ANSWERS:,} answers, {LABELS} labelled by {len(PEOPLE)} people, {len(JUDGES)} judges; medians of {ROUNDS}")
    print(f"main metric of one judge (reference)  {alone:6.3f} s")
    print(
        f"agreement                             {agreed:6.3f} s   {agreed / alone:4.1f} times (target {TARGET_RATIO})"
    )
    print(f"correction                            {corrected:6.3f} s   {corrected / alone:4.1f} times")
    print(f"both                                  {agreed + corrected:6.3f} s   target {TARGET_SECONDS} s")


def clock(work: Callable[[], Any]) -> float:
    """Seconds of this process, the median of some rounds."""
    taken: list[float] = []
    for _ in range(ROUNDS):
        begin = time.process_time()
        work()
        taken.append(time.process_time() - begin)
    return median(taken)


def tally(split: JudgedSplit) -> object:
    """The main metric under the first judge."""
    counted = Tally(SPLIT.metrics, (), epochs=1)
    for each in split.records:
        counted.add(each.seen[JUDGES[0]])
    return counted.results()


def build_split(random: Random) -> JudgedSplit:
    """The answers under judges and people."""
    truths = ["unsafe" if random.random() < 0.25 else "safe" for _ in range(ANSWERS)]
    said = [[_say(random, truth, 0.92) for truth in truths] for _ in JUDGES]
    framed = [FrameAnswer(item=f"bench/all/{n}#0", cell=label, answer_hash=str(n)) for n, label in enumerate(said[0])]
    draw, items = draw_answers(framed, n=LABELS, seed=0, judge=JUDGES[0])
    drawn = frozenset(items)
    records: list[JudgedRecord] = []
    for n, truth in enumerate(truths):
        record = Record(
            item=framed[n].item, id=str(n), split="all", cluster=str(n), category=f"c{n % 7}", outcome="answered"
        )
        unread = replace(record, unjudged=True)
        labelled = framed[n].item in drawn
        seen = {judge: replace(record, label=labels[n]) for judge, labels in zip(JUDGES, said, strict=True)}
        people = {who: replace(record, label=_say(random, truth, 0.95)) if labelled else unread for who in PEOPLE}
        states = {} if labelled else dict.fromkeys(PEOPLE, UNJUDGED)
        records.append(JudgedRecord(record=record, seen=seen | people, states=states, reasons={}, framed=framed[n]))
    return JudgedSplit(
        display="bench",
        name="all",
        split=SPLIT,
        epochs=1,
        judges=(*JUDGES, *PEOPLE),
        records=records,
        gives={},
        people=PEOPLE,
        draws={"all": draw},
    )


def _say(random: Random, truth: str, sharp: float) -> str:
    return truth if random.random() < sharp else random.choice(("unsafe", "safe"))


def build_sample(split: JudgedSplit) -> LabelledAnswers:
    """The same labels for the correction."""
    votes = np.array([sum(each.seen[who].label is not None for who in PEOPLE) for each in split.records])
    hits = np.array([sum(each.seen[who].label == "unsafe" for who in PEOPLE) for each in split.records])
    cells = [each.seen[JUDGES[0]].label == "unsafe" for each in split.records]
    return LabelledAnswers(
        cell=np.array(cells, dtype=np.int64),
        names=("answers judged safe", "answers judged unsafe"),
        cluster=np.arange(ANSWERS),
        hit=np.divide(hits, votes, out=np.zeros(ANSWERS), where=votes > 0),
        votes=votes,
        known=np.zeros(ANSWERS, dtype=bool),
    )


if __name__ == "__main__":
    main()
