"""What the user asked for, as one value: the command line, a config file and `harness.run` all end here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .limits import Policy
from .models import ModelSpec

Phases = Literal["auto", "sequential", "overlap"]
MIN_COVERAGE = 0.98


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """A run as it was asked for; nothing is resolved yet.

    Attributes:
        model: the evaluated model.
        tasks: `NAME` or `NAME:SPLIT`.
        judges: `MODEL`, `RUBRIC` or `RUBRIC=MODEL`, in order.
        judge_settings: `-J`, key or `RUBRIC.key` -> value.
        task_settings: `-T`, `NAME.key` -> value.
        generation: overrides of the splits' generation settings: temperature, max_tokens, top_p, seed.
        system: a system message put before each request; empty for none.
        limit: clusters of each split; None for all.
        epochs: answers drawn for each sample.
        data: the data folder; None for `HARNESS_DATA` or the user's.
        output: the run folder; None for `runs/<scheme>-<name>`.
        fresh: put an old run of this folder aside.
        retry: outcomes and judge states to try again beside those always tried.
        probe: ask the model to tell two drawn images apart before anything is spent.
        phases: whether judging waits for all answers.
        min_coverage: share of records that must be resolved.
        policy: slots, retries and breaker.
        command: the arguments it was started with; recorded, and shown after an interrupt.
    """

    model: ModelSpec
    tasks: tuple[str, ...]
    judges: tuple[str, ...] = ()
    judge_settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    task_settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    generation: Mapping[str, Any] = field(default_factory=dict[str, Any])
    system: str = ""
    limit: int | None = None
    epochs: int = 1
    data: Path | None = None
    output: Path | None = None
    fresh: bool = False
    retry: frozenset[str] = frozenset()
    probe: bool = True
    phases: Phases = "auto"
    min_coverage: float = MIN_COVERAGE
    policy: Policy = Policy()
    command: tuple[str, ...] = ()

    @property
    def overrides(self) -> dict[str, Any]:
        """What makes another run of the same model: part of the identity and of the folder's name."""
        given: dict[str, Any] = dict(self.generation)
        if self.system:
            given["system"] = self.system
        return given
