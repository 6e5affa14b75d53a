"""Turns lm-eval's contexts into requests, asks all of one call together, and counts how its samples ended.

The model handles slots and retries. lm-eval has no outcome for a failed sample, so failures are counted here.
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
_MOST_TOKENS = 256  # if a task sets none, as in lm-eval's own models
_STOPS_SENT = 4  # OpenAI refuses more; all are applied to the answer
_LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
_KNOWN = frozenset({"until", "do_sample", "temperature", "top_p", "seed", *_LENGTHS})
_WHILE_SAMPLING = frozenset({"top_k", "top_p", "min_p", "typical_p"})  # no effect on a greedy answer
_NEUTRAL: Mapping[str, Json] = {"num_beams": 1, "repetition_penalty": 1.0, "top_k": 0, "num_return_sequences": 1}
_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA"})  # what a PNG holds without a conversion
#: most requests prepared or in flight at once, so that memory does not hold all pictures
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
    """Counts how lm-eval's samples ended: it has no outcome for a failed one."""

    outcomes: Counter[str] = field(default_factory=Counter[str])
    faults: list[Fault] = field(default_factory=list[Fault])

    def add(self, task: str, document: str, result: Response | Failure) -> None:
        """Count one sample."""
        if isinstance(result, Failure):
            self.outcomes[result.outcome] += 1
            self.faults.append(Fault(task=task, document=document, failure=result))
        else:
            self.outcomes["answered" if result.text.strip() or result.choices else "empty"] += 1

    @property
    def text(self) -> str:
        """For a person: counts by outcome, and the first failures."""
        counts = table(["OUTCOME", "SAMPLES"], [[name, str(count)] for name, count in self.outcomes.most_common()])
        if not self.faults:
            return counts
        rows = [[f.task, f.document, f.failure.outcome, f.failure.reason, f.failure.message] for f in self.faults]
        more = f"\n… and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
        return f"{counts}\n\n{table(['TASK', 'DOC', 'OUTCOME', 'REASON', 'MESSAGE'], rows[:_SHOWN])}{more}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One sample to ask.

    Attributes:
        task: task name.
        document: document number in the task.
        make: returns the request or a Failure; blocking; raises HarnessError if no request will work.
        answered: called with the answer, at most once.
    """

    task: str
    document: str
    make: Callable[[], Request | Failure]
    answered: Callable[[Response], None]


async def ask_all(model: Model, questions: Sequence[Question], tally: Tally, *, stops: bool, done: Any) -> None:
    """Ask all questions.

    Args:
        model: a metered model.
        questions: in any order.
        tally: counts the outcomes.
        stops: stop at the first question without an answer.
        done: called after each question.

    Raises:
        HarnessError: nothing will work, or a question has no answer and `stops` is set.
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
                remedy="--on-failure empty counts such samples as empty answers and says how many; lm-eval's "
                "--use_cache FILE keeps the other answers",
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
    """A task's generation settings as ours.

    Attributes:
        settings: settings for the model.
        stops: all texts that end an answer.
    """

    settings: Generation
    stops: tuple[str, ...]

    @staticmethod
    def of(given: Mapping[str, Json]) -> Sampling:
        """Read `gen_kwargs`. Raises HarnessError for an unsupported one that would change answers."""
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
                    f"the task asks for {name}={value}, which our models do not support",
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
    """One request, its images opened; a Failure if pictures and marks do not match or a picture is broken.

    Raises:
        HarnessError: the model cannot answer any such request.
    """
    if not context.startswith(_HEAD):
        if visuals or "raw" not in info.can:
            what = f"{info.ref} needs a chat template"
            raise HarnessError(what, remedy="add --apply_chat_template to the flags")
        words = Message(role="user", content=(Text(text=context),))
        return Request(messages=(words,), settings=settings, raw=True, choices=choices)
    outer, end = json.JSONDecoder().raw_decode(context)
    turns: list[dict[str, Any]] = outer["harness.messages"]["turns"]
    prefill = "" if outer["harness.messages"]["answers"] else str(turns.pop()["content"])
    prefill += context[end:]
    # nothing is ever dropped: what the model lacks ends the run
    most = info.max_images if "images" in info.can else 0
    if most is not None and len(visuals) > most:
        raise HarnessError(
            f"a sample shows {len(visuals)} images at once; {info.ref} takes {most}",
            remedy="use a model that takes several images: none is ever dropped",
        )
    if prefill and "prefill" not in info.can:
        raise HarnessError(
            f"the task begins the answer ({prefill[:60]!r}); {info.ref} does not support prefill",
            remedy="name another model",
        )
    if "system" not in info.can and any(turn["role"] == "system" for turn in turns):
        raise HarnessError(f"{info.ref} takes no system message", remedy="name another model")
    try:
        pictures = [_picture(at, visual) for at, visual in enumerate(visuals)]
    except BadImage as fault:
        return Failure(outcome="bad_sample", reason=fault.reason, message=str(fault))
    # a picture for each mark; without marks, all before the last turn
    texts = [str(turn["content"]) for turn in turns]
    marks = sum(text.count(MARK) for text in texts)
    if marks == 0 and texts:
        texts[-1] = MARK * len(pictures) + texts[-1]
    elif marks != len(pictures) and pictures:
        return Failure(outcome="bad_sample", reason="marks", message=f"{marks} marks, {len(visuals)} pictures")
    left = iter(pictures)
    messages = tuple(
        Message(role=turn["role"], content=_parts(text, left) if pictures else (Text(text=text),))
        for turn, text in zip(turns, texts, strict=True)
    )
    return Request(messages=messages, settings=settings, prefill=prefill, choices=choices)


def _parts(text: str, pictures: Iterator[Image]) -> tuple[Part, ...]:
    """A text with its pictures; empty pieces are left out, blank ones stay."""
    first, *others = text.split(MARK)
    pieces: list[Part] = [Text(text=first)]
    for other in others:
        pieces += (next(pictures), Text(text=other))
    return tuple(piece for piece in pieces if piece != Text(text="")) or (Text(text=""),)


def _picture(at: int, visual: Any) -> Image:
    """lm-eval's picture with unchanged pixels. Raises BadImage."""
    name = f"image {at + 1}"
    if not isinstance(visual, PIL.Image.Image):
        raise BadImage(name, "not_an_image", f"a {type(visual).__name__} instead of a Pillow image")
    file = io.BytesIO()
    try:
        (visual if visual.mode in _MODES else visual.convert("RGB")).save(file, "PNG", compress_level=1, exif=b"")
    except (OSError, ValueError, SyntaxError) as error:
        raise BadImage(name, "unreadable", str(error)) from None
    return open_image(inline_image(name, file.getvalue()))
