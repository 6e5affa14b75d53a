"""What the user asked for, as one value: the command line, a config file and `harness.run` all end here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from harness.data.places import data_folder
from harness.errors import HarnessError, UnknownName
from harness.limits.slots import Policy
from harness.models import ModelSpec
from harness.settings import nearest
from harness.types import OUTCOMES, UNSCORED

Phases = Literal["auto", "sequential", "overlap"]
#: what `--retry` can name
STATES = (*OUTCOMES, "scored", *UNSCORED)
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

    def given(self, name: str) -> dict[str, Any]:
        """The `-T` settings of one task or rubric, key -> value."""
        prefix = f"{name}."
        return {key[len(prefix) :]: value for key, value in self.task_settings.items() if key.startswith(prefix)}

    def root(self, name: str) -> Path:
        """Where a task's or a rubric's data lies: DIR/NAME, unless `-T NAME.data` names another folder."""
        given = self.given(name).get("data")
        return Path(str(given)).expanduser() if given else data_folder(self.data) / name

    def check(self) -> None:
        """Refuse what the type of a value does not. Raises HarnessError or UnknownName."""
        for name in sorted(self.retry - set(STATES)):
            raise UnknownName(f"--retry {name}: no outcome or judge state", remedy=nearest(name, STATES))
        for flag, number in (("--epochs", self.epochs), ("--limit", self.limit)):
            if number is not None and number < 1:
                raise HarnessError(f"{flag} must be at least 1")
        if not 0 <= self.min_coverage <= 1:
            raise HarnessError("--min-coverage must be between 0 and 1")
        if self.phases not in get_args(Phases):
            raise UnknownName(f"--phases {self.phases}: no such order", remedy=nearest(self.phases, get_args(Phases)))
