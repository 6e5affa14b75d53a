"""One split to carry out, and what all its workers share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.contracts import Model, Split
from harness.engine.judging import Bench
from harness.errors import HarnessError
from harness.limits.breaker import Breaker
from harness.limits.slots import Endpoints
from harness.metrics import Metric, Record
from harness.plugins.observers import Observers
from harness.progress.lines import Progress
from harness.store.journal import Journal
from harness.store.listing import Listing
from harness.types import Generation, Response, Sample

#: tried again on every resume; all else only by `--retry`
ALWAYS_RETRIED = frozenset({"error", "bad_sample", "judge_error"})


@dataclass(slots=True)
class Stop:
    """Set to end a run early: no new sample is taken."""

    asked: bool = False
    reason: HarnessError | None = None

    def interrupt(self) -> None:
        """Stop because a person said so."""
        self.asked = True

    def because(self, error: HarnessError) -> None:
        """Stop, and say why; the first reason stays."""
        self.asked = True
        self.reason = self.reason or error

    def check(self) -> None:
        """Raise why the run was stopped, if it was; KeyboardInterrupt where a person did."""
        if self.asked:
            raise self.reason or KeyboardInterrupt


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """The open journals of one task."""

    responses: Journal
    verdicts: Mapping[str, Journal]

    def sync(self) -> None:
        """Responses before verdicts, so that no verdict outlives its answer."""
        self.responses.sync()
        for journal in self.verdicts.values():
            journal.sync()

    def close(self) -> None:
        """Close all."""
        self.responses.close()
        for journal in self.verdicts.values():
            journal.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An answer that waits for its split's last one, for rubrics that score a split at once.

    Attributes:
        sample: as it was listed; its images are not open.
        response: the answer.
        epoch: 0-based.
        key: of what was asked.
        answer: hash of the answer's text.
        record: as metrics see it, not yet labelled.
    """

    sample: Sample
    response: Response
    epoch: int
    key: str
    answer: str
    record: Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One split to carry out.

    Attributes:
        display: the task's name.
        version: the task's.
        split: how it is scored.
        name: of the split.
        generation: effective settings.
        system: put before each request; empty for none.
        epochs: answers for each sample.
        model: None judges only what is stored.
        breaker: of the calls beneath the model and its strategy; None where nothing watches them.
        model_identity: digest that enters each key.
        benches: judges at work, with the translation of each one's labels.
        endpoints: whose slots say how many samples are under way.
        books: where it is written.
        listing: None leaves what was asked as it is.
        retry: outcomes and judge states to try again.
        progress: told what happens.
        observers: plugins that are told what was written.
        stop: shared by all splits of a run.
        kept: items that were asked before and stay so; some are carried again, some are not.
        waiting: answers for rubrics that score a split at once; collected while its samples are carried.
    """

    display: str
    version: str
    split: Split
    name: str
    generation: Generation
    system: str
    epochs: int
    model: Model | None
    breaker: Breaker | None
    model_identity: str
    benches: tuple[tuple[Bench, Mapping[str, str]], ...]
    endpoints: Endpoints
    books: Books
    listing: Listing | None
    retry: frozenset[str]
    progress: Progress
    observers: Observers
    stop: Stop
    kept: Callable[[], Iterable[Mapping[str, Any]]]
    waiting: list[Waiting] = field(default_factory=list[Waiting])

    @property
    def metric(self) -> Metric:
        """The main metric: for the running value."""
        return next((metric for metric in self.split.metrics if metric.main), self.split.metrics[0])
