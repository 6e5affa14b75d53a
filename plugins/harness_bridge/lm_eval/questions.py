"""lm-eval's contexts as our requests, all of one call asked together, and how its samples ended.

Slots and retries are the model's own. lm-eval has no word for a sample that failed, so they are counted here.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.to_thread
import PIL.Image

from harness import BadImage, Failure, Generation, HarnessError, Image, Json, Message, Model, Request, Response, Text
from harness.cli.stdout import table
from harness.contracts import ModelInfo
from harness.errors import unwrap_groups
from harness.images import inline_image, open_image
from harness.limits.metered import try_once
from harness.types import Part

MARK = "<image>"  #: where lm-eval's contexts have a picture
_HEAD = '{"harness.messages": '
_MOST_TOKENS = 256  # where a task says nothing, as of lm-eval's own models
_STOPS_SENT = 4  # more are refused by OpenAI; all are applied to the answer
_LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
_KNOWN = frozenset({"until", "do_sample", "temperature", "top_p", "seed", *_LENGTHS})
_WHILE_SAMPLING = frozenset({"top_k", "top_p", "min_p", "typical_p"})  # of no effect on a greedy answer
_NEUTRAL: Mapping[str, Json] = {"num_beams": 1, "repetition_penalty": 1.0, "top_k": 0, "num_return_sequences": 1}
_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA"})  # what a PNG holds without a conversion
#: requests that are made ready or on their way at once; pictures are not all held in memory
_AT_ONCE = 200
_SHOWN = 20  # samples without an answer that are listed


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A sample without an answer."""

    task: str
    document: str
    failure: Failure


@dataclass(slots=True, kw_only=True)
class Tally:
    """How lm-eval's samples ended: it has no word for one that failed."""

    outcomes: Counter[str] = field(default_factory=Counter[str])
    faults: list[Fault] = field(default_factory=list[Fault])

    def add(self, task: str, document: str, result: Response | Failure) -> None:
        """One sample ended."""
        if isinstance(result, Failure):
            self.outcomes[result.outcome] += 1
            self.faults.append(Fault(task=task, document=document, failure=result))
        else:
            self.outcomes["answered" if result.text.strip() or result.choices else "empty"] += 1

    @property
    def text(self) -> str:
        """For a person: how many ended how, and the first that failed."""
        counts = table(["OUTCOME", "SAMPLES"], [[name, str(count)] for name, count in self.outcomes.most_common()])
        if not self.faults:
            return counts
        rows = [[f.task, f.document, f.failure.outcome, f.failure.reason, f.failure.message] for f in self.faults]
        more = f"\n… and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
        return f"{counts}\n\n{table(['TASK', 'DOC', 'OUTCOME', 'REASON', 'MESSAGE'], rows[:_SHOWN])}{more}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One sample to be asked.

    Attributes:
        task: its name.
        document: its number in the task.
        make: the request, or why there is none; blocking, raises HarnessError where no request will work.
        answered: given the answer, at most once.
    """

    task: str
    document: str
    make: Callable[[], Request | Failure]
    answered: Callable[[Response], None]


async def ask_all(model: Model, questions: Sequence[Question], tally: Tally, *, stops: bool, done: Any) -> None:
    """Ask them all.

    Args:
        model: metered.
        questions: in any order.
        tally: counts how each ended.
        stops: whether the first without an answer ends it all.
        done: called once for each.

    Raises:
        HarnessError: nothing will work, or one had no answer and `stops` is set.
    """
    slots = anyio.Semaphore(_AT_ONCE)

    async def one(question: Question) -> None:
        try:
            made = await anyio.to_thread.run_sync(question.make)
            result = made if isinstance(made, Failure) else await try_once(model, made)
        finally:
            slots.release()
        tally.add(question.task, question.document, result)
        done()
        if isinstance(result, Response):
            question.answered(result)
        elif stops:
            raise HarnessError(
                f"sample {question.document} of {question.task} has no answer: {result.outcome}: {result.reason}: "
                f"{result.message}",
                remedy="lm-eval would count it as an answer; --on-failure empty lets it, and says how many. With their "
                "--use_cache FILE what was answered is kept",
            )

    with unwrap_groups():
        async with anyio.create_task_group() as tasks:
            for question in questions:
                await slots.acquire()
                tasks.start_soon(one, question)


def sample_key(request: Any) -> Hashable:
    """The sample that one of lm-eval's requests belongs to."""
    return request.task_name, request.doc_id


