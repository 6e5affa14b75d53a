"""What plugins offer: light descriptors that cost nothing to make and open the real thing on use.

Providers open Models; Tasks yield Samples; Suites name several tasks; Judges open Rubrics; Strategies wrap Models;
Reports render results; Trainers, Builders and Painters make new models, data and images. All are plain values or small
Protocols.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from harness.metrics import Metric, Pairing
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
    Unscored,
    Usage,
    Verdict,
)

Group = Literal["safety", "over-refusal", "ability"]  #: what a split is about: may it do harm, refuse too much, or err
Results = Mapping[str, Json]  #: the dict of results.json
#: in the displayed name of a task on a built set, in front of the name of the set; see `harness.data.built`
BUILT: Final = "+data="
#: `DataSource.unchecked` of a source of which no revision could be downloaded here
UNSEEN: Final = "no revision of it could be downloaded here, so the counts are those that are published"


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
class DataSource:
    """Where a task's data comes from: what `harness data fetch` takes, and what is shown when it is missing.

    A pattern is a path in which `*` stands for anything, slashes included.

    Attributes:
        hub: dataset id on the Hugging Face hub, or empty.
        mirrors: other ids of the same data set, tried in order where `hub` is not there.
        files: patterns of the hub's files that the task reads; empty takes all.
        url: web page or repository.
        revision: commit of `hub` that the splits' counts were checked with, or empty.
        unchecked: why there was no revision of a part of it to check the counts with; empty where all was checked. Then
            `hub` and `archive` name their commits, and another one is fetched only by `--revision`.
        licence: as the publisher states it, with what it forbids.
        size: human text, such as "3 GB".
        gated: access must be asked for.
        archive: GitHub repository that holds the data or a part of it: (owner/name, commit that the counts were checked
            with or empty, patterns).
        urls: files by themselves: (path under the data root, address, md5 or empty).
        by_hand: what no program can fetch and the user puts into the data root: what, and the page it is on.
        prompts: GitHub repository and commit that hold upstream's wording: (owner/name, commit, files).
        toy: drawn to show the tool: a number on it measures nothing, and every report says so.
    """

    hub: str = ""
    mirrors: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    url: str = ""
    revision: str = ""
    unchecked: str = ""
    licence: str = ""
    size: str = ""
    gated: bool = False
    archive: tuple[str, str, tuple[str, ...]] | None = None
    urls: tuple[tuple[str, str, str], ...] = ()
    by_hand: tuple[str, ...] = ()
    prompts: tuple[str, str, tuple[str, ...]] | None = None
    toy: bool = False


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
class Suite:
    """Tasks that are run together: `--tasks NAME`.

    Attributes:
        name: stands wherever a task's name does; no task may have it.
        description: one line.
        tasks: `NAME` or `NAME:SPLIT`, in order; never another suite.
        task_settings: as `-T`: `NAME.key` -> value, for these tasks alone and their rubrics; the user's own values take
            precedence.
        judges: task, or entry of `tasks` -> name of the rubric that judges it here; where it needs a model, the user
            names it by `--judge RUBRIC=MODEL`. Such a flag reaches no other task of the suite, and `--judge MODEL` does
            not change it.
        mean: entries of `tasks` with one split each, whose main numbers have an unweighted mean.
        notes: what a reader of its numbers should know.
    """

    name: str
    description: str
    tasks: tuple[str, ...]
    task_settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    judges: Mapping[str, str] = field(default_factory=dict[str, str])
    mean: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def rubric(self, entry: str) -> str:
        """The name of the rubric for an entry of `tasks`; empty for none."""
        return self.judges.get(entry) or self.judges.get(entry.partition(":")[0], "")


Decision = Verdict | Unscored
Read = Callable[[Sample, Response, Sequence[Response]], "Decision | list[Request]"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An answered sample, as a rubric that scores a whole split gets it.

    Attributes:
        item: its name; each decision names the item it is for.
        sample: as the task listed it; its images are not open.
        response: the answer; its text is not blank.
    """

    item: str
    sample: Sample
    response: Response


