"""What comes of a call, and of a step.

What is kept of a call, and what calls took.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, Literal, Protocol, TypeVar, cast, get_args

from harness import Drawing, Json, Request, Usage
from harness_builder.plan import Role
from harness_builder.stops import Stop, StopKind
from harness_builder.values import End, Step

T = TypeVar("T")
_STOPPED: Final = "stopped"


class Unreadable(Exception):
    """A reply is not what was asked for. Says what is wrong with it, so that the model can be told.

    What it says up to a semicolon is kept as the reason where the second reply cannot be read either: it is the same
    for all that are wrong in this way, and quotes nothing of the reply.
    """


def blank(stop: Stop) -> Json:
    """What stands in a kept reply in the place of an item that was stopped: the kind alone."""
    return {_STOPPED: stop.kind}


def stop_of(item: Json) -> Stop | None:
    """The stop in whose place an item of a kept reply stands; None for an item that was not stopped."""
    if not isinstance(item, dict):
        return None
    found = cast("dict[str, Any]", item)
    kind: StopKind | None = next((kind for kind in get_args(StopKind) if found == {_STOPPED: kind}), None)
    return None if kind is None else Stop(kind=kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReply:
    """A call whose reply was of use.

    Attributes:
        value: what was read of the reply: plain JSON, with a hard stop in the place of each item that was stopped.
        call: digest of what was asked, by which the call is kept.
    """

    value: Json
    call: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Halted:
    """Something goes no further.

    Attributes:
        end: how; never `kept`.
        why: in a few words, the same for all that end so; of a stop its kind alone.
        call: digest of the call that ended it; empty where none did.
        again: the reason may pass: the next build tries it again.
        note: what is particular to this one, for its story; never of a stop.
        before: digests of the calls that went well before it in the same step, in order.
    """

    end: End
    why: str
    call: str = ""
    again: bool = False
    note: str = ""
    before: tuple[str, ...] = ()

    @property
    def calls(self) -> tuple[str, ...]:
        """Digests of all calls of the step until it ended, in order."""
        return (*self.before, *((self.call,) if self.call else ()))

    def after(self, calls: Iterable[str]) -> Halted:
        """The same, after these calls of the same step; of a stop nothing but its kind is told."""
        if self.end == "stopped":
            return self
        return replace(self, before=tuple(dict.fromkeys((*calls, *self.before))))


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult(Generic[T]):
    """Something goes on.

    Attributes:
        value: what the step made.
        calls: digests of the calls that it took, in order.
        notes: what a person should read of it in its story.
    """

    value: T
    calls: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


#: text of a reply -> plain JSON; raises Unreadable
ReplyReader = Callable[[str], Json]
#: what was read -> the same, with a hard stop in place of what may not be kept; all of it where that is a Stop
ReplyFilter = Callable[[Json], "Json | Stop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelQuery:
    """One question to a model.

    Attributes:
        step: whose it is.
        owner: key of the seed or element that it is about; what is known of a stopped one is found by it, and deleted.
        role: who is asked.
        request: with images that need not be open.
        read: of the reply. A reply that it cannot read is asked for once more, with what was wrong with it.
        sieve: of what was read; None for the text rule over all texts in it.
        draw: another number asks for another reply to the same question.
        prose: the reply is to be prose and not JSON, so that words of declining in it do not make it a refusal.
    """

    step: Step
    owner: str
    role: Role
    request: Request
    read: ReplyReader
    sieve: ReplyFilter | None = None
    draw: int = 0
    prose: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawingReply:
    """A drawing that was made and lies in the build's folder.

    Attributes:
        sha256: of its bytes.
        prompt: that the provider drew from instead of the one it was given; empty where it kept to it.
        call: digest of what was asked.
    """

    sha256: str
    prompt: str
    call: str


class CallRunner(Protocol):
    """Asks the models and the painter of a build. Every call is kept, and never made twice."""

    async def ask(self, asked: ModelQuery) -> ModelReply | Halted:
        """The reply, read; from this build's past where the same was asked before.

        A refusal of the model and a block of its provider's filter end as `refused`; a reply that cannot be read
        twice, one that was cut off, and a call that failed end as `failed`; what the sieve stops ends as `stopped`,
        and nothing of the reply is kept.

        Raises:
            HarnessError: nothing will work (no such model, a wrong key), or a limit of the plan is reached.
        """
        ...

    async def paint(self, step: Step, owner: str, drawing: Drawing) -> DrawingReply | Halted:
        """The drawing, as `ask` for models."""
        ...

    async def send(self, step: Step, owner: str, role: Role, request: Request) -> ModelReply | Halted:
        """The reply as it stands, for who reads it otherwise; its text is the value."""
        ...

    def forget(self, owner: str) -> None:
        """Delete what is kept of an element that was stopped: its calls, and drawings that are no other's."""
        ...

    def redact(self, call: str, place: int, stop: Stop) -> None:
        """Put a stop in the place of one item of a reply that holds a list."""
        ...


CallResult = ModelReply | Halted | DrawingReply
CallRole = Role | Literal["painter"]
PAINTER: Final[CallRole] = "painter"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallUsage:
    """What calls took.

    Attributes:
        step: whose they were.
        role: who was asked.
        model: as its provider names it; empty where it does not.
        calls: on the wire; tries that failed for a passing reason are a part of theirs.
        usage: tokens.
        images: that were drawn.
        seconds: from request to reply.
    """

    step: Step
    role: CallRole
    model: str = ""
    calls: int = 1
    usage: Usage = Usage()
    images: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCall:
    """One question, and what came of it.

    Attributes:
        call: digest of what was asked.
        owners: keys of the seeds and elements that asked it; of a call that was looked up for one, that one alone.
        result: what came of it.
        spent: on it, a second try after a reply that could not be read among it.
    """

    call: str
    owners: tuple[str, ...]
    result: CallResult
    spent: CallUsage
