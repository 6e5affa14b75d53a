"""What plugins offer: light descriptors that cost nothing to make and open the real thing on use.

Providers open Models; Tasks yield Samples; Suites name several tasks; Judges open Rubrics; Strategies wrap Models;
Attacks change what is asked; Reports render results. Trainers, Builders and Painters make new models, data and images:
`harness.makers`. All are plain values or small Protocols.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

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
    Verdict,
)
from harness.types import ModelInfo as ModelInfo

if TYPE_CHECKING:
    from random import Random

    from harness.matrix import Matrix

Group = Literal["safety", "over-refusal", "ability"]  #: what a split is about: may it do harm, refuse too much, or err
Results = Mapping[str, Json]  #: the dict of results.json
#: in the displayed name of a task on a built set, before the name of the set; see `harness.data.built`
BUILT: Final = "+data="
#: seconds that a strategy or an attack may work on one sample, unless it says otherwise: as long as a call may take
OWN_SECONDS: Final = 600.0
#: `DataSource.unchecked` of a source whose revisions could not be downloaded here
UNSEEN: Final = "no revision of it could be downloaded here, so the counts are those that are published"


class Model(Protocol):
    """Something that answers requests."""

    @property
    def info(self) -> ModelInfo:
        """What it is; may name more `dropped` settings after the first call."""
        ...

    async def generate(self, request: Request) -> Response | Failure:
        """Answer one request in one attempt; the engine handles retries and slots.

        A Failure says that this sample failed. Raises HarnessError when no request will work: a wrong key, an unknown
        model, an empty quota.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Opens models: `--model SCHEME/NAME`.

    Attributes:
        scheme: the text before the first slash.
        description: one line.
        settings: keys of `-M`.
        open: (name, settings) -> async context manager that yields the Model.
        local: its models run on this machine's accelerator, so two of them do not run at once; it also takes the core's
            settings `replicas` and `devices`.
        base: the scheme that `preset` made it from; else empty.
        folder: (name, settings) -> the folder that holds the model's weights, for training or copying; raises
            HarnessError if there is none here. None for a provider of models that have no files.
        lineage: name -> the folder that holds its training.json, if that is neither the name itself nor a setting.
        given: it repeats answers that the data gives, so that judges can be measured. It is no model, so no
            leaderboard ranks it.
        batch: settings -> why its models have no batch API with these settings; an empty text if they have one, and
            then an open model has `batches` (`harness.http.batching.Batches`). None for a provider without batches.
    """

    scheme: str
    description: str
    open: Callable[[str, Settings], AbstractAsyncContextManager[Model]]
    settings: tuple[Setting, ...] = ()
    local: bool = False
    base: str = ""
    folder: Callable[[str, Settings], Path] | None = None
    lineage: Callable[[str], Path] | None = None
    given: bool = False
    batch: Callable[[Settings], str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """Where a benchmark or a judge was published, as a bibliography needs it.

    Give what you have seen: a field that is left out is left out of the entry.

    Attributes:
        key: proposed BibTeX key, `[A-Za-z][A-Za-z0-9_.:-]*`.
        title: as the paper prints it, plain text.
        authors: in order, `Given Family`; `Family, Given` if the family name has several words, and `Name,` for an
            organisation.
        year: of the version that the other fields name.
        venue: the proceedings it is in; empty for a preprint.
        journal: the journal it is in, instead of `venue`.
        arxiv: its arXiv id, such as "2501.18533".
        url: its page, if that is not arXiv's.
    """

    key: str
    title: str
    authors: tuple[str, ...] = ()
    year: int | None = None
    venue: str = ""
    journal: str = ""
    arxiv: str = ""
    url: str = ""

    @property
    def link(self) -> str:
        """The address of its page; empty if there is none."""
        return self.url or (f"https://arxiv.org/abs/{self.arxiv}" if self.arxiv else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSource:
    """Where a task's data comes from: `harness data fetch` takes it from there, and an error names it if it is missing.

    A pattern is a path in which `*` stands for anything, slashes included.

    Attributes:
        hub: dataset id on the Hugging Face hub, or empty.
        mirrors: other ids of the same data set, tried in order if `hub` is gone.
        files: patterns of the files that the task reads, from the hub or from its own folder; empty means all.
        url: web page or repository.
        revision: commit of `hub` that the splits' counts were checked with, or empty.
        unchecked: why the counts of a part of it were not checked with any revision; empty if all were checked. Then
            `hub` and `archive` name their commits, and another one is fetched only by `--revision`.
        licence: as the publisher states it, with what it forbids.
        size: human text, such as "3 GB".
        gated: access must be asked for.
        archive: GitHub repository that holds the data or a part of it: (owner/name, commit that the counts were checked
            with or empty, patterns).
        urls: files by themselves: (path under the data root, address, md5 or empty).
        by_hand: files that no program can fetch and the user puts into the data root: what, and the page it is on.
        prompts: GitHub repository and commit that hold upstream's wording: (owner/name, commit, files).
        toy: drawn to show the tool: a number on it measures nothing, as every report says.
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
        images: most images one sample holds; a model that takes fewer is refused. None when it is not known: then they
            are counted when the samples are listed.
        judges: each rubric it accepts -> translation of that rubric's labels into the metrics' (an empty mapping keeps
            them). The first is the default.
        losses: rubric of another benchmark -> one sentence on what is lost when its labels are translated.
        metrics: the first is the main one unless another says `main`.
        by: breakdowns: `category` or names of tags.
        defaults: generation settings of the benchmark.
        blocked_as: what a block counts as, for all metrics alike.
        empty_as: what an empty answer counts as.
        data: packaged folder of a mini split; None means the task's root under the data folder.
        selected: whether the task's bare name selects it.
        parts: the splits that this split pools; it then makes no calls of its own.
        fidelity: whose words the benchmark adds to the input; None if it adds none.
        template_hash: sha256 of those words.
        labels: all labels that a verdict may count as. Labels of metrics, translated labels of rubrics, `blocked_as`
            and `empty_as` must be among them. Empty means the labels that its metrics look for.
        group: what kind of question it asks; None for another kind.
        source: where its own data comes from; None means the task's. `harness.usual.TOY` for data that only shows the
            tool.
        paper: where its own data was published, besides the task's paper.
        description: one sentence on what it asks; empty means the task's description.
    """

    n: int | None = None
    images: int | None = 0
    judges: Mapping[str, Mapping[str, str]]
    losses: Mapping[str, str] = field(default_factory=dict[str, str])
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
    paper: Paper | None = None
    description: str = ""

    @property
    def vocabulary(self) -> tuple[str, ...] | None:
        """What a verdict may count as; None if neither the split nor its metrics say it."""
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
        splits: name -> Split; a function of (settings, data root) if settings change them. A task with any number of
            splits gives a Mapping that accepts any name.
        samples: (data root, split, settings) -> the samples, one by one, those of one cluster together.
        settings: keys of `-T NAME.key`; a changed identity setting becomes part of the task's displayed name.
        source: where the data comes from.
        pairings: comparisons inside the task.
        published: YAML file of numbers that others published, as `harness.board.published` reads it.
        revision: (data root, splits) -> the revision of the data in the root, for the results; empty if unknown.
            None means the revision that was fetched.
        paper: where the benchmark was published; None if it has no paper.
        folder: its data root, unless the user names another; None for DIR/<name>.
        rubrics: judges of its own, offered with it: those of a task file (`harness.load_task`).
        file: the task file it was read from, as a run keeps it: `path`, `text` and `templates`; {} for one in Python.
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
    paper: Paper | None = None
    folder: Path | None = None
    rubrics: tuple[Judge, ...] = ()
    file: Mapping[str, Json] = field(default_factory=dict[str, Json])


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Tasks that are run together: `--tasks NAME`.

    Attributes:
        name: may be given wherever a task's name may; no task has it.
        description: one line.
        tasks: `NAME` or `NAME:SPLIT`, in order; never another suite.
        task_settings: as `-T`: `NAME.key` -> value, for these tasks alone and their rubrics; the user's own values take
            precedence.
        judges: task, or entry of `tasks` -> name of the rubric that judges it here; if that needs a model, the user
            names it by `--judge RUBRIC=MODEL`. Such a flag reaches no other task of the suite, and `--judge MODEL` does
            not change it.
        mean: entries of `tasks` with one split each, whose main numbers have an unweighted mean.
        notes: for readers of its numbers.
        paper: where this choice of tasks was published; None if it is the plugin's own.
    """

    name: str
    description: str
    tasks: tuple[str, ...]
    task_settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    judges: Mapping[str, str] = field(default_factory=dict[str, str])
    mean: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    paper: Paper | None = None

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Rubric:
    """How answers are judged: what to ask a judge's model and how to read its replies, or how to score a whole split.

    Attributes:
        identity: everything that can change a verdict besides model and version (template hash, options).
        labels: all labels it can give.
        ask: (sample, response) -> requests for the judge's model; empty for a rule. If the model cannot score the
            `choices` of a request, it is not asked, and the reply is empty and without scores. If scoring fails and
            `needs` has no `choices`, the reply is empty, with the failure among its notes.
        read: (sample, response, replies) -> Verdict, Unscored, or requests for one more round (at most 4).
        ask_local: instead of `ask`, for a model that runs on this machine: for prompts that hold data unchanged.
        score: instead of `ask` and `read`: an async generator that decides on all answers of one epoch of a split,
            once the last is there. Samples that failed, were blocked or have an empty answer are left out.
        fidelity: whose words the template is in.
        sees: what the judge is shown: "question", "images", "answer", "reasoning", …
        needs: abilities its model must have under these settings, if they differ from the judge's; else None.
        meanings: label -> one sentence for readers of a report: what an answer with this label is like.
        guideline: what `harness label` tells people who label by this rubric; empty for the meanings alone.
        verdict_like: answer -> whether it holds text in the form of this rubric's own verdicts; every answer is
            searched for the general forms anyway. Such an answer is flagged, never scored differently.
        repairs: whether the model is asked once more after a reply that cannot be read, in each round of one request.
            The request says what was wrong; False for a classifier, which would classify it too.
    """

    identity: Mapping[str, Json]
    labels: tuple[str, ...]
    ask: Callable[[Sample, Response], list[Request]] = lambda _sample, _response: []
    read: Read = lambda _sample, _response, _replies: Unscored(
        state="judge_error", message="the rubric scores a split as a whole"
    )
    ask_local: Callable[[Sample, Response], list[Request]] | None = None
    score: Score | None = None
    fidelity: Fidelity = "own"
    sees: tuple[str, ...] = ("answer",)
    needs: frozenset[Ability] | None = None
    meanings: Mapping[str, str] = field(default_factory=dict[str, str])
    guideline: str = ""
    verdict_like: Callable[[str], bool] | None = None
    repairs: bool = True

    @property
    def scope(self) -> Literal["sample", "split"]:
        """What it decides on at once: one sample or a whole split."""
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
        normalize: settings -> one form for all that mean the same, so that they have one id; None if none do.
        paper: where the way of judging was published; None if it has no paper.
    """

    name: str
    version: str
    description: str
    open: Callable[[Settings, Path], Rubric]
    settings: tuple[Setting, ...] = ()
    needs: frozenset[Ability] | None = None
    normalize: Callable[[Settings], Settings] | None = None
    paper: Paper | None = None

    @staticmethod
    def simple(
        name: str,
        *,
        version: str,
        description: str,
        labels: tuple[str, ...] | Mapping[str, str],
        decide: Callable[[Sample, Response], str],
        paper: Paper | None = None,
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
        return Judge(name=name, version=version, description=description, open=lambda _s, _d: rubric, paper=paper)


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """Wraps the evaluated model, never a judge: two-step answering, a defence prompt. Part of the identity.

    Attributes:
        name: value of `--strategy`.
        version: raised when the same request would be asked in another way.
        description: one line.
        wrap: (model, settings) -> the model with the strategy around it.
        settings: keys of `-S`.
        calls: (request, settings) -> the least and the most calls of the inner model for one answer, with None for no
            bound; a dry run counts by it. Without it, the strategy makes at least one call.
        needs: abilities that the model must have; without them a run is refused before anything is asked.
        check: (a listed request, settings) -> why a run with the strategy may not ask it, for example because the
            strategy was made from it; empty if it may. The images are not open. One such request stops the run.
        facts: settings -> what else decides the answers, such as the files of a model that it asks itself: part of the
            identity. Raises HarnessError for settings that no run can use.
        seconds: most time that its own code may take for one request, without the time of the model's calls; after it
            the sample fails. None for no limit, such as for a strategy that runs models itself.
    """

    name: str
    version: str
    description: str
    wrap: Callable[[Model, Settings], Model]
    settings: tuple[Setting, ...] = ()
    calls: Callable[[Request, Settings], tuple[int, int | None]] | None = None
    needs: frozenset[Ability] = frozenset()
    check: Callable[[Request, Settings], str] | None = None
    facts: Callable[[Settings], Mapping[str, Json]] | None = None
    seconds: float | None = OWN_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """Which variant of a sample an attack makes, and its source of random numbers.

    Attributes:
        epoch: 0-based; each epoch is another variant, if the attack has several.
        key: what its random numbers follow from: the attack's seed, the split, the sample and the epoch.
        replies: what the model said to the requests of `Attack.ask`, in order.
    """

    epoch: int = 0
    key: str = ""
    replies: tuple[str, ...] = ()

    def random(self, what: str = "") -> Random:
        """A random generator that is the same each time; another `what` gives an independent one."""
        from random import Random

        from harness.keys import text_hash

        return Random(int(text_hash(f"{self.key}\0{what}"), 16))


#: begins a note of an attack on an item whose right answer may be another one now
MAY_CHANGE: Final = "label may change"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attacked:
    """What an attack made of a sample.

    Attributes:
        request: what the model is asked instead; each of its images is open (`harness.images.draw_image`).
        notes: what a reader of this item must know, such as that the right answer may have changed.
    """

    request: Request
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """Changes what the model is asked, on any task; judges keep the original sample. Part of the identity.

    The functions get the sample as its task lists it: without the run's system message and sampling. The turns of a
    dialogue are messages of its request, one after another, and stay as many. The functions are pure:
    the same sample, settings and variant give the same request, on every machine with the same `facts`.

    Attributes:
        name: value of `--attack`.
        version: raised when the same sample would be asked in another way.
        description: one line.
        apply: (sample with open images, settings, variant) -> what is asked instead. Raises BadImage for an image
            whose pixels it cannot read.
        check: (sample, settings) -> why it cannot take this sample, or an empty text; the images are not open. A run
            is refused if it can take no sample of a split; else those that it cannot take end as `bad_sample`.
        images: (sample, settings) -> most images that one request holds; None for as many as the sample.
        ask: (sample with open images, settings) -> what the model is asked first; `Variant.replies` holds its replies.
        calls: (sample, settings) -> how many requests `ask` gives; None for none.
        facts: settings -> what else decides the request, such as the font that is used, for run.json. Raises
            HarnessError for settings that no run can use.
        settings: keys of `-A`.
        variants: how many variants of a sample differ; None for as many as there are epochs.
        control: it tests what an answer depends on, instead of trying to make the model fail.
        seconds: most time that `apply`, or `ask`, may take for one sample; after it the sample fails. None: no limit.
    """

    name: str
    version: str
    description: str
    apply: Callable[[Sample, Settings, Variant], Attacked]
    check: Callable[[Sample, Settings], str] = lambda _sample, _settings: ""
    images: Callable[[Sample, Settings], int] | None = None
    ask: Callable[[Sample, Settings], list[Request]] | None = None
    calls: Callable[[Sample, Settings], int] | None = None
    facts: Callable[[Settings], Mapping[str, Json]] | None = None
    settings: tuple[Setting, ...] = ()
    variants: int | None = None
    control: bool = False
    seconds: float | None = OWN_SECONDS


Rendered = str | bytes | Mapping[str, bytes]  #: text or bytes of one file, or file name -> bytes of several


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleLinks:
    """Where the readers of a report find the samples behind its numbers: in a viewer of the same runs beside it.

    Attributes:
        viewer: address of the viewer, relative to the report.
        runs: for each of the results, in order, the viewer's names of its runs: one, or those of a mean over seeds;
            none if the viewer does not have them.
    """

    viewer: str
    runs: Sequence[tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Renders results: a pure function of one or more results.json, or of the content of run folders.

    Attributes:
        name: value of `--format`.
        description: one line.
        render: results, in order -> the report. Nothing else is read, so it needs no run folder.
        samples: (run folders, reveal) -> the report, for a format that holds samples; instead of `render`. Unless
            `reveal` is true, it holds no text and no image of a sample: only names, labels, counts and numbers.
        figures: results, in order -> file name -> bytes; what `--figures DIR` writes.
        suffix: of the one file; empty for several.
        matrix: the paper table of `--matrix` -> the report; a pure function that only formats the table. None for a
            format without it.
        linked: (results, where their samples are shown) -> the report, with a link to the samples behind each number;
            for a page that a viewer shows beside its own. None for a format without it.
    """

    name: str
    description: str
    render: Callable[[Sequence[Results]], Rendered] | None = None
    samples: Callable[[Sequence[Path], bool], Rendered] | None = None
    figures: Callable[[Sequence[Results]], Mapping[str, bytes]] | None = None
    suffix: str = ".txt"
    matrix: Callable[[Matrix], Rendered] | None = None
    linked: Callable[[Sequence[Results], SampleLinks], str] | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for a report that renders nothing, or in two ways."""
        if (self.render is None) == (self.samples is None):
            raise ValueError(f"report {self.name!r}: give render or samples, and not both")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """What an observer learns about a run: its folder, its model, tasks and judges, and the plugins' versions."""

    folder: Path
    model: str
    tasks: tuple[str, ...]
    judges: tuple[str, ...]
    plugins: Mapping[str, str]