def encode_turns(history: Sequence[Mapping[str, Json]], *, answers: bool) -> str:
    """A conversation as a context; without `answers` the last turn is the start of the answer."""
    return _HEAD + json.dumps({"turns": list(history), "answers": answers}) + "}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """What of a task's generation settings is ours.

    Attributes:
        settings: what the model is asked with.
        stops: all texts that end an answer.
    """

    settings: Generation
    stops: tuple[str, ...]

    @staticmethod
    def of(given: Mapping[str, Json]) -> Sampling:
        """Read `gen_kwargs`. Raises HarnessError for one that would change answers and that we do not have."""
        until: Json = given.get("until") or ()
        stops = tuple(stop for stop in ((until,) if isinstance(until, str) else until) if stop)
        length = next((given[name] for name in _LENGTHS if given.get(name) is not None), _MOST_TOKENS)
        temperature = given.get("temperature")  # greedy unless the task samples, as lm-eval has it
        if given.get("do_sample") is False:
            temperature = 0.0
        elif temperature is None:
            temperature = 1.0 if given.get("do_sample") else 0.0
        temperature = float(temperature)
        for name, value in given.items():
            idle = value is None or (temperature == 0 and name in _WHILE_SAMPLING) or _NEUTRAL.get(name) == value
            if name not in _KNOWN and not idle:
                raise HarnessError(
                    f"the task asks for {name}={value}, which our models do not have",
                    remedy=f"override it: -- … --gen_kwargs {name}={_NEUTRAL.get(name)}",
                )
        settings = Generation(
            temperature=temperature,
            max_tokens=int(length),
            top_p=given.get("top_p") if temperature else None,
            seed=given.get("seed"),
            stop=stops[:_STOPS_SENT],
        )
        return Sampling(settings=settings, stops=stops)

    def cut(self, text: str) -> str:
        """The text before the first stop."""
        for stop in self.stops:
            text = text.partition(stop)[0]
        return text


def to_request(
    context: str, visuals: Sequence[Any], info: ModelInfo, *, settings: Generation, choices: tuple[str, ...] = ()
) -> Request | Failure:
    """One request, its images opened; a Failure where pictures and marks do not match or a picture is broken.

    Raises:
        HarnessError: the model can be asked none of these.
    """
    if not context.startswith(_HEAD):
        if visuals or "raw" not in info.can:
            what = f"without a chat template {info.ref} cannot be asked this"
            raise HarnessError(what, remedy="add --apply_chat_template to the flags")
        words = Message(role="user", content=(Text(text=context),))
        return Request(messages=(words,), settings=settings, raw=True, choices=choices)
    outer, end = json.JSONDecoder().raw_decode(context)
    turns: list[dict[str, Any]] = outer["harness.messages"]["turns"]
    prefill = "" if outer["harness.messages"]["answers"] else str(turns.pop()["content"])
    prefill += context[end:]
    _check_abilities(info, visuals, turns, prefill)
    try:
        messages = _messages(turns, [_picture(at, visual) for at, visual in enumerate(visuals)])
    except BadImage as fault:
        return Failure(outcome="bad_sample", reason=fault.reason, message=str(fault))
    if messages is None:
        marks = sum(turn["content"].count(MARK) for turn in turns)
        return Failure(outcome="bad_sample", reason="marks", message=f"{marks} marks, {len(visuals)} pictures")
    return Request(messages=messages, settings=settings, prefill=prefill, choices=choices)


def _check_abilities(info: ModelInfo, visuals: Sequence[Any], turns: Sequence[Mapping[str, Any]], prefill: str) -> None:
    """Raise HarnessError for what the model has no ability for; nothing is ever dropped."""
    most = info.max_images if "images" in info.can else 0
    if most is not None and len(visuals) > most:
        raise HarnessError(
            f"a sample shows {len(visuals)} images at once; {info.ref} takes {most}",
            remedy="run it on a model that takes several images: none is ever dropped",
        )
    if prefill and "prefill" not in info.can:
        raise HarnessError(f"the task begins the answer ({prefill[:60]!r}); {info.ref} has no prefill")
    if "system" not in info.can and any(turn["role"] == "system" for turn in turns):
        raise HarnessError(f"{info.ref} takes no system message")


def _messages(turns: Sequence[Mapping[str, Any]], pictures: list[Image]) -> tuple[Message, ...] | None:
    """The turns with a picture for each mark, or all before the last turn if there is no mark; None for a mismatch."""
    texts = [str(turn["content"]) for turn in turns]
    marks = sum(text.count(MARK) for text in texts)
    if marks == 0 and texts:
        texts[-1] = MARK * len(pictures) + texts[-1]
    elif marks != len(pictures) and pictures:
        return None
    left = iter(pictures)
    return tuple(
        Message(role=turn["role"], content=_parts(text, left) if pictures else (Text(text=text),))
        for turn, text in zip(turns, texts, strict=True)
    )


def _parts(text: str, pictures: Iterator[Image]) -> tuple[Part, ...]:
    """A text around its pictures; blank pieces stay, empty ones do not."""
    first, *others = text.split(MARK)
    pieces: list[Part] = [Text(text=first)]
    for other in others:
        pieces += (next(pictures), Text(text=other))
    return tuple(piece for piece in pieces if piece != Text(text="")) or (Text(text=""),)


def _picture(at: int, visual: Any) -> Image:
    """A picture of theirs with unchanged pixels. Raises BadImage."""
    name = f"image {at + 1}"
    if not isinstance(visual, PIL.Image.Image):
        raise BadImage(name, "not_an_image", f"a {type(visual).__name__}, where lm-eval has Pillow's images")
    file = io.BytesIO()
    try:
        (visual if visual.mode in _MODES else visual.convert("RGB")).save(file, "PNG", compress_level=1, exif=b"")
    except (OSError, ValueError, SyntaxError) as error:
        raise BadImage(name, "unreadable", str(error)) from None
    return open_image(inline_image(name, file.getvalue()))
