"""The user's options as one value, built by the command line, config files and `harness.run`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, get_args

from harness.attacks import AttackSpec
from harness.contracts import Task
from harness.data.places import data_folder
from harness.errors import HarnessError, UnknownName
from harness.limits.endpoints import Policy
from harness.metrics import MIN_COVERAGE
from harness.models import ModelSpec
from harness.prices import OwnPrice
from harness.replicas.launch import Launch
from harness.settings import nearest
from harness.types import OUTCOMES, UNSCORED

Phases = Literal["auto", "sequential", "overlap", "answers"]
#: the names that `--retry` accepts
STATES = (*OUTCOMES, "scored", *UNSCORED)
MOST_EPOCHS: Final = 10_000
MOST_CLUSTERS: Final = 1_000_000_000
MOST_REPEATS: Final = 100
MOST_SHARDS: Final = 10_000
Vote = Literal["", "majority"]
Shard = tuple[int, int]  #: number from 0, and of how many


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of a run; no name is resolved yet.

    Attributes:
        model: the evaluated model.
        tasks: `NAME` or `NAME:SPLIT`.
        judges: `MODEL`, `RUBRIC` or `RUBRIC=MODEL`, in order.
        maps: `--map`, rubric -> its labels in the words of a split; an empty map reports the rubric's own labels.
        judge_settings: `-J`, key or `RUBRIC.key` -> value.
        task_settings: `-T`, `NAME.key` -> value.
        generation: overrides of the splits' generation settings: temperature, max_tokens, top_p, seed.
        system: a system message put before each request; empty for none.
        limit: clusters to take of each split; None for all.
        epochs: answers to generate for each sample.
        data: the data folder; None for `HARNESS_DATA` or the user's.
        output: the run folder; None for `runs/<scheme>-<name>`.
        fresh: first move an old run out of this folder.
        retry: outcomes and judge states to retry, besides those that are always retried.
        probe: first ask the model to tell two drawn images apart.
        phases: whether judging waits for all answers, or is left to `harness judge` (`answers`).
        devices: for local models and judges whose settings name none, such as `0,1`; empty lets them choose.
        launch: what starts the replicas of local models and judges: local, srun, ssh or ray; empty as the hosts say.
        hosts: `HOST[:DEVICES]`, on which ssh starts them.
        ray_address: of the Ray cluster; empty starts Ray on this machine.
        min_coverage: share of records that must be resolved.
        shard: (i, n): answer only the clusters of the i-th of n parts, in a folder below `output`; None for all.
        judge_repeat: how often each judge that asks a model judges each answer.
        judge_vote: `majority` adds the majority of the repeats as a judge, in the judge's place; empty adds none.
        policy: slots, retries, breaker, and calls and tokens a minute.
        max_usd: most dollars that the run folder may cost; None for no limit.
        prices: the user's prices, by `SCHEME/NAME`.
        command: the command's arguments; recorded, and shown after an interrupt.
        batch: ask through the providers' batch APIs, where they have one.
        wait: with `batch`, wait until all batches have ended.
        attack: what changes the questions; its name is empty for nothing.
    """

    model: ModelSpec
    tasks: tuple[str, ...]
    judges: tuple[str, ...] = ()
    maps: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
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
    devices: str = ""
    launch: str = ""
    hosts: tuple[str, ...] = ()
    ray_address: str = ""
    min_coverage: float = MIN_COVERAGE
    shard: Shard | None = None
    judge_repeat: int = 1
    judge_vote: Vote = ""
    policy: Policy = Policy()
    max_usd: float | None = None
    prices: Mapping[str, OwnPrice] = field(default_factory=dict[str, OwnPrice])
    command: tuple[str, ...] = ()
    batch: bool = False
    wait: bool = False
    attack: AttackSpec = AttackSpec()

    @property
    def overrides(self) -> dict[str, Any]:
        """Overrides that make this a different run of the same model: part of the identity and the folder's name."""
        given: dict[str, Any] = dict(self.generation)
        if self.system:
            given["system"] = self.system
        return given

    @property
    def launcher(self) -> Launch:
        """Where the replicas of local models are started."""
        return Launch(kind=self.launch, hosts=self.hosts, address=self.ray_address)

    @property
    def limit_usd(self) -> float | None:
        """`max_usd`, or a shard's part of it."""
        return self.max_usd if self.max_usd is None or self.shard is None else self.max_usd / self.shard[1]

    @property
    def shared_policy(self) -> Policy:
        """The policy; a shard has its part of the calls and tokens a minute, as all shards ask the same endpoints."""
        if self.shard is None:
            return self.policy
        rpm, tpm = (None if most is None else most / self.shard[1] for most in (self.policy.rpm, self.policy.tpm))
        return replace(self.policy, rpm=rpm, tpm=tpm)

    def given(self, name: str) -> dict[str, Any]:
        """The `-T` settings of one task or rubric, key -> value."""
        prefix = f"{name}."
        return {key[len(prefix) :]: value for key, value in self.task_settings.items() if key.startswith(prefix)}

    def root(self, name: str) -> Path:
        """The data folder of a task or a rubric: DIR/NAME, unless `-T NAME.data` names another."""
        given = self.given(name).get("data")
        return Path(str(given)).expanduser() if given else data_folder(self.data) / name

    def task_root(self, task: Task) -> Path:
        """The data folder of a task: as `root`, but one whose data lies beside its task file is there."""
        return self.root(task.name) if task.folder is None or self.given(task.name).get("data") else task.folder

    def check(self) -> None:
        """Refuse values that no run can use. Raises HarnessError or UnknownName."""
        _check_retry(self.retry)
        for flag, number, most in (("--epochs", self.epochs, MOST_EPOCHS), ("--limit", self.limit, MOST_CLUSTERS)):
            if number is not None and not 1 <= number <= most:
                raise HarnessError(f"{flag} must be at least 1 and at most {most:,}")
        for name, value in self.generation.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise HarnessError(f"{name} must be a number, not {value}")
        _check_coverage(self.min_coverage)
        _check_repeats(self.judge_repeat, self.judge_vote)
        if self.shard is not None:
            check_shard(self.shard)
        self.launcher.check()
        _check_wait(self.batch, self.wait)
        _check_limits(self.policy, self.max_usd)
        if self.phases not in get_args(Phases):
            raise UnknownName(f"--phases {self.phases}: no such order", remedy=nearest(self.phases, get_args(Phases)))


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeOptions:
    """The options of `harness judge`; the model's options come from the run.

    Attributes:
        judges: as in `Options`.
        maps: as in `Options`.
        judge_settings: as in `Options`.
        task_settings: as in `Options`; for a task only its data folder and its rubric.
        tasks: `NAME` or `NAME:SPLIT` in the run; empty for all.
        members: judges of an ensemble, by id or rubric; empty for all that have given a verdict.
        primary: make the given judge the primary judge.
        data: the data folder, if the run's is gone.
        retry: outcomes and judge states to retry.
        probe: first ask the judges' models a small question.
        devices: as in `Options`.
        launch: as in `Options`.
        hosts: as in `Options`.
        ray_address: as in `Options`.
        min_coverage: share of records that must be resolved; None for the run's value.
        judge_limit: clusters to judge of each split, drawn by a hash alone (`--sample`); None for all.
        judge_repeat: as in `Options`.
        judge_vote: as in `Options`.
        policy: as in `Options`.
        max_usd: as in `Options`.
        prices: as in `Options`.
        command: the command's arguments.
        batch: as in `Options`.
        wait: as in `Options`.
    """

    judges: tuple[str, ...] = ()
    maps: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    judge_settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    task_settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    tasks: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    primary: bool = False
    data: Path | None = None
    retry: frozenset[str] = frozenset()
    probe: bool = True
    devices: str = ""
    launch: str = ""
    hosts: tuple[str, ...] = ()
    ray_address: str = ""
    min_coverage: float | None = None
    judge_limit: int | None = None
    judge_repeat: int = 1
    judge_vote: Vote = ""
    policy: Policy = Policy()
    max_usd: float | None = None
    prices: Mapping[str, OwnPrice] = field(default_factory=dict[str, OwnPrice])
    command: tuple[str, ...] = ()
    batch: bool = False
    wait: bool = False

    def check(self) -> None:
        """Refuse values that no run can use. Raises HarnessError or UnknownName."""
        _check_retry(self.retry)
        if self.judge_limit is not None and self.judge_limit < 1:
            raise HarnessError("--sample must be at least 1")
        _check_repeats(self.judge_repeat, self.judge_vote)
        _check_wait(self.batch, self.wait)
        _check_limits(self.policy, self.max_usd)
        if self.min_coverage is not None:
            _check_coverage(self.min_coverage)

    def of(self, model: ModelSpec, generation: Mapping[str, Any], system: str) -> Options:
        """These options as `Options` for this model; the caller adds the tasks."""
        return Options(
            model=model,
            tasks=(),
            judges=self.judges,
            maps=self.maps,
            judge_settings=self.judge_settings,
            task_settings=self.task_settings,
            generation=generation,
            system=system,
            data=self.data,
            retry=self.retry,
            probe=self.probe,
            devices=self.devices,
            launch=self.launch,
            hosts=self.hosts,
            ray_address=self.ray_address,
            judge_repeat=self.judge_repeat,
            judge_vote=self.judge_vote,
            policy=self.policy,
            max_usd=self.max_usd,
            prices=self.prices,
            command=self.command,
            batch=self.batch,
            wait=self.wait,
        )