#: (item, request) -> the reply of the judge's model, or the Unscored of a filter, a refusal or an error
Ask = Callable[[str, Request], Awaitable["Response | Unscored"]]
#: (answers, an empty folder, ask) -> (item, decision), each item once, in any order
Score = Callable[[Sequence[Answered], Path, Ask], AsyncIterator[tuple[str, Decision]]]


def _ask_nothing(_sample: Sample, _response: Response) -> list[Request]:
    return []


def _cannot_read(_sample: Sample, _response: Response, _replies: Sequence[Response]) -> Decision:
    return Unscored(state="judge_error", message="the rubric scores a split as a whole")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rubric:
    """How answers are judged: what to ask a judge's model and how to read its replies, or how to score a whole split.

    Attributes:
        identity: everything that can change a verdict besides model and version (template hash, options).
        labels: all labels it can give.
        ask: (sample, response) -> requests for the judge's model; empty for a rule. If the model cannot score the
            `choices` of one, it is not asked, and the reply is empty and without scores; if it fails to and `needs` has
            no `choices`, the reply is empty with the failure among its notes.
        ask_local: instead of `ask`, for a model that runs on this machine: for prompts that hold data unchanged.
        read: (sample, response, replies) -> Verdict, Unscored, or requests for one more round (at most 4).
        score: instead of `ask` and `read`: an async generator that decides on all answers of one epoch of a split,
            once the last is there. Samples that failed, were blocked or have an empty answer are left out.
        fidelity: whose words the template is in. sees: what the judge is shown: "question", "images", "answer",
        "reasoning", … needs: abilities its model must have under these settings, if they differ from the judge's; else
        None. meanings: label -> one sentence for readers of a report: what an answer with this label is like.
        verdict_like: answer -> whether it holds text in the form of this rubric's own verdicts; every answer is
        searched
            for the general forms anyway. Such an answer is flagged, never scored differently.
        repairs: whether a reply that cannot be read is asked for once more in each round of one request, with what was
            wrong with it; a classifier would take that request for a part of what it classifies.
    """

    identity: Mapping[str, Json]
    labels: tuple[str, ...]
    ask: Callable[[Sample, Response], list[Request]] = _ask_nothing
    read: Read = _cannot_read
    ask_local: Callable[[Sample, Response], list[Request]] | None = None
    score: Score | None = None
    fidelity: Fidelity = "own"
    sees: tuple[str, ...] = ("answer",)
    needs: frozenset[Ability] | None = None
    meanings: Mapping[str, str] = field(default_factory=dict[str, str])
    verdict_like: Callable[[str], bool] | None = None
    repairs: bool = True

    @property
    def scope(self) -> Literal["sample", "split"]:
        """What it decides on at once."""
        return "sample" if self.score is None else "split"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Opens a rubric: `--judge RUBRIC[=MODEL]`.

    Attributes:
        name: of the rubric.
        version: raised when the same answer could get another verdict.
        description: one line.
        open: (settings, data root DIR/<name>) -> Rubric.
        settings: keys of `-T NAME.key`, part of the judge's id only.
        needs: abilities its model must have; None for a rule, which needs no model.
    """

    name: str
    version: str
    description: str
    open: Callable[[Settings, Path], Rubric]
    settings: tuple[Setting, ...] = ()
    needs: frozenset[Ability] | None = None

    @staticmethod
    def simple(
        name: str,
        *,
        version: str,
        description: str,
        labels: tuple[str, ...] | Mapping[str, str],
        decide: Callable[[Sample, Response], str],
    ) -> Judge:
        """A rule without settings or model: `decide` names the label of an answer.

        `labels` are the names alone, or name -> meaning (`Rubric.meanings`).
        """
        rubric = Rubric(
            identity={},
            labels=tuple(labels),
            read=lambda s, r, _: Verdict(label=decide(s, r)),
            meanings=labels if isinstance(labels, Mapping) else {},
        )
        return Judge(name=name, version=version, description=description, open=lambda _s, _d: rubric)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One training that is asked for.

    Attributes:
        model: SCHEME/NAME of a local provider, a folder, or an id on the hub; may be empty if data are only written for
            another trainer.
        data: name of an ingredient of the method -> its place; the name "" is the method's main one.
        out: folder of the trained model; it is there only once the training has ended well.
        recipe: name of a recipe, or a YAML file; empty for the method's own row for this model.
        overrides: values of the recipe that the user sets, as text.
        settings: of the trainer, complete.
        hold_out: categories whose records are left out.
        seed: of the mixture and of the training.
        resume: continue from the last checkpoint of the same training.
        launch: name or file of an accelerate configuration; empty trains in this process.
    """

    model: str
    data: Mapping[str, Path]
    out: Path
    recipe: str = ""
    overrides: Mapping[str, str] = field(default_factory=dict[str, str])
    settings: Settings = field(default_factory=dict[str, Any])
    hold_out: tuple[str, ...] = ()
    seed: int = 0
    resume: bool = True
    launch: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trainer:
    """Makes a new checkpoint: `harness train NAME`.

    Attributes:
        name: of the method.
        description: one line.
        plan: what a training would do, as text for a person; nothing is trained and nothing is written.
        train: trains -> folder of the trained model, which `hf/` and `vllm/` load. It holds a training.json with
            `tuned_from` and `trained_on`: see `harness.lineage`.
        settings: keys of `-S`.
        exports: layout of another trainer -> function that writes the data of a training into its `out` in this layout
            and gives the file for that trainer.
        facts: the plan as JSON, with a list of texts `refusals`: why this machine would not begin; None for a trainer
        that
            has only the text.
    """

    name: str
    description: str
    plan: Callable[[Training], str]
    train: Callable[[Training], Path]
    settings: tuple[Setting, ...] = ()
    exports: Mapping[str, Callable[[Training], Path]] = field(default_factory=dict[str, Callable[["Training"], Path]])
    facts: Callable[[Training], Mapping[str, Json]] | None = None


