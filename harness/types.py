"""Values that travel through the harness; all frozen, none does I/O.

A Task makes Samples, each holding a Request. A Model turns a Request into a Response or a Failure.
A Rubric turns a Response into a Verdict or an Unscored. Nothing else means "it did not work":
no sentinel text, no NaN, no None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

Json = Any  #: what json.loads gives
SettingType = type[bool] | type[int] | type[float] | type[str] | type[Path]
Settings = Mapping[str, Any]  #: declared settings with their parsed values
Role = Literal["system", "user", "assistant"]
Outcome = Literal["answered", "input_blocked", "output_blocked", "empty", "bad_sample", "error", "unanswered"]
UnscoredState = Literal["judge_refused", "judge_blocked", "judge_unparsable", "judge_error"]
Fidelity = Literal["upstream", "own", "modified"]  #: whose words a text is in
Ability = Literal["images", "raw", "choices", "schema", "prefill", "draw", "system"]  #: what a model may or may not do

#: of an item with a line; one without a line is `unanswered`
OUTCOMES: tuple[Outcome, ...] = ("answered", "input_blocked", "output_blocked", "empty", "bad_sample", "error")
UNSCORED: tuple[UnscoredState, ...] = ("judge_refused", "judge_blocked", "judge_unparsable", "judge_error")
BLOCKED: frozenset[str] = frozenset({"input_blocked", "output_blocked"})


class Files(Protocol):
    """Where the bytes of a data set come from: a folder, a zip or a tar. See `harness.readers`."""

    @property
    def root(self) -> Path:
        """The folder or the archive on disk."""
        ...

    def read(self, path: str) -> bytes:
        """The bytes of one file under the root; raises BadImage when it is missing or leads out of the root."""
        ...

    def stamp(self, path: str) -> tuple[str, int, int]:
        """Absolute name, size in bytes and modification time in ns: the key of a remembered image hash."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageContent:
    """An opened image: checked in structure, hashed and encoded once, shared by model and judge."""

    data: bytes = field(repr=False)
    encoded: bytes = field(repr=False)  #: base64 of `data`, ASCII
    sha256: str
    mime: str
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image of a message, by its place under the data root; `content` is None until the engine opens it."""

    path: str
    files: Files = field(repr=False, compare=False)
    content: ImageContent | None = field(default=None, repr=False)

    @property
    def opened(self) -> ImageContent:
        """The content; raises ValueError if the image was not opened (`harness.images.open_image`)."""
        if self.content is None:
            raise ValueError(f"image {self.path} has not been opened")
        return self.content


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A piece of text of a message."""

    text: str