def parse_shard(text: str) -> Shard:
    """`i/n` as two numbers. Raises HarnessError for another form, or for a shard that cannot be."""
    number, slash, count = text.partition("/")
    if not (slash and number.strip().isdecimal() and count.strip().isdecimal()):
        raise HarnessError(f"--shard {text}: not of the form i/n", remedy="write --shard 0/4 for the first of four")
    shard = int(number), int(count)
    check_shard(shard)
    return shard


def check_shard(shard: Shard) -> None:
    """Refuse a shard that cannot be. Raises HarnessError."""
    number, count = shard
    if not 1 <= count <= MOST_SHARDS:
        raise HarnessError(
            f"--shard {number}/{count}: n must be at least 1 and at most {MOST_SHARDS:,}",
            remedy="write --shard 0/4 for the first of four",
        )
    if not 0 <= number < count:
        last = f"{count - 1}/{count}"
        remedy = f"shards count from 0: 0/{count} to {last}" + (f" (--array=0-{count - 1})" if number == count else "")
        raise HarnessError(f"--shard {number}/{count}: there is no such shard", remedy=remedy)


def _check_retry(retry: frozenset[str]) -> None:
    for name in sorted(retry - set(STATES)):
        raise UnknownName(f"--retry {name}: no outcome or judge state", remedy=nearest(name, STATES))


def _check_repeats(repeat: int, vote: str) -> None:
    if not 1 <= repeat <= MOST_REPEATS:
        raise HarnessError(f"--judge-repeat must be at least 1 and at most {MOST_REPEATS}")
    if vote not in get_args(Vote):
        raise UnknownName(f"--judge-vote {vote}: no such vote", remedy="majority is the only one")
    if vote and repeat == 1:
        raise HarnessError(
            f"--judge-vote {vote} needs several verdicts of the same judge", remedy="add --judge-repeat 3"
        )


def _check_wait(batch: bool, wait: bool) -> None:
    if wait and not batch:
        raise HarnessError("--wait waits for batches", remedy="add --batch, or leave --wait out")


def _check_limits(policy: Policy, dollars: float | None) -> None:
    for flag, number in (("--rpm", policy.rpm), ("--tpm", policy.tpm), ("--max-usd", dollars)):
        if number is not None and not (math.isfinite(number) and number > 0):
            raise HarnessError(f"{flag} must be more than 0, not {number:g}")


def _check_coverage(least: float) -> None:
    if not 0 <= least <= 1:
        raise HarnessError("--min-coverage must be between 0 and 1")
