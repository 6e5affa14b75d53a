"""What plugins offer: light descriptors that cost nothing to make and open the real thing on use.

Providers open Models; Tasks yield Samples; Judges open Rubrics; Strategies wrap Models; Reports render results;
Trainers and Builders make new models and new data. All are plain values or small Protocols.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from harness.judges import Answered as Answered
from harness.judges import Ask as Ask
from harness.judges import Decision as Decision
from harness.judges import Judge as Judge
from harness.judges import Read as Read
from harness.judges import Rubric as Rubric
from harness.making import Build as Build
from harness.making import Builder as Builder
from harness.making import Built as Built
from harness.making import Drawing as Drawing
from harness.making import Drawn as Drawn
from harness.making import Trainer as Trainer
from harness.making import Training as Training
from harness.metrics import Metric, Pairing
from harness.sources import DataSource as DataSource
from harness.suites import Suite as Suite
from harness.types import Ability as Ability
from harness.types import (
    Failure,
    Fidelity,
    Generation,
    Json,
    Request,
    Response,
    Sample,
    Setting,
    Settings,
    Verdict,
)

Group = Literal["safety", "over-refusal", "ability"]  #: what a split is about: may it do harm, refuse too much, or err
Results = Mapping[str, Json]  #: the dict of results.json


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What a model is and can do.

    Attributes:
        ref: as the user wrote it, `scheme/name`.
        resolved: the snapshot behind an alias, where the provider says it before the first call; else empty.
        endpoint: calls to one endpoint share slots, back-off and breaker; one per server and key, or per local device.
        max_images: most images one request may hold; None when there is no limit.
        local: runs on this machine's accelerator.
        concurrency: most calls at once; None lets the engine find it.
        fingerprint: names, sizes and sha256 of a local model's files, a hub commit, or {} for an API.
        can: abilities; a request needing another is refused before the run.
        dropped: generation settings the model refused, left out and recorded as null.
        notes: what the user should read, such as a batch that was halved; may grow while the model is open.
    """

    ref: str
    resolved: str = ""
    endpoint: str
    max_images: int | None = None
    local: bool = False
    concurrency: int | None = None
    fingerprint: Mapping[str, Json] = field(default_factory=dict[str, Json])
    can: frozenset[Ability] = frozenset({"images", "system"})
    dropped: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


