"""run.json as values: who was asked, how, with what, and what each invocation did.

Keys that this version does not know are kept with the entry that has them, until the entry is made anew.
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
        """The object as it lies in the file."""
        own = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "extra"}
        left_out = {name for name in _LEFT_OUT if name in own and own[name] in (None, {}, "", ())}
        return {name: _plain(value) for name, value in own.items() if name not in left_out} | dict(self.extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry(_Entry):
    """The evaluated model.

    Attributes:
        ref: `scheme/name`.
        resolved: what its provider calls it.
        settings: of its provider, those of its identity.
        strategy: around it, with its settings.
        notes: what it noted while it was open, in all invocations.
        training: what is declared of how it was made: see `harness.lineage`.
    """

    ref: str
    resolved: Json
    settings: Json
    strategy: Json
    notes: tuple[str, ...]
    training: Mapping[str, Json] = field(default_factory=dict[str, Json])

    @staticmethod
    def from_json(raw: object) -> ModelEntry:
        """Raises ValueError for what is no such entry."""
        values: dict[str, Any] = {"notes": [], "training": {}, **_object(raw, "the model")}
        return _read(ModelEntry, {**values, "notes": tuple(values["notes"])}, "the model")


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides(_Entry):
    """What the user set over the splits' own: generation settings and a system message."""

    generation: Mapping[str, Json]
    system: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DataEntry(_Entry):
    """Where a task's data lay, and what it is.

    Attributes:
        root: the task's own folder.
        folder: the data folder of the invocation.
        source: hub name or address; empty for none.
        revision: of the source.
        licence: of the data.
        checked: whether it is the revision that the counts were checked with: see `harness.data.provenance.Checked`;
            empty for packaged data, a set that was built, and in files of older versions.
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
        judge: id of the judge whose figures stand first; None where none has judged.
        packaged: its data comes with the task.
        generation: settings as they were sent; null where the model refused one.
        epochs: answers for each sample.
        limit: clusters that were taken; None for all.
        content: hash of what the data says, 64 hex digits; empty where no listing was complete.
        found: samples there are; None where they were not counted.
        min_coverage: share of records that must be resolved, as it was last given.
        drawn: judge id -> last place (`harness.keys.draw_order`) of what `--judge-limit` drew for it and it has judged.
        outcome_labels: what blocks and empty answers count as, that metrics look for and no rubric of the split can
            say, as far as could be told when it was asked.
        data: source, revision, licence and toy of a split whose data is not the task's; {} where it is.
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

    @staticmethod
    def from_json(raw: object) -> SplitEntry:
        """Raises ValueError for what is no such entry."""
        values: dict[str, Any] = {
            "judge": None,
            "min_coverage": MIN_COVERAGE,
            "drawn": {},
            "data": {},
            "outcome_labels": (),
            **_object(raw, "a split"),
        }
        values["outcome_labels"] = tuple(values["outcome_labels"])
        drawn = _object(values["drawn"], "what was drawn")
        # a number is of a draw in which categories took turns, which is no random part
        values["drawn"] = {judge: last for judge, last in drawn.items() if isinstance(last, str)}
        return _read(SplitEntry, values, "a split")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEntry(_Entry):
    """One task under its settings; `task` is its name without them.

    Attributes:
        task: name.
        version: of the task.
        settings: those that are not at their defaults.
        data: where it lay.
        splits: name -> entry.
    """

    task: str
    version: str
    settings: Mapping[str, Json]
    data: DataEntry
    splits: Mapping[str, SplitEntry]

    @staticmethod
    def from_json(raw: object) -> TaskEntry:
        """Raises ValueError for what is no such entry."""
        values = _object(raw, "a task")
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
        settings: that the suite gives its tasks and rubrics.
        mean: titles whose main numbers have a mean.
    """

    rubrics: Mapping[str, str]
    settings: Mapping[str, Json]
    mean: tuple[str, ...]

    @staticmethod
    def from_json(raw: object) -> SuiteEntry:
        """Raises ValueError for what is no such entry."""
        values = _object(raw, "a suite")
        return _read(SuiteEntry, {**values, "mean": tuple(values.get("mean", ()))}, "a suite")


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation(_Entry):
    """One command that wrote to the folder.

    Attributes:
        started: ISO 8601 with its zone.
        finished: likewise.
        seconds: between them.
        command: argument by argument.
        tasks: `NAME:SPLIT` of each split.
        end: done or stopped.
        reason: why it stopped; empty where it is done.
    """

    started: str
    finished: str
    seconds: float
    command: tuple[str, ...]
    tasks: tuple[str, ...]
    end: str
    reason: str

    @staticmethod
    def from_json(raw: object) -> Invocation:
        """Raises ValueError for what is no such entry."""
        values = _object(raw, "an invocation")
        for name in values.keys() & {"command", "tasks"}:
            values[name] = tuple(values[name])
        return _read(Invocation, values, "an invocation")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFile(_Entry):
    """The whole of run.json.

    Attributes:
        schema: of the file.
        started: of the first invocation.
        model: who was asked.
        identity: what was requested, with the overrides.
        identity_digest: of the model's identity; enters each key.
        overrides: of the splits' own.
        plugins: distribution -> version.
        environment: Python, platform, packages.
        judges: id -> what results.json says of the judge.
        tasks: displayed name -> entry.
        suites: those that were asked, by name.
        probe: what the probe saw last; None where there was none.
        history: the invocations that ended, in order.
    """

    schema: str
    started: str
    model: ModelEntry
    identity: Mapping[str, Json]
    identity_digest: str
    overrides: Overrides
    plugins: Mapping[str, Json]
    environment: Mapping[str, Json]
    judges: Mapping[str, Mapping[str, Json]]
    tasks: Mapping[str, TaskEntry]
    suites: Mapping[str, SuiteEntry]
    probe: Mapping[str, Json] | None
    history: tuple[Invocation, ...]

    @property
    def redacted(self) -> bool:
        """Whether it is of a redacted export: its numbers can be made anew, and nothing can be added to it."""
        return self.extra.get("redacted") is True

    @staticmethod
    def from_json(raw: object) -> RunFile:
        """Raises ValueError for what is no such file, or one of another schema."""
        values: dict[str, Any] = {"probe": None, "suites": {}, "history": [], **_object(raw, "it")}
        if values.get("schema") != SCHEMA:
            raise ValueError(f"it is of schema {values.get('schema')!r}, and this version reads {SCHEMA!r}")
        tasks = _object(values.get("tasks"), "the tasks")
        values["model"] = ModelEntry.from_json(values.get("model"))
        values["overrides"] = _read(Overrides, _object(values.get("overrides"), "the overrides"), "the overrides")
        suites = _object(values["suites"], "the suites")
        values["tasks"] = {name: TaskEntry.from_json(task) for name, task in tasks.items()}
        values["suites"] = {name: SuiteEntry.from_json(suite) for name, suite in suites.items()}
        values["history"] = tuple(Invocation.from_json(each) for each in values["history"])
        return _read(RunFile, values, "it")


#: fields that are not in the file where there is nothing in them
_LEFT_OUT = ("checked", "data", "drawn", "judge", "outcome_labels", "probe", "suites", "training")
_E = TypeVar("_E", bound=_Entry)


def _object(raw: object, what: str) -> dict[str, Any]:
    if isinstance(raw, Mapping):
        return dict(cast("Mapping[str, Any]", raw))
    raise ValueError(f"{what} is no object")


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
