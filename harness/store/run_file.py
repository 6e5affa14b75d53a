"""run.json as values: the model, its settings, the environment, and what each invocation did.

Keys that this version does not know stay in their entry until the entry is made again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar, cast

from harness.metrics import MIN_COVERAGE
from harness.types import Json

SCHEMA = "harness.run/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """A JSON object.

    Attributes:
        extra: keys this version does not know.
    """

    extra: Mapping[str, Json] = field(default_factory=dict[str, Json])

    def as_json(self) -> dict[str, Json]:
        """The object as stored in the file."""
        own = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "extra"}
        left_out = {name for name in _LEFT_OUT if name in own and own[name] in (None, {}, "", (), False)}
        return {name: _plain(value) for name, value in own.items() if name not in left_out} | dict(self.extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry(_Entry):
    """The evaluated model.

    Attributes:
        ref: `scheme/name`.
        resolved: its provider's name for it.
        settings: the provider's settings that are part of its identity.
        strategy: the strategy around it, with its settings.
        notes: its notes in all invocations.
        training: how it was trained, as declared: see `harness.lineage`.
        given: its answers are those of the data: see `Provider.given`.
        attack: what changed its questions, with its settings and facts; None for nothing.
    """

    ref: str
    resolved: Json
    settings: Json
    strategy: Json
    notes: tuple[str, ...]
    training: Mapping[str, Json] = field(default_factory=dict[str, Json])
    given: bool = False
    attack: Json = None

    @staticmethod
    def from_json(raw: object) -> ModelEntry:
        """Read an entry. Raises ValueError if it is invalid."""
        values: dict[str, Any] = {
            "notes": [],
            "training": {},
            "given": False,
            "attack": None,
            **_object(raw, "the model"),
        }
        return _read(ModelEntry, {**values, "notes": _list(values["notes"], "'notes' of the model")}, "the model")


@dataclass(frozen=True, slots=True, kw_only=True)
class OverridesEntry(_Entry):
    """The user's overrides of the splits' settings: generation settings and a system message."""

    generation: Mapping[str, Json]
    system: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DataEntry(_Entry):
    """A task's data: its place, source and licence.

    Attributes:
        root: the task's folder.
        folder: the invocation's data folder.
        source: hub name or address; empty for none.
        revision: the source's revision.
        licence: the data's licence.
        checked: whether the counts were checked with this revision: see `harness.data.provenance.Checked`; empty for
            packaged data, a built set, and files of older versions.
    """

    root: str
    folder: str
    source: str
    revision: str
    licence: str
    checked: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitEntry(_Entry):
    """One split as it was asked.

    Attributes:
        judge: id of the primary judge; None if none has judged.
        packaged: whether its data comes with the task.
        generation: the settings as sent; null for one that the model refused.
        epochs: answers for each sample.
        limit: clusters taken; None for all.
        content: hash of the data, 64 hex digits; empty if no listing was complete.
        found: number of samples in the data; None if not counted.
        min_coverage: share of records that must be resolved, as last given.
        drawn: judge id -> last place (`harness.keys.draw_order`) of its `--sample` draw that it has judged.
        outcome_labels: labels of blocks and empty answers that metrics look for and, as far as known when it was asked,
            no rubric of the split can give.
        data: source, revision, licence and toy, if the split's data is not the task's; else {}.
        maps: rubric -> label -> label of the split, from `--map`; `RUBRIC:LABEL` for a share of its own.
    """

    judge: str | None
    packaged: bool
    generation: Mapping[str, Json]
    epochs: int
    limit: int | None
    content: str
    found: int | None
    min_coverage: float
    drawn: Mapping[str, str] = field(default_factory=dict[str, str])
    data: Mapping[str, Json] = field(default_factory=dict[str, Json])
    outcome_labels: tuple[str, ...] = ()
    maps: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])

    @staticmethod
    def from_json(raw: object) -> SplitEntry:
        """Read an entry. Raises ValueError if it is invalid."""
        values: dict[str, Any] = {
            "judge": None,
            "min_coverage": MIN_COVERAGE,
            "drawn": {},
            "data": {},
            "outcome_labels": (),
            "maps": {},
            **_object(raw, "a split"),
        }
        values["outcome_labels"] = _list(values["outcome_labels"], "'outcome_labels' of a split")
        drawn = _object(values["drawn"], "what was drawn")
        # a number comes from a draw in which categories took turns, which is not random
        values["drawn"] = {judge: last for judge, last in drawn.items() if isinstance(last, str)}
        return _read(SplitEntry, values, "a split")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEntry(_Entry):
    """One task under its settings; `task` is its name without them.

    Attributes:
        task: the task's name.
        version: the task's version.
        settings: settings that differ from their defaults.
        data: the task's data.
        splits: name -> entry.
        file: the task file as it was, `Task.file`; {} for a task in Python.
    """

    task: str
    version: str
    settings: Mapping[str, Json]
    data: DataEntry
    splits: Mapping[str, SplitEntry]
    file: Mapping[str, Json] = field(default_factory=dict[str, Json])

    @staticmethod
    def from_json(raw: object) -> TaskEntry:
        """Read an entry. Raises ValueError if it is invalid."""
        values: dict[str, Any] = {"file": {}, **_object(raw, "a task")}
        splits = _object(values.get("splits"), "the splits of a task")
        data = {"checked": "", **_object(values.get("data"), "the data of a task")}
        values["data"] = _read(DataEntry, data, "the data of a task")
        values["splits"] = {name: SplitEntry.from_json(split) for name, split in splits.items()}
        return _read(TaskEntry, values, "a task")


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteEntry(_Entry):
    """A suite as it was last asked.

    Attributes:
        rubrics: title of each part -> the rubric that the suite names for it, empty for none.
        settings: the suite's settings for its tasks and rubrics.
        mean: titles whose main numbers are averaged.
    """

    rubrics: Mapping[str, str]
    settings: Mapping[str, Json]
    mean: tuple[str, ...]

    @staticmethod
    def from_json(raw: object) -> SuiteEntry:
        """Read an entry. Raises ValueError if it is invalid."""
        values = _object(raw, "a suite")
        return _read(SuiteEntry, {**values, "mean": _list(values.get("mean", ()), "'mean' of a suite")}, "a suite")


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation(_Entry):
    """One command that wrote to the folder.

    Attributes:
        started: start time, ISO 8601 with its zone.
        finished: end time, likewise.
        seconds: the time between them.
        command: the list of its arguments.
        tasks: `NAME:SPLIT` of each split.
        end: done, stopped or pending (its batches had not ended).
        reason: why it stopped or waits; empty if done.
        launch: what started the replicas of local models, and where; empty for this machine.
        options: its options, by which `harness rerun` repeats it (`harness.runs.option_record`); {} for labels of
            people, and in files of older versions.
        spent_usd: dollars of its calls whose price is known, failed tries and lost answers included; None for none.
            Under `--max-usd`, answers whose tokens nobody knows count as the most that they can have cost.
        unanswered_usd: the most dollars of calls that got no answer, though their provider may bill them; not in
            `spent_usd`. None for none.
    """

    started: str
    finished: str
    seconds: float
    command: tuple[str, ...]
    tasks: tuple[str, ...]
    end: str
    reason: str
    launch: str = ""
    options: Mapping[str, Json] = field(default_factory=dict[str, Json])
    spent_usd: float | None = None
    unanswered_usd: float | None = None

    @staticmethod
    def from_json(raw: object) -> Invocation:
        """Read an entry. Raises ValueError if it is invalid."""
        own = _object(raw, "an invocation")
        values: dict[str, Any] = {"options": {}, "spent_usd": None, "unanswered_usd": None, **own}
        for name in values.keys() & {"command", "tasks"}:
            values[name] = _list(values[name], f"{name!r} of an invocation")
        return _read(Invocation, {"launch": "", **values}, "an invocation")


def _find_name(chosen: Json) -> str:
    """The name of a strategy or an attack as run.json has it; empty for none."""
    return str(cast("Mapping[str, Json]", chosen).get("name", "")) if isinstance(chosen, Mapping) else str(chosen or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFile(_Entry):
    """The whole of run.json.

    Attributes:
        schema: the file's schema.
        started: start time of the first invocation.
        model: the evaluated model.
        identity: the model's identity, with the overrides.
        identity_digest: hash of the model's identity; part of each key.
        overrides: the user's overrides of the splits' settings.
        plugins: distribution -> version.
        environment: Python, platform, packages.
        judges: id -> the judge's entry in results.json.
        tasks: displayed name -> entry.
        shard: which part of a run this is, and of each split how much all parts hold (`harness.runs.shards`); {} for a
            run of its own.
        merged: the shards that this run was made of, and how much of each file; {} for none.
        suites: the asked suites, by name.
        probe: the last probe's result; None without a probe.
        prices: `sellers`: who answers the model and each judge; `own`: the user's prices of these models.
        history: the ended invocations, in order.
        running: start time and records of each split of the invocation that goes on; empty once it has ended. It stays
            if the process was killed.
    """

    schema: str
    started: str
    model: ModelEntry
    identity: Mapping[str, Json]
    identity_digest: str
    overrides: OverridesEntry
    plugins: Mapping[str, Json]
    environment: Mapping[str, Json]
    judges: Mapping[str, Mapping[str, Json]]
    tasks: Mapping[str, TaskEntry]
    suites: Mapping[str, SuiteEntry]
    probe: Mapping[str, Json] | None
    history: tuple[Invocation, ...]
    shard: Mapping[str, Any] = field(default_factory=dict[str, Any])
    merged: Mapping[str, Any] = field(default_factory=dict[str, Any])
    running: Mapping[str, Json] = field(default_factory=dict[str, Json])
    prices: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def model_name(self) -> str:
        """The model with its strategy, system message and attack, as leaderboards name it."""
        strategy, attack = (_find_name(each) for each in (self.model.strategy, self.model.attack))
        system = "system prompt" if self.overrides.system else ""
        parts = (self.model.ref, strategy, system, f"attack {attack}" if attack else "")
        return " + ".join(part for part in parts if part)

    @property
    def part(self) -> tuple[int, int] | None:
        """(i, n) of a shard; None for a whole run."""
        return (int(self.shard["index"]), int(self.shard["of"])) if self.shard else None

    @property
    def redacted(self) -> bool:
        """Whether this is a redacted export: its numbers can be computed again, but nothing can be added."""
        return self.extra.get("redacted") is True

    @staticmethod
    def from_json(raw: object) -> RunFile:
        """Read run.json. Raises ValueError if it is invalid or has another schema."""
        values: dict[str, Any] = {
            "probe": None,
            "suites": {},
            "history": [],
            "shard": {},
            "merged": {},
            "running": {},
            "prices": {},
            **_object(raw, "it"),
        }
        if values.get("schema") != SCHEMA:
            raise ValueError(f"it has schema {values.get('schema')!r}, but this version reads {SCHEMA!r}")
        tasks = _object(values.get("tasks"), "the tasks")
        values["model"] = ModelEntry.from_json(values.get("model"))
        values["overrides"] = _read(OverridesEntry, _object(values.get("overrides"), "the overrides"), "the overrides")
        suites = _object(values["suites"], "the suites")
        shard = _object(values["shard"], "the shard")
        numbers = [shard.get(name) for name in ("index", "of")]
        if shard and not (all(isinstance(each, int) for each in numbers) and isinstance(shard.get("splits"), Mapping)):
            raise ValueError("the shard lacks its index, number or splits")
        values["shard"], values["merged"] = shard, _object(values["merged"], "what was merged")
        values["tasks"] = {name: TaskEntry.from_json(task) for name, task in tasks.items()}
        values["suites"] = {name: SuiteEntry.from_json(suite) for name, suite in suites.items()}
        values["history"] = tuple(map(Invocation.from_json, _list(values["history"], "'history'")))
        return _read(RunFile, values, "it")


#: fields that the file omits if they are empty or false
_LEFT_OUT = (
    *("attack", "checked", "data", "drawn", "file", "given", "judge", "launch", "maps", "merged", "options"),
    *("outcome_labels", "prices", "probe", "running", "shard", "spent_usd", "suites", "training", "unanswered_usd"),
)
_E = TypeVar("_E", bound=_Entry)


def _object(raw: object, what: str) -> dict[str, Any]:
    if isinstance(raw, Mapping):
        return dict(cast("Mapping[str, Any]", raw))
    raise ValueError(f"{what} is not an object")


def _list(raw: object, what: str) -> tuple[Any, ...]:
    if isinstance(raw, list | tuple):
        return tuple(cast("Sequence[Any]", raw))
    raise ValueError(f"{what} is not a list")


def _read(kind: type[_E], raw: Mapping[str, Any], what: str) -> _E:
    known = {each.name for each in fields(kind)} - {"extra"}
    if missing := sorted(known - raw.keys()):
        raise ValueError(f"{what} has no {missing[0]!r}")
    extra = {name: value for name, value in raw.items() if name not in known}
    return kind(**{name: raw[name] for name in known}, extra=extra)


def _plain(value: Any) -> Json:
    if isinstance(value, _Entry):
        return value.as_json()
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in cast("Sequence[Any]", value)]
    return value