class Model(Protocol):
    """Something that answers requests."""

    @property
    def info(self) -> ModelInfo:
        """What it is; may name more `dropped` settings after the first call."""
        ...

    async def generate(self, request: Request) -> Response | Failure:
        """Answer one request, once: retries and slots are the engine's.

        A Failure says that this sample failed. HarnessError is raised when nothing will work: a wrong key, no such
        model, a quota that is gone.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Opens models: `--model SCHEME/NAME`.

    Attributes:
        scheme: what stands before the first slash.
        description: one line.
        settings: keys of `-M`.
        open: (name, settings) -> async context manager that yields the Model.
        local: its models run on this machine's accelerator, so two of them do not run at once; it takes the settings
            `replicas` and `devices`, which are the core's.
        base: the scheme it was made of by `preset`; empty for one of its own.
        folder: (name, settings) -> the folder that holds the model's weights, for who trains or copies it; raises
            HarnessError where it has none here. None for a provider of models that have no files.
        lineage: name -> the folder that holds its training.json, where that is neither the name itself nor a setting.
    """

    scheme: str
    description: str
    open: Callable[[str, Settings], AbstractAsyncContextManager[Model]]
    settings: tuple[Setting, ...] = ()
    local: bool = False
    base: str = ""
    folder: Callable[[str, Settings], Path] | None = None
    lineage: Callable[[str], Path] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """One set of samples and how it is scored.

    Attributes:
        n: published number of samples; another number is a warning. None when it is not known.
        images: most images one sample holds; a model that takes fewer is refused. None when it is not known: then what
            the samples hold is counted when they are listed.
        judges: each rubric it accepts -> translation of that rubric's labels into the metrics' (an empty mapping keeps
            them). The first is the default.
        metrics: the first is the main one unless another says `main`.
        by: breakdowns: `category` or names of tags.
        defaults: generation settings of the benchmark.
        blocked_as: what a block counts as, for all metrics alike.
        empty_as: what an empty answer counts as.
        data: packaged folder of a mini split; None means the task's root under the data folder.
        selected: whether the task's bare name selects it.
        parts: a derived split: pooled from these, never asked itself.
        fidelity: whose words the input is in; None where the benchmark adds none.
        template_hash: sha256 of those words.
        labels: the words of its metrics: everything a verdict may count as. Labels of metrics, translated labels of
            rubrics, `blocked_as` and `empty_as` must be among them. Empty means the labels that its metrics look for.
        group: what kind of question it asks; None where it is none of these.
        source: where its own data comes from; None means the task's. `harness.usual.TOY` for data that only shows the
            tool.
    """

    n: int | None = None
    images: int | None = 0
    judges: Mapping[str, Mapping[str, str]]
    metrics: tuple[Metric, ...]
    by: tuple[str, ...] = ("category",)
    defaults: Generation = Generation()
    blocked_as: Verdict
    empty_as: Verdict
    data: Path | None = None
    selected: bool = True
    parts: tuple[str, ...] = ()
    fidelity: Fidelity | None = None
    template_hash: str = ""
    labels: tuple[str, ...] = ()
    group: Group | None = None
    source: DataSource | None = None

    @property
    def vocabulary(self) -> tuple[str, ...] | None:
        """What a verdict may count as; None where it is not declared and its metrics do not tell."""
        if self.labels:
            return self.labels
        looked_for = [metric.labels for metric in self.metrics]
        if any(labels is None for labels in looked_for):
            return None
        return tuple(dict.fromkeys(label for labels in looked_for for label in labels or ())) or None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A benchmark: splits and the samples in them.

    Attributes:
        name: of the task; its data lies in DIR/<name>.
        version: raised when the same data would make another request or another score.
        description: one line.
        splits: name -> Split; a function of (settings, data root) where settings change them. An open set gives a
            Mapping that answers any name.
        samples: (data root, split, settings) -> lazily the samples, those of one cluster together.
        settings: keys of `-T NAME.key`; a changed identity setting becomes part of the task's displayed name.
        source: where the data comes from.
        pairings: comparisons inside the task.
        published: YAML file of numbers that others published, as `harness.board.published` reads it.
        revision: (data root, splits) -> which revision of the data lies there, for the results; empty where it cannot
            tell. None means as it was fetched.
    """

    name: str
    version: str
    description: str
    splits: Mapping[str, Split] | Callable[[Settings, Path], Mapping[str, Split]]
    samples: Callable[[Path, str, Settings], Iterable[Sample]]
    settings: tuple[Setting, ...] = ()
    source: DataSource | None = None
    pairings: tuple[Pairing, ...] = ()
    published: Path | None = None
    revision: Callable[[Path, Sequence[str]], str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """Wraps the evaluated model, never a judge: two-step answering, a defence prompt. Part of the identity.

    Attributes:
        name: value of `--strategy`.
        version: raised when the same request would be asked in another way.
        description: one line.
        wrap: (model, settings) -> the model with the strategy around it.
        settings: keys of `-S`.
        calls: (request, settings) -> how often the inner model is asked for one answer to the request, at least and at
            most, None for no bound: a dry run counts by it. None means that it does not say, and that is at least once.
    """

    name: str
    version: str
    description: str
    wrap: Callable[[Model, Settings], Model]
    settings: tuple[Setting, ...] = ()
    calls: Callable[[Request, Settings], tuple[int, int | None]] | None = None


Rendered = str | bytes | Mapping[str, bytes]  #: text or bytes of one file, or file name -> bytes of several


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Renders results: a pure function of one or more results.json, or of what lies in the run folders.

    Attributes:
        name: value of `--format`.
        description: one line.
        render: results, in order -> the report. Nothing else is read, so it needs no run folder.
        samples: (run folders, reveal) -> the report, for a format that holds samples; instead of `render`. Where
            `reveal` is false, it holds no text and no image of a sample: only names, labels, counts and numbers.
        figures: results, in order -> file name -> bytes; what `--figures DIR` writes.
        suffix: of the one file, or empty where it is several.
    """

    name: str
    description: str
    render: Callable[[Sequence[Results]], Rendered] | None = None
    samples: Callable[[Sequence[Path], bool], Rendered] | None = None
    figures: Callable[[Sequence[Results]], Mapping[str, bytes]] | None = None
    suffix: str = ".txt"

    def __post_init__(self) -> None:
        """Raises ValueError for a report that renders nothing, or in two ways."""
        if (self.render is None) == (self.samples is None):
            raise ValueError(f"report {self.name!r}: give render or samples, and not both")


class Brush(Protocol):
    """Something that draws."""

    @property
    def info(self) -> ModelInfo:
        """What it is; `can` holds `draw`."""
        ...

    async def draw(self, drawing: Drawing) -> Drawn | Failure:
        """Draw one image, once: retries and slots are the engine's.

        A Failure says that this drawing failed, with `input_blocked` or `output_blocked` where a filter stopped it.
        HarnessError is raised when nothing will work.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Painter:
    """Opens models that draw images from words: SCHEME/NAME where a builder asks for one.

    Attributes:
        scheme: what stands before the first slash.
        description: one line.
        open: (name, settings) -> async context manager that yields the Brush.
        settings: of it.
        local: it runs on this machine's accelerator.
    """

    scheme: str
    description: str
    open: Callable[[str, Settings], AbstractAsyncContextManager[Brush]]
    settings: tuple[Setting, ...] = ()
    local: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """What an observer is told about a run."""

    folder: Path
    model: str
    tasks: tuple[str, ...]
    judges: tuple[str, ...]
    plugins: Mapping[str, str]