def _ignore_line(_: str) -> None:
    """Drop a line of a build that has no listener."""


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """One build that is asked for.

    Attributes:
        config: file that describes it.
        out: folder of the data set; a build that was stopped continues in it.
        accepted: names of sources that the user allows in spite of their licence.
        settings: of the builder, complete.
        tell: is called with lines that a person should read while the build runs.
        ending: whether it was asked to end: it begins nothing new and keeps what it has.
    """

    config: Path
    out: Path
    accepted: tuple[str, ...] = ()
    settings: Settings = field(default_factory=dict[str, Any])
    tell: Callable[[str], None] = _ignore_line
    ending: Callable[[], bool] = _never


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """The result of a build.

    Attributes:
        folder: of the data set.
        records: file of the set -> number of records in it.
        open: a line for each thing still to be done, with its command; none if the set is complete.
    """

    folder: Path
    records: Mapping[str, int]
    open: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """Makes new data: `harness build NAME`.

    Attributes:
        name: of the builder.
        description: one line.
        build: builds the set, or continues it; raises HarnessError where nothing will work.
        plan: what a build would do, as text for a person; nothing is asked and nothing is written.
        settings: keys of `-S`.
    """

    name: str
    description: str
    build: Callable[[Build], Awaitable[Built]]
    plan: Callable[[Build], str]
    settings: tuple[Setting, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """One drawing that is asked for.

    Attributes:
        prompt: in words.
        seed: the same prompt and seed give the same image, where the model can.
        width, height: pixels; a model that draws other sizes takes its nearest.
    """

    prompt: str
    seed: int = 0
    width: int = 1024
    height: int = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """An image that was drawn.

    Attributes:
        data: PNG, JPEG or WebP.
        model: name the provider reported; empty where it reports none.
        prompt: the one it was drawn from, if the provider rewrote it; else empty.
        seconds: it took.
        usage: tokens, where the provider counts them.
    """

    data: bytes = field(repr=False)
    model: str = ""
    prompt: str = ""
    seconds: float = 0.0
    usage: Usage = Usage()


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
    """What an observer learns about a run."""

    folder: Path
    model: str
    tasks: tuple[str, ...]
    judges: tuple[str, ...]
    plugins: Mapping[str, str]