Part = Text | Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of a conversation; the model gets its parts in this order."""

    role: Role
    content: tuple[Part, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """How an answer is sampled; None leaves the provider's default and is recorded as null."""

    temperature: float | None = 0.0
    max_tokens: int | None = 1024
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a model is asked.

    Attributes:
        messages: the turns, in order.
        settings: how to sample.
        schema: JSON Schema of the answer, for models with structured output (`"schema" in info.can`).
        raw: the single text is sent unchanged, without a chat template (`"raw"`).
        choices: the model answers with the log-probability of each of these continuations (`"choices"`).
        prefill: text the answer starts with; not repeated in the response.
    """

    messages: tuple[Message, ...]
    settings: Generation = Generation()
    schema: Mapping[str, Json] | None = None
    raw: bool = False
    choices: tuple[str, ...] = ()
    prefill: str = ""

    @property
    def images(self) -> tuple[Image, ...]:
        """All images, in the order the model sees them."""
        return tuple(part for message in self.messages for part in message.content if isinstance(part, Image))


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one call as the provider counts them; zero if it does not say.

    Attributes:
        input_tokens: of the request, images and cached tokens included.
        output_tokens: of the answer, thinking included.
        reasoning_tokens: those of the output that are thinking.
        cache_read_tokens: those of the input that the provider read from its cache.
        cache_write_tokens: those of the input that the provider wrote into its cache.
        batch: the call was made through a batch API, which may cost less.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    batch: bool = False


def add_usage(*usages: Usage) -> Usage:
    """The sum of several calls' tokens; `batch` only if every call with tokens was made through a batch API."""
    paid = [usage for usage in usages if usage.input_tokens or usage.output_tokens]
    return Usage(
        input_tokens=sum(usage.input_tokens for usage in usages),
        output_tokens=sum(usage.output_tokens for usage in usages),
        reasoning_tokens=sum(usage.reasoning_tokens for usage in usages),
        cache_read_tokens=sum(usage.cache_read_tokens for usage in usages),
        cache_write_tokens=sum(usage.cache_write_tokens for usage in usages),
        batch=bool(paid) and all(usage.batch for usage in paid),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An answer; an empty text is the outcome `empty`.

    Attributes:
        text: what is judged.
        reasoning: thinking the provider returned apart; stored, not judged unless asked.
        flags: `truncated` at the token limit, `refusal` if the API marks the model's own refusal.
        usage: tokens.
        model: the model's name as the provider reports it.
        seconds: duration of the call that gave the answer.
        choices: log-probability of each of the request's `choices`.
        notes: what was done to the request on the way, such as an image that was scaled down.
        steps: what the model answered in a strategy's earlier steps, by the step's name and in order; never judged. Of
            a dialogue also the replies before the last, `turn-1` and on, which are a part of what a judge is shown.
    """

    text: str
    reasoning: str = ""
    flags: frozenset[str] = frozenset()
    usage: Usage = Usage()
    model: str = ""
    seconds: float = 0.0
    choices: Mapping[str, float] = field(default_factory=dict[str, float])
    notes: tuple[str, ...] = ()
    steps: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One request failed; the sample ends in `outcome`.

    Attributes:
        outcome: how the sample ends if no further try helps.
        reason: a short stable code, such as `http_500`, `timeout`, `content_filter`; a resumed run expects the same.
        message: what the provider said, shortened, without keys.
        text: partial answer of an `output_blocked`; kept, never judged.
        transient: another try may help.
        throttled: the provider asked to slow down (429), or is overloaded (529).
        retry_after: seconds the provider asked to wait.
        usage: tokens that the failed call used.
        model: the model's name as the provider reports it.
        steps: answers before the call that failed; see `Response.steps`.
    """

    outcome: Literal["input_blocked", "output_blocked", "bad_sample", "error"]
    reason: str
    message: str = ""
    text: str = ""
    transient: bool = False
    throttled: bool = False
    retry_after: float | None = None
    usage: Usage = Usage()
    model: str = ""
    steps: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One question of a task.

    Attributes:
        id: unique within its split and stable over versions of the data file.
        split: the split it belongs to.
        request: what the model is asked, first if there are turns; its images are opened by the engine.
        category: the breakdown every report shows.
        tags: other facts by which metrics group, stratify or break down.
        cluster: what is resampled and paired together; empty means the sample itself.
        target: what a rule or a rubric compares with; plain JSON.
        turns: what the user says after the model's reply to the request, one after another; each reply is carried on.
            If an assistant's turn follows a user's turn, that reply is given and the model is not asked. The last turn
            is the user's. See `harness.dialogues`.
    """

    id: str
    split: str
    request: Request
    category: str = ""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    cluster: str = ""
    target: Json = None
    turns: tuple[Message, ...] = ()

    @property
    def messages(self) -> tuple[Message, ...]:
        """The messages of the request and the turns: all that the data says."""
        return (*self.request.messages, *self.turns)

    @property
    def images(self) -> tuple[Image, ...]:
        """All images of the request and the turns, in the order the model sees them."""
        return tuple(part for message in self.messages for part in message.content if isinstance(part, Image))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A judge's decision: one label of its rubric, and what else it measured."""

    label: str
    axes: Mapping[str, str | float | bool] = field(default_factory=dict[str, str | float | bool])
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unscored:
    """A judge gave no decision; never a label."""

    state: UnscoredState
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What a model is and can do.

    Attributes:
        ref: as the user wrote it, `scheme/name`.
        resolved: the snapshot behind an alias, if the provider says it before the first call; else empty.
        endpoint: calls to one endpoint share slots, back-off and breaker; one per server and key, or per local device.
        max_images: most images one request may hold; None when there is no limit.
        local: runs on this machine's accelerator.
        concurrency: most calls at once; None lets the engine find it.
        fingerprint: names, sizes and sha256 of a local model's files, a hub commit, or {} for an API.
        can: abilities; a request needing another is refused before the run.
        dropped: generation settings the model refused, left out and recorded as null.
        thinking_tokens: most tokens that it may use beyond a request's `max_tokens`, such as for thinking; they cost
            money.
        notes: for the user, such as about a batch that was halved; may grow while the model is open.
        single_turn: it takes one message of the user and no other; a task with dialogues is refused before the run.
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
    thinking_tokens: int = 0
    single_turn: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A key that a provider, task, judge or strategy takes.

    Attributes:
        name: the key.
        type: bool, int, float, str or Path; the text of the command line is parsed by it.
        default: the value when it is not given; None means "not set".
        identity: whether another value makes another result; False is for transport only (timeouts, parallelism).
        help: one line.
        choices: the values it accepts; empty means any.
        least: the smallest number it accepts; None means any. Neither NaN nor infinity is a number here.
        most: the largest number it accepts; None means any.
        added: its default is left out of ids, so that a setting which is added later changes no existing id.
    """

    name: str
    type: SettingType
    default: Any
    identity: bool
    help: str = ""
    choices: tuple[str, ...] = ()
    least: float | None = None
    added: bool = False
    most: float | None = None
